/**
 * How long a right sign-in takes while 200 wrong ones come in each second, from one address or from 200 of them: in a browser
 * that its user signed in by before, and from elsewhere, where a refusal is answered by another try. The floor is a right
 * sign-in with nothing else going on, in the same run.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { startFairlead } from '../test/e2e/support.ts';
import { createSimulatedEngine } from '../test/simulated/engine.ts';
import { inQuantiles, print, quantile } from './support.ts';

const password = 'correct horse battery';
const wrongPerSecond = 200;
const seconds = 20;
const mostTries = 100;

const engine = await createSimulatedEngine();
const fairlead = await startFairlead(engine.host, {
  AUTH: 'password',
  ADMIN_PASSWORD: password,
  TRUST_PROXY: '127.0.0.1',
});

/** Tries to sign in from an address; gives the status and the cookie by which the browser is known from then on. */
async function tryOnce(address: string, given: string, cookie = '') {
  const answer = await fetch(`${fairlead.url}/login`, {
    method: 'POST',
    redirect: 'manual',
    headers: { 'x-forwarded-for': address, cookie },
    body: new URLSearchParams({ username: 'admin', password: given }),
  });
  await answer.arrayBuffer();
  const device = answer.headers.getSetCookie().find((each) => each.startsWith('fairlead_device='));
  return { status: answer.status, device: device?.split(';')[0] ?? '' };
}

/** How long it takes until somebody is in, in ms, and how often they had to try; for ever where they gave up. */
async function enter(address: string, cookie = ''): Promise<{ ms: number; tries: number }> {
  const begun = performance.now();
  for (let tries = 1; tries <= mostTries; tries += 1) {
    if ((await tryOnce(address, password, cookie)).status === 303) return { ms: performance.now() - begun, tries };
    await delay(100);
  }
  return { ms: Number.POSITIVE_INFINITY, tries: mostTries };
}

/** Lets wrong ones come in at their pace, whatever becomes of those before. */
function startFlood(addresses: number) {
  let sent = 0;
  const open = new Set<Promise<unknown>>();
  const begun = performance.now();
  const timer = setInterval(() => {
    const due = Math.floor(((performance.now() - begun) / 1_000) * wrongPerSecond);
    for (; sent < due; sent += 1) {
      const trying = tryOnce(
        `10.0.${Math.floor((sent % addresses) / 250)}.${(sent % addresses) % 250}`,
        `wrong ${sent}`,
      );
      open.add(trying);
      trying.catch(() => {}).finally(() => open.delete(trying));
    }
  }, 10);
  return {
    sent: () => sent,
    stop: async () => {
      clearInterval(timer);
      await Promise.allSettled(open);
    },
  };
}

async function measure(what: string, cookie: string, goals: { known: number; other?: number }): Promise<void> {
  const known: number[] = [];
  const other: number[] = [];
  let tries = 0;
  for (const begun = performance.now(); performance.now() - begun < seconds * 1_000; ) {
    known.push((await enter('192.0.2.1', cookie)).ms);
    const entered = await enter(`192.0.2.${(other.length % 200) + 2}`);
    other.push(entered.ms);
    tries += entered.tries;
  }
  console.log(what);
  print('  in a browser that is known', inQuantiles(known), quantile(known, 0.95) < goals.known);
  const told = `${inQuantiles(other)}, ${(tries / other.length).toFixed(1)} tries`;
  const isGood = goals.other === undefined ? undefined : quantile(other, 0.95) < goals.other;
  print('  from elsewhere', told, isGood);
}

try {
  const { device } = await tryOnce('192.0.2.1', password);
  await measure('nothing else', device, { known: 1_000, other: 1_000 });
  for (const addresses of [1, 200]) {
    const flood = startFlood(addresses);
    await delay(1_000);
    const what = `${wrongPerSecond} wrong ones a second from ${addresses === 1 ? 'one address' : `${addresses} addresses`}`;
    // Strangers from very many addresses are as many strangers to each other: only who is known is promised more.
    await measure(what, device, { known: 1_000, ...(addresses === 1 && { other: 3_000 }) });
    await flood.stop();
    print('  wrong ones', String(flood.sent()));
  }
} finally {
  await fairlead.stop();
  await engine.close();
}
