import { within } from "../abort.ts";
import type { Account } from "../account.ts";
import { reserveModelIn } from "../beyond/reserve-model.ts";
import { tellDefect } from "../defect-reports.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, StateStore } from "../ports.ts";
import { budgetsOf, headroom, wasSpent } from "../quota.ts";
import { USAGE_TTL_MS } from "../usage.ts";
import type { Pool } from "./pool.ts";
import { createUsageCalls, type UsageCalls, type UsageCallsDeps } from "./usage-calls.ts";
import { COOLING_TTL_MS, isDue, untilAsked } from "./usage-due.ts";

/**
 * Keeps the usage of accounts recent with as few calls as possible, since responses over HTTP report usage in their
 * headers. Nothing here throws, and no request waits for it.
 */
export interface UsageMonitor extends Pick<UsageCalls, "setBaseUrl" | "baseUrl" | "isAsking"> {
	/** Fetches usage for every account with a stale snapshot: before a choice, or when a person opens a screen. */
	refreshStale(): Promise<void>;
	/**
	 * Called with the account that answered. Fetches its usage if the answer reported none (over a WebSocket it never
	 * does), at most once a minute, or after each answer if little is left. Fetches usage of the other accounts as this
	 * one runs out.
	 */
	follow(id: AccountId, hasToldUsage: boolean): Promise<void>;
	/** Fetches usage of cooling accounts: credits and upgrades may reset them early. */
	recheckCooling(): Promise<void>;
	/**
	 * Fetches usage of one account now, however fresh its snapshot. Resolves to true if an answer came. Repeats a call
	 * that started before the account was refused.
	 */
	ask(id: AccountId): Promise<boolean>;
	/**
	 * Settles once the usage after an account's last answer has arrived, within two seconds. Only if a cap is near;
	 * undefined if nothing is due. A request sent earlier could go below the cap.
	 */
	figuresDue(id: AccountId): Promise<void> | undefined;
	/** Ends the calls in progress. An open connection would delay the end of pi. */
	stop(): void;
}

interface Deps extends UsageCallsDeps {
	readonly pool: Pool;
	readonly state: StateStore;
	/** False while the extension is switched off. Only explicit calls are made then. */
	readonly isEnabled: () => boolean;
}

/** With less than this left, percent, the next answer may be the last. Usage is fetched after each answer. */
const NEAR_THE_END_PERCENT = 10;
/** How long a request waits for usage that a cap depends on. */
const FIGURES_MS = 2000;
/**
 * When this little is left, percent, a rotation is near and usage of the other accounts is fetched too. Once per step,
 * since a weekly window may be nearly used up for a day.
 */
const STEPS_TO_THE_END = [25, 10, 3] as const;

/** Creates the monitor. */
export function createUsageMonitor(deps: Deps): UsageMonitor {
	const { pool, state, clock, isEnabled } = deps;
	const calls = createUsageCalls(deps);
	const answers = createAnswers(deps, calls);
	const stepsTaken = new Map<AccountId, number>();

	/**
	 * Fetches usage of the accounts that are due. If several processes find an account due at the same time, one makes
	 * the call.
	 */
	const askWhereDue = async (wanted: () => readonly Account[], ttlMs = USAGE_TTL_MS): Promise<void> => {
		try {
			if (isEnabled()) await askAllDue(wanted(), ttlMs);
		} catch (error) {
			// Most callers do not wait, and an unhandled rejection would end pi.
			tellDefect(error, "usage", pool.emit);
		}
	};
	const askAllDue = async (accounts: readonly Account[], ttlMs: number): Promise<void> => {
		const statusOf = state.snapshot();
		const due = accounts.filter((account) => isDue(account, statusOf(account.id), ttlMs, clock.now()));
		await Promise.all(
			due.map((account) =>
				calls.ask(account.id, async () => {
					const isStillDue = (status: AccountStatus) => isDue(account, status, ttlMs, clock.now());
					const isOurs = await state.updateIf(account.id, isStillDue, (status) => asked(status, clock));
					if (isOurs) answers.looked(account.id, state.status(account.id).usageAskedAt ?? 0);
					return isOurs;
				}),
			),
		);
	};

	/** True if the account has reached the next step since the last call. */
	const isNearer = (id: AccountId): boolean => {
		const { usage } = state.status(id);
		const left = usage ? headroom(usage, clock.now()) : 100;
		const steps = STEPS_TO_THE_END.filter((step) => left < step).length;
		const before = stepsTaken.get(id) ?? 0;
		stepsTaken.set(id, steps);
		return steps > before;
	};

	return {
		setBaseUrl: calls.setBaseUrl,
		baseUrl: calls.baseUrl,
		refreshStale: () => askWhereDue(pool.accounts),
		follow: async (id, hasToldUsage) => {
			const signal = calls.signal();
			await answers.follow(id, hasToldUsage);
			if (signal.aborted) return;
			await askWhereDue(() => {
				const accounts = pool.accounts();
				return isNearer(id) ? accounts : accounts.filter((account) => account.id === id);
			});
		},
		recheckCooling: () => {
			const spent = () => {
				const atCap = pool.atCap();
				const statusOf = state.snapshot();
				return pool.accounts().filter(({ id }) => mayBeBack(statusOf(id)) || atCap.has(id));
			};
			return askWhereDue(spent, COOLING_TTL_MS);
		},
		ask: async (id) => {
			try {
				const signal = calls.signal();
				await calls.overtaken(id);
				if (signal.aborted) return false;
				return await calls.ask(id, async () => {
					state.updateSoon(id, (status) => asked(status, clock));
					return true;
				});
			} catch (error) {
				tellDefect(error, "usage", pool.emit);
				return false;
			}
		},
		figuresDue: answers.figuresDue,
		isAsking: calls.isAsking,
		stop: () => {
			answers.stop();
			calls.stop();
		},
	};
}

