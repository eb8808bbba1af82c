import type { AccountId } from "../../core/ids.ts";
import type { StateStore } from "../../core/ports.ts";
import type { Look, Push, Pushed } from "./types.ts";

/** The version for a pin that this process has never seen. It replaces none. */
const UNSEEN = -1;

interface Deps {
	readonly state: Pick<StateStore, "pin" | "setPin">;
	readonly isShared: (id: AccountId) => boolean;
}

/** The pin, if the pinned account is shared. */
interface SharedPin {
	/** Records that a person has moved this machine's pin. Returns true if that must be stored. */
	moved(before: AccountId | undefined, after: AccountId | undefined): boolean;
	/** Returns what must be stored; undefined for nothing. */
	toStore(): Push["pin"];
	/** Records how pushing the pin ended. Returns true if it must be pushed again. */
	wasPushed(pin: NonNullable<Pushed["pin"]>): boolean;
	/** Applies the pin of a look. Returns true if this machine's pin has moved or must be stored. */
	take(pin: Look["pin"]): boolean;
}

/** Creates the shared pin. The last one wins; of two at the same time, the one that reached the database first. */
export function createSharedPin({ state, isShared }: Deps): SharedPin {
	/** The stored pin when it was last seen. */
	let seen: Look["pin"] | undefined;
	/** What a person has changed here: from which account to which. */
	let change: { readonly before: AccountId | undefined; readonly after: AccountId | undefined } | undefined;

	/** An account that was taken out of the pool is pinned nowhere. */
	const sharedOf = (id: AccountId | undefined) => (id !== undefined && isShared(id) ? id : undefined);
	const isOwn = (id: AccountId | undefined) => id !== undefined && !isShared(id);
	const adopt = (account: AccountId | undefined): boolean => {
		const next = sharedOf(account);
		const now = state.pin();
		if (now === next || (next === undefined && isOwn(now))) return false;
		void state.setPin(next);
		return true;
	};

	return {
		moved: (before, after) => {
			// Pinning an account of this machine alone does not concern other machines.
			if (isOwn(after)) change = undefined;
			else if (sharedOf(before) !== after) change = { before: change ? change.before : sharedOf(before), after };
			return change !== undefined;
		},
		toStore: () => change && { account: change.after, replaces: seen?.version ?? UNSEEN },
		wasPushed: ({ account, version, isWritten }) => {
			seen = { account, version };
			if (!change) return false;
			// The pin was changed while the push was in progress.
			if (isWritten && account !== change.after) {
				change = { before: account, after: change.after };
				return true;
			}
			const isSuccessor = sharedOf(account) === change.before;
			if (!isWritten && account !== change.after && isSuccessor) return true;
			change = undefined;
			if (!isWritten) adopt(account);
			return false;
		},
		take: (pin) => {
			// A look that was in progress while a push was answered is older.
			if (seen !== undefined && pin.version < seen.version) return false;
			const isNews = pin.version !== seen?.version;
			const isFirst = seen === undefined;
			seen = pin;
			if (change || !isNews) return false;
			if (!isFirst) return adopt(pin.account);
			// The pin that this machine had before the account was shared.
			const own = sharedOf(state.pin());
			if (pin.version === 0 && own !== undefined) {
				change = { before: undefined, after: own };
				return true;
			}
			return isOwn(state.pin()) ? false : adopt(pin.account);
		},
	};
}
