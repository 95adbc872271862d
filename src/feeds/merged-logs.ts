import type { Deps } from '../deps.ts';
import type { Render } from '../render.ts';
import type { Fail, HasRoom, OpenFeed } from '../services/live.ts';
import type { LogSearch, Mark } from '../services/log-search.ts';
import { type LogSelection, selectMembers } from '../services/log-selection.ts';
import type { LogLine } from '../services/logs.ts';
import type { MergedEntry, MergedQuery, MergedState } from '../services/merged-logs.ts';
import { aboveFirst, aboveOf, isContinued, type LineOptions, type Who } from '../views/models/logs.ts';
import { createWhoOf, mergedEntryModel, mergedNotes, type WhoOf } from '../views/models/merged-logs.ts';
import { morph, partial, toFlat } from './frames.ts';
import { renderLogState } from './logs.ts';
import { createThrottle, guard } from './ticker.ts';

/** Whose lines are rendered for which page, and what is marked in them; `key` is equal where lines without marks look equal. */
export type MergedLook = { whoOf: WhoOf; pageHref: string; search: LogSearch | undefined; key: string };

type Above = LineOptions['above'];

/**
 * Makes the frame of a batch of a merged log; a line is rendered once for all who see it in the same way, and so is a batch
 * that several are given. `above` is what the viewer has last.
 */
export type RenderMerged = (entries: readonly MergedEntry[], look: MergedLook, above: Above) => string;

type Known = { who: Who | undefined; pageHref: string; isJoined: boolean; html: string };
/** The frame that was made last. */
type LastFrame = { entries: readonly MergedEntry[]; key: string; above: Above; frame: string };

/** One line is seldom shown in more ways than this at a time. */
const maxKnown = 4;
/** How often it is looked who has come and gone, ms. */
export const selectMs = 200;

/** Creates the rendering of merged lines under a base path. */
export function createMergedRenderer(render: Render, base: string): RenderMerged {
  const known = new WeakMap<LogLine, Known[]>();
  let latest: LastFrame | undefined;

  function toHtml(entry: MergedEntry, { whoOf, pageHref }: MergedLook, above: Above, mark?: Mark): string {
    const model = mergedEntryModel(entry, whoOf, { base, mark, above, pageHref });
    return 'line' in model ? render('fragments/logs/line', model) : render('fragments/logs/gap', model);
  }

  function toKnownHtml(entry: MergedEntry, look: MergedLook, above: Above): string {
    if (!('cursor' in entry)) return toHtml(entry, look, above);
    const { pageHref } = look;
    const who = look.whoOf(entry.container);
    const isJoined = isContinued(entry, above);
    const before = known.get(entry) ?? [];
    const same = before.find(
      (each) => each.pageHref === pageHref && each.isJoined === isJoined && isSameWho(each.who, who),
    );
    if (same) return same.html;
    const html = toFlat(toHtml(entry, look, above));
    known.set(entry, [{ who, pageHref, isJoined, html }, ...before].slice(0, maxKnown));
    return html;
  }

  function toFrame(entries: readonly MergedEntry[], look: MergedLook, last: Above): string {
    const mark = look.search?.mark;
    const html = entries.map((entry, n) => {
      const above = aboveOf(entries, n, last);
      return mark ? toHtml(entry, look, above, mark) : toKnownHtml(entry, look, above);
    });
    return partial('#log-lines', 'beforeend', render('fragments/logs/lines', { linesHtml: html.join('') }));
  }

  return (entries, look, above) => {
    const isSame = latest?.entries === entries && latest.key === look.key && latest.above === above;
    // Those who follow the same are given a batch one right after the other.
    if (!latest || !isSame) latest = { entries, key: look.key, above, frame: toFrame(entries, look, above) };
    return latest.frame;
  };
}

const isSameWho = (a: Who | undefined, b: Who | undefined) => a === b || (a?.label === b?.label && a?.hue === b?.hue);

/** Opens the feed of one viewer's merged log: who comes joins it, who has gone leaves it, who can't be read is named. */
export function openMergedLog(
  deps: Deps,
  renderMerged: RenderMerged,
  { selection, pageHref }: { selection: LogSelection; pageHref: string },
  query: MergedQuery,
  search: LogSearch | undefined,
): OpenFeed {
  return (push: (frame: string) => void, fail: Fail, hasRoom?: HasRoom) => {
    const who = createWhoOf();
    const look: MergedLook = { whoOf: who.of, pageHref, search, key: '' };
    let failures: MergedState['failures'] = new Map();
    let shownNotes: string | undefined;
    let last = aboveFirst(query.q);
    let now = select();

    function select() {
      const found = selectMembers(deps.inventory.containers(), selection);
      who.add(found.members);
      look.key = JSON.stringify([pageHref, found.members]);
      return found;
    }

    function show(entries: readonly MergedEntry[]): void {
      push(renderMerged(entries, look, last));
      last = aboveOf(entries, entries.length, last);
    }

    function tell(state: MergedState): void {
      failures = state.failures;
      push(renderLogState(deps, state.state, true));
      tellNotes();
    }

    function tellNotes(): void {
      const html = deps.render('fragments/logs/notes', { notes: mergedNotes(now, failures) });
      if (html !== shownNotes) push(morph('log-notes', html));
      shownNotes = html;
    }

    function update(): void {
      now = select();
      follower.update(idsOf(now), (id) => deps.inventory.container(id) !== undefined);
      tellNotes();
    }

    const follower = deps.mergedLogs.follow(idsOf(now), query, guard(fail, show), guard(fail, tell), fail, hasRoom);
    const changes = createThrottle(guard(fail, update), selectMs);
    const stop = deps.inventory.onChange(changes.ask);
    return {
      snapshot: () => '',
      close() {
        stop();
        changes.stop();
        follower.close();
      },
    };
  };
}

const idsOf = ({ members }: { members: readonly { id: string }[] }) => members.map(({ id }) => id);
