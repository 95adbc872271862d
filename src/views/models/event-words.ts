import type { EventDetails, KeptEvent } from '../../services/event-types.ts';
import { maskText, toText } from '../../services/secrets.ts';
import { bytes, count, dateTime, duration, percent, shortId } from '../format.ts';
import { exitWords } from './states.ts';

/** A shape, a tone, and what is said of an event: a title, a code behind it, and sentences. */
export type EventWords = { symbol: string; tone: string; title: string; code: string; notes: string[] };

const signalNames: Record<string, string> = { 1: 'SIGHUP', 2: 'SIGINT', 3: 'SIGQUIT', 9: 'SIGKILL', 15: 'SIGTERM' };
const signalName = (signal: string) => signalNames[signal] ?? (/^\d+$/.test(signal) ? `signal ${signal}` : signal);

const imageWords: Record<string, string> = {
  pull: 'Image pulled',
  push: 'Image pushed',
  tag: 'Image tagged',
  untag: 'Tag of an image removed',
  delete: 'Image removed',
  import: 'Image imported',
  load: 'Image loaded',
  save: 'Image saved',
  build: 'Image built',
  prune: 'Unused images removed',
};

const networkWords: Record<string, string> = {
  create: 'Network created',
  destroy: 'Network removed',
  update: 'Network changed',
  prune: 'Unused networks removed',
};

const volumeWords: Record<string, string> = {
  create: 'Volume created',
  destroy: 'Volume removed',
  prune: 'Unused volumes removed',
};

const actionWords: Record<string, readonly [done: string, failed: string]> = {
  start: ['Started', 'Start'],
  stop: ['Stopped', 'Stop'],
  restart: ['Restarted', 'Restart'],
  pause: ['Paused', 'Pause'],
  unpause: ['Resumed', 'Resume'],
  kill: ['Killed', 'Kill'],
  remove: ['Removed', 'Removal'],
};

const operationWords: Record<string, string> = {
  pull: 'Pull of',
  update_check: 'Check for updates of',
  image_prune: 'Removal of',
  rebuild: 'Rebuild of',
  project_start: 'Start of all of',
  project_stop: 'Stop of all of',
  project_restart: 'Restart of all of',
  project_rebuild: 'Rebuild of all of',
};

type Words = Omit<EventWords, 'code' | 'notes'> & { code?: string; notes?: (string | false | undefined)[] };

/** What is said of an event, in words instead of codes. */
export function eventWords(event: KeptEvent): EventWords {
  const words = wordsOf(event);
  const notes = (words.notes ?? []).filter((note) => typeof note === 'string' && note !== '');
  return { code: '', ...words, notes: notes as string[] };
}

function wordsOf(event: KeptEvent): Words {
  const { type, action, details } = event;
  switch (type) {
    case 'container':
      return containerWords(event);
    case 'action':
      return deedWords(action, details);
    case 'operation':
      return operationWordsOf(event);
    case 'alert':
      return alertWords(event);
    case 'gap':
      return gapWords(event);
    case 'audit':
      return auditWords(event);
    case 'image':
      return plain(imageWords[action] ?? `Image: ${action}`);
    case 'network':
      return networkWordsOf(event);
    case 'volume':
      return plain(volumeWords[action] ?? `Volume: ${action}`);
    default:
      return plain('The engine read its settings anew');
  }
}

const plain = (title: string): Words => ({ symbol: 's-created', tone: 'tone-off', title });

function networkWordsOf({ action, name }: KeptEvent): Words {
  if (action === 'connect') return { ...plain('Connected to network'), code: name };
  if (action === 'disconnect') return { ...plain('Disconnected from network'), code: name };
  return plain(networkWords[action] ?? `Network: ${action}`);
}

