import { type Fairlead, type Tab, until } from './support.ts';

/** A part of what `/api` tells of an operation. */
export type Operation = {
  id: number;
  target: string;
  state: string;
  bytes: { current: number; total: number } | null;
};

/** The operations on something, the newest first. */
export async function operationsOn(fairlead: Fairlead, target: string): Promise<Operation[]> {
  const { body } = await fairlead.api<Operation[]>('/operations');
  return body.filter((operation) => operation.target === target);
}

/** Waits until the newest operation on something is as wanted, and gives it. */
export const untilOperation = (fairlead: Fairlead, target: string, isWanted: (found: Operation) => boolean) =>
  until(`the operation on ${target}`, async () => (await operationsOn(fairlead, target)).slice(0, 1).find(isWanted));

/** What every page shows of the work on something that is in a state. */
export const noticeOf = (target: string, state: string): string =>
  `#operations-now .message[data-state=${state}]:has-text("${target}")`;

/** Fills in the form to pull an image, and presses its button. */
export async function pullBy({ page }: Tab, reference: string, login?: { user: string; password: string }) {
  await page.fill('#pull [name=reference]', reference);
  if (login) {
    if (!(await page.isVisible('#pull [name=username]'))) await page.click('#pull .login > summary');
    await page.fill('#pull [name=username]', login.user);
    await page.fill('#pull [name=password]', login.password);
  }
  await page.click('#pull .pull-line button');
}

/** What a page shows of the pull that runs; `whole` is from 0 to 1, and -1 where nobody can tell. */
export type Progress = { whole: number; isOpen: boolean; layers: { id: string; word: string; figures: string }[] };

const progressScript = `[...document.querySelectorAll('#operations-now [data-state=running]')].map((notice) => ({
  whole: notice.querySelector('.operation-progress progress').position,
  isOpen: notice.querySelector('details')?.open ?? false,
  layers: [...notice.querySelectorAll('li[data-layer]')].map((layer) => ({
    id: layer.querySelector('code').textContent, word: layer.dataset.layer, figures: layer.querySelector('.n').textContent })),
}))[0]`;

/** What a page shows of the pull that runs; nothing where none does. */
export const progressOf = ({ page }: Tab) => page.evaluate<Progress | undefined>(progressScript);

/** How much of the pull that runs a page shows to be done. */
export const wholeOf = async (tab: Tab) => (await progressOf(tab))?.whole ?? -1;

/** The bytes that were seen of each layer while it was loaded, in the order they were seen, each value once. */
export function bytesSeen(seen: readonly Progress[]): number[][] {
  const loading = seen.flatMap(({ layers }) => layers).filter(({ word }) => word === 'downloading');
  const ids = [...new Set(loading.map(({ id }) => id))];
  return ids.map((id) => [
    ...new Set(loading.filter((layer) => layer.id === id).map(({ figures }) => toBytes(figures))),
  ]);
}

/** `1.4 MB of 4.2 MB` as 1400000. */
function toBytes(figures: string): number {
  const units: Record<string, number> = { B: 1, kB: 1e3, MB: 1e6 };
  const [, amount, unit = ''] = /^([\d.]+) (\w+) of /.exec(figures) ?? [];
  return Number(amount) * (units[unit] ?? Number.NaN);
}
