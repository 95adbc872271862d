import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Eta } from 'eta';

/** Where the templates are. */
export const viewsFolder = fileURLToPath(new URL('views', import.meta.url));

/** Renders a template by its name below `src/views`, without extension; what it shows is escaped by the template. */
export type Render = (name: string, data: object) => string;

/**
 * Creates the one template engine, after every template was compiled once, so that a broken one ends the start and not
 * a page.
 * @throws EtaError that names the template
 */
export function createEta(): Eta {
  const eta = new Eta({ views: viewsFolder, cache: true, autoEscape: true, varName: 'it' });
  rememberPaths(eta);
  for (const file of readdirSync(viewsFolder, { recursive: true, encoding: 'utf8' })) {
    if (file.endsWith('.eta')) eta.compile(readFileSync(join(viewsFolder, file), 'utf8'), { filepath: file });
  }
  return eta;
}

/** A template's path depends on its name and on where it is included from; working it out anew cost a third of a page. */
function rememberPaths(eta: Eta): void {
  const resolve = eta.resolvePath?.bind(eta);
  if (!resolve) return;
  const known = new Map<string, string>();
  eta.resolvePath = (template, options) => {
    const key = `${options?.filepath ?? ''}\n${template}`;
    const path = known.get(key) ?? resolve(template, options);
    known.set(key, path);
    return path;
  };
}
