import type { Account, Credential } from "../account.ts";
import type { OAuthClient, RefreshOutcome } from "../ports.ts";
import type { Claiming, TokenClaims } from "./token-claims.ts";

/** Where a credential is kept, while its lock is held. */
export interface Keeper {
	/** What is to be exchanged. */
	readonly spend: Credential;
	/** What was stored when that was chosen. */
	readonly seen: Credential;
	/** The newest credential that is stored; undefined where the account has gone, or where it is too late to send. */
	reread(): Credential | undefined;
	/** Stores what came for `spend`. Rejects where it could be stored nowhere. */
	store(next: Credential): Promise<void>;
}

/** How an exchange ended. */
export type Exchanged =
	| Exclude<Claiming, { readonly kind: "ours" | "moved" }>
	/** Another process has stored another credential meanwhile, or taken the account out: nothing was sent. */
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
 * Why a sign-in is over where what is stored was exchanged before, as a copy of an older file is. The issuer says the
 * same.
 */
const EXCHANGED_BEFORE = "refresh_token_reused";

/**
 * Spends a refresh token, which works once: the only place where one is sent. Claim it, look again, send it, store what
 * came, give the claim back, in this order, and nothing in between.
 */
export function createTokenExchange({ claims, oauth, pause }: Deps) {
	return async (account: Account, { spend, seen, reread, store }: Keeper): Promise<Exchanged> => {
		const claiming = await claims.claim(account, spend);
		if (claiming.kind === "moved") return { kind: "moved", newest: reread() };
		if (claiming.kind !== "ours") return claiming;
		const { claim } = claiming;

		// A process that was stopped has lost its lock, and another one may be through with this token by now.
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

		// While the note stays it tells every process that the token on the disk may be spent.
		const mayBeSpent = (outcome.kind === "unknown" || outcome.kind === "granted") && !isStored;
		if (!mayBeSpent) await claim.release(came?.refresh === spend.refresh ? undefined : endReasonOf(outcome));
		// This process alone has a token that came and could not be stored: the claim holds while the process runs.
		else if (came === undefined) await claim.leaveUnanswered();
		return { kind: "answered", outcome, isStored };
	};
}

/** What is worth storing of an answer: a refresh token alone, too, since the former one is spent. */
function cameOf(outcome: RefreshOutcome, spent: Credential): Credential | undefined {
	if (outcome.kind === "granted") return outcome.credential;
	return outcome.kind === "unknown" && outcome.next ? { ...spent, refresh: outcome.next() } : undefined;
}

/** A token that is stored nowhere is lost with this process: a moment's trouble with the disk is waited out. */
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

/** Why a token must not be sent again after this answer, once that is dealt with; undefined where it may be. */
function endReasonOf(outcome: RefreshOutcome): string | undefined {
	if (outcome.kind === "unavailable") return undefined;
	if (outcome.kind !== "refused") return EXCHANGED_BEFORE;
	// A closed account is switched off; a person who switches it on again wants another try.
	return outcome.closed ? undefined : outcome.code;
}
