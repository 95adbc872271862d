import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { registerHooks, stripTypeScriptTypes } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(import.meta.dirname);
const cache = join(root, 'node_modules/.cache/fairlead');
const folders = ['src', 'migrations'];
const stripMs = 30_000;

/**
 * Loads the program's TypeScript from a folder of stripped copies, named by their content, beside the packages. What
 * strips the types would else stay in memory, 20 MB for as long as the program runs: so a process of its own makes the
 * copies, once. Where the folder can't be written, Node strips as it always does.
 */
export function useStripped() {
  const sources = readSources();
  if (sources.some((source) => !existsSync(source.copy))) stripApart();
  const copies = new Map(sources.map((source) => [source.path, source.copy]));
  registerHooks({
    load(url, context, next) {
      const copy = url.startsWith('file:') ? copies.get(fileURLToPath(url)) : undefined;
      if (copy === undefined || !existsSync(copy)) return next(url, context);
      return { format: 'module', source: readFileSync(copy), shortCircuit: true };
    },
  });
}

function readSources() {
  return folders.flatMap((folder) =>
    readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
      .filter((name) => name.endsWith('.ts'))
      .map((name) => {
        const path = join(root, folder, name);
        const text = readFileSync(path, 'utf8');
        const hash = createHash('sha256').update(process.version).update(text).digest('hex');
        return { path, text, copy: join(cache, `${hash}.js`) };
      }),
  );
}

function stripApart() {
  spawnSync(process.execPath, [fileURLToPath(import.meta.url)], { stdio: 'ignore', timeout: stripMs });
}

/** Makes the copies that are missing and removes those of older sources; another start may be reading meanwhile. */
function strip() {
  mkdirSync(cache, { recursive: true });
  const sources = readSources();
  for (const { text, copy } of sources) {
    if (existsSync(copy)) continue;
    writeFileSync(`${copy}.${process.pid}`, stripTypeScriptTypes(text));
    renameSync(`${copy}.${process.pid}`, copy);
  }
  const current = new Set(sources.map(({ copy }) => copy));
  for (const name of readdirSync(cache))
    if (!current.has(join(cache, name))) rmSync(join(cache, name), { force: true });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) strip();
