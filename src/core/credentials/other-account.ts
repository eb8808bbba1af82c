import type { Account, Credential } from "../account.ts";
import type { PoolListener } from "../events.ts";
import { accountOf, isOfAnother, signedInto, unusedId } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStore, Clock, TokenReader } from "../ports.ts";

interface Deps {
	readonly accounts: Pick<AccountStore, "list" | "put">;
	readonly tokens: Pick<TokenReader, "identify">;
	readonly clock: Clock;
	readonly labelFor: (email: string | undefined, id: AccountId) => string;
	/** Called when the account that got the token was added or signed in. */
	readonly tell?: PoolListener | undefined;
}

/** Handles a renewal that returns a token of another account: of another workspace or another user. */
export interface OtherAccounts {
	/** True if `next`, the answer to spending `spend`, belongs to another account than the one that spent it. */
	isOther(account: Account, spend: Credential, next: Credential): boolean;
	/**
	 * Stores `next` as the sign-in of the account that it belongs to, adding that account if necessary. Rejects if it
	 * could not be stored. `isPis`: it is in pi's own file, which owns it unless the account has a working sign-in of its
	 * own.
	 */
	keep(former: Account, next: Credential, isPis: boolean): Promise<void>;
}

/** Creates the handler over the accounts file. */
export function createOtherAccounts({ accounts, tokens, clock, labelFor, tell }: Deps): OtherAccounts {
	return {
		isOther: (account, spend, next) => {
			const told = tokens.identify(next.access);
			if (!told) return false;
			const before = tokens.identify(spend.access);
			return isOfAnother(account, told) && (before === undefined || isOfAnother(before, told));
		},
		keep: async (former, next, isPis) => {
			const told = tokens.identify(next.access);
			if (!told) return;
			const known = accountOf(accounts.list(), told);
			if (isPis && known && !known.linked && !known.needsLogin) return;
			const id = known?.id ?? unusedId(told.id, accounts.list());
			const from = known ?? former;
			const ours = from.source === "pi" ? "login" : from.source;
			const source = isPis ? "pi" : ours;
			const signIn = { id, label: labelFor(told.email, id), credential: next, source, linked: isPis };
			const account = signedInto(known, told, signIn, clock.now());
			await accounts.put(account);
			tell?.({
				type: "membership",
				change: known ? "signed-in" : "added",
				account: id,
				source: known ? undefined : account.source,
			});
		},
	};
}
