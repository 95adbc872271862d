import { isProblem, Problem } from '../errors.ts';
import { stripAnsi } from './ansi.ts';
import type { Scope } from './capabilities.ts';
import { containerClaim, projectClaim } from './claims.ts';
import type { Container } from './containers.ts';
import type { Credentials, RegistryLogin } from './credentials.ts';
import type { DockerPort } from './docker.ts';
import type { Inventory } from './inventory.ts';
import type { LastLines } from './last-words.ts';
import type { Logs } from './logs.ts';
import { Cancelled, cutShort, type Outcome } from './operation-outcomes.ts';
import type { Details, Operation, Result } from './operation-types.ts';
import { BusyProblem, type Operations, type Run } from './operations.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { dependencyLevels } from './projects.ts';
import type { Pulls } from './pulls.ts';
import { text } from './readers.ts';
import { createRebuildTransaction, type RebuildBounds, rebuildSteps } from './rebuild.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import {
  type Change,
  changesBetween,
  imageIfThere,
  type NextImage,
  planRebuild,
  sameImage,
  tagOf,
  warningsOf,
} from './rebuild-plan.ts';
import { hiddenRefusal, type RebuildRules, type Refusal, refusalOf } from './rebuild-refusal.ts';
import { configOf, idOf, imageIdOf, nameOf, type Survey, type Surveyed, surveyRebuild } from './rebuild-survey.ts';
import { idsOf, type RebuildPlan } from './rebuild-types.ts';
import { foreignPlatform } from './recreation.ts';
import { sees } from './scope.ts';
import { busy } from './scoped-operations.ts';

/** How a rebuild is wanted. */
export type RebuildChoices = {
  /** Whether the tag's newest image is pulled first; else the image that the tag means here is used. */
  pulls: boolean;
  /** Also where it runs on that image already. */
  isForced: boolean;
  /** Which containers it may touch. */
  scope: Scope;
  /** Given to its own registry alone. */
  login?: RegistryLogin | undefined;
};

/** How the rebuild of one container is wanted: a login is for the registry of its own tag. */
export type SingleChoices = Omit<RebuildChoices, 'login'> & { credentials?: Credentials | undefined };

/** What a rebuild would do, as far as that can be known before the pull. */
export type RebuildPreview = {
  id: string;
  name: string;
  /** What is pulled; null where there is no tag to pull. */
  reference: string | null;
  before: ImageBrief;
  /** The image that the tag means here now; null where it means none. */
  after: ImageBrief | null;
  changes: Change[];
  /** How many settings stay. */
  kept: { variables: number; mounts: number; networks: number; ports: number };
  warnings: string[];
  dependants: { id: string; name: string }[];
  refusal: Refusal | null;
};

/** An image as a preview names it; `createdAt` as the engine tells it, empty where it does not. */
export type ImageBrief = { id: string; tags: string[]; digests: string[]; createdAt: string };

/** What to do where one container of a project can't be rebuilt. */
export type OnFailure = 'stop' | 'go_on';

type Log = { info(details: object, message: string): void; warn(details: object, message: string): void };

type Parts = {
  docker: DockerPort;
  inventory: Inventory;
  operations: Operations;
  pulls: Pulls;
  journal: RebuildJournal;
  logs: Logs;
  rules: RebuildRules;
  bounds: RebuildBounds;
  /** Whether nothing may be changed: then what an earlier process left stays as it is. */
  isReadOnly: boolean;
  log: Log;
};

const lastLineCount = 20;
const logMs = 3_000;
const pullShare = 0.4;

const look = 'Look at the image';
const pull = 'Pull the image';

/** Rebuilds: containers made anew on the newest image of their tag, as operations. */
export type Rebuilds = ReturnType<typeof createRebuilds>;

