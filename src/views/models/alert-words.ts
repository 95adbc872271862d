import type { AlertWords } from '../../services/alert-channels.ts';
import type { AlertFacts, AlertItem, AlertNotice, Rule } from '../../services/alert-types.ts';
import { maskText, toText } from '../../services/secrets.ts';
import { bytes, count, dateTime, duration, iso, percent, plural } from '../format.ts';
import { timelineHref } from './events.ts';
import { exitWords } from './states.ts';

const maxTitle = 150;
const maxLine = 500;

/** Foreign text on one line, cut, with what looks like a secret masked: it goes to other machines, and into headers. */
function safe(text: string, most = maxLine): string {
  const line = toText(maskText(text.replace(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]+/gu, ' '))).trim();
  return line.length > most ? `${line.slice(0, most - 1)}…` : line;
}

const length = (seconds: number) => duration(seconds * 1_000);
const during = (seconds: number) => (seconds > 0 ? ` for ${length(seconds)}` : '');

/** What a rule watches, in a sentence that goes behind the names of containers. */
export function watchWords({ watch }: Pick<Rule, 'watch'>): string {
  switch (watch.kind) {
    case 'died':
      return 'dies by itself with a code other than 0, or out of memory';
    case 'unhealthy':
      return `is unhealthy${during(watch.forSeconds)}`;
    case 'restarts':
      return `dies ${count(watch.deaths)} times within ${length(watch.withinSeconds)}`;
    case 'cpu':
      return `uses more than ${watch.bound}% of ${cpuOf[watch.unit]}${during(watch.forSeconds)}`;
    case 'memory':
      return `uses more than ${memoryBound(watch)}${during(watch.forSeconds)}`;
    case 'disk':
      return `is more than ${watch.bound}% full${during(watch.forSeconds)}`;
    case 'log':
      return `writes a line ${watch.stream && `to ${watch.stream} `}${watch.regex ? 'that matches' : 'with'} “${watch.pattern}”`;
  }
}

/** Whom a rule is about. */
export function scopeWords({ watch, scope }: Pick<Rule, 'watch' | 'scope'>): string {
  if (watch.kind === 'disk') return 'The disk of the data folder';
  const names = scope.containers.join(', ');
  if (scope.project === '') return names ? `A container like ${names}` : 'Any container';
  return names ? `A container of project ${scope.project} like ${names}` : `A container of project ${scope.project}`;
}

const cpuOf = { core: 'one core', limit: 'its CPU limit', machine: 'the machine’s CPU' };

const memoryBound = ({ bound, unit }: { bound: number; unit: 'limit' | 'megabytes' }) =>
  unit === 'limit' ? `${bound}% of its memory limit` : `${count(bound)} MB of memory`;

/** What was found, in a sentence that begins with whom it was found of. */
export function factWords(name: string, facts: AlertFacts, times = 1): string {
  const who = safe(name, maxTitle) || 'The disk of the data folder';
  const often = times > 1 ? ` ${plural(times, 'time')} since it was last told.` : '';
  switch (facts.kind) {
    case 'died': {
      const code = facts.exitCode ?? 'unknown';
      const meaning = facts.exitCode === null ? '' : ` ${exitWords(facts.exitCode, facts.oom, '')}`;
      return `${who} ended with code ${code}.${meaning}${often && ` It died${often}`}`;
    }
    case 'unhealthy':
      return `${who} is unhealthy: its health check fails${during(facts.forSeconds)}.`;
    case 'restarts':
      return `${who} died ${plural(facts.deaths, 'time')} within ${length(facts.withinSeconds)}, last with code ${facts.exitCode ?? 'unknown'}.`;
    case 'cpu':
      return `${who} uses ${percent(facts.percent)} of ${cpuOf[facts.unit]}: more than ${facts.bound}%${during(facts.forSeconds)}.`;
    case 'memory': {
      const limit = facts.limitBytes === null ? '' : ` of ${bytes(facts.limitBytes)}`;
      return `${who} uses ${bytes(facts.bytes)}${limit} of memory: more than ${memoryBound(facts)}${during(facts.forSeconds)}.`;
    }
    case 'disk':
      return `${who} is ${percent(facts.usedPercent)} full, more than ${facts.bound}%: ${bytes(facts.freeBytes)} are free.`;
    case 'log':
      return `${who} wrote: ${safe(facts.text)}${often && ` Such lines came${often}`}`;
  }
}

/** That it is over, and how often it happened without being told. */
function endWords(name: string, facts: AlertFacts | null, end: AlertItem['end'], times: number): string {
  const over = overWords(name, facts, end);
  return times > 0 ? `${over} Before that it happened ${plural(times, 'more time')}.` : over;
}

