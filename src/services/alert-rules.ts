import { Problem } from '../errors.ts';
import {
  cpuUnits,
  isAboutContainers,
  memoryUnits,
  type Rule,
  type RuleKind,
  type RuleScope,
  type RuleSettings,
  type RuleWatch,
  ruleKinds,
  ruleNames,
  type Watched,
} from './alert-types.ts';
import { createSearch } from './log-search.ts';

/** A rule as forms and scripts give it; what is left out has its default. */
export type RuleInput = {
  name?: string | undefined;
  kind?: string | undefined;
  project?: string | undefined;
  containers?: string | readonly string[] | undefined;
  channels?: readonly number[] | undefined;
  cooldownMinutes?: number | undefined;
  tellResolved?: boolean | undefined;
  forMinutes?: number | undefined;
  deaths?: number | undefined;
  withinMinutes?: number | undefined;
  bound?: number | undefined;
  unit?: string | undefined;
  pattern?: string | undefined;
  regex?: boolean | undefined;
  matchCase?: boolean | undefined;
  stream?: string | undefined;
};

const maxName = 100;
const maxPatterns = 50;
const maxMinutes = 7 * 24 * 60;
const maxPattern = 200;

/** What a rule of each kind begins with. */
export const ruleDefaults: Record<RuleKind, RuleWatch> = {
  died: { kind: 'died' },
  unhealthy: { kind: 'unhealthy', forSeconds: 60 },
  restarts: { kind: 'restarts', deaths: 3, withinSeconds: 600 },
  cpu: { kind: 'cpu', bound: 90, unit: 'core', forSeconds: 300 },
  memory: { kind: 'memory', bound: 90, unit: 'limit', forSeconds: 300 },
  disk: { kind: 'disk', bound: 90, forSeconds: 0 },
  log: { kind: 'log', pattern: '', regex: false, matchCase: false, stream: '' },
};

export const defaultCooldownSeconds = 900;

const wrong = (field: string, allowed: string) => new Problem('invalid', `${field}: ${allowed}`);

/**
 * Reads a rule.
 * @throws Problem `invalid` that names the field and what is allowed
 */
export function readRule(input: RuleInput): RuleSettings {
  const kind = ruleKinds.find((known) => known === input.kind);
  if (!kind) throw wrong('kind', `must be one of ${ruleKinds.join(', ')}.`);
  return {
    name: readName(input.name, ruleNames[kind]),
    watch: readWatch(kind, input),
    scope: isAboutContainers(kind) ? readScope(input) : { project: '', containers: [] },
    channels: [...new Set(input.channels ?? [])],
    cooldownSeconds: minutes('cooldownMinutes', input.cooldownMinutes, defaultCooldownSeconds, 1),
    tellsResolved: input.tellResolved ?? false,
  };
}

/**
 * Reads a name: one line.
 * @throws Problem `invalid`
 */
export function readName(text: string | undefined, fallback: string): string {
  const name = (text ?? '').replace(/[\p{Cc}\p{Cf}\s]+/gu, ' ').trim() || fallback;
  if (name.length > maxName) throw wrong('name', `at most ${maxName} characters.`);
  return name;
}

function readWatch(kind: RuleKind, input: RuleInput): RuleWatch {
  const initial = ruleDefaults[kind];
  const forSeconds = 'forSeconds' in initial ? minutes('forMinutes', input.forMinutes, initial.forSeconds, 0) : 0;
  switch (kind) {
    case 'died':
      return { kind };
    case 'unhealthy':
      return { kind, forSeconds };
    case 'restarts':
      return {
        kind,
        deaths: inRange('deaths', input.deaths ?? 3, 2, 100),
        withinSeconds: minutes('withinMinutes', input.withinMinutes, 600, 1, 1_440),
      };
    case 'cpu':
      return {
        kind,
        bound: inRange('bound', input.bound ?? 90, 1, 102_400),
        unit: unitOf(cpuUnits, input),
        forSeconds,
      };
    case 'memory': {
      const unit = unitOf(memoryUnits, input);
      return { kind, bound: inRange('bound', input.bound ?? 90, 1, unit === 'limit' ? 100 : 1e8), unit, forSeconds };
    }
    case 'disk':
      return { kind, bound: inRange('bound', input.bound ?? 90, 1, 99.9), forSeconds };
    case 'log':
      return readPattern(input);
  }
}

function readPattern({ pattern = '', regex = false, matchCase = false, stream = '' }: RuleInput): RuleWatch {
  if (pattern.trim() === '') throw wrong('pattern', 'must say what a line has to hold.');
  if (pattern.length > maxPattern) throw wrong('pattern', `at most ${maxPattern} characters.`);
  if (stream !== '' && stream !== 'stdout' && stream !== 'stderr') throw wrong('stream', 'must be stdout or stderr.');
  try {
    createSearch({ q: pattern, regex, matchCase });
  } catch (error) {
    throw wrong('pattern', (error as Error).message.replace(/^q: /, ''));
  }
  return { kind: 'log', pattern, regex, matchCase, stream };
}

function unitOf<T extends string>(units: readonly T[], { unit }: RuleInput): T {
  const [first] = units;
  const found = unit ? units.find((known) => known === unit) : first;
  if (!found) throw wrong('unit', `must be one of ${units.join(', ')}.`);
  return found;
}

function inRange(field: string, value: number, min: number, max: number): number {
  if (value >= min && value <= max) return value;
  throw wrong(field, `must be a number from ${min} to ${max}.`);
}

/** Minutes, which may have a fraction, as whole seconds. */
function minutes(field: string, value: number | undefined, seconds: number, min: number, max = maxMinutes): number {
  return value === undefined ? seconds : Math.round(inRange(field, value, min, max) * 60);
}

const patternText = /^[a-zA-Z0-9*][a-zA-Z0-9_.*-]*$/;

function readScope({ project = '', containers = [] }: RuleInput): RuleScope {
  const patterns = [containers]
    .flat()
    .flatMap((text) => text.split(/[\s,]+/))
    .filter(Boolean);
  if (patterns.length > maxPatterns) throw wrong('containers', `at most ${maxPatterns} names.`);
  const bad = patterns.find((pattern) => pattern.length > 255 || !patternText.test(pattern));
  if (bad !== undefined) throw wrong('containers', 'must be names of containers, with * for anything: web-*, db.');
  if (project.length > 255) throw wrong('project', 'at most 255 characters.');
  return { project: project.trim(), containers: [...new Set(patterns)] };
}

/** Whether a rule is about a container. */
export function isInScope({ scope, watch }: Pick<Rule, 'scope' | 'watch'>, { name, project }: Watched): boolean {
  if (!isAboutContainers(watch.kind)) return false;
  if (scope.project !== '' && scope.project !== project) return false;
  return scope.containers.length === 0 || scope.containers.some((pattern) => isLike(name, pattern));
}

/** Whether a name is like a pattern, in time that grows with both lengths only. */
function isLike(name: string, pattern: string): boolean {
  const [first = '', ...rest] = pattern.split('*');
  const last = rest.pop();
  if (last === undefined) return name === pattern;
  if (!name.startsWith(first) || !name.endsWith(last)) return false;
  let at = first.length;
  const end = name.length - last.length;
  for (const part of rest) {
    const found = name.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return at <= end;
}
