import { type Account, type AccountState, stateOf } from "../account.ts";
import { type AccountSet, isInSet, type SetFinder } from "../account-sets.ts";
import { aboveCap, type Floors, floorsOf, reachedCap } from "../caps.ts";
import { type Cooldown, covers, isOfQuota, mergeCooldown } from "../cooldown.ts";
import { tellDefect } from "../defect-reports.ts";
import type { CoolingCause, PoolEvent, PoolListener, RequestInfo } from "../events.ts";
import { accountWith } from "../identity.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { AccountStatus, AccountStore, Clock, QuotaHistory, StateStore } from "../ports.ts";
import { includedOf, isSpent } from "../quota.ts";
import type { Candidate } from "../request/candidate.ts";
import type { Cooling } from "../request/classify.ts";
import { type Plan, plan, type SelectionRequest, type Snapshot, TRIAL_MS } from "../request/plan.ts";
import { goesOnWithOwnCredits, type Settings } from "../settings.ts";
import type { ReserveModel, UsageSnapshot, UsageWindow } from "../usage.ts";
import { createChangeDetector } from "./change-detector.ts";
import { type AnsweredOn, ENDPOINT_LAG_MS, mergeUsage, withoutModelApart, withReserveWindows } from "./merge-usage.ts";

/** All accounts of this person, what is known of each, and who serves next. */
export interface Pool {
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
	/** Returns the account set that a session is bound to; undefined if it may use every account. */
	setFor(sessionId: SessionId | undefined): AccountSet | undefined;
	/** Returns the caps that apply to an account now; none while it is pinned below them. */
	floors(account: Account): Floors | undefined;
	/**
	 * Returns the smallest part of an account's quota above its caps, percent; undefined if no cap applies to known
	 * usage.
	 */
	aboveCap(account: Account): number | undefined;
	/** Returns the accounts that have reached a cap. */
	atCap(): ReadonlySet<AccountId>;
	/** True if a cap or the session's account set excludes the account, whatever else is known of it. */
	isBarred(account: Account, sessionId: SessionId | undefined): boolean;
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
	pinned(): AccountId | undefined;
	/**
	 * Pins an account for all sessions on this machine; undefined removes the pin. Until `belowCapUntil`, epoch ms, the
	 * pinned account may be used below its caps.
	 */
	pin(id: AccountId | undefined, belowCapUntil?: number): Promise<void>;
	/**
	 * Puts an account, or every account of its workspace, into a cooldown. Without a model, closes a limit that no normal
	 * model of the account uses.
	 */
	cool(account: Account, cooling: Cooling, modelId: string | undefined): void;
	/**
	 * Counts a refusal of the whole workspace or account (402/403), before its cooldown is set. The third in a row
	 * disables the account. Parallel refusals at one moment count once.
	 */
	strike(account: Account, reason: string): void;
	/** Disables an account that the backend has closed. */
	close(account: Account, reason: string): void;
	/** Emits once that an account was signed out or closed. */
	lost(type: "signed-out" | "closed", account: Account, reason: string): void;
	/** Flags an account whose sign-in has ended, unless it has another access token than the refused one by now. */
	signOut(account: Account, refused: string, reason: string): void;
	/** Ends all cooldowns. */
	clearCooldowns(): Promise<void>;
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
	 * Claims a trial of an account that cools on weak evidence. Resolves to true for one of all processes that try at
	 * once, and then for none for a while.
	 */
	claimTrial(id: AccountId): Promise<boolean>;
	/**
	 * Records that the account has answered `modelId` in a trial started at `began`, epoch ms. Ends the cooldowns that
	 * this refutes.
	 */
	endTrial(id: AccountId, modelId: string, began: number): void;
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
	subscribe(listener: PoolListener): () => void;
	emit(event: PoolEvent): void;
	flush(): Promise<void>;
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
}

/** Number of refusals in a row after which an account is disabled. */
const STRIKES = 3;

/** How long other accounts are tried first after a refusal whose fault is unclear. */
const DOUBT_MS = 10 * 60_000;

