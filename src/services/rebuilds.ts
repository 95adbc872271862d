import { isProblem, Problem } from '../errors.ts';
import { stripAnsi } from './ansi.ts';
import { containerClaim, projectClaim } from './claims.ts';
import type { Container } from './containers.ts';
import type { Credentials } from './credentials.ts';
import type { DockerPort } from './docker.ts';
import type { Inventory } from './inventory.ts';
import type { Logs } from './logs.ts';
import type { Operation, Result } from './operation-types.ts';
import type { Operations, Outcome, Run } from './operations.ts';
import { type Document, documentOf, textsOf } from './own-settings.ts';
import { dependencyLevels } from './projects.ts';
import type { Pulls } from './pulls.ts';
import { text } from './readers.ts';
import { createRebuildTransaction, type LastLines, type RebuildBounds, rebuildSteps } from './rebuild.ts';
import type { RebuildJournal } from './rebuild-journal.ts';
import {
  type Change,
  changesBetween,
  imageIfThere,
  type NextImage,
  planRebuild,
  type RebuildRules,
  type Refusal,
  refusalOf,
  sameImage,
  tagOf,
  warningsOf,
} from './rebuild-plan.ts';
import { configOf, idOf, imageIdOf, nameOf, type Survey, surveyRebuild } from './rebuild-survey.ts';
import type { RebuildPlan } from './rebuild-types.ts';
import { foreignPlatform } from './recreation.ts';

