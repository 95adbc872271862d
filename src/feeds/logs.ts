import type { Deps } from '../deps.ts';
import type { Render } from '../render.ts';
import type { OpenFeed } from '../services/live.ts';
import type { LogSearch, Mark } from '../services/log-search.ts';
import type { FollowQuery, LogBatch, LogLine, LogState } from '../services/logs.ts';
import {
  aboveFirst,
  aboveOf,
  isContinued,
  type LineOptions,
  logGapModel,
  logLineModel,
  logStateModel,
} from '../views/models/logs.ts';
import { morph, partial, toFlat } from './frames.ts';
import { guard } from './ticker.ts';

/**
 * Makes the markup of a batch, with marks where a search found something; each line is rendered once for all. `above` is
 * the line that the viewer has last.
 */
export type RenderBatch = (batch: LogBatch, search: LogSearch | undefined, above: LineOptions['above']) => string;

/** Creates the rendering of lines under a base path, which remembers a line's markup as long as the line itself is kept. */
export function createBatchRenderer(render: Render, base: string): RenderBatch {
  const known = new WeakMap<LogLine, { isJoined: boolean; html: string }>();

  function toHtml(line: LogLine, above: LineOptions['above'], mark?: Mark): string {
    return render('fragments/logs/line', logLineModel(line, { base, mark, above }));
  }

  function toKnownHtml(line: LogLine, above: LineOptions['above']): string {
    const isJoined = isContinued(line, above);
    const before = known.get(line);
    if (before?.isJoined === isJoined) return before.html;
    const html = toFlat(toHtml(line, above));
    known.set(line, { isJoined, html });
    return html;
  }

  return ({ lines, gap }, search, last) => {
    const missing = gap ? render('fragments/logs/gap', logGapModel(gap)) : '';
    // What was searched for is marked in the line, so a search has lines of its own.
    const mark = search?.mark;
    const html = lines.map((line, n) => {
      const above = aboveOf(lines, n, gap ? null : last);
      return mark ? toHtml(line, above, mark) : toKnownHtml(line, above);
    });
    return missing + html.join('');
  };
}

/** Opens the feed of one viewer's log. Each has a place of its own in it, so nobody shares it; the stream behind is. */
export function openLog(
  deps: Deps,
  renderBatch: RenderBatch,
  id: string,
  query: FollowQuery,
  search: LogSearch | undefined,
): OpenFeed {
  const toFrame = (linesHtml: string) =>
    partial('#log-lines', 'beforeend', deps.render('fragments/logs/lines', { linesHtml }));
  return (push, fail, hasRoom) => {
    let last = aboveFirst(query.q);
    const show = (batch: LogBatch) => {
      push(toFrame(renderBatch(batch, search, last)));
      last = batch.lines.at(-1) ?? last;
    };
    const follower = deps.logs.follow(
      id,
      query,
      guard(fail, show),
      guard(fail, (state, reason) => push(renderLogState(deps, state, false, reason?.message))),
      hasRoom,
    );
    return { snapshot: () => '', close: follower.close };
  };
}

/** Opens the feed of a log that is gone with its container: what was read of it stays on the page. */
export function openEndedLog(deps: Deps): OpenFeed {
  return () => ({ snapshot: () => renderLogState(deps, 'ended'), close() {} });
}

/** How the following of a log does, or of the log of several containers, as a frame. */
export const renderLogState = (deps: Deps, state: LogState, isMerged = false, reason = '') =>
  morph('log-state', deps.render('fragments/logs/state', logStateModel(state, isMerged, reason)));
