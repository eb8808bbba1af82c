import { raceAbort, within } from "./abort.ts";
import type { Account, Credential } from "./account.ts";
import type { AccountId } from "./ids.ts";
import { createRenewal, LAST_MOMENT_MS, type RenewalDeps } from "./renewal.ts";
import { BUSY_RETRY_MS } from "./token-claims.ts";

/** The outcome of asking for an access token. */
export type TokenResult =
	| { readonly kind: "ready"; readonly access: string }
	/** The sign-in is over; the account is flagged. */
	| { readonly kind: "signed-out"; readonly account: Account; readonly reason: string; readonly closed: boolean }
	/** Not now; the account is not flagged. `lasts`: no second try helps before the person has changed something. */
	| { readonly kind: "unavailable"; readonly reason: string; readonly retryAt: number; readonly lasts?: true };

/** How a token is asked for. */
export interface TokenRequest {
	readonly signal?: AbortSignal | undefined;
	/** A token that the backend has just answered 401 to. */
	readonly refused?: string | undefined;
	/** How long to wait for an exchange, ms; without it, to its end. */
	readonly patienceMs?: number | undefined;
}

/** The one place where access tokens come from. It decides when to renew; `token-exchange.ts` spends. */
export interface Credentials {
	/**
	 * A token that is good for at least a request. Rejects only with the abort reason; an exchange under way goes on and
	 * is stored.
	 */
	accessToken(id: AccountId, options: TokenRequest): Promise<TokenResult>;
	/** A token that is valid now, without any exchange: for work that no request waits for. */
	currentToken(id: AccountId): string | undefined;
	/** Resolves when no exchange is under way. */
	idle(): Promise<void>;
}

/** Refreshed this long before expiry, so that pi's own thresholds (0 to 5 min) are rarely reached. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** A request whose token is still good waits this long for a newer one. */
const PATIENCE_MS = 1000;

/** Creates the refresher: one exchange an account at a time, in this process and across all others. */
export function createCredentials(deps: RenewalDeps): Credentials {
	const { accounts, clock } = deps;
	const { renew, catchUp, lastsFor } = createRenewal(deps);
	const flights = new Map<AccountId, Promise<TokenResult>>();

	const find = (id: AccountId) => accounts.list().find((account) => account.id === id);
	const ready = (credential: Credential): TokenResult => ({ kind: "ready", access: credential.access });

	const obtain = async (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const account = find(id);
		if (!account) return { kind: "unavailable", reason: "it is gone", retryAt: clock.now() };
		const had = account.credential;
		if (account.linked) await catchUp(account);
		if (lastsFor(had, REFRESH_AHEAD_MS, refused)) return ready(had);
		const result = await renew(account, refused);
		// Ahead of time nothing is lost: the old token serves until its end.
		const isStillValid = lastsFor(had, LAST_MOMENT_MS, refused);
		return result.kind === "unavailable" && isStillValid ? ready(had) : result;
	};

	/** The one flight of an account; a later request joins it. */
	const flightFor = (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const flight = flights.get(id) ?? obtain(id, refused).finally(() => flights.delete(id));
		flights.set(id, flight);
		return flight;
	};

	/** A token that is still good is not held up by a slow exchange, nor is a caller who has somewhere else to go. */
	const impatiently = (id: AccountId, { refused, patienceMs }: TokenRequest): Promise<TokenResult> => {
		const had = find(id)?.credential;
		const flight = flightFor(id, refused);
		if (had && lastsFor(had, LAST_MOMENT_MS, refused)) {
			return within(flight, PATIENCE_MS, () => ready(had));
		}
		if (patienceMs === undefined) return flight;
		const tooSlow = (): TokenResult => {
			return { kind: "unavailable", reason: "its token is being renewed", retryAt: clock.now() + BUSY_RETRY_MS };
		};
		return within(flight, patienceMs, tooSlow);
	};

	return {
		accessToken: async (id, request) => {
			const { signal, refused } = request;
			const result = await raceAbort(impatiently(id, request), signal);
			// Joined a flight that did not know of the refusal: it has landed, so the next one is our own.
			const isRefused = result.kind === "ready" && result.access === refused;
			return isRefused ? raceAbort(impatiently(id, request), signal) : result;
		},
		currentToken: (id) => {
			const credential = find(id)?.credential;
			return credential && lastsFor(credential, LAST_MOMENT_MS, undefined) ? credential.access : undefined;
		},
		idle: async () => {
			while (flights.size > 0) await Promise.allSettled(flights.values());
		},
	};
}
