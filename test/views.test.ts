import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import t from 'tap';
import { createEta } from '../src/render.ts';
import type { AlertState, Channel, Notification, Rule } from '../src/services/alert-types.ts';
import { type Container, toContainer } from '../src/services/containers.ts';
import type { EngineContainerDetail, EngineImageDetail } from '../src/services/docker-types.ts';
import type { EmbedView } from '../src/services/embed-views.ts';
import type { KeptEvent, Mark } from '../src/services/event-types.ts';
import { createSearch } from '../src/services/log-search.ts';
import type { LogLine } from '../src/services/logs.ts';
import type { Operation } from '../src/services/operation-types.ts';
import type { Overview } from '../src/services/overview.ts';
import type { RebuildPreview } from '../src/services/rebuilds.ts';
import { maskArgumentsText, maskStart, maskText, maskValueText, toText } from '../src/services/secrets.ts';
import type { Token } from '../src/services/tokens.ts';
import type { User } from '../src/services/users.ts';
import * as format from '../src/views/format.ts';
import {
  accountModel,
  auditListModel,
  tokenListModel,
  userFormModel,
  userListModel,
} from '../src/views/models/access.ts';
import { alertBoardModel, channelFormModel, ruleFormModel } from '../src/views/models/alerts.ts';
import { chartsModel, type StatsSample } from '../src/views/models/charts.ts';
import { detailModel, headModel, removeContainerModel } from '../src/views/models/container.ts';
import { groupModel, listModel, projectPageModel, projectSlug, rowModel } from '../src/views/models/containers.ts';
import type { Can, ViewContext } from '../src/views/models/context.ts';
import { type DashboardInput, dashboardModel } from '../src/views/models/dashboard.ts';
import { diskModel } from '../src/views/models/disk.ts';
import { embedListModel } from '../src/views/models/embed-list.ts';
import { badgeModel, logModel, tableModel, tileModel } from '../src/views/models/embeds.ts';
import { eventListModel, eventModel, eventPageModel } from '../src/views/models/events.ts';
import {
  type Image,
  imageDetailModel,
  imageListModel,
  imageRowModel,
  removeImageModel,
} from '../src/views/models/image.ts';
import { pruneModel, pullModel } from '../src/views/models/image-work.ts';
import { toFolded } from '../src/views/models/log-folding.ts';
import {
  type LineOptions,
  type LogViewerInput,
  logGapModel,
  logLineModel,
  logLinesModel,
  logStateModel,
  logViewerModel,
} from '../src/views/models/logs.ts';
import { chooserModel, mergedLineModel } from '../src/views/models/merged-logs.ts';
import { operationListModel, operationModel, operationsNowModel } from '../src/views/models/operations.ts';
import { hostName, toPortModels } from '../src/views/models/ports.ts';
import { rebuildModel, rebuildProjectModel } from '../src/views/models/rebuild.ts';
import { proposalModel, recoveryModel } from '../src/views/models/second-factor.ts';
import { exitWords, toStateModel } from '../src/views/models/states.ts';

const eta = createEta();
const now = Date.parse('2025-01-24T14:15:00Z');
const id = 'ab'.repeat(32);
const imageId = `sha256:${'cd'.repeat(32)}`;
const all: Can = {
  all: true,
  control: true,
  remove: true,
  images: true,
  rebuild: true,
  alerts: true,
  admin: true,
  reveal: true,
  refused: [],
};
const nothing: Can = {
  all: true,
  control: false,
  remove: false,
  images: false,
  rebuild: false,
  alerts: false,
  admin: false,
  reveal: false,
  refused: [],
};
const context: ViewContext = { now, host: 'docker.example:3000', base: '/sub', can: all };
const hostile = `"'><img src=x onerror=alert(1)><script>alert(2)</script>\u202e\0 style="x" javascript:alert(3) ${'long '.repeat(300)}`;

/** The charts of a container over the last hour. */
const hour = { path: `/containers/${id}/stats`, window: { range: '1h', from: now - 3_600_000, to: now } };

type Names = { name?: string; project?: string; service?: string; image?: string; state?: string; status?: string };

function container({
  name = 'shop-web-1',
  project = 'shop',
  service = 'web',
  image = 'nginx:1.27',
  ...rest
}: Names = {}) {
  const ports = [
    { IP: '0.0.0.0', PublicPort: 8080, PrivatePort: 80, Type: 'tcp' },
    { IP: '127.0.0.1', PublicPort: 8443, PrivatePort: 443, Type: 'tcp' },
    { IP: '::', PublicPort: 53, PrivatePort: 53, Type: 'udp' },
    { PrivatePort: 9000, Type: 'tcp' },
  ];
  const labels = { 'com.docker.compose.project': project, 'com.docker.compose.service': service };
  return toContainer(
    {
      Id: id,
      Names: [`/${name}`],
      Image: image,
      ImageID: imageId,
      Created: now / 1000 - 9 * 86_400,
      State: rest.state ?? 'running',
      Status: rest.status ?? 'Up 3 minutes',
      Labels: project ? labels : {},
      Ports: ports,
    },
    now,
  );
}

const figures = {
  cpuPercent: 12.34,
  memoryBytes: 412e6,
  memoryLimitBytes: 1e9,
  spark: { line: 'M0 0', area: 'M0 0z' },
};

function inspect(text: string): EngineContainerDetail {
  return {
    Id: id,
    Created: '2025-01-21T09:14:02.1Z',
    Image: imageId,
    RestartCount: 2,
    State: {
      StartedAt: '2025-01-24T14:10:13Z',
      FinishedAt: '2025-01-24T14:10:12Z',
      ExitCode: 137,
      OOMKilled: true,
      Error: text,
      Health: {
        Status: 'unhealthy',
        FailingStreak: 3,
        Log: [{ End: '2025-01-24T14:14:50Z', ExitCode: 1, Output: text }],
      },
    },
    Mounts: [
      { Type: 'volume', Name: 'ef'.repeat(32), Destination: text, RW: true },
      { Type: 'bind', Source: text, Destination: '/etc/x', RW: false },
    ],
    Config: {
      Hostname: text,
      User: text,
      WorkingDir: text,
      Image: text,
      Env: [`PLAIN=${text}`, 'DB_PASSWORD=hunter2-one', 'DATABASE_URL=postgres://shop:hunter2-two@db/shop', 'NOVALUE'],
      Cmd: ['run', '--password=hunter2-three', '--api-token', 'hunter2-four', text],
      Entrypoint: ['sh', '-c', 'login --secret hunter2-five'],
      Labels: { [text]: text, 'deploy.key': 'hunter2-six', plain: 'https://u:hunter2-seven@host/path' },
      Healthcheck: { Test: ['CMD-SHELL', `curl -H "Authorization: Bearer hunter2-eight" ${text}`], Interval: 30e9 },
    },
    HostConfig: {
      NetworkMode: text,
      RestartPolicy: { Name: 'on-failure', MaximumRetryCount: 5 },
      Privileged: true,
      Memory: 512e6,
      MemorySwap: 512e6,
      NanoCpus: 1.5e9,
      PidsLimit: 256,
    },
    NetworkSettings: { Networks: { [text]: { IPAddress: '172.20.0.6', Aliases: [text] } } },
  };
}

