import type { Account } from "../../core/account.ts";
import { UNKNOWN_OUTCOME_MS } from "../../core/credentials/token-claims.ts";
import { speakForOne } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { StateStore } from "../../core/ports.ts";
import { fingerprint } from "../backend/jwt.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import type { Connection } from "./connection.ts";
import { beforeMove, halfMoved, isHalfMoved } from "./half-moved.ts";
import type { Crossing, Mirror } from "./mirror.ts";
import { isBusy } from "./shared-accounts.ts";
import { CLAIM_MS } from "./shared-claim.ts";
import type { SharedRows } from "./shared-rows.ts";
import type { Stopwatch } from "./stopwatch.ts";
import { type Asker, PATIENT, PoolProblem } from "./types.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/**
 * Moves accounts between the accounts file and the pool. An account is in both for a moment, and stays in both if the
 * process ends then. A note written to disk beforehand makes every process of this machine treat it as shared until it
 * is clear who holds its token, so that the token is never spent twice. The row in the file is marked as well, for
 * processes that have joined another pool, or none.
 */
export interface Moves {
	/**
	 * Moves an account of this machine into the pool. Rejects when the asker stops waiting; {@link settle} then completes
	 * the move.
	 */
	moveIn(id: AccountId, asker: Asker): Promise<void>;
	/** Moves an account from the pool into the accounts file. Rejects when the asker stops waiting. */
	takeOut(id: AccountId, asker: Asker): Promise<void>;
	/** Completes moves that a process left unfinished. Rejects with a `PoolProblem` if the database is unreachable. */
	settle(): Promise<void>;
}

interface Deps {
	readonly local: LocalAccountStore;
	readonly state: Pick<StateStore, "status">;
	readonly rows: SharedRows;
	readonly mirror: Mirror;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	/** The id of this run of the process. */
	readonly own: string;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
	readonly now: () => number;
	readonly startWatch: Stopwatch;
}

