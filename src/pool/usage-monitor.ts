import type { AccountId } from "../domain/account.ts";
import { USAGE_TTL_MS } from "../domain/usage.ts";
import type { Credentials } from "./credentials.ts";
import type { Pool } from "./pool.ts";
import type { Clock, StateStore, UsageApi } from "./ports.ts";

/** Keeps what is known of the accounts' usage no older than it needs to be. Nothing here is ever waited for by a request. */
export interface UsageMonitor {
	/** Where usage is asked: beside the base URL of the model in use. Until it is set nothing is asked. */
	setBaseUrl(baseUrl: string): void;
	/** Asks for every account whose snapshot has outlived its time. Never throws. */
	refreshStale(): Promise<void>;
	/** Asks for one account now, however fresh its snapshot. Never throws. */
	ask(id: AccountId): Promise<void>;
	/** Lets go of whatever is being asked: an open connection would hold up the end of pi. */
	stop(): void;
}

interface Deps {
	readonly pool: Pool;
	readonly state: StateStore;
	readonly credentials: Credentials;
	readonly usageApi: UsageApi;
	readonly clock: Clock;
}

/** A cooling account is asked this seldom before its reset. */
const COOLING_TTL_MS = 15 * 60_000;
/** Another process that began to ask is given this long before we ask ourselves. */
const ASKING_MS = 30_000;

/**
 * Creates the monitor. It only ever uses tokens that are valid now: an exchange of a single-use token is not begun for
 * work that may be cut off at any moment.
 */
export function createUsageMonitor({ pool, state, credentials, usageApi, clock }: Deps): UsageMonitor {
	const underWay = new Map<AccountId, Promise<void>>();
	let baseUrl: string | undefined;
	let session = new AbortController();

	const fetchOne = async (id: AccountId): Promise<void> => {
		const account = pool.account(id);
		const access = credentials.currentToken(id);
		if (!account?.enabled || access === undefined || baseUrl === undefined) return;
		state.updateSoon(id, (memo) => ({ ...memo, usageAskedAt: clock.now() }));
		const { signal } = session;
		try {
			pool.noteUsage(id, await usageApi.fetch({ baseUrl, access, accountId: account.accountId }, signal));
		} catch (error) {
			if (signal.aborted) return;
			// A usage call that fails changes nothing else; the reason is for `show`.
			pool.noteError(id, error instanceof Error ? error.message : "usage is not known");
		}
	};

	const ask = (id: AccountId): Promise<void> => {
		const flight = underWay.get(id) ?? fetchOne(id).finally(() => underWay.delete(id));
		underWay.set(id, flight);
		return flight;
	};

	const isDue = (id: AccountId): boolean => {
		const account = pool.account(id);
		if (!account?.enabled || account.needsLogin) return false;
		const { usage, usageAskedAt } = state.memo(id);
		const now = clock.now();
		if (usageAskedAt !== undefined && Math.abs(now - usageAskedAt) < ASKING_MS) return false;
		if (!usage) return true;
		const isCooling = pool.state(account) === "cooling";
		const hasReset = usage.windows.some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now);
		return hasReset || now - usage.capturedAt >= (isCooling ? COOLING_TTL_MS : USAGE_TTL_MS);
	};

	return {
		setBaseUrl: (url) => {
			baseUrl = url;
		},
		refreshStale: async () => {
			const due = pool.accounts().filter(({ id }) => isDue(id));
			await Promise.all(due.map(({ id }) => ask(id)));
		},
		ask,
		stop: () => {
			session.abort();
			session = new AbortController();
		},
	};
}