const image = (tag: string): Image => ({
  id: imageId,
  tags: [tag, `${tag}b`, `${tag}c`, `${tag}d`],
  size: 212e6,
  createdAt: now - 3 * 86_400_000,
  repoDigests: [`${tag}@${imageId}`],
  parentId: imageId,
  labels: { [tag]: tag },
  containers: [{ id, name: tag, state: 'exited' }],
  dangling: false,
});

const imageInspect = (text: string): EngineImageDetail => ({
  Id: imageId,
  Os: text,
  Architecture: 'amd64',
  Author: text,
  Config: {
    Env: ['NPM_TOKEN=hunter2-nine'],
    Cmd: text,
    Labels: { [text]: text },
    ExposedPorts: { [text]: {} },
    Volumes: {},
  },
});

const sample = (seconds: number, change: Partial<StatsSample> = {}): StatsSample => ({
  at: new Date(now - seconds * 1000).toISOString(),
  cpuPercent: 10,
  memoryBytes: 400e6,
  memoryLimitBytes: 512e6,
  networkRxBytes: 1e6 - seconds,
  networkTxBytes: 1e5,
  blockReadBytes: 0,
  blockWriteBytes: 5,
  pids: 7,
  ...change,
});

/** A line of JSON with a text wherever one can stand. */
function foldedOf(text: string) {
  const fields = { level: text, [text]: text, [`${text} too`]: { a: text }, msg: text };
  return toFolded(JSON.stringify(fields), createSearch({ q: text.slice(0, 5) })?.mark);
}

const line = (text: string, cursor = 'c1'): LogLine => ({
  at: '2025-01-24T14:14:59.123456789Z',
  cursor,
  stream: 'stderr',
  text,
  container: id,
});

const query = { q: '', state: '', project: '', sort: '' };
const counts = { all: 1, running: 1, trouble: 0, paused: 0, stopped: 0, shown: 1, groups: 1 };

/** Every template with data of its own, all of whose foreign texts are `text`. */
function templates(text: string, can: Can = all): Record<string, object> {
  const view = { ...context, can };
  const foreign = container({ name: text, project: text, service: text, image: text });
  const group = {
    project: text,
    title: foreign.projectTitle,
    running: 1,
    total: 1,
    rows: [{ container: foreign, figures }],
  };
  const projects = [{ name: text, title: foreign.projectTitle }];
  const list = listModel(
    { groups: [group], query: { ...query, q: text, state: text }, counts, projects, engineKnown: true },
    view,
  );
  const empty = listModel(
    { groups: [], query: { ...query, q: text }, counts: { ...counts, shown: 0 }, projects, engineKnown: true },
    view,
  );
  const row = rowModel(foreign, figures, view);
  const detail = detailModel(
    { container: { ...foreign, state: 'exited' }, inspect: inspect(text), imageTags: [text], figures, reveal: false },
    view,
  );
  const imageQuery = { q: text, sort: '', dangling: '' };
  const imageCounts = { all: 1, dangling: 0, unused: 0, shown: 1 };
  const images = imageListModel({ images: [image(text)], query: imageQuery, counts: imageCounts, totalSize: 1 }, view);
  const noImages = imageListModel({ images: [], query: imageQuery, counts: imageCounts, totalSize: 1 }, view);
  const imageDetail = imageDetailModel(
    {
      image: image(text),
      inspect: imageInspect(text),
      layers: [{ Id: text, CreatedBy: text, Comment: text, Size: 5 }],
    },
    view,
  );
  const samples = [sample(30), sample(20, { cpuPercentMax: 50 }), sample(10)];
  const charts = chartsModel({ stepSeconds: 10, samples }, hour, view);
  const ofText = [{ project: text, title: text, running: 1, total: 1, containers: [container({ name: text })] }];
  const chooser = chooserModel(ofText, [text], [text], view);
  const pageHref = `/sub/logs?container=${encodeURIComponent(text)}`;
  const toLines = (options: LineOptions) => ({
    entries: [mergedLineModel(line(text), { label: text, hue: 1 }, { ...options, pageHref })],
  });
  const logs = logViewerModel(
    {
      merged: { toLines, marked: text, notes: [text], isPartial: false, names: [text], chooser },
      title: text,
      href: '/sub/containers/web/logs',
      fragmentHref: '/sub/fragments/containers/web/logs',
      backHref: '/sub/containers/web',
      live: `/sub/live?q=${encodeURIComponent(text)}`,
      slice: { lines: [line(text)], earlier: text, later: text, isCutShort: false, end: text },
      query: {
        q: text,
        regex: text,
        case: text,
        invert: '',
        stream: text,
        level: text,
        context: text,
        tail: text,
        since: text,
        until: text,
        at: text,
      },
      search: createSearch({ q: text }),
      place: '',
      at: undefined,
      pane: false,
    },
    view,
  );
  const message = { kind: 'error', text, engineMessage: text, results: [{ name: text, ok: false, text }] };
  const engine = { status: 'unreachable', text, detail: text, address: text, since: now };
  const pieces = [
    { text, masked: false },
    { text: '', masked: true },
  ];
  const moment = { text, iso: text, ago: text };
  const state = { glyph: text, symbol: text, word: text, code: text, title: text };
  const work = workTemplates(text, view);
  const shell = {
    ...{
      base: '/sub',
      can,
      theme: 'dark',
      density: 'dense',
      demo: true,
      limits: text,
      nav: 'containers',
      topics: [],
      title: text,
      user: text,
    },
    ...{
      live: text,
      engine,
      assets: { css: '/sub/app.css', js: '/sub/app.js' },
      messages: [message],
      body: '<p>body</p>',
      ...work.now,
    },
  };
  const fate = { title: text, tone: 'tone-bad', icon: 'i-x', items: [text] };
  const problem = { status: 404, title: text, detail: text, engineMessage: text, requestId: text };
  const rendered = { headHtml: '<p>head</p>', detailHtml: '', chartsHtml: '', logsHtml: '' };
  const cells = ['row', 'state', 'name', 'image', 'ports', 'cpu', 'memory', 'age', 'actions'];
  return {
    ...Object.fromEntries(cells.map((cell) => [`fragments/containers/${cell}`, row])),
    ...Object.fromEntries(
      ['group', 'group-head', 'group-actions', 'project-actions'].map((name) => [
        `fragments/containers/${name}`,
        groupModel(group, view),
      ]),
    ),
    ...Object.fromEntries(
      ['list', 'columns', 'summary', 'toolbar', 'filters', 'projects'].map((name) => [
        `fragments/containers/${name}`,
        list,
      ]),
    ),
    'fragments/containers/empty': empty,
    'fragments/container/head': headModel(foreign, view),
    'fragments/container/state': headModel(foreign, view),
    'fragments/container/actions': headModel(foreign, view),
    'fragments/container/detail': detail,
    'fragments/container/health': { health: detail.detail.health },
    ...Object.fromEntries(
      ['list', 'summary', 'toolbar', 'filters', 'work', 'pull-form'].map((name) => [
        `fragments/images/${name}`,
        images,
      ]),
    ),
    'fragments/images/row': imageRowModel(image(text), view),
    'fragments/images/empty': noImages,
    'fragments/images/pull-button': { action: '/sub/images/pull', reference: text, busy: null, icon: true },
    'fragments/image/detail': imageDetail,
    'fragments/image/layers': imageDetail,
    'fragments/image/state': imageDetail,
    'fragments/image/actions': imageDetail,
    ...dashboardTemplates(text, foreign, view),
    'fragments/stats/charts': charts,
    'fragments/stats/chart': charts.stats.charts[0] ?? {},
    'fragments/logs/viewer': logs,
    'fragments/logs/notes': { notes: [text] },
    'fragments/logs/chooser': chooser,
    'pages/choose-logs': chooser,
    'fragments/logs/toolbar': logs,
    'fragments/logs/when': logs,
    'fragments/logs/display': logs,
    'fragments/logs/line': logLineModel(line(text), { base: '/sub', mark: createSearch({ q: text })?.mark }),
    'fragments/logs/folded': { folded: foldedOf(text) },
    'fragments/logs/segments': { segments: [{ text, classes: 'ansi-red', found: true }] },
    'fragments/logs/gap': logGapModel({ since: text }),
    'fragments/logs/lines': { linesHtml: '<p>lines</p>' },
    'fragments/logs/entries': logLinesModel([line(text)], { base: '/sub' }),
    'fragments/logs/state': logStateModel('retrying'),
    'fragments/engine-status': { engine },
    'fragments/engine-notice': { engine },
    'fragments/limits': { limits: text },
    'fragments/messages': { messages: [message], ...work.now },
    'fragments/message': { base: '/sub', message },
    'fragments/answer': { base: '/sub', message },
    'fragments/busy': { busy: { word: text, href: '/sub/operations/7' } },
    'fragments/update': { update: { state: 'failed', text, title: text } },
    'fragments/login': { registries: [text] },
    'fragments/art': {},
    'fragments/density': {},
    'fragments/command': { text },
    'fragments/text': { pieces },
    'fragments/pairs': { pairs: [{ name: text, pieces }] },
    'fragments/arguments': { args: [pieces, pieces] },
    'fragments/moment': { moment },
    'fragments/state': { state, pill: true },
    'fragments/port': { port: { host: text, inner: text, href: null, title: text } },
    'fragments/column': { name: 'c-name', sort: { href: '/sub/containers', label: text, direction: 'ascending' } },
    'fragments/fate': fate,
    'layouts/page': shell,
    'layouts/header': shell,
    'layouts/preferences': shell,
    'layouts/icons': {},
    'layouts/mark': {},
    'pages/containers': list,
    'pages/container': rendered,
    'pages/stats': rendered,
    'pages/images': images,
    'pages/image': imageDetail,
    'pages/logs': logs,
    'pages/project': { ...projectPageModel(group, view), logsHtml: '' },
    'pages/remove-container': removeContainerModel({ container: foreign, inspect: inspect(text) }, view),
    'pages/remove-image': removeImageModel(image(text), view),
    'pages/error': { base: '/sub', problem },
    ...work.templates,
    ...eventTemplates(text, view),
    ...alertTemplates(text, view),
    ...accessTemplates(text, view),
    ...embedTemplates(text, view),
  };
}

