/** A refresh token that was exchanged for another one, or refused for good. */
export interface SpentToken {
	readonly tokenHash: string;
	/** Why the sign-in is over where this token is the one that is stored: a code as the issuer has them. */
	readonly reason: string;
}

/** More than one account goes through while an older process, or a copy of a file, may still bring one back. */
const MOST_SPENT = 16;

/** The spent tokens of several lists, the newest last; each once, and the oldest are let go. */
export function allSpent(...lists: readonly (readonly SpentToken[] | undefined)[]): readonly SpentToken[] | undefined {
	const byHash = new Map(lists.flatMap((list) => list ?? []).map((token) => [token.tokenHash, token]));
	return byHash.size === 0 ? undefined : [...byHash.values()].slice(-MOST_SPENT);
}
