import t from 'tap';
import { levelOf } from '../../src/services/log-level-forms.ts';
import { isAtLeast } from '../../src/services/log-levels.ts';
import { levelLines } from '../fixtures/log-levels.ts';

t.test('A level is what a line tells in the ways that programs have', async (t) => {
  for (const [level, text] of levelLines) t.equal(levelOf(text), level, text.slice(0, 100));
});

t.test('A level takes those that are graver', async (t) => {
  t.equal(isAtLeast('error', 'warn'), true);
  t.equal(isAtLeast('info', 'warn'), false);
  t.equal(isAtLeast(undefined, 'debug'), false);
});

t.test('No line takes long, however hostile', async (t) => {
  const n = 65_536;
  const hostile = [
    '{"a":'.repeat(n / 5),
    `{${'"a":1,'.repeat(n / 6)}"level":"error"}`,
    ` "level=${'\\"'.repeat(n / 2)}`,
    `level=${' level='.repeat(n / 7)}`,
    `level= ${'"'.repeat(n)}`,
    `level= ${'"a'.repeat(n / 2)}`,
    `${'{"'.repeat(n / 2)}}`,
    `${'{ '.repeat(n / 2)}}`,
    `${'{'.padEnd(n)}}`,
    ' '.repeat(n),
    `{${' '.repeat(n)}`,
    '['.repeat(n),
    `[${' '.repeat(n)}`,
    `${'A.'.repeat(n / 2)}`,
    `${'a'.repeat(n)}: error`,
    `2025-01-24 ${'x '.repeat(n / 2)}`,
  ];
  for (const text of hostile) {
    const began = performance.now();
    levelOf(text);
    const ms = performance.now() - began;
    t.ok(ms < 100, `${text.slice(0, 20)}: ${Math.round(ms)} ms`);
  }
});
