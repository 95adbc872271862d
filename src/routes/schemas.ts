import { Type } from 'typebox';
import { containerSorts, stateFilters } from '../services/container-list.ts';
import { eventTypes, troubles } from '../services/event-types.ts';
import { imageSorts } from '../services/image-list.ts';
import { logLevels } from '../services/log-levels.ts';
import { operationKinds, operationStates } from '../services/operation-types.ts';
import { defaultEventLimit } from '../views/models/events.ts';
import { defaultListLimit } from '../views/models/operations.ts';

/** The shapes of the JSON under `/api`: they validate, they serialize, and the OpenAPI document is made of them. */
const nullable = <T extends Type.TSchema>(schema: T) => Type.Union([schema, Type.Null()]);
const time = Type.String({ format: 'date-time', description: 'RFC 3339' });
const bytes = Type.Number({ description: 'bytes' });

export const Problem = Type.Object({
  type: Type.String(),
  title: Type.String(),
  status: Type.Integer(),
  detail: Type.String(),
  code: Type.String(),
  requestId: Type.String(),
  engineMessage: Type.Optional(Type.String()),
});

export const Port = Type.Object({
  hostIp: Type.String(),
  hostPort: nullable(Type.Integer()),
  containerPort: Type.Integer(),
  protocol: Type.String(),
});

const containerFields = {
  id: Type.String(),
  name: Type.String(),
  image: Type.String(),
  imageId: Type.String(),
  state: Type.String(),
  status: Type.String(),
  health: nullable(Type.String()),
  created: time,
  startedAt: Type.Optional(time),
  ports: Type.Array(Port),
  portsText: Type.String(),
  project: nullable(Type.String()),
  projectTitle: Type.String(),
  service: nullable(Type.String()),
  networks: Type.Array(Type.String()),
};

export const Container = Type.Object(containerFields);

const named = Type.Object({ name: Type.String(), value: Type.String() });

export const ContainerDetail = Type.Object({
  ...containerFields,
  exitCode: nullable(Type.Integer()),
  oomKilled: Type.Boolean(),
  error: Type.String(),
  finishedAt: Type.Optional(time),
  restartCount: Type.Integer(),
  restartPolicy: Type.Object({ name: Type.String(), maximumRetryCount: Type.Integer() }),
  healthcheck: nullable(
    Type.Object({ status: Type.String(), failingStreak: Type.Integer(), lastOutput: Type.String() }),
  ),
  command: Type.Array(Type.String()),
  entrypoint: Type.Array(Type.String()),
  workingDir: Type.String(),
  user: Type.String(),
  tty: Type.Boolean(),
  privileged: Type.Boolean(),
  environment: Type.Array(named, { description: 'secrets are masked' }),
  labels: Type.Record(Type.String(), Type.String()),
  mounts: Type.Array(
    Type.Object({
      type: Type.String(),
      name: Type.String(),
      source: Type.String(),
      destination: Type.String(),
      readOnly: Type.Boolean(),
    }),
  ),
  networkSettings: Type.Array(
    Type.Object({
      name: Type.String(),
      ipAddress: Type.String(),
      ipv6Address: Type.String(),
      macAddress: Type.String(),
      gateway: Type.String(),
      aliases: Type.Array(Type.String()),
    }),
  ),
  limits: Type.Object({
    memoryBytes: nullable(bytes),
    memoryReservationBytes: nullable(bytes),
    cpus: nullable(Type.Number({ description: 'cores' })),
    cpuset: Type.String(),
    pids: nullable(Type.Integer()),
  }),
});

const imageFields = {
  id: Type.String(),
  tags: Type.Array(Type.String()),
  size: bytes,
  created: time,
  repoDigests: Type.Array(Type.String()),
  parentId: Type.String(),
  labels: Type.Record(Type.String(), Type.String()),
  containers: Type.Array(Type.Object({ id: Type.String(), name: Type.String(), state: Type.String() })),
  dangling: Type.Boolean(),
};

export const Image = Type.Object(imageFields);

