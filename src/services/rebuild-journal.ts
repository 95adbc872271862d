import { containerClaim } from './claims.ts';
import type { Database } from './database.ts';
import { parseExact } from './exact-json.ts';
import { idsOf, type Phase, type RebuildPlan } from './rebuild-types.ts';

/** Rebuilds of one operation that some process left unfinished, and the claims on what they work on. */
export type UnfinishedRebuilds = { operation: number; plans: RebuildPlan[]; claims: string[] };

/** What rebuilds are about to do, on the disk before they do it. */
export type RebuildJournal = ReturnType<typeof createRebuildJournal>;

/** Creates the journal over the open database. */
export function createRebuildJournal({ db, durably }: Pick<Database, 'db' | 'durably'>) {
  const toRow = ({ id: _, phase, ...plan }: RebuildPlan) => ({ phase, plan: JSON.stringify(plan) });

  async function list(isWatched: boolean) {
    const rows = await db
      .selectFrom('rebuilds')
      .selectAll()
      .where('phase', isWatched ? '=' : '!=', 'watched')
      .orderBy('id')
      .execute();
    return rows.map(({ operation, ...row }) => ({ operation, plan: toPlan(row) }));
  }

  return {
    /** Writes down a plan before anything of it is done, and gives it its id. */
    async begin(operation: number, plan: RebuildPlan): Promise<void> {
      const row = { operation, ...toRow(plan) };
      const { id } = await durably((at) =>
        at.insertInto('rebuilds').values(row).returning('id').executeTakeFirstOrThrow(),
      );
      plan.id = id;
    },

    /** Writes down how far it has come. */
    save: (plan: RebuildPlan) =>
      durably((at) => at.updateTable('rebuilds').set(toRow(plan)).where('id', '=', plan.id).execute()),

    /** Forgets a rebuild that is finished or undone. */
    end: ({ id }: Pick<RebuildPlan, 'id'>) => durably((at) => at.deleteFrom('rebuilds').where('id', '=', id).execute()),

    /** Forgets all rebuilds of an operation, whatever is left of them. */
    abandon: (operation: number) =>
      durably((at) => at.deleteFrom('rebuilds').where('operation', '=', operation).execute()),

    /** All that are neither finished nor undone. */
    async unfinished(): Promise<UnfinishedRebuilds[]> {
      const byOperation = Map.groupBy(await list(false), ({ operation }) => operation);
      return [...byOperation].map(([operation, rows]) => {
        const plans = rows.map(({ plan }) => plan);
        return { operation, plans, claims: plans.flatMap(idsOf).map(containerClaim) };
      });
    },

    /** All that were undone, and of which something may yet appear. */
    watched: async (): Promise<RebuildPlan[]> => (await list(true)).map(({ plan }) => plan),
  };
}

const toPlan = ({ id, phase, plan }: { id: number; phase: string; plan: string }): RebuildPlan => ({
  ...(parseExact(plan) as Omit<RebuildPlan, 'id' | 'phase'>),
  id,
  phase: phase as Phase,
});
