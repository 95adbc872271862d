import { readReference } from './references.ts';

/** What operations work on, as keys: two operations never hold the same one. */
export const containerClaim = (id: string): string => `container:${id}`;
export const projectClaim = (project: string): string => `project:${project}`;

/** However the reference is written. */
export const imageClaim = (reference: string): string => `image:${readReference(reference)?.canonical ?? reference}`;
