import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import fastifyCookie from '@fastify/cookie';
import fastifyFormbody from '@fastify/formbody';
import fastifyHelmet from '@fastify/helmet';
import fastifyRateLimit from '@fastify/rate-limit';
import fastifySession from '@fastify/session';
import fastifySwagger from '@fastify/swagger';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import fastifyView from '@fastify/view';
import fastifyWebsocket from '@fastify/websocket';
import fastify, { type FastifySchema } from 'fastify';
import { type Config, firstAdmin } from './config.ts';
import type { App, Deps } from './deps.ts';
import { isProblem, Problem } from './errors.ts';
import { createAlertTexts } from './feeds/alert-texts.ts';
import { createRowFigures } from './feeds/row-figures.ts';
import { createEta, type Render, viewsFolder } from './render.ts';
import { type Access, accessOfRoute, checkAccess, checkScope, isRouteForLimited } from './routes/access.ts';
import { registerAccount } from './routes/account.ts';
import { registerAlerts } from './routes/alerts.ts';
import { registerAssets } from './routes/assets.ts';
import { auditRequests, registerAudit } from './routes/audit.ts';
import { registerContainers } from './routes/containers.ts';
import { registerDashboard } from './routes/dashboard.ts';
import { registerEmbed } from './routes/embed.ts';
import { admitByLink, dropCredentials, sendEmbedHeaders } from './routes/embed-headers.ts';
import { registerEmbeds } from './routes/embeds.ts';
import { createEntrance } from './routes/entrance.ts';
import { registerErrors, sendBare } from './routes/errors.ts';
import { registerEvents } from './routes/events.ts';
import { allowEmbedding, checkForwarded, checkHost, checkSite, checkUpgrade } from './routes/guards.ts';
import { bareHeaders, helmetOptions, refuseUnread, sendOwnHeaders } from './routes/headers.ts';
import { registerHealth } from './routes/health.ts';
import { identify, sessionOptions } from './routes/identity.ts';
import { registerImageWork } from './routes/image-work.ts';
import { registerImages } from './routes/images.ts';
import { registerLive } from './routes/live.ts';
import { createSockets, drainSockets } from './routes/live-sockets.ts';
import { registerLogs } from './routes/logs.ts';
import { registerMergedLogs } from './routes/merged-logs.ts';
import { createMessages } from './routes/messages.ts';
import { measureRequests, registerMetrics } from './routes/metrics.ts';
import { registerOperations } from './routes/operations.ts';
import { registerPreferences } from './routes/preferences.ts';
import { registerProjects } from './routes/projects.ts';
import { registerRebuild } from './routes/rebuild.ts';
import { Problem as ProblemSchema } from './routes/schemas.ts';
import { createDepsOf } from './routes/scoped-deps.ts';
import { registerSecondFactor } from './routes/second-factor.ts';
import { registerSignIn } from './routes/sign-in.ts';
import { registerSingleSignOn } from './routes/single-sign-on.ts';
import { registerStats } from './routes/stats.ts';
import { registerTokens } from './routes/tokens.ts';
import { registerUsers } from './routes/users.ts';
import { createAlertSender } from './services/alert-channels.ts';
import { maxLineText } from './services/alert-logs.ts';
import { createMailer } from './services/alert-mail.ts';
import { diskUseOf } from './services/alert-sources.ts';
import { type AlertBounds, type Alerts, createAlerts } from './services/alerts.ts';
import { stripAnsi } from './services/ansi.ts';
import { type Attention, createAttention } from './services/attention.ts';
import { createAudit } from './services/audit.ts';
import { changing } from './services/capabilities.ts';
import { createCpuLimits } from './services/cpu-limits.ts';
import { createCredentialStore } from './services/credentials.ts';
import { openDatabase } from './services/database.ts';
import { createDiskUsage } from './services/disk-usage.ts';
import { createDocker, type EngineTimeouts } from './services/docker.ts';
import { createEmbeds } from './services/embeds.ts';
import { createEngineRights } from './services/engine-rights.ts';
import type { LastFigures } from './services/event-types.ts';
import { createGuardedPost } from './services/guarded-post.ts';
import { createHistory, type History } from './services/history.ts';
import { createInventory, type Inventory } from './services/inventory.ts';
import { createLive } from './services/live.ts';
import { createLogs, type Logs } from './services/logs.ts';
import { createMergedLogs } from './services/merged-logs.ts';
import { createMetrics } from './services/metrics.ts';
import { createOperations, type Operations } from './services/operations.ts';
import { readOwnContainer } from './services/own-container.ts';
import { createPasskeys } from './services/passkeys.ts';
import { createPasswords, type PasswordCost } from './services/passwords.ts';
import { createProjects } from './services/projects.ts';
import { createPulls } from './services/pulls.ts';
import type { RebuildBounds } from './services/rebuild.ts';
import { createRebuildJournal } from './services/rebuild-journal.ts';
import { createRebuilds } from './services/rebuilds.ts';
import { createSecondFactors } from './services/second-factors.ts';
import { createSecretBox, type SecretBox } from './services/secret-box.ts';
import { maskStart } from './services/secrets.ts';
import { createSessions } from './services/sessions.ts';
import { createSetupCode } from './services/setup-code.ts';
import { createCodeLimit, createSignInLimit } from './services/sign-in-limit.ts';
import { createSingleSignOn, type SingleSignOn } from './services/single-sign-on.ts';
import { createStats, maxGapMs, type Stats } from './services/stats.ts';
import { createTargetGuard } from './services/target-guard.ts';
import { createTokens } from './services/tokens.ts';
import { createProxyTest } from './services/trusted-proxies.ts';
import { createUpdates } from './services/updates.ts';
import { createUsers } from './services/users.ts';