/** Creates the moves. */
export function createMoves(deps: Deps): Moves {
	const { local, state, rows, mirror, connection, unsent, own, newHolder, now, startWatch } = deps;
	const localWith = (id: AccountId, tokenHash: string) =>
		local.list().find((each) => each.id === id && fingerprint(each.credential.refresh) === tokenHash);
	const drop = async (account: Account | undefined) => {
		if (account) await local.drop(account.id, account.credential.refresh);
	};
	const halfMovedNow = () => halfMoved(mirror.name(), now());
	/** Does so before the pool may have the token. A sign-in that is over needs no mark. */
	const mark = async ({ id, needsLogin }: Account) => {
		if (!needsLogin) await local.edit(id, { needsLogin: halfMovedNow() });
	};
	const unmark = async (id: AccountId) => {
		const account = local.list().find((each) => each.id === id);
		if (account && isHalfMoved(account)) await local.patch(id, { needsLogin: undefined });
	};
	const alone = async (id: AccountId, work: () => Promise<void>) => {
		if ((await local.whileRefreshing(id, work)) === "busy") throw isBusy();
	};
	/** Claims the token. Returns a function that deletes the row as long as the claim is valid. */
	const claim = async (
		id: AccountId,
		tokenHash: string,
		holder: string,
		asker?: Asker,
	): Promise<() => Promise<void>> => {
		const ageMs = startWatch();
		const claiming = await unsent.claim({ id, tokenHash, holder }, asker ?? PATIENT);
		if (claiming.kind === "taken" || claiming.kind === "moved") throw isBusy();
		// A spent token is claimed by no machine any more.
		const isOurs = claiming.kind === "ours";
		return async () => {
			// The machine may have slept, and another one may have renewed the token meanwhile.
			if (isOurs && ageMs() > CLAIM_MS) {
				await unsent.free({ id, tokenHash, holder });
				throw isBusy();
			}
			const isGone = await connection.use((database) => database.remove(id, tokenHash, own), asker ?? PATIENT);
			// The same token may come back the same way.
			if (isOurs) await unsent.free({ id, tokenHash, holder });
			// A person has signed in again meanwhile.
			if (!isGone) throw isBusy();
			await mirror.take([], [id]);
		};
	};

	/**
	 * True if the pool has this account. Another machine may have shared it under a grant of its own; then this machine's
	 * account stays where it is.
	 */
	const isInPool = (account: Account) =>
		[...mirror.rows().values()].some((each) => each.account.id === account.id || speakForOne(each.account, account));

	const settled: Readonly<Record<Crossing["way"], (crossing: Crossing) => Promise<void>>> = {
		in: async ({ id, tokenHash }) => {
			const here = localWith(id, tokenHash);
			// A statement without an answer may still be executed, so the move goes forward.
			if (here && !(await rows.read(id))) {
				await mark(here);
				await rows.add(beforeMove(here), PATIENT);
			}
			// Whatever token the row has now, it started with this one.
			if (await rows.read(id)) await drop(here);
			else await unmark(id);
		},
		out: async ({ id, tokenHash, holder }) => {
			const open = await rows.read(id);
			if (!open) return unmark(id);
			const here = localWith(id, tokenHash);
			// Another machine has renewed it since, so the token taken out here is spent.
			if (open.row.tokenHash !== tokenHash) return drop(here);
			if (holder !== undefined) await unsent.free({ id, tokenHash, holder });
			if (!here) return;
			const removeRow = await claim(id, tokenHash, newHolder());
			await removeRow();
			await unmark(id);
		},
	};

	return {
		moveIn: (id, asker) =>
			alone(id, async () => {
				asker.signal?.throwIfAborted();
				const account = local.list().find((each) => each.id === id);
				if (!account || isInPool(account)) return;
				if (account.linked || account.linkedElsewhere) throw isPisOwn(account);
				const { exchange } = state.status(id);
				if (exchange && Math.abs(now() - exchange.at) < UNKNOWN_OUTCOME_MS) throw isBusy();
				const tokenHash = fingerprint(account.credential.refresh);
				await mirror.beginCrossing({ id, way: "in", tokenHash });
				await mark(account).catch(async (error: unknown) => {
					await mirror.endCrossing(id);
					throw error;
				});
				const isAdded = await rows.add(account, asker);
				// The mirror may lack a row with this id: it belongs to another machine, or to an interrupted attempt.
				const isOurs = isAdded || (await rows.read(id, asker))?.row.tokenHash === tokenHash;
				if (isOurs) await local.drop(id, account.credential.refresh);
				else await unmark(id);
				await mirror.endCrossing(id);
			}),
		takeOut: (id, asker) =>
			alone(id, async () => {
				asker.signal?.throwIfAborted();
				const open = await rows.read(id, asker);
				if (!open) return;
				const { tokenHash } = open.row;
				const holder = newHolder();
				const removeRow = await claim(id, tokenHash, holder, asker);
				await mirror.beginCrossing({ id, way: "out", tokenHash, holder });
				const { account } = open;
				await local.put({ ...account, shared: undefined, needsLogin: account.needsLogin ?? halfMovedNow() });
				await local.flush();
				await removeRow();
				await unmark(id);
				await mirror.endCrossing(id);
			}),
		settle: async () => {
			for (const crossing of mirror.crossings()) {
				const { id } = crossing;
				await local.whileRefreshing(id, async () => {
					// The process that moves an account holds this lock, so a note that is still here was left behind.
					if (!mirror.crossings().some((each) => each.id === id && each.tokenHash === crossing.tokenHash)) return;
					await settled[crossing.way](crossing);
					await mirror.endCrossing(id);
				});
			}
		},
	};
}

function isPisOwn({ label }: Account): PoolProblem {
	return new PoolProblem(
		"unexpected",
		`${label} is pi's own sign-in, which stays on this machine. Run /multicodex login ${label} for one that can be shared.`,
	);
}
