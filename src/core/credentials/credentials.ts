import { raceAbort, within } from "../abort.ts";
import type { Account } from "../account.ts";
import type { AccountId } from "../ids.ts";
import { accountIn, createRenewal, LAST_MOMENT_MS, type RenewalDeps, ready } from "./renewal.ts";
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

/** What is renewed before a request needs it. */
export interface AheadOfTime {
	/** Renews the token of a shared account that is still good, behind, where it is time for that. */
	renewAhead(id: AccountId): void;
}

/** The way to a token, for all requests that wait for it. */
interface Flight {
	/** The token that it must not bring. */
	readonly refused: string | undefined;
	readonly landing: Promise<TokenResult>;
}

/** Refreshed this long before expiry, so that pi's own thresholds (0 to 5 min) are rarely reached. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** A request whose token is still good waits this long for a newer one. */
const PATIENCE_MS = 1000;
/** How often a request that waits for a token looks whether another process has stored one. */
const LOOK_MS = 100;

/** Creates the refresher: one exchange an account at a time, in this process and across all others. */
export function createCredentials(deps: RenewalDeps): Credentials & AheadOfTime {
	const { accounts, clock } = deps;
	const { renew, catchUp, lastsFor } = createRenewal(deps);
	const flights = new Map<AccountId, Flight>();
	/** Renewals of shared accounts that no request waits for. */
	const ahead = new Map<AccountId, Promise<unknown>>();
	const find = (id: AccountId) => accountIn(accounts, id);

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
		// No request waits for a database while its token is good.
		if (account.shared && lastsFor(had, LAST_MOMENT_MS, refused)) {
			renewAhead(id);
			return ready(had);
		}
		if (account.linked) await catchUp(account);
		if (lastsFor(had, REFRESH_AHEAD_MS, refused)) return ready(had);
		const result = await renew(account, refused);
		// Ahead of time nothing is lost: the old token serves until its end.
		const isStillValid = lastsFor(had, LAST_MOMENT_MS, refused);
		return result.kind === "unavailable" && isStillValid ? ready(had) : result;
	};

	/**
	 * The one flight of an account; a later request joins it. A request whose token was refused waits for a flight that
	 * does not know of the refusal, and takes what that brings unless it is the refused token.
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
	 * What the flight brings, or sooner the token that another process has stored meanwhile. Of many processes that wait
	 * for the lock of one account, most have their turn long after that.
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
			// The flight keeps pi alive, not this timer.
			looking.unref();
			flight.finally(() => clearInterval(looking)).then(resolve, reject);
		});
	};

	/** A token that is still good is not held up by a slow exchange, nor is a caller who has somewhere else to go. */
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