/** Answers of the accounts, of which some report usage. */
interface Answers extends Pick<UsageMonitor, "figuresDue"> {
	/**
	 * Fetches what an answer of the account used, unless it has told all of that: now, or once the account's minute has
	 * passed. Never rejects.
	 */
	follow(id: AccountId, hasToldUsage: boolean): Promise<void>;
	/** Records that usage was fetched at `askedAt` for another reason, which does not count for that minute. */
	looked(id: AccountId, askedAt: number): void;
	/** Fetches nothing of the answers so far. */
	stop(): void;
}

function createAnswers({ pool, state, clock, isEnabled }: Deps, calls: UsageCalls): Answers {
	const looks = new Map<AccountId, number>();
	/** Accounts to fetch usage for once their minute has passed. */
	const owed = new Map<AccountId, NodeJS.Timeout>();
	/** The work that follows the last answer of an account. */
	const following = new Map<AccountId, Promise<void>>();

	/** True if so little is left above a cap that one answer may reach it, or if that is unknown. */
	const isNearCap = (account: Account) => {
		if (!pool.floors(account)) return false;
		return !state.status(account.id).usage || (pool.aboveCap(account) ?? 100) < NEAR_THE_END_PERCENT;
	};
	const waitMsFor = (account: Account, status: AccountStatus, answeredAt: number): number | undefined => {
		const { usage, usageAskedAt } = status;
		const isNear = () => usage !== undefined && headroom(usage, clock.now()) < NEAR_THE_END_PERCENT;
		const isUrgent = () => isNear() || isNearCap(account) || looks.get(account.id) === usageAskedAt;
		return untilAsked(account, status, { answeredAt, isUrgent }, clock.now());
	};
	/** Headers report windows, but no budgets. */
	const hasBudget = (id: AccountId) => {
		const { usage } = state.status(id);
		return usage !== undefined && budgetsOf(usage).length > 0;
	};
	const askAfterAnswer = async (id: AccountId, answeredAt: number, hasToldUsage = false): Promise<void> => {
		try {
			if (isEnabled() && (!hasToldUsage || hasBudget(id))) await askOrOwe(id, answeredAt);
		} catch (error) {
			tellDefect(error, "usage", pool.emit);
		}
	};
	const askOrOwe = async (id: AccountId, answeredAt: number): Promise<void> => {
		const signal = calls.signal();
		// A call that started before the answer does not include it.
		await calls.inProgress(id);
		// The end of a session ends the calls in progress. Another call would delay the end of pi.
		if (signal.aborted) return;
		const account = pool.account(id);
		const waitMs = account && waitMsFor(account, state.status(id), answeredAt);
		if (!account || waitMs === undefined) return;
		if (waitMs === 0) {
			const isStillDue = (status: AccountStatus) => waitMsFor(account, status, answeredAt) === 0;
			await calls.ask(id, () => state.updateIf(id, isStillDue, (status) => asked(status, clock)));
			return;
		}
		clearTimeout(owed.get(id));
		const later = () => {
			owed.delete(id);
			void askAfterAnswer(id, answeredAt);
		};
		owed.set(id, setTimeout(later, waitMs).unref());
	};

	return {
		follow: (id, hasToldUsage) => {
			const asking = askAfterAnswer(id, clock.now(), hasToldUsage);
			following.set(id, asking);
			void asking.then(() => {
				if (following.get(id) === asking) following.delete(id);
			});
			return asking;
		},
		looked: (id, askedAt) => {
			looks.set(id, askedAt);
		},
		figuresDue: (id) => {
			const account = pool.account(id);
			const due = following.get(id);
			return due && account && isNearCap(account) ? within(due, FIGURES_MS, () => undefined) : undefined;
		},
		stop: () => {
			for (const timer of owed.values()) clearTimeout(timer);
			owed.clear();
		},
	};
}

function asked(status: AccountStatus, { now }: Clock): AccountStatus {
	return { ...status, usageAskedAt: now() };
}

/** True if an early reset may have ended the account's cooldown, or its reserve model is to be checked again. */
function mayBeBack({ cooldowns, usage }: AccountStatus): boolean {
	// Once the account is spent, its reserve model is checked, however long it is closed.
	return cooldowns.some(({ scope }) => !reserveModelIn(scope, usage)) || (usage !== undefined && wasSpent(usage));
}
