import type { Account } from "./account.ts";
import type { Credentials } from "./credentials.ts";
import { tellDefect } from "./defect-reports.ts";
import type { AccountId } from "./ids.ts";
import type { Pool } from "./pool.ts";
import type { AccountStatus, Clock, ResetCreditsApi, StateStore } from "./ports.ts";
import { resetCreditsOf } from "./quota.ts";
import { USAGE_TTL_MS } from "./usage.ts";

/**
 * Keeps the lists of reset credits: asked for where the usage endpoint reports credits, and only when a person looks or
 * the pool is dry. Nothing here throws.
 */
export interface ResetCreditList {
	/** Asks for every list that is due. Resolves when all are answered; `signal` ends the calls. */
	refreshStale(signal?: AbortSignal): Promise<void>;
	/** Asks for the list of one account now, if it has credits. True if an answer came. */
	ask(id: AccountId, signal?: AbortSignal): Promise<boolean>;
}

interface Deps {
	readonly pool: Pick<Pool, "accounts" | "account" | "status" | "emit">;
	readonly state: StateStore;
	readonly credentials: Pick<Credentials, "currentToken">;
	readonly api: Pick<ResetCreditsApi, "list">;
	/** The base URL of the model in use; undefined before the first request and look. */
	readonly baseUrl: () => string | undefined;
	readonly clock: Clock;
}

/** Another process that began a call gets this long before we make our own. */
const ASKING_MS = 30_000;

/** Creates it. It only uses tokens that are valid now: a look must not begin the exchange of a single-use token. */
export function createResetCreditList({ pool, state, credentials, api, baseUrl, clock }: Deps): ResetCreditList {
	const underWay = new Map<AccountId, Promise<boolean>>();

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
			state.updateSoon(id, (status) => ({ ...status, resetCredits: { askedAt, listedAt: askedAt, credits } }));
			pool.emit({ type: "changed" });
			return true;
		} catch (error) {
			// The list that is known stays, and is asked for again after a while.
			if (!signal.aborted) tellDefect(error, "usage", pool.emit);
			return false;
		}
	};

	/** Makes one call at a time for an account; `claim` decides whether this process makes it. */
	const askOnce = (id: AccountId, signal: AbortSignal | undefined, claim: () => Promise<boolean>) => {
		const known = underWay.get(id);
		if (known) return known;
		const fly = async () => {
			const account = pool.account(id);
			const [access, base] = [credentials.currentToken(id), baseUrl()];
			if (!account?.enabled || access === undefined || base === undefined) return false;
			if (!(await claim()) || signal?.aborted) return false;
			return fetchOne(account, access, base, signal ?? new AbortController().signal);
		};
		const answer = fly()
			.catch((error) => {
				tellDefect(error, "usage", pool.emit);
				return false;
			})
			.finally(() => underWay.delete(id));
		underWay.set(id, answer);
		return answer;
	};

	return {
		refreshStale: async (signal) => {
			const due = pool.accounts().filter(({ id, needsLogin }) => !needsLogin && isDue(pool.status(id)));
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
