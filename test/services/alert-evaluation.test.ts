import t from 'tap';
import { createAlertEvaluation, type Presence } from '../../src/services/alert-evaluation.ts';
import { isInScope, readRule } from '../../src/services/alert-rules.ts';
import type { AlertFacts, Rule } from '../../src/services/alert-types.ts';

const start = Date.parse('2026-01-31T10:00:00Z');
const at = (seconds: number) => start + seconds * 1_000;

const rule = (input: Parameters<typeof readRule>[0], id = 1): Rule => ({ ...readRule(input), id, enabled: true });
const web = { name: 'web', id: 'a'.repeat(64), image: 'lab/web:1', project: 'shop', service: 'web' };
const other = { ...web, name: 'db', id: 'b'.repeat(64) };
const died: AlertFacts = { kind: 'died', exitCode: 3, oom: false };
const loop: AlertFacts = { kind: 'restarts', deaths: 0, withinSeconds: 600, exitCode: 1 };
const sick: AlertFacts = { kind: 'unhealthy', forSeconds: 60 };
const line: AlertFacts = { kind: 'log', text: 'ERROR', stream: 'stderr', pattern: 'error' };

const always = (presence: Presence) => () => presence;
const names = (states: readonly { subject: { name: string } }[]) => states.map(({ subject }) => subject.name);

type Evaluation = ReturnType<typeof createAlertEvaluation>;
const due = (evaluation: Evaluation, of: Rule, seconds: number) => {
  const { firing, resolved } = evaluation.due(of, at(seconds));
  return { firing: names(firing), resolved: names(resolved) };
};
/** Tells what is due, as the outbox does. */
function tell(evaluation: Evaluation, of: Rule, seconds: number) {
  const { firing, resolved } = evaluation.due(of, at(seconds));
  evaluation.told(of, [...firing, ...resolved], at(seconds));
  return { firing: names(firing), resolved: names(resolved) };
}

t.test('a death fires once, and again only after the cool-down', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died', cooldownMinutes: 15, tellResolved: true });
  evaluation.strike(deaths, web, died, at(0));
  t.same(tell(evaluation, deaths, 3), { firing: ['web'], resolved: [] });
  evaluation.strike(deaths, web, died, at(30));
  evaluation.strike(deaths, web, died, at(60));
  t.same(due(evaluation, deaths, 61).firing, [], 'it is told already');
  evaluation.tick(deaths, always('stopped'), at(300));
  t.equal(evaluation.firing().length, 1, 'it is down, so it fires on');
  t.same(due(evaluation, deaths, 903).firing, ['web'], 'that it went on is told after the cool-down');
  t.equal(evaluation.due(deaths, at(903)).firing[0]?.count, 2, 'with how often');
  tell(evaluation, deaths, 903);
  evaluation.tick(deaths, always('running'), at(904));
  t.equal(evaluation.firing().length, 0, 'it has run for a minute since');
  t.same(tell(evaluation, deaths, 905), { firing: [], resolved: ['web'] });
  t.same(due(evaluation, deaths, 906), { firing: [], resolved: [] }, 'an end is told once');
});

t.test('a death that is over before it can be told is told nevertheless, after the pause', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died' });
  evaluation.strike(deaths, web, died, at(0));
  evaluation.tick(deaths, always('running'), at(61));
  t.same(tell(evaluation, deaths, 62), { firing: ['web'], resolved: [] }, 'though it runs again');
  evaluation.strike(deaths, web, died, at(100));
  t.same(due(evaluation, deaths, 101).firing, [], 'too soon');
  evaluation.tick(deaths, always('running'), at(200));
  evaluation.strike(deaths, web, died, at(300));
  evaluation.strike(deaths, web, died, at(310));
  evaluation.tick(deaths, always('running'), at(400));
  t.same(due(evaluation, deaths, 900).firing, [], 'still too soon');
  evaluation.tick(deaths, always('running'), at(962));
  t.equal(evaluation.due(deaths, at(962)).firing[0]?.count, 3, 'all since it was last told');
  tell(evaluation, deaths, 962);
  t.same(due(evaluation, deaths, 2_000), { firing: [], resolved: [] }, 'once');
});

