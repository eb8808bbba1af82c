import * as z from "zod/mini";
import { anyAccountIdSchema } from "../ids.ts";
import type { Sql } from "./driver.ts";
import { rowOf, rowSchema } from "./rows.ts";
import { type Fragment, headOf, headSchema, nowOf, onlyRow, type Statements, tellOf } from "./statements.ts";
import type { Known, Look, PoolDatabase, Push, Pushed } from "./types.ts";

/** A process that was not seen for longer is no longer at work. */
const SEEN = "5 minutes";
/** Processes not seen for this long are deleted by the next push. */
const FORGOTTEN = "1 hour";

/** Creates the statements that every process repeats. */
export function createLookStatements(
	on: Statements,
	localNow: () => number,
): Pick<PoolDatabase, "look" | "push" | "forgetMachine"> {
	return {
		look: (known) =>
			on.run(async (sql) => {
				const before = localNow();
				const rows = await look(sql, known);
				return read(on, rows, (before + localNow()) / 2);
			}),
		push: (push) => on.run((sql) => write(on, sql, push)),
		forgetMachine: (machine) =>
			on.run(async (sql) => {
				await sql`delete from pi_multicodex.presence w where w.machine = ${machine}`;
			}),
	};
}

const statusesSchema = z.array(z.object({ id: anyAccountIdSchema, version: z.number(), status: z.unknown() }));
const pinSchema = z.object({ account: z.nullable(anyAccountIdSchema), version: z.number() });

const lookSchema = z.object({
	now: z.number(),
	head: headSchema,
	rows: z.array(rowSchema),
	statuses: statusesSchema,
	gone: z.array(anyAccountIdSchema),
	presences: z.array(
		z.object({
			process: z.string(),
			machine: z.string(),
			sessions: z.catch(z.record(anyAccountIdSchema, z.number()), {}),
			seenAt: z.number(),
		}),
	),
	pin: pinSchema,
});

/** Reads in one statement whatever differs from what is known. */
function look(sql: Sql, known: Known): Promise<unknown> {
	// No id has a comma. With a thousand accounts, a list takes Postgres half the time that JSON takes it.
	const versions = (of: ReadonlyMap<string, number>) => sql`
		select k.id, k.version from unnest(
			string_to_array(${[...of.keys()].join()}::text, ','),
			string_to_array(${[...of.values()].join()}::text, ',')::bigint[]
		) as k(id, version)`;
	return sql`
		with known_rows as materialized (${versions(known.rows)}),
		known_statuses as materialized (${versions(known.statuses)})
		select ${nowOf(sql)} as now, (select ${headOf(sql)} from pi_multicodex.pool p) as head,
			(
				select coalesce(json_agg(${rowOf(sql)}), '[]') from pi_multicodex.account a
				left join known_rows k on k.id = a.id
				where not a.is_gone and a.version is distinct from k.version
			) as rows,
			(
				select ${statusesOf(sql)} from pi_multicodex.status s
				join pi_multicodex.account a on a.id = s.account and not a.is_gone
				left join known_statuses k on k.id = s.account
				where s.version is distinct from k.version
			) as statuses,
			(
				select coalesce(json_agg(k.id), '[]') from known_rows k
				where not exists (select 1 from pi_multicodex.account a where a.id = k.id and not a.is_gone)
			) as gone,
			(
				select coalesce(
					json_agg(
						json_build_object(
							'process', w.process, 'machine', w.machine, 'sessions', w.sessions,
							'seenAt', (extract(epoch from w.seen_at) * 1000)::float8
						)
					),
					'[]'
				)
				from pi_multicodex.presence w where w.seen_at > clock_timestamp() - ${SEEN}::text::interval
			) as presences,
			${pinOf(sql)} as pin`;
}

function read(on: Statements, rows: unknown, localNow: number): Look {
	// Check the pool before reading rows: those of a newer version may have another form.
	const found = onlyRow(z.looseObject({ head: z.nullable(headSchema) }), rows);
	const head = on.check(found.head ?? undefined);
	const { pin, ...rest } = lookSchema.parse(found);
	return { ...rest, head, localNow, pin: { account: pin.account ?? undefined, version: pin.version } };
}

const pushedSchema = z.object({
	now: z.number(),
	locked: z.number(),
	written: z.array(z.object({ id: anyAccountIdSchema, version: z.number() })),
	others: statusesSchema,
	pinned: z.number(),
	pin: pinSchema,
});

