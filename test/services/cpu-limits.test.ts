import t from 'tap';
import { coresOf } from '../../src/services/containers.ts';
import { createCpuLimits } from '../../src/services/cpu-limits.ts';
import { until } from '../support/app.ts';

t.test('limits are asked for when they are wanted, a few at a time, and again after a while', async (t) => {
  let now = 1_000_000;
  let running = 0;
  let most = 0;
  const asked: string[] = [];
  const answers: Record<string, object> = {
    nano: { NanoCpus: 1.5e9 },
    quota: { CpuQuota: 50_000, CpuPeriod: 0 },
    none: {},
  };
  const limits = createCpuLimits({
    now: () => now,
    inspect: async (id) => {
      asked.push(id);
      running += 1;
      most = Math.max(most, running);
      await new Promise((resolve) => setTimeout(resolve, 5));
      running -= 1;
      if (id === 'gone') throw new Error('no such container');
      return { HostConfig: answers[id] ?? {} } as never;
    },
  });
  const known = (id: string) => limits.of(id) !== undefined;
  t.equal(limits.of('nano'), undefined, 'not known yet');
  await until(() => ['nano', 'quota', 'none'].map(known).every(Boolean), 'they are known');
  t.same([limits.of('nano'), limits.of('quota'), limits.of('none')], [1.5, 0.5, null]);
  t.equal(asked.length, 3, 'each was asked for once');
  for (let n = 0; n < 50; n++) limits.of(`c${n}`);
  await until(() => asked.length === 53 && running === 0, 'the next is asked when one is over');
  t.equal(most, 4);
  t.equal(limits.of('gone'), undefined);
  now += 600_000;
  t.equal(limits.of('nano'), 1.5, 'what was known holds until it is known anew');
  await until(() => asked.filter((id) => id === 'nano').length === 2, 'it is asked again');
  limits.close();
  const before = asked.length;
  limits.of('other');
  t.equal(asked.length, before, 'nothing is asked when it is closed');
});

t.test('what is known goes when something happens to the container, and what is just being told as well', async (t) => {
  const answers: PromiseWithResolvers<object>[] = [];
  const limits = createCpuLimits({
    now: () => 1_000_000,
    inspect: () => {
      const answer = Promise.withResolvers<object>();
      answers.push(answer);
      return answer.promise as never;
    },
  });
  const tell = async (cores: number) => {
    answers.at(-1)?.resolve({ HostConfig: { NanoCpus: cores * 1e9 } });
    await new Promise(setImmediate);
  };
  limits.of('web');
  await tell(1);
  t.equal(limits.of('web'), 1);
  limits.drop('web');
  t.equal(limits.of('web'), undefined);
  limits.drop('web');
  await tell(2);
  t.equal(limits.of('web'), undefined, 'that was asked before');
  await tell(3);
  t.equal(limits.of('web'), 3);
  t.equal(answers.length, 3);
  limits.close();
});

t.test('a container is limited by its quota and by the cores that it is bound to', async (t) => {
  const cases: [NonNullable<Parameters<typeof coresOf>[0]>, number | null][] = [
    [{ CpusetCpus: '0' }, 1],
    [{ CpusetCpus: '0-2,5', NanoCpus: 1.5e9 }, 1.5],
    [{ CpusetCpus: '1-1', CpuQuota: 200_000 }, 1],
    [{ CpusetCpus: '0-3,2-4, 4\n' }, 5],
    [{ CpusetCpus: '' }, null],
    [{ CpusetCpus: null, CpuQuota: -1 }, null],
    [{ CpusetCpus: 'all' }, null],
    [{ CpusetCpus: '3-1', NanoCpus: 2e9 }, 2],
    [{ CpusetCpus: '0,x' }, null],
  ];
  for (const [host, cores] of cases) t.equal(coresOf(host), cores, JSON.stringify(host));
});