t.test('of what was told each end is told, where the rule says so', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died', tellResolved: true });
  evaluation.strike(deaths, web, died, at(0));
  evaluation.tick(deaths, always('running'), at(61));
  t.same(tell(evaluation, deaths, 62), { firing: ['web'], resolved: [] });
  t.same(due(evaluation, deaths, 63), { firing: [], resolved: ['web'] }, 'after its begin');
  evaluation.strike(deaths, web, died, at(64));
  t.same(
    due(evaluation, deaths, 65),
    { firing: [], resolved: [] },
    'it fires again, which is the same to who was told',
  );
  evaluation.tick(deaths, always('running'), at(130));
  t.same(due(evaluation, deaths, 131), { firing: [], resolved: ['web'] });
  t.equal(evaluation.due(deaths, at(131)).resolved[0]?.count, 1, 'with what nobody was told of');
});

t.test('a container that was removed fires no more', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died', tellResolved: true });
  evaluation.strike(deaths, web, died, at(0));
  tell(evaluation, deaths, 1);
  evaluation.tick(deaths, always('gone'), at(30));
  t.equal(evaluation.firing().length, 1, 'it may come back as another one');
  evaluation.tick(deaths, always('gone'), at(61));
  t.equal(evaluation.due(deaths, at(62)).resolved[0]?.end, 'gone');
});

t.test('a bound has to be passed for as long as the rule says', async (t) => {
  const evaluation = createAlertEvaluation();
  const unhealthy = rule({ kind: 'unhealthy', forMinutes: 1, tellResolved: true });
  const look = (facts: AlertFacts | null, seconds: number) => evaluation.level(unhealthy, web, facts, 60, at(seconds));
  look(sick, 0);
  look(sick, 59);
  t.equal(evaluation.firing().length, 0);
  look(null, 59);
  look(sick, 70);
  look(sick, 129);
  t.equal(evaluation.firing().length, 0, 'one look below begins anew');
  look(sick, 130);
  t.equal(evaluation.firing()[0]?.state.since, at(70), 'it counts from when it began');
  t.same(tell(evaluation, unhealthy, 133), { firing: ['web'], resolved: [] });
  look(null, 140);
  t.same(tell(evaluation, unhealthy, 141), { firing: [], resolved: ['web'] });
  look(sick, 150);
  look(sick, 210);
  t.same(due(evaluation, unhealthy, 211).firing, [], 'it waits for the cool-down');
  look(sick, 1_033);
  t.same(due(evaluation, unhealthy, 1_033).firing, ['web'], 'and is told then, since it goes on');
});

t.test('what goes back below its bound before it was told is not told at all', async (t) => {
  const evaluation = createAlertEvaluation();
  const cpu = rule({ kind: 'cpu', forMinutes: 0, tellResolved: true });
  const facts: AlertFacts = { kind: 'cpu', percent: 95, bound: 90, unit: 'core', forSeconds: 0 };
  evaluation.level(cpu, web, facts, 0, at(0));
  t.same(due(evaluation, cpu, 1).firing, ['web']);
  evaluation.level(cpu, web, null, 0, at(2));
  t.same(due(evaluation, cpu, 3), { firing: [], resolved: [] });
  evaluation.level(cpu, web, facts, 0, at(4));
  tell(evaluation, cpu, 5);
  evaluation.tick(cpu, always('stopped'), at(6));
  t.same(due(evaluation, cpu, 7).resolved, ['web'], 'one that does not run uses nothing');
});

t.test('a clock that was set back makes nothing wait', async (t) => {
  const evaluation = createAlertEvaluation();
  const unhealthy = rule({ kind: 'unhealthy', forMinutes: 1 });
  evaluation.level(unhealthy, web, sick, 60, at(10_000));
  evaluation.level(unhealthy, web, sick, 60, at(0));
  evaluation.level(unhealthy, web, sick, 60, at(60));
  t.same(tell(evaluation, unhealthy, 10_000).firing, ['web']);
  evaluation.level(unhealthy, web, null, 60, at(70));
  evaluation.level(unhealthy, web, sick, 60, at(80));
  evaluation.level(unhealthy, web, sick, 60, at(140));
  t.same(due(evaluation, unhealthy, 140).firing, ['web'], 'what was told in the future was told long ago');
});

