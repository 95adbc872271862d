import { isDeepStrictEqual } from 'node:util';
import { isRecord, listOf, text } from './readers.ts';

/** A piece of the engine's JSON, whole: what is not known here has to survive too. */
export type Document = Record<string, unknown>;

/** An object, or an empty one in the place of anything else. */
export const documentOf = (value: unknown): Document => (isRecord(value) ? value : {});

/** The texts of a list; empty for anything else. */
export const textsOf = (value: unknown): string[] => listOf(text)(value) ?? [];

/** Fields of a container's `Config` that hold what its image gave where nobody said otherwise. */
const inherited = ['User', 'WorkingDir', 'StopSignal', 'Shell', 'ArgsEscaped'] as const;

/** Fields of a health check, each of which a container may set alone. */
const healthFields = ['Test', 'Interval', 'Timeout', 'StartPeriod', 'StartInterval', 'Retries'] as const;

/**
 * A container's own part of its `Config`: what its image gave as a default is taken out, so that the defaults of another
 * image apply. What a container sets to the very same value as its image can't be told from a default.
 * The engine joins both when a container is created (moby's `merge` in daemon/commit.go); `withDefaults` does the same.
 */
export function ownSettings(config: Document, image: Document): Document {
  const { OnBuild: _ofTheImage, ...own } = config;
  for (const field of inherited) if (isDeepStrictEqual(own[field], image[field])) delete own[field];
  return clean({
    ...own,
    Env: textsOf(config.Env).filter((entry) => !textsOf(image.Env).includes(entry)),
    ...ownCommand(config, image),
    Labels: without(config.Labels, image.Labels),
    ExposedPorts: without(config.ExposedPorts, image.ExposedPorts),
    Volumes: without(config.Volumes, image.Volumes),
    Healthcheck: ownHealthcheck(documentOf(config.Healthcheck), documentOf(image.Healthcheck)),
  });
}

/** Joins a container's own settings with an image's defaults, as the engine does. */
export function withDefaults(own: Document, image: Document): Document {
  const joined: Document = { ...own };
  for (const field of inherited) if (isEmpty(joined[field])) joined[field] = image[field];
  return {
    ...joined,
    Env: joinVariables(textsOf(own.Env), textsOf(image.Env)),
    ...joinCommand(own, image),
    Labels: { ...documentOf(image.Labels), ...documentOf(own.Labels) },
    ExposedPorts: { ...documentOf(image.ExposedPorts), ...documentOf(own.ExposedPorts) },
    Volumes: { ...documentOf(image.Volumes), ...documentOf(own.Volumes) },
    Healthcheck: joinHealthcheck(documentOf(own.Healthcheck), documentOf(image.Healthcheck)),
  };
}

/**
 * Entrypoint and command go together: who sets an entrypoint gets no command of the image, so the command beside an
 * entrypoint of one's own is one's own too. An entrypoint that was taken away is asked for as one empty word.
 */
function ownCommand(config: Document, image: Document): Document {
  const [entrypoint, command] = [wordsOf(config.Entrypoint), wordsOf(config.Cmd)];
  const [imageEntrypoint, imageCommand] = [wordsOf(image.Entrypoint), wordsOf(image.Cmd)];
  if (!isDeepStrictEqual(entrypoint, imageEntrypoint)) {
    return { Entrypoint: entrypoint.length > 0 ? entrypoint : [''], Cmd: command.length > 0 ? command : undefined };
  }
  if (isDeepStrictEqual(command, imageCommand)) return { Entrypoint: undefined, Cmd: undefined };
  // The image's own entrypoint, said again to be rid of the image's command.
  return command.length > 0 ? { Entrypoint: undefined, Cmd: command } : { Entrypoint: entrypoint, Cmd: undefined };
}

function joinCommand(own: Document, image: Document): Document {
  const [entrypoint, command] = [wordsOf(own.Entrypoint), wordsOf(own.Cmd)];
  if (entrypoint.length > 0) return { Entrypoint: entrypoint.filter((word) => word !== ''), Cmd: command };
  return { Entrypoint: wordsOf(image.Entrypoint), Cmd: command.length > 0 ? command : wordsOf(image.Cmd) };
}

/** Commands are lists; of old, some engines told one as a text. */
export const wordsOf = (value: unknown): string[] => (typeof value === 'string' ? [value] : textsOf(value));

function joinVariables(own: readonly string[], image: readonly string[]): string[] {
  const names = new Set(own.map(variableName));
  return [...own, ...image.filter((entry) => !names.has(variableName(entry)))];
}

/** The name in `NAME=value`. */
export const variableName = (entry: string): string => entry.split('=', 1)[0] ?? '';

function ownHealthcheck(own: Document, image: Document): Document | undefined {
  const fields = healthFields.filter((field) => !isEmpty(own[field]) && !isDeepStrictEqual(own[field], image[field]));
  return fields.length > 0 ? Object.fromEntries(fields.map((field) => [field, own[field]])) : undefined;
}

function joinHealthcheck(own: Document, image: Document): Document | undefined {
  const fields = healthFields.map((field) => [field, isEmpty(own[field]) ? image[field] : own[field]] as const);
  const known = fields.filter(([, value]) => !isEmpty(value));
  return known.length > 0 ? Object.fromEntries(known) : undefined;
}

/** The entries of one record that another does not have with the same value. */
function without(own: unknown, image: unknown): Document {
  const defaults = documentOf(image);
  return Object.fromEntries(
    Object.entries(documentOf(own)).filter(([name, value]) => !isDeepStrictEqual(value, defaults[name])),
  );
}

const isEmpty = (value: unknown) =>
  value === undefined ||
  value === null ||
  value === '' ||
  value === 0 ||
  value === false ||
  (Array.isArray(value) && value.length === 0);

/** Leaves out what was set to nothing: to the engine an absent field is one to be filled in. */
const clean = (config: Document): Document =>
  Object.fromEntries(Object.entries(config).filter(([, value]) => value !== undefined));
