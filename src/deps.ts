import type { IncomingMessage, ServerResponse } from 'node:http';
import type { TypeBoxTypeProvider } from '@fastify/type-provider-typebox';
import type { FastifyBaseLogger, FastifyInstance, RawServerDefault } from 'fastify';
import type { Config } from './config.ts';
import type { RowFiguresOf } from './feeds/row-figures.ts';
import type { Render } from './render.ts';
import type { AssetUrls } from './routes/assets.ts';
import type { Messages } from './routes/messages.ts';
import type { Alerts } from './services/alerts.ts';
import type { Attention } from './services/attention.ts';
import type { Audit } from './services/audit.ts';
import type { DiskUsage } from './services/disk-usage.ts';
import type { DockerPort } from './services/docker.ts';
import type { Embeds } from './services/embeds.ts';
import type { EngineRights } from './services/engine-rights.ts';
import type { History } from './services/history.ts';
import type { Inventory } from './services/inventory.ts';
import type { Live } from './services/live.ts';
import type { Logs } from './services/logs.ts';
import type { MergedLogs } from './services/merged-logs.ts';
import type { Operations } from './services/operations.ts';
import type { Passkeys } from './services/passkeys.ts';
import type { Projects } from './services/projects.ts';
import type { Pulls } from './services/pulls.ts';
import type { Rebuilds } from './services/rebuilds.ts';
import type { SecondFactors } from './services/second-factors.ts';
import type { SecretBox } from './services/secret-box.ts';
import type { Sessions } from './services/sessions.ts';
import type { SetupCode } from './services/setup-code.ts';
import type { CodeLimit, SignInLimit } from './services/sign-in-limit.ts';
import type { SingleSignOn } from './services/single-sign-on.ts';
import type { Stats } from './services/stats.ts';
import type { Tokens } from './services/tokens.ts';
import type { Updates } from './services/updates.ts';
import type { Users } from './services/users.ts';

/** The web application, typed by the schemas of its routes. */
export type App = FastifyInstance<
  RawServerDefault,
  IncomingMessage,
  ServerResponse,
  FastifyBaseLogger,
  TypeBoxTypeProvider
>;

/** What the routes work with; made once, in the wiring. */
export type Deps = {
  config: Config;
  docker: DockerPort;
  inventory: Inventory;
  rights: EngineRights;
  attention: Attention;
  stats: Stats;
  diskUsage: DiskUsage;
  logs: Logs;
  mergedLogs: MergedLogs;
  history: History;
  alerts: Alerts;
  live: Live;
  operations: Operations;
  pulls: Pulls;
  projects: Projects;
  rebuilds: Rebuilds;
  updates: Updates;
  users: Users;
  sessions: Sessions;
  tokens: Tokens;
  embeds: Embeds;
  /** Whether there is no admin who can sign in. */
  needsAdmin: () => boolean;
  /** Undefined where nobody has to set anything up. */
  setupCode: SetupCode | undefined;
  signInLimit: SignInLimit;
  /** Undefined where no provider is set. */
  singleSignOn: SingleSignOn | undefined;
  /** Whether an address is of a proxy whose word is taken. */
  isProxy: (address: string | undefined) => boolean;
  secondFactors: SecondFactors;
  passkeys: Passkeys;
  codeLimit: CodeLimit;
  secretBox: SecretBox;
  audit: Audit;
  render: Render;
  rowFigures: RowFiguresOf;
  assets: AssetUrls;
  messages: Messages;
};
