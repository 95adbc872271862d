import { sparkPath } from '../charts.ts';
import type { Stats } from '../services/stats.ts';
import type { RowFigures } from '../views/models/containers.ts';

/** The figures in a container's row; the same object as long as they are the same. */
export type RowFiguresOf = (id: string) => RowFigures | undefined;

/** Creates the lookup of row figures: each sparkline is drawn once a sample, however many rows show it. */
export function createRowFigures(stats: Stats): RowFiguresOf {
  const drawn = new Map<string, { at: number; figures: RowFigures }>();
  return (id) => {
    const latest = stats.latest(id);
    if (!latest) {
      drawn.delete(id);
      return undefined;
    }
    const known = drawn.get(id);
    if (known?.at === latest.at) return known.figures;
    const { cpuPercent, memoryBytes, memoryLimitBytes } = latest;
    const spark = sparkPath(stats.recent(id), { width: 64, height: 20 });
    const figures = { cpuPercent, memoryBytes, memoryLimitBytes, spark };
    drawn.set(id, { at: latest.at, figures });
    return figures;
  };
}
