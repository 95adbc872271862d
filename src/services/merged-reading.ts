import { setTimeout as sleep } from 'node:timers/promises';
import { isProblem } from '../errors.ts';
import { type LogFilter, type LogLine, maxHeldText, maxLines } from './log-lines.ts';
import type { Places } from './merged-cursor.ts';
import type { MergedLogs, MergedState } from './merged-logs.ts';

/** Whose logs are read on: the containers as they are now, and how to hear of changes. */
export type MergedSource = {
  ids(): readonly string[];
  isThere(id: string): boolean;
  /** Calls back at each change; returns how to stop that. */
  onChange(listener: () => void): () => void;
};

/** What is read on: the newest `tail` lines, or all behind some places, then every new one. */
export type ReadingOn = LogFilter & { tail: number; places?: Places | undefined };

/** Who can't keep up with what is new reads what was missed at its own pace, and tries again after so many ms. */
const retryMs = 1_000;
const maxRead = 1_000;

/**
 * Reads several logs as one without end, every line once, at the pace of who reads: as they come, over the shared
 * followers; where more comes than is taken, or lines had to be left out, what was missed is read from the engine with
 * constant memory. Who comes joins. `onOpen` is told the first state that is known, which may be long before a line.
 */
export async function* readOn(
  merged: Pick<MergedLogs, 'follow' | 'lines'>,
  source: MergedSource,
  { tail, places, ...filter }: ReadingOn,
  signal: AbortSignal,
  onOpen: (state: MergedState) => void,
): AsyncGenerator<LogLine> {
  const read = new Map<string, string>();
  let begun = places;

  /** Where each log goes on behind what was handed on; not known before the first state is. */
  function reached(): Places | undefined {
    if (!begun) return undefined;
    const { of, latest } = begun;
    return { of: (id) => read.get(id) ?? of(id), latest };
  }

  function note(line: LogLine): LogLine {
    read.set(line.container, line.cursor);
    if (read.size > maxRead) for (const id of read.keys()) if (!source.isThere(id)) read.delete(id);
    return line;
  }

  while (!signal.aborted) {
    const live = openLive(merged, source, { ...filter, tail, places: reached() }, onOpen);
    const stop = () => live.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for await (const lines of live.batches()) for (const line of lines) yield note(line);
    } finally {
      signal.removeEventListener('abort', stop);
      live.close();
    }
    if (signal.aborted) return;
    begun ??= live.begun();
    await sleep(retryMs, undefined, { signal }).catch(() => {});
    const behind = reached();
    if (!behind) continue;
    try {
      const missed = merged.lines(source.ids(), { ...filter, places: behind }, signal, () => {});
      for await (const line of missed) yield note(line);
    } catch (error) {
      // What breaks off is tried again with all the others.
      if (!isProblem(error) || error.code === 'invalid') throw error;
    }
  }
}

/** Follows until more waits than may be held, or lines are left out; then what still waits is the last. */
function openLive(
  merged: Pick<MergedLogs, 'follow'>,
  source: MergedSource,
  query: ReadingOn,
  onOpen: (state: MergedState) => void,
) {
  let waiting: LogLine[] = [];
  let text = 0;
  let isOver = false;
  let failure: { error: unknown } | undefined;
  let wake = Promise.withResolvers<void>();

  function end(): void {
    isOver = true;
    follower.close();
    stop();
    wake.resolve();
  }

  const follower = merged.follow(
    source.ids(),
    query,
    (entries) => {
      for (const entry of entries) {
        if (isOver) return;
        if (!('cursor' in entry) || waiting.length >= maxLines || text > maxHeldText) return end();
        waiting.push(entry);
        text += entry.text.length;
      }
      wake.resolve();
    },
    onOpen,
    (error) => {
      failure = { error };
      end();
    },
  );
  const stop = source.onChange(() => {
    if (!isOver) follower.update(source.ids(), source.isThere);
  });

  return {
    close: end,
    begun: follower.begun,
    async *batches(): AsyncGenerator<LogLine[]> {
      for (;;) {
        const lines = waiting;
        waiting = [];
        text = 0;
        if (lines.length > 0) yield lines;
        if (waiting.length > 0) continue;
        if (failure) throw failure.error;
        if (isOver) return;
        await wake.promise;
        wake = Promise.withResolvers();
      }
    },
  };
}
