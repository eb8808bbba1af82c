import type { AccountId } from "../../src/core/ids.ts";
import {
	type Known,
	type Look,
	type PoolDatabase,
	PoolProblem,
	type Presence,
	type Push,
	type Pushed,
	type SharedStatus,
} from "../../src/platform/shared-pool/types.ts";

/** What a test sees of the statuses, presences and pin of a pool, and how it drives them. */
export interface PoolInMemory extends Pick<PoolDatabase, "look" | "push"> {
	readonly statuses: Map<AccountId, { version: number; status: unknown }>;
	readonly presences: Map<string, Presence>;
	pin: { account: AccountId | undefined; version: number };
	/** How many statements have reached it. */
	statements: number;
	/** How many rows it was sent. */
	rows: number;
	isAway: boolean;
	/** Called in the middle of each push, before anything is written. */
	beforePush: (() => void) | undefined;
	/** A look as a machine with this clock makes it. */
	lookBy(known: Known, localNow: number): Promise<Look>;
}

/**
 * The statuses of a pool, without Postgres: for what a real one cannot be driven to at a given moment, and for what
 * takes a thousand statements. `ids` are the accounts of the pool; `now` is the clock of the database.
 */
export function aPoolInMemory(ids: readonly AccountId[], now: () => number): PoolInMemory {
	const asked = () => {
		pool.statements += 1;
		if (pool.isAway) throw new PoolProblem("away", "The database is away.");
	};
	const copyOf = (value: unknown): unknown => JSON.parse(JSON.stringify(value));
	const push = async ({ process, statuses, presence, pin }: Push): Promise<Pushed> => {
		asked();
		pool.beforePush?.();
		pool.rows += statuses.length;
		const written = new Map<AccountId, number>();
		const others: SharedStatus[] = [];
		for (const { id, version, status } of statuses.filter((each) => ids.includes(each.id))) {
			const stored = pool.statuses.get(id);
			if ((stored?.version ?? 0) === version) {
				pool.statuses.set(id, { version: version + 1, status: copyOf(status) });
				written.set(id, version + 1);
			} else if (stored) {
				others.push({ id, ...stored });
			}
		}
		if (presence === "gone") pool.presences.delete(process);
		else if (presence) pool.presences.set(process, { process, ...presence, seenAt: now() });
		const isWritten = pin !== undefined && pin.replaces === pool.pin.version;
		if (isWritten) pool.pin = { account: pin.account, version: pool.pin.version + 1 };
		return { now: now(), written, others, pin: pin && { ...pool.pin, isWritten } };
	};
	const lookBy = async (known: Known, localNow: number): Promise<Look> => {
		asked();
		return {
			now: now(),
			localNow,
			head: { id: "p", name: "team", keeperKeyId: "k", runnerKeyId: "r", schemaVersion: 1 },
			rows: [],
			statuses: [...pool.statuses].flatMap(([id, { version, status }]) => {
				return known.statuses.get(id) === version ? [] : [{ id, version, status: copyOf(status) }];
			}),
			gone: [],
			presences: [...pool.presences.values()],
			pin: { ...pool.pin },
		};
	};
	const pool: PoolInMemory = {
		statuses: new Map(),
		presences: new Map(),
		pin: { account: undefined, version: 0 },
		statements: 0,
		rows: 0,
		isAway: false,
		beforePush: undefined,
		lookBy,
		look: (known) => lookBy(known, now()),
		push,
	};
	return pool;
}
