import type { Container } from '../../services/containers.ts';
import { humanDuration, statusText } from '../../services/status-words.ts';

/** How a state is shown: a shape, a colour (both by `glyph`) and a word; `code` is the chip beside it. */
export type StateModel = { glyph: string; symbol: string; word: string; code: string; title: string };

const known = new Set(['running', 'paused', 'restarting', 'created', 'exited', 'dead', 'removing']);
const symbolOf: Record<string, string> = { dead: 'failed', removing: 'exited' };

type Stated = Pick<Container, 'state' | 'health' | 'exitCode' | 'oomKilled' | 'words'> & { isStopAsked?: boolean };

/** What is shown of a container's state: worse things than Docker's own word come first. */
export function toStateModel(container: Stated, now: number): StateModel {
  const look = lookOf(container);
  return {
    ...look,
    symbol: `s-${symbolOf[look.glyph] ?? look.glyph}`,
    title: statusText(container.words, container.state, now) || container.state,
  };
}

function lookOf({ state, health, exitCode, oomKilled, isStopAsked }: Stated): {
  glyph: string;
  word: string;
  code: string;
} {
  const code = exitCode === null ? '' : String(exitCode);
  switch (state) {
    case 'running':
      if (health === 'unhealthy') return { glyph: 'unhealthy', word: 'unhealthy', code: '' };
      if (health === 'starting') return { glyph: 'running', word: 'running', code: 'probing' };
      return { glyph: 'running', word: health ?? 'running', code: '' };
    case 'exited':
      if (oomKilled) return { glyph: 'oom', word: 'OOM-killed', code };
      return { glyph: isFailure(exitCode) && !isStopAsked ? 'failed' : 'exited', word: 'exited', code };
    case 'restarting':
      return { glyph: 'restarting', word: 'restarting', code };
    default:
      return { glyph: known.has(state) ? state : 'exited', word: state || 'unknown', code: '' };
  }
}

/** 143 is how a container ends that was asked to stop. */
const isFailure = (exitCode: number | null) => exitCode !== null && exitCode !== 0 && exitCode !== 143;

/** How long that state has lasted, in the engine's words: `Up 3 minutes`, `4 minutes ago`. */
export function stateAge(container: Pick<Container, 'state' | 'words'>, now: number): string {
  const { since } = container.words;
  if (container.state === 'created') return 'never started';
  if (since === null) return container.state === 'running' ? 'Up' : '';
  const age = humanDuration(Math.max(0, now - since));
  return container.state === 'running' || container.state === 'paused' ? `Up ${age}` : `${age} ago`;
}

/** A button that changes a container; `busy` is what the row says meanwhile. */
export type ActionModel = { name: string; label: string; icon: string; busy: string };

const action = (name: string, label: string, icon: string, busy: string): ActionModel => ({ name, label, icon, busy });
const actions = {
  start: action('start', 'Start', 'i-play', 'starting…'),
  stop: action('stop', 'Stop', 'i-stop', 'stopping…'),
  restart: action('restart', 'Restart', 'i-restart', 'restarting…'),
  pause: action('pause', 'Pause', 'i-pause', 'pausing…'),
  unpause: action('unpause', 'Resume', 'i-play', 'resuming…'),
  kill: action('kill', 'Kill', 'i-x', 'killing…'),
};

/**
 * What can be done to a container in this state, but for what is refused in front of the engine: the two buttons of a row,
 * and the rest behind its menu.
 */
export function toActions(
  state: string,
  refused: readonly string[] = [],
): { main: ActionModel[]; more: ActionModel[] } {
  const { main, more } = actionsIn(state);
  const isOffered = ({ name }: ActionModel) => !refused.includes(name);
  return { main: main.filter(isOffered), more: more.filter(isOffered) };
}

function actionsIn(state: string): { main: ActionModel[]; more: ActionModel[] } {
  const { start, stop, restart, pause, unpause, kill } = actions;
  switch (state) {
    case 'running':
      return { main: [stop, restart], more: [pause, kill] };
    case 'paused':
      return { main: [unpause, restart], more: [stop, kill] };
    case 'restarting':
      return { main: [stop, restart], more: [kill] };
    case 'removing':
    case 'removed':
    case 'dead':
      return { main: [], more: [] };
    default:
      return { main: [start, restart], more: [] };
  }
}

const signals: Record<number, string> = {
  1: 'SIGHUP',
  2: 'SIGINT',
  3: 'SIGQUIT',
  4: 'SIGILL',
  6: 'SIGABRT',
  7: 'SIGBUS',
  8: 'SIGFPE',
  9: 'SIGKILL',
  11: 'SIGSEGV',
  13: 'SIGPIPE',
  14: 'SIGALRM',
  15: 'SIGTERM',
};

const codes: Record<number, string> = {
  0: 'Ended by itself, without an error.',
  1: 'Ended by itself, with a general error. Its last log lines usually tell more.',
  2: 'Ended by itself: wrong arguments, or a shell command used wrongly.',
  125: 'The engine could not run the container.',
  126: 'The command was found but could not be run: no permission, or not a program.',
  127: 'The command was not found in the image.',
  255: 'Ended with an exit status out of range, or its end was not seen because the engine itself stopped.',
};

/** Why a container ended, in a sentence: 137 is SIGKILL, by the kernel where memory ran out. */
export function exitWords(code: number, oomKilled: boolean, limit: string): string {
  const signal = code > 128 ? signals[code - 128] : undefined;
  if (oomKilled) {
    const sum = signal ? `${code} = 128 + ${code - 128}: ended by ${signal}, by the kernel` : 'Ended by the kernel';
    return `${sum}: it needed more memory than ${limit ? `its limit of ${limit}` : 'the machine had'}.`;
  }
  if (!signal) return codes[code] ?? 'Ended by itself, with an error code of its own.';
  return `${code} = 128 + ${code - 128}: ended by ${signal}${signalHints[signal] ?? '.'}`;
}

const signalHints: Record<string, string> = {
  SIGKILL: ': killed by a person or a program, or by a stop that it did not answer in time.',
  SIGTERM: ': it was asked to stop, and did.',
  SIGINT: ': it was interrupted, as with Ctrl-C.',
  SIGSEGV: ': it used memory that is not its own, a fault of the program.',
  SIGABRT: ': it gave up by itself, often after a failed assertion.',
};
