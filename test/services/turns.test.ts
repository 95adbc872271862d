import t from 'tap';
import { createTurns } from '../../src/services/turns.ts';
import { until } from '../support/app.ts';

/** Turns whose work goes on until it is let go, and all that was begun and refused. */
function createHeldTurns(mostWaiting: number) {
  const turns = createTurns(mostWaiting);
  const begun: string[] = [];
  const refused: string[] = [];
  const held: (() => void)[] = [];
  let ended = 0;
  return {
    begun,
    refused,
    ask(name: string, key: string, isKnown = false) {
      const work = () => {
        begun.push(name);
        return new Promise<void>((resolve) => held.push(resolve));
      };
      turns
        .take({ key, isKnown }, work)
        .catch(() => refused.push(name))
        .finally(() => {
          ended += 1;
        });
    },
    /** Ends so many one after the other. */
    async end(times: number) {
      for (let n = 0; n < times; n++) {
        await until(() => held.length > 0, 'work goes on');
        const before = ended;
        held.shift()?.();
        await until(() => ended > before, 'it ends');
      }
    },
  };
}

t.test('a client waits for one turn of another, however many that one has waiting', async (t) => {
  const turns = createHeldTurns(40);
  for (let n = 0; n < 20; n++) turns.ask(`flood ${n}`, 'flood');
  turns.ask('owner', 'owner');
  await turns.end(3);
  t.strictSame(turns.begun.slice(0, 3), ['flood 0', 'owner', 'flood 1']);
  turns.ask('fresh', 'fresh');
  turns.ask('owner again', 'owner');
  await turns.end(3);
  t.strictSame(turns.begun.slice(3, 6), ['flood 2', 'fresh', 'owner again']);
});

t.test('known clients have every second turn, whatever strangers do, and strangers the other', async (t) => {
  const turns = createHeldTurns(40);
  for (let n = 0; n < 40; n++) turns.ask(`stranger ${n}`, `address ${n}`);
  for (let n = 0; n < 3; n++) turns.ask(`known ${n}`, 'browser', true);
  await turns.end(6);
  t.strictSame(turns.begun.slice(0, 6), ['stranger 0', 'known 0', 'stranger 1', 'known 1', 'stranger 2', 'known 2']);
});

t.test(
  'what is too many is refused to who has most waiting, and to no known client for what strangers do',
  async (t) => {
    const turns = createHeldTurns(3);
    for (let n = 0; n < 5; n++) turns.ask(`flood ${n}`, 'flood');
    await until(() => turns.refused.length === 1, 'one too many');
    t.strictSame(turns.refused, ['flood 4']);
    turns.ask('owner', 'owner');
    turns.ask('known', 'browser', true);
    await until(() => turns.refused.length === 2, 'another one too many');
    t.strictSame(turns.refused, ['flood 4', 'flood 3']);
    await turns.end(5);
    t.strictSame(turns.begun, ['flood 0', 'known', 'owner', 'flood 1', 'flood 2']);
  },
);