/** Creates the pool over its stores. */
export function createPool({ accounts, state, clock, settings, sets, history }: Deps): Pool {
	const listeners = new Set<PoolListener>();
	let active: AccountId | undefined;

	const emit = (event: PoolEvent) => {
		for (const listener of listeners) {
			try {
				listener(event);
			} catch (error) {
				// A listener whose session was replaced must not end another session's request.
				if (event.type !== "defect") tellDefect(error, "listener", emit);
			}
		}
	};
	const changed = () => emit({ type: "changed" });
	const find = (id: AccountId) => accountWith(accounts.list(), id);
	/** The pin or a session may name an account that was merged into another one since. */
	const present = (id: AccountId | undefined) => (id === undefined ? undefined : (find(id)?.id ?? id));
	const setFor = (sessionId: SessionId | undefined) => sets?.setFor(sessionId);
	const floors = (account: Account, caps = settings().caps) => {
		const own = floorsOf(caps, account);
		if (!own) return undefined;
		const isPinnedBelow = present(state.pin()) === account.id && (state.pinnedBelowCapUntil() ?? 0) > clock.now();
		return isPinnedBelow ? undefined : own;
	};
	const candidatesAt = (now: number, set: AccountSet | undefined): Candidate[] => {
		const statusOf = state.snapshot();
		const { caps } = settings();
		const isDoubted = (until = 0) => until > now && until - now <= DOUBT_MS;
		return accounts.list().map((account): Candidate => {
			const { cooldowns, usage, doubtedUntil, trialAt } = statusOf(account.id);
			return {
				account,
				cooldowns,
				usage,
				isDoubted: isDoubted(doubtedUntil),
				trialAt,
				floors: floors(account, caps),
				outsideOf: set && !isInSet(set, account) ? set.folder : undefined,
			};
		});
	};

	const changes = createChangeDetector({
		accounts: accounts.list,
		statuses: state.snapshot,
		floors,
		thresholds: () => settings().notify.warnAt,
		claim: state.claimNotice,
		clock,
		emit,
	});

	const snapshotFor = (sessionId: SessionId | undefined, set: AccountSet | undefined): Snapshot => {
		const now = clock.now();
		const { rotation, beyond } = settings();
		const { policy, reserve } = rotation;
		return {
			now,
			set,
			candidates: candidatesAt(now, set),
			pinned: present(state.pin()),
			liveSessions: state.liveSessions(sessionId),
			lastChosen: state.lastChosen(),
			policy,
			reserve,
			leavesOwnCredits: !goesOnWithOwnCredits(beyond),
		};
	};
	const setActive = (id: AccountId) => {
		if (active === id) return;
		active = id;
		changed();
	};

	/** Writes at once but does not wait: the request continues with what is in memory. */
	const update = (id: AccountId, change: (status: AccountStatus) => AccountStatus) => {
		void state.update(id, change);
	};
	const patch = (id: AccountId, fields: Parameters<AccountStore["patch"]>[1]) => {
		// The store has kept the change in memory and reported that it could not be written.
		accounts.patch(id, fields).catch(() => undefined);
	};

	const seatsOf = ({ workspaceId }: Account) => accounts.list().filter((each) => each.workspaceId === workspaceId);
	/** Ends the cooldowns that other seats of the workspace got only because of this one: a seat has quota again. */
	const freeSeats = (account: Account, isOld: (cooldown: Cooldown) => boolean, cause: CoolingCause) => {
		const statusOf = state.snapshot();
		const free = (cooldowns: readonly Cooldown[]) => cooldowns.filter((each) => !(each.shared && isOld(each)));
		const held = seatsOf(account).filter(({ id }) => {
			const { cooldowns } = statusOf(id);
			return free(cooldowns).length < cooldowns.length;
		});
		if (held.length === 0) return;
		changes.detect();
		for (const { id } of held) update(id, (status) => ({ ...status, cooldowns: free(status.cooldowns) }));
		changes.detect(cause);
		changed();
	};

	const close = (account: Account, reason: string) => {
		patch(account.id, { enabled: false, disabledReason: reason });
		changes.lost("closed", account, reason);
	};

	const doubt = (ids: Iterable<AccountId>) => {
		const doubtedUntil = clock.now() + DOUBT_MS;
		for (const id of ids) update(id, (status) => ({ ...status, doubtedUntil }));
	};
	const noteError = (id: AccountId, text: string) => {
		const lastError = { text, at: clock.now() };
		state.updateSoon(id, (status) => ({ ...status, lastError }));
	};

	return {
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
		setFor,
		floors: (account) => floors(account),
		atCap: () => {
			const { caps } = settings();
			if (Object.keys(caps).length === 0) return new Set();
			const now = clock.now();
			const statusOf = state.snapshot();
			const isAtCap = (account: Account) => {
				const own = floors(account, caps);
				return own !== undefined && reachedCap(own, statusOf(account.id).usage, now) !== undefined;
			};
			return new Set(
				accounts
					.list()
					.filter(isAtCap)
					.map(({ id }) => id),
			);
		},
		aboveCap: (account) => {
			const own = floors(account);
			return own && aboveCap(own, state.status(account.id).usage, clock.now());
		},
		isBarred: (account, sessionId) => {
			const set = setFor(sessionId);
			if (set && !isInSet(set, account)) return true;
			const own = floors(account);
			return own !== undefined && reachedCap(own, state.status(account.id).usage, clock.now()) !== undefined;
		},
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
		pinned: () => present(state.pin()),
		pin: async (id, belowCapUntil) => {
			const isNews = state.pin() !== id;
			await state.setPin(id, belowCapUntil);
			if (isNews) emit({ type: "pinned", account: id });
			changed();
		},
		cool: (account, cooling, modelId) => {
			const now = clock.now();
			const { scope, reason, until, guessed, seatsUntil } = cooling;
			const cooldown: Cooldown = {
				scope,
				reason,
				until,
				setAt: now,
				models: reason === "usage_limit" && !scope.startsWith("model:") && modelId !== undefined ? [modelId] : [],
				...(guessed && isOfQuota({ reason }) && { guessed: true }),
			};
			changes.detect();
			const rest = (id: AccountId, next: Cooldown) =>
				update(id, (status) => ({ ...status, cooldowns: mergeCooldown(status.cooldowns, next, now) }));
			// A model that the general limit refuses has no limit of its own.
			const isOfGeneralLimit = scope === "account" && isOfQuota(cooldown);
			update(account.id, (status) => ({
				...(isOfGeneralLimit && modelId !== undefined ? withoutModelApart(status, modelId) : status),
				cooldowns: mergeCooldown(status.cooldowns, cooldown, now),
			}));
			// A spent seat says nothing about the windows of other seats. They cool only because of the workspace.
			const ofOthers: Cooldown = { ...cooldown, until: seatsUntil ?? until, guessed: undefined, shared: true };
			for (const { id } of cooling.covers === "workspace" ? seatsOf(account) : []) {
				if (id !== account.id) rest(id, ofOthers);
			}
			changes.detect("refusal");
			changed();
		},
		strike: (account, reason) => {
			const { cooldowns } = state.status(account.id);
			if (cooldowns.some((cooldown) => cooldown.reason === "workspace_disabled")) return;
			update(account.id, (status) => ({ ...status, strikes: status.strikes + 1 }));
			if (state.status(account.id).strikes >= STRIKES) close(account, reason);
		},
		close,
		lost: changes.lost,
		signOut: (account, refused, reason) => {
			const needsLogin = { reason, at: clock.now() };
			// The store has kept the change in memory and reported that it could not be written.
			accounts.patch(account.id, { needsLogin }, ({ access }) => access === refused).catch(() => undefined);
			if (!find(account.id)?.needsLogin) return;
			changes.lost("signed-out", account, reason);
		},
		clearCooldowns: async () => {
			changes.detect();
			await state.clearCooldowns();
			changes.detect("reset");
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
				update(id, change);
				changes.detect("usage");
			} else state.updateSoon(id, change);
			if (after !== before && after.usage) history?.record(id, after.usage);
			if (id === active) changes.serves(id);
			const account = find(id);
			const isTold = usage.source === "api" && includedOf(usage).length > 0;
			if (account && isTold && !isSpent(usage, clock.now())) {
				freeSeats(account, ({ setAt }) => usage.capturedAt - setAt >= ENDPOINT_LAG_MS, "usage");
			}
			const isNewPlan = usage.source === "api" && usage.plan !== undefined && account?.plan !== usage.plan;
			if (isNewPlan) patch(id, { plan: usage.plan });
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
			update(id, (status) => ({ ...status, refusedToken }));
		},
		doubt,
		claimTrial: (id) => {
			const isFree = ({ trialAt = 0 }: AccountStatus) => Math.abs(clock.now() - trialAt) >= TRIAL_MS;
			return state.updateIf(id, isFree, (status) => ({ ...status, trialAt: clock.now() }));
		},
		endTrial: (id, modelId, began) => {
			const isRefuted = (each: Cooldown) => isOfQuota(each) && covers(each, modelId) && each.setAt < began;
			if (!state.status(id).cooldowns.some(isRefuted)) return;
			changes.detect();
			update(id, (status) => ({ ...status, cooldowns: status.cooldowns.filter((each) => !isRefuted(each)) }));
			changes.detect("usage");
			changed();
		},
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
			if (account && !isOnReserveModel) freeSeats(account, () => true, "usage");
			emit({ type: "served", account: id, hasMoved, hasToldUsage });
		},
		spends: changes.spends,
		answers: changes.answers,
		detectChanges: changes.detect,
		subscribe: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
		emit,
		flush: async () => {
			await accounts.flush();
			await state.flush();
		},
	};
}