declare module 'fastify' {
  interface FastifyInstance {
    /** The address, below the base path, under which the first admin is made; empty where there is one. */
    setupPath(): string;
  }
  interface FastifyContextConfig {
    /** What the access table asks for. */
    access?: Access;
    /** Whether it is open to who sees some containers only. */
    isForLimited?: boolean;
    /** As the access table has it, without the base path. */
    path?: string;
    /** Whether it is asked for by machines, all the time. */
    isProbe?: boolean;
  }
}

const problemResponse = {
  description: 'What went wrong (RFC 9457)',
  content: { 'application/problem+json': { schema: ProblemSchema } },
};
const { version } = JSON.parse(readFileSync(join(import.meta.dirname, '../package.json'), 'utf8')) as {
  version: string;
};
const firstLookMs = 2_000;
const drainMs = 3_000;
const bodyLimit = 64 * 1024;
const maxParamLength = 16 * 1024;
/** The names of a hundred chosen containers stand in an address, and twice more in what a page's script sends along. */
const maxHeaderSize = 64 * 1024;
/** For a whole request to come in, ms: whoever sends byte by byte holds a connection no longer. */
const requestMs = 30_000;
/** Between two looks at that, ms. */
const requestLookMs = 5_000;
/** Sockets are 2,000 at most; beyond these, connections are closed unread. */
const maxConnections = 4_000;

/** Bounds that tests make smaller, times in ms, and what a password's hash costs. */
export type Bounds = {
  engine?: Partial<EngineTimeouts>;
  rebuild?: Partial<RebuildBounds>;
  alerts?: Partial<AlertBounds>;
  /** Between two readings of the disk. */
  diskRestMs?: number;
  lingerMs?: number;
  passwordCost?: PasswordCost;
  /** For a whole request to come in. */
  requestMs?: number;
  maxConnections?: number;
};

/**
 * Wires everything: services first, then guards, then routes. Nothing listens yet; closing the application closes all
 * that was opened here.
 * @throws Error that names DATA_DIR where the database can't be opened
 */
export async function buildApp(config: Config, bounds: Bounds = {}): Promise<App> {
  const requestTimeout = bounds.requestMs ?? requestMs;
  const app: App = fastify({
    logger: config.logLevel === 'silent' ? false : { level: config.logLevel, serializers: { req: toLogged } },
    trustProxy: config.trustProxy,
    bodyLimit,
    http: {
      maxHeaderSize,
      headersTimeout: requestTimeout,
      connectionsCheckingInterval: Math.min(requestLookMs, requestTimeout),
    },
    requestTimeout,
    // Else a text such as 1e999 becomes a number that is in no bounds and is not held against them.
    ajv: { customOptions: { strictNumbers: false } },
    routerOptions: { maxParamLength, ignoreTrailingSlash: true },
    genReqId: () => randomUUID().slice(0, 13),
    forceCloseConnections: 'idle',
    frameworkErrors: (error, request, reply) => sendBare(error, request, reply.headers(bareHeaders)),
    clientErrorHandler: refuseUnread,
  }).withTypeProvider<TypeBoxTypeProvider>();
  app.server.maxConnections = bounds.maxConnections ?? maxConnections;
  const eta = createEta();
  const render: Render = (name, data) => eta.render(name, data);
  const services = await openServices(app, config, bounds);

  app.decorate('setupPath', () => (services.setupCode ? `/setup?code=${services.setupCode.text}` : ''));
  await registerGuards(app, config, services);
  measureRequests(app, services.metrics);
  // `production` keeps the plugin from switching the shared engine's cache off.
  await app.register(fastifyView, { engine: { eta }, templates: viewsFolder, production: true });
  await app.register(async (scope) => registerRoutes(scope as App, config, services, render), {
    prefix: config.basePath,
  });
  if (config.basePath) registerOutside(app, services);
  return app;
}