function containerWords({ action, former, name, details }: KeptEvent): Words {
  switch (action) {
    case 'create':
      return {
        symbol: 's-created',
        tone: 'tone-new',
        title: 'Created from',
        code: details.image || 'an image without a name',
        notes: [imageChange(details), here(details)],
      };
    case 'start':
      return { symbol: 's-started', tone: 'tone-ok', title: 'Started', notes: [again(details), here(details)] };
    case 'restart':
      return { symbol: 's-restarting', tone: 'tone-ok', title: 'Restarted', notes: [here(details)] };
    case 'stop':
      return { symbol: 's-exited', tone: 'tone-off', title: 'Stopped', notes: [here(details)] };
    case 'die':
      return deathWords(details);
    case 'oom':
      return {
        symbol: 's-oom',
        tone: 'tone-bad',
        title: 'Out of memory',
        notes: ['It needed more memory than it may have; the kernel ended one of its processes.'],
      };
    case 'kill':
      return {
        symbol: 's-exited',
        tone: 'tone-off',
        title: 'Was sent',
        code: signalName(details.signal ?? 'a signal'),
        notes: [here(details) ?? 'From outside of Fairlead.'],
      };
    case 'pause':
      return { symbol: 's-paused', tone: 'tone-hold', title: 'Paused', notes: [here(details)] };
    case 'unpause':
      return { symbol: 's-started', tone: 'tone-ok', title: 'Resumed', notes: [here(details)] };
    case 'rename':
      return {
        symbol: 's-created',
        tone: 'tone-new',
        title: 'Renamed to',
        code: name,
        notes: [former !== '' && `Its name was ${former}.`, here(details)],
      };
    case 'health_status':
      return healthWords(details.health ?? '');
    case 'destroy':
      return { symbol: 's-exited', tone: 'tone-off', title: 'Removed', notes: [here(details)] };
    case 'update':
      return { ...plain('Its limits were changed'), notes: [here(details)] };
    case 'commit':
      return plain('An image was made of it');
    case 'prune':
      return plain('Stopped containers removed');
    default:
      return plain(action);
  }
}

const resultWords: Record<string, readonly [tone: string, words: string]> = {
  done: ['tone-new', 'It was done'],
  refused: ['tone-warn', 'It was refused'],
  failed: ['tone-bad', 'It failed'],
};

/** What somebody asked for here, as the audit has it. */
function auditWords({ action, subject, details: { actor, client, result = '', message } }: KeptEvent): Words {
  const wanted = (action.endsWith('/:action') ? subject.split(' ') : action.split('/')).at(-1) ?? action;
  const [tone, words] = resultWords[result] ?? ['tone-off', result];
  return {
    symbol: result === 'done' ? 's-user' : 's-failed',
    tone,
    title: 'Asked for',
    code: action.startsWith('GET ') ? action : wanted,
    notes: [
      `${actor === client ? 'From' : `By ${actor || 'somebody who has not signed in'}, from`} ${client}.`,
      `${words} (${message}).`,
    ],
  };
}

function healthWords(health: string): Words {
  if (health === 'healthy') return { symbol: 's-running', tone: 'tone-ok', title: 'Healthy' };
  if (health === 'unhealthy') {
    return { symbol: 's-unhealthy', tone: 'tone-bad', title: 'Unhealthy', notes: ['Its health check fails.'] };
  }
  return { symbol: 's-running', tone: 'tone-warn', title: `Health: ${health}` };
}

function deathWords(details: EventDetails): Words {
  const { exitCode, oom = false } = details;
  const isBad = oom || (!hasCause(details) && exitCode !== 0 && exitCode !== 143);
  return {
    symbol: oom ? 's-oom' : isBad ? 's-failed' : 's-exited',
    tone: isBad ? 'tone-bad' : 'tone-off',
    title: 'Ended with code',
    code: String(exitCode ?? 'unknown'),
    notes: [exitCode !== undefined && codeWords(exitCode, oom, hasCause(details)), causeOf(details)],
  };
}

const hasCause = ({ doing, killedBy }: EventDetails) => doing !== undefined || killedBy !== undefined;

/** What the code means; one who was asked to end, and did so without an error, did not do it by itself. */
const codeWords = (code: number, oom: boolean, wasAsked: boolean) =>
  code === 0 && wasAsked ? 'Ended without an error.' : exitWords(code, oom, '');