export const ImageDetail = Type.Object({
  ...imageFields,
  architecture: Type.String(),
  os: Type.String(),
  layers: Type.Array(
    Type.Object({ id: Type.String(), created: time, createdBy: Type.String(), size: bytes, comment: Type.String() }),
  ),
});

const seriesFields = {
  range: Type.String({ description: '`custom` for a span of time of its own' }),
  from: time,
  to: time,
  stepSeconds: Type.Number(),
  samples: Type.Array(
    Type.Object({
      at: time,
      cpuPercent: nullable(Type.Number({ description: '100 is one core' })),
      cpuPercentMax: nullable(Type.Number()),
      memoryBytes: nullable(bytes),
      memoryBytesMax: nullable(bytes),
      memoryLimitBytes: nullable(bytes),
      networkRxBytes: nullable(bytes),
      networkTxBytes: nullable(bytes),
      blockReadBytes: nullable(bytes),
      blockWriteBytes: nullable(bytes),
      pids: nullable(Type.Number()),
    }),
  ),
};

export const Stats = Type.Object({ id: Type.String(), ...seriesFields });

const count = Type.Integer();
const perSecond = nullable(Type.Number({ description: 'bytes a second' }));
const diskShare = nullable(Type.Object({ count, active: count, bytes, reclaimableBytes: bytes }));
const topList = (description: string) =>
  Type.Array(Type.Object({ id: Type.String(), name: Type.String(), value: Type.Number() }), { description });

export const Disk = Type.Object({
  readAt: nullable(time),
  isReading: Type.Boolean(),
  failure: Type.String({ description: 'why the last try failed; empty where it did not' }),
  images: diskShare,
  containers: diskShare,
  volumes: diskShare,
  buildCache: diskShare,
});

export const Dashboard = Type.Object({
  project: nullable(Type.String()),
  machine: Type.Object({ cpus: count, memoryBytes: bytes }),
  sampling: Type.Boolean({ description: 'whether figures are taken at all' }),
  containers: Type.Object({
    total: count,
    states: Type.Record(Type.String(), count),
    health: Type.Record(Type.String(), count, { description: 'of those that run; `none` has no health check' }),
  }),
  totals: Type.Object({
    sampled: Type.Integer({ description: 'running containers with figures' }),
    cpuPercent: nullable(Type.Number({ description: '100 is one core' })),
    memoryBytes: nullable(bytes),
    networkRxBytesPerSecond: perSecond,
    networkTxBytesPerSecond: perSecond,
    blockReadBytesPerSecond: perSecond,
    blockWriteBytesPerSecond: perSecond,
    pids: nullable(Type.Number()),
  }),
  top: Type.Object({
    cpu: topList('percent, 100 is one core'),
    memory: topList('bytes'),
    network: topList('bytes a second, in and out'),
    block: topList('bytes a second, read and written'),
  }),
  disk: Disk,
  ...seriesFields,
});

export const ActionResult = Type.Object({
  id: Type.String(),
  name: Type.String(),
  ok: Type.Boolean(),
  detail: Type.String(),
});

const nullableTime = nullable(time);

export const Operation = Type.Object({
  id: Type.Integer(),
  kind: Type.String({ description: operationKinds.join(', ') }),
  target: Type.String(),
  state: Type.String({ description: operationStates.join(', ') }),
  progress: nullable(Type.Number({ description: '0 to 1; null where nobody can tell' })),
  message: Type.String(),
  actor: Type.String(),
  queuedAt: time,
  startedAt: nullableTime,
  finishedAt: nullableTime,
  error: nullable(Type.String()),
  errorCode: nullable(Type.String()),
  canCancel: Type.Boolean(),
  isUnfinished: Type.Boolean({ description: 'whether it is taken up again; until then it holds what it works on' }),
  steps: Type.Array(
    Type.Object({
      name: Type.String(),
      detail: Type.String(),
      state: Type.String({ description: 'waiting, running, done, failed' }),
      startedAt: nullableTime,
      finishedAt: nullableTime,
    }),
  ),
  layers: Type.Array(
    Type.Object({
      id: Type.String(),
      state: Type.String({ description: 'waiting, downloading, downloaded, extracting, done, present' }),
      currentBytes: nullable(bytes),
      totalBytes: nullable(bytes),
    }),
  ),
  bytes: nullable(Type.Object({ current: bytes, total: bytes, perSecond: bytes })),
  results: Type.Array(Type.Interface([ActionResult], { lastLines: Type.Optional(Type.Array(Type.String())) })),
  lastLines: Type.Array(Type.String()),
  engineMessage: Type.Optional(Type.String()),
});

