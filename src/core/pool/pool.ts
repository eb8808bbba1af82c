import { type Account, type AccountState, stateOf } from "../account.ts";
import type { SetFinder } from "../account-sets.ts";
import { type CoolingCause, createPoolEvents, type PoolEvents, type RequestInfo } from "../events.ts";
import { accountWith } from "../identity.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { AccountStatus, AccountStore, Clock, QuotaHistory, StateStore } from "../ports.ts";
import { includedOf, isSpent } from "../quota.ts";
import { type Plan, plan, type SelectionRequest, type Snapshot } from "../request/plan.ts";
import type { Settings } from "../settings.ts";
import type { ReserveModel, UsageSnapshot, UsageWindow } from "../usage.ts";
import { createChangeDetector } from "./change-detector.ts";
import { type Cooldowns, createCooldowns } from "./cooldowns.ts";
import { createLosses, type Losses } from "./losses.ts";
import { type AnsweredOn, ENDPOINT_LAG_MS, mergeUsage, withReserveWindows } from "./merge-usage.ts";
import { createRestrictions, type Restrictions } from "./restrictions.ts";
import { createSnapshots, DOUBT_MS } from "./snapshots.ts";

/** All accounts of this person, what is known of each, and who serves next. */
export interface Pool extends PoolEvents, Restrictions, Leases, Cooldowns, Losses {
	accounts(): readonly Account[];
	account(id: AccountId | undefined): Account | undefined;
	status(id: AccountId): AccountStatus;
	/** Reads the file once and returns the status of every account as of then. */
	statuses(): (id: AccountId) => AccountStatus;
	state(account: Account): AccountState;
	/** Plans who serves `request`, in which order, when, and why. Never waits for the network. */
	plan(request: SelectionRequest): Plan;
	/** Returns the pool as a request of the session would find it. */
	snapshot(sessionId: SessionId | undefined): Snapshot;
	pinned(): AccountId | undefined;
	/**
	 * Pins an account for all sessions on this machine; undefined removes the pin. Until `belowCapUntil`, epoch ms, the
	 * pinned account may be used below its caps.
	 */
	pin(id: AccountId | undefined, belowCapUntil?: number): Promise<void>;
	/** Stores usage from a response or from the endpoint. `answered`: the answer was given on a limit of its own. */
	noteUsage(id: AccountId, usage: UsageSnapshot, answered?: AnsweredOn): void;
	/** Stores what is left of an account's reserve model, and nothing else. */
	noteReserveModel(id: AccountId, windows: readonly UsageWindow[]): void;
	noteError(id: AccountId, text: string): void;
	/**
	 * Records a refusal whose fault is unclear. After the same refusal twice in a row, other accounts are tried first for
	 * a while, so that sessions do not start every turn on an account that refuses it.
	 */
	noteUnknown(id: AccountId, text: string): void;
	/** Stores the hash of a token that was refused right after it was issued. */
	noteRefused(id: AccountId, tokenHash: string): void;
	/** Makes other accounts be tried before these for a while. They refused a request that may have been at fault. */
	doubt(ids: Iterable<AccountId>): void;
	/**
	 * Records that an account has answered a request to its end. `hasMoved`: its session was on another account before.
	 * `hasToldUsage`: the answer reported usage. `isOnReserveModel`: it says nothing about included quota.
	 */
	served(id: AccountId, hasMoved: boolean, hasToldUsage: boolean, isOnReserveModel?: boolean): void;
	/** Records that an account starts to serve a session. Emits, once per session, that this costs bought credits. */
	spends(id: AccountId, asked: RequestInfo): void;
	/**
	 * Records that an answer of the session starts. Emits, once while the session stays there, that it comes from a
	 * reserve model.
	 */
	answers(id: AccountId, asked: RequestInfo, reserveModel: ReserveModel | undefined): void;
	/**
	 * Emits cooldowns that other processes have started or ended since the last call, and those that have expired.
	 * `cause`: what this process has just done to them.
	 */
	detectChanges(cause?: CoolingCause): void;
	flush(): Promise<void>;
}

/** Which sessions work on which account. */
interface Leases {
	/** Returns the account that this process last tried. */
	active(): AccountId | undefined;
	setActive(id: AccountId): void;
	/** Records that a session works on an account. `isChoice`: it had no account, or another one, before. */
	acquireLease(id: AccountId, sessionId: SessionId | undefined, isChoice: boolean): void;
	/** Records that the session still works on the account. */
	renewLease(id: AccountId, sessionId: SessionId | undefined): void;
	/** Returns how many sessions work on each account, in any process. `except` is not counted. */
	liveSessions(except: SessionId | undefined): ReadonlyMap<AccountId, number>;
	/** Records that the session has ended. */
	releaseLease(sessionId: SessionId | undefined): void;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly clock: Clock;
	readonly settings: () => Pick<Settings, "rotation" | "beyond" | "caps" | "notify">;
	/** Finds account sets. Without it every session may use every account. */
	readonly sets?: SetFinder;
	/** Records every change of usage. */
	readonly history?: Pick<QuotaHistory, "record">;
	/** Where the pool publishes. Other events may go there before it exists. */
	readonly events?: PoolEvents;
}