/** What embeds show in pages elsewhere, and the page of their links, with one that was just made. */
function embedTemplates(text: string, view: ViewContext) {
  const frame = (look: EmbedView['look']) =>
    ({ id: 3, view: { look, of: 'project', name: text }, theme: 'dark' }) as const;
  const member = { container: container({ name: text }), figures };
  const { embed: badge } = badgeModel(frame('badge'), member, view.now);
  const tile = tileModel(frame('tile'), member, view.now);
  const table = tableModel(frame('table'), [member], view.now);
  const who = () => ({ label: text, hue: 2 });
  const log = logModel(frame('log'), [line(text), { gap: { lines: 3 }, container: id }], who, [text]);
  const moments = { createdAt: view.now - 9_000, usedAt: view.now - 5_000, expiresAt: view.now - 1_000 };
  const embed = { id: 3, view: frame('badge').view, origins: [text], owner: text, ...moments };
  const made = { embed, view: text, url: `https://docker.example/embed/${text}`, link: 'A'.repeat(43) };
  return {
    'fragments/embed/embed': log,
    'fragments/embed/badge': { badge: badge.badge },
    'fragments/embed/figures': { figures: tile.embed.figures },
    'fragments/embed/glyph': { glyph: text },
    'fragments/embed/state': { state: tile.embed.state },
    'fragments/embed/table': table,
    'layouts/embed': {
      base: '/sub',
      assets: { css: '/sub/app.css', js: '/sub/app.js', embedCss: '/sub/embed.css' },
      theme: 'dark',
      refreshSeconds: 10,
      title: text,
      live: `/sub/embed/${text}/live`,
      coloursHref: '/sub/embed/x/colours.css',
      fragmentHtml: '',
    },
    'pages/embeds': embedListModel({ rows: [{ embed, view: text }], names: [text], view: `badge:${text}`, made }, view),
  };
}

/** What shows who may get in and what they did: a locked user, a token that was just made and has ended, a refusal. */
function accessTemplates(text: string, view: ViewContext) {
  const moments = { createdAt: view.now - 9_000, usedAt: view.now - 5_000, expiresAt: view.now - 1_000 };
  const user: User = {
    ...{ id: 7, name: text, role: 'operator', scope: [text], locked: true },
    ...{ createdAt: moments.createdAt, passwordAt: moments.createdAt, origin: null, subject: null },
  };
  const token: Token = { id: 3, name: text, capabilities: ['read', 'control'], scope: [text], owner: text, ...moments };
  const session = { client: text, startedAt: moments.createdAt, seenAt: view.now };
  const entry = {
    id: 9,
    at: view.now,
    actor: text,
    client: text,
    action: text,
    target: text,
    detail: text,
    container: text,
  } as const;
  const entries = [
    { ...entry, result: 'refused' as const },
    { ...entry, result: 'done' as const, actor: '' },
  ];
  const audit = auditListModel(entries, { actor: text, target: text, result: 'refused', limit: 1 }, view);
  return {
    'pages/login': {
      base: '/sub',
      to: `/containers?q=${text}`,
      fault: text,
      needsSetup: false,
      hasPasskeys: true,
      sso: text,
    },
    'pages/second': { base: '/sub', to: `/containers?q=${text}`, fault: text, hasPasskeys: true },
    'fragments/passkey-sign-in': { base: '/sub', to: `/containers?q=${text}`, hasPasskeys: true },
    'pages/second-factor': proposalModel({ secret: text, uri: 'otpauth://x', ticket: text, fault: text }, view),
    'pages/recovery-codes': recoveryModel([text], view),
    'pages/setup': { base: '/sub', code: text, fault: text },
    'pages/account': accountModel(
      user,
      {
        app: { since: now, codesLeft: 3 },
        passkeys: [{ id: 1, name: text, createdAt: now, usedAt: now }],
        allowsPasskeys: true,
      },
      [
        { ...session, id: 'one' },
        { ...session, id: 'two' },
      ],
      'one',
      view,
    ),
    'pages/users': userListModel([user], () => true, view),
    'pages/user': userFormModel(user, true, view),
    'pages/tokens': tokenListModel([token], view, { token, text }),
    'pages/audit': audit,
    'fragments/audit/list': audit,
    'fragments/access-tabs': { base: '/sub', tab: 'users' },
  };
}