const ImageBrief = Type.Object({
  id: Type.String(),
  tags: Type.Array(Type.String()),
  digests: Type.Array(Type.String()),
  createdAt: Type.String(),
});

export const RebuildPreview = Type.Object({
  id: Type.String(),
  name: Type.String(),
  reference: nullable(Type.String({ description: 'what is pulled; null where there is no tag' })),
  before: ImageBrief,
  after: nullable(ImageBrief),
  update: Type.String({ description: 'what its registry is known to have: newer, current, failed, unchecked, local' }),
  changes: Type.Array(
    Type.Object({
      field: Type.String(),
      name: Type.String(),
      before: nullable(Type.String()),
      after: nullable(Type.String()),
    }),
  ),
  kept: Type.Object({
    variables: Type.Integer(),
    mounts: Type.Integer(),
    networks: Type.Integer(),
    ports: Type.Integer(),
  }),
  warnings: Type.Array(Type.String()),
  dependants: Type.Array(Type.Object({ id: Type.String(), name: Type.String() })),
  refusal: nullable(Type.Object({ code: Type.String(), reason: Type.String(), offersSameImage: Type.Boolean() })),
});

export const Project = Type.Object({
  name: Type.String(),
  title: Type.String(),
  running: Type.Integer(),
  total: Type.Integer(),
  containers: Type.Array(Container),
});

export const Removed = Type.Object({ id: Type.String(), removed: Type.Literal(true) });

/** One of some words, as a list that errors can name. */
export const oneOf = <const T extends string>(values: readonly T[]) => Type.Unsafe<T>({ type: 'string', enum: values });

// A form may send a field empty where nothing was chosen.
const choice = (values: readonly string[]) =>
  Type.Unsafe<string>({ type: 'string', enum: ['', ...values], default: '' });

export const IdParams = Type.Object({ id: Type.String() });
export const ProjectParams = Type.Object({ project: Type.String({ minLength: 1, maxLength: 255 }) });

export const DiskBody = Type.Union([
  Type.Object({ project: Type.Optional(Type.String({ maxLength: 255 })) }),
  Type.Null(),
]);

// Links in a list carry its parameters on: what is none of them, such as a socket's topics, is dropped.
const knownOnly = { additionalProperties: false };

export const ListQuery = Type.Object(
  {
    q: Type.String({ maxLength: 200, default: '' }),
    state: choice(stateFilters),
    project: Type.String({ maxLength: 255, default: '' }),
    sort: choice(containerSorts.flatMap((sort) => [sort, `-${sort}`])),
  },
  knownOnly,
);

/** Whether the page that follows a project also has the actions on all of it. */
export const ProjectTopicQuery = Type.Object({ actions: choice(['true']) }, knownOnly);

export const ImageQuery = Type.Object(
  {
    q: Type.String({ maxLength: 200, default: '' }),
    sort: choice(imageSorts.flatMap((sort) => [sort, `-${sort}`])),
    dangling: choice(['true', 'false', '1', '0']),
  },
  knownOnly,
);

// A checkbox that is ticked sends "on" or "1"; JSON sends true.
const checkbox = Type.Optional(
  Type.Unsafe<boolean | string>({ enum: [true, false, 'true', 'false', 'on', '1', '0', ''] }),
);

export const RemoveBody = Type.Union([Type.Object({ force: checkbox, volumes: checkbox }), Type.Null()]);

// Entered for one pull, never kept.
const login = {
  username: Type.Optional(Type.String({ maxLength: 200 })),
  password: Type.Optional(Type.String({ maxLength: 4_000 })),
};

export const PullBody = Type.Object({ reference: Type.String({ minLength: 1, maxLength: 400 }), ...login });

export const PullQuery = Type.Object({ reference: Type.String({ maxLength: 400, default: '' }) });

