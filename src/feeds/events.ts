import type { Deps } from '../deps.ts';
import { type AuditEntry, ofProject } from '../services/audit.ts';
import { parseEventPlace, parseEventTime } from '../services/event-times.ts';
import type { Death, EventQuery, KeptEvent } from '../services/event-types.ts';
import type { OpenFeed } from '../services/live.ts';
import type { ViewContext } from '../views/models/context.ts';
import { type EventListModel, type EventListQuery, eventListModel, type FoundEvents } from '../views/models/events.ts';
import { morph } from './frames.ts';
import { diffLists, type ListView } from './list-diff.ts';
import { createThrottle } from './ticker.ts';

const frameMs = 500;

/**
 * The events that a query names, of one name's timeline with what is kept of its deaths. With `audited`, what the audit
 * has of that name stands between them, unless the query is for a kind of events.
 * @throws Problem `invalid` for a wrong time or place
 */
export async function findEvents(
  deps: Deps,
  query: EventListQuery,
  timeline?: string,
  audited = false,
): Promise<FoundEvents> {
  const { history } = deps;
  const { container, type, action, trouble, limit } = query;
  const since = parseEventTime('since', query.since);
  const until = parseEventTime('until', query.until);
  // One more than is shown tells whether there are older ones.
  const wanted = {
    type,
    action,
    trouble,
    since,
    until,
    before: parseEventPlace(query.before),
    limit: limit + 1,
  };
  const { events, deaths } = await (timeline === undefined
    ? history.list({ ...wanted, container }).then((found) => ({ events: found, deaths: noDeaths }))
    : history.timeline(timeline, wanted));
  const isOfAnyKind = [type, action, trouble].every((picked) => picked === '');
  const tried = timeline !== undefined && audited && isOfAnyKind ? await findTried(deps, timeline, wanted) : [];
  const all = tried.length === 0 ? events : [...events, ...tried].sort(newestFirst);
  return {
    events: all.slice(0, limit),
    deaths,
    hasOlder: all.length > limit,
    extent: await history.extent(),
    bounds: history.bounds,
  };
}

/** What was done to a container or refused, alone or with all of its project. */
async function findTried(
  { audit, inventory }: Deps,
  name: string,
  wanted: Pick<EventQuery, 'since' | 'until' | 'before' | 'limit'>,
): Promise<KeptEvent[]> {
  const project = inventory.findContainer(name)?.project;
  const containers = project ? [name, ofProject(project)] : [name];
  return (await audit.timeline({ ...wanted, containers })).map((entry) => toEvent(entry, name));
}

const toEvent = ({ id, at, actor, client, action, target, result, detail }: AuditEntry, name: string): KeptEvent => ({
  id,
  at: at * 1_000,
  type: 'audit',
  action,
  subject: target,
  name,
  timeline: name,
  former: '',
  trouble: '',
  details: { actor, client, result, message: detail },
});

/** Of the same moment, events stand before what the audit has. */
const newestFirst = (one: KeptEvent, other: KeptEvent) =>
  other.at - one.at || Number(one.type === 'audit') - Number(other.type === 'audit') || other.id - one.id;

const noDeaths: ReadonlyMap<string, Death> = new Map<string, Death>();

/** Opens the feed of a list of events with its own filters: each new one is a row, and nothing else is sent again. */
export function openEvents(deps: Deps, query: EventListQuery, context: () => ViewContext, timeline?: string): OpenFeed {
  return (push, fail) => {
    let shown: Shown | undefined;
    let isClosed = false;
    const throttle = createThrottle(() => void draw().catch(fail), frameMs);
    const audited = context().can.admin;
    const stop = deps.history.onChange(() => throttle.ask());
    const stopAudit = timeline !== undefined && audited ? deps.audit.onChange(() => throttle.ask()) : () => {};

    async function build(): Promise<Shown> {
      const found = await findEvents(deps, query, timeline, audited);
      return show(deps, eventListModel(found, query, context(), timeline));
    }

    async function draw() {
      const next = await build();
      if (isClosed) return;
      const frame = shown ? difference(shown, next) : '';
      shown = next;
      if (frame !== '') push(frame);
    }

    return {
      ready: build().then((built) => {
        shown ??= built;
      }),
      snapshot: () => (shown ? morph('events', shown.view.html()) : ''),
      close() {
        isClosed = true;
        stop();
        stopAudit();
        throttle.stop();
      },
    };
  };
}

type Shown = { view: ListView; foot: string };

function show(deps: Deps, model: EventListModel): Shown {
  const headHtml = deps.render('fragments/events/head', model);
  const html = () => deps.render('fragments/events/list', model);
  const rows = model.list.rows.map((row) => {
    const markup = deps.render('fragments/events/row', row);
    return { id: row.event.domId, html: markup, core: markup, cells: [] };
  });
  const group = { id: 'events', headId: 'events-head', headHtml, rows, html };
  return {
    view: { id: 'events', groups: rows.length > 0 ? [group] : [], html },
    foot: deps.render('fragments/events/foot', model),
  };
}

/** A list that is sent whole brings its foot along. */
function difference(before: Shown, after: Shown): string {
  const frame = diffLists(before.view, after.view);
  if (frame.includes('hx-target="#events"') || before.foot === after.foot) return frame;
  return frame + morph('events-foot', after.foot);
}