/** What shows alerts: a rule of each kind that has fields of its own, channels, what fires, and a failed notification. */
function alertTemplates(text: string, view: ViewContext) {
  const log = { kind: 'log', pattern: text, regex: true, matchCase: true, stream: '' } as const;
  const scope = { project: text, containers: [text] };
  const rule: Rule = {
    ...{ id: 7, name: text, watch: log, scope, channels: [3], enabled: true },
    ...{ cooldownSeconds: 900, tellsResolved: true },
  };
  const cpu: Rule = { ...rule, watch: { kind: 'cpu', bound: 90, unit: 'core', forSeconds: 60 } };
  const channel: Channel = {
    ...{ id: 3, name: text, kind: 'webhook', origin: text, hasToken: true, priority: 4 },
    ...{ recipients: [text], lines: 5, isLost: true },
  };
  const subject = { name: text, id, image: text, project: text, service: text };
  const facts = { kind: 'log', text, stream: 'stdout', pattern: text } as const;
  const moments = { since: view.now, lastAt: view.now, toldAt: 0 };
  const state: AlertState = {
    ...{ subject, isFiring: true, count: 2, facts, due: '', end: '', isTold: true },
    ...moments,
  };
  const item = { subject, at: view.now, since: view.now, count: 2, facts, end: '', lines: [text] } as const;
  const notification: Notification = {
    ...{ id: 9, rule: text, channel: 3, channelName: text, state: 'failed', attempts: 2, result: text },
    notice: {
      ...{ what: 'firing', rule: { id: 7, name: text, kind: 'log' }, at: view.now, more: 1 },
      items: [{ ...item, lines: [text] }],
    },
    ...{ dueAt: view.now, createdAt: view.now, finishedAt: null },
  };
  const board = alertBoardModel(
    {
      ...{ rules: [rule, cpu], channels: [channel], firing: [{ rule, state }], notifications: [notification] },
      ...{ logStatus: { followed: 1, left: 1, stopped: [1] }, hasMail: false, hasFigures: false },
    },
    view,
  );
  const { rules, channels, notifications, ruleKinds } = board.alerts;
  return {
    'fragments/alerts/board': board,
    'fragments/alerts/rule': { ...board, rule: rules[0] },
    'fragments/alerts/channel': { ...board, channel: channels[0] },
    'fragments/alerts/notification': { notification: notifications[0] },
    'fragments/alerts/kind': { kind: ruleKinds[0] },
    'pages/alerts': board,
    'pages/alert-rule': ruleFormModel(rule, { channels: [channel], projects: [text] }, view),
    'pages/alert-channel': channelFormModel('ntfy', channel, 20, view),
  };
}

/** A dashboard of a project with a hostile name, in which one container uses most of all. */
function dashboardTemplates(text: string, foreign: Container, view: ViewContext) {
  const top = [{ container: foreign, value: 12 }];
  const rates = { networkRxBytes: 1, networkTxBytes: null, blockReadBytes: 3, blockWriteBytes: 4 };
  const overview: Overview = {
    total: 3,
    states: { running: 1, [text]: 2 },
    health: { healthy: 1 },
    totals: { sampled: 1, cpuPercent: 12, memoryBytes: 5e6, pids: 7, rates },
    top: { cpu: top, memory: top, network: [], block: top },
  };
  const machine = { isThere: true, cpus: 4, memoryBytes: 16e9 };
  const dashboard = dashboardModel({ project: text, machine, overview, trend: () => [1, 2, 3] }, view);
  const share = { count: 2, active: 1, bytes: 5e9, reclaimableBytes: 2e9 };
  const disk = { images: share, containers: share, volumes: null, buildCache: null };
  const state = { isReading: false, readAt: view.now - 60_000, failure: text, figures: disk };
  return {
    'fragments/dashboard/now': dashboard,
    'fragments/dashboard/top': dashboard,
    'fragments/dashboard/disk': diskModel(state, text, view),
    'fragments/dashboard/dashboard': { nowHtml: '<p>now</p>', topHtml: '', chartsHtml: '', diskHtml: '' },
    'pages/dashboard': { dashboardHtml: '<p>dashboard</p>' },
    'pages/project-stats': { base: '/sub', title: text, projectHref: '/sub/projects/x', dashboardHtml: '' },
  };
}

/** What shows the history: a death with everything that can be kept of it, and a gap. */
function eventTemplates(text: string, view: ViewContext) {
  const at = view.now * 1_000;
  const base = { id: 1, at, type: 'container', subject: id, name: text, timeline: text, former: text } as const;
  const details = { image: text, exitCode: 137, killedBy: text, doing: text, actor: text, operation: 7 };
  const dead: KeptEvent = { ...base, action: 'die', trouble: 'died', details };
  const words: KeptEvent[] = [
    { ...base, action: 'create', trouble: '', details: { image: text, imageBefore: { image: text } } },
    { ...base, action: 'rename', trouble: '', details },
    {
      ...base,
      type: 'action',
      action: 'stop',
      trouble: 'failed',
      details: { actor: text, state: 'failed', message: text },
    },
    { ...base, type: 'operation', action: 'rebuild', trouble: '', details: { ...details, message: text, took: 5 } },
    { ...base, type: 'gap', action: 'missing', trouble: 'gap', details: { from: at - 5_000_000 } },
    { ...base, type: 'network', action: 'connect', trouble: '', details: { container: { id, name: text } } },
  ];
  const lines = [{ at: line(text).at, cursor: line(text).cursor, stream: 'stderr', text } as const];
  const figures = { at: view.now - 2_000, cpuPercent: 12, memoryBytes: 5e6, memoryLimitBytes: 1e7 };
  const death = { at, container: id, timeline: text, lines, note: text, figures };
  const found = {
    events: [dead, ...words],
    deaths: new Map([[`${id}@${at}`, death]]),
    hasOlder: true,
    extent: { oldestAt: at, fullAt: view.now },
    bounds: { days: 90, rows: 1_000 },
  };
  const query = {
    container: text,
    type: '',
    action: text,
    trouble: 'any',
    since: text,
    until: '',
    before: '',
    limit: 50,
  };
  const list = eventListModel(found, query, view, text);
  const page = eventPageModel(found, query, view);
  return {
    'fragments/events/row': eventModel(dead, death, true, view),
    'fragments/events/list': list,
    'fragments/events/head': list,
    'fragments/events/foot': page,
    'fragments/events/toolbar': page,
    'pages/events': page,
    'pages/timeline': { headHtml: '', listHtml: '', listHref: '/sub/containers', name: text },
  };
}

/** What shows long work: an operation that failed and one that runs, with everything they can have. */
function workTemplates(text: string, view: ViewContext) {
  const model = operationModel(operation(text, 'failed'), view);
  const running = operationModel(operation(text, 'running'), view);
  const list = operationListModel([operation(text, 'failed')], { state: 'failed', limit: 1 }, true, view);
  const now = operationsNowModel([operation(text, 'failed'), operation(text, 'running')], view);
  const step = model.operation.steps[0];
  const rebuild = rebuildModel(preview(text), { state: 'newer', checkedAt: view.now, error: text }, view);
  const rows = [{ id, name: text, image: text, service: text, update: { state: 'failed', checkedAt: 1, error: text } }];
  const registries = [text, text];
  const project = rebuildProjectModel({ project: text, title: text, containers: rows as never, registries }, view);
  return {
    now,
    templates: {
      'fragments/operation/card': model,
      'fragments/operation/notice': model,
      'fragments/operation/look': { look: model.operation.look },
      'fragments/operation/progress': running,
      'fragments/operation/cancel': running,
      'fragments/operation/follow': running,
      'fragments/operation/step': { step },
      'fragments/operation/layers': running,
      'fragments/operation/results': model,
      'fragments/operations/now': now,
      'fragments/operations/badge': now,
      'fragments/operations/filters': list,
      'fragments/operations/list': list,
      'fragments/operations/row': model,
      'fragments/container/rebuild': rebuild,
      'pages/operations': list,
      'pages/operation': model,
      'pages/pull': pullModel(text, view),
      'pages/prune': pruneModel([image(text)], [], view),
      'pages/rebuild': rebuild,
      'pages/rebuild-project': project,
    },
  };
}

