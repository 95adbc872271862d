import type { Config } from './config.ts';
import type { RowFiguresOf } from './feeds/row-figures.ts';
import type { Render } from './render.ts';
import type { AssetUrls } from './routes/assets.ts';
import type { Messages } from './routes/messages.ts';
import type { DockerPort } from './services/docker.ts';
import type { Inventory } from './services/inventory.ts';
import type { Live } from './services/live.ts';
import type { Logs } from './services/logs.ts';
import type { Stats } from './services/stats.ts';

/** What the routes work with; made once, in the wiring. */
export type Deps = {
  config: Config;
  docker: DockerPort;
  inventory: Inventory;
  stats: Stats;
  logs: Logs;
  live: Live;
  render: Render;
  rowFigures: RowFiguresOf;
  assets: AssetUrls;
  messages: Messages;
};