/** Creates the rebuilding of containers, alone and by project, and the taking up of what an earlier process left. */
export function createRebuilds(parts: Parts) {
  const { docker, inventory, operations, pulls, journal, rules, bounds, log } = parts;
  const transaction = createRebuildTransaction({
    docker,
    journal,
    bounds,
    isPodman: () => inventory.engine().isPodman,
    lastLines,
    log,
  });
  let isRecovering = false;

  async function lastLines(...[id, untilEnd]: Parameters<LastLines>): Promise<string[]> {
    const kept: string[] = [];
    const signal = untilEnd ?? AbortSignal.timeout(logMs);
    for await (const line of parts.logs.lines(id, { tail: lastLineCount, follow: untilEnd !== undefined }, signal)) {
      kept.push(stripAnsi(line.text).slice(0, 1_000));
      if (kept.length > lastLineCount) kept.shift();
    }
    return kept;
  }

  // ── before ──

  async function preview(ref: string, scope: Scope): Promise<RebuildPreview> {
    const whole = await surveySeen(ref, scope);
    const dependants = whole.dependants.filter(isSeen(scope));
    const survey = { ...whole, dependants };
    const hidden = dependants.length < whole.dependants.length ? hiddenRefusal : null;
    const reference = tagOf(survey);
    const next = await localNext(survey);
    const found = next ?? { text: '', image: survey.image };
    return {
      id: idOf(survey),
      name: nameOf(survey),
      reference: reference?.text ?? null,
      before: narrowBrief(toBrief(imageIdOf(survey), survey.image), reference?.text, scope),
      after: next ? narrowBrief(toBrief(text(next.image.Id) ?? '', next.image), reference?.text, scope) : null,
      changes: next ? changesBetween(survey, found) : [],
      kept: countKept(survey.container),
      warnings: warningsOf(survey, next, bounds.healthyMs / 1_000),
      dependants: dependants.map((dependant) => ({ id: idOf(dependant), name: nameOf(dependant) })),
      refusal: hidden ?? refusalOf(survey, rules, true),
    };
  }

  /** @throws Problem `not_found` where the container may not be seen, which may have changed since it was chosen */
  async function surveySeen(ref: string, scope: Scope): Promise<Survey> {
    const survey = await surveyRebuild(docker, ref);
    if (!isSeen(scope)(survey)) throw new Problem('not_found', `Container ${ref} not found`);
    return survey;
  }

  /** One that is not known here yet is not seen by who sees some only. */
  const isSeen = (scope: Scope) => (surveyed: Pick<Surveyed, 'container'>) => {
    const container = inventory.container(idOf(surveyed));
    return scope === null || (container !== undefined && sees(scope, container));
  };

  /** What the container's tag means here now; its own image where it has no tag. */
  async function localNext(survey: Survey): Promise<NextImage | undefined> {
    const reference = tagOf(survey);
    if (!reference) return sameImage(docker, survey);
    const image = await imageIfThere(docker, reference.text);
    return image && { text: text(configOf(survey).Image) ?? reference.text, image };
  }

  /** @throws Problem with the reason of the refusal */
  async function surveyAllowed(ref: string, pullsToo: boolean, scope: Scope): Promise<Survey> {
    const survey = await surveySeen(ref, scope);
    const isWhole = survey.dependants.every(isSeen(scope));
    const refusal = isWhole ? refusalOf(survey, rules, pullsToo) : hiddenRefusal;
    if (refusal) throw new Problem(refusal.code, refusal.reason);
    return survey;
  }

  // ── one ──

  async function start(ref: string, { credentials, ...wanted }: SingleChoices, actor: string): Promise<Operation> {
    const survey = await surveyAllowed(ref, wanted.pulls, wanted.scope);
    const login = credentials && { registry: tagOf(survey)?.registry ?? '', credentials };
    const choices = { ...wanted, login };
    return operations.start(
      { kind: 'rebuild', target: nameOf(survey), actor, claims: claimsOf(survey), canCancel: true },
      (run) => rebuild(run, idOf(survey), choices),
    );
  }

  async function rebuild(run: Run, ref: string, choices: RebuildChoices): Promise<Outcome> {
    run.plan([choices.pulls ? pull : look, ...forwardSteps]);
    const before = await surveyAllowed(ref, choices.pulls, choices.scope);
    const next = await obtain(run, before, choices);
    // It may have been changed during a long pull: what is remade is what is there now.
    const survey = choices.pulls ? await surveyAllowed(ref, true, choices.scope) : before;
    claimAll(run, survey, choices.scope);
    if (text(next.image.Id) === imageIdOf(survey) && !choices.isForced) {
      return { message: `${nameOf(survey)} runs on the newest image of its tag already: nothing was done.` };
    }
    const plan = await planRebuild(docker, survey, next, rules);
    const outcome = await transaction.execute(run, plan);
    await inventory.refresh(idsOf(plan));
    return outcome;
  }

  /** The refusal stays with the operation, and must not tell who sees some only what others work on. */
  function claimAll(run: Run, survey: Survey, scope: Scope) {
    try {
      run.claim(claimsOf(survey));
    } catch (error) {
      throw scope !== null && error instanceof BusyProblem ? busy() : error;
    }
  }

  async function obtain(run: Run, survey: Survey, choices: RebuildChoices): Promise<NextImage> {
    run.step(choices.pulls ? pull : look);
    const reference = tagOf(survey);
    if (choices.pulls && reference) {
      await pulls.pullInto(scaled(run), reference, {
        login: choices.login?.registry === reference.registry ? choices.login.credentials : undefined,
        platform: foreignPlatform(survey.image, survey.engine),
      });
    }
    const next = await localNext(survey);
    if (!next) throw new Problem('not_found', `Image ${reference?.text} is not here. Pull it.`);
    return next;
  }

  // ── a project ──

  /** Rebuilds the containers of a project in dependency order, each as a transaction of its own. */
  async function startProject(
    project: string,
    containers: readonly Container[],
    choices: RebuildChoices & { onFailure: OnFailure },
    actor: string,
  ): Promise<Operation> {
    const names = dependencyLevels(containers)
      .flat()
      .map(({ name }) => name);
    const claims = [projectClaim(project), ...containers.map(({ id }) => containerClaim(id))];
    return operations.start({ kind: 'project_rebuild', target: project, actor, claims, canCancel: true }, (run) =>
      rebuildAll(run, names, choices),
    );
  }

  async function rebuildAll(run: Run, names: readonly string[], choices: RebuildChoices & { onFailure: OnFailure }) {
    run.plan(names);
    const results: Result[] = [];
    let isUnfinished = false;
    try {
      for (const name of names) {
        if (choices.onFailure === 'stop' && results.some(({ ok }) => !ok)) {
          results.push({ id: '', name, ok: false, detail: 'Not begun: one before it failed.' });
          continue;
        }
        run.signal.throwIfAborted();
        run.step(name);
        const outcome = await rebuildOneOf(run, name, choices);
        isUnfinished ||= outcome.isUnfinished ?? false;
        const result = toResult(name, outcome);
        results.push(result);
        run.endStep(result.ok ? 'done' : 'failed', result.ok ? result.detail : reasonOf(outcome));
        run.report({ progress: results.length / names.length, details: { results } });
      }
    } catch (error) {
      // Whatever ended the others: what is left of one of them has to be taken up again.
      if (!isUnfinished || run.closing.aborted) throw error;
      return { ...summary(results), error: run.signal.aborted ? run.signal.reason : error, isUnfinished };
    }
    return { ...summary(results), isUnfinished };
  }

  async function rebuildOneOf(run: Run, name: string, choices: RebuildChoices): Promise<Outcome> {
    const own: Details = {};
    try {
      const outcome = await rebuild(nested(run, name, own), name, choices);
      return { ...outcome, details: own };
    } catch (error) {
      if (!isProblem(error)) throw error;
      return { state: 'failed', message: '', error };
    }
  }

  // ── after the death of a process ──

  /** Finishes or undoes all that an earlier process left, as soon as the engine answers; again where it can't be yet. */
  async function recover(): Promise<void> {
    for (const { operation: id, plans } of await journal.unfinished()) {
      const left = await operations.find(id);
      operations.resume(id, async (run) => {
        log.info({ operation: id }, 'a rebuild was left unfinished: it is finished or undone now');
        const outcome = joinOutcomes(await recoverEach(run, plans));
        return left?.kind === 'project_rebuild' ? partOutcome(outcome, left) : outcome;
      });
    }
    await transaction.watch();
  }

  async function recoverEach(run: Run, plans: readonly RebuildPlan[]): Promise<Outcome[]> {
    const outcomes: Outcome[] = [];
    let cancelled: Cancelled | undefined;
    for (const plan of plans) {
      try {
        outcomes.push(await transaction.recover(run, plan));
      } catch (error) {
        if (!(error instanceof Cancelled)) throw error;
        cancelled = error;
      }
      await inventory.refresh(idsOf(plan));
    }
    // What is left of another one has to be taken up again before it is told that it was cancelled.
    if (cancelled && !outcomes.some(({ isUnfinished }) => isUnfinished)) throw cancelled;
    return outcomes;
  }

  async function recoverOnce() {
    if (parts.isReadOnly || isRecovering || inventory.engine().status !== 'connected') return;
    isRecovering = true;
    await recover().catch((err: unknown) => log.warn({ err }, 'what rebuilds left could not be taken up'));
    isRecovering = false;
  }

  const stop = inventory.onChange((change) => {
    if (change.engine) void recoverOnce();
  });
  const timer = setInterval(() => void recoverOnce(), bounds.retryMs).unref();

  return {
    /**
     * What a rebuild would change, before anything is done; for who sees these containers.
     * @throws Problem `not_found`
     */
    preview,

    /**
     * Starts the rebuild of a container.
     * @throws Problem with the reason where it is refused, `conflict` where something works on it
     */
    start,
    startProject,

    /**
     * Gives up rebuilds that could neither be finished nor undone: their containers stay as they are.
     * @throws Problem `conflict` where there is nothing to give up
     */
    abandon: (operation: number): Promise<Operation> => operations.abandon(operation, () => journal.abandon(operation)),

    /** Ends the looking for what was left. */
    close() {
      stop();
      clearInterval(timer);
    },
  };
}