/** A request as the log has it: without the code of a setup and an embed's link, which let in whoever reads them. */
const toLogged = ({ method, url, host, ip }: { method: string; url: string; host: string; ip: string }) => ({
  method,
  url: url.replace(/([?&]code=)[^&]*/g, '$1…').replace(/(\/embed\/)[^/?]+|(?<=\/)[\w-]{43}(?=[/?]|$)/g, '$1…'),
  host,
  remoteAddress: ip,
});

/** What is answered outside the base path: health and metrics, for whoever does not come through the proxy. */
function registerOutside(app: App, services: Services) {
  registerHealth(app, services);
  registerMetrics(app, services);
  app.setNotFoundHandler((request, reply) =>
    sendBare(new Problem('not_found', 'There is no such page.'), request, reply),
  );
}

type Services = Awaited<ReturnType<typeof openServices>>;

async function openServices(app: App, config: Config, bounds: Bounds) {
  const database = await openDatabase(config.dataDir);
  const docker = createDocker(config.docker, bounds.engine, config.readOnly ? changing : new Set());
  const attention = createAttention(bounds.lingerMs);
  const inventory = createInventory(docker, app.log, attention);
  const rights = createEngineRights({ docker, inventory, isReadOnly: config.readOnly, log: app.log });
  const running = () => inventory.containers().filter((container) => container.state === 'running');
  const stats = createStats({
    docker,
    database,
    intervalSeconds: config.statsInterval,
    retentionDays: config.statsRetentionDays,
    running,
    isPodman: () => inventory.engine().isPodman,
    machineMemoryBytes: () => inventory.engine().memoryBytes,
    log: app.log,
  });
  const diskUsage = createDiskUsage({ docker, ...(bounds.diskRestMs !== undefined && { restMs: bounds.diskRestMs }) });
  const logs = createLogs(docker, {
    isRunning: (id) => ['running', 'paused'].includes(inventory.container(id)?.state ?? ''),
  });
  const live = createLive(undefined, app.log);
  const metrics = createMetrics({
    docker,
    inventory,
    stats,
    live,
    database,
    version,
    intervalSeconds: config.statsInterval,
  });
  const work = await openWork(app, config, bounds, { database, docker, inventory, logs });
  const history = await openHistory(app, { database, docker, inventory, logs }, stats, work.operations);
  const secretBox = createSecretBox(config);
  const alerts = await openAlerts(
    app,
    config,
    bounds,
    { database, docker, inventory, logs, secretBox },
    stats,
    history,
  );
  const access = await openAccess(app, config, bounds, { database, secretBox });
  followInventory(inventory, stats, logs);
  if (config.statsInterval > 0) attention.hold();
  lookWhileAtWork(attention, work.operations);
  lookWhileWatched(attention, alerts);
  app.addHook('onReady', async () => {
    await alerts.start();
    inventory.start();
    void stats.start();
    // So that the first page already shows what there is; an engine that is away or silent holds nobody up for long.
    await Promise.race([inventory.ready.then(rights.settled), setTimeout(firstLookMs, undefined, { ref: false })]);
  });
  // Requests under way are answered first; what goes on without end is cut, so that the whole takes less than 5 s.
  app.addHook('preClose', () => {
    void work.operations.close();
    globalThis.setTimeout(() => app.server.closeAllConnections(), drainMs).unref();
    logs.close();
  });
  app.addHook('onClose', async () => {
    await work.operations.close();
    work.rebuilds.close();
    work.updates.close();
    await alerts.close();
    logs.close();
    diskUsage.close();
    await stats.close();
    rights.close();
    inventory.close();
    await history.close();
    await access.audit.close();
    docker.close();
    await database.close();
  });
  return {
    database,
    docker,
    inventory,
    rights,
    attention,
    stats,
    diskUsage,
    logs,
    mergedLogs: createMergedLogs(logs),
    live,
    metrics,
    history,
    alerts,
    secretBox,
    ...access,
    ...work,
  };
}

