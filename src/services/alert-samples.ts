import type { AlertFacts, AlertItem, Rule } from './alert-types.ts';

const image = 'example:latest';
const subject = { name: 'example', id: '', image, project: '', service: '' };
const machine = { name: '', id: '', image: '', project: '', service: '' };

/** What a rule would tell if it fired at a moment (ms since 1970), of a container that there is not. */
export function sampleOf({ watch }: Pick<Rule, 'watch'>, at: number): AlertItem {
  const item = { at, since: at, count: 1, end: '', lines: [] } as const;
  return { ...item, lines: [], subject: watch.kind === 'disk' ? machine : subject, facts: sampleFacts(watch) };
}

function sampleFacts(watch: Rule['watch']): AlertFacts {
  switch (watch.kind) {
    case 'died':
      return { kind: 'died', exitCode: 1, oom: false };
    case 'restarts':
      return { ...watch, exitCode: 1 };
    case 'cpu':
      return { ...watch, percent: watch.bound + 1 };
    case 'memory':
      return watch.unit === 'limit'
        ? { ...watch, bytes: (watch.bound + 1) * 1e6, limitBytes: 100e6 }
        : { ...watch, bytes: (watch.bound + 1) * 1e6, limitBytes: null };
    case 'disk':
      return { kind: 'disk', bound: watch.bound, usedPercent: Math.min(watch.bound + 1, 100), freeBytes: 1e9 };
    case 'log':
      return { kind: 'log', text: watch.pattern, stream: watch.stream || 'stdout', pattern: watch.pattern };
    default:
      return watch;
  }
}
