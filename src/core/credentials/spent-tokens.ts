import type { Account } from "../account.ts";
import type { StateStore } from "../ports.ts";

/** A refresh token that was exchanged or refused for good. */
export interface SpentToken {
	readonly tokenHash: string;
	/** Why the sign-in has ended if this token is the stored one: an error code of the issuer. */
	readonly reason: string;
}

/**
 * Maximum number of spent tokens kept: as many as an account may spend while an older process, or a copied file, can
 * still bring one back.
 */
const MOST_SPENT = 16;

/** Joins lists of spent tokens, newest last. Each token is listed once, and the oldest ones are dropped. */
export function allSpent(...lists: readonly (readonly SpentToken[] | undefined)[]): readonly SpentToken[] | undefined {
	const byHash = new Map(lists.flatMap((list) => list ?? []).map((token) => [token.tokenHash, token]));
	return byHash.size === 0 ? undefined : [...byHash.values()].slice(-MOST_SPENT);
}

/** Returns why the sign-in with this refresh token has ended, if it is known to be spent. */
export function whySpent(
	state: Pick<StateStore, "status">,
	{ id, formerIds = [] }: Pick<Account, "id" | "formerIds">,
	tokenHash: string,
): string | undefined {
	const all = [id, ...formerIds].flatMap((each) => state.status(each).spent ?? []);
	return all.find((spent) => spent.tokenHash === tokenHash)?.reason;
}
