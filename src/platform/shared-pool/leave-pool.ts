import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import type { Left, Unstored } from "../../core/shared-pool.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import type { JoinedPool } from "./joined-pool.ts";
import { keepUnstored } from "./keep-unstored.ts";
import { takeAllOut } from "./move-several.ts";
import { forgetMachine, orStopped } from "./pool-calls.ts";
import type { SharedPool } from "./shared-pool.ts";
import type { Asker } from "./types.ts";

interface Deps {
	readonly joined: Pick<JoinedPool, "open" | "asKeeperOfFiles" | "forget">;
	readonly local: LocalAccountStore;
	readonly clock: Clock;
	readonly tell: PoolListener;
}

/** What leaves with this machine, and whether it leaves although something is not in the database yet. */
interface Leaving {
	readonly take: readonly AccountId[];
	readonly isForced: boolean;
	readonly asker: Asker;
}

/** Leaves the open pool. */
export async function leavePool({ joined, local, clock, tell }: Deps, leaving: Leaving): Promise<Left> {
	const { take, isForced, asker } = leaving;
	const pool = joined.open();
	const { mirror, journal, code } = pool.inside;
	const { machine: name } = pool.status();
	if (take.length > 0) joined.asKeeperOfFiles();
	const isWaiting = async () => mirror.crossings().length > 0 || (await journal.count()) > 0;
	const why = (await isWaiting()) ? await handOver(pool, asker) : undefined;
	if (!isForced && (await isWaiting())) return { kind: "waiting", unstored: await unstoredOf(pool), why };
	await takeAllOut(pool, { accounts: take, asker, stopped: "Stopped. The pool was not left.", tell });
	if (isForced) await keepUnstored({ local, journal, mirror, now: clock.now });
	await joined.forget();
	await forgetMachine(pool, name);
	tell({ type: "shared-pool", change: "left", role: code.role });
	tell({ type: "changed" });
	return { kind: "left" };
}

/** Stores the sign-ins of this machine in the database. Resolves to why that is unreachable, if it is. */
async function handOver(pool: SharedPool, asker: Asker): Promise<string | undefined> {
	try {
		await orStopped(pool.look(asker), asker, () => "Stopped before the database had answered. The pool was not left.");
		return undefined;
	} catch (error) {
		const away = pool.inside.connection.away();
		if (away && !asker.signal?.aborted) return away.problem.message;
		throw error;
	}
}

/** Names the accounts whose sign-in is not in the database. */
async function unstoredOf({ inside, accounts }: SharedPool): Promise<Unstored> {
	const labels = new Map(accounts.list().map(({ id, label }) => [id, label]));
	const renewed = await inside.journal.read();
	const sealed = (await inside.journal.count()) - renewed.length;
	return {
		renewed: [
			...new Set(renewed.map(({ account }) => labels.get(account.id) ?? account.label)),
			...(sealed > 0 ? [`${sealed} under former keys of the pool`] : []),
		],
		moving: inside.mirror.crossings().map(({ id }) => labels.get(id) ?? id),
	};
}
