import { type Role, roles } from './capabilities.ts';

/** Which groups elsewhere have which role here. */
export type GroupRoles = Readonly<Record<Role, readonly string[]>>;

/** Whether any group is named: where none is, everybody who is let in is a viewer. */
export const namesGroups = (groups: GroupRoles): boolean => roles.some((role) => groups[role].length > 0);

/** The highest role that some groups have; undefined for who is in none that has one. */
export function roleOfGroups(own: readonly string[], groups: GroupRoles): Role | undefined {
  if (!namesGroups(groups)) return 'viewer';
  const highestFirst = ['admin', 'operator', 'viewer'] as const satisfies readonly Role[];
  return highestFirst.find((role) => own.some((group) => groups[role].includes(group)));
}