/** Writes in one statement, or in two if another process wrote so shortly before that the first did not see it. */
async function write(on: Statements, sql: Sql, push: Push): Promise<Pushed> {
	const rows = await writeOnce(on, sql, push);
	if (onlyRow(z.object({ locked: z.number() }), rows).locked !== 1) await on.explain();
	const pushed = onlyRow(pushedSchema, rows);
	const written = new Map(pushed.written.map(({ id, version }) => [id, version]));
	const seen = new Map(pushed.others.map((other) => [other.id, other.version]));
	const isUnseen = push.statuses.some(
		({ id, version }) => version >= 0 && !written.has(id) && (seen.get(id) ?? 0) <= version,
	);
	const isPinUnseen = push.pin !== undefined && pushed.pinned === 0 && pushed.pin.version === push.pin.replaces;
	const now = isUnseen || isPinUnseen ? await readAgain(sql, push, written) : pushed;
	const pin = pushed.pinned === 0 ? now.pin : { account: push.pin?.account ?? null, version: pushed.pinned };
	return {
		now: pushed.now,
		written,
		others: now.others,
		pin: push.pin && { account: pin.account ?? undefined, version: pin.version, isWritten: pushed.pinned > 0 },
	};
}

/** Writes statuses in the order of their ids, so that two processes never wait for each other. */
function writeOnce(on: Statements, sql: Sql, { process, statuses, presence, pin }: Push): Promise<unknown> {
	const given = statuses.map(({ id, version, status }) => ({ id, version, status: JSON.stringify(status ?? null) }));
	return sql`
		with known as materialized (select 1 from pi_multicodex.pool p where ${on.known(sql)}),
		given as materialized (
			select a.id, (e->>'version')::bigint as version, e->>'status' as status
			from json_array_elements(${JSON.stringify(given)}::text::json) e
			join pi_multicodex.account a on a.id = e->>'id' and not a.is_gone
			cross join known
		),
		written as (
			insert into pi_multicodex.status as s (account, version, status)
			select g.id, g.version + 1, g.status::json from given g
			where g.version = 0
				or g.version > 0 and exists (select 1 from pi_multicodex.status b where b.account = g.id)
			order by g.id
			on conflict (account) do update set version = excluded.version, status = excluded.status
			where s.version = excluded.version - 1
			returning s.account, s.version
		),
		seen as (${seenOf(sql, process, presence)}),
		forgotten as (
			delete from pi_multicodex.presence w using known
			where w.seen_at < clock_timestamp() - ${FORGOTTEN}::text::interval and w.process <> ${process}
		),
		pinned as (
			update pi_multicodex.pin n set account = ${pin?.account ?? null}, version = n.version + 1
			from known where n.version = ${pin?.replaces ?? null}::bigint
			returning n.version
		)
		select ${nowOf(sql)} as now, (select count(*) from known)::int as locked,
			(
				select coalesce(json_agg(json_build_object('id', w.account, 'version', w.version)), '[]') from written w
			) as written,
			(
				select ${statusesOf(sql)} from pi_multicodex.status s
				join given g on g.id = s.account and not exists (select 1 from written w where w.account = g.id)
			) as others,
			coalesce((select version from pinned), 0)::float8 as pinned, ${pinOf(sql)} as pin,
			(
				select ${tellOf(sql, process)}::text where exists (select 1 from written) or exists (select 1 from pinned)
			) as told`;
}

async function readAgain(
	sql: Sql,
	{ statuses }: Push,
	written: ReadonlyMap<string, number>,
): Promise<Pick<z.output<typeof pushedSchema>, "others" | "pin">> {
	const ids = statuses.map(({ id }) => id).filter((id) => !written.has(id));
	const rows = await sql`
		select ${pinOf(sql)} as pin,
			(
				select ${statusesOf(sql)} from pi_multicodex.status s
				join pi_multicodex.account a on a.id = s.account and not a.is_gone
				where s.account in (select json_array_elements_text(${JSON.stringify(ids)}::text::json))
			) as others`;
	return onlyRow(z.object({ pin: pinSchema, others: statusesSchema }), rows);
}

/** Returns statuses as JSON, of rows `s`. */
function statusesOf(sql: Sql): Fragment {
	return sql`coalesce(json_agg(json_build_object('id', s.account, 'version', s.version, 'status', s.status)), '[]')`;
}

function pinOf(sql: Sql): Fragment {
	return sql`(select json_build_object('account', n.account, 'version', n.version) from pi_multicodex.pin n)`;
}

/** Records that a process is at work, or that it no longer is. */
function seenOf(sql: Sql, process: string, presence: Push["presence"]): Fragment {
	if (presence === undefined) return sql`select 1`;
	if (presence === "gone") return sql`delete from pi_multicodex.presence w where w.process = ${process}`;
	return sql`
		insert into pi_multicodex.presence as w (process, machine, sessions, seen_at)
		select ${process}::text, ${presence.machine}::text, ${JSON.stringify(presence.sessions)}::text::json,
			clock_timestamp()
		from known
		on conflict (process) do update
		set machine = excluded.machine, sessions = excluded.sessions, seen_at = excluded.seen_at`;
}
