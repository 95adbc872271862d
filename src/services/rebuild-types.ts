import type { ErrorCode } from '../errors.ts';
import type { Document } from './own-settings.ts';
import type { Recreation } from './recreation.ts';
import type { Reference } from './references.ts';

/** A container that a rebuild replaces, and all that is needed to finish that or to undo it. */
export type Member = {
  name: string;
  oldId: string;
  /** Full id of its successor, as soon as there is one. */
  newId: string | null;
  /** The successor's name until it has its own, and the old one's from then on. */
  newName: string;
  parkedName: string;
  /** Full id of what stands in for the old one where that is gone, as soon as there is one, and its name until then. */
  standInId: string | null;
  standInName: string;
  /** The image that the successor has to be made from, by its full id. */
  imageId: string;
  /** The image of the old one: what stands in for it has to be made from that. */
  oldImageId: string;
  recreation: Recreation;
  /** Makes the old one again, should it be gone when it has to come back. */
  restoration: Recreation;
  /** What the engine told of the old one, as far as the gate measures create calls by it. */
  basis: Document;
  wasRunning: boolean;
  wasPaused: boolean;
  /** It runs and was started with `--rm`: it is gone as soon as it stops. */
  vanishes: boolean;
  /** How long the engine may take to stop it, ms. */
  stopMs: number;
  /** Whether its removal may take its anonymous volumes along: those that only the new image brought. */
  hasNewVolumes: boolean;
};

/**
 * How far a rebuild has come. Before `starting` it is undone by whoever finds it, from `committed` on it is finished; in
 * between the successors have the names, and it is tried to go on. One that is `watched` was undone, but a call without an
 * answer may yet have made a container.
 */
export type Phase = 'creating' | 'swapping' | 'starting' | 'committed' | 'watched';

/** Why a rebuild is undone: the step that failed, what people are told of it, and whether somebody wanted it. */
export type RebuildFailure = {
  step: string;
  code: ErrorCode;
  message: string;
  engineMessage: string;
  isWanted: boolean;
};

/**
 * A tag that moved on. A container keeps the name that its image had when it was created, and is pulled by it later: so
 * the tag has to mean the older image for as long as the create call takes. `now` is null where it means none.
 */
export type Retag = { reference: Reference; id: string; now: string | null };

/** A rebuild under way: the container first, then those that share its namespaces, in the order of their start. */
export type RebuildPlan = {
  /** Its row in the journal; 0 until it is written down. */
  id: number;
  phase: Phase;
  /** As soon as it is being undone; from then on it is never tried to go on. */
  failure: RebuildFailure | null;
  /** Until when it is watched, ms since 1970. */
  watchedUntil: number;
  members: Member[];
  /** The tags that were moved for a moment, to be put back should that not have happened. */
  retags: Retag[];
  allowsPrivileged: boolean;
};

/** The ids of all containers that a rebuild works on, old and new. */
export const idsOf = ({ members }: RebuildPlan): string[] =>
  members.flatMap(({ oldId, newId, standInId }) => [oldId, newId, standInId].filter((id) => id !== null));
