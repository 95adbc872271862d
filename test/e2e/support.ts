import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { Agent, createServer, type IncomingMessage, request, type ServerResponse } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { Browser, BrowserContextOptions, CDPSession, Page } from 'playwright-core';
import { launchBrowser } from '../engine/browser.ts';
import { busyboxImage, type Engine, type EngineOptions, runLabel, startEngine } from '../engine/engine.ts';
import { type Reporter, unlessMissing } from '../engine/missing.ts';

const root = new URL('../..', import.meta.url).pathname;
const readyMs = 20_000;
const pollMs = 100;

/** Waits until `look` gives something that is true, and gives it; throws with `what` after `ms` ms. */
export async function until<T>(what: string, look: () => T | Promise<T>, ms = 10_000): Promise<NonNullable<T>> {
  const end = performance.now() + ms;
  for (;;) {
    const found = await look();
    if (found) return found as NonNullable<T>;
    if (performance.now() > end) throw new Error(`After ${ms} ms not yet: ${what}`);
    await delay(pollMs);
  }
}

// ── the program ──

/** The program as a process of its own, see `startFairlead`. */
export type Fairlead = Awaited<ReturnType<typeof startFairlead>>;

/**
 * Starts the program as `npm start` does, on a free port of loopback, with nothing of the docker command's settings and
 * with a data folder of its own; one that is given as `DATA_DIR` stays.
 */
export async function startFairlead(engineHost: string, env: Record<string, string> = {}) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-e2e-'));
  const script = ['--max-semi-space-size=2', join(root, 'src/start.js')];
  const { DOCKER_TLS_VERIFY: _, DOCKER_CERT_PATH: __, ...inherited } = process.env;
  // It ends with this process, also where that one is killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', process.execPath, ...script], {
    cwd: folder,
    env: {
      ...inherited,
      HOST: '127.0.0.1',
      PORT: '0',
      DATA_DIR: folder,
      DOCKER_CONFIG: folder,
      DOCKER_HOST: engineHost,
      LOG_LEVEL: 'warn',
      MAX_REQUESTS_PER_MINUTE: '100000',
      AUTH: 'none',
      ...env,
    },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const ended = once(child, 'exit');
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }

  const stop = async (): Promise<void> => {
    if (child.exitCode === null && child.signalCode === null) {
      child.kill('SIGTERM');
      await Promise.race([ended, delay(6_000).then(() => child.kill('SIGKILL'))]);
      await ended;
    }
    rmSync(folder, { recursive: true, force: true });
  };

  /** Ends it as the kernel does where memory is short: it can't do anything about it. */
  const kill = async (): Promise<void> => {
    child.kill('SIGKILL');
    await ended;
    await stop();
  };

  const findUrl = () => /listening at (http:\S+)/.exec(output)?.[1];
  try {
    const url = await until(
      'the ready line',
      () => {
        if (child.exitCode !== null) throw new Error(`It ended at its start: ${output}`);
        return findUrl();
      },
      readyMs,
    );
    const pid = child.pid ?? 0;
    return {
      url,
      pid,
      stop,
      kill,
      output: () => output,
      exitCode: () => child.exitCode,
      /** Memory that is in use, bytes. */
      rss: () => Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024,
      /** A JSON answer of `/api`, with its status. */
      api: async <T>(path: string, init?: RequestInit): Promise<{ status: number; body: T }> => {
        const answer = await fetch(`${url}/api${path}`, init);
        return { status: answer.status, body: (await answer.json()) as T };
      },
    };
  } catch (error) {
    await stop();
    throw error;
  }
}

// ── the engine ──

/** One call to the engine's own API; throws with its words for a status of 400 or above. */
export function callEngine<T>(socketPath: string, method: string, path: string, body?: object): Promise<T> {
  return new Promise((resolve, reject) => {
    const payload = body === undefined ? '' : JSON.stringify(body);
    const headers = body === undefined ? {} : { 'content-type': 'application/json', 'content-length': payload.length };
    const call = request({ socketPath, method, path: `/v1.41${path}`, headers }, async (answer) => {
      const chunks: Buffer[] = [];
      for await (const chunk of answer as AsyncIterable<Buffer>) chunks.push(chunk);
      const text = Buffer.concat(chunks).toString();
      if ((answer.statusCode ?? 500) >= 400) reject(new Error(`${method} ${path}: ${text}`));
      else resolve((text ? JSON.parse(text) : undefined) as T);
    });
    call.on('error', reject);
    call.end(payload);
  });
}

