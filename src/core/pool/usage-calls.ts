import type { Account } from "../account.ts";
import { isIncludedSpent } from "../beyond/reserve-model.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { tellDefect } from "../defect-reports.ts";
import type { AccountId } from "../ids.ts";
import type { Clock, StateStore, UsageApi } from "../ports.ts";
import type { Pool } from "./pool.ts";

/** Calls of the usage endpoint. Each account has one at a time, which all callers share. */
export interface UsageCalls {
	/** Sets the base URL of the model in use. The usage endpoint is next to it. No call is made before. */
	setBaseUrl(baseUrl: string): void;
	/** Returns the base URL that was set last. */
	baseUrl(): string | undefined;
	/**
	 * Joins the account's call in progress, or makes one if `claim` resolves to true. Resolves to true if an answer came,
	 * which the pool has then. Never rejects.
	 */
	ask(id: AccountId, claim: () => Promise<boolean>): Promise<boolean>;
	/** Returns the answer to the call in progress; undefined if there is none. */
	inProgress(id: AccountId): Promise<boolean> | undefined;
	/** Returns the same, if that call started before the account was last refused. */
	overtaken(id: AccountId): Promise<boolean> | undefined;
	/** True while a call is in progress: for this account, or without an id for any. */
	isAsking(id?: AccountId): boolean;
	/** Returns the signal that ends the calls of this session. */
	signal(): AbortSignal;
	/** Ends the calls in progress. */
	stop(): void;
}

/** Dependencies of the calls. */
export interface UsageCallsDeps {
	readonly pool: Pick<Pool, "account" | "noteUsage" | "emit">;
	readonly state: Pick<StateStore, "status" | "updateSoon">;
	readonly credentials: Pick<Credentials, "currentToken">;
	readonly usageApi: UsageApi;
	readonly clock: Clock;
	/** False if the person wants no reserve model. None is asked for then. */
	readonly mayUseReserveModel: () => boolean;
}

/** A call of the usage endpoint. */
interface Flight {
	/** Epoch ms. */
	readonly beganAt: number;
	/** True if an answer came. */
	readonly answer: Promise<boolean>;
}

/**
 * Creates the calls. They only use tokens that are valid now: background work may be cut off at any moment, and must
 * not start the exchange of a single-use token.
 */
export function createUsageCalls(deps: UsageCallsDeps): UsageCalls {
	const { pool, state, credentials, usageApi, clock, mayUseReserveModel } = deps;
	const underWay = new Map<AccountId, Flight>();
	let baseUrl: string | undefined;
	let session = new AbortController();

	const noteReserveAsked = (id: AccountId) => {
		const reserveAskedAt = clock.now();
		state.updateSoon(id, (status) => ({ ...status, reserveAskedAt }));
	};
	const fetchOne = async (
		{ id, workspaceId }: Account,
		access: string,
		base: string,
		signal: AbortSignal,
	): Promise<boolean> => {
		const asksReserve = mayUseReserveModel() && isIncludedSpent(state.status(id), clock.now());
		try {
			const request = { baseUrl: base, access, workspaceId, ...(asksReserve && { withReserveModel: true }) };
			const usage = await usageApi.fetch(request, signal);
			pool.noteUsage(id, usage);
			// Noted after the cooldown that the answer may set, and not before the answer: until it comes, a request waits.
			if (asksReserve) noteReserveAsked(id);
			// Clear the last error now that usage works again.
			if (state.status(id).usageFailures) {
				state.updateSoon(id, (status) => ({ ...status, usageFailures: undefined, usageError: undefined }));
			}
			return true;
		} catch (error) {
			if (signal.aborted) return false;
			tellDefect(error, "usage", pool.emit);
			if (asksReserve) noteReserveAsked(id);
			// A failed call changes nothing else. `show` reports the reason.
			const text = error instanceof Error ? error.message : "usage is not known";
			const usageError = { text, at: clock.now() };
			state.updateSoon(id, (status) => ({ ...status, usageError, usageFailures: (status.usageFailures ?? 0) + 1 }));
			return false;
		}
	};
	const fly = async (id: AccountId, claim: () => Promise<boolean>): Promise<boolean> => {
		const account = pool.account(id);
		const access = credentials.currentToken(id);
		if (!account?.enabled || access === undefined || baseUrl === undefined) return false;
		const [base, { signal }] = [baseUrl, session];
		const isOurs = await claim();
		// The session may have ended while we waited for the file.
		return isOurs && !signal.aborted && fetchOne(account, access, base, signal);
	};

	return {
		setBaseUrl: (url) => {
			baseUrl = url;
		},
		baseUrl: () => baseUrl,
		ask: (id, claim) => {
			const known = underWay.get(id);
			if (known) return known.answer;
			const answer = fly(id, claim)
				.catch((error) => {
					tellDefect(error, "usage", pool.emit);
					return false;
				})
				.finally(() => underWay.delete(id));
			underWay.set(id, { beganAt: clock.now(), answer });
			return answer;
		},
		inProgress: (id) => underWay.get(id)?.answer,
		overtaken: (id) => {
			const flight = underWay.get(id);
			const isOvertaken = flight && state.status(id).cooldowns.some(({ setAt }) => setAt >= flight.beganAt);
			return isOvertaken ? flight.answer : undefined;
		},
		isAsking: (id) => (id === undefined ? underWay.size > 0 : underWay.has(id)),
		signal: () => session.signal,
		stop: () => {
			session.abort();
			session = new AbortController();
		},
	};
}
