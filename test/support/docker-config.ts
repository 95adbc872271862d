import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Test } from 'tap';

/** A folder as `docker login` leaves it: registries as the docker command names them, with `user:password`. */
export function dockerConfig(t: Test, logins: Record<string, string>): string {
  const name = mkdtempSync(join(tmpdir(), 'fairlead-login-'));
  t.teardown(() => rmSync(name, { recursive: true, force: true }));
  const auths = Object.entries(logins).map(([registry, login]) => [
    registry,
    { auth: Buffer.from(login).toString('base64') },
  ]);
  writeFileSync(join(name, 'config.json'), JSON.stringify({ auths: Object.fromEntries(auths) }));
  return name;
}
