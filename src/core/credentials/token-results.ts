import type { Account, Credential } from "../account.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, AccountStore, Clock, RefreshOutcome, StateStore, TokenReader } from "../ports.ts";
import type { TokenResult } from "./credentials.ts";
import { ignoreWriteFailure } from "./keepers.ts";
import type { OtherAccounts } from "./other-account.ts";
import type { RenewalBackoff } from "./renewal-backoff.ts";
import { type TokenClaims, UNKNOWN_OUTCOME_MS } from "./token-claims.ts";
import type { Exchanged, Keeper } from "./token-exchange.ts";

interface Deps {
	readonly accounts: Pick<AccountStore, "patch">;
	readonly state: Pick<StateStore, "status" | "update" | "updateSoon">;
	readonly tokens: Pick<TokenReader, "fingerprint">;
	readonly clock: Clock;
	readonly claims: Pick<TokenClaims, "end">;
	readonly others: Pick<OtherAccounts, "isOther">;
	readonly backoff: RenewalBackoff;
	/** True if the access token is valid for a request and is not the refused one. */
	readonly isUsable: (credential: Credential, refused: string | undefined) => boolean;
}

/** A refusal for an unknown reason is final if it is repeated this much later. */
const REFUSED_AGAIN_MS = 60_000;
/** Reason for a new sign-in after a final refusal. */
const RENEWAL_REFUSED = "renewal_refused";
/** Reason for a new sign-in after the renewal returned a token of another account. */
const RENEWED_AS_ANOTHER = "renewed_as_another";

/** Returns the result for a valid credential. */
export function ready({ access }: Credential): TokenResult {
	return { kind: "ready", access };
}

/**
 * Returns a function that draws the consequences of an exchange. It flags or disables an account whose grant has ended,
 * backs off after any other failure, and returns what a request gets.
 */
export function createTokenResults(deps: Deps) {
	const { accounts, state, tokens, clock, claims, others, backoff, isUsable } = deps;

	/**
	 * Handles the end of a grant. If a process stored another working credential in the meantime, by a sign-in or an
	 * exchange, uses that one and does not flag the account.
	 */
	const endOf = async (
		account: Account,
		{ spend, reread }: Keeper,
		{ code, closed }: Pick<Extract<RefreshOutcome, { kind: "refused" }>, "code" | "closed">,
	): Promise<TokenResult> => {
		const newest = reread();
		if (newest && newest.refresh !== spend.refresh && isUsable(newest, spend.access)) {
			await accounts.patch(account.id, { credential: newest, needsLogin: undefined }).catch(ignoreWriteFailure);
			return ready(newest);
		}
		const patch = closed ? { enabled: false, disabledReason: code } : { needsLogin: { reason: code, at: clock.now() } };
		// The row of pi's own login may not have the token from pi's file yet.
		const isMeant = ({ refresh }: Credential) => refresh === spend.refresh || refresh === account.credential.refresh;
		await accounts.patch(account.id, { ...patch, credential: spend }, isMeant).catch(ignoreWriteFailure);
		return { kind: "signed-out", account, reason: code, closed };
	};

	/**
	 * Records a refusal for an unknown reason where every process sees it. True if the same token was refused before,
	 * long enough ago to rule out a passing problem.
	 */
	const isRefusedAgain = async (id: AccountId, { refresh }: Credential): Promise<boolean> => {
		const [tokenHash, now] = [tokens.fingerprint(refresh), clock.now()];
		const isKnown = ({ refusal }: AccountStatus) => refusal?.tokenHash === tokenHash && refusal.at <= now;
		await state.update(id, (status) => (isKnown(status) ? status : { ...status, refusal: { tokenHash, at: now } }));
		return now - (state.status(id).refusal?.at ?? now) >= REFUSED_AGAIN_MS;
	};

	const answered = async (
		account: Account,
		keeper: Keeper,
		{ outcome, isStored }: Extract<Exchanged, { kind: "answered" }>,
	): Promise<TokenResult> => {
		const { id } = account;
		switch (outcome.kind) {
			case "granted":
				backoff.end(id);
				if (state.status(id).refusal) state.updateSoon(id, (status) => ({ ...status, refusal: undefined }));
				if (others.isOther(account, keeper.spend, outcome.credential)) {
					return endOf(account, keeper, { code: RENEWED_AS_ANOTHER, closed: false });
				}
				return ready(outcome.credential);
			case "refused":
				return endOf(account, keeper, outcome);
			case "unknown":
				// With the next refresh token stored nothing is lost, but every further try would spend another token.
				return isStored
					? backoff.longer(id, outcome.reason)
					: backoff.until(id, outcome.reason, clock.now() + UNKNOWN_OUTCOME_MS);
			case "unavailable": {
				const isFinal = outcome.mayBeFinal === true && (await isRefusedAgain(id, keeper.spend));
				if (outcome.lasts) return backoff.lasting(id, outcome.reason);
				if (!isFinal) return backoff.longer(id, outcome.reason);
				await claims.end(id, keeper.spend, RENEWAL_REFUSED);
				return endOf(account, keeper, { code: RENEWAL_REFUSED, closed: false });
			}
		}
	};

	return (account: Account, keeper: Keeper, result: Exchanged): TokenResult | Promise<TokenResult> => {
		const { id } = account;
		switch (result.kind) {
			case "spent":
				return endOf(account, keeper, { code: result.reason, closed: false });
			case "taken":
				return backoff.until(id, "an exchange of its token has not been answered yet", result.retryAt);
			case "unnoted":
				return backoff.longer(id, "its renewal could not be noted");
			case "moved":
				// The account was removed, or merged into another account with another lock.
				if (!result.newest) return backoff.until(id, "its sign-in has moved", clock.now());
				if (isUsable(result.newest, undefined)) return ready(result.newest);
				return backoff.until(id, "another process has just renewed it", clock.now());
			case "answered":
				return answered(account, keeper, result);
		}
	};
}
