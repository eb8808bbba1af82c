import * as z from "zod/mini";
import type { Client } from "./client.ts";
import type { Sql } from "./driver.ts";
import { MIGRATIONS, SCHEMA, SCHEMA_VERSION, TABLES, VERSION_TABLE } from "./schema.ts";
import { PoolProblem } from "./types.ts";

/** Lock number, held by one process at a time while it creates the tables. Used for nothing else. */
const LOCK = 7_239_106_553;

const foundSchema = z.object({
	hasSchema: z.boolean(),
	hasVersions: z.boolean(),
	/** Number of tables with our names. */
	tables: z.number(),
});

/** Creates the tables, or updates older ones, in one transaction. */
export async function migrate(client: Pick<Client, "run">, place: string): Promise<void> {
	await client.run((sql) =>
		sql.begin(async (transaction) => {
			await transaction`select pg_advisory_xact_lock(${LOCK}::bigint)`;
			const found = await look(transaction);
			if (!found.hasVersions && found.tables > 0) {
				throw new PoolProblem(
					"no-pool",
					`The schema ${SCHEMA} of the database at ${place} belongs to something else: use another database.`,
				);
			}
			// Checked first: creating a schema needs a right that the schema's owner may not have.
			if (!found.hasSchema) await transaction.unsafe(`create schema ${SCHEMA}`);
			if (!found.hasVersions) {
				await transaction.unsafe(
					`create table ${VERSION_TABLE} (number int primary key, taken_at timestamptz not null default now())`,
				);
			}
			const done = await versionOf(transaction);
			if (done > SCHEMA_VERSION) {
				throw new PoolProblem(
					"newer",
					`The tables at ${place} are of a newer version: update pi-multicodex on this machine.`,
				);
			}
			for (const [index, step] of MIGRATIONS.entries()) {
				if (index < done) continue;
				await transaction.unsafe(step);
				await transaction.unsafe(`insert into ${VERSION_TABLE} (number) values (${index + 1})`);
			}
		}),
	);
}

type Transaction = Pick<Sql, "unsafe"> & Parameters<Parameters<Sql["begin"]>[1]>[0];

async function look(transaction: Transaction): Promise<z.infer<typeof foundSchema>> {
	const rows = await transaction`
		select to_regnamespace(${SCHEMA}) is not null as "hasSchema",
			to_regclass(${VERSION_TABLE}) is not null as "hasVersions",
			(
				select count(*) from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
				where n.nspname = ${SCHEMA} and c.relname in ${transaction([...TABLES])}
			)::int as tables`;
	const [found] = z.array(foundSchema).parse(rows);
	return found ?? { hasSchema: false, hasVersions: false, tables: 0 };
}

async function versionOf(transaction: Transaction): Promise<number> {
	const rows = await transaction.unsafe(`select coalesce(max(number), 0)::int as number from ${VERSION_TABLE}`);
	return z.array(z.object({ number: z.number() })).parse(rows)[0]?.number ?? 0;
}
