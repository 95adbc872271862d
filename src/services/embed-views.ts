import { Problem } from '../errors.ts';
import type { Scope } from './capabilities.ts';
import type { Container } from './containers.ts';
import { timelineOf } from './event-types.ts';

/** What an embed link can show: how each begins, and whether a container or a project is named behind it. */
export const embedKinds = [
  ['container:', 'tile', 'container'],
  ['stats:', 'charts', 'container'],
  ['logs:project:', 'log', 'project'],
  ['logs:', 'log', 'container'],
  ['project:', 'table', 'project'],
  ['badge:project:', 'badge', 'project'],
  ['badge:', 'badge', 'container'],
] as const;

/**
 * The one thing that an embed link shows. It goes by a name and never by an id, so that a container that is made anew
 * stays in its embed.
 */
export type EmbedView = {
  look: (typeof embedKinds)[number][1];
  of: (typeof embedKinds)[number][2];
  name: string;
};

const maxName = 255;

/**
 * Reads a view: `container:web`, `stats:web`, `logs:web`, `badge:web`, `project:shop`, `logs:project:shop`,
 * `badge:project:shop`.
 * @throws Problem `invalid`
 */
export function parseEmbedView(text: string): EmbedView {
  const found = embedKinds.find(([prefix]) => text.startsWith(prefix));
  const name = found ? text.slice(found[0].length) : '';
  if (!found || name === '' || name.length > maxName || /\p{C}/u.test(name)) {
    throw new Problem(
      'invalid',
      'view: must be one of container:<name>, stats:<name>, logs:<name>, badge:<name>, project:<name>, ' +
        'logs:project:<name>, badge:project:<name>.',
    );
  }
  return { look: found[1], of: found[2], name };
}

/** A view as it was read. */
export function embedViewText({ look, of, name }: EmbedView): string {
  const prefix = embedKinds.find((kind) => kind[1] === look && kind[2] === of)?.[0] ?? '';
  return prefix + name;
}

/** Which containers a view can be made of: nothing else is there for who has the link. */
export const embedScope = ({ name }: EmbedView): Scope => [name];

/** The container that a view is of. While it is made anew, that is the one which had the name. */
export function containerOfView(containers: readonly Container[], { name }: EmbedView): Container | undefined {
  return (
    containers.find((container) => container.name === name) ??
    containers.find((container) => timelineOf(container.name) === name)
  );
}

/** The containers of the project that a view is of, by name. */
export const projectOfView = (containers: readonly Container[], { name }: EmbedView): Container[] =>
  containers.filter(({ project }) => project === name).sort((a, b) => (a.name < b.name ? -1 : 1));
