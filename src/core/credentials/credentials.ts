import { raceAbort, within } from "../abort.ts";
import type { Account } from "../account.ts";
import { accountIn } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import { createRenewal, LAST_MOMENT_MS, type RenewalDeps } from "./renewal.ts";
import { BUSY_RETRY_MS } from "./token-claims.ts";
import { ready } from "./token-results.ts";

/** The result of a request for an access token. */
export type TokenResult =
	| { readonly kind: "ready"; readonly access: string }
	/** The sign-in has ended, and the account is flagged. */
	| { readonly kind: "signed-out"; readonly account: Account; readonly reason: string; readonly closed: boolean }
	/**
	 * No token now; the account is not flagged. `lasts`: trying again is useless before the person has changed something.
	 */
	| { readonly kind: "unavailable"; readonly reason: string; readonly retryAt: number; readonly lasts?: true };

/** Options of a request for a token. */
export interface TokenRequest {
	readonly signal?: AbortSignal | undefined;
	/** A token that the backend has just answered with 401. */
	readonly refused?: string | undefined;
	/** How long to wait for an exchange, ms; undefined to wait until it ends. */
	readonly patienceMs?: number | undefined;
}

/** The one source of access tokens. Decides when a token is renewed; `token-exchange.ts` spends the refresh token. */
export interface Credentials {
	/**
	 * Returns a token that is valid for at least one request. Rejects only with the abort reason; an exchange in progress
	 * then continues, and its result is stored.
	 */
	accessToken(id: AccountId, options: TokenRequest): Promise<TokenResult>;
	/** Returns a token that is valid now, without any exchange. For work that no request waits for. */
	currentToken(id: AccountId): string | undefined;
	/** Resolves when no exchange is in progress. */
	idle(): Promise<void>;
}

/** Renews tokens before a request needs them. */
export interface AheadOfTime {
	/** Starts renewing a shared account's token in the background if it is due, although the token still works. */
	renewAhead(id: AccountId): void;
}

/** A renewal in progress, shared by all requests that wait for it. */
interface Flight {
	/** A refused token, which the renewal must not return. */
	readonly refused: string | undefined;
	readonly landing: Promise<TokenResult>;
}

/** Tokens are refreshed this long before they expire, so that pi's own thresholds (0 to 5 min) are rarely reached. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** How long a request with a valid token waits for a newer one. */
const PATIENCE_MS = 1000;
/** How often a waiting request checks whether another process has stored a token. */
const LOOK_MS = 100;

/** Creates the source of tokens. Allows one exchange per account at a time, in this process and across all others. */
export function createCredentials(deps: RenewalDeps): Credentials & AheadOfTime {
	const { accounts, clock } = deps;
	const { renew, catchUp, lastsFor } = createRenewal(deps);
	const flights = new Map<AccountId, Flight>();
	/** Renewals of shared accounts that no request waits for. */
	const ahead = new Map<AccountId, Promise<unknown>>();
	const find = (id: AccountId) => accountIn(accounts.list(), id);

	const renewAhead = (id: AccountId) => {
		const account = find(id);
		if (!account?.shared || ahead.has(id) || !deps.shared?.()?.isDue(account)) return;
		const renewing = renew(account, undefined).finally(() => ahead.delete(id));
		ahead.set(id, renewing);
	};

	const obtain = async (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const account = find(id);
		if (!account) return { kind: "unavailable", reason: "it is gone", retryAt: clock.now() };
		const had = account.credential;
		// No request waits for the database while its token is valid.
		if (account.shared && lastsFor(had, LAST_MOMENT_MS, refused)) {
			renewAhead(id);
			return ready(had);
		}
		if (account.linked) await catchUp(account);
		if (lastsFor(had, REFRESH_AHEAD_MS, refused)) return ready(had);
		const result = await renew(account, refused);
		// A failed early renewal does no harm: the old token works until it expires.
		const isStillValid = lastsFor(had, LAST_MOMENT_MS, refused);
		return result.kind === "unavailable" && isStillValid ? ready(had) : result;
	};

	/**
	 * Returns the account's renewal in progress, or starts one. A request with a refused token waits for a renewal that
	 * does not know about the refusal, and uses its result unless that is the refused token.
	 */
	const flightFor = (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const current = flights.get(id);
		if (current && (refused === undefined || current.refused === refused)) return current.landing;
		const own = () => obtain(id, refused);
		const isOther = (result: TokenResult) => result.kind !== "ready" || result.access !== refused;
		const begun = current ? current.landing.then((result) => (isOther(result) ? result : own())) : own();
		const landing = begun.finally(() => {
			if (flights.get(id)?.landing === landing) flights.delete(id);
		});
		flights.set(id, { refused, landing });
		return landing;
	};

	/**
	 * Resolves to the result of the renewal, or earlier to a new token: one that another process has stored, or one that
	 * this process is storing. When many processes wait for one account's lock, most get it long after that.
	 */
	const orStored = (id: AccountId, refused: string | undefined, flight: Promise<TokenResult>): Promise<TokenResult> => {
		const had = find(id)?.credential.access;
		return new Promise((resolve, reject) => {
			const look = () => {
				const found = find(id);
				if (!found || found.needsLogin || found.credential.access === had) return;
				if (!lastsFor(found.credential, LAST_MOMENT_MS, refused)) return;
				clearInterval(looking);
				resolve(ready(found.credential));
			};
			const looking = setInterval(() => {
				try {
					look();
				} catch (error) {
					clearInterval(looking);
					deps.onFailure?.(error);
				}
			}, LOOK_MS);
			// The renewal keeps pi alive. This timer must not.
			looking.unref();
			flight.finally(() => clearInterval(looking)).then(resolve, reject);
		});
	};

	/**
	 * Limits the wait: a slow exchange delays neither a request with a valid token nor a caller that has another account.
	 */
	const impatiently = (id: AccountId, { refused, patienceMs }: TokenRequest): Promise<TokenResult> => {
		const had = find(id)?.credential;
		const flight = flightFor(id, refused);
		if (had && lastsFor(had, LAST_MOMENT_MS, refused)) {
			return within(flight, PATIENCE_MS, () => ready(had));
		}
		const token = orStored(id, refused, flight);
		if (patienceMs === undefined) return token;
		const tooSlow = (): TokenResult => {
			return { kind: "unavailable", reason: "its token is being renewed", retryAt: clock.now() + BUSY_RETRY_MS };
		};
		return within(token, patienceMs, tooSlow);
	};

	return {
		accessToken: (id, request) => raceAbort(impatiently(id, request), request.signal),
		currentToken: (id) => {
			const credential = find(id)?.credential;
			return credential && lastsFor(credential, LAST_MOMENT_MS, undefined) ? credential.access : undefined;
		},
		renewAhead,
		idle: async () => {
			while (flights.size + ahead.size > 0) {
				await Promise.allSettled([...[...flights.values()].map(({ landing }) => landing), ...ahead.values()]);
			}
		},
	};
}
