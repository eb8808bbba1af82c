import { within } from "../abort.ts";
import type { Account } from "../account.ts";
import { isIncludedSpent, reserveModelIn } from "../beyond/reserve-model.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { tellDefect } from "../defect-reports.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, StateStore, UsageApi } from "../ports.ts";
import { creditsUntil, headroom, includedOf, wasSpent } from "../quota.ts";
import { USAGE_TTL_MS } from "../usage.ts";
import type { Pool } from "./pool.ts";

/**
 * Keeps the usage of accounts recent with as few calls as possible, since responses over HTTP report usage in their
 * headers. Nothing here throws, and no request waits for it.
 */
export interface UsageMonitor {
	/** Sets the base URL of the model in use. The usage endpoint is next to it. No call is made before. */
	setBaseUrl(baseUrl: string): void;
	/** Returns the base URL that was set last. */
	baseUrl(): string | undefined;
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
	/** True while a call is in progress: for this account, or without an id for any. */
	isAsking(id?: AccountId): boolean;
	/** Ends the calls in progress. An open connection would delay the end of pi. */
	stop(): void;
}

interface Deps {
	readonly pool: Pool;
	readonly state: StateStore;
	readonly credentials: Credentials;
	readonly usageApi: UsageApi;
	readonly clock: Clock;
	/** False while the extension is switched off. Only explicit calls are made then. */
	readonly isEnabled: () => boolean;
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

/** Minimum time between two calls for a cooling account before its reset. */
const COOLING_TTL_MS = 15 * 60_000;
/** How long another process that started a call gets before we make our own. Doubled with each failure. */
const ASKING_MS = 30_000;
const LONGEST_BACKOFF_MS = 15 * 60_000;
/** Minimum time between two calls for an account whose answers report no usage, over all processes. */
const FOLLOW_MS = 60_000;
/** With less than this left, percent, the next answer may be the last. Usage is fetched after each answer. */
const NEAR_THE_END_PERCENT = 10;
/** How long a request waits for usage that a cap depends on. */
const FIGURES_MS = 2000;
/**
 * When this little is left, percent, a rotation is near and usage of the other accounts is fetched too. Once per step,
 * since a weekly window may be nearly used up for a day.
 */
const STEPS_TO_THE_END = [25, 10, 3] as const;

/**
 * Creates the monitor. It only uses tokens that are valid now: background work may be cut off at any moment, and must
 * not start the exchange of a single-use token.
 */
export function createUsageMonitor(deps: Deps): UsageMonitor {
	const { pool, state, credentials, usageApi, clock, isEnabled, mayUseReserveModel } = deps;
	const underWay = new Map<AccountId, Flight>();
	const stepsTaken = new Map<AccountId, number>();
	/**
	 * When this process last fetched usage because a person opened a screen. That does not count for the limit after an
	 * answer.
	 */
	const looks = new Map<AccountId, number>();
	/** Accounts to fetch usage for once their minute has passed. */
	const owed = new Map<AccountId, NodeJS.Timeout>();
	/** The work that follows the last answer of an account. */
	const following = new Map<AccountId, Promise<void>>();
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
		try {
			const asksReserve = mayUseReserveModel() && isIncludedSpent(state.status(id), clock.now());
			if (asksReserve) noteReserveAsked(id);
			const request = { baseUrl: base, access, workspaceId, ...(asksReserve && { withReserveModel: true }) };
			const usage = await usageApi.fetch(request, signal);
			pool.noteUsage(id, usage);
			// The answer may set the cooldown again. That is no refusal after the call.
			if (asksReserve) noteReserveAsked(id);
			// Clear the last error now that usage works again.
			if (state.status(id).usageFailures) {
				state.updateSoon(id, (status) => ({ ...status, usageFailures: undefined, usageError: undefined }));
			}
			return true;
		} catch (error) {
			if (signal.aborted) return false;
			tellDefect(error, "usage", pool.emit);
			// A failed call changes nothing else. `show` reports the reason.
			const text = error instanceof Error ? error.message : "usage is not known";
			const usageError = { text, at: clock.now() };
			state.updateSoon(id, (status) => ({ ...status, usageError, usageFailures: (status.usageFailures ?? 0) + 1 }));
			return false;
		}
	};

	/** Makes one call at a time for an account. `claim` decides whether this process makes it. */
	const askOnce = (id: AccountId, claim: () => Promise<boolean>): Promise<boolean> => {
		const fly = async () => {
			const account = pool.account(id);
			const access = credentials.currentToken(id);
			if (!account?.enabled || access === undefined || baseUrl === undefined) return false;
			const [base, { signal }] = [baseUrl, session];
			const isOurs = await claim();
			// The session may have ended while we waited for the file.
			return isOurs && !signal.aborted && fetchOne(account, access, base, signal);
		};
		const known = underWay.get(id);
		if (known) return known.answer;
		const answer = fly()
			.catch((error) => {
				tellDefect(error, "usage", pool.emit);
				return false;
			})
			.finally(() => underWay.delete(id));
		underWay.set(id, { beganAt: clock.now(), answer });
		return answer;
	};
	/** Returns the call in progress if it started before the last refusal. */
	const overtaken = (id: AccountId): Flight | undefined => {
		const flight = underWay.get(id);
		return flight && state.status(id).cooldowns.some(({ setAt }) => setAt >= flight.beganAt) ? flight : undefined;
	};
	const asked = (status: AccountStatus): AccountStatus => ({ ...status, usageAskedAt: clock.now() });

