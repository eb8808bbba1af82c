import type { Account } from "./account.ts";
import { accountWith } from "./identity.ts";
import type { AccountId, SessionId } from "./ids.ts";
import { ownValue } from "./own-value.ts";

/** The accounts that sessions below a folder may use. A session fails rather than use another one. */
export interface AccountSet {
	/** Absolute path without symbolic links, or {@link EVERYWHERE} if the sets cannot be read. */
	readonly folder: string;
	/** Account ids. Some may have left the pool since. */
	readonly accounts: readonly AccountId[];
}

/** All account sets: account ids by folder. */
export type AccountSets = Readonly<Record<string, readonly AccountId[]>>;

/** Stands for a folder in the empty set that applies everywhere while the sets cannot be read. */
export const EVERYWHERE = "*";

/** Finds the account set that applies to a session. */
export interface SetFinder {
	/**
	 * Returns the set that a request of this session is bound to; undefined if it may use every account. An unknown
	 * session is bound to the sets of all known ones.
	 */
	setFor(sessionId: SessionId | undefined): AccountSet | undefined;
}

/** Returns the set of the nearest of `folders`, which are listed from the inside out. */
export function nearestSet(sets: AccountSets, folders: readonly string[]): AccountSet | undefined {
	for (const folder of [...folders, EVERYWHERE]) {
		const accounts = ownValue(sets, folder);
		if (accounts) return { folder, accounts };
	}
	return undefined;
}

/** Returns the set for a request that may belong to several folders: the accounts common to all their sets. */
export function narrowest(sets: readonly AccountSet[]): AccountSet | undefined {
	const [first, ...others] = sets;
	if (!first) return undefined;
	return { ...first, accounts: first.accounts.filter((id) => others.every(({ accounts }) => accounts.includes(id))) };
}

/** True if a session bound to `set` may use the account. A merged account counts under each of its ids. */
export function isInSet({ accounts }: AccountSet, { id, formerIds = [] }: Account): boolean {
	return accounts.includes(id) || formerIds.some((former) => accounts.includes(former));
}

/** Splits `set` into the accounts that are in the pool and the ids of those that are not. */
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