const forwardSteps = [
  rebuildSteps.create,
  rebuildSteps.stop,
  rebuildSteps.move,
  rebuildSteps.start,
  rebuildSteps.wait,
  rebuildSteps.remove,
];

const claimsOf = (survey: Survey) => [survey, ...survey.dependants].map((surveyed) => containerClaim(idOf(surveyed)));

/** The pull's own progress is a part of the whole. */
function scaled(run: Run): Run {
  return {
    ...run,
    report: ({ progress, ...rest }) =>
      run.report({ ...rest, ...(progress != null && { progress: progress * pullShare }) }),
  };
}

/** A container's rebuild within another operation: its steps are the detail of that one's step. */
function nested(run: Run, container: string, own: Details): Run {
  let current = '';
  return {
    ...run,
    plan: () => {},
    current: () => current,
    step(name, detail = '') {
      current = name;
      run.note([name, detail].filter(Boolean).join(': '));
      run.report({ message: `${container}: ${name}` });
    },
    endStep: (_state, detail) => run.note(detail),
    report({ message, details: { lastLines, ...details } = {} }) {
      if (lastLines) own.lastLines = lastLines;
      run.report({ ...(message && { message: `${container}: ${message}` }), details });
    },
    hold: () => {},
  };
}

const isDone = ({ state = 'succeeded' }: Outcome) => state === 'succeeded';