t.test('what happened before a clock was set back is over in its time', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died' });
  const loops = rule({ kind: 'restarts', deaths: 2, withinMinutes: 10 }, 2);
  evaluation.strike(deaths, web, died, at(10_000));
  evaluation.strike(loops, web, loop, at(10_000));
  for (const seconds of [0, 59]) evaluation.tick(deaths, always('running'), at(seconds));
  t.equal(evaluation.firing().length, 1);
  evaluation.tick(deaths, always('running'), at(61));
  t.equal(evaluation.firing().length, 0, 'it has run for a minute');
  evaluation.strike(loops, web, loop, at(100));
  t.equal(evaluation.firing().length, 0, 'a death that lies ahead is not of the last ten minutes');
  evaluation.strike(loops, other, loop, at(103));
  evaluation.strike(loops, other, loop, at(102));
  t.equal(evaluation.firing().length, 1, 'two that are told out of their order are');
});

t.test('the time over a bound begins anew where nobody looked meanwhile', async (t) => {
  const evaluation = createAlertEvaluation();
  const cpu = rule({ kind: 'cpu', forMinutes: 5 });
  const facts: AlertFacts = { kind: 'cpu', percent: 95, bound: 90, unit: 'core', forSeconds: 300 };
  const look = (seconds: number) => evaluation.level(cpu, web, facts, 300, at(seconds));
  look(0);
  look(3_600);
  t.equal(evaluation.firing().length, 0, 'two samples in an hour are no five minutes');
  for (let seconds = 3_660; seconds < 3_900; seconds += 60) look(seconds);
  t.equal(evaluation.firing().length, 0);
  look(3_900);
  t.equal(evaluation.firing().length, 1, 'five minutes of samples are');
  const unhealthy = rule({ kind: 'unhealthy', forMinutes: 5 }, 2);
  for (const seconds of [0, 300]) evaluation.level(unhealthy, web, sick, 300, at(seconds));
  t.equal(evaluation.firing().length, 2, 'health is not sampled');
});

t.test('a loop is so many deaths within a time', async (t) => {
  const evaluation = createAlertEvaluation();
  const loops = rule({ kind: 'restarts', deaths: 3, withinMinutes: 10, tellResolved: true });
  for (const seconds of [0, 500, 1_000, 1_200]) evaluation.strike(loops, web, loop, at(seconds));
  t.equal(evaluation.firing().length, 0, 'never three within ten minutes');
  evaluation.strike(loops, other, loop, at(1_210));
  evaluation.strike(loops, web, loop, at(1_300));
  const [firing] = evaluation.firing();
  t.match(firing?.state, { subject: { name: 'web' }, facts: { deaths: 3 } }, 'the third of the last ten minutes');
  tell(evaluation, loops, 1_301);
  evaluation.tick(loops, always('running'), at(1_899));
  t.equal(evaluation.firing().length, 1);
  evaluation.tick(loops, always('running'), at(1_901));
  t.equal(evaluation.due(loops, at(1_901)).resolved[0]?.end, 'quiet', 'none for ten minutes');
});

t.test('deaths before the start count with those after it', async (t) => {
  const evaluation = createAlertEvaluation();
  const loops = rule({ kind: 'restarts', deaths: 3, withinMinutes: 10 });
  evaluation.remember(loops, web, at(-100));
  evaluation.remember(loops, web, at(-50));
  t.equal(evaluation.firing().length, 0);
  evaluation.strike(loops, web, loop, at(1));
  t.equal(evaluation.firing().length, 1);
});

t.test('lines that match are one alert until it is quiet', async (t) => {
  const evaluation = createAlertEvaluation();
  const lines = rule({ kind: 'log', pattern: 'error', cooldownMinutes: 5, tellResolved: true });
  evaluation.strike(lines, web, line, at(0), 7);
  t.equal(evaluation.due(lines, at(0)).firing[0]?.count, 7);
  tell(evaluation, lines, 3);
  for (let seconds = 10; seconds < 290; seconds += 10) evaluation.strike(lines, web, line, at(seconds));
  t.same(due(evaluation, lines, 299).firing, []);
  t.same(due(evaluation, lines, 303).firing, ['web'], 'after the cool-down that it goes on');
  tell(evaluation, lines, 303);
  evaluation.tick(lines, always('running'), at(600));
  t.same(due(evaluation, lines, 601).resolved, ['web']);
});

