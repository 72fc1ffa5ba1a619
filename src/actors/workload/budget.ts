/** What this unit has of each budget, by its files and by the consoles of its instances. */
import { databasesIn, settingsIn, usersIn } from '../../pgbouncer/ini.ts';
import { retiringFrom, sharesOf } from '../../pgbouncer/render.ts';
import { budgetsIn, isSameBudget, sum } from '../model/budget.ts';
import type { Published } from '../model/fleet-spec.ts';
import type { BudgetKey, UnitName } from '../model/ids.ts';
import type { BudgetReport } from '../model/snapshot.ts';
import type { InstanceFact, Inspection, Step } from '../model/workload.ts';

/** Of everything that `served` limits. */
export const budgetOf = (self: UnitName, served: Published | null, inspection: Inspection): readonly BudgetReport[] => {
  if (served === null) return [];
  const { spec } = served;
  const { layout, instances } = inspection;
  const poolOf = poolsOf(inspection);
  return budgetsIn(spec).map((budget): BudgetReport => {
    const shares = sharesOf(spec, self, layout, budget);
    const retiring = retiringFrom(layout, budget);
    const pools = instances.flatMap((fact) => poolOf(fact, budget) ?? []);
    const given = (shares === 'unlimited' ? 0 : sum(shares)) + retiring;
    const most = sum(pools.map(({ limit, open }) => Math.max(limit, open))) + retiring;
    return {
      of: budget.of,
      name: budget.name,
      given,
      used: sum(pools.map(({ open }) => open)) + retiring,
      held: Number.isFinite(most) ? Math.max(given, most) : null,
    };
  });
};

interface Pool {
  /** Infinity: none. */
  readonly limit: number;
  readonly open: number;
}

/**
 * As its console said last; one that never said, or does not run, may have at any time what its file gives it. A login's limit stands
 * in its file alone, and counts there once that is loaded. Null: nothing of it there.
 */
const poolsOf = (inspection: Inspection): ((fact: InstanceFact, key: BudgetKey) => Pool | null) => {
  const read = new Map<number, File>();
  const fileOf = ({ id }: InstanceFact): File => {
    const file = read.get(id) ?? fileIn(inspection.disk.instances.find((one) => one.id === id)?.ini ?? '');
    read.set(id, file);
    return file;
  };
  return (fact, key) => {
    const { state, pools, settings } = fact;
    if (state === 'absent' || pools === null || pools === undefined) {
      const limit = limitIn(fileOf(fact), key);
      return limit === null ? null : { limit, open: state === 'absent' ? 0 : limit };
    }
    const shown = pools.find((pool) => isSameBudget(pool, key));
    if (key.of === 'database')
      return shown === undefined ? null : { limit: limitOf(shown.limit ?? 0), open: shown.open };
    const file = fileOf(fact);
    const limit = settings?.['syslog_ident'] === file.lastLine ? (limitIn(file, key) ?? 0) : Number.POSITIVE_INFINITY;
    return { limit, open: shown?.open ?? 0 };
  };
};

interface File {
  readonly databases: ReturnType<typeof databasesIn>;
  readonly users: ReturnType<typeof usersIn>;
  readonly lastLine: string | undefined;
}
const fileIn = (ini: string): File => ({
  databases: databasesIn(ini),
  users: usersIn(ini),
  lastLine: settingsIn(ini).get('syslog_ident'),
});

/** Null: it does not name it. */
const limitIn = ({ databases, users }: File, { of, name }: BudgetKey): number | null => {
  const entry = (of === 'database' ? databases : users).get(name);
  return entry === undefined
    ? null
    : limitOf(Number(entry.get(of === 'database' ? 'max_db_connections' : 'max_user_connections') ?? 0));
};

const limitOf = (written: number): number => (written === 0 ? Number.POSITIVE_INFINITY : written);

/** Pools above their limit, which a RELOAD alone does not bring back to it, with each database that they go to. */
export const excessIn = (inspection: Inspection): readonly Excess[] => {
  const poolOf = poolsOf(inspection);
  return inspection.instances.flatMap((fact) =>
    fact.state === 'running'
      ? (fact.pools ?? []).flatMap(({ of, name, open, databases }) => {
          const limit = poolOf(fact, { of, name })?.limit ?? Number.POSITIVE_INFINITY;
          return open > limit ? databases.map((database): Excess => ({ id: fact.id, of, name, database })) : [];
        })
      : [],
  );
};

export interface Excess extends BudgetKey {
  readonly id: number;
  readonly database: string;
}

export const isSameExcess = (a: Excess, b: Excess): boolean =>
  a.id === b.id && isSameBudget(a, b) && a.database === b.database;

/** One step for each instance, with all of its databases. */
export const reconnects = (excess: readonly Excess[]): readonly Step[] =>
  [...Map.groupBy(excess, ({ id }) => id)].map(([id, those]) => ({
    type: 'reconnect',
    instances: [id],
    databases: [...new Set(those.map(({ database }) => database))],
  }));