export const PruneBody = Type.Union([Type.Object({ unused: checkbox }), Type.Null()]);

const rebuildFields = {
  pull: checkbox,
  force: checkbox,
  ...login,
};

export const RebuildBody = Type.Union([Type.Object(rebuildFields), Type.Null()]);

export const RebuildProjectBody = Type.Union([
  Type.Object({
    ...rebuildFields,
    /** Whose login it is, where the containers' images are of several registries. */
    registry: Type.Optional(Type.String({ maxLength: 300 })),
    onFailure: Type.Optional(oneOf(['stop', 'go_on'])),
  }),
  Type.Null(),
]);

// As text: the validator would take other ways to write a number as well, and one thing has one address.
export const OperationParams = Type.Object({ n: Type.String({ pattern: '^[1-9][0-9]{0,14}$' }) });

/** What a list of operations can be narrowed to: one state, or those that run or wait, or those that did not succeed. */
export const OperationQuery = Type.Object(
  {
    state: choice(['active', 'unsuccessful', ...operationStates]),
    before: Type.Optional(Type.Integer({ minimum: 1, maximum: Number.MAX_SAFE_INTEGER })),
    limit: Type.Integer({ minimum: 1, maximum: 200, default: defaultListLimit }),
  },
  knownOnly,
);

const text = (maxLength: number) => Type.String({ maxLength, default: '' });
const moment = Type.String({
  maxLength: 64,
  default: '',
  description: 'RFC 3339, a date (UTC), or seconds since 1970',
});

/** What a timeline can be narrowed to; `before` is where the page before ended. */
const eventFields = {
  type: choice(eventTypes),
  action: text(40),
  trouble: choice(['any', ...troubles]),
  since: moment,
  until: moment,
  before: text(40),
  limit: Type.Integer({ minimum: 1, maximum: 200, default: defaultEventLimit }),
};

export const TimelineQuery = Type.Object(eventFields, knownOnly);

export const EventQuery = Type.Object({ container: text(255), ...eventFields }, knownOnly);

const optionalText = Type.Optional(Type.String());

export const LastWords = Type.Object({
  lines: Type.Array(Type.Object({ at: time, cursor: Type.String(), stream: Type.String(), text: Type.String() })),
  note: Type.String({ description: 'why there are no lines, or not all' }),
  cpuPercent: nullable(Type.Number({ description: '100 is one core' })),
  memoryBytes: nullable(bytes),
  memoryLimitBytes: nullable(bytes),
  figuresAt: nullableTime,
});

export const Event = Type.Object({
  id: Type.Integer(),
  cursor: Type.String({ description: 'opaque; `before` continues behind it' }),
  at: Type.String({ description: 'RFC 3339, microseconds' }),
  type: Type.String({ description: `${eventTypes.join(', ')}; audit: what was asked for here` }),
  action: Type.String(),
  subject: Type.String({ description: 'the id or name that the engine gives' }),
  name: Type.String(),
  trouble: nullable(Type.String({ description: troubles.join(', ') })),
  text: Type.String({ description: 'the same in words' }),
  container: nullable(Type.String({ description: 'the name whose timeline it belongs to' })),
  formerName: optionalText,
  image: optionalText,
  imageId: optionalText,
  project: optionalText,
  service: optionalText,
  exitCode: Type.Optional(Type.Integer()),
  oomKilled: Type.Optional(Type.Boolean()),
  signal: optionalText,
  killedBy: optionalText,
  health: optionalText,
  actor: optionalText,
  client: Type.Optional(Type.String({ description: 'the address that the actor came from' })),
  result: Type.Optional(Type.String({ description: 'done, refused or failed' })),
  doing: optionalText,
  operation: Type.Optional(Type.Integer()),
  state: optionalText,
  message: optionalText,
  tookMs: Type.Optional(Type.Number()),
  from: Type.Optional(time),
  lost: Type.Optional(Type.Integer()),
  lastWords: Type.Optional(LastWords),
});

export const RemoveImageBody = Type.Union([Type.Object({ force: checkbox }), Type.Null()]);

