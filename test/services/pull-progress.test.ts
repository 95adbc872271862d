import { readFileSync } from 'node:fs';
import t from 'tap';
import { createPullProgress, type PullState } from '../../src/services/pull-progress.ts';

type Message = Record<string, unknown>;

const recordings = ['docker-20.10', 'docker-28'];
const recorded = (name: string): Message[] =>
  readFileSync(new URL(`../fixtures/pulls/${name}.jsonl`, import.meta.url), 'utf8')
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));

/** What was told after each message. */
function statesAfter(messages: readonly Message[]): PullState[] {
  const { add, read } = createPullProgress();
  return messages.map((message) => {
    add(message);
    return read();
  });
}

const lastState = (...messages: Message[]): PullState => statesAfter(messages).at(-1) ?? createPullProgress().read();

const layer = (id: unknown, status: string, current?: unknown, total?: unknown): Message => ({
  status,
  id,
  progressDetail: { ...(current !== undefined && { current }), ...(total !== undefined && { total }) },
});

const isOver = ({ state }: { state: string }) => state === 'done' || state === 'present';

/** Whether everything a page shows of it can be shown. */
const isSane = ({ progress, current, total }: PullState) =>
  (progress === null || (progress >= 0 && progress <= 1)) &&
  [current, total].every((bytes) => Number.isFinite(bytes) && bytes >= 0) &&
  current <= total;

t.test('before anything was told, nothing is known', async (t) => {
  t.strictSame(createPullProgress().read(), {
    layers: [],
    progress: null,
    current: 0,
    total: 0,
    digest: '',
    summary: '',
    failure: '',
  });
});

for (const name of recordings) {
  t.test(`${name}: every layer ends loaded or as one that was there`, async (t) => {
    const { layers, digest, summary, failure } = lastState(...recorded(name));
    t.strictSame(
      layers.map(({ state }) => state),
      ['present', 'done', 'done', 'done', 'done', 'done'],
    );
    t.match(digest, /^sha256:[0-9a-f]{64}$/);
    t.match(summary, /^Downloaded newer image for /);
    t.equal(failure, '');
  });

  t.test(`${name}: progress grows to 1, and is not there before the last layer is`, async (t) => {
    const states = statesAfter(recorded(name));
    const progress = states.map((state) => state.progress ?? 0);
    t.strictSame(
      progress,
      progress.toSorted((a, b) => a - b),
      'it never goes back',
    );
    t.equal(progress.at(0), 0);
    t.equal(progress.at(-1), 1);
    const early = states.findIndex((state) => state.progress === 1);
    t.ok(states[early]?.layers.every(isOver));
    t.equal(states[early]?.layers.length, 6, 'all layers are known where it is 1');
    t.ok(new Set(progress).size > 10, 'it moves on the way');
  });

  t.test(`${name}: bytes add up to those of the layers that were loaded`, async (t) => {
    const messages = recorded(name);
    const sizes = messages.map(({ id, progressDetail }) => [id, Object(progressDetail).total] as const);
    const totals = new Map(sizes.filter(([, total]) => total !== undefined));
    const states = statesAfter(messages);
    t.ok(states.every(isSane));
    const bytes = states.map((state) => state.current);
    t.strictSame(
      bytes,
      bytes.toSorted((a, b) => a - b),
      'what was loaded stays so',
    );
    const last = states.at(-1);
    t.equal(last?.current, last?.total);
    t.equal(
      last?.total,
      [...totals.values()].reduce((a, b) => a + b, 0),
    );
    for (const { id, current, total } of last?.layers ?? []) {
      t.equal(total, totals.get(id) ?? null, id);
      t.equal(current, total);
    }
  });
}

t.test('a layer goes its way', async (t) => {
  const way = [
    ['Pulling fs layer', 'waiting'],
    ['Waiting', 'waiting'],
    ['Downloading', 'downloading'],
    ['Verifying Checksum', 'downloaded'],
    ['Download complete', 'downloaded'],
    ['Extracting', 'extracting'],
    ['Pull complete', 'done'],
  ] as const;
  const { add, read } = createPullProgress();
  for (const [status, state] of way) {
    add(layer('a', status));
    t.match(read().layers, [{ id: 'a', state }], status);
  }
  add(layer('a', 'Something new'));
  t.match(read().layers, [{ id: 'a', state: 'done' }], 'what is not known changes nothing');
});

