/** A refresh token that was exchanged for another one, or refused for good. */
export interface SpentToken {
	readonly tokenHash: string;
	/** Why the sign-in has ended if this is the stored token: a code of the issuer. */
	readonly reason: string;
}

/** As many are kept as an account may spend while an older process, or a copied file, can still bring one back. */
const MOST_SPENT = 16;

/** Joins lists of spent tokens, the newest last; each once, without the oldest ones. */
export function allSpent(...lists: readonly (readonly SpentToken[] | undefined)[]): readonly SpentToken[] | undefined {
	const byHash = new Map(lists.flatMap((list) => list ?? []).map((token) => [token.tokenHash, token]));
	return byHash.size === 0 ? undefined : [...byHash.values()].slice(-MOST_SPENT);
}
