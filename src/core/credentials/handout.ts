import type { Pool } from "../pool/pool.ts";
import type { Affinity } from "../request/affinity.ts";
import type { Credentials } from "./credentials.ts";

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
 * Undefined where no account may serve: for want of one, or since caps and the session's account set keep all out.
 */
export function createHandout({ pool, affinity, credentials }: Deps): () => Handout | undefined {
	return () => {
		const own = affinity.account();
		const { order, lastResort } = pool.plan({ modelId: undefined, affinity: own, sessionId: undefined });
		const inLine = [...order, ...lastResort].slice(0, MOST_TRIES).map(({ account }) => account);
		for (const { id } of inLine) {
			const token = credentials.currentToken(id);
			if (token !== undefined) return { token, isValid: true };
		}
		const usable = pool
			.accounts()
			.filter((account) => account.enabled && !account.needsLogin && !pool.isBarred(account, undefined));
		const fallback = usable.find(({ id }) => id === (inLine[0]?.id ?? own)) ?? usable[0];
		if (!fallback) return undefined;
		const isValid = credentials.currentToken(fallback.id) !== undefined;
		return { token: fallback.credential.access, isValid };
	};
}
