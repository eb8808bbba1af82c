import type { Account } from "../../core/account.ts";

/** An account that cannot be moved into a shared pool, and why. */
export interface Unshareable {
	readonly account: Account;
	readonly reason: "pi's own" | "elsewhere" | "signed out" | "shared";
}

/** Returns why an account cannot be moved into a shared pool; undefined if it can. */
export function whyUnshareable(account: Account): Unshareable["reason"] | undefined {
	if (account.shared) return "shared";
	// pi renews its own login by itself. In a pool, the login would have two holders.
	if (account.linked) return "pi's own";
	if (account.linkedElsewhere) return "elsewhere";
	return account.needsLogin ? "signed out" : undefined;
}

/** Divides the accounts into those that can be moved and the others that are not shared yet. */
export function shareable(accounts: readonly Account[]): {
	readonly offered: readonly Account[];
	readonly rest: readonly Unshareable[];
} {
	const offered: Account[] = [];
	const rest: Unshareable[] = [];
	for (const account of accounts) {
		const reason = whyUnshareable(account);
		if (reason === undefined) offered.push(account);
		else if (reason !== "shared") rest.push({ account, reason });
	}
	return { offered, rest };
}