type Core = {
  database: Awaited<ReturnType<typeof openDatabase>>;
  docker: ReturnType<typeof createDocker>;
  inventory: Inventory;
  logs: Logs;
};

/** Who may do what, and what they did. The first admin comes from the settings, or from who has the code of this start. */
async function openAccess(
  app: App,
  config: Config,
  { passwordCost }: Bounds,
  { database, secretBox }: Pick<Core, 'database'> & { secretBox: SecretBox },
) {
  const users = await createUsers(database, createPasswords(passwordCost), (origin) => comesIn(config, origin));
  // Users from elsewhere may be there before anybody who can make an admin of somebody.
  const needsAdmin = () => config.auth === 'password' && !users.hasAdmin();
  const password = config.adminPassword;
  if (needsAdmin() && password !== '' && !users.named(firstAdmin)) {
    await users.add({ name: firstAdmin, password, role: 'admin', scope: null });
  }
  return {
    users,
    sessions: createSessions(database),
    tokens: await createTokens(database),
    embeds: await createEmbeds(database),
    needsAdmin,
    setupCode: needsAdmin() ? createSetupCode() : undefined,
    signInLimit: createSignInLimit(),
    secondFactors: await createSecondFactors(database, secretBox),
    passkeys: await createPasskeys(database),
    codeLimit: createCodeLimit(),
    singleSignOn: openSingleSignOn(config),
    isProxy: createProxyTest(config.trustProxy),
    audit: createAudit(database, app.log),
  };
}

/** Whether people of another place can come in, as this is set now; an issuer has the same name with a slash behind it. */
function comesIn({ auth, oidcIssuer }: Config, origin: string): boolean {
  if (auth === 'proxy') return origin === 'proxy';
  return oidcIssuer !== '' && origin.replace(/\/$/, '') === oidcIssuer.replace(/\/$/, '');
}

/** Where people may sign in elsewhere, beside their passwords here. */
function openSingleSignOn(config: Config): SingleSignOn | undefined {
  if (config.oidcIssuer === '' || config.auth !== 'password') return undefined;
  return createSingleSignOn({
    issuer: config.oidcIssuer,
    clientId: config.oidcClientId,
    clientSecret: config.oidcClientSecret,
    scopes: config.oidcScopes,
    usernameClaim: config.oidcUsernameClaim,
    groupsClaim: config.oidcGroupsClaim,
    callbackUrl: `${config.publicUrl}/login/oidc/callback`,
    groups: { admin: config.adminGroups, operator: config.operatorGroups, viewer: config.viewerGroups },
  });
}

/** What takes longer than a click: operations, and all that becomes one. */
async function openWork(app: App, config: Config, bounds: Bounds, { database, docker, inventory, logs }: Core) {
  const { log } = app;
  const journal = createRebuildJournal(database);
  const left = (await journal.unfinished()).map(({ operation, claims }) => [operation, claims] as const);
  const operations = await createOperations(database, log, new Map(left));
  const credentials = createCredentialStore(config.dockerConfig);
  const intervalHours = config.updateCheckHours;
  const updates = await createUpdates({ docker, database, inventory, operations, credentials, intervalHours, log });
  const pulls = createPulls({ docker, operations, credentials, inventory, onPulled: updates.pulled });
  const projects = createProjects(docker, inventory, operations);
  const rebuilds = createRebuilds({
    docker,
    inventory,
    operations,
    pulls,
    journal,
    logs,
    rules: {
      own: await readOwnContainer(),
      engine: config.docker,
      allowsPrivileged: config.enable.includes('privileged'),
    },
    bounds: {
      healthyMs: config.rebuildHealthySeconds * 1_000,
      steadyMs: config.rebuildSteadySeconds * 1_000,
      persistMs: 120_000,
      lateMs: 2_000,
      watchMs: 3_600_000,
      retryMs: 60_000,
      ...bounds.rebuild,
    },
    isReadOnly: config.readOnly,
    log,
  });
  app.addHook('onReady', async () => updates.start());
  return { operations, pulls, projects, rebuilds, updates };
}

