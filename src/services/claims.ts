import { readReference } from './references.ts';

/** What operations work on, as keys: two operations never hold the same one. */
export const containerClaim = (id: string): string => `container:${id}`;
export const projectClaim = (project: string): string => `project:${project}`;

/** However the reference is written. */
export const imageClaim = (reference: string): string => `image:${readReference(reference)?.canonical ?? reference}`;

/** Who works on what. */
export type Claims<Holder> = ReturnType<typeof createClaims<Holder>>;

/** Creates the table of who works on what. */
export function createClaims<Holder>() {
  const holders = new Map<string, Holder>();
  const guests = new Map<string, number>();
  return {
    /** Who holds one of these keys, but for the one who asks. */
    holder(keys: readonly string[], asking?: Holder): Holder | undefined {
      const key = keys.find((wanted) => holders.has(wanted) && holders.get(wanted) !== asking);
      return key === undefined ? undefined : holders.get(key);
    },

    /** Gives keys to a holder; whether they are free was asked before. */
    take(holder: Holder, keys: readonly string[]): void {
      for (const key of keys) holders.set(key, holder);
    },

    /** Notes that something short is done to what these keys stand for, by nobody who holds them; returns how to end that. */
    visit(keys: readonly string[]): () => void {
      for (const key of keys) guests.set(key, (guests.get(key) ?? 0) + 1);
      return () => {
        for (const key of keys) {
          const left = (guests.get(key) ?? 0) - 1;
          if (left > 0) guests.set(key, left);
          else guests.delete(key);
        }
      };
    },

    /** Whether something short is done to what one of these keys stands for. */
    isVisited: (keys: readonly string[]): boolean => keys.some((key) => guests.has(key)),

    /** Gives all keys of a holder back. */
    release(holder: Holder): void {
      for (const [key, by] of holders) if (by === holder) holders.delete(key);
    },
  };
}
