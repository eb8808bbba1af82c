import { raceAbort } from "../abort.ts";
import type { Account } from "../account.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { tellDefect } from "../defect-reports.ts";
import type { AccountId } from "../ids.ts";
import type { Pool } from "../pool/pool.ts";
import type { AccountStatus, Clock, ResetCreditsApi, StateStore } from "../ports.ts";
import { resetCreditsOf } from "../quota.ts";
import { USAGE_TTL_MS } from "../usage.ts";
import type { RedemptionNote } from "./reset-credits.ts";

/**
 * Keeps the lists of reset credits. They are fetched only for accounts whose usage reports credits, and only when a
 * person opens a screen or the pool is dry. Nothing here throws.
 */
export interface ResetCreditList {
	/** Fetches every list that is due. Resolves when all are answered; `signal` ends the wait. */
	refreshStale(signal?: AbortSignal): Promise<void>;
	/** Fetches the list of one account now, if it has credits. Resolves to true if an answer came. */
	ask(id: AccountId, signal?: AbortSignal): Promise<boolean>;
}

interface Deps {
	readonly pool: Pick<Pool, "accounts" | "account" | "status" | "statuses" | "emit">;
	readonly state: StateStore;
	readonly credentials: Pick<Credentials, "currentToken">;
	readonly api: Pick<ResetCreditsApi, "list">;
	/** Returns the base URL of the model in use; undefined before the first request or screen. */
	readonly baseUrl: () => string | undefined;
	readonly clock: Clock;
}

/** How long another process that started a call gets before we make our own. */
const ASKING_MS = 30_000;

/** A call in progress, and its callers. */
interface Call {
	readonly answer: Promise<boolean>;
	readonly ending: AbortController;
	waiting: number;
}

/**
 * Creates the lists. Only uses tokens that are valid now: opening a screen must not start the exchange of a single-use
 * token.
 */
export function createResetCreditList({ pool, state, credentials, api, baseUrl, clock }: Deps): ResetCreditList {
	const underWay = new Map<AccountId, Call>();

	const isDue = (status: AccountStatus): boolean => {
		const count = resetCreditsOf(status.usage);
		if (count === 0) return false;
		const { listedAt, askedAt = 0, credits = [] } = status.resetCredits ?? {};
		const now = clock.now();
		if (Math.abs(now - askedAt) < ASKING_MS) return false;
		const isOld = listedAt === undefined || Math.abs(now - listedAt) >= USAGE_TTL_MS;
		return isOld || (credits.length !== count && (status.usage?.capturedAt ?? 0) > listedAt);
	};
	const asked = (status: AccountStatus): AccountStatus => ({
		...status,
		resetCredits: { credits: [], ...status.resetCredits, askedAt: clock.now() },
	});

	const fetchOne = async ({ id, workspaceId }: Account, access: string, base: string, signal: AbortSignal) => {
		const askedAt = clock.now();
		try {
			const credits = await api.list({ baseUrl: base, access, workspaceId }, signal);
			state.updateSoon(id, (status) => {
				const { redemption } = status;
				// A list that was requested before a redemption may contain the credit that it spent.
				const isSpent = redemption !== undefined && redemption.at >= askedAt && mayBeSpent(redemption);
				const left = isSpent ? credits.filter((credit) => credit.id !== redemption.creditId) : credits;
				return { ...status, resetCredits: { askedAt, listedAt: askedAt, credits: left } };
			});
			pool.emit({ type: "changed" });
			return true;
		} catch (error) {
			// Keep the known list, and fetch it again after a while.
			if (!signal.aborted) tellDefect(error, "usage", pool.emit);
			return false;
		}
	};

	const begin = (id: AccountId, claim: () => Promise<boolean>): Call => {
		const ending = new AbortController();
		const fly = async () => {
			const account = pool.account(id);
			const [access, base] = [credentials.currentToken(id), baseUrl()];
			if (!account?.enabled || access === undefined || base === undefined) return false;
			if (!(await claim()) || ending.signal.aborted) return false;
			return fetchOne(account, access, base, ending.signal);
		};
		const answer = fly()
			.catch((error) => {
				tellDefect(error, "usage", pool.emit);
				return false;
			})
			.finally(() => {
				if (underWay.get(id) === call) underWay.delete(id);
			});
		const call: Call = { answer, ending, waiting: 0 };
		underWay.set(id, call);
		return call;
	};
	/**
	 * Makes one call at a time for an account. `claim` decides whether this process makes it. Each caller waits as long
	 * as it likes, and the call ends with the last of them.
	 */
	const askOnce = async (id: AccountId, signal: AbortSignal | undefined, claim: () => Promise<boolean>) => {
		const call = underWay.get(id) ?? begin(id, claim);
		call.waiting += 1;
		try {
			return await raceAbort(call.answer, signal);
		} catch {
			// The call itself never fails. This caller has stopped waiting.
			return false;
		} finally {
			call.waiting -= 1;
			if (call.waiting === 0) {
				if (underWay.get(id) === call) underWay.delete(id);
				call.ending.abort();
			}
		}
	};

	return {
		refreshStale: async (signal) => {
			const statusOf = pool.statuses();
			const due = pool.accounts().filter(({ id, needsLogin }) => !needsLogin && isDue(statusOf(id)));
			await Promise.all(due.map(({ id }) => askOnce(id, signal, () => state.updateIf(id, isDue, asked))));
		},
		ask: async (id, signal) => {
			if (resetCreditsOf(pool.status(id).usage) === 0) return false;
			return askOnce(id, signal, async () => {
				state.updateSoon(id, asked);
				return true;
			});
		},
	};
}

function mayBeSpent({ end }: RedemptionNote): boolean {
	return end !== "failed" && end !== "nothing-to-reset";
}
