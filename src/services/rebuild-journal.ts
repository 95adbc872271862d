import type { Database } from './database.ts';
import type { Phase, RebuildPlan } from './rebuild-types.ts';

/** A rebuild that some process left unfinished. */
export type Unfinished = { operation: number; plan: RebuildPlan };

/** What rebuilds are about to do, on the disk before they do it. */
export type RebuildJournal = ReturnType<typeof createRebuildJournal>;

/** Creates the journal over the open database. */
export function createRebuildJournal({ db, durably }: Pick<Database, 'db' | 'durably'>) {
  const toRow = ({ phase, ...plan }: RebuildPlan) => ({ phase, plan: JSON.stringify(plan) });
  return {
    /** Writes down a plan before anything of it is done. */
    begin: (operation: number, plan: RebuildPlan) =>
      durably((db) =>
        db
          .insertInto('rebuilds')
          .values({ operation, ...toRow(plan) })
          .execute(),
      ),

    /** Writes down how far it has come. */
    save: (operation: number, plan: RebuildPlan) =>
      durably((db) => db.updateTable('rebuilds').set(toRow(plan)).where('operation', '=', operation).execute()),

    /** Forgets a rebuild that is finished or undone. */
    end: (operation: number) => durably((db) => db.deleteFrom('rebuilds').where('operation', '=', operation).execute()),

    /** All that are neither finished nor undone. */
    async unfinished(): Promise<Unfinished[]> {
      const rows = await db.selectFrom('rebuilds').selectAll().orderBy('operation').execute();
      return rows.map(({ operation, phase, plan }) => ({
        operation,
        plan: { ...(JSON.parse(plan) as Omit<RebuildPlan, 'phase'>), phase: phase as Phase },
      }));
    },
  };
}
