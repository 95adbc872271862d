import type { LogDisplay } from './log-display.ts';

/** What the viewer may do; what can't be done isn't offered. */
export type Can = {
  /** Whether they see all containers, and with them what is about the whole machine. */
  all: boolean;
  control: boolean;
  remove: boolean;
  images: boolean;
  rebuild: boolean;
  alerts: boolean;
  admin: boolean;
  reveal: boolean;
  /** What is refused in front of the engine, of what is offered one by one: `start`, `pull`, … */
  refused: readonly string[];
};

/** What every model needs to know beside its subject. */
export type ViewContext = {
  /** ms since 1970. */
  now: number;
  /** The host name that the request asked for: where published ports are linked to. */
  host: string;
  /** Prefix of every URL: empty, or `/sub`. */
  base: string;
  can: Can;
  /** Whether no figures are taken at all. */
  figuresOff?: boolean;
  /** How logs are shown; the usual way where nothing is said. */
  logDisplay?: LogDisplay;
};

/** What every fragment gets. */
export type Shared = { base: string; can: Can };

/** The shared part of a context. */
export function toShared(context: ViewContext): Shared {
  return { base: context.base, can: context.can };
}

/** A message above the page; an action on many things has a result for each. */
export type Message = {
  kind: 'error' | 'status';
  text: string;
  engineMessage?: string | undefined;
  results?: { name: string; ok: boolean; text: string }[];
};

/** How the engine is, for the header and the banner. */
export type EngineState = {
  status: 'connected' | 'unreachable';
  /** `engine 28.5.2, API 1.51`. */
  text: string;
  detail: string;
  address: string;
  /** Since when it does not answer (ms). */
  since: number | null;
};

/** The data of `layouts/page`. */
export type Shell = {
  base: string;
  theme: 'system' | 'light' | 'dark';
  density: 'dense' | 'roomy';
  demo: boolean;
  /** Why not everything can be done; null where it can. */
  limits: string | null;
  /** Who has signed in; null where nobody does or has to. */
  user: string | null;
  can: Can;
  nav: 'dashboard' | 'containers' | 'logs' | 'images' | 'operations' | 'events' | 'alerts' | 'admin' | '';
  /** Whether it is loaded again every few seconds where scripts are off. */
  reloads?: boolean;
  title: string;
  /** The address of the live socket, for `hx-ws:connect`. */
  live: string | null;
  engine: EngineState;
  assets: { css: string; js: string };
  messages: Message[];
  body: string;
};

/** A path of the product, that may have parameters already, with only those more that say something. */
export function toHref(path: string, parameters: Record<string, string | null | undefined>): string {
  const search = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) if (value) search.set(name, value);
  const text = search.toString();
  return text ? `${path}${path.includes('?') ? '&' : '?'}${text}` : path;
}
