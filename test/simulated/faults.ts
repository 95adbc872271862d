import type { RequestLog } from './requests.ts';

/** Which requests a fault is for; nothing named means all. */
export interface FaultMatch {
  readonly method?: string;
  /** Tested against the path without its `/v1.NN` prefix. */
  readonly path?: RegExp;
  /** How many requests it is for; default all until it is removed. */
  readonly times?: number;
}

/** A fault that is in force. */
export interface Fault {
  remove(): void;
  [Symbol.dispose](): void;
}

/** What the faults in force make of one request. */
export interface Verdict {
  readonly delayMs: number;
  /** Resolves when nothing holds the request any more. */
  readonly hang: Promise<void> | null;
  readonly cut: boolean;
  readonly answer: { readonly status: number; readonly body: string; readonly contentType: string } | null;
}

interface Rule {
  readonly match: FaultMatch;
  left: number;
  readonly delayMs?: number;
  readonly hang?: PromiseWithResolvers<void>;
  readonly cut?: boolean;
  readonly answer?: Verdict['answer'];
}

/** Faults by request; those of the whole engine (refuse, restart) are the engine's own. */
export type Faults = ReturnType<typeof createFaults>;

/** Creates an engine without a fault. */
export function createFaults(requests: RequestLog) {
  const rules = new Set<Rule>();

  function add(rule: Omit<Rule, 'left'>, onRemove: () => void = () => {}): Fault {
    const added = { ...rule, left: rule.match.times ?? Number.POSITIVE_INFINITY };
    rules.add(added);
    const remove = () => {
      rules.delete(added);
      rule.hang?.resolve();
      onRemove();
    };
    return { remove, [Symbol.dispose]: remove };
  }

  function judge(method: string, path: string): Verdict {
    const matching = [...rules].filter((rule) => rule.left > 0 && isMatch(rule.match, method, path));
    for (const rule of matching) rule.left--;
    return {
      delayMs: matching.reduce((sum, rule) => sum + (rule.delayMs ?? 0), 0),
      hang: matching.find((rule) => rule.hang)?.hang?.promise ?? null,
      cut: matching.some((rule) => rule.cut),
      answer: matching.find((rule) => rule.answer)?.answer ?? null,
    };
  }

  /** Accepts and says nothing, on open streams too, until removed: then all goes on and late data comes. */
  function hang(match: FaultMatch = {}): Fault {
    const frozen = requests.open().filter(({ method, path }) => isMatch(match, method, path));
    for (const request of frozen) request.stream?.freeze();
    return add({ match, hang: Promise.withResolvers<void>() }, () => {
      for (const request of frozen) request.stream?.thaw();
    });
  }

  return {
    judge,
    hang,
    /** Answers late. */
    delay: (delayMs: number, match: FaultMatch = {}) => add({ match, delayMs }),
    /** Ends the answer in its middle and closes the connection; a stream right after its first chunk. */
    cut: (match: FaultMatch = {}) => add({ match, cut: true }),
    /** Answers with this instead, be it text, HTML or broken JSON. */
    status: (status: number, body: string, contentType = 'application/json', match: FaultMatch = {}) =>
      add({ match, answer: { status, body, contentType } }),
    /** Closes open streams as a dying daemon does; all, or those that match. */
    dropStreams(match: FaultMatch = {}): number {
      const dropped = requests.open().filter(({ method, path, stream }) => stream && isMatch(match, method, path));
      for (const request of dropped) request.stream?.destroy();
      return dropped.length;
    },
    /** Removes every fault by request. */
    clear() {
      for (const rule of rules) rule.hang?.resolve();
      rules.clear();
      for (const request of requests.open()) request.stream?.thaw();
    },
  };
}

function isMatch(match: FaultMatch, method: string, path: string): boolean {
  if (match.method !== undefined && match.method !== method) return false;
  return match.path?.test(path) ?? true;
}