/** What one of many containers is like; the first `running` of them are started. */
export type Herd = { count: number; running: number; prefix?: string; projects?: number };

/**
 * Makes many containers as fast as the engine can, four at a time, without a network: `<prefix>-000` and so on, spread
 * over `projects` Compose projects. Gives their ids.
 */
export async function makeContainers(engine: Engine, { count, running, prefix = 'many', projects = 8 }: Herd) {
  const ids: string[] = [];
  const [labelName = '', labelValue = ''] = runLabel.split('=');
  let next = 0;
  const work = async (): Promise<void> => {
    for (let n = next++; n < count; n = next++) {
      const name = `fairlead-test-${prefix}-${String(n).padStart(3, '0')}`;
      const { Id } = await callEngine<{ Id: string }>(engine.socketPath, 'POST', `/containers/create?name=${name}`, {
        Image: busyboxImage,
        Cmd: ['sleep', '100000'],
        StopTimeout: 1,
        Labels: {
          [labelName]: labelValue,
          'com.docker.compose.project': `${prefix}-${n % projects}`,
          'com.docker.compose.service': `service-${n}`,
        },
        HostConfig: { NetworkMode: 'none' },
      });
      if (n < running) await callEngine(engine.socketPath, 'POST', `/containers/${Id}/start`);
      ids[n] = Id;
    }
  };
  await Promise.all(Array.from({ length: 4 }, work));
  return ids;
}

/** A container as the page shows it and as the docker CLI lists it. */
export type Row = { id: string; name: string; state: string };

/** What `docker ps -a` says, by name. */
export async function listedRows(engine: Engine): Promise<Row[]> {
  const text = await engine.docker('ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Names}} {{.State}}');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => {
      const [id = '', name = '', state = ''] = line.split(' ');
      return { id, name, state };
    })
    .sort(byName);
}

const byName = (a: Row, b: Row) => (a.name < b.name ? -1 : 1);

// ── a recorder between the program and the engine ──

/** A call as it went through the recorder; `endedAt` is set when its answer has ended or was given up. */
export type RecordedCall = { method: string; path: string; at: number; endedAt: number | undefined };

/** See `startRecorder`. */
export type Recorder = Awaited<ReturnType<typeof startRecorder>>;

