import type { Scope } from './capabilities.ts';
import { timelineOf } from './event-types.ts';
import { containerAmong, type Inventory, type InventoryChange } from './inventory.ts';

/** What is looked at to tell whether a container may be seen. */
export type Seeable = { name: string; project?: string | null | undefined };

/**
 * Whether somebody may see a container: one of their patterns is its name or its Compose project, `*` for anything. The
 * names that a rebuild gives its containers for a while count as the one that they had.
 */
export function sees(scope: Scope, { name, project }: Seeable): boolean {
  if (scope === null) return true;
  const texts = [name, timelineOf(name), project ?? ''].filter((text) => text !== '');
  return scope.some((pattern) => texts.some((text) => isLike(text, pattern)));
}

/** Whether the pieces between the stars stand in a text, one behind the other, the first and last at its ends. */
function isLike(text: string, pattern: string): boolean {
  const [first = '', ...pieces] = pattern.split('*');
  const last = pieces.pop();
  if (last === undefined) return text === pattern;
  if (!text.startsWith(first)) return false;
  let end = first.length;
  for (const piece of pieces) {
    const at = text.indexOf(piece, end);
    if (at < 0) return false;
    end = at + piece.length;
  }
  return text.length - last.length >= end && text.endsWith(last);
}

/**
 * The inventory as somebody may see it: of containers and of what becomes different only theirs, and of images, which
 * are everybody's, nothing. It holds nothing that would have to be closed.
 */
export function scopeInventory(inventory: Inventory, scope: Scope): Inventory {
  const containers = () => inventory.containers().filter((container) => sees(scope, container));

  function container(id: string) {
    const found = inventory.container(id);
    return found && sees(scope, found) ? found : undefined;
  }

  /** What of a change is theirs; `shown` are those that they could see before, so that the end of these is told. */
  function narrow(change: InventoryChange, shown: Set<string>): InventoryChange {
    const removed = new Set([...change.removed].filter((id) => shown.delete(id)));
    const changed = new Set<string>();
    for (const id of change.changed) {
      if (container(id)) changed.add(id);
      else if (shown.delete(id)) removed.add(id);
    }
    for (const id of changed) shown.add(id);
    const ofShown = (ids: ReadonlySet<string>) => new Set([...ids].filter((id) => shown.has(id)));
    const { engine } = change;
    return {
      changed,
      removed,
      started: ofShown(change.started),
      touched: ofShown(change.touched),
      images: false,
      engine,
    };
  }

  return {
    ...inventory,
    containers,
    container,
    findContainer: (ref) => container(ref) ?? containerAmong(containers(), ref),
    images: () => [],
    findImage: () => undefined,
    onChange(listener) {
      const shown = new Set(containers().map(({ id }) => id));
      return inventory.onChange((change) => {
        const theirs = narrow(change, shown);
        if (isNews(theirs)) listener(theirs);
      });
    },
  };
}

const isNews = ({ changed, removed, started, touched, engine }: InventoryChange) =>
  engine || [changed, removed, started, touched].some(({ size }) => size > 0);