const reasonOf = ({ error }: Outcome) => (isProblem(error) ? error.message : '');

function toResult(name: string, outcome: Outcome): Result {
  const ok = isDone(outcome);
  const { lastLines } = outcome.details ?? {};
  // Its name stands before it.
  const detail = ok ? outcome.message.replace(`${name} `, '') : `${outcome.message} ${reasonOf(outcome)}`.trim();
  return { id: '', name, ok, detail, ...(lastLines && { lastLines }) };
}

function summary(results: readonly Result[]): Outcome {
  const failed = results.filter(({ ok }) => !ok).length;
  const done = `${results.length - failed} of ${results.length} containers were rebuilt or up to date.`;
  if (failed === 0) return { message: done, details: { results: [...results] } };
  const error = new Problem('conflict', `${failed} of ${results.length} containers could not be rebuilt.`);
  return { state: 'failed', message: done, error, details: { results: [...results] } };
}

/** What became of several rebuilds of one operation; that of the first which did not succeed counts most. */
function joinOutcomes(outcomes: readonly Outcome[]): Outcome {
  const message = outcomes.map((outcome) => outcome.message).join(' ');
  const worst = outcomes.find((outcome) => !isDone(outcome)) ?? outcomes[0];
  return { ...worst, message, isUnfinished: outcomes.some((outcome) => outcome.isUnfinished) };
}

const restNotBegun = 'What comes after it was not begun.';

/** Of a project, the containers that were under way are in order again; those behind them may not have been begun. */
function partOutcome({ message, error, ...rest }: Outcome, left: Operation): Outcome {
  const hasRest = left.steps.some(({ state }) => state === 'waiting') || left.message.endsWith(restNotBegun);
  return {
    ...rest,
    state: 'interrupted',
    message: hasRest ? `${message} ${restNotBegun}` : message,
    error: error ?? new Problem('conflict', left.error ?? cutShort(true)),
  };
}

function toBrief(id: string, image: Document): ImageBrief {
  const { RepoTags, RepoDigests, Created } = image;
  return { id, tags: textsOf(RepoTags), digests: textsOf(RepoDigests), createdAt: text(Created) ?? '' };
}

/** The other names of an image may tell of what is hidden. */
const narrowBrief = (brief: ImageBrief, reference: string | undefined, scope: Scope): ImageBrief =>
  scope === null ? brief : { ...brief, tags: brief.tags.filter((tag) => tag === reference), digests: [] };

function countKept(container: Document): RebuildPreview['kept'] {
  const { Env } = documentOf(container.Config);
  const { PortBindings } = documentOf(container.HostConfig);
  const { Networks } = documentOf(container.NetworkSettings);
  const { Mounts } = container;
  return {
    variables: textsOf(Env).length,
    mounts: Array.isArray(Mounts) ? Mounts.length : 0,
    networks: Object.keys(documentOf(Networks)).length,
    ports: Object.keys(documentOf(PortBindings)).length,
  };
}
