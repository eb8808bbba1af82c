import * as z from "zod/mini";
import type { NeedsLogin } from "../../core/account.ts";
import { anyAccountIdSchema } from "../ids.ts";
import { lenient } from "../lenient.ts";
import type { Sql } from "./driver.ts";
import { type Fragment, onlyRow, type Statements, tellOf } from "./statements.ts";
import type { PoolDatabase, RowChange, SharedRow } from "./types.ts";

const bytes = z.pipe(
	z.string(),
	z.transform((text: string) => new Uint8Array(Buffer.from(text, "base64"))),
);

const needsLoginSchema = z.object({ reason: z.string(), at: z.number() });

export const rowSchema = z.pipe(
	z.object({
		id: anyAccountIdSchema,
		version: z.number(),
		forKeepers: bytes,
		forRunners: bytes,
		tokenHash: z.string(),
		expiresAt: z.number(),
		enabled: z.boolean(),
		disabledReason: z.nullable(z.string()),
		needsLogin: z.nullable(lenient(needsLoginSchema)),
	}),
	z.transform(
		(row): SharedRow => ({
			...row,
			disabledReason: row.disabledReason ?? undefined,
			needsLogin: row.needsLogin ?? undefined,
		}),
	),
);

/** Returns a row as JSON, of an account `a`. */
export function rowOf(sql: Sql): Fragment {
	return sql`json_build_object(
		'id', a.id, 'version', a.version, 'forKeepers', encode(a.for_keepers, 'base64'),
		'forRunners', encode(a.for_runners, 'base64'), 'tokenHash', a.token_hash, 'expiresAt', a.expires_at,
		'enabled', a.enabled, 'disabledReason', a.disabled_reason, 'needsLogin', a.needs_login
	)`;
}

/** Creates the statements on single rows, and the one on all rows. */
export function createRowStatements(
	on: Statements,
): Pick<PoolDatabase, "row" | "change" | "remove" | "reseal" | "lastVersion"> {
	return {
		row: (id) =>
			on.run(async (sql) => {
				const rows = await sql`
					select (select count(*) from pi_multicodex.pool p where ${on.known(sql)})::int as locked,
						(select ${rowOf(sql)} from pi_multicodex.account a where a.id = ${id} and not a.is_gone) as row`;
				// A row of another pool, or of a newer version, may have another form.
				if (!wasLocked(rows)) await on.explain();
				return onlyRow(z.object({ row: z.nullable(rowSchema) }), rows).row ?? undefined;
			}),
		lastVersion: (id) =>
			on.run(async (sql) => {
				const rows = await sql`
					select coalesce((select a.version from pi_multicodex.account a where a.id = ${id}), 0)::float8 as version`;
				return onlyRow(z.object({ version: z.number() }), rows).version;
			}),
		change: (change, by) => on.run((sql) => write(on, sql, change, by)),
		remove: (id, tokenHash, by) =>
			on.run(async (sql) => {
				const rows = await sql`
					with locked as (${on.locked(sql)}),
					taken_out as (
						update pi_multicodex.account a
						set is_gone = true, version = a.version + 1, for_keepers = '', for_runners = '', token_hash = '',
							disabled_reason = null, needs_login = null
						from locked where a.id = ${id} and not a.is_gone and a.token_hash = ${tokenHash}
						returning a.id
					),
					forgotten as (
						update pi_multicodex.status s set status = 'null', version = s.version + 1
						from taken_out t where s.account = t.id
					)
					select (select count(*) from locked)::int as locked,
						(select ${tellOf(sql, by)}::text from taken_out limit 1) as told`;
				if (!wasLocked(rows)) await on.explain();
				const left = await sql`select 1 from pi_multicodex.account a where a.id = ${id} and not a.is_gone`;
				return left.length === 0;
			}),
		reseal: (keys, rows) => on.run((sql) => reseal(on, sql, keys, rows)),
	};
}

