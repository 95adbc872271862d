import { Problem, unlessNotFound } from '../errors.ts';
import { imageClaim } from './claims.ts';
import { type CredentialStore, type Credentials, toAuthHeader } from './credentials.ts';
import type { DockerPort } from './docker.ts';
import { engineProblem } from './docker-errors.ts';
import type { Inventory } from './inventory.ts';
import { readJsonLines } from './lines.ts';
import type { Operation } from './operation-types.ts';
import type { Operations, Run } from './operations.ts';
import { createPullProgress, type PullState } from './pull-progress.ts';
import { isRecord, text } from './readers.ts';
import type { Reference } from './references.ts';

/** What a pull needs to know beside its reference. */
export type PullChoices = {
  /** Entered for this pull alone; else the docker command's own are looked up. */
  login?: Credentials | undefined;
  /** `os/architecture`; null lets the engine choose its own. */
  platform?: string | null;
};

/** What a pull brought: the image that the reference names now. */
export type Pulled = { imageId: string; digest: string; isNewer: boolean };

/** Pulls of images, with their progress. */
export type Pulls = ReturnType<typeof createPulls>;

type Parts = {
  docker: DockerPort;
  operations: Operations;
  credentials: CredentialStore;
  inventory: Inventory;
  /** Told of each digest that a registry has just given. */
  onPulled: (reference: Reference, digest: string) => Promise<void>;
};

/** Creates the pulling of images: as an operation of its own, or as a part of another one. */
export function createPulls({ docker, operations, credentials, inventory, onPulled }: Parts) {
  /** Pulls and reports into a run; resolves when the engine has the image. */
  async function pullInto(run: Run, reference: Reference, { login, platform = null }: PullChoices): Promise<Pulled> {
    const before = await idOf(reference);
    const { found, note } = await credentialsFor(reference, login);
    if (note) run.note(note);
    const state = await follow(run, reference, toAuthHeader(reference.registry, found), platform);
    await inventory.refreshImages();
    await onPulled(reference, state.digest);
    const imageId = await idOf(reference);
    if (imageId === undefined)
      throw new Problem('engine_error', `Image ${reference.text} is not there after its pull.`);
    return { imageId, digest: state.digest, isNewer: imageId !== before };
  }

  async function credentialsFor(reference: Reference, login: Credentials | undefined) {
    if (login) return { found: login, note: '' };
    const { credentials: found, note } = await credentials.find(reference.registry);
    return { found, note };
  }

  /** Follows the engine's messages to their end; an end before the end, and a long silence, are failures. */
  async function follow(run: Run, reference: Reference, auth: Record<string, string>, platform: string | null) {
    const progress = createPullProgress();
    const silence = createSilence(docker, reference);
    const startedAt = Date.now();
    try {
      const signal = AbortSignal.any([run.signal, silence.signal]);
      const answer = await docker.pullImage(reference, auth, platform, signal);
      const reading = readJsonLines(answer, (message) => {
        silence.broken();
        progress.add(message);
        run.report(toReport(progress.read(), startedAt));
      });
      await reading.catch((error: unknown) => {
        signal.throwIfAborted();
        throw lost(docker, error);
      });
      signal.throwIfAborted();
      if (!answer.complete) throw lost(docker, undefined);
    } finally {
      silence.end();
    }
    const state = progress.read();
    if (state.failure) throw failure(reference, state.failure);
    return state;
  }

  /** The image that a reference names now; undefined where the engine has none. */
  async function idOf(reference: Reference): Promise<string | undefined> {
    const image = await docker.imageDocument(reference.text).catch(unlessNotFound);
    return isRecord(image) ? text(image.Id) : undefined;
  }

  return {
    pullInto,

    /** Starts the pull of an image as an operation. */
    start: (reference: Reference, actor: string, choices: PullChoices = {}): Promise<Operation> =>
      operations.start(
        {
          kind: 'pull',
          target: reference.text,
          actor,
          claims: [imageClaim(reference.text)],
          canCancel: true,
        },
        async (run) => {
          run.step('Pull the image');
          const { isNewer, digest } = await pullInto(run, reference, choices);
          if (digest) run.note(digest);
          return { message: isNewer ? 'A newer image was pulled.' : 'The newest image was here already.' };
        },
      ),
  };
}

function toReport(state: PullState, startedAt: number) {
  const seconds = Math.max((Date.now() - startedAt) / 1000, 0.1);
  const ready = state.layers.filter((layer) => layer.state === 'done' || layer.state === 'present').length;
  return {
    progress: state.progress,
    message: state.layers.length > 0 ? `${ready} of ${state.layers.length} layers` : '',
    details: {
      layers: state.layers,
      bytes: { current: state.current, total: state.total, perSecond: Math.round(state.current / seconds) },
    },
  };
}

function failure(reference: Reference, message: string): Problem {
  return engineProblem(500, message, { method: 'POST', path: '/images/create', subject: `Image ${reference.text}` });
}

function lost(docker: DockerPort, cause: unknown): Problem {
  const problem = new Problem(
    'engine_unreachable',
    `The Docker daemon at ${docker.addressText} went away during the pull.`,
  );
  problem.cause = cause;
  return problem;
}

/** Aborts where nothing was told for too long. */
function createSilence({ addressText, timeouts }: DockerPort, reference: Reference) {
  const controller = new AbortController();
  const abort = () => {
    const seconds = timeouts.pull / 1000;
    const words = `The Docker daemon at ${addressText} told nothing of the pull of ${reference.text} for ${seconds} s.`;
    controller.abort(new Problem('engine_timeout', words));
  };
  let timer = setTimeout(abort, timeouts.pull);
  return {
    signal: controller.signal,
    broken() {
      clearTimeout(timer);
      timer = setTimeout(abort, timeouts.pull);
    },
    end: () => clearTimeout(timer),
  };
}