function causeOf(details: EventDetails): string {
  const { killedBy, oom } = details;
  const hereText = here(details);
  if (hereText !== undefined) return hereText;
  if (killedBy !== undefined) return `Before that it was sent ${signalName(killedBy)} from outside of Fairlead.`;
  return oom ? 'Nobody here asked for that.' : 'Nobody here asked for that: it died by itself.';
}

const doings: Record<string, string> = {
  start: 'Started',
  stop: 'Stopped',
  restart: 'Restarted',
  pause: 'Paused',
  unpause: 'Resumed',
  kill: 'Killed',
  remove: 'Removed',
  rebuild: 'Rebuilt',
  project_start: 'Started with all of its project',
  project_stop: 'Stopped with all of its project',
  project_restart: 'Restarted with all of its project',
  project_rebuild: 'Rebuilt with all of its project',
};

function here({ doing, actor }: EventDetails): string | undefined {
  return doing === undefined ? undefined : `${doings[doing] ?? doing} by ${actor} here.`;
}

const again = ({ took }: EventDetails) => took !== undefined && `${duration(took)} after it had ended.`;

function imageChange({ image, imageId, imageBefore }: EventDetails): string | undefined {
  if (!imageBefore) return undefined;
  if (imageBefore.image !== image) return `The image changed: the container before was made of ${imageBefore.image}.`;
  const ids = `${shortId(imageBefore.imageId ?? '')} before, ${shortId(imageId ?? '')} now`;
  return `The image under that name changed: ${ids}.`;
}

function deedWords(action: string, { actor, state, message }: EventDetails): Words {
  const [done, failed] = actionWords[action] ?? [action, action];
  const isFailed = state === 'failed';
  return {
    symbol: isFailed ? 's-failed' : 's-user',
    tone: isFailed ? 'tone-bad' : 'tone-new',
    title: isFailed ? `${failed} failed, asked for by` : `${done} here by`,
    code: actor ?? '',
    notes: [message && toText(maskText(message))],
  };
}

function operationWordsOf({ action, name, details }: KeptEvent): Words {
  const { state, actor, message, took } = details;
  const look = { running: 'tone-new', done: 'tone-ok', failed: 'tone-bad' }[state ?? 'done'];
  const how = { running: 'begun', done: 'done', failed: 'failed' }[state ?? 'done'];
  return {
    symbol: state === 'failed' ? 's-failed' : 's-user',
    tone: look,
    title: `${operationWords[action] ?? action} ${name}: ${how}, asked for by`,
    code: actor ?? '',
    notes: [message && toText(maskText(message)), took !== undefined && `It took ${duration(took)}.`],
  };
}

function alertWords({ action, details }: KeptEvent): Words {
  const isOver = action === 'resolved';
  return {
    symbol: isOver ? 's-running' : 's-unhealthy',
    tone: isOver ? 'tone-ok' : 'tone-bad',
    title: isOver ? 'Alert over:' : 'Alert:',
    code: details.message ?? '',
  };
}

function gapWords({ at, details }: KeptEvent): Words {
  const between = `between ${dateTime((details.from ?? at) / 1_000)} and ${dateTime(at / 1_000)}`;
  const look = { symbol: 's-unhealthy', tone: 'tone-warn' };
  if (details.lost !== undefined) {
    return { ...look, title: `${count(details.lost)} events ${between} came too fast and were not kept` };
  }
  return {
    ...look,
    title: `Events ${between} may be missing`,
    notes: [
      'Fairlead was not connected, and the engine no longer has them: it was restarted, or more happened than it keeps.',
    ],
  };
}

/** The last figures before a death, in a sentence. */
export function figuresWords(
  figures: { at: number; cpuPercent: number | null; memoryBytes: number; memoryLimitBytes: number | null } | null,
  diedAt: number,
): string {
  if (!figures) return '';
  const { at, cpuPercent, memoryBytes, memoryLimitBytes } = figures;
  const memory = `memory ${bytes(memoryBytes)}${memoryLimitBytes === null ? '' : ` of ${bytes(memoryLimitBytes)}`}`;
  const cpu = cpuPercent === null ? '' : `CPU ${percent(cpuPercent)}, `;
  return `${cpu}${memory}, ${duration(Math.max(0, diedAt - at))} before.`;
}