	const isDue = (account: Account, status: AccountStatus, ttlMs: number): boolean => {
		if (!account.enabled || account.needsLogin) return false;
		const now = clock.now();
		const { usage, usageAskedAt, usageFailures = 0 } = status;
		const restMs = Math.min(ASKING_MS * 2 ** usageFailures, LONGEST_BACKOFF_MS);
		if (usageAskedAt !== undefined && Math.abs(now - usageAskedAt) < restMs) return false;
		if (!usage) return true;
		const isCooling =
			status.cooldowns.some(({ scope }) => scope === "account") || creditsUntil(usage, now) !== undefined;
		// Ignore a reset that had passed when it was reported: the backend's clock is behind ours.
		const wasTold = usageFailures === 0 && usageAskedAt !== undefined && now - usageAskedAt < USAGE_TTL_MS;
		const newsSince = wasTold ? usageAskedAt : 0;
		const hasReset = includedOf(usage).some(
			({ resetsAt }) => resetsAt !== undefined && resetsAt <= now && resetsAt > newsSince,
		);
		return hasReset || now - usage.capturedAt >= (isCooling ? COOLING_TTL_MS : ttlMs);
	};

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
		const due = accounts.filter((account) => isDue(account, statusOf(account.id), ttlMs));
		await Promise.all(
			due.map((account) =>
				askOnce(account.id, async () => {
					const isOurs = await state.updateIf(account.id, (status) => isDue(account, status, ttlMs), asked);
					if (isOurs) looks.set(account.id, state.status(account.id).usageAskedAt ?? 0);
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

	/** True if so little is left above a cap that one answer may reach it, or if that is unknown. */
	const isNearCap = (account: Account) => {
		if (!pool.floors(account)) return false;
		return !state.status(account.id).usage || (pool.aboveCap(account) ?? 100) < NEAR_THE_END_PERCENT;
	};

	/** Returns how long to wait, ms, before fetching what an answer at `answeredAt` used; undefined if that is known. */
	const untilAsked = (account: Account, status: AccountStatus, answeredAt: number): number | undefined => {
		if (!account.enabled || account.needsLogin) return undefined;
		const { usage, usageAskedAt, usageFailures = 0 } = status;
		if (usageAskedAt === undefined) return 0;
		const now = clock.now();
		const sinceMs = now - usageAskedAt;
		// A call from the future: the clock was set back.
		if (sinceMs < 0) return -sinceMs > FOLLOW_MS ? 0 : undefined;
		if (usageFailures === 0 && usageAskedAt > answeredAt) return undefined;
		const isNear = (usage !== undefined && headroom(usage, now) < NEAR_THE_END_PERCENT) || isNearCap(account);
		const paceMs = isNear || looks.get(account.id) === usageAskedAt ? 0 : FOLLOW_MS;
		const restMs = usageFailures === 0 ? paceMs : Math.min(ASKING_MS * 2 ** usageFailures, LONGEST_BACKOFF_MS);
		return Math.max(0, restMs - sinceMs);
	};

	/** Fetches what an answer used: now, or once the account's minute has passed. */
	const askAfterAnswer = async (id: AccountId, answeredAt: number): Promise<void> => {
		try {
			if (isEnabled()) await askOrOwe(id, answeredAt);
		} catch (error) {
			tellDefect(error, "usage", pool.emit);
		}
	};
	const askOrOwe = async (id: AccountId, answeredAt: number): Promise<void> => {
		const { signal } = session;
		// A call that started before the answer does not include it.
		await underWay.get(id)?.answer;
		// The end of a session ends the calls in progress. Another call would delay the end of pi.
		if (signal.aborted) return;
		const account = pool.account(id);
		const waitMs = account && untilAsked(account, state.status(id), answeredAt);
		if (!account || waitMs === undefined) return;
		if (waitMs === 0) {
			await askOnce(id, () => state.updateIf(id, (status) => untilAsked(account, status, answeredAt) === 0, asked));
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
		setBaseUrl: (url) => {
			baseUrl = url;
		},
		baseUrl: () => baseUrl,
		refreshStale: () => askWhereDue(pool.accounts),
		follow: async (id, hasToldUsage) => {
			const { signal } = session;
			if (!hasToldUsage) {
				const asked = askAfterAnswer(id, clock.now());
				following.set(id, asked);
				await asked;
				if (following.get(id) === asked) following.delete(id);
			}
			if (signal.aborted) return;
			await askWhereDue(() => {
				const accounts = pool.accounts();
				return isNearer(id) ? accounts : accounts.filter((account) => account.id === id);
			});
		},
		recheckCooling: () => {
			// Once the account is spent, its reserve model is checked, however long it is closed.
			const mayBeBack = ({ cooldowns, usage }: AccountStatus) =>
				cooldowns.some(({ scope }) => !reserveModelIn(scope, usage)) || (usage !== undefined && wasSpent(usage));
			const spent = () => {
				const atCap = pool.atCap();
				const statusOf = state.snapshot();
				return pool.accounts().filter(({ id }) => mayBeBack(statusOf(id)) || atCap.has(id));
			};
			return askWhereDue(spent, COOLING_TTL_MS);
		},
		ask: async (id) => {
			try {
				const { signal } = session;
				await overtaken(id)?.answer;
				if (signal.aborted) return false;
				return await askOnce(id, async () => {
					state.updateSoon(id, asked);
					return true;
				});
			} catch (error) {
				tellDefect(error, "usage", pool.emit);
				return false;
			}
		},
		figuresDue: (id) => {
			const account = pool.account(id);
			const due = following.get(id);
			return due && account && isNearCap(account) ? within(due, FIGURES_MS, () => undefined) : undefined;
		},
		isAsking: (id) => (id === undefined ? underWay.size > 0 : underWay.has(id)),
		stop: () => {
			for (const timer of owed.values()) clearTimeout(timer);
			owed.clear();
			session.abort();
			session = new AbortController();
		},
	};
}
