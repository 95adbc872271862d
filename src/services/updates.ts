import { isProblem } from '../errors.ts';
import { type Clock, systemClock } from './clock.ts';
import type { Container } from './containers.ts';
import { type CredentialStore, toAuthHeader } from './credentials.ts';
import type { Database } from './database.ts';
import type { DockerPort } from './docker.ts';
import { isIdLike } from './image-refs.ts';
import { bareId, type Image } from './images.ts';
import type { Inventory } from './inventory.ts';
import type { Operation, Result } from './operation-types.ts';
import type { Operations, Run } from './operations.ts';
import { type Reference, readReference } from './references.ts';

/** What is known of a reference's registry: `newer` where it has another image than this engine. */
export type UpdateState = 'current' | 'newer' | 'failed' | 'unchecked' | 'local';

/** Whether there is something newer, since when that is known (ms), and why it is not. */
export type Update = { state: UpdateState; checkedAt: number | null; error: string };

/** Who is named as the one who asked for the daily check. */
export const dailyActor = 'daily check';

type Known = { digest: string | null; error: string; checkedAt: number };
type Log = { warn(details: object, message: string): void };

type Parts = {
  docker: DockerPort;
  database: Pick<Database, 'db'>;
  inventory: Inventory;
  operations: Operations;
  credentials: CredentialStore;
  /** Between two checks that nobody asked for; 0 switches them off. */
  intervalHours: number;
  log: Log;
  clock?: Clock;
};

const maxParallel = 3;
const hourMs = 3_600_000;
const dayMs = 24 * hourMs;
/** The first check of a new installation waits until the start is over. */
const firstMs = 10 * 60_000;
const claim = 'images:check';
const local: Update = { state: 'local', checkedAt: null, error: '' };

/** Whether images and containers are the newest of their tags. */
export type Updates = Awaited<ReturnType<typeof createUpdates>>;

