import { isInScope } from './alert-rules.ts';
import type { Rule } from './alert-types.ts';
import { stripAnsi } from './ansi.ts';
import type { Container } from './containers.ts';
import { timelineOf } from './event-types.ts';
import { cursorBefore, parseLogTime } from './log-cursor.ts';
import type { LogBatch, Logs } from './logs.ts';
import { maskStart } from './secrets.ts';

/** Of a line that matched so many characters are kept and told. */
export const maxLineText = 500;

/** Lines that matched: how many, and the last of them, its secrets masked. */
export type LogMatch = { rule: Rule; container: Container; text: string; stream: string; count: number };

/** What the watching of logs works with. */
export type AlertLogOptions = {
  logs: Pick<Logs, 'follow'>;
  containers: () => readonly Container[];
  onMatch: (match: LogMatch) => void;
  now: () => number;
};

/** Each costs the engine a stream, and this process up to 1 MB. */
const maxFollowed = 50;
/** What a container wrote between its start and the event that told it here. */
const startMs = 5_000;

type Watch = { rule: number; container: string; isStopped: boolean; close: () => void };

/** How many logs are followed, how many are not as there are too many; the rules whose expression took too long. */
export type AlertLogStatus = { followed: number; left: number; stopped: readonly number[] };

/** The logs that rules watch. */
export type AlertLogs = ReturnType<typeof createAlertLogs>;

/**
 * Creates the watching of logs, over the followers that viewers share: from now on, over every restart, and from its start
 * where a container is new. Of the containers that rules name, 50 at most are followed.
 */
export function createAlertLogs({ logs, containers, onMatch, now }: AlertLogOptions) {
  const watches = new Map<string, Watch>();
  let current: ReadonlyMap<number, Rule> = new Map();
  let left = 0;

  function open(rule: Rule, container: Container, isStarted: boolean): Watch {
    const { watch } = rule;
    const { pattern: q, regex, matchCase, stream } = watch.kind === 'log' ? watch : nothing;
    const from = new Date(now() - startMs).toISOString();
    const since = isStarted ? cursorBefore(parseLogTime('since', from)) : undefined;
    const query = { q, regex, matchCase, stream: stream || undefined, tail: 0, since };
    const watched: Watch = { rule: rule.id, container: container.id, isStopped: false, close() {} };
    const follower = logs.follow(
      container.id,
      query,
      (batch) => take(rule.id, container, batch),
      (state) => {
        if (state === 'stopped') watched.isStopped = true;
      },
    );
    return Object.assign(watched, follower);
  }

  function take(id: number, container: Container, { lines, gap }: LogBatch) {
    const rule = current.get(id);
    const last = lines.at(-1);
    if (!rule || !last) return;
    // What came too fast to be kept matched as well.
    const count = lines.length + (gap && 'lines' in gap ? gap.lines : 0);
    onMatch({ rule, container, text: maskStart(stripAnsi(last.text), maxLineText), stream: last.stream, count });
  }

  return {
    /** Follows what the rules name, and nothing else; `started` are containers that have just begun to run. */
    watch(rules: readonly Rule[], started: ReadonlySet<string>): void {
      current = new Map(rules.map((rule) => [rule.id, rule]));
      // What it looks for is in the key: a rule that is only renamed goes on.
      const keys = new Map(rules.map((rule) => [rule, `${rule.id} ${JSON.stringify(rule.watch)}`]));
      const wanted = new Map<string, () => Watch>();
      const followed = new Set<string>();
      const refused = new Set<string>();
      for (const container of rules.length > 0 ? containers() : []) {
        const named = rules.filter((rule) =>
          isInScope(rule, { name: timelineOf(container.name), project: container.project }),
        );
        for (const rule of named) {
          const key = `${keys.get(rule)} ${container.id}`;
          // Those that have ended go on being followed: their log continues with their next start.
          if (!watches.has(key) && container.state !== 'running' && container.state !== 'paused') continue;
          if (!followed.has(container.id) && followed.size >= maxFollowed) {
            refused.add(container.id);
            continue;
          }
          followed.add(container.id);
          wanted.set(key, () => open(rule, container, started.has(container.id)));
        }
      }
      left = refused.size;
      for (const [key, { close }] of watches) {
        if (wanted.has(key)) continue;
        close();
        watches.delete(key);
      }
      for (const [key, begin] of wanted) if (!watches.has(key)) watches.set(key, begin());
    },

    status(): AlertLogStatus {
      const all = [...watches.values()];
      const followed = new Set(all.filter(({ isStopped }) => !isStopped).map(({ container }) => container)).size;
      const stopped = new Set(all.filter(({ isStopped }) => isStopped).map(({ rule }) => rule));
      return { followed, left, stopped: [...stopped] };
    },

    /** Ends every watch. */
    close(): void {
      for (const { close } of watches.values()) close();
      watches.clear();
    },
  };
}

const nothing = { pattern: '', regex: false, matchCase: false, stream: '' } as const;