/** How a rebuild is wanted. */
export type RebuildChoices = {
  /** Whether the tag's newest image is pulled first; else the image that the tag means here is used. */
  pulls: boolean;
  /** Also where it runs on that image already. */
  isForced: boolean;
  login?: Credentials | undefined;
};

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

  async function preview(ref: string): Promise<RebuildPreview> {
    const survey = await surveyRebuild(docker, ref);
    const reference = tagOf(survey);
    const next = await localNext(survey);
    const found = next ?? { text: '', image: survey.image };
    return {
      id: idOf(survey),
      name: nameOf(survey),
      reference: reference?.text ?? null,
      before: toBrief(imageIdOf(survey), survey.image),
      after: next ? toBrief(text(next.image.Id) ?? '', next.image) : null,
      changes: next ? changesBetween(survey, found) : [],
      kept: countKept(survey.container),
      warnings: warningsOf(survey, next, bounds.healthyMs / 1_000),
      dependants: survey.dependants.map((dependant) => ({ id: idOf(dependant), name: nameOf(dependant) })),
      refusal: refusalOf(survey, rules, true),
    };
  }

  /** What the container's tag means here now; its own image where it has no tag. */
  async function localNext(survey: Survey): Promise<NextImage | undefined> {
    const reference = tagOf(survey);
    if (!reference) return sameImage(docker, survey);
    const image = await imageIfThere(docker, reference.text);
    return image && { text: text(configOf(survey).Image) ?? reference.text, image };
  }

  /** @throws Problem with the reason of the refusal */
  async function surveyAllowed(ref: string, pullsToo: boolean): Promise<Survey> {
    const survey = await surveyRebuild(docker, ref);
    const refusal = refusalOf(survey, rules, pullsToo);
    if (refusal) throw new Problem(refusal.code, refusal.reason);
    return survey;
  }

  // ── one ──

  async function start(ref: string, choices: RebuildChoices, actor: string): Promise<Operation> {
    const survey = await surveyAllowed(ref, choices.pulls);
    return operations.start(
      { kind: 'rebuild', target: nameOf(survey), actor, claims: claimsOf(survey), canCancel: true },
      (run) => rebuild(run, idOf(survey), choices),
    );
  }

  async function rebuild(run: Run, ref: string, choices: RebuildChoices): Promise<Outcome> {
    run.plan([choices.pulls ? pull : look, ...forwardSteps]);
    const before = await surveyAllowed(ref, choices.pulls);
    const next = await obtain(run, before, choices);
    // It may have been changed during a long pull: what is remade is what is there now.
    const survey = await surveyAllowed(ref, choices.pulls);
    run.claim(claimsOf(survey));
    if (text(next.image.Id) === imageIdOf(survey) && !choices.isForced) {
      return { message: `${nameOf(survey)} runs on the newest image of its tag already: nothing was done.` };
    }
    const plan = await planRebuild(docker, survey, next, rules);
    const outcome = await transaction.execute(run, plan);
    await inventory.refresh(idsOf(plan));
    return outcome;
  }

  async function obtain(run: Run, survey: Survey, choices: RebuildChoices): Promise<NextImage> {
    run.step(choices.pulls ? pull : look);
    const reference = tagOf(survey);
    if (choices.pulls && reference) {
      await pulls.pullInto(scaled(run), reference, {
        login: choices.login,
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
    for (const name of names) {
      const hasFailed = results.some(({ ok }) => !ok);
      if (hasFailed && choices.onFailure === 'stop') {
        results.push({ id: '', name, ok: false, detail: 'Not begun: one before it failed.' });
        continue;
      }
      run.signal.throwIfAborted();
      run.step(name);
      results.push(await rebuildOneOf(run, name, choices));
      run.report({ progress: results.length / names.length, details: { results } });
    }
    return summary(results);
  }

  async function rebuildOneOf(run: Run, name: string, choices: RebuildChoices): Promise<Result> {
    try {
      const outcome = await rebuild(nested(run), name, choices);
      const ok = (outcome.state ?? 'succeeded') === 'succeeded';
      const reason = isProblem(outcome.error) ? outcome.error.message : '';
      if (!ok) run.failStep(reason);
      else run.note(outcome.message);
      return { id: '', name, ok, detail: ok ? outcome.message : `${outcome.message} ${reason}`.trim() };
    } catch (error) {
      if (!isProblem(error)) throw error;
      run.failStep(error.message);
      return { id: '', name, ok: false, detail: error.message };
    }
  }

  // ── after the death of a process ──

  /** Finishes or undoes all that an earlier process left, as soon as the engine answers; again where it can't be yet. */
  async function recover(): Promise<void> {
    const left = await journal.unfinished();
    const active = new Set(operations.active().map(({ id }) => id));
    for (const { operation, plan } of left.filter((item) => !active.has(item.operation))) {
      const claims = plan.members.map(({ oldId }) => containerClaim(oldId));
      log.info({ operation }, 'a rebuild was left unfinished: it is finished or undone now');
      const isPart = (await operations.find(operation))?.kind === 'project_rebuild';
      await operations.resume(operation, claims, async (run) => {
        const outcome = await transaction.recover(run, plan);
        await inventory.refresh(idsOf(plan));
        return isPart ? partOutcome(outcome) : outcome;
      });
    }
  }

  async function recoverOnce() {
    if (isRecovering || inventory.engine().status !== 'connected') return;
    isRecovering = true;
    await recover().catch((err: unknown) => log.warn({ err }, 'the journal of rebuilds could not be read'));
    isRecovering = false;
  }

  const stop = inventory.onChange((change) => {
    if (change.engine) void recoverOnce();
  });
  const timer = setInterval(() => void recoverOnce(), bounds.retryMs).unref();

  return {
    /** What a rebuild would change, before anything is done. */
    preview,

    /**
     * Starts the rebuild of a container.
     * @throws Problem with the reason where it is refused, `conflict` where something works on it
     */
    start,
    startProject,

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

const idsOf = ({ members }: RebuildPlan) => members.flatMap(({ oldId, newId }) => [oldId, ...(newId ? [newId] : [])]);

/** The pull's own progress is a part of the whole. */
function scaled(run: Run): Run {
  return {
    ...run,
    report: ({ progress, ...rest }) =>
      run.report({ ...rest, ...(progress != null && { progress: progress * pullShare }) }),
  };
}

/** A rebuild within another operation: its steps are the detail of that one's step. */
function nested(run: Run): Run {
  let current = '';
  return {
    ...run,
    plan: () => {},
    current: () => current,
    step(name, detail = '') {
      current = name;
      run.note([name, detail].filter(Boolean).join(': '));
    },
    failStep: (detail) => run.note(detail),
    report: ({ details }) => run.report({ ...(details && { details }) }),
    hold: () => {},
  };
}

function summary(results: readonly Result[]): Outcome {
  const failed = results.filter(({ ok }) => !ok).length;
  const done = `${results.length - failed} of ${results.length} containers were rebuilt or up to date.`;
  if (failed === 0) return { message: done, details: { results: [...results] } };
  const error = new Problem('conflict', `${failed} of ${results.length} containers could not be rebuilt.`);
  return { state: 'failed', message: done, error, details: { results: [...results] } };
}

/** Of a project, the container that was under way is in order again; those behind it were not begun. */
function partOutcome({ message, error, details }: Outcome): Outcome {
  const reason = new Problem('conflict', 'Fairlead ended while it ran.');
  return {
    state: 'interrupted',
    message: `${message} What comes after it was not begun.`,
    error: error ?? reason,
    ...(details && { details }),
  };
}

function toBrief(id: string, image: Document): ImageBrief {
  const { RepoTags, RepoDigests, Created } = image;
  return { id, tags: textsOf(RepoTags), digests: textsOf(RepoDigests), createdAt: text(Created) ?? '' };
}

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
