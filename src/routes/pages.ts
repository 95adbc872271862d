import type { FastifyReply, FastifyRequest } from 'fastify';
import type { Deps } from '../deps.ts';
import { Problem, unlessNotFound } from '../errors.ts';
import { morph, partial } from '../feeds/frames.ts';
import type { Container } from '../services/containers.ts';
import type { Operation } from '../services/operation-types.ts';
import { type Message, toShared, type ViewContext } from '../views/models/context.ts';
import { engineModel } from '../views/models/engine.ts';
import { toLogDisplay } from '../views/models/log-display.ts';
import { operationsNowModel } from '../views/models/operations.ts';
import { offers } from './access.ts';
import { ownCookies } from './cookies.ts';

/** What a page is called, where it stands in the navigation, and the topics (with their parameters) that keep it true. */
export type PageHead = {
  title: string;
  nav: 'dashboard' | 'containers' | 'logs' | 'images' | 'operations' | 'events' | 'alerts' | 'admin' | '';
  /** The operation that the page itself is about: it is not told among the messages as well. */
  operation?: number;
  /** Whether it is loaded again every few seconds where scripts are off. */
  reloads?: boolean;
  /** Whether it tells nothing of the engine and follows nothing, as every page for who has not signed in. */
  isBare?: boolean;
  topics: readonly string[];
  parameters?: Record<string, string>;
};

const themes = ['system', 'light', 'dark'] as const;
const densities = ['dense', 'roomy'] as const;

/** How somebody wants pages to look, as their cookies say. */
export function preferencesOf(request: FastifyRequest, config: Deps['config']) {
  const cookies = ownCookies(request.cookies, config);
  const theme = themes.find((theme) => theme === cookies.theme) ?? 'system';
  const density = densities.find((density) => density === cookies.density) ?? 'dense';
  return { theme, density };
}

/** What every fragment is told: now (ms), the host name that ports are reached under, the base path, what is offered. */
export function viewContext(
  request: Pick<FastifyRequest, 'hostname' | 'principal'> & Partial<Pick<FastifyRequest, 'cookies'>>,
  { config, rights }: Pick<Deps, 'config' | 'rights'>,
): ViewContext {
  return {
    now: Date.now(),
    host: request.hostname,
    base: config.basePath,
    can: offers(rights, request.principal),
    figuresOff: config.statsInterval === 0,
    logDisplay: toLogDisplay(ownCookies(request.cookies, config)),
  };
}

/** What is around a page's body, for anybody. */
function bareShell(request: FastifyRequest, deps: Deps, head: PageHead) {
  const { config, assets } = deps;
  const context = viewContext(request, deps);
  return {
    ...head,
    ...preferencesOf(request, config),
    ...toShared(context),
    demo: config.demo,
    assets,
    isBare: true,
    live: null,
    now: null,
  };
}

/** The same with what goes on, for who has signed in. */
function fullShell(request: FastifyRequest, deps: Deps, head: PageHead) {
  const { config, inventory, docker, rights } = deps;
  return {
    ...bareShell(request, deps, head),
    isBare: false,
    limits: rights.limits().notice,
    user: request.principal?.kind === 'user' ? request.principal.name : null,
    signsOut: config.auth === 'password',
    live: liveUrl(config.basePath, head.topics, head.parameters),
    engine: engineModel(inventory.engine(), docker.addressText),
    ...operationsNowModel(operationsFor(request, deps), viewContext(request, deps), head.operation),
  };
}

/** What runs, as far as it may be told: to who sees some containers only what they asked for, to who is not in nothing. */
export function operationsFor({ principal }: FastifyRequest, { operations }: Deps): Operation[] {
  const current = operations.current();
  return principal?.scope === null ? current : current.filter(({ actor }) => actor === principal?.name);
}

/**
 * The address of the socket that keeps views true; every page at least follows the engine's state. `since` are the places
 * that a merged log was shown up to.
 */
export function liveUrl(
  base: string,
  topics: readonly string[],
  parameters: Record<string, string> = {},
  since: readonly string[] = [],
): string {
  const search = new URLSearchParams(topics.map((topic): [string, string] => ['topic', topic]));
  for (const [name, value] of Object.entries(parameters)) if (value !== '') search.set(name, value);
  for (const place of since) search.append('since', place);
  return `${base}/live?${search}`;
}

