import { within } from "../../core/abort.ts";
import type { AccountId } from "../../core/ids.ts";
import type { SharedPool } from "./shared-pool.ts";
import { type Asker, type JoinCode, type PoolDatabase, PoolProblem, type Sealing } from "./types.ts";

/** Longest wait for it: presences expire by themselves. */
const FORGETTING_MS = 2000;

/** The versions that a machine outside of the pool knows. */
export const NOTHING_KNOWN = { rows: new Map<AccountId, number>(), statuses: new Map<AccountId, number>() };

/** Rejects with `sentence`, which says what was done, if the asker stopped waiting. */
export async function orStopped<T>(work: Promise<T>, { signal }: Asker, sentence: () => string): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (signal?.aborted && error === signal.reason) throw new PoolProblem("unexpected", sentence());
		throw error;
	}
}

/** Runs statements on a connection of its own, and closes it. */
export async function withDatabase<T>(
	code: JoinCode,
	{ signal }: Asker,
	work: (database: PoolDatabase) => Promise<T>,
	keyIds?: Sealing["keyIds"],
): Promise<T> {
	const { createPoolDatabase } = await import("./database.ts");
	const database = createPoolDatabase(code, { keyIds });
	try {
		return await work(signal ? database.until(signal) : database);
	} finally {
		// A connection that cannot be closed ends with the process.
		await database.end().catch(ignoreProblem);
	}
}

/** Deletes the presences of a machine, including those of processes that were killed. */
export async function forgetMachine({ inside: { connection } }: SharedPool, machine: string): Promise<void> {
	const forgotten = connection.use((database) => database.forgetMachine(machine)).catch(ignoreProblem);
	await within(forgotten, FORGETTING_MS, ignoreProblem);
	await connection.rest();
}

/** The status already contains the problem. */
export function ignoreProblem(): undefined {
	return undefined;
}
