import type { AccountId } from "../../core/ids.ts";
import type { StateStore } from "../../core/ports.ts";
import type { Look, Push, Pushed } from "./types.ts";

/** The version of a pin that this process has not seen: it replaces none. */
const UNSEEN = -1;

interface Deps {
	readonly state: Pick<StateStore, "pin" | "setPin">;
	readonly isShared: (id: AccountId) => boolean;
}

/** The pin, as far as the pinned account is shared. */
export interface SharedPin {
	/** A person has moved the pin of this machine. True if that has to be stored. */
	moved(before: AccountId | undefined, after: AccountId | undefined): boolean;
	/** What has to be stored; undefined where nothing has. */
	toStore(): Push["pin"];
	/** Takes in how a push of it has ended. True if it has to be pushed again. */
	wasPushed(pin: NonNullable<Pushed["pin"]>): boolean;
	/** Takes in the pin of a look. True if the pin of this machine has moved, or has to be stored. */
	take(pin: Look["pin"]): boolean;
}

/** Creates it. The last pin holds; of two at once it is the one that reached the database first. */
export function createSharedPin({ state, isShared }: Deps): SharedPin {
	/** As it was stored when it was last seen. */
	let seen: Look["pin"] | undefined;
	/** What a person has changed here, and from what. */
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
			// The pin of an account of this machine alone concerns no other one.
			if (isOwn(after)) change = undefined;
			else if (sharedOf(before) !== after) change = { before: change ? change.before : sharedOf(before), after };
			return change !== undefined;
		},
		toStore: () => change && { account: change.after, replaces: seen?.version ?? UNSEEN },
		wasPushed: ({ account, version, isWritten }) => {
			seen = { account, version };
			if (!change) return false;
			// It was changed while the push was under way.
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
			// A look that was on its way while a push was answered is the older of the two.
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