/** What happened, and what containers said before they died. */
async function openHistory(app: App, { database, inventory, logs }: Core, stats: Stats, operations: Operations) {
  const history = await createHistory({
    database,
    operations,
    container: inventory.container,
    latestFigures: stats.latest,
    readLines: readerOf(logs),
    figuresBefore: async (id, at) => lastSample(await stats.history(id, '1h'), at),
    log: app.log,
  });
  inventory.keepEvents(history.reader);
  return history;
}

/** Reads the newest lines of a container's log, so many at most. */
const readerOf = (logs: Logs) => async (id: string, tail: number, signal: AbortSignal) =>
  (await logs.read(id, { tail }, signal)).lines;

/** The same for what is kept and sent elsewhere: without secrets, and no longer than it is told. */
function maskedReaderOf(logs: Logs) {
  const read = readerOf(logs);
  return async (...wanted: Parameters<typeof read>) =>
    (await read(...wanted)).map(({ at, text }) => ({ at, text: maskStart(stripAnsi(text), maxLineText) }));
}

/** Rules over what happens here, and who is told. */
function openAlerts(
  app: App,
  config: Config,
  bounds: Bounds,
  core: Core & { secretBox: SecretBox },
  stats: Stats,
  history: History,
) {
  const { database, docker, inventory, logs, secretBox } = core;
  const cpuLimits = createCpuLimits({ inspect: docker.inspectContainer, now: Date.now });
  inventory.onChange(({ touched, removed }) => {
    for (const id of [...touched, ...removed]) cpuLimits.drop(id);
  });
  app.addHook('onClose', async () => cpuLimits.close());
  const guard = createTargetGuard({ privateTargets: config.alertPrivateTargets });
  const mailer = config.smtp ? createMailer(config.smtp, config.smtpFrom) : null;
  return createAlerts({
    database,
    history,
    inventory,
    stats,
    logs,
    secretBox,
    sender: createAlertSender({ guard, post: createGuardedPost(guard), mailer }),
    words: createAlertTexts(config.publicUrl),
    note: history.note,
    disk: () => diskUseOf(config.dataDir),
    cpuLimit: cpuLimits.of,
    lastLines: maskedReaderOf(logs),
    hasFigures: config.statsInterval > 0,
    maxGapMs: maxGapMs(config.statsInterval),
    bounds: bounds.alerts ?? {},
    log: app.log,
  });
}

/** The last of some samples that was taken before a moment, ms since 1970. */
function lastSample({ samples }: Awaited<ReturnType<Stats['history']>>, at: number): LastFigures | null {
  const last = samples.findLast((sample) => Date.parse(sample.at) <= at);
  return last ? { ...last, at: Date.parse(last.at) } : null;
}

/** What follows from the inventory's changes in services that don't know it. */
function followInventory(inventory: Inventory, stats: Stats, logs: Logs) {
  inventory.onChange((change) => {
    for (const id of change.started) logs.resume(id);
    for (const id of change.removed) stats.forget(id);
    for (const id of change.changed) if (inventory.container(id)?.state !== 'running') stats.forget(id);
    if (change.engine && inventory.engine().status === 'connected') logs.resumeAll();
  });
}

/** An engine that hangs is noticed while something is done with it. */
function lookWhileAtWork(attention: Attention, operations: Operations) {
  let leave: (() => void) | undefined;
  operations.onChange(() => {
    if (operations.active().length > 0) leave ??= attention.hold();
    else {
      leave?.();
      leave = undefined;
    }
  });
}

/** A rule looks while nobody does: an engine that hangs would let it wait for ever. */
function lookWhileWatched(attention: Attention, alerts: Alerts) {
  let leave: (() => void) | undefined;
  function look() {
    if (alerts.rules().some(({ enabled }) => enabled)) leave ??= attention.hold();
    else {
      leave?.();
      leave = undefined;
    }
  }
  alerts.onChange(look);
  look();
}

