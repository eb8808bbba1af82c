import type { Pool } from "../pool/pool.ts";
import type { Affinity } from "../request/affinity.ts";
import type { Credentials } from "./credentials.ts";

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly credentials: Credentials;
}

/** Maximum number of accounts that are checked for a valid token. */
const MOST_TRIES = 5;

/** A token for other extensions. */
export interface Handout {
	readonly token: string;
	/** False if the token has expired. */
	readonly isValid: boolean;
}

/**
 * Creates a function that returns the token a request would use now, for others who ask the host for the provider's
 * key. It exchanges nothing and waits for nothing. If every token has expired, it returns that of the account that
 * would serve. Undefined if no account may serve, because there is none or because caps and the session's account set
 * exclude all.
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
