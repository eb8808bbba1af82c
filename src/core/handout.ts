import type { Affinity } from "./affinity.ts";
import type { Credentials } from "./credentials.ts";
import type { AccountId } from "./ids.ts";
import type { Pool } from "./pool.ts";

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly credentials: Credentials;
}

/** So many accounts are asked for a token that is still valid. */
const MOST_TRIES = 5;

/** A token for others. */
export interface Handout {
	readonly token: string;
	/** False where it has run out. */
	readonly isValid: boolean;
}

/**
 * Gives the token that a request would go out with now, for others who ask the host for the provider's key. Nothing is
 * exchanged for it and nothing waited for: where every token has run out it is the one of the account that would serve.
 */
export function createHandout({ pool, affinity, credentials }: Deps): () => Handout | undefined {
	return () => {
		const tried = new Set<AccountId>();
		const own = affinity.account();
		while (tried.size < MOST_TRIES) {
			const account = pool.choose({ modelId: undefined, affinity: own, sessionId: undefined, excluded: tried });
			if (!account) break;
			const token = credentials.currentToken(account.id);
			if (token !== undefined) return { token, isValid: true };
			tried.add(account.id);
		}
		const [first] = tried;
		const usable = pool.accounts().filter(({ enabled, needsLogin }) => enabled && !needsLogin);
		const fallback = usable.find(({ id }) => id === (first ?? own)) ?? usable[0];
		if (!fallback) return undefined;
		const isValid = credentials.currentToken(fallback.id) !== undefined;
		return { token: fallback.credential.access, isValid };
	};
}