t.test('a large layer weighs more than a small one, and a download more than its extraction', async (t) => {
  const sized = (id: string, total: number) => layer(id, 'Downloading', 0, total);
  const start = [sized('small', 100), sized('large', 900)];
  const progressAfter = (...more: Message[]) => lastState(...start, ...more).progress ?? -1;
  t.equal(progressAfter(), 0);
  t.ok(progressAfter(layer('small', 'Pull complete')) < 0.2);
  t.ok(progressAfter(layer('large', 'Pull complete')) > 0.8);
  const half = progressAfter(layer('large', 'Downloading', 450, 900));
  const loaded = progressAfter(layer('large', 'Download complete'));
  const extracting = progressAfter(layer('large', 'Extracting', 450, 900));
  t.ok(0 < half && half < loaded && loaded < extracting && extracting < 0.9);
  t.ok(loaded > 0.45, 'more than half of its way');
});

t.test('a layer of unknown size counts like the others', async (t) => {
  const { progress, total } = lastState(
    layer('a', 'Downloading', 0, 100),
    layer('b', 'Pulling fs layer'),
    layer('a', 'Pull complete'),
  );
  t.equal(progress, 0.5);
  t.equal(total, 100, 'though nobody told its bytes');
  const unknown = [layer('a', 'Pulling fs layer'), layer('b', 'Pulling fs layer'), layer('a', 'Pull complete')];
  t.equal(lastState(...unknown).progress, 0.5, 'also where no size is known at all');
});

t.test('an engine with the containerd store counts seconds while it extracts, not bytes', async (t) => {
  const seconds = (current: number) => ({ status: 'Extracting', id: 'a', progressDetail: { current, units: 's' } });
  const states = statesAfter([
    layer('a', 'Pulling fs layer'),
    layer('a', 'Downloading', 500, 1000),
    layer('a', 'Download complete'),
    seconds(1),
    seconds(2),
    layer('a', 'Pull complete'),
  ]);
  t.strictSame(
    states.map((state) => state.current),
    [0, 500, 1000, 1000, 1000, 1000],
  );
  t.match(states[4]?.layers, [{ state: 'extracting', total: 1000, current: null }]);
  t.ok((states[4]?.progress ?? 1) < 1);
  t.equal(states.at(-1)?.progress, 1);
});

t.test('an image whose layers are all there is done at its summary', async (t) => {
  const { progress, current, total, summary } = lastState(
    { status: 'Pulling from lab/web', id: '1' },
    layer('a', 'Already exists'),
    layer('b', 'Already exists'),
    { status: `Digest: sha256:${'a'.repeat(64)}` },
    { status: 'Status: Downloaded newer image for lab/web:1' },
  );
  t.match({ progress, current, total }, { progress: 1, current: 0, total: 0 });
  t.equal(summary, 'Downloaded newer image for lab/web:1');
});

t.test('layers that are there say nothing of those that follow', async (t) => {
  const states = statesAfter([
    layer('base', 'Already exists'),
    layer('a', 'Pulling fs layer'),
    layer('a', 'Downloading', 50, 100),
    layer('a', 'Pull complete'),
  ]);
  t.ok(states.slice(0, 3).every((state) => (state.progress ?? 0) < 1));
  t.equal(states.at(-1)?.progress, 1);
});

t.test('an image that is up to date has no layers to tell of', async (t) => {
  const state = lastState(
    { status: 'Pulling from lab/web', id: '1' },
    { status: `Digest: sha256:${'a'.repeat(64)}` },
    { status: 'Status: Image is up to date for lab/web:1' },
  );
  t.match(state, { layers: [], digest: `sha256:${'a'.repeat(64)}`, summary: 'Image is up to date for lab/web:1' });
});

t.test('a download that begins anew does not take progress back', async (t) => {
  const { progress, current } = lastState(
    layer('a', 'Downloading', 900, 1000),
    { status: 'Retrying in 5 seconds', id: 'a', progressDetail: {} },
    layer('a', 'Downloading', 10, 1000),
  );
  t.ok(progress && progress > 0.6);
  t.equal(current, 10, 'its bytes are told as they are');
});

t.test('a pull that fails half-way says so in its last message', async (t) => {
  const words = 'failed to register layer: write /x: no space left on device';
  const start = layer('a', 'Downloading', 1, 2);
  t.equal(lastState(start, { errorDetail: { message: words }, error: words }).failure, words);
  t.equal(lastState(start, { error: words }).failure, words);
  t.equal(lastState(start, { errorDetail: {}, error: words }).failure, words);
  t.equal(lastState(start, { errorDetail: { message: '' }, error: words }).failure, words, 'the one that has words');
  t.equal(lastState({ error: 'first' }, { error: 'second' }).failure, 'first');
  t.equal(lastState({ error: words }, layer('a', 'Pull complete')).failure, words, 'and stays so');
  t.equal(lastState({ error: 'x'.repeat(1_000_000) }).failure.length, 2_000);
  t.equal(lastState({ error: 7, errorDetail: 'x' }).failure, '');
});

