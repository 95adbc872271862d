import { type Document, documentOf } from './own-settings.ts';
import { number } from './readers.ts';

/** What the engine waits where nothing was set: https://docs.docker.com/reference/cli/docker/container/stop/ */
const defaultSeconds = 10;

/** Longer is not waited for: nobody could tell a stop that goes on from one that was forgotten. */
export const maxStopSeconds = 3_600;

/** How long the engine lets a container end by itself before it kills it, s, by its inspect answer; negative is for ever. */
export const stopSecondsOf = (container: Document): number =>
  number(documentOf(container.Config).StopTimeout) ?? defaultSeconds;