function overWords(name: string, facts: AlertFacts | null, end: AlertItem['end']): string {
  const who = safe(name, maxTitle) || 'The disk of the data folder';
  if (end === 'gone') return `${who} was removed.`;
  switch (facts?.kind) {
    case 'died':
      return `${who} runs again.`;
    case 'unhealthy':
      return `${who} is no longer unhealthy.`;
    case 'restarts':
      return `${who} has not died for ${length(facts.withinSeconds)}.`;
    case 'log':
      return `${who} writes no such lines any more.`;
    case 'cpu':
    case 'memory':
      return `${who} is no longer over its bound, or does not run.`;
    default:
      return `${who} is no longer over its bound.`;
  }
}

const testText = 'This is a test: nothing has happened. What does happen will be told here.';

const itemWords = ({ what }: AlertNotice, { subject, facts, end, count: times }: AlertItem) =>
  what === 'resolved' || !facts ? endWords(subject.name, facts, end, times) : factWords(subject.name, facts, times);

function titleOf(notice: AlertNotice): string {
  const { what, items, more, rule } = notice;
  const name = safe(rule.name, 100);
  if (what === 'test') return rule.kind === null ? 'Test from Fairlead' : `Test of the alert rule ${name}`;
  const [first] = items;
  const begin = what === 'firing' ? 'Alert' : 'Over';
  const all = items.length + more;
  if (!first || all > 1) return `${begin}: ${name}: ${plural(all, 'container')}`;
  return safe(`${begin}: ${itemWords(notice, first).split(/(?<=\.)\s/)[0] ?? name}`, maxTitle);
}

function whereOf({ project, service, image }: AlertItem['subject']): string {
  const parts = [project && `project ${project}`, service && `service ${service}`, image && `image ${image}`];
  return safe(parts.filter(Boolean).join(', '));
}

function itemText(notice: AlertNotice, item: AlertItem, link: string): string {
  const lines = item.lines.map((line) => `  ${safe(line)}`);
  const parts = [
    itemWords(notice, item),
    whereOf(item.subject),
    dateTime(item.at),
    link,
    ...(lines.length > 0 ? ['Its last log lines:', ...lines] : []),
  ];
  return parts.filter(Boolean).join('\n');
}

/** A notification in words and as data; links need the address that people reach these pages under. */
export function noticeWords(notice: AlertNotice, id: number, publicUrl: string): AlertWords {
  const { what, rule, items, more } = notice;
  // Of a sample's container there is no page.
  const linkOf = ({ name }: AlertItem['subject']) => {
    if (publicUrl === '') return '';
    return name === '' || what === 'test' ? `${publicUrl}/alerts` : timelineHref(name, publicUrl);
  };
  const title = titleOf(notice);
  const paragraphs = items.map((item) => itemText(notice, item, linkOf(item.subject)));
  if (what === 'test') paragraphs.unshift(testText);
  if (more > 0) paragraphs.push(`… and ${count(more)} more.`);
  if (rule.kind !== null) paragraphs.push(`Rule: ${safe(rule.name)}`);
  const [only] = items;
  const link = only && items.length === 1 ? linkOf(only.subject) : publicUrl && `${publicUrl}/alerts`;
  const text = paragraphs.join('\n\n');
  const json = {
    id,
    event: what,
    at: iso(notice.at),
    rule: { ...rule, name: safe(rule.name) },
    title,
    text,
    url: link || null,
    alerts: items.map((item) => ({ ...toData(notice, item), url: linkOf(item.subject) || null })),
    more,
  };
  return { title, text, link, json };
}

function toData(notice: AlertNotice, item: AlertItem) {
  const { subject, at, since, count: times, lines } = item;
  return {
    container: subject.name || null,
    containerId: subject.id || null,
    project: subject.project || null,
    service: subject.service || null,
    image: subject.image || null,
    since: iso(since),
    at: iso(at),
    count: times,
    text: itemWords(notice, item),
    ...factData(item.facts),
    lastLines: lines.map((line) => safe(line)),
  };
}

/** The figures alone: what the rule was is said in the rule. */
function factData(facts: AlertFacts | null): Record<string, unknown> {
  switch (facts?.kind) {
    case 'died':
      return { exitCode: facts.exitCode, oomKilled: facts.oom };
    case 'restarts':
      return { deaths: facts.deaths, exitCode: facts.exitCode };
    case 'cpu':
      return { percent: facts.percent, bound: facts.bound, unit: facts.unit };
    case 'memory':
      return { memoryBytes: facts.bytes, memoryLimitBytes: facts.limitBytes, bound: facts.bound, unit: facts.unit };
    case 'disk':
      return { usedPercent: facts.usedPercent, freeBytes: facts.freeBytes, bound: facts.bound };
    case 'log':
      return { line: safe(facts.text), stream: facts.stream };
    default:
      return {};
  }
}