/** Creates the pool over its stores. */
export function createPool(deps: Deps): Pool {
	const { accounts, state, clock, settings, sets, history, events = createPoolEvents() } = deps;
	const { emit } = events;
	const changed = () => emit({ type: "changed" });
	const find = (id: AccountId) => accountWith(accounts.list(), id);
	/** The pin or a session may name an account that was merged into another one since. */
	const present = (id: AccountId | undefined) => (id === undefined ? undefined : (find(id)?.id ?? id));
	const pinned = () => present(state.pin());

	const caps = () => settings().caps;
	const { allFloors, ...restrictions } = createRestrictions({ accounts, state, clock, caps, sets, pinned });
	const { floors, setFor } = restrictions;
	const snapshotFor = createSnapshots({ accounts, state, clock, settings, allFloors, pinned });
	const changes = createChangeDetector({
		accounts: accounts.list,
		statuses: state.snapshot,
		floors,
		thresholds: () => settings().notify.warnAt,
		claim: state.claimNotice,
		clock,
		emit,
	});
	const { freeSeats, ...cooldowns } = createCooldowns({ accounts, state, clock, detect: changes.detect, changed });
	const losses = createLosses({ accounts, state, clock, lost: changes.lost });
	const leases = createLeases(state, changed);

	const doubt = (ids: Iterable<AccountId>) => {
		const doubtedUntil = clock.now() + DOUBT_MS;
		for (const id of ids) void state.update(id, (status) => ({ ...status, doubtedUntil }));
	};
	const noteError = (id: AccountId, text: string) => {
		const lastError = { text, at: clock.now() };
		state.updateSoon(id, (status) => ({ ...status, lastError }));
	};

	return {
		...restrictions,
		...leases,
		...cooldowns,
		...losses,
		accounts: () => accounts.list(),
		account: find,
		status: (id) => state.status(id),
		statuses: state.snapshot,
		state: (account) => {
			const { cooldowns, usage } = state.status(account.id);
			return stateOf(account, cooldowns, clock.now(), usage, floors(account));
		},
		plan: (request) => {
			const { affinity, served, sessionId, inSetOf = sessionId } = request;
			const ids = { affinity: present(affinity), served: present(served) };
			return plan({ ...request, ...ids }, snapshotFor(sessionId, setFor(inSetOf)));
		},
		snapshot: (sessionId) => snapshotFor(sessionId, setFor(sessionId)),
		pinned,
		pin: async (id, belowCapUntil) => {
			const isNews = state.pin() !== id;
			await state.setPin(id, belowCapUntil);
			if (isNews) emit({ type: "pinned", account: id });
			changed();
		},
		noteUsage: (id, usage, answered) => {
			const before = state.status(id);
			const after = mergeUsage(before, usage, clock.now(), answered);
			// Other processes need to see a cooldown at once. A percent more or less can wait.
			const isUrgent = after.cooldowns !== before.cooldowns;
			const change = (status: AccountStatus) => mergeUsage(status, usage, clock.now(), answered);
			if (isUrgent) {
				changes.detect();
				void state.update(id, change);
				changes.detect("usage");
			} else state.updateSoon(id, change);
			if (after !== before && after.usage) history?.record(id, after.usage);
			if (id === leases.active()) changes.serves(id);
			const account = find(id);
			const isTold = usage.source === "api" && includedOf(usage).length > 0;
			if (account && isTold && !isSpent(usage, clock.now())) {
				freeSeats(account, ({ setAt }) => usage.capturedAt - setAt >= ENDPOINT_LAG_MS);
			}
			const isNewPlan = usage.source === "api" && usage.plan !== undefined && account?.plan !== usage.plan;
			// The store has kept the change in memory and reported that it could not be written.
			if (isNewPlan) accounts.patch(id, { plan: usage.plan }).catch(() => undefined);
			changed();
		},
		noteReserveModel: (id, windows) => {
			state.updateSoon(id, (status) => withReserveWindows(status, windows));
			changed();
		},
		noteError,
		noteUnknown: (id, text) => {
			const { lastError } = state.status(id);
			if (lastError?.text === text && Math.abs(clock.now() - lastError.at) < DOUBT_MS) doubt([id]);
			noteError(id, text);
		},
		noteRefused: (id, refusedToken) => {
			void state.update(id, (status) => ({ ...status, refusedToken }));
		},
		doubt,
		served: (id, hasMoved, hasToldUsage, isOnReserveModel = false) => {
			const lastUsedAt = clock.now();
			state.updateSoon(id, (status) => ({
				...status,
				strikes: 0,
				lastUsedAt,
				lastError: undefined,
				usageError: undefined,
				...(status.doubtedUntil !== undefined && { doubtedUntil: undefined }),
			}));
			const account = find(id);
			if (account && !isOnReserveModel) freeSeats(account, () => true);
			emit({ type: "served", account: id, hasMoved, hasToldUsage });
		},
		spends: changes.spends,
		answers: changes.answers,
		detectChanges: changes.detect,
		...events,
		flush: async () => {
			await accounts.flush();
			await state.flush();
		},
	};
}

/** Creates the leases of this process, and reads those of all others. */
function createLeases(
	state: Pick<StateStore, "acquireLease" | "releaseLease" | "liveSessions">,
	changed: () => void,
): Leases {
	let active: AccountId | undefined;
	const setActive = (id: AccountId) => {
		if (active === id) return;
		active = id;
		changed();
	};
	return {
		active: () => active,
		setActive,
		acquireLease: (id, sessionId, isChoice) => {
			setActive(id);
			if (sessionId !== undefined) state.acquireLease(sessionId, id, isChoice);
		},
		renewLease: (id, sessionId) => {
			if (sessionId !== undefined) state.acquireLease(sessionId, id, false);
		},
		liveSessions: state.liveSessions,
		releaseLease: (sessionId) => {
			if (sessionId !== undefined) state.releaseLease(sessionId);
		},
	};
}
