import type postgres from "postgres";
import * as z from "zod/mini";
import type { Client } from "./client.ts";
import type { Sql } from "./driver.ts";
import { noPool } from "./problems.ts";
import { CHANNEL, SCHEMA_VERSION } from "./schema.ts";
import { type PoolHead, PoolProblem, type Sealing } from "./types.ts";

/** What the statements of one pool have in common. */
export interface Statements {
	run<T>(act: (sql: Sql) => Promise<T>): Promise<T>;
	readonly poolId: string;
	/**
	 * Part of a statement that writes. Locks the row of the pool if it is this pool, under these keys, with tables of a
	 * known version. The statement's writes depend on it, so that otherwise nothing is written.
	 */
	locked(sql: Sql): Fragment;
	/** The same condition without the lock, for what does not concern credentials. */
	known(sql: Sql): Fragment;
	/** Rejects with the reason why {@link locked} found nothing, if there is one. */
	explain(): Promise<void>;
	/** Returns the pool in the tables, whichever it is; undefined if there is none. */
	head(): Promise<PoolHead | undefined>;
	/** Rejects if a pool is not the one of the code, is not under its keys, or is newer than this code. */
	check(head: PoolHead | undefined): PoolHead;
}

export type Fragment = postgres.PendingQuery<postgres.Row[]>;

/** The ids of the keys in a code. */
export type KeyIds = Sealing["keyIds"];

/** SQL states for missing tables. */
const NO_TABLES = new Set(["3F000", "42P01"]);

export const headSchema = z.object({
	id: z.string(),
	name: z.string(),
	keeperKeyId: z.string(),
	runnerKeyId: z.string(),
	/** 0 if the table of versions is empty. */
	schemaVersion: z.number(),
});

export function createStatements(
	client: Pick<Client, "run">,
	poolId: string,
	place: string,
	keys: KeyIds | undefined,
): Statements {
	const { keeper = null, runner = null } = keys ?? {};
	const known = (sql: Sql) => sql`
		p.id = ${poolId}
		and (${keeper}::text is null or p.keeper_key_id = ${keeper}::text)
		and (${runner}::text is null or p.runner_key_id = ${runner}::text)
		and (select max(number) from pi_multicodex.migration) <= ${SCHEMA_VERSION}::int`;
	const head = () =>
		client.run(async (sql) => {
			try {
				const rows = await sql`select (select ${headOf(sql)} from pi_multicodex.pool p) as head`;
				return onlyRow(z.object({ head: z.nullable(headSchema) }), rows).head ?? undefined;
			} catch (error) {
				if (error instanceof Error && "code" in error && NO_TABLES.has(String(error.code))) return undefined;
				throw error;
			}
		});
	const check = (found: PoolHead | undefined): PoolHead => {
		if (found === undefined) throw new PoolProblem("no-pool", noPool(`the database at ${place}`));
		if (found.schemaVersion === 0) {
			throw new PoolProblem(
				"no-pool",
				`The tables of the pool at ${place} are incomplete: restore them from a backup of that database.`,
			);
		}
		if (found.schemaVersion > SCHEMA_VERSION) {
			throw new PoolProblem(
				"newer",
				`The pool at ${place} was brought to a newer version: update pi-multicodex on this machine.`,
			);
		}
		if (found.id !== poolId) {
			throw new PoolProblem(
				"other-pool",
				`The database at ${place} has another pool than the join code names: join with the code of that one.`,
			);
		}
		const isUnderKeys =
			(keeper === null || keeper === found.keeperKeyId) && (runner === null || runner === found.runnerKeyId);
		if (!isUnderKeys) {
			throw new PoolProblem(
				"revoked",
				`The keys of the pool "${found.name}" were replaced: join again with its new code, which ` +
					"/multicodex share --codes prints on a keeper's machine (/multicodex join <code>, or PI_MULTICODEX_POOL).",
			);
		}
		return found;
	};
	const explain = async () => void check(await head());
	return {
		run: async (act) => {
			try {
				return await client.run(act);
			} catch (error) {
				// A table or column is missing. A newer version may have replaced it.
				if (error instanceof PoolProblem && error.kind === "no-pool") await explain();
				throw error;
			}
		},
		poolId,
		known,
		locked: (sql) => sql`
			update pi_multicodex.pool p set revision = p.revision + 1 where ${known(sql)} returning p.revision`,
		explain,
		head,
		check,
	};
}

/** Returns the row of a statement that always has one. No row is no answer. */
export function onlyRow<S extends z.ZodMiniType>(schema: S, rows: unknown): z.output<S> {
	const [row, ...more] = z.array(schema).parse(rows);
	if (row === undefined || more.length > 0) throw Object.assign(new Error("not answered"), { code: "ECONNRESET" });
	return row;
}

/** Returns the pool as JSON, of a row `p`. */
export function headOf(sql: Sql): Fragment {
	return sql`json_build_object(
		'id', p.id, 'name', p.name, 'keeperKeyId', p.keeper_key_id, 'runnerKeyId', p.runner_key_id,
		'schemaVersion', (select coalesce(max(number), 0) from pi_multicodex.migration)
	)`;
}

/** Returns the database's time, epoch ms. It advances within a statement that has to wait. */
export function nowOf(sql: Sql): Fragment {
	return sql`(extract(epoch from clock_timestamp()) * 1000)::float8`;
}

/** Notifies the other machines that `by` has changed something. */
export function tellOf(sql: Sql, by: string): Fragment {
	return sql`pg_notify(${CHANNEL}::text, ${by}::text)`;
}
