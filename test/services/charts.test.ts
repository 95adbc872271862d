import t from 'tap';
import { chartPaths, niceMax, sparkPath, timeTicks, toRate } from '../../src/charts.ts';

const box = { from: 0, to: 300_000, stepSeconds: 10, max: 100 };
const value = (sample: { value: number | null }) => sample.value;

/** The end points of a path with relative steps, rounded to tenths. */
function points(path: string): [number, number][] {
  const found: [number, number][] = [];
  let [x, y] = [0, 0];
  for (const [, letter = '', rest = ''] of path.matchAll(/([MlhVHz])([^MlhVHz]*)/g)) {
    const [a = 0, b = 0] = (rest.match(/-?(?:\d+\.?\d*|\.\d+)/g) ?? []).map(Number);
    if (letter === 'M') [x, y] = [a, b];
    if (letter === 'l') [x, y] = [x + a, y + b];
    if (letter === 'h') x += a;
    if (letter === 'V' || letter === 'H' || letter === 'z') continue;
    found.push([Math.round(x * 10) / 10, Math.round(y * 10) / 10]);
  }
  return found;
}

t.test('a sparkline grows from the right and ends at the right edge', async (t) => {
  t.same(points(sparkPath([0, 50, 100], { max: 100 }).line), [
    [62, 20],
    [63, 10],
    [64, 0],
  ]);
  const full = points(sparkPath(Array.from({ length: 60 }, (_, index) => index % 7)).line);
  t.same([full[0]?.[0], full.at(-1)?.[0]], [0, 64], 'sixty values fill the width');
});

t.test('relative steps do not add up rounding errors', async (t) => {
  const values = Array.from({ length: 60 }, (_, index) => (index * 37) % 101);
  const drawn = points(sparkPath(values, { max: 101 }).line);
  for (const [index, [, y]] of drawn.entries()) {
    const exact = 20 * (1 - (values[index] ?? 0) / 101);
    if (Math.abs(y - exact) > 0.051) t.fail(`value ${index} stands at ${y} instead of ${exact}`);
  }
  t.equal(drawn.length, 60);
});

t.test('a sparkline is short: bytes are pushed with every row', async (t) => {
  t.same(sparkPath(Array(60).fill(0.2)), { line: 'M0 19.6h64', area: 'M0 19.6h64V20H0z' }, 'an idle container');
  const busy = sparkPath(Array.from({ length: 60 }, (_, index) => (index * 37) % 101));
  t.ok(busy.line.length + busy.area.length < 900, `a busy one takes ${busy.line.length + busy.area.length} bytes`);
  t.notMatch(busy.area, /\.\d\d/, 'one decimal at most');
  t.match(busy.area, /^[MlhVHz\d. -]+$/, 'numbers and letters of paths, nothing to escape');
});

t.test('only the last sixty values are drawn', async (t) => {
  const values = Array.from({ length: 100 }, (_, index) => index % 13);
  t.same(sparkPath(values), sparkPath(values.slice(-60)));
});

t.test('without a maximum the scale ends at the highest value, at 10 at least', async (t) => {
  t.equal(points(sparkPath([0, 400]).line).at(-1)?.[1], 0);
  t.equal(points(sparkPath([0, 1]).line).at(-1)?.[1], 18, 'noise stays near the floor');
});

t.test('nothing to draw is an empty path, one value a short dash', async (t) => {
  t.same(sparkPath([]), { line: '', area: '' });
  t.same(points(sparkPath([5]).line), [
    [63, 10],
    [64, 10],
  ]);
  t.same(chartPaths([], value, box), { line: '', area: '' });
});

t.test('values out of range stay inside the box', async (t) => {
  t.same(points(sparkPath([-5, 500, Number.NaN], { max: 100 }).line), [
    [62, 20],
    [63, 0],
    [64, 20],
  ]);
});

t.test('a chart places samples by their time', async (t) => {
  const samples = [
    { at: new Date(0).toISOString(), value: 0 },
    { at: 10_000, value: 100 },
    { at: 20_000, value: 50 },
  ];
  t.same(points(chartPaths(samples, value, box).line), [
    [0, 92],
    [10, 0],
    [20, 46],
  ]);
  t.match(chartPaths(samples, value, box).area, /V92H0z$/, 'the area goes down to the floor and back');
});

t.test('a gap stays a gap', async (t) => {
  const samples = [0, 10, 20, 60, 70].map((seconds) => ({ at: seconds * 1000, value: 50 }));
  const { line, area } = chartPaths(samples, value, box);
  t.equal(line, 'M0 46h20M60 46h10', 'two pieces');
  t.equal(area, 'M0 46h20V92H0zM60 46h10V92H60z', 'each with its own floor');
  const jitter = [0, 11, 21, 42].map((seconds) => ({ at: seconds * 1000, value: 50 }));
  t.equal(chartPaths(jitter, value, box).line, 'M0 46h42', 'one missing step is none: samples come a little late');
});

t.test('a null ends a run and what is outside the time shown is left out', async (t) => {
  const samples = [-10, 0, 10, 20, 30, 40, 310].map((seconds) => ({
    at: seconds * 1000,
    value: seconds === 20 ? null : 50,
  }));
  const nulls = [0, 10, 20, 30, 40, 50, 60, 70].map((seconds) => ({
    at: seconds * 1000,
    value: seconds >= 20 && seconds <= 40 ? null : 50,
  }));
  t.equal(chartPaths(nulls, value, box).line, 'M0 46h10M50 46h20');
  t.equal(chartPaths(samples, value, box).line.startsWith('M0 46'), true);
  t.notMatch(chartPaths(samples, value, box).line, /31/);
});

t.test('totals become rates; a restart and a gap have none', async (t) => {
  const samples = [
    { at: 0, value: 1000 },
    { at: 10_000, value: 3000 },
    { at: 20_000, value: 500 },
    { at: 60_000, value: 9000 },
    { at: 70_000, value: null },
  ];
  const rate = toRate(samples, value, 10);
  t.same(samples.map(rate), [null, 200, null, null, null]);
});

t.test('axes end at round numbers', async (t) => {
  t.same(
    [0.3, 1, 1.2, 42, 100, 101, 730].map((value) => niceMax(value)),
    [0.5, 1, 2, 50, 100, 200, 1000],
  );
  t.same(
    [1, 1000, 3e8].map((value) => niceMax(value, 1024)),
    [1, 1024, 2 ** 29],
    'bytes at powers of two',
  );
  t.same(
    [0, -1, Number.NaN].map((value) => niceMax(value)),
    [1, 1, 1],
  );
});

t.test('time is marked at round moments', async (t) => {
  const to = Date.UTC(2026, 10, 23, 19, 27, 27);
  const at = (hours: number, options?: { count: number }) =>
    timeTicks(to - hours * 3_600_000, to, options).map((tick) => new Date(tick.at).toISOString().slice(5, 16));
  t.same(at(1), ['11-23T18:30', '11-23T18:45', '11-23T19:00', '11-23T19:15']);
  t.equal(at(24, { count: 4 })[0], '11-23T00:00');
  for (const hours of [1, 24, 168, 720]) t.ok(at(hours).length <= 7 && at(hours).length >= 3, `${hours} h`);
  t.same(
    timeTicks(0, 3_600_000, { count: 4, width: 300 }).map(({ x }) => x),
    [0, 75, 150, 225, 300],
  );
});