async function registerGuards(app: App, config: Config, services: Services) {
  const { live, attention, inventory, rights, audit } = services;
  app.addHook('onRoute', (route) => {
    const path = route.url.slice(route.prefix.length) || '/';
    const methods = [route.method].flat();
    const access = accessOfRoute(methods, path);
    route.config = { ...route.config, access, isForLimited: isRouteForLimited(methods, path), path };
  });
  auditRequests(app, audit, inventory);
  app.addHook('preHandler', async (request, reply) => {
    if (request.routeOptions.config.access === 'public') return;
    // Machines ask again and again: each time once.
    if (!request.routeOptions.config.isProbe) attention.glance();
    if (!request.ws && !reply.raw.destroyed) reply.raw.once('close', attention.hold());
    await inventory.checked();
  });
  app.addHook('onSend', async (request, reply) => {
    sendOwnHeaders(reply);
    allowEmbedding(request, reply, config);
    sendEmbedHeaders(request, reply);
  });
  await app.register(fastifyHelmet, helmetOptions(config));
  await app.register(fastifyRateLimit, rateLimitOptions(config));
  app.addHook('onRequest', async (request) => dropCredentials(request));
  await app.register(fastifyCookie);
  await app.register(fastifySession, sessionOptions({ config, sessions: services.sessions }));
  await app.register(fastifyFormbody, { bodyLimit });
  await app.register(fastifyWebsocket, { options: { maxPayload: 1024 }, preClose: () => drainSockets(app, live) });
  // Behind the plugins' own hooks: a refusal has their headers, counts to the limit of requests, and a refused upgrade's
  // connection is ended by them. Before anything that was sent along is read: only who may send it is told its faults.
  app.addHook('preParsing', async (request) => {
    checkForwarded(request);
    checkHost(request, config);
    checkSite(request);
    checkUpgrade(request);
    const { access, isForLimited = false } = request.routeOptions.config;
    if (access === 'embed') request.principal = await admitByLink(request, services.embeds);
    else
      request.principal = await identify(request, { config, ...services }).catch((error: unknown) => {
        if (access === 'public' && isProblem(error)) return undefined;
        throw error;
      });
    if (!access) return;
    checkAccess(access, request.principal, rights);
    checkScope(isForLimited, request.principal);
  });
  app.decorateRequest('principal');
  app.decorateRequest('embed');
  await app.register(fastifySwagger, openApiOptions);
}

const rateLimitOptions = (config: Config) => ({
  max: config.maxRequestsPerMinute,
  timeWindow: 60_000,
  errorResponseBuilder: () => new Problem('rate_limited', 'Too many requests. Wait a little and try again.'),
});

const openApiOptions = {
  openapi: {
    info: { title: 'Fairlead', description: 'A light web interface for Docker', version },
  },
  hideUntagged: true,
  transform: ({ schema, url }: { schema: FastifySchema | undefined; url: string }) => ({
    schema: schema ? describeOperation(schema) : { hide: true },
    url,
  }),
};

/** Every operation can fail, told in the same form; and every parameter has a default, so that none has to be sent. */
function describeOperation(schema: FastifySchema): FastifySchema {
  const response = { ...(schema.response as object), default: problemResponse };
  const { querystring } = schema;
  return { ...schema, response, ...(querystring ? { querystring: { ...querystring, required: [] } } : {}) };
}

async function registerRoutes(app: App, config: Config, services: Services, render: Render) {
  const assets = registerAssets(app, config.basePath);
  const rowFigures = createRowFigures(services.stats);
  const messages = createMessages(config);
  const deps: Deps = { ...services, config, render, rowFigures, assets, messages };
  const depsOf = createDepsOf(deps);
  registerErrors(app, deps);
  registerHealth(app, services);
  registerMetrics(app, services);
  registerPreferences(app, deps);
  registerDashboard(app, deps);
  registerContainers(app, depsOf);
  registerLogs(app, depsOf);
  registerMergedLogs(app, depsOf);
  registerStats(app, depsOf);
  registerProjects(app, depsOf);
  registerRebuild(app, depsOf);
  registerImageWork(app, deps);
  registerImages(app, deps);
  registerOperations(app, depsOf);
  registerEvents(app, depsOf);
  registerAlerts(app, deps);
  const entrance = createEntrance(deps);
  registerSignIn(app, deps, entrance);
  registerAccount(app, deps, entrance);
  registerSecondFactor(app, deps, entrance);
  registerSingleSignOn(app, deps, entrance);
  registerUsers(app, deps);
  registerTokens(app, deps);
  registerEmbeds(app, deps);
  registerAudit(app, deps);
  const sockets = createSockets(deps);
  registerLive(app, deps, depsOf, sockets);
  registerEmbed(app, deps, depsOf, sockets);
  app.get('/', (_request, reply) => reply.redirect(`${config.basePath}/containers`, 302));
  app.get('/api/openapi.json', () => app.swagger());
}