t.test('digest and summary are read only where they are some', async (t) => {
  const digest = `sha256:${'a'.repeat(64)}`;
  for (const status of [
    `Digest: ${digest}b`,
    `Digest: ${digest} <b>`,
    'Digest: ',
    'Digest: sha512:aa',
    `x Digest: ${digest}`,
  ])
    t.equal(lastState({ status }).digest, '', status);
  t.equal(
    lastState({ status: `Digest: ${digest}` }, { status: 'Digest: none' }).digest,
    digest,
    'the last that is one',
  );
  t.equal(lastState({ status: `Status: ${'x'.repeat(501)}` }).summary, '');
  t.equal(lastState({ status: 'Status: a\nb' }).summary, '');
});

t.test('messages that say nothing change nothing', async (t) => {
  const noise = [
    {},
    { status: null },
    { status: 7, id: 7 },
    { status: {}, id: [] },
    layer(undefined, 'Downloading', 1, 2),
    layer('', 'Downloading', 1, 2),
    layer(7, 'Downloading', 1, 2),
    layer(null, 'Pull complete'),
    layer('x', 'downloading', 1, 2),
    layer('x', '__proto__', 1, 2),
    layer('x', 'constructor', 1, 2),
    layer('x', 'toString'),
    { status: 'Pulling from lab/web', id: '1' },
  ];
  t.strictSame(lastState(...noise), createPullProgress().read());
});

t.test('numbers that are none leave the size unknown', async (t) => {
  for (const detail of [null, 'x', [], { current: '1', total: '2' }, { current: null, total: {} }, { total: true }]) {
    const state = lastState({ status: 'Downloading', id: 'a', progressDetail: detail });
    t.match(state, {
      current: 0,
      total: 0,
      progress: 0,
      layers: [{ state: 'downloading', current: null, total: null }],
    });
  }
});

t.test('numbers that can not be are never shown as progress', async (t) => {
  const cases = {
    'more than all': [layer('a', 'Downloading', 300, 100)],
    'less than nothing': [layer('a', 'Downloading', -300, 100)],
    'a negative size': [layer('a', 'Downloading', 1, -100)],
    'a negative size beside a real one': [
      layer('a', 'Downloading', 0, -4),
      layer('b', 'Downloading', 0, 5),
      layer('b', 'Pull complete'),
    ],
    'sizes that together are no number': [
      layer('a', 'Downloading', 1e308, 1.7e308),
      layer('b', 'Downloading', 1e308, 1.7e308),
    ],
    'a tiny size': [layer('a', 'Downloading', 1, 5e-324)],
    'extracted more than loaded': [layer('a', 'Downloading', 5, 10), layer('a', 'Extracting', 20, 10)],
  };
  for (const [name, messages] of Object.entries(cases)) {
    const states = statesAfter(messages);
    t.ok(states.every(isSane), `${name}: ${JSON.stringify(states.at(-1))}`);
    t.ok(
      states.every(({ layers }) => layers.every(({ current, total }) => (current ?? 0) >= 0 && (total ?? 0) >= 0)),
      name,
    );
  }
});

t.test('names that objects have a meaning for are layers like others', async (t) => {
  const { layers, progress } = lastState(layer('constructor', 'Pulling fs layer'), layer('__proto__', 'Pull complete'));
  t.strictSame(
    layers.map(({ id, state }) => [id, state]),
    [
      ['constructor', 'waiting'],
      ['__proto__', 'done'],
    ],
  );
  t.equal(progress, 0.5);
});

t.test('of 10,000 layers 512 are told, and the rest is counted', async (t) => {
  const { add, read } = createPullProgress();
  for (let n = 0; n < 10_000; n++) add(layer(`layer ${n}`, 'Pulling fs layer'));
  t.equal(read().layers.length, 512);
  for (let n = 0; n < 512; n++) add(layer(`layer ${n}`, 'Pull complete'));
  t.ok((read().progress ?? 1) < 1, 'as long as others are on their way');
  t.equal(read().layers.length, 512);
});

t.test('ids without end are not kept without end', async (t) => {
  const { add, read } = createPullProgress();
  for (let n = 0; n < 600; n++) add(layer(`${n}${'x'.repeat(10_000)}`, 'Pulling fs layer'));
  t.ok(JSON.stringify(read()).length < 1_000_000);
});