async function write(on: Statements, sql: Sql, change: RowChange, by: string): Promise<number | undefined> {
	const rows = await sql`
		with locked as (${on.locked(sql)}),
		written as (
			insert into pi_multicodex.account as a (
				id, version, for_keepers, for_runners, token_hash, expires_at, enabled, disabled_reason, needs_login
			)
			select ${change.id}::text, ${change.replaces + 1}::bigint, ${bytea(sql, change.forKeepers)},
				${bytea(sql, change.forRunners)}, ${change.tokenHash}::text, ${change.expiresAt}::bigint,
				${change.enabled}::boolean, ${change.disabledReason ?? null}::text, ${jsonOf(sql, change.needsLogin)}
			from locked
			where ${change.replaces}::bigint = 0
				or exists (select 1 from pi_multicodex.account b where b.id = ${change.id}::text)
			on conflict (id) do update
			set version = excluded.version, for_keepers = excluded.for_keepers, for_runners = excluded.for_runners,
				token_hash = excluded.token_hash, expires_at = excluded.expires_at, enabled = excluded.enabled,
				disabled_reason = excluded.disabled_reason, needs_login = excluded.needs_login, is_gone = false
			where a.version = excluded.version - 1
			returning a.version
		)
		select (select count(*) from locked)::int as locked, (select version from written)::float8 as version,
			(select ${tellOf(sql, by)}::text from written) as told`;
	if (!wasLocked(rows)) await on.explain();
	return onlyRow(z.object({ version: z.nullable(z.number()) }), rows).version ?? undefined;
}

/**
 * Checks and writes in one statement. Every other change of an account waits for the pool's row and increments its
 * revision, so an unchanged revision means that nothing has changed.
 */
async function reseal(
	on: Statements,
	sql: Sql,
	keys: { readonly keeperKeyId: string; readonly runnerKeyId: string },
	rows: readonly RowChange[],
): Promise<boolean> {
	const given = rows.map(({ id, replaces, forKeepers, forRunners, tokenHash, expiresAt }) => ({
		id,
		replaces,
		forKeepers: base64(forKeepers),
		forRunners: base64(forRunners),
		tokenHash,
		expiresAt,
	}));
	const done = await sql`
		with given as materialized (
			select e->>'id' as id, (e->>'replaces')::bigint as replaces, decode(e->>'forKeepers', 'base64') as for_keepers,
				decode(e->>'forRunners', 'base64') as for_runners, e->>'tokenHash' as token_hash,
				(e->>'expiresAt')::bigint as expires_at
			from json_array_elements(${JSON.stringify(given)}::text::json) e
		),
		seen as materialized (
			select p.revision,
				(select count(*) from given) = (select count(*) from pi_multicodex.account a where not a.is_gone)
				and (select count(*) from given) = (
					select count(*) from pi_multicodex.account a join given g on g.id = a.id and g.replaces = a.version
					where not a.is_gone
				)
				and not exists (
					select 1 from pi_multicodex.claim c
					where c.outcome is null and c.claimed_at > clock_timestamp() - interval '60 seconds'
				) as is_whole
			from pi_multicodex.pool p where ${on.known(sql)}
		),
		locked as (
			update pi_multicodex.pool p
			set keeper_key_id = ${keys.keeperKeyId}, runner_key_id = ${keys.runnerKeyId}, revision = p.revision + 1
			from seen s where ${on.known(sql)} and s.is_whole and p.revision = s.revision
			returning 1
		),
		written as (
			update pi_multicodex.account a
			set version = a.version + 1, for_keepers = g.for_keepers, for_runners = g.for_runners,
				token_hash = g.token_hash, expires_at = g.expires_at
			from given g, locked where g.id = a.id and g.replaces = a.version
			returning 1
		)
		select (select count(*) from seen)::int as locked, (select count(*) from locked)::int as done,
			(select count(*) from written)::int as written, (select ${tellOf(sql, "")}::text from locked) as told`;
	if (!wasLocked(done)) await on.explain();
	return onlyRow(z.object({ done: z.number() }), done).done === 1;
}

/** True if the statement found the expected pool. */
function wasLocked(rows: unknown): boolean {
	return onlyRow(z.object({ locked: z.number() }), rows).locked === 1;
}

const base64 = (sealed: Uint8Array): string => Buffer.from(sealed).toString("base64");

export function bytea(sql: Sql, sealed: Uint8Array): Fragment {
	return sql`decode(${base64(sealed)}::text, 'base64')`;
}

function jsonOf(sql: Sql, value: NeedsLogin | undefined): Fragment {
	return sql`${value === undefined ? null : JSON.stringify(value)}::text::json`;
}
