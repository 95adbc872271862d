import type { CreateBody } from './container-spec.ts';
import { type Healthcheck, type ImageConfig, toSet } from './image-config.ts';

/** What a create request leaves open, the image decides: the rules of Docker's daemon, one for each field. */
export function withImageDefaults(body: CreateBody, image: ImageConfig): CreateBody {
  return {
    ...body,
    ...mergeCommand(body, image),
    ...mergeHealthcheck(body.Healthcheck, image.healthcheck),
    ...mergeStopSignal(body.StopSignal, image),
    Env: mergeEnv(body.Env ?? [], image.env),
    Labels: { ...image.labels, ...body.Labels },
    User: body.User || image.user,
    WorkingDir: body.WorkingDir || image.workingDir,
    ExposedPorts: { ...toSet(image.exposed), ...body.ExposedPorts },
    Volumes: { ...toSet(image.volumes), ...body.Volumes },
  };
}

/** Who sets an entrypoint gets no command of the image; `[""]` is how a client sets none at all. */
function mergeCommand(body: CreateBody, image: ImageConfig): Pick<CreateBody, 'Entrypoint' | 'Cmd'> {
  const own = toWords(body.Entrypoint);
  const command = toWords(body.Cmd);
  if (own?.length === 1 && own[0] === '') return { Entrypoint: null, Cmd: command };
  if (own && own.length > 0) return { Entrypoint: own, Cmd: command };
  const inherited = image.command && [...image.command];
  return {
    Entrypoint: own ?? (image.entrypoint && [...image.entrypoint]),
    Cmd: command && command.length > 0 ? command : inherited,
  };
}

/** Clients of old may send one word as a text. */
function toWords(words: unknown): string[] | null {
  if (typeof words === 'string') return [words];
  return Array.isArray(words) ? words.map(String) : null;
}

/** Field by field; `NONE` is a test of its own, and so it stays. */
function mergeHealthcheck(
  own: Healthcheck | null | undefined,
  image: Healthcheck | null,
): Pick<CreateBody, 'Healthcheck'> {
  if (!own) return image ? { Healthcheck: { ...image } } : {};
  const set = Object.entries(own).filter(([, value]) => (Array.isArray(value) ? value.length > 0 : Boolean(value)));
  return { Healthcheck: { ...image, ...Object.fromEntries(set) } };
}

function mergeStopSignal(own: string | undefined, image: ImageConfig): Pick<CreateBody, 'StopSignal'> {
  const signal = own || image.stopSignal;
  return signal ? { StopSignal: signal } : {};
}

function mergeEnv(own: readonly string[], inherited: readonly string[]): string[] {
  const names = new Set(own.map((entry) => entry.split('=')[0]));
  return [...own, ...inherited.filter((entry) => !names.has(entry.split('=')[0] ?? ''))];
}
