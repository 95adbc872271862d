import type { Deps } from '../deps.ts';
import type { Render } from '../render.ts';
import type { OpenFeed } from '../services/live.ts';
import type { FollowQuery, LogBatch, LogLine, LogState } from '../services/logs.ts';
import { logGapModel, logLineModel, logStateModel } from '../views/models/logs.ts';
import { morph, partial } from './frames.ts';
import { guard } from './ticker.ts';

/** Makes the markup of a batch; each line is rendered once for all who look at it. */
export type RenderBatch = (batch: LogBatch, q: string) => string;

/** Creates the rendering of lines, which remembers a line's markup as long as the line itself is kept. */
export function createBatchRenderer(render: Render): RenderBatch {
  const known = new WeakMap<LogLine, string>();

  function renderLine(line: LogLine): string {
    const before = known.get(line);
    if (before !== undefined) return before;
    const html = render('fragments/logs/line', logLineModel(line));
    known.set(line, html);
    return html;
  }

  return ({ lines, gap }, q) => {
    const missing = gap ? render('fragments/logs/gap', logGapModel(gap)) : '';
    // What was searched for is marked in the line, so a search has lines of its own.
    const toHtml = q === '' ? renderLine : (line: LogLine) => render('fragments/logs/line', logLineModel(line, { q }));
    return missing + lines.map(toHtml).join('');
  };
}

/** Opens the feed of one viewer's log. Each has a place of its own in it, so nobody shares it; the stream behind is. */
export function openLog(deps: Deps, renderBatch: RenderBatch, id: string, query: FollowQuery): OpenFeed {
  const toFrame = (linesHtml: string) =>
    partial('#log-lines', 'beforeend', deps.render('fragments/logs/lines', { linesHtml }));
  return (push, fail) => {
    const follower = deps.logs.follow(
      id,
      query,
      guard(fail, (batch) => push(toFrame(renderBatch(batch, query.q ?? '')))),
      guard(fail, (state) => push(renderState(deps, state))),
    );
    return { snapshot: () => '', close: follower.close };
  };
}

/** Opens the feed of a log that is gone with its container: what was read of it stays on the page. */
export function openEndedLog(deps: Deps): OpenFeed {
  return () => ({ snapshot: () => renderState(deps, 'ended'), close() {} });
}

const renderState = (deps: Deps, state: LogState) =>
  morph('log-state', deps.render('fragments/logs/state', logStateModel(state)));
