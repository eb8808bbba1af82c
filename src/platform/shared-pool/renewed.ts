import type { Credential } from "../../core/account.ts";
import { BUSY_RETRY_MS } from "../../core/credentials/token-claims.ts";
import type { SharedTokens } from "../../core/ports.ts";

/** The result of renewing a shared account. */
export type Renewed = Awaited<ReturnType<SharedTokens["renew"]>>;

/** A token this close to its expiry is no longer sent. */
const LAST_MOMENT_MS = 5000;

/** True if the access token can be sent. `refused` is one that the backend has just answered with 401. */
export function isGood({ access, expiresAt }: Credential, refused: string | undefined, now: number): boolean {
	return access !== refused && expiresAt - now > LAST_MOMENT_MS;
}

/** Returns the result with a token that can be sent. */
export function ready({ access }: Credential): Renewed {
	return { kind: "ready", access };
}

/** Returns the result without a token, and when to ask again. */
export function later(reason: string, now: number, ms = BUSY_RETRY_MS): Renewed {
	return { kind: "unavailable", reason, retryAt: now + ms };
}
