import { createPoolDatabase, type PoolDatabaseOptions } from "../../src/platform/shared-pool/database.ts";
import type { Known, PoolDatabase, RowChange } from "../../src/platform/shared-pool/types.ts";
import { anId } from "./ids.ts";
import type { TestPostgres } from "./postgres.ts";

export const POOL_ID = "pool-1";
export const KEYS = { keeper: "keeper-key", runner: "runner-key" } as const;
export const NOTHING: Known = { rows: new Map(), statuses: new Map() };
export const HOUR = 3_600_000;

/** A pool in a database of its own. */
export interface TestPool {
	readonly url: string;
	readonly database: PoolDatabase;
	/** Opens it once more, as another process would. */
	open(options?: PoolDatabaseOptions & { readonly url?: string; readonly poolId?: string }): PoolDatabase;
	/** Runs statements by themselves. */
	query(text: string): Promise<readonly Readonly<Record<string, unknown>>[]>;
	/** Closes every connection that was opened to it. */
	end(): Promise<void>;
}

export async function startPool(server: TestPostgres): Promise<TestPool> {
	const url = await server.database();
	const opened: PoolDatabase[] = [];
	const open: TestPool["open"] = ({ url: other = url, poolId = POOL_ID, ...options } = {}) => {
		const database = createPoolDatabase({ url: other, poolId }, options);
		opened.push(database);
		return database;
	};
	const database = open();
	await database.migrate();
	await database.create({ id: POOL_ID, name: "mine", keeperKeyId: KEYS.keeper, runnerKeyId: KEYS.runner });
	return {
		url,
		database,
		open,
		query: (text) => server.query(url, text),
		end: async () => void (await Promise.all(opened.map((each) => each.end()))),
	};
}

/** A row as it is added, with one thing or another changed. */
export function aRow(change: Partial<RowChange> = {}): RowChange {
	return {
		id: anId("a1"),
		replaces: 0,
		forKeepers: Uint8Array.from([1, 2, 3]),
		forRunners: Uint8Array.from([4, 5]),
		tokenHash: "hash-1",
		expiresAt: Date.now() + 24 * HOUR,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		...change,
	};
}
