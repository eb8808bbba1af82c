import * as z from "zod/mini";
import type { AccountId } from "../../core/ids.ts";
import type { Sql } from "./driver.ts";
import { bytea } from "./rows.ts";
import { type Fragment, nowOf, onlyRow, type Statements, tellOf } from "./statements.ts";
import type { PoolDatabase, SharedClaiming } from "./types.ts";

/** How long a claim without an outcome keeps other processes from the token, in any case. */
const CLAIM_MS = 60_000;
/** Another process may try a claimed token only this close to the expiry of the access token, ms. */
const LAST_MS = 600_000;
/** How soon to ask again after a recent claim was in the way. */
const SOON_MS = 1000;
/**
 * How long a claim is kept, with or without an outcome, on a token that its row no longer has. A restored database or a
 * backup of a sign-in may bring the token back. The claim on the token of a row is always kept.
 */
const KEPT = "90 days";
/** Why an exchanged token is never sent again. */
const EXCHANGED = "exchanged";

/** Creates the statements on claims to refresh tokens. */
export function createClaimStatements(on: Statements): Pick<PoolDatabase, "claim" | "settle" | "storeExchanged"> {
	return {
		claim: (id, tokenHash, holder) =>
			on.run(async (sql) => {
				const rows = await sql`
					with locked as (${on.locked(sql)}),
					held as (
						select a.id, a.expires_at from pi_multicodex.account a, locked
						where a.id = ${id} and a.token_hash = ${tokenHash} and not a.is_gone
						for share of a
					)
					insert into pi_multicodex.claim as c (account, token_hash, holder, claimed_at)
					select h.id, ${tokenHash}, ${holder}, clock_timestamp() from held h
					on conflict (account, token_hash) do update
					set holder = excluded.holder, claimed_at = clock_timestamp()
					where c.outcome is null
						and c.claimed_at <= clock_timestamp() - ${CLAIM_MS}::float8 * interval '1 ms'
						and (select h.expires_at from held h) - ${LAST_MS}::bigint <= ${nowOf(sql)}
					returning c.account, c.token_hash as "tokenHash", c.holder`;
				const [claimed] = z.array(claimedSchema).parse(rows);
				if (!claimed) return await whyNot(on, sql, id, tokenHash);
				const isOurs = claimed.account === id && claimed.tokenHash === tokenHash && claimed.holder === holder;
				if (!isOurs) throw new Error("a claim was answered with another one");
				return { kind: "ours" };
			}),
		settle: (id, tokenHash, holder, outcome) =>
			on.run(async (sql) => {
				if (outcome === "unsent") {
					await sql`
						delete from pi_multicodex.claim c
						where c.account = ${id} and c.token_hash = ${tokenHash} and c.holder = ${holder} and c.outcome is null`;
					return;
				}
				await sql`
					update pi_multicodex.claim c set outcome = ${outcome.reason}
					where c.account = ${id} and c.token_hash = ${tokenHash} and c.holder = ${holder} and c.outcome is null`;
			}),
		storeExchanged: (row, spentHash, by) =>
			on.run(async (sql) => {
				const rows = await sql`
					with locked as (${on.locked(sql)}),
					written as (
						update pi_multicodex.account a
						set version = a.version + 1, for_keepers = ${bytea(sql, row.forKeepers)},
							for_runners = ${bytea(sql, row.forRunners)}, token_hash = ${row.tokenHash},
							expires_at = ${row.expiresAt}::bigint, needs_login = null
						from locked
						where a.id = ${row.id} and a.version = ${row.replaces}::bigint and a.token_hash = ${spentHash}
							and not a.is_gone
						returning a.id
					),
					ended as (
						insert into pi_multicodex.claim as c (account, token_hash, holder, claimed_at, outcome)
						select w.id, ${spentHash}, ${by}, clock_timestamp(), ${EXCHANGED} from written w
						on conflict (account, token_hash) do update set outcome = excluded.outcome
						returning 1
					),
					others as (
						-- Locked, so that each is read as it is after the lock on the pool, and not as it was before.
						select a.id, a.token_hash from pi_multicodex.account a, written w
						where a.id <> w.id and exists (
							select 1 from pi_multicodex.claim c where c.account = a.id and ${isOld(sql)}
						)
						for share of a
					),
					dropped as (
						delete from pi_multicodex.claim c
						using (select id, token_hash from others union all select id, ${spentHash} from written) held
						where c.account = held.id and ${isOld(sql)}
							and c.token_hash <> held.token_hash and c.token_hash <> ${row.tokenHash}
					)
					select (select count(*) from ended)::int as stored, (select count(*) from locked)::int as locked,
						(select ${tellOf(sql, by)}::text from written) as told`;
				const found = onlyRow(z.object({ stored: z.number(), locked: z.number() }), rows);
				if (found.locked !== 1) await on.explain();
				if (found.stored === 1) return "stored";
				const held = await sql`
					select exists (
						select 1 from pi_multicodex.account a
						where a.id = ${row.id} and a.token_hash = ${spentHash} and not a.is_gone
					) as "isHeld"`;
				return onlyRow(z.object({ isHeld: z.boolean() }), held).isHeld ? "changed" : "moved";
			}),
	};
}

/** Part of a condition on a claim `c`. */
function isOld(sql: Sql): Fragment {
	return sql`c.claimed_at < clock_timestamp() - ${KEPT}::text::interval`;
}

/**
 * Asks why a claim failed, in a statement of its own: the previous one may have waited for a claim that it could not
 * see.
 */
async function whyNot(on: Statements, sql: Sql, id: AccountId, tokenHash: string): Promise<SharedClaiming> {
	const rows = await sql`
		select p.known, a.token_hash as "tokenHash", c.outcome,
			greatest(
				extract(epoch from c.claimed_at) * 1000 + ${CLAIM_MS}::float8, a.expires_at - ${LAST_MS}::float8
			)::float8 - ${nowOf(sql)} as "retryAfterMs"
		from (select count(*)::int as known from pi_multicodex.pool p where ${on.known(sql)}) p
		left join pi_multicodex.account a on a.id = ${id} and not a.is_gone
		left join pi_multicodex.claim c on c.account = a.id and c.token_hash = ${tokenHash}`;
	const found = onlyRow(whySchema, rows);
	if (found.known !== 1) await on.explain();
	if (found.tokenHash !== tokenHash) return { kind: "moved" };
	if (found.outcome !== null) return { kind: "spent", reason: found.outcome };
	return { kind: "taken", retryAfterMs: Math.max(SOON_MS, Math.ceil(found.retryAfterMs ?? 0)) };
}

const claimedSchema = z.object({ account: z.string(), tokenHash: z.string(), holder: z.string() });

const whySchema = z.object({
	known: z.number(),
	tokenHash: z.nullable(z.string()),
	outcome: z.nullable(z.string()),
	retryAfterMs: z.nullable(z.number()),
});
