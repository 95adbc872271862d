import type { RecordedRequest, RequestLog } from './requests.ts';

/** Which requests a fault is for; nothing named means all. */
export interface FaultMatch {
  readonly method?: string;
  /** Tested against the path without its `/v1.NN` prefix. */
  readonly path?: RegExp;
  /** Only those that may change something: all but GET and HEAD. */
  readonly isWrite?: boolean;
  /** How many matching requests pass before it begins; default 0. With 2 it hits the third. */
  readonly skip?: number;
  /** How many requests it is for; default all until it is removed. */
  readonly times?: number;
}

/** A fault that is in force. */
export interface Fault {
  remove(): void;
  [Symbol.dispose](): void;
}

/** What a test does at one moment of a request, such as to kill its client; the request waits for it. */
export type FaultHook = (request: RecordedRequest) => void | Promise<void>;

/** When a hook is called: before the request takes effect, or after that and before its answer is sent. */
export interface HookTime {
  readonly when: 'before' | 'after';
}

/** What the faults in force make of one request. */
export interface Verdict {
  /** The connection is closed and nothing is done. */
  readonly isDropped: boolean;
  readonly delayMs: number;
  /** Resolves when nothing holds the request any more. */
  readonly hang: Promise<void> | null;
  readonly cut: boolean;
  /** Called one after the other; a client that is gone after them gets no effect. */
  readonly before: readonly FaultHook[];
  readonly after: readonly FaultHook[];
  /** Resolves when the answer may be sent. */
  readonly mute: Promise<void> | null;
  readonly answer: { readonly status: number; readonly body: string; readonly contentType: string } | null;
  /** What it waits for after its client has left, until it takes effect; null where nothing waits for that. */
  readonly late: Lateness | null;
}

/** So many ms, or until a promise is kept. */
export type Lateness = number | Promise<unknown>;

interface Rule {
  readonly match: FaultMatch;
  toSkip: number;
  left: number;
  readonly isDropped?: boolean;
  /** Whether it is of what stands in front of the engine: only such rules meet probes. */
  readonly isInFront?: boolean;
  readonly delayMs?: number;
  readonly hang?: PromiseWithResolvers<void>;
  readonly mute?: PromiseWithResolvers<void>;
  readonly before?: FaultHook;
  readonly after?: FaultHook;
  readonly cut?: boolean;
  readonly answer?: Verdict['answer'];
  readonly late?: Lateness;
}

/** Faults by request; those of the whole engine (refuse, restart) are the engine's own. */
export type Faults = ReturnType<typeof createFaults>;

/** Creates an engine without a fault. */
export function createFaults(requests: RequestLog) {
  const rules = new Set<Rule>();

  function add(rule: Omit<Rule, 'toSkip' | 'left'>, onRemove: () => void = () => {}): Fault {
    const { skip = 0, times = Number.POSITIVE_INFINITY } = rule.match;
    const added = { ...rule, toSkip: skip, left: times };
    rules.add(added);
    const remove = () => {
      rules.delete(added);
      release(rule);
      onRemove();
    };
    return { remove, [Symbol.dispose]: remove };
  }

  function judge(method: string, path: string, isProbe = false): Verdict {
    const meets = (rule: Rule) => (rule.isInFront || !isProbe) && isMatch(rule.match, method, path);
    const matching = [...rules].filter((rule) => meets(rule) && takes(rule));
    return {
      isDropped: matching.some((rule) => rule.isDropped),
      delayMs: matching.reduce((sum, rule) => sum + (rule.delayMs ?? 0), 0),
      hang: matching.find((rule) => rule.hang)?.hang?.promise ?? null,
      cut: matching.some((rule) => rule.cut),
      before: matching.flatMap((rule) => rule.before ?? []),
      after: matching.flatMap((rule) => rule.after ?? []),
      mute: matching.find((rule) => rule.mute)?.mute?.promise ?? null,
      answer: matching.find((rule) => rule.answer)?.answer ?? null,
      late: matching.find((rule) => rule.late !== undefined)?.late ?? null,
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
    /** Closes the connection and does nothing. */
    drop: (match: FaultMatch = {}) => add({ match, isDropped: true }),
    /** Does what was asked and keeps the answer back until removed. */
    mute: (match: FaultMatch = {}) => add({ match, mute: Promise.withResolvers<void>() }),
    /**
     * Says nothing, and does what was asked some time after its client has given up and left: a call that real engines
     * were in the middle of. What goes on in its answer, such as a pull, ends with its client as ever.
     */
    late: (late: Lateness, match: FaultMatch = {}) => add({ match, late }),
    /**
     * Calls and awaits a function at one moment of the request: the very point at which a test may end its client.
     * Where it does so before the effect, there is none when the client was seen to go (`closedAt`) before it returned.
     * A pull takes effect before its last two messages.
     */
    hook: (match: FaultMatch, { when }: HookTime, call: FaultHook) => add({ match, [when]: call }),
    /**
     * Does what was asked, ends the answer in its middle and closes the connection; one without a body before its head, a
     * stream right after its first chunk.
     */
    cut: (match: FaultMatch = {}) => add({ match, cut: true }),
    /** Answers with this instead, be it text, HTML or broken JSON. */
    status: (status: number, body: string, contentType = 'application/json', match: FaultMatch = {}) =>
      add({ match, answer: { status, body, contentType } }),
    /**
     * Refuses as a socket proxy does that stands in front of the engine, by an answer or by hanging up; probes too, which
     * no other fault meets.
     */
    refuses: (match: FaultMatch = { isWrite: true }, by: 'status' | 'hanging up' = 'status') =>
      add({ match, isInFront: true, ...(by === 'status' ? { answer: proxyRefusal } : { isDropped: true }) }),
    /** Closes open streams as a dying daemon does; all, or those that match. */
    dropStreams(match: FaultMatch = {}): number {
      const dropped = requests.open().filter(({ method, path, stream }) => stream && isMatch(match, method, path));
      for (const request of dropped) request.stream?.destroy();
      return dropped.length;
    },
    /** Removes every fault by request. */
    clear() {
      for (const rule of rules) release(rule);
      rules.clear();
      for (const request of requests.open()) request.stream?.thaw();
    },
  };
}

const proxyRefusal = {
  status: 403,
  body: '<html><body><h1>403 Forbidden</h1>\nRequest forbidden by administrative rules.\n</body></html>\n',
  contentType: 'text/html',
};

/** Is the rule for this matching request? It counts: first those to skip, then those it is for. */
function takes(rule: Rule): boolean {
  if (rule.toSkip > 0) {
    rule.toSkip--;
    return false;
  }
  if (rule.left <= 0) return false;
  rule.left--;
  return true;
}

function release(rule: Pick<Rule, 'hang' | 'mute'>): void {
  rule.hang?.resolve();
  rule.mute?.resolve();
}

function isMatch(match: FaultMatch, method: string, path: string): boolean {
  if (match.method !== undefined && match.method !== method) return false;
  if (match.isWrite && ['GET', 'HEAD'].includes(method)) return false;
  return match.path?.test(path) ?? true;
}
