import type { Account } from "../account.ts";
import { type AccountSet, isInSet, type SetFinder } from "../account-sets.ts";
import { aboveCap, type Caps, type Floors, floorsOf, reachedCap } from "../caps.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { AccountStore, Clock, StateStore } from "../ports.ts";

/** What the person's caps and account sets keep from sessions. */
export interface Restrictions {
	/** Returns the account set that a session is bound to; undefined if it may use every account. */
	setFor(sessionId: SessionId | undefined): AccountSet | undefined;
	/** Returns the caps that apply to an account now; none while it is pinned below them. */
	floors(account: Account): Floors | undefined;
	/**
	 * Returns the smallest part of an account's quota above its caps, percent; undefined if no cap applies to known
	 * usage.
	 */
	aboveCap(account: Account): number | undefined;
	/** Returns the accounts that have reached a cap. */
	atCap(): ReadonlySet<AccountId>;
	/** True if a cap or the session's account set excludes the account, whatever else is known of it. */
	isBarred(account: Account, sessionId: SessionId | undefined): boolean;
}

/** Returns the caps that apply to an account. */
export type FloorsOf = Restrictions["floors"];

interface Deps {
	readonly accounts: Pick<AccountStore, "list">;
	readonly state: Pick<StateStore, "status" | "snapshot" | "pinnedBelowCapUntil">;
	readonly clock: Clock;
	readonly caps: () => Caps;
	/** Finds account sets. Without it every session may use every account. */
	readonly sets: SetFinder | undefined;
	readonly pinned: () => AccountId | undefined;
}

/** Creates the restrictions. `allFloors` reads the settings once, for the caps on every account as of then. */
export function createRestrictions(deps: Deps): Restrictions & { readonly allFloors: () => FloorsOf } {
	const { accounts, state, clock, caps, sets, pinned } = deps;
	const floorsUnder = (all: Caps): FloorsOf => {
		return (account) => {
			const own = floorsOf(all, account);
			if (!own) return undefined;
			const isPinnedBelow = pinned() === account.id && (state.pinnedBelowCapUntil() ?? 0) > clock.now();
			return isPinnedBelow ? undefined : own;
		};
	};
	const floors: FloorsOf = (account) => floorsUnder(caps())(account);
	const setFor = (sessionId: SessionId | undefined) => sets?.setFor(sessionId);

	return {
		setFor,
		floors,
		allFloors: () => floorsUnder(caps()),
		aboveCap: (account) => {
			const own = floors(account);
			return own && aboveCap(own, state.status(account.id).usage, clock.now());
		},
		atCap: () => {
			const all = caps();
			if (Object.keys(all).length === 0) return new Set();
			const now = clock.now();
			const statusOf = state.snapshot();
			const floorsNow = floorsUnder(all);
			const isAtCap = (account: Account) => {
				const own = floorsNow(account);
				return own !== undefined && reachedCap(own, statusOf(account.id).usage, now) !== undefined;
			};
			return new Set(
				accounts
					.list()
					.filter(isAtCap)
					.map(({ id }) => id),
			);
		},
		isBarred: (account, sessionId) => {
			const set = setFor(sessionId);
			if (set && !isInSet(set, account)) return true;
			const own = floors(account);
			return own !== undefined && reachedCap(own, state.status(account.id).usage, clock.now()) !== undefined;
		},
	};
}
