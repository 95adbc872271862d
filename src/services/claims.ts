/** What operations work on, as keys: two operations never hold the same one. */
export const containerClaim = (id: string): string => `container:${id}`;
export const projectClaim = (project: string): string => `project:${project}`;
export const imageClaim = (reference: string): string => `image:${reference}`;
