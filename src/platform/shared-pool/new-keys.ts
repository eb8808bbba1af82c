import { joinCodeIn, printJoinCode, withNewSecret } from "./join-code.ts";
import type { JoinedPool } from "./joined-pool.ts";
import type { OwnMirror } from "./mirror.ts";
import { NOTHING_KNOWN, orStopped, withDatabase } from "./pool-calls.ts";
import { type Keys, openRow, sealAccount } from "./sealed-account.ts";
import { keysOf } from "./sealing.ts";
import type { SharedPool } from "./shared-pool.ts";
import { doesNotOpen } from "./shared-rows.ts";
import { type Asker, type JoinCode, type PoolDatabase, PoolProblem, type RowChange } from "./types.ts";

/** More tries than changes can interfere while all accounts are sealed again. */
const MOST_TRIES = 10;
const KEYS_UNKNOWN =
	"Stopped while the keys were replaced. This machine keeps the old keys and the new ones, and uses those that the " +
	"database has: /multicodex share --codes prints their codes.";

interface Deps {
	readonly joined: Pick<JoinedPool, "enter">;
	readonly file: Pick<OwnMirror, "next" | "prepare">;
}

/**
 * Seals every account of the pool with new keys, and resolves to the keeper's new code. `url` is the new address of the
 * same database.
 */
export async function replaceKeys(
	{ joined, file }: Deps,
	{ status, inside, look }: SharedPool,
	url: string | undefined,
	asker: Asker,
): Promise<JoinCode> {
	// The journals are sealed with the key that is about to end.
	await orStopped(look(asker), asker, () => "Stopped before the database had answered. The keys were kept.");
	// An earlier statement without an answer may still be executed: its key must not be lost.
	const prepared = joinCodeIn(file.next());
	const isOfPool = prepared?.poolId === inside.code.poolId && prepared.role === "keeper";
	const fresh = isOfPool ? prepared : withNewSecret(inside.code);
	const next = { ...fresh, url: url ?? inside.code.url };
	await file.prepare(printJoinCode(next));
	const work = (database: PoolDatabase) => resealAll(database, inside.keys, keysOf(next));
	const place = { ...inside.code, url: next.url };
	await orStopped(withDatabase(place, asker, work, inside.keys.sealing.keyIds), asker, () => KEYS_UNKNOWN);
	await joined.enter(next, undefined, status().name);
	return next;
}

/** Seals every row with other keys, in one transaction. */
async function resealAll(database: PoolDatabase, before: Keys, after: Keys): Promise<void> {
	const { keeper = "", runner } = after.sealing.keyIds;
	for (let tries = 0; tries < MOST_TRIES; tries += 1) {
		const { rows } = await database.look(NOTHING_KNOWN);
		const resealed = rows.map((row): RowChange => {
			const opened = openRow(row, before);
			if (opened.kind !== "ok") throw doesNotOpen(opened.kind);
			const { id, version, enabled, disabledReason, needsLogin } = row;
			const sealed = sealAccount(opened.account, version + 1, after);
			return { id, replaces: version, ...sealed, enabled, disabledReason, needsLogin };
		});
		if (await database.reseal({ keeperKeyId: keeper, runnerKeyId: runner }, resealed)) return;
	}
	throw new PoolProblem(
		"unexpected",
		"Machines of the pool are renewing sign-ins right now. No key was changed; try again in a minute.",
	);
}