function operation(text: string, state: 'failed' | 'running'): Operation {
  return {
    id: 7,
    kind: 'rebuild',
    target: text,
    actor: text,
    state,
    progress: 0.4,
    message: text,
    error: state === 'failed' ? `error ${text}` : null,
    errorCode: state === 'failed' ? 'conflict' : null,
    steps: [{ name: text, detail: text, state: 'failed', startedAt: now - 2_000, finishedAt: now }],
    details: {
      layers: [{ id: text, state: 'downloading', current: 1e6, total: 2e6 }],
      bytes: { current: 1e6, total: 2e6, perSecond: 1e5 },
      results: [{ id: '', name: text, ok: false, detail: text }],
      lastLines: [text],
      engineMessage: text,
    },
    isUnfinished: true,
    canCancel: state === 'running',
    isSeen: false,
    queuedAt: now - 3_000,
    startedAt: now - 2_000,
    finishedAt: state === 'failed' ? now : null,
  };
}

function preview(text: string): RebuildPreview {
  const brief = { id: imageId, tags: [text], digests: [text], createdAt: '2025-01-01T00:00:00Z' };
  return {
    id,
    name: text,
    reference: text,
    before: brief,
    after: { ...brief, id: `sha256:${'ef'.repeat(32)}` },
    changes: [{ field: 'variable', name: text, before: text, after: text }],
    kept: { variables: 1, mounts: 2, networks: 3, ports: 4 },
    warnings: [text],
    dependants: [{ id, name: text }],
    refusal: { code: 'conflict', reason: text, offersSameImage: true },
  };
}

/** Every opening tag, as a browser would find it in text that is escaped. */
const tagsOf = (html: string) => html.match(/<[a-z][^>]*>/gi) ?? [];

const attribute = (html: string, name: string) => new RegExp(`\\s${name}="([^"]*)"`).exec(html)?.[1];
const render = (name: string, text = 'web', can: Can = all) => eta.render(name, templates(text, can)[name] ?? {});

