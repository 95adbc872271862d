import { insertAfter, morph, remove } from './frames.ts';

/** A row as it is on the page: its whole markup, and the cells that can be sent alone. */
export type RowView = { id: string; html: string; core: unknown; cells: readonly { id: string; html: string }[] };

/** A group of rows: its own element, its head's, and the rows behind it. */
export type GroupView = { id: string; headId: string; headHtml: string; rows: readonly RowView[]; html: () => string };

/** A whole list; `html` is made only where nothing smaller will do. */
export type ListView = { id: string; groups: readonly GroupView[]; html: () => string };

/**
 * What has to be sent so that a page that shows `before` shows `after`, as small as it can be: cells, rows, a whole
 * group where its order changed, the whole list where groups came, went or moved. Empty where nothing changed.
 */
export function diffLists(before: ListView, after: ListView): string {
  if (!sameOrder(before.groups, after.groups) || (after.groups.length === 0) !== (before.groups.length === 0)) {
    return morph(after.id, after.html());
  }
  return after.groups.map((group, index) => diffGroups(before.groups[index] ?? group, group)).join('');
}

const sameOrder = (a: readonly { id: string }[], b: readonly { id: string }[]) =>
  a.length === b.length && a.every((item, index) => item.id === b[index]?.id);

function diffGroups(before: GroupView, after: GroupView): string {
  const old = new Map(before.rows.map((row) => [row.id, row]));
  const kept = new Set(after.rows.filter((row) => old.has(row.id)).map((row) => row.id));
  const oldOrder = before.rows.filter((row) => kept.has(row.id));
  const newOrder = after.rows.filter((row) => kept.has(row.id));
  if (!sameOrder(oldOrder, newOrder)) return morph(after.id, after.html());
  const head = before.headHtml === after.headHtml ? '' : morph(after.headId, after.headHtml);
  const gone = before.rows.filter((row) => !kept.has(row.id)).map((row) => remove(row.id));
  const changed = newOrder.map((row) => diffRows(old.get(row.id) ?? row, row));
  return [head, ...gone, ...changed, ...insertions(after, kept)].join('');
}

/**
 * New rows behind the nearest one that was there before. Rows that stand together go together: a frame's targets are
 * all looked up before its first swap, so none can name a row that the same frame brings.
 */
function insertions(group: GroupView, kept: ReadonlySet<string>): string[] {
  const byAnchor = new Map<string, string>();
  let anchor = group.headId;
  for (const row of group.rows) {
    if (kept.has(row.id)) anchor = row.id;
    else byAnchor.set(anchor, (byAnchor.get(anchor) ?? '') + row.html);
  }
  return [...byAnchor].map(([id, html]) => insertAfter(id, html));
}

function diffRows(before: RowView, after: RowView): string {
  if (before === after || before.html === after.html) return '';
  if (before.core !== after.core) return morph(after.id, after.html);
  return after.cells
    .filter((cell, index) => before.cells[index]?.html !== cell.html)
    .map((cell) => morph(cell.id, cell.html))
    .join('');
}