/** A socket that hands every call on to the engine and writes down which they were. */
export async function startRecorder(engineSocket: string) {
  const folder = mkdtempSync(join(tmpdir(), 'fairlead-recorder-'));
  const path = join(folder, 'docker.sock');
  const agent = new Agent({ keepAlive: true });
  const calls: RecordedCall[] = [];

  const server = createServer((incoming, outgoing) => {
    const call: RecordedCall = {
      method: incoming.method ?? '',
      path: (incoming.url ?? '').replace(/^\/v[\d.]+/, ''),
      at: performance.now(),
      endedAt: undefined,
    };
    calls.push(call);
    outgoing.on('close', () => {
      call.endedAt = performance.now();
    });
    handOn(incoming, outgoing);
  });

  function handOn(incoming: IncomingMessage, outgoing: ServerResponse): void {
    const { method, url, headers } = incoming;
    const onward = request({ socketPath: engineSocket, agent, method, path: url, headers }, (answer) => {
      outgoing.writeHead(answer.statusCode ?? 502, answer.headers);
      outgoing.flushHeaders();
      answer.pipe(outgoing);
      answer.on('error', () => outgoing.destroy());
      answer.on('aborted', () => outgoing.destroy());
    });
    onward.on('error', () => outgoing.destroy());
    outgoing.on('close', () => onward.destroy());
    incoming.pipe(onward);
  }

  server.listen(path);
  await once(server, 'listening');
  return {
    host: `unix://${path}`,
    calls,
    /** The calls since a moment whose path matches, but for pings and figures, which go on all the time. */
    since: (at: number, pattern = /./) =>
      calls.filter((call) => call.at >= at && pattern.test(call.path) && !/\/_ping|\/stats\?/.test(call.path)),
    /** The calls that still run and whose path matches. */
    open: (pattern: RegExp) => calls.filter((call) => call.endedAt === undefined && pattern.test(call.path)),
    stop: async () => {
      agent.destroy();
      server.closeAllConnections();
      server.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

// ── a cable between the browser and the program ──

/** See `startCable`. */
export type Cable = Awaited<ReturnType<typeof startCable>>;

/** An address of its own that leads to the program, and can be cut off. */
export async function startCable(target: string) {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let isCut = false;
  const keep = (socket: Socket, other: Socket) => {
    sockets.add(socket);
    socket.on('error', () => other.destroy());
    socket.on('close', () => {
      sockets.delete(socket);
      other.destroy();
    });
  };
  const server = createTcpServer((near) => {
    if (isCut) return void near.destroy();
    const far = connect(Number(port), hostname);
    keep(near, far);
    keep(far, near);
    near.pipe(far).pipe(near);
  });
  const drop = (): void => {
    for (const socket of sockets) socket.destroy();
  };
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    url: `http://127.0.0.1:${address.port}`,
    /** Drops every connection and takes no new one for so many ms. */
    cut: async (ms: number): Promise<void> => {
      isCut = true;
      drop();
      await delay(ms);
      isCut = false;
    },
    stop: () => {
      drop();
      server.close();
    },
  };
}

// ── the browser ──

/** A page of the browser in a context of its own, and all that went wrong in it. */
export type Tab = Awaited<ReturnType<typeof openTab>>;

/** Beside a context's own options: whether the page's socket is waited for (with JavaScript it is). */
export type TabOptions = BrowserContextOptions & { live?: boolean };

// Scripts that run in the page are text: they are checked against a browser's globals, which this project has none of.
const reportViolations = `document.addEventListener('securitypolicyviolation', (event) =>
  console.error('CSP', event.violatedDirective, event.blockedURI, event.sample));`;

const rowsScript = `[...document.querySelectorAll('tr[id^=container-]')].map((row) => ({
  id: row.id.slice('container-'.length), name: row.dataset.name, state: row.dataset.state }))`;

/** Opens an address in a context of its own, and waits until the page is live. */
export async function openTab(browser: Browser, url: string, options: TabOptions = {}) {
  const { live = options.javaScriptEnabled ?? true, ...contextOptions } = options;
  const context = await browser.newContext({ viewport: { width: 1280, height: 900 }, ...contextOptions });
  const page = await context.newPage();
  const faults: string[] = [];
  page.on('console', (message) => message.type() === 'error' && faults.push(message.text()));
  page.on('pageerror', (error) => faults.push(String(error)));
  page.on('dialog', (dialog) => {
    faults.push(`dialog: ${dialog.message()}`);
    dialog.dismiss().catch(() => {});
  });
  if (options.javaScriptEnabled !== false) await page.addInitScript(reportViolations);
  const answer = await page.goto(url, { waitUntil: 'domcontentloaded' });
  const tab = {
    page,
    /** Errors in the console, scripts that threw, violations of the content policy, dialogs. */
    faults,
    status: answer?.status() ?? 0,
    /** Waits until the page says that it is live, or not live where it follows nothing. */
    untilLive: (ms = 20_000) => page.waitForSelector(liveOrStill, { timeout: ms }),
    /** Follows a link or sends a form that leads to another page, and waits until all of that has come. */
    follow: async (selector: string) => {
      await Promise.all([page.waitForEvent('domcontentloaded'), page.click(selector)]);
    },
    /** The containers that the page shows, by name. */
    rows: async (): Promise<Row[]> => (await page.evaluate<Row[]>(rowsScript)).sort(byName),
    /** The same in the order of the page, names only. */
    names: async (): Promise<string[]> => (await page.evaluate<Row[]>(rowsScript)).map(({ name }) => name),
    /** Waits until something is found in the page; throws with what the page says instead. */
    sees: async (selector: string, ms = 15_000): Promise<void> => {
      await page.waitForSelector(selector, { timeout: ms, state: 'attached' }).catch(async (error: Error) => {
        const said = await page
          .locator('main')
          .innerText({ timeout: 1_000 })
          .catch(() => 'nothing');
        throw new Error(`${error.message}\nThe page says: ${said.slice(0, 2_000)}`, { cause: error });
      });
    },
    /** Waits until something is no longer in the page. */
    misses: async (selector: string, ms = 15_000): Promise<void> => {
      await page.waitForSelector(selector, { timeout: ms, state: 'detached' });
    },
    text: async (selector: string): Promise<string> => (await page.locator(selector).first().textContent()) ?? '',
    count: (selector: string): Promise<number> => page.locator(selector).count(),
    close: () => context.close(),
  };
  if (live) await tab.untilLive();
  return tab;
}

const still = 'body:has(#live[data-follows=engine]):not(:has(.logs-full))';
const liveOrStill = `#live-status[data-status=live], ${still} #live-status[data-status=offline]`;

const accessibilityScript = `(() => {
  const faults = [];
  const visible = (element) => element.checkVisibility();
  const nameOf = (element) => (element.getAttribute('aria-label')
    ?? document.getElementById(element.getAttribute('aria-labelledby') ?? '')?.textContent
    ?? [...(element.labels ?? [])].map((label) => label.textContent).join(' ')
    ?? '').trim() || element.textContent.trim() || element.title || element.getAttribute('placeholder') || '';
  const headings = document.querySelectorAll('h1').length;
  if (headings !== 1) faults.push(headings + ' h1');
  if (!document.documentElement.lang) faults.push('no lang');
  if (!document.title) faults.push('no title');
  if (!document.querySelector('main')) faults.push('no main');
  for (const element of document.querySelectorAll('a[href], button, input:not([type=hidden]), select, summary, textarea'))
    if (visible(element) && !nameOf(element)) faults.push('no name: ' + element.outerHTML.slice(0, 120));
  for (const element of document.querySelectorAll('input:not([type=hidden]), select'))
    if (!element.labels?.length && !element.getAttribute('aria-label')) faults.push('no label: ' + element.outerHTML.slice(0, 120));
  for (const image of document.querySelectorAll('img:not([alt])')) faults.push('no alt: ' + image.outerHTML);
  const ids = [...document.querySelectorAll('[id]')].map(({ id }) => id);
  for (const id of new Set(ids.filter((id, index) => ids.indexOf(id) !== index))) faults.push('twice: id ' + id);
  const { scrollWidth } = document.scrollingElement;
  if (scrollWidth > innerWidth) faults.push('wider than the window: ' + scrollWidth + ' of ' + innerWidth);
  return faults;
})()`;

/** What a page lacks so that everybody can use it, each fault as a sentence. */
export const accessibilityFaults = ({ page }: Tab) => page.evaluate<string[]>(accessibilityScript);

/** The part of a tap test that compares. */
type Comparing = { same(found: unknown, wanted: unknown, message: string): boolean };

const unfoldScript = `for (const part of document.querySelectorAll('details:not(.menu)')) part.open = true`;

/** Shows that everybody can use a page with all of it unfolded, in a wide window, and in a narrow one, which it keeps. */
export async function looksGood(t: Comparing, tab: Tab): Promise<void> {
  for (const width of [1440, 390]) {
    await tab.page.setViewportSize({ width, height: 900 });
    await tab.page.evaluate(unfoldScript);
    t.same(await accessibilityFaults(tab), [], `${new URL(tab.page.url()).pathname} at ${width} px`);
  }
}

/** Holds the requests of a page to an address until it is told to let them go; counts them. */
export async function hold({ page }: Tab, address: string) {
  const { promise, resolve } = Promise.withResolvers<void>();
  let requests = 0;
  await page.route(address, async (route) => {
    requests++;
    await promise;
    await route.continue();
  });
  return { release: resolve, count: () => requests };
}

/** Presses Tab until the focus is on something; it has to be there before all of the page was gone through. */
export async function tabTo({ page }: Tab, selector: string) {
  const isThere = () => page.evaluate<boolean>(`document.activeElement.matches(${JSON.stringify(selector)})`);
  for (let n = 0; n < 60 && !(await isThere()); n++) await page.keyboard.press('Tab');
  if (!(await isThere())) throw new Error(`Tab does not lead to ${selector}`);
}

const changesScript = `(() => {
  const seen = new Map();
  window.fairleadChanges = {};
  const note = (row) => {
    const state = row.dataset.name + ' ' + row.dataset.state;
    if (seen.get(row.id) === state) return;
    seen.set(row.id, state);
    (window.fairleadChanges[row.id] ??= []).push([row.dataset.state, Date.now(), row.dataset.name]);
  };
  const look = (node) => {
    const row = node.closest?.('tr[id^=container-]');
    if (row) note(row);
    else for (const found of node.querySelectorAll?.('tr[id^=container-]') ?? []) note(found);
  };
  for (const row of document.querySelectorAll('tr[id^=container-]')) note(row);
  window.fairleadChanges = {};
  new MutationObserver((records) => {
    for (const { target, addedNodes } of records) {
      look(target);
      addedNodes.forEach(look);
    }
  }).observe(document.body, { subtree: true, childList: true, attributes: true, attributeFilter: ['data-state', 'data-name'] });
})()`;

/** Each change of a row: its new state, when (ms since 1970), its name. */
export type RowChange = [state: string, at: number, name: string];

/** Begins to write down when rows change in a page; gives how to read that, by container id. */
export async function watchRows(page: Page): Promise<() => Promise<Map<string, RowChange[]>>> {
  await page.evaluate(changesScript);
  return async () => {
    const changes = await page.evaluate<Record<string, RowChange[]>>('window.fairleadChanges');
    return new Map(Object.entries(changes).map(([id, list]) => [id.slice('container-'.length), list]));
  };
}

const clicksScript = `window.fairleadClicks = [];
document.addEventListener('click', (event) => requestAnimationFrame(() =>
  window.fairleadClicks.push(performance.now() - event.timeStamp)), true);`;

/**
 * Clicks where nothing is, ten times a second until it is told to stop: how long the page lets one wait until it can
 * draw an answer, each in ms.
 */
export async function startClicking(page: Page): Promise<() => Promise<number[]>> {
  await page.evaluate(clicksScript);
  let isOver = false;
  const clicking = (async () => {
    while (!isOver) {
      await page.mouse.click(2, 2);
      await delay(100);
    }
  })();
  return async () => {
    isOver = true;
    await clicking;
    await delay(200);
    return page.evaluate<number[]>('window.fairleadClicks');
  };
}

/** What came over the network, by its encoded size in bytes. */
export type Transfer = { url: string; type: string; bytes: number };

/** Begins to add up what a page loads. */
export async function watchTransfers(session: CDPSession): Promise<Transfer[]> {
  const transfers: Transfer[] = [];
  const known = new Map<string, Transfer>();
  session.on('Network.responseReceived', ({ requestId, response, type }) => {
    const transfer = { url: response.url, type, bytes: 0 };
    known.set(requestId, transfer);
    transfers.push(transfer);
  });
  session.on('Network.loadingFinished', ({ requestId, encodedDataLength }) => {
    const transfer = known.get(requestId);
    if (transfer) transfer.bytes = encodedDataLength;
  });
  await session.send('Network.enable');
  return transfers;
}

// ── all together ──

type Test = Reporter & { teardown(end: () => unknown): void };

/** An engine, the program on it and a browser. */
export type World = {
  engine: Engine;
  recorder: Recorder;
  fairlead: Fairlead;
  browser: Browser;
  at(path: string): string;
};

/** What a world is made with; `recorded` puts the recorder between program and engine. */
export type WorldOptions = EngineOptions & { recorded?: boolean; env?: Record<string, string> };

/**
 * Starts a private engine, the program on it and a browser, all of which end with the test. Gives nothing where this
 * machine can't have one of them, which the test then says.
 */
export async function startWorld(test: Test, { recorded = false, env, ...options }: WorldOptions) {
  const parts = await unlessMissing(test, async () => {
    // The browser first: it may be missing, and then nothing has to be ended.
    const browser = await launchBrowser();
    test.teardown(() => browser.close());
    return { browser, engine: await startEngine(options) };
  });
  if (!parts) return undefined;
  const { browser, engine } = parts;
  test.teardown(engine.stop);
  const recorder = await startRecorder(engine.socketPath);
  test.teardown(recorder.stop);
  const fairlead = await startFairlead(recorded ? recorder.host : engine.host, env);
  test.teardown(fairlead.stop);
  return { engine, recorder, fairlead, browser, at: (path: string) => `${fairlead.url}${path}` } satisfies World;
}

/** A name that no other container has. */
export const freshName = (stem: string): string => `${stem}-${randomBytes(3).toString('hex')}`;
