import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import { orStopped } from "./pool-calls.ts";
import type { SharedPool } from "./shared-pool.ts";
import type { Asker } from "./types.ts";

/** Accounts that a person moves, one after another. */
interface Several {
	readonly accounts: readonly AccountId[];
	readonly asker: Asker;
	/** What was done before, for a person who stops waiting. The place of each account follows. */
	readonly stopped: string;
	readonly tell: PoolListener;
}

/** Moves accounts of this machine into the pool. */
export async function moveAllIn(pool: SharedPool, { accounts, asker, stopped, tell }: Several): Promise<void> {
	for (const [moved, account] of accounts.entries()) {
		const soFar = () => movesSoFar(pool, accounts, moved, "Still on this machine alone", "In the pool");
		await orStopped(pool.inside.moves.moveIn(account, asker), asker, () => `${stopped} ${soFar()}`);
		tell({ type: "membership", change: "shared", account });
	}
	tell({ type: "changed" });
}

/** Takes accounts out of the pool, for this machine alone. */
export async function takeAllOut(pool: SharedPool, { accounts, asker, stopped, tell }: Several): Promise<void> {
	for (const [taken, account] of accounts.entries()) {
		const soFar = () => movesSoFar(pool, accounts, taken, "Still in the pool", "Taken out of it");
		await orStopped(pool.inside.moves.takeOut(account, asker), asker, () => `${stopped} ${soFar()}`);
		tell({ type: "membership", change: "unshared", account });
	}
}

/** Returns where each account of an interrupted move is. `before` and `after` name the two places. */
function movesSoFar(
	pool: SharedPool,
	accounts: readonly AccountId[],
	moved: number,
	before: string,
	after: string,
): string {
	const labels = new Map(pool.accounts.list().map(({ id, label }) => [id, label]));
	const noted = new Set(pool.inside.mirror.crossings().map(({ id }) => id));
	const rest = accounts.slice(moved);
	const named = (where: string, ids: readonly AccountId[]) =>
		ids.length === 0 ? [] : [`${where}: ${ids.map((id) => labels.get(id) ?? id).join(", ")}.`];
	return [
		...named(after, accounts.slice(0, moved)),
		...named(
			"On the way until the database answers",
			rest.filter((id) => noted.has(id)),
		),
		...named(
			before,
			rest.filter((id) => !noted.has(id)),
		),
	].join(" ");
}