/** Opens what is known of registries: asked by hand, and once in `intervalHours`; kept in SQLite. */
export async function createUpdates(parts: Parts) {
  const { docker, inventory, operations, credentials, log, clock = systemClock } = parts;
  const { db } = parts.database;
  const known = new Map<string, Known>();
  /** What containers were made from, where the list tells an id instead: their tag means another image by now. */
  const written = new Map<string, string>();
  const asked = new Set<string>();
  const listeners = new Set<() => void>();
  const intervalMs = parts.intervalHours * hourMs;
  let isClosed = false;
  let cancelTimer = () => {};

  for (const row of await db.selectFrom('registry_digests').selectAll().execute()) {
    known.set(row.reference, { digest: row.digest, error: row.error ?? '', checkedAt: row.checked_at });
  }

  /** What was worked out for a container; containers are replaced where they change. */
  let memo = new WeakMap<Container, Update>();

  const tell = () => {
    memo = new WeakMap();
    for (const listener of listeners) listener();
  };

  // ── asking ──

  async function remember(reference: string, found: Known) {
    known.set(reference, found);
    const row = { digest: found.digest, error: found.error || null, checked_at: found.checkedAt };
    await db
      .insertInto('registry_digests')
      .values({ reference, ...row })
      .onConflict((conflict) => conflict.column('reference').doUpdateSet(row))
      .execute();
  }

  /** Every tag that was pulled from somewhere; what was built here has no registry to be asked. */
  function references(): Reference[] {
    const tags = inventory.images().flatMap((image) => image.tags.filter((tag) => isPulled(image, tag)));
    return [...new Set(tags)].flatMap((tag) => readReference(tag) ?? []);
  }

  async function check(run: Run) {
    try {
      return await checkAll(run);
    } finally {
      restUntil = clock.now() + intervalMs;
      scheduleNext();
    }
  }

  async function checkAll(run: Run) {
    const wanted = references();
    await forget(wanted);
    const results: Result[] = [];
    run.report({ progress: 0, message: `0 of ${wanted.length} images` });
    for (let start = 0; start < wanted.length; start += maxParallel) {
      run.signal.throwIfAborted();
      results.push(...(await Promise.all(wanted.slice(start, start + maxParallel).map((item) => ask(item, run)))));
      const message = `${results.length} of ${wanted.length} images`;
      run.report({ progress: results.length / wanted.length, message, details: { results } });
      tell();
    }
    return { message: toSummary(results), details: { results } };
  }

  async function ask(reference: Reference, run: Run): Promise<Result> {
    const checkedAt = clock.now();
    const { credentials: found, note } = await credentials.find(reference.registry);
    try {
      const digest = await docker.registryDigest(reference, toAuthHeader(reference.registry, found), run.signal);
      await remember(reference.canonical, { digest: digest || null, error: '', checkedAt });
      return { id: '', name: reference.text, ok: true, detail: words[ofTag(reference.text).state] };
    } catch (error) {
      run.signal.throwIfAborted();
      if (!isProblem(error)) throw error;
      const reason = [error.message, note].filter(Boolean).join(' ');
      await rememberFailure(reference.canonical, reason, checkedAt);
      return { id: '', name: reference.text, ok: false, detail: reason };
    }
  }

  /** What was known before stays known, with its time: something newer does not get old by an outage. */
  async function rememberFailure(reference: string, error: string, checkedAt: number) {
    const before = known.get(reference);
    const isKnown = before?.digest != null;
    await remember(reference, {
      digest: isKnown ? before.digest : null,
      error,
      checkedAt: isKnown ? before.checkedAt : checkedAt,
    });
  }

  /** Forgets what no image is called any more. */
  async function forget(wanted: readonly Reference[]) {
    const names = new Set(wanted.map(({ canonical }) => canonical));
    for (const reference of [...known.keys()].filter((name) => !names.has(name))) {
      known.delete(reference);
      await db.deleteFrom('registry_digests').where('reference', '=', reference).execute();
    }
  }

  const startCheck = (actor: string): Promise<Operation> =>
    operations.start({ kind: 'update_check', target: 'images', actor, claims: [claim], canCancel: true }, check);

  // ── telling ──

  function ofTag(tag: string): Update {
    const image = inventory.findImage(tag);
    if (!image || !isPulled(image, tag)) return local;
    const found = known.get(keyOf(tag));
    if (!found) return { state: 'unchecked', checkedAt: null, error: '' };
    const { digest, error, checkedAt } = found;
    if (digest !== null && !hasDigest(image, tag, digest)) return { state: 'newer', checkedAt, error };
    if (digest === null || error) return { state: 'failed', checkedAt, error };
    return { state: 'current', checkedAt, error: '' };
  }

  function ofImage(image: Image): Update {
    const updates = image.tags.map(ofTag);
    return order.map((state) => updates.find((update) => update.state === state)).find(Boolean) ?? local;
  }

  const referenceOf = (container: Container): string | undefined =>
    isIdLike(container.image) ? written.get(container.id) : container.image;

  function ofContainer(container: Container): Update {
    const update = memo.get(container) ?? workOut(container);
    memo.set(container, update);
    return update;
  }

  function workOut(container: Container): Update {
    const reference = readReference(referenceOf(container) ?? '');
    if (!reference || reference.digest !== null) return local;
    const image = inventory.findImage(reference.text);
    if (!image) return local;
    if (bareId(image.id) !== bareId(container.imageId)) return { state: 'newer', checkedAt: null, error: '' };
    return ofTag(reference.text);
  }

  /** Asks once for the reference of each container of which the list tells an id alone. */
  function learn() {
    for (const { id, image } of inventory.containers()) {
      if (!isIdLike(image) || written.has(id) || asked.has(id)) continue;
      asked.add(id);
      void docker
        .inspectContainer(id)
        .then((detail) => written.set(id, detail.Config?.Image ?? ''))
        .then(tell)
        .catch(() => asked.delete(id));
    }
  }

  const stop = inventory.onChange((change) => {
    for (const id of change.removed) {
      written.delete(id);
      asked.delete(id);
    }
    if (change.changed.size > 0 || change.engine) learn();
    if (change.images) tell();
  });

  // ── by itself ──

  /** Until when nobody is asked again by itself, ms: a check that somebody cancelled was one too. */
  let restUntil = 0;

  /** The next check is due an interval after the oldest answer; what pulls have seen since is newer. */
  function scheduleNext() {
    cancelTimer();
    if (intervalMs <= 0 || isClosed) return;
    const oldest = known.size > 0 ? Math.min(...[...known.values()].map(({ checkedAt }) => checkedAt)) : -intervalMs;
    const due = Math.max(oldest + intervalMs, restUntil, clock.now() + firstMs);
    // Timers hold 24 days at most.
    const wait = Math.min(due - clock.now(), dayMs);
    cancelTimer = clock.after(wait, () => void (clock.now() < due ? scheduleNext() : checkNow()));
  }

  async function checkNow() {
    const canAsk = inventory.engine().status === 'connected' && references().length > 0;
    // The end of the check schedules the next one.
    const isStarted = canAsk && (await startCheck(dailyActor).then(() => true, refused));
    if (!isStarted) scheduleNext();
  }

  function refused(err: unknown): false {
    log.warn({ err }, 'the daily check could not be started');
    return false;
  }

  return {
    /** Begins the checks that nobody asks for. */
    start: scheduleNext,

    /**
     * Starts asking the registries of all images.
     * @throws Problem `conflict` where that is being done
     */
    check: startCheck,

    ofImage,
    ofTag,
    ofContainer,

    /** The reference that a container was made from, as far as it is known. */
    referenceOf,

    /** Takes note of what a pull has just seen. */
    async pulled(reference: Reference, digest: string): Promise<void> {
      if (!digest || reference.tag === null) return;
      await remember(reference.canonical, { digest, error: '', checkedAt: clock.now() });
      tell();
    },

    /** Calls back when anything known here changed; returns how to stop that. */
    onChange(listener: () => void): () => void {
      listeners.add(listener);
      return () => void listeners.delete(listener);
    },

    close() {
      isClosed = true;
      cancelTimer();
      stop();
      listeners.clear();
    },
  };
}

/** Of several tags, what is worth telling comes first. */
const order: readonly UpdateState[] = ['newer', 'failed', 'unchecked', 'current'];

const words: Record<UpdateState, string> = {
  newer: 'update available',
  current: 'up to date',
  failed: 'could not be asked',
  unchecked: 'not checked',
  local: 'built here',
};

function toSummary(results: readonly Result[]): string {
  const count = (detail: string) => results.filter((result) => result.detail === detail).length;
  const failed = results.filter(({ ok }) => !ok).length;
  const asked = failed > 0 ? `, ${failed} could not be asked` : '';
  return `${count(words.newer)} of ${results.length} images have an update${asked}.`;
}

/** Whether a tag's repository has given the image a digest: what was built here has none. */
function isPulled(image: Image, tag: string): boolean {
  return image.repoDigests.some((digest) => digest.split('@')[0] === repositoryOf(tag));
}

function hasDigest(image: Image, tag: string, digest: string): boolean {
  return image.repoDigests.includes(`${repositoryOf(tag)}@${digest}`);
}

const keyOf = (tag: string) => readReference(tag)?.canonical ?? tag;

const repositoryOf = (tag: string) => readReference(tag)?.name ?? tag;