t.test('how rules stand survives a restart', async (t) => {
  const first = createAlertEvaluation();
  const deaths = rule({ kind: 'died', tellResolved: true });
  first.strike(deaths, web, died, at(0));
  first.strike(deaths, other, died, at(1));
  const before = first.takeChanges();
  t.equal(before.length, 2);
  t.same(first.takeChanges(), [], 'what was kept is not kept again');
  const second = createAlertEvaluation(structuredClone(before));
  t.same(tell(second, deaths, 3).firing, ['web', 'db'], 'what was not told yet is told now');
  const third = createAlertEvaluation(structuredClone(second.takeChanges()));
  t.same(due(third, deaths, 5).firing, [], 'and no second time');
  third.strike(deaths, web, died, at(10));
  t.same(due(third, deaths, 11).firing, [], 'the cool-down goes on');
  third.tick(deaths, always('running'), at(100));
  t.same(due(third, deaths, 101).resolved.sort(), ['db', 'web']);
});

t.test('what could not be put into the outbox is due again', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died' });
  evaluation.strike(deaths, web, died, at(0));
  const { firing } = evaluation.due(deaths, at(1));
  evaluation.told(deaths, firing, at(1))();
  t.same(due(evaluation, deaths, 2).firing, ['web']);
  const taken = evaluation.takeChanges();
  evaluation.strike(deaths, other, died, at(3));
  evaluation.putBack(taken);
  t.same(
    evaluation.takeChanges().map(({ subject }) => subject),
    ['db', 'web'],
    'what could not be kept is taken again',
  );
});

t.test('what could not be told goes on as it is by then', async (t) => {
  const evaluation = createAlertEvaluation();
  const deaths = rule({ kind: 'died', tellResolved: true });
  const telling = (seconds: number) => {
    const { firing, resolved } = evaluation.due(deaths, at(seconds));
    return evaluation.told(deaths, [...firing, ...resolved], at(seconds));
  };
  evaluation.strike(deaths, web, died, at(0), 3);
  const first = telling(1);
  evaluation.strike(deaths, web, died, at(2));
  evaluation.tick(deaths, always('running'), at(70));
  first();
  t.match(
    evaluation.due(deaths, at(71)).firing[0],
    { count: 4, isFiring: false },
    'it ended, and nobody knows of it yet',
  );
  telling(71);
  const end = telling(72);
  evaluation.strike(deaths, web, died, at(73));
  end();
  t.match(evaluation.firing()[0]?.state, { isFiring: true, isTold: true, count: 1, due: 'firing' }, 'a new one stays');
  evaluation.tick(deaths, always('running'), at(140));
  const again = telling(141);
  evaluation.strike(deaths, web, died, at(2_000));
  again();
  t.match(evaluation.due(deaths, at(2_001)).firing[0], { count: 2, isTold: true }, 'with what was to be told');

  const unhealthy = rule({ kind: 'unhealthy', forMinutes: 0, tellResolved: true }, 2);
  evaluation.level(unhealthy, web, sick, 0, at(0));
  const undo = evaluation.told(unhealthy, evaluation.due(unhealthy, at(1)).firing, at(1));
  evaluation.level(unhealthy, web, null, 0, at(2));
  undo();
  t.same(due(evaluation, unhealthy, 3), { firing: [], resolved: [] }, 'what was no moment is over before anybody knew');
});

