import type { Document } from './own-settings.ts';
import type { Recreation } from './recreation.ts';

/** A container that a rebuild replaces, and all that is needed to finish that or to undo it. */
export type Member = {
  name: string;
  oldId: string;
  /** Full id of its successor, as soon as there is one. */
  newId: string | null;
  /** The successor's name until it has its own, and the old one's from then on. */
  newName: string;
  parkedName: string;
  /** The image that the successor has to be made from, by its full id. */
  imageId: string;
  recreation: Recreation;
  /** Makes the old one again, should it be gone when it has to come back. */
  restoration: Recreation;
  /** What the engine told of the old one, as far as the gate measures create calls by it. */
  basis: Document;
  wasRunning: boolean;
  wasPaused: boolean;
  /** Started with `--rm`: it is gone as soon as it stops. */
  isAutoRemoved: boolean;
  /** How long the engine may take to stop it, ms. */
  stopMs: number;
  /** Whether its removal may take its anonymous volumes along: those that only the new image brought. */
  hasNewVolumes: boolean;
};

/**
 * How far a rebuild has come. Before `starting` it is undone by whoever finds it, from `committed` on it is finished; in
 * between the successors have the names, and it is tried to go on.
 */
export type Phase = 'creating' | 'swapping' | 'starting' | 'committed';

/** A rebuild under way: the container first, then those that share its namespaces, in the order of their start. */
export type RebuildPlan = { phase: Phase; members: Member[]; allowsPrivileged: boolean };