/** Answers with a page: its body's template inside the layout. */
export function sendPage(
  request: FastifyRequest,
  reply: FastifyReply,
  deps: Deps,
  head: PageHead,
  body: string,
  messages: Message[] = [],
) {
  const shown = [...deps.messages.take(request, reply), ...messages];
  const shell = request.principal && !head.isBare ? fullShell(request, deps, head) : bareShell(request, deps, head);
  return reply.type('text/html; charset=utf-8').view('layouts/page', { ...shell, messages: shown, body });
}

/** What a page shows of something that was done, in the place of what was done before. */
export function answerFrame(deps: Deps, text: string): string {
  const message = { kind: 'status', text } as const;
  return morph('answer', deps.render('fragments/answer', { base: deps.config.basePath, message }));
}

/** What a page shows of something that failed, above what failed before: it stays until somebody takes it away. */
export function failureFrame(deps: Deps, message: Message, requestId: string): string {
  const html = deps.render('fragments/message', { base: deps.config.basePath, message, requestId });
  return partial('#failures', 'afterbegin', html);
}

/** Answers with a fragment. */
export const sendFragment = (reply: FastifyReply, html: string) => reply.type('text/html; charset=utf-8').send(html);

/** Whether htmx asks: it wants the changed fragment and not a redirect. */
export const isHtmx = (request: FastifyRequest): boolean => request.headers['hx-request'] === 'true';

/** Pages that only a form leads to: nobody can come back to them, but to what they are of. */
const postOnly =
  /^(\/(?:containers|projects|operations)\/[^/]+|\/images)\/(?:start|stop|restart|pause|unpause|kill|reveal|check|cancel|abandon|dismiss)\/?$/;

/**
 * The way back for a plain form: the page it was on, if that is one of ours.
 * Only path and query are taken over, so that it leads nowhere else.
 */
export function wayBack(request: FastifyRequest, deps: Deps, fallback: string): string {
  const { basePath } = deps.config;
  const referer = request.headers.referer;
  if (referer === undefined || !URL.canParse(referer)) return basePath + fallback;
  const url = new URL(referer);
  const isOurs = url.host === request.host && url.pathname.startsWith(`${basePath}/`) && !url.pathname.startsWith('//');
  const path = url.pathname.slice(basePath.length);
  if (!isOurs || path === '/preferences') return basePath + fallback;
  const resource = postOnly.exec(path)?.[1];
  return basePath + (resource ?? path + url.search);
}

/**
 * The container that an address names. One that is not known yet is asked of the engine: its event may be on the way.
 * @throws Problem `invalid`, `not_found`, or the engine's
 */
export async function resolveContainer(deps: Deps, ref: string, check: (ref: string) => string): Promise<Container> {
  const { inventory, docker } = deps;
  const known = inventory.findContainer(check(ref));
  if (known) return known;
  requireEngine(deps);
  // In the same words whether the engine has none, or one that may not be seen.
  const told = await docker.inspectContainer(ref).catch(unlessNotFound);
  const isMeant = told !== undefined && isNamed(ref, told.Id, told.Name ?? '');
  if (isMeant) await inventory.refresh([told.Id]);
  const found = isMeant ? inventory.container(told.Id) : undefined;
  if (!found) throw new Problem('not_found', `Container ${ref} not found`);
  return found;
}

/** Engines resolve any beginning of an id: what was typed too short may be another container's. */
function isNamed(ref: string, id: string, name: string): boolean {
  return name.replace(/^\//, '') === ref || (/^[0-9a-f]{12,64}$/.test(ref) && id.startsWith(ref));
}

/**
 * Lets a request pass that can't be answered without the engine.
 * @throws Problem `engine_unreachable`
 */
export function requireEngine({ inventory, docker }: Deps): void {
  const engine = inventory.engine();
  if (engine.status === 'unreachable') {
    throw new Problem(
      'engine_unreachable',
      engine.detail || `Cannot connect to the Docker daemon at ${docker.addressText}.`,
    );
  }
}