t.test('what is over and told is forgotten, and each rule stands for so many at most', async (t) => {
  const full: number[] = [];
  const evaluation = createAlertEvaluation([], ({ id }) => full.push(id));
  const deaths = rule({ kind: 'died', cooldownMinutes: 1 });
  for (let n = 0; n < 2_100; n++) evaluation.strike(deaths, { ...web, name: `web-${n}` }, died, at(0));
  t.equal(evaluation.firing().length, 2_000);
  t.equal(full.length, 100, 'the others are said');
  tell(evaluation, deaths, 1);
  evaluation.takeChanges();
  evaluation.tick(deaths, always('running'), at(70));
  const changes = evaluation.takeChanges();
  t.equal(changes.filter(({ state }) => state === null).length, 2_000);
  evaluation.strike(deaths, web, died, at(71));
  t.equal(evaluation.firing().length, 1, 'there is room again');
  evaluation.forget(deaths.id);
  t.same(evaluation.firing(), []);
});

t.test('a rule is about all containers, a project, or names', async (t) => {
  const is = (input: object, name: string, project: string | null = null) =>
    isInScope(rule({ kind: 'died', ...input }), { name, project });
  t.ok(is({}, 'web'));
  t.ok(is({ project: 'shop' }, 'web', 'shop'));
  t.notOk(is({ project: 'shop' }, 'web'));
  t.ok(is({ containers: 'db, web-*' }, 'web-1'));
  t.ok(is({ containers: 'db, web-*' }, 'db'));
  t.notOk(is({ containers: 'db, web-*' }, 'db-1'));
  t.ok(is({ containers: ['*-web-*'] }, 'shop-web-1'));
  t.ok(is({ containers: '*' }, 'x'));
  t.notOk(is({ containers: 'a*a' }, 'a'), 'both ends are there');
  t.ok(is({ containers: 'a*a' }, 'aa'));
  t.notOk(is({ containers: 'a*b*c' }, 'acb'));
  t.notOk(is({ containers: 'Web' }, 'web'));
  t.notOk(is({ project: 'shop', containers: 'web' }, 'web', 'blog'), 'both have to be so');
  const slow = `${'a'.repeat(100)}b`;
  t.notOk(is({ containers: `${'*a'.repeat(60)}*c` }, slow), 'a pattern made to be slow is not');
  t.notOk(isInScope(rule({ kind: 'disk' }), { name: 'web', project: null }), 'the disk is no container');
});

t.test('what a rule may not be is said by its field', async (t) => {
  const wrong: [object, RegExp][] = [
    [{ kind: 'weather' }, /^kind: must be one of died, unhealthy/],
    [{ kind: 'died', name: 'x'.repeat(101) }, /^name: at most 100/],
    [{ kind: 'died', containers: 'a b/../c' }, /^containers: must be names/],
    [{ kind: 'died', containers: Array.from({ length: 51 }, (_, n) => `c${n}`) }, /^containers: at most 50/],
    [{ kind: 'died', cooldownMinutes: 0 }, /^cooldownMinutes: must be a number from 1/],
    [{ kind: 'restarts', deaths: 1 }, /^deaths: must be a number from 2 to 100/],
    [{ kind: 'restarts', withinMinutes: Number.NaN }, /^withinMinutes: must be/],
    [{ kind: 'cpu', bound: 0 }, /^bound: must be a number from 1/],
    [{ kind: 'cpu', unit: 'megabytes' }, /^unit: must be one of core, limit, machine/],
    [{ kind: 'memory', bound: 101 }, /^bound: must be a number from 1 to 100/],
    [{ kind: 'disk', bound: 100 }, /^bound: must be a number from 1 to 99.9/],
    [{ kind: 'unhealthy', forMinutes: -1 }, /^forMinutes: must be a number from 0/],
    [{ kind: 'log' }, /^pattern: must say/],
    [{ kind: 'log', pattern: '((', regex: true }, /^pattern: is not a regular expression/],
    [{ kind: 'log', pattern: 'x'.repeat(201) }, /^pattern: at most 200/],
    [{ kind: 'log', pattern: 'x', stream: 'stdin' }, /^stream: must be/],
  ];
  for (const [input, message] of wrong) t.throws(() => readRule(input), { code: 'invalid', message });
  t.equal(readRule({ kind: 'died', name: ' a\r\nb\u202e ' }).name, 'a b', 'a name is one line');
  t.match(readRule({ kind: 'memory', bound: 512, unit: 'megabytes' }).watch, { bound: 512, forSeconds: 300 });
});