/** Whether a checkbox, or its JSON, says yes. */
export const isTicked = (value: boolean | string | undefined): boolean =>
  value === true || value === 'true' || value === 'on' || value === '1';

export const statsRanges = ['1h', '24h', '7d', '30d'] as const;

const statsTime = (description: string) => Type.String({ maxLength: 64, default: '', description });

const range = Type.Unsafe<(typeof statsRanges)[number]>({ type: 'string', enum: statsRanges, default: '1h' });

export const RangeQuery = Type.Object({ range });

export const StatsQuery = Type.Object({
  range,
  from: statsTime('RFC 3339, a date, or seconds since 1970; with it, or `to`, a span of time instead of a range'),
  to: statsTime('as `from`, a minute to 366 days behind it; default now'),
});

export const LogLine = Type.Object({
  at: Type.String({ description: 'RFC 3339, nanoseconds' }),
  cursor: Type.String({ description: 'opaque; `since` continues right behind it' }),
  stream: Type.Union([Type.Literal('stdout'), Type.Literal('stderr')]),
  text: Type.String(),
  container: Type.String(),
  isContext: Type.Optional(
    Type.Boolean({ description: 'it is shown for a match near it, and matches nothing itself' }),
  ),
});

/** A log is a stream of lines, so nothing serializes it by these: they are for the document. */
export const LogAnswer = {
  description: 'One line of the log a line',
  content: { 'application/x-ndjson': { schema: LogLine }, 'text/plain': { schema: Type.String() } },
};

const tick = () => choice(['1', 'true', 'on', '0', 'false']);

const logFields = {
  since: Type.String({ maxLength: 64, default: '' }),
  until: Type.String({ maxLength: 64, default: '' }),
  q: Type.String({ maxLength: 200, default: '' }),
  regex: tick(),
  case: tick(),
  invert: tick(),
  stream: choice(['stdout', 'stderr']),
  level: choice(logLevels),
  context: Type.Integer({
    minimum: 0,
    maximum: 10,
    default: 0,
    description: 'how many lines are shown before and after each match; `tail` counts them too',
  }),
  follow: choice(['1', 'true', '0', 'false']),
};

/** How lines are given as text. */
const textFields = { download: tick(), timestamps: tick() };

const place = Type.String({ maxLength: 64 });

const mergedFields = {
  ...logFields,
  since: Type.Union([place, Type.Array(place, { maxItems: 200 })], {
    default: '',
    description: 'a time, the cursors of the last lines that are known, one for each container at most, or both',
  }),
};

const logPlace = (description: string) => Type.String({ maxLength: 64, default: '', description });

const placeFields = {
  before: logPlace('a cursor or a time: the newest lines before it; none of the other places beside it'),
  after: logPlace('a cursor or a time: the oldest lines after it'),
  at: logPlace('a cursor or a time: the lines around it'),
};

const readTail = Type.Optional(
  Type.Integer({
    minimum: 0,
    maximum: 5000,
    description: '100 where no place is given, 500 before, after or at one, else all',
  }),
);

/** What is read of the log of several containers. */
export const MergedLogQuery = Type.Object({ tail: readTail, ...mergedFields, ...textFields, ...placeFields });

const containerName = Type.String({ maxLength: 255 });

/** What is read of the log of chosen containers; how many they may be is told where they are read. */
export const ChosenLogQuery = Type.Object({
  container: Type.Union([containerName, Type.Array(containerName, { maxItems: 2_000 })], {
    default: [],
    description: 'a name, several times: 100 at most',
  }),
  ...MergedLogQuery.properties,
});

export const MergedLogAnswer = {
  description: 'One line of one of the logs a line',
  content: {
    'application/x-ndjson': {
      schema: Type.Object({ ...LogLine.properties, service: Type.String({ description: 'or what tells it apart' }) }),
    },
    'text/plain': { schema: Type.String() },
  },
};

/** What is followed over the socket: the newest lines, then every new one. */
export const LogQuery = Type.Object({
  tail: Type.Integer({ minimum: 0, maximum: 5000, default: 100 }),
  ...logFields,
});

/** What is read of a log. */
export const LogReadQuery = Type.Object({ tail: readTail, ...logFields, ...textFields, ...placeFields });
