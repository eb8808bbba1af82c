import type { Account } from "./account.ts";
import { accountWith } from "./identity.ts";
import type { AccountId, SessionId } from "./ids.ts";
import { ownValue } from "./own-value.ts";

/** The accounts that sessions below a folder use, and no other: they fail rather than use one outside. */
export interface AccountSet {
	/** Absolute, and without links; {@link EVERYWHERE} where no folder can be read. */
	readonly folder: string;
	/** Ids of accounts, which may have left the pool since. */
	readonly accounts: readonly AccountId[];
}

/** All account sets: the ids of the accounts by folder. */
export type AccountSets = Readonly<Record<string, readonly AccountId[]>>;

/** Stands in the place of a folder for the set of no account that holds everywhere, while the sets cannot be read. */
export const EVERYWHERE = "*";

/** Finds the set that holds for a session. */
export interface SetFinder {
	/**
	 * The set that a request of this session is bound to; undefined where it may use every account. A session that is
	 * not known here is bound to the sets of all that are.
	 */
	setFor(sessionId: SessionId | undefined): AccountSet | undefined;
}

/** The set of the nearest of `folders`, which are given from the inside out. */
export function nearestSet(sets: AccountSets, folders: readonly string[]): AccountSet | undefined {
	for (const folder of [...folders, EVERYWHERE]) {
		const accounts = ownValue(sets, folder);
		if (accounts) return { folder, accounts };
	}
	return undefined;
}

/** The set of a request that may belong to several folders: the accounts that each of their sets has. */
export function narrowest(sets: readonly AccountSet[]): AccountSet | undefined {
	const [first, ...others] = sets;
	if (!first) return undefined;
	return { ...first, accounts: first.accounts.filter((id) => others.every(({ accounts }) => accounts.includes(id))) };
}

/** True where a session that is bound to `set` may use the account; a merged one counts under each of its ids. */
export function isInSet({ accounts }: AccountSet, { id, formerIds = [] }: Account): boolean {
	return accounts.includes(id) || formerIds.some((former) => accounts.includes(former));
}

/** The accounts of `set` that are in the pool, and the ids of those that are not. */
export function membersOf(
	{ accounts: ids }: AccountSet,
	pool: readonly Account[],
): { readonly present: readonly Account[]; readonly gone: readonly AccountId[] } {
	const found = ids.map((id) => ({ id, account: accountWith(pool, id) }));
	return {
		present: [...new Set(found.flatMap(({ account }) => account ?? []))],
		gone: found.flatMap(({ id, account }) => (account ? [] : [id])),
	};
}