t.test('Every template renders alone', async (t) => {
  const views = fileURLToPath(new URL('../src/views', import.meta.url));
  const files = readdirSync(views, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.eta'));
  const names = files.map((file) => file.replace(/\.eta$/, ''));
  t.same(
    names.filter((name) => !(name in templates('web'))),
    [],
    'none is left out here',
  );
  for (const can of [all, nothing]) {
    for (const [name, data] of Object.entries(templates('web', can))) {
      t.notMatch(eta.render(name, data), /\bundefined\b|\[object|NaN/, name);
    }
  }
});

t.test('Foreign text does no harm in any template', async (t) => {
  for (const [name, data] of Object.entries(templates(hostile))) {
    const html = eta.render(name, data);
    const wrong = tagsOf(html).filter((tag) => {
      const isOurScript =
        tag === '<script defer src="/sub/app.js">' || tag.startsWith('<iframe class="embed-preview" src="/sub/embed/A');
      const quoted = tag.replace(/"[^"]*"|'[^']*'/g, '""');
      return (/^<(script|img|style|iframe)/i.test(tag) && !isOurScript) || /\s(on\w+|style)\s*=/i.test(quoted);
    });
    t.same(wrong, [], `${name}: no tag or attribute of its making`);
    t.notMatch(html, /(?:href|action|formaction)="(?!\/sub|https?:\/\/|#|")/, `${name}: addresses are ours`);
    t.notMatch(html, /hx-on|js:|hx-trigger="[^"]*\[/, `${name}: nothing that would need eval`);
  }
});

t.test('Secrets', async (t) => {
  const details = { container: container(), inspect: inspect('x'), imageTags: [], figures };
  const hidden = eta.render('fragments/container/detail', detailModel({ ...details, reveal: false }, context));
  t.notMatch(hidden, /hunter2/, 'are not in the page');
  t.match(hidden, /postgres:\/\/shop:<span class="masked"/, 'what is around them is');
  t.match(hidden, /action="\/sub\/containers\/[0-9a-f]{64}\/reveal"/, 'they can be asked for');
  const may = { ...context, can: { ...all, reveal: false } };
  t.notMatch(
    eta.render('fragments/container/detail', detailModel({ ...details, reveal: false }, may)),
    /reveal"/,
    'not by everybody',
  );
  const shown = eta.render('fragments/container/detail', detailModel({ ...details, reveal: true }, context));
  for (const word of ['one', 'two', 'three', 'four', 'five', 'six', 'seven', 'eight']) {
    t.match(shown, `hunter2-${word}`, `${word} is shown on demand`);
  }
  t.notMatch(render('fragments/image/detail'), /hunter2/, 'nor are those of an image');

  const bullets = '••••••••';
  for (const [text, masked] of [
    ['postgres://u:p@ss/word@host/db', `postgres://u:${bullets}@host/db`],
    ['redis://:secret@cache:6379/0', `redis://:${bullets}@cache:6379/0`],
    ['https://ghp_abcdef@github.com/x', `https://${bullets}@github.com/x`],
    ['http://registry:5000/path', 'http://registry:5000/path'],
    ['Server=db;Password=p4ss;Timeout=3', `Server=db;Password=${bullets};Timeout=3`],
    ['{"api_key": "abc", "port": 80}', `{"api_key": ${bullets}, "port": 80}`],
    ['nothing to see', 'nothing to see'],
  ] as const) {
    t.equal(toText(maskText(text)), masked, text);
  }
  t.equal(maskValueText('MY_Secret_thing', 'abc'), bullets, 'by the name of a variable, whatever its case');
  t.equal(maskValueText('EMPTY_TOKEN', ''), '', 'nothing stays nothing');
  t.same(maskArgumentsText(['--token', 'abc', '--key=def', '--tokens', '--verbose']), [
    '--token',
    bullets,
    `--key=${bullets}`,
    '--tokens',
    '--verbose',
  ]);
});

t.test('A secret is masked before a text is cut', (t) => {
  const url = (start: number) => `${'x'.repeat(start - 1)} postgres://app:hunter2hunter2@db/shop`;
  for (let start = 470; start < 500; start += 1) {
    const text = maskStart(url(start), 500);
    t.notMatch(text, /hunter|app:h/, `from character ${start} on`);
    t.ok(text.length <= 500);
  }
  t.equal(maskStart('short', 500), 'short');
  t.equal(maskStart('a'.repeat(9_000), 500), `${'a'.repeat(499)}…`);
  t.notMatch(maskStart(`PRIVATE_KEY="${'MII '.repeat(9_000)}"`, 500), /MII/, 'one whose end is far behind the cut');
  t.end();
});

t.test('No line takes long to be searched for secrets, whatever stands in it', (t) => {
  const started = performance.now();
  for (const part of ['key', '-key', 'a.', "key='", 'key="', 'key = ', ' --token', 'Bearer '])
    maskText(part.repeat(8_000));
  for (const part of ['a://:', 'https://a', 'a://a:b@']) maskStart(part.repeat(8_000), 500);
  // It was more than a minute for 4,000 characters; a slow machine takes a tenth of this.
  t.ok(performance.now() - started < 5_000);
  t.end();
});

t.test('The hooks that others rely on', async (t) => {
  const row = render('fragments/containers/row', 'web').trim();
  t.match(
    row,
    new RegExp(`^<tr role="row" id="container-${id}" data-name="web" data-state="running" data-project="web"`),
  );
  for (const cell of ['state', 'cpu', 'memory', 'age']) {
    const html = render(`fragments/containers/${cell}`).trim();
    t.match(html, new RegExp(`^<td [^>]*id="${cell}-${id}"[^]*</td>$`), `${cell} is one cell`);
    t.ok(row.includes(html), `${cell} is the same in its row and alone`);
  }
  t.match(
    render('fragments/containers/group', 'my-shop'),
    /^\s*<tbody role="rowgroup" id="project-my-shop" data-project="my-shop">/,
  );
  t.match(render('fragments/containers/group-head', 'my-shop'), 'id="project-my-shop-head"');
  t.match(render('fragments/images/row'), new RegExp(`<tr role="row" id="image-${'cd'.repeat(32)}"`));
  t.match(render('fragments/containers/list'), '<div class="list" id="containers">');
  t.match(render('fragments/images/list'), '<div class="list" id="images">');
  for (const [name, hook] of [
    ['fragments/containers/summary', 'containers-summary'],
    ['fragments/images/summary', 'images-summary'],
    ['fragments/container/head', 'container-head'],
    ['fragments/container/detail', 'container-detail'],
    ['fragments/image/detail', 'image-detail'],
    ['fragments/stats/charts', 'stats'],
    ['fragments/engine-status', 'engine-status'],
    ['fragments/engine-notice', 'engine-notice'],
    ['fragments/limits', 'limits'],
    ['fragments/messages', 'messages'],
  ] as const) {
    t.equal(attribute(render(name).trim(), 'id'), hook, `${name} is #${hook}`);
  }
  const page = render('layouts/page');
  t.match(page, /id="live-status" data-status="offline" role="status"/);
  t.match(page, /id="engine-status" data-status="unreachable"/);
  t.match(page, /<div class="notice bad message" role="alert">/);
  t.match(page, 'DEMO');
  t.match(page, '<div id="limits"><p class="notice info" role="status">');
  const status = eta.render('fragments/message', { base: '', message: { kind: 'status', text: 'done' } });
  t.match(status, 'role="status"');
});

t.test('Who may get in', async (t) => {
  const page = (change: object, can: Can = all) =>
    eta.render('layouts/page', { ...templates('web', can)['layouts/page'], ...change });
  const bare = page({ isBare: true, live: null, now: null });
  t.notMatch(bare, /<nav|<form|engine-|containers/, 'a page for who has not signed in tells and offers nothing');
  const own = page({ user: 'ann', signsOut: true });
  t.notMatch(page({ user: 'ann' }), 'logout', 'who is signed in by a proxy can not');
  t.match(own, /href="\/sub\/account"[^>]*>ann</, 'who has signed in is named');
  t.match(own, /method="post" action="\/sub\/logout"/, 'and can sign out');
  t.match(own, 'href="/sub/users"', 'an admin is led to the users');
  t.notMatch(page({ user: 'ann' }, nothing), 'href="/sub/users"', 'others are not');
  t.notMatch(page({ user: null }), /\/sub\/(account|logout|users)"/, 'nor anybody where nobody signs in');

  const css = readFileSync(new URL('../public/app.css', import.meta.url), 'utf8');
  for (const [name, data] of Object.entries(accessTemplates('web', context))) {
    const classes = [...eta.render(name, data).matchAll(/\sclass="([^"]*)"/g)].flatMap(([, value = '']) =>
      value.split(' '),
    );
    const missing = new Set(classes.filter((word) => !new RegExp(`\\.${word}(?![\\w-])`).test(css)));
    t.same([...missing], [], `${name}: the sheet knows its classes`);
  }
  t.match(render('pages/tokens'), '<code>web</code>', 'a new token is told once');
  const none = eta.render('pages/tokens', tokenListModel([], context));
  t.match(none, 'No token yet');
  t.notMatch(none, 'id="made"');
  t.match(eta.render('pages/login', { base: '', to: '', fault: '', needsSetup: true }), 'Nobody can sign in yet');
});

t.test('Log lines', async (t) => {
  const html = eta.render(
    'fragments/logs/entries',
    logLinesModel([line('a', 'c1'), { lines: 1204 }, line('b', 'c2')], { base: '' }),
  );
  t.equal(
    eta.render('fragments/logs/lines', { linesHtml: 'x' }),
    '<div class="log-batch">x</div>',
    'nothing stands around it',
  );
  t.match(html, 'data-ts="2025-01-24T14:14:59.123456789Z" data-cursor="c1" data-stream="stderr"');
  t.match(html, /class="log-gap"[^>]*><span>1,204 lines skipped/);
  t.notMatch(html, /(?:<\/div>)\s+</, 'no text stands between lines');
  t.match(render('fragments/logs/viewer'), /id="log-lines" role="log"/);
  t.match(render('fragments/logs/viewer'), /id="log-live" hidden hx-ws:connect="[^"]+" hx-swap="none"/);
  const coloured = eta.render(
    'fragments/logs/line',
    logLineModel(line('\u001b[31mred\u001b[0m and more'), {
      base: '',
      mark: createSearch({ q: 'MORE' })?.mark,
    }),
  );
  t.match(coloured, '<span class="ansi-red">red</span>');
  t.match(coloured, '<mark class="">more</mark>', 'what was searched for is marked, whatever its case');
  t.match(
    eta.render('fragments/logs/line', logLineModel(line('<hx-partial hx-target="body">'), { base: '' })),
    '&lt;hx-partial',
  );
});

t.test('A log viewer leads to its neighbours', async (t) => {
  const cursor = '1737728099123456789.0';
  const slice = { lines: [line('a', cursor)], earlier: cursor, later: undefined, isCutShort: false, end: undefined };
  const input: LogViewerInput = {
    title: 'web',
    href: '/sub/containers/web/logs',
    fragmentHref: '/sub/fragments/containers/web/logs',
    backHref: '/sub/containers/web',
    live: null,
    slice,
    query: {
      q: 'x',
      regex: '1',
      case: '',
      invert: '',
      stream: '',
      level: '',
      context: '',
      tail: '',
      since: '',
      until: '',
      at: '',
    },
    search: undefined,
    place: 'before',
    at: undefined,
    pane: false,
  };
  const { logs } = logViewerModel(input, context);
  t.match(logs.earlier, {
    href: `/sub/containers/web/logs?q=x&regex=1&before=${cursor}`,
    fragmentHref: `/sub/fragments/containers/web/logs?q=x&regex=1&before=${cursor}`,
    label: 'Earlier lines',
    hidden: false,
  });
  t.equal(logs.later.hidden, true);
  t.equal(logs.newestHref, '/sub/containers/web/logs?q=x&regex=1');
  const given = { ...slice, lines: [], isCutShort: true };
  const cut = logViewerModel({ ...input, slice: given }, context).logs;
  t.equal(cut.earlier.label, 'Searched as far as 24 Jan 2025, 14:14:59 UTC. Search on');
  t.equal(cut.placeholder, 'No line matches in the part that was searched.');
  const dated = { ...input.query, since: '2025-01-24T14:01:52+01:00', until: cursor, at: 'x' };
  t.strictSame(logViewerModel({ ...input, query: dated }, context).logs.fields, {
    since: '2025-01-24T13:01:52',
    until: '2025-01-24T14:14:59',
    at: '',
  });
});

t.test('What may not be done is not offered', async (t) => {
  for (const name of [
    'fragments/containers/list',
    'fragments/container/head',
    'pages/project',
    'fragments/images/list',
    'fragments/image/detail',
    'fragments/alerts/board',
  ]) {
    t.match(render(name, 'web', all), /formaction=|\/remove"/, `${name} offers it`);
    t.notMatch(render(name, 'web', nothing), /formaction=|\/remove"/, `${name} does not`);
  }
  const buttons = (state: string) =>
    [
      ...eta
        .render('fragments/containers/actions', rowModel(container({ state }), undefined, context))
        .matchAll(/formaction="[^"]*\/(\w+)"/g),
    ].map((match) => match[1]);
  t.same(buttons('running'), ['stop', 'restart', 'pause', 'kill']);
  t.same(buttons('paused'), ['unpause', 'restart', 'stop', 'kill']);
  t.same(buttons('exited'), ['start', 'restart']);
  t.same(buttons('removing'), []);
});

t.test('States in words', async (t) => {
  const look = (state: string, status: string, oomKilled = false) => {
    const { glyph, word, code } = toStateModel({ ...container({ state, status }), oomKilled }, now);
    return [glyph, word, code].join(' ').trim();
  };
  t.equal(look('running', 'Up 3 minutes'), 'running running');
  t.equal(look('running', 'Up 3 minutes (healthy)'), 'running healthy');
  t.equal(look('running', 'Up 3 minutes (unhealthy)'), 'unhealthy unhealthy');
  t.equal(look('exited', 'Exited (0) 2 hours ago'), 'exited exited 0');
  t.equal(look('exited', 'Exited (143) 2 hours ago'), 'exited exited 143');
  t.equal(look('exited', 'Exited (1) 2 hours ago'), 'failed exited 1');
  t.equal(look('exited', 'Exited (137) 2 hours ago', true), 'oom OOM-killed 137');
  t.equal(look('dead', 'Dead'), 'dead dead');
  t.match(render('fragments/containers/age'), 'Up 3 minutes');
  t.match(exitWords(137, true, '512 MB'), /128 \+ 9: ended by SIGKILL, by the kernel: .* 512 MB/);
  t.match(exitWords(137, false, ''), /SIGKILL: killed by a person/);
  t.match(exitWords(127, false, ''), /not found in the image/);
});

t.test('Ports lead where the page came from', async (t) => {
  const hrefs = (host: string) => toPortModels(container().ports, host).map((port) => port.href);
  t.same(hrefs('docker.example:3000'), [null, 'http://docker.example:8080', 'https://127.0.0.1:8443', null]);
  t.equal(hostName('[::1]:3000'), '[::1]');
  t.equal(hostName('fe80::1'), '[fe80::1]');
  for (const host of ['a b', 'a/b', 'x"y', 'a@b', '', 'javascript:alert(1)'])
    t.equal(hostName(host), null, `not ${host}`);
});

t.test('A project has an id of its own', async (t) => {
  t.equal(projectSlug(null), 'standalone');
  t.equal(projectSlug('my-shop_2'), 'my-shop_2');
  const names = ['shop', 'Shop', 'SHOP', 'shop-head', 'standalone', 'a b', 'a-b', 'ü', 'ö', '', hostile];
  const slugs = names.map(projectSlug);
  t.equal(new Set([...slugs, 'standalone']).size, names.length + 1, 'no two share one');
  for (const slug of slugs) t.match(slug, /^[a-z0-9_-]+$/);
  t.notOk(slugs.includes('shop-head'), 'none is another’s first row');
});

t.test('Charts', async (t) => {
  const samples = [sample(60), sample(50), sample(20), sample(10, { networkRxBytes: 5 })];
  const { charts } = chartsModel({ stepSeconds: 10, samples }, hour, context).stats;
  const [cpu, memory, network] = charts.map(({ chart }) => chart);
  t.equal(cpu?.line.match(/M/g)?.length, 2, 'a gap stays a gap');
  t.same(
    memory?.levels.map(({ text }) => text),
    ['512 MB limit', '256 MB', '0 B'],
  );
  t.equal(network?.now, '1 B/s', 'totals are shown as rates; one that began anew has none');
  t.match(
    render('fragments/stats/charts'),
    /<title>[0-9:]{5} UTC: 10\.0%, highest 50\.0%<\/title>/,
    'values are told when pointed at',
  );
  t.match(
    eta.render('fragments/stats/charts', chartsModel({ stepSeconds: 10, samples: [] }, hour, context)),
    'No figures yet',
  );
});

t.test('Charts tell averages, the highest, gaps and values in words', async (t) => {
  const samples = [sample(600, { cpuPercent: 20, cpuPercentMax: 80 }), sample(590), sample(20), sample(10)];
  const { charts, table } = chartsModel({ stepSeconds: 10, samples }, hour, context).stats;
  const cpu = charts[0]?.chart;
  t.match(
    cpu?.words,
    /^average 12\.5%, highest 80\.0%\. No figures before \d\d:\d\d, from \d\d:\d\d to \d\d:\d\d \(UTC\)\.$/,
  );
  t.match(charts[2]?.chart.words, /^in: average 1 B\/s.* out: average/);
  t.ok(cpu?.peak, 'the highest is drawn');
  t.same(
    cpu?.legend.map(({ label }) => label),
    ['average', 'highest'],
  );
  t.ok(cpu?.tips.some(({ text }) => /UTC: 15\.0%, highest 80\.0%$/.test(text)));
  t.equal(table.rows.length, 24);
  t.match(table.rows.at(-1)?.cells[0], '10.0%');
  t.equal(table.rows[5]?.cells[0], 'none', 'where there is no figure, the table says so');
  const html = render('fragments/stats/charts');
  t.match(html, /<desc>average [^<]+<\/desc>/);
  t.match(html, '<th scope="col">Network</th>');
});

t.test('Charts tell since when nothing is known, and what is marked where nothing is', async (t) => {
  const samples = [sample(3_595), sample(3_590), sample(1_800)];
  const marks: Mark[] = [{ at: now - 600_000, kind: 'die', title: 'Ended with code 1' }];
  const last: Mark = { at: now, kind: 'start', title: 'started' };
  const { charts } = chartsModel({ stepSeconds: 10, samples }, hour, context, [...marks, last]).stats;
  const cpu = charts[0]?.chart;
  t.match(cpu?.words, 'No figures from 13:15 to 13:45, since 13:45 (UTC).');
  t.same(
    cpu?.tips.slice(-2).map(({ text }) => text),
    ['14:05 UTC: no figures\n14:05 UTC Ended with code 1', '14:15 UTC: no figures\n14:15 UTC started'],
    'keys reach them, also the one at the very end',
  );
  const { stats } = chartsModel({ stepSeconds: 10, samples: [] }, hour, context, marks);
  t.match(stats.empty, /^No figures yet.* Marked: 14:05 UTC Ended with code 1\.$/);
});

t.test('Charts lead to earlier and later times, closer and wider', async (t) => {
  const links = (window: { range: string; from: number; to: number }) => {
    const { zoom } = chartsModel(
      { stepSeconds: 10, samples: [] },
      { path: '/containers/web/stats', window },
      context,
    ).stats;
    const spans = zoom.links.map(({ label, href }) => {
      const query = new URL(href, 'http://x').searchParams;
      const [from, to] = ['from', 'to'].map((name) => (Number(query.get(name)) * 1_000 - now) / 60_000);
      return [label, from, to];
    });
    return { ...zoom, spans };
  };
  const whole = links(hour.window);
  t.same(whole.spans, [
    ['Earlier', -90, -30],
    ['Zoom in', -45, -15],
  ]);
  t.equal(whole.resetHref, null);
  t.match(whole.links[0]?.href, '/sub/containers/web/stats?from=');
  const own = links({ range: 'custom', from: now - 60 * 60_000, to: now - 40 * 60_000 });
  t.same(own.spans, [
    ['Earlier', -70, -50],
    ['Later', -50, -30],
    ['Zoom in', -55, -45],
    ['Zoom out', -70, -30],
  ]);
  t.equal(own.resetHref, '/sub/containers/web/stats');
  t.equal(own.words, '24 Jan 13:15 to 13:35');
  t.match(
    links({ range: 'custom', from: now - 90_000, to: now }).spans.map(([label]) => label),
    ['Earlier', 'Zoom out'],
  );
  const night = links({ range: 'custom', from: now - 15 * 3_600_000, to: now - 14 * 3_600_000 });
  t.equal(night.words, '23 Jan 23:15 to 24 Jan 00:15');
  const short = chartsModel(
    { stepSeconds: 2, samples: [sample(30), sample(20), sample(10)] },
    { path: '/x', window: { range: 'custom', from: now - 90_000, to: now } },
    context,
  ).stats;
  t.match(short.charts[0]?.chart.ticks[0]?.text, /^\d\d:\d\d:\d\d$/, 'minutes alone would all be the same');
});

t.test('A dashboard says why it has no figures', async (t) => {
  const rates = { networkRxBytes: null, networkTxBytes: null, blockReadBytes: null, blockWriteBytes: null };
  const overview: Overview = {
    total: 2,
    states: { running: 2 },
    health: { none: 2 },
    totals: { sampled: 0, cpuPercent: null, memoryBytes: null, pids: null, rates },
    top: { cpu: [], memory: [], network: [], block: [] },
  };
  const machine = { isThere: true, cpus: 4, memoryBytes: 16e9 };
  const why = (more: Partial<DashboardInput>, view = context) =>
    dashboardModel({ project: null, machine, overview, trend: () => [], ...more }, view).now;
  t.match(why({}).why, /^No figures yet/);
  t.match(why({}, { ...context, figuresOff: true }).why, 'STATS_INTERVAL=0');
  t.match(why({ machine: { ...machine, isThere: false } }).why, /^The engine does not answer/);
  t.match(why({ overview: { ...overview, states: { exited: 2 } } }).why, /^Nothing runs/);
  const empty = why({ overview: { ...overview, total: 0, states: {}, health: {} } });
  t.match(empty, { why: 'No containers.', tiles: [], states: [] });
  const { disk } = diskModel({ isReading: true, readAt: null, failure: '', figures: null }, null, context);
  t.match(disk, { rows: [], none: /measuring/, isReading: true, age: null });
});

t.test('Charts have no rate for a step that is not over', async (t) => {
  for (const [range, step] of [
    ['1h', 10],
    ['30d', 7_200],
  ] as const) {
    const samples = [2.5, 1.5, 0.5].map((steps, n) => sample(steps * step, { networkRxBytes: n * step * 1_000 }));
    samples[2] = sample(0.5 * step, { networkRxBytes: 1.2 * step * 1_000 });
    const from = now - (range === '1h' ? 1 : 720) * 3_600_000;
    const view = { path: `/containers/${id}/stats`, window: { range, from, to: now } };
    const { charts } = chartsModel({ stepSeconds: step, samples }, view, context).stats;
    t.equal(charts[2]?.chart.now, '1 kB/s', `the newest that is known, ${range}`);
    t.equal(charts[0]?.chart.now, '10.0%', 'an average is known at any time');
  }
});

t.test('Charts mark what happened on their time axis', async (t) => {
  const at = (seconds: number, kind: Mark['kind'], title: string): Mark => ({ at: now - seconds * 1000, kind, title });
  const marks = [
    at(1_800, 'die', hostile),
    at(1_801, 'oom', 'killed: out of memory'),
    at(900, 'start', 'started'),
    at(4_000, 'rebuild', 'before the time that is shown'),
    ...[1, 2, 3, 4].map((n) => at(300 + n, 'health', `became unhealthy (${n})`)),
  ];
  const samples = [sample(30), sample(20), sample(10)];
  const model = chartsModel({ stepSeconds: 10, samples }, hour, context, marks);
  for (const { chart } of model.stats.charts) {
    t.match(chart.marks, [
      { x: '50%', glyph: 's-oom', tone: 'tone-bad', title: /out of memory\n.*UTC/ },
      { x: '75%', glyph: 's-running', tone: 'tone-ok', title: /^\d\d:\d\d UTC started$/ },
      { glyph: 's-unhealthy', title: /and 1 more$/ },
    ]);
    t.equal(chart.marks.length, 3, 'those that would cover each other are one');
  }
  t.match(model.stats.charts[0]?.chart.words, /Marked: 2 earlier; \d\d:\d\d UTC started; .*unhealthy \(1\)\.$/);
  const html = eta.render('fragments/stats/charts', model);
  t.match(html, /<svg class="mark tone-ok" x="75%"><title>\d\d:\d\d UTC started<\/title><line class="ev"/);
  t.notMatch(html, hostile, 'a title is escaped');
  const unmarked = chartsModel({ stepSeconds: 10, samples }, hour, context);
  const plain = eta.render('fragments/stats/charts', unmarked);
  t.notMatch(plain, 'class="mark');
});

t.test('Numbers and times as people read them', async (t) => {
  for (const [value, text] of [
    [0, '0 B'],
    [999, '999 B'],
    [4100, '4.1 kB'],
    [412e6, '412 MB'],
    [999.6e6, '1 GB'],
    [1.36e9, '1.36 GB'],
    [12.84e9, '12.8 GB'],
  ] as const) {
    t.equal(format.bytes(value), text);
  }
  t.same([5e3, 41 * 6e4, 40 * 36e5, 3 * 864e5, 430 * 864e5, 900 * 864e5].map(format.duration), [
    '5 s',
    '41 min',
    '40 h',
    '3 d',
    '14 mo',
    '2 y',
  ]);
  t.equal(format.count(1234567), '1,234,567');
  t.equal(format.dateTime(now), '24 Jan 2025, 14:15:00 UTC');
  t.equal(format.moment('0001-01-01T00:00:00Z'), null, 'year 1 is never');
  const name = 'shop-frontend-image-resizer-worker-with-a-long-name-12';
  const { head, tail } = format.splitName(name);
  t.equal(head + tail, name);
  t.match(tail, /-12$/, 'the end of a long name is kept');
  t.same(format.splitReference('host:5000/a/b:1.2'), { repository: 'host:5000/a/b', tag: ':1.2' });
  t.same(format.splitReference(imageId), { repository: '', tag: 'cdcdcdcdcdcd' });
});
