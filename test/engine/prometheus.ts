import { execFile, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { environment } from './commands.ts';
import { cached, unpackPackages } from './packages.ts';
import { endChild, hasEnded } from './processes.ts';

const readyMs = 15_000;

/** Where Prometheus and promtool are. */
export type PrometheusPrograms = { prometheus: string; promtool: string };

/**
 * Debian's Prometheus as it is installed; where it is not, unpacked only, since its package would start it. Throws
 * MissingEngine.
 */
export async function prometheusPrograms(): Promise<PrometheusPrograms> {
  const isInstalled = existsSync('/usr/bin/prometheus') && existsSync('/usr/bin/promtool');
  const root = isInstalled
    ? '/'
    : await cached('prometheus', (empty) => unpackPackages('bookworm', ['prometheus'], empty));
  return { prometheus: join(root, 'usr/bin/prometheus'), promtool: join(root, 'usr/bin/promtool') };
}

/** What promtool says of a text on its input, or of files, and whether it finds it good. */
export function runPromtool(
  { promtool }: PrometheusPrograms,
  args: readonly string[],
  input = '',
): Promise<{ isGood: boolean; output: string }> {
  return new Promise((resolve) => {
    const child = execFile(promtool, args, { env: environment() }, (error, stdout, stderr) => {
      resolve({ isGood: error === null, output: `${stdout}${stderr}`.trim() });
    });
    child.stdin?.end(input);
  });
}

/** One series of an answer: its labels, and its newest value. */
export type Series = { labels: Record<string, string>; value: number };

/** A Prometheus that runs, see `startPrometheus`. */
export type Prometheus = Awaited<ReturnType<typeof startPrometheus>>;

/** Starts Prometheus with these settings (YAML) on a free port of loopback, with a data folder that goes with it. */
export async function startPrometheus({ prometheus }: PrometheusPrograms, settings: string) {
  const folder = await mkdtemp(join(tmpdir(), 'fairlead-prometheus-'));
  await writeFile(join(folder, 'prometheus.yml'), settings);
  const flags = ['config.file=prometheus.yml', 'storage.tsdb.path=data', 'web.listen-address=127.0.0.1:0'];
  // It ends with this process, also where that one is killed.
  const child = spawn('setpriv', ['--pdeathsig', 'KILL', prometheus, ...flags.map((flag) => `--${flag}`)], {
    cwd: folder,
    env: environment(),
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ready = Promise.withResolvers<string>();
  let output = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    output += text;
    const address = /msg="Listening on" address=(\S+)/.exec(output)?.[1];
    if (address && output.includes('ready to receive web requests')) ready.resolve(`http://${address}`);
  });
  child.on('error', ready.reject);
  child.on('exit', () => ready.reject(new Error(`Prometheus ended: ${output}`)));
  const timer = setTimeout(() => ready.reject(new Error(`Prometheus does not answer: ${output}`)), readyMs);

  const stop = async (): Promise<void> => {
    if (!hasEnded(child)) await endChild(child);
    await rm(folder, { recursive: true, force: true });
  };

  const url = await ready.promise.catch(async (error: unknown) => {
    await stop();
    throw error;
  });
  clearTimeout(timer);

  return {
    url,
    stop,
    /** What its query API answers to an expression. */
    async query(expression: string): Promise<Series[]> {
      const answer = await fetch(`${url}/api/v1/query?${new URLSearchParams({ query: expression })}`);
      const { data, error } = (await answer.json()) as Answer;
      if (!data) throw new Error(`${expression}: ${error}`);
      return data.result.map(({ metric, value }) => ({ labels: metric, value: Number(value[1]) }));
    },
  };
}

type Answer = {
  data?: { result: { metric: Record<string, string>; value: [number, string] }[] };
  error?: string;
};
