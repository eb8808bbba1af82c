import type { Account, Credential } from "../account.ts";
import type { OAuthClient, RefreshOutcome } from "../ports.ts";
import type { Claiming, TokenClaims } from "./token-claims.ts";

/** Where a credential is stored, while its lock is held. */
export interface Keeper {
	/** The credential to exchange. */
	readonly spend: Credential;
	/** What was stored when that was chosen. */
	readonly seen: Credential;
	/** Returns the newest stored credential; undefined if the account is gone or it is too late to send. */
	reread(): Credential | undefined;
	/** Stores the successor of `spend`. Rejects if it could be stored nowhere. */
	store(next: Credential): Promise<void>;
}

/** How an exchange ended. */
export type Exchanged =
	| Exclude<Claiming, { readonly kind: "ours" | "moved" }>
	/** Another process has stored another credential meanwhile, or removed the account. Nothing was sent. */
	| { readonly kind: "moved"; readonly newest: Credential | undefined }
	| { readonly kind: "answered"; readonly outcome: RefreshOutcome; readonly isStored: boolean };

interface Deps {
	readonly claims: Pick<TokenClaims, "claim">;
	readonly oauth: OAuthClient;
	/** Resolves after `ms`. */
	readonly pause: (ms: number) => Promise<void>;
}

const FIRST_STORE_PAUSE_MS = 100;
const LAST_STORE_PAUSE_MS = 1600;
/**
 * Reason for the end of a sign-in whose stored token was exchanged before, as in a copy of an older file. The issuer
 * uses the same code.
 */
const EXCHANGED_BEFORE = "refresh_token_reused";

/**
 * Spends a refresh token, which works once. This is the only place that sends one. The order is fixed, with nothing in
 * between: claim it, read again, send it, store the answer, release the claim.
 */
export function createTokenExchange({ claims, oauth, pause }: Deps) {
	return async (account: Account, { spend, seen, reread, store }: Keeper): Promise<Exchanged> => {
		const claiming = await claims.claim(account, spend);
		if (claiming.kind === "moved") return { kind: "moved", newest: reread() };
		if (claiming.kind !== "ours") return claiming;
		const { claim } = claiming;

		// A process that was suspended has lost its lock, and another one may have used this token by now.
		const newest = reread();
		if (newest?.refresh !== seen.refresh) {
			await claim.release();
			return { kind: "moved", newest };
		}

		const outcome = await oauth.refresh(spend.refresh).catch(async (error: unknown) => {
			await claim.leaveUnanswered();
			throw error;
		});

		const came = cameOf(outcome, spend);
		const isStored = came !== undefined && (await storeSurely(() => store(came), pause));

		// As long as the claim stays, it tells every process that the stored token may be spent.
		const mayBeSpent = (outcome.kind === "unknown" || outcome.kind === "granted") && !isStored;
		if (!mayBeSpent) await claim.release(came?.refresh === spend.refresh ? undefined : endReasonOf(outcome));
		// A new token that could not be stored exists only in this process, so the claim holds while the process runs.
		else if (came === undefined) await claim.leaveUnanswered();
		return { kind: "answered", outcome, isStored };
	};
}

/** Returns what to store of an answer. A refresh token alone is worth storing too, since the old one is spent. */
function cameOf(outcome: RefreshOutcome, spent: Credential): Credential | undefined {
	if (outcome.kind === "granted") return outcome.credential;
	return outcome.kind === "unknown" && outcome.next ? { ...spent, refresh: outcome.next() } : undefined;
}

/** Stores a token, retrying through short disk problems. A token that is not stored is lost with this process. */
async function storeSurely(store: () => Promise<void>, pause: Deps["pause"]): Promise<boolean> {
	for (let pauseMs = FIRST_STORE_PAUSE_MS; ; pauseMs *= 2) {
		try {
			await store();
			return true;
		} catch {
			if (pauseMs > LAST_STORE_PAUSE_MS) return false;
			await pause(pauseMs);
		}
	}
}

/** Returns why a token must not be sent again after this answer; undefined if it may be. */
function endReasonOf(outcome: RefreshOutcome): string | undefined {
	if (outcome.kind === "unavailable") return undefined;
	if (outcome.kind !== "refused") return EXCHANGED_BEFORE;
	// A closed account is disabled. A person who enables it again wants another try.
	return outcome.closed ? undefined : outcome.code;
}
