import { type Account, type AccountState, stateOf } from "./account.ts";
import { type Candidate, type Crowded, crowdedOf, gateOf, type SelectionContext } from "./candidate.ts";
import { createChangeDetector } from "./change-detector.ts";
import type { Cooling } from "./classify.ts";
import { activeCooldowns, type Cooldown, covers, isOfQuota, mergeCooldown, readyAt } from "./cooldown.ts";
import { tellDefect } from "./defect-reports.ts";
import type { CoolingCause, PoolEvent, PoolListener, RequestInfo } from "./events.ts";
import { accountWith } from "./identity.ts";
import type { AccountId, SessionId } from "./ids.ts";
import { ENDPOINT_LAG_MS, mergeUsage } from "./merge-usage.ts";
import { explain, firstChoice, type Verdict } from "./policies.ts";
import type { AccountStatus, AccountStore, Clock, StateStore } from "./ports.ts";
import type { RotationSettings } from "./settings.ts";
import { creditsUntil, isSpent, quotasOf, type UsageSnapshot } from "./usage.ts";

/** What a request needs to be given an account. */
export interface Choice {
	/** Without a model only what holds for all models counts. */
	readonly modelId: string | undefined;
	/** The account that last served the session. */
	readonly affinity: AccountId | undefined;
	/** The session that asks: what it does itself is no reason to go elsewhere. */
	readonly sessionId: SessionId | undefined;
	/** The same, however long ago: the session may go on there on bought credits. */
	readonly served?: AccountId | undefined;
	/** How long the session would wait for an account that only rests, rather than spend credits; ms. */
	readonly patienceMs?: number | undefined;
	/** Accounts that this request is done with. */
	readonly excluded: ReadonlySet<AccountId>;
}

/** As {@link Choice}, where nothing is sent yet. */
export type SelectionRequest = Omit<Choice, "excluded">;

/** All accounts of this person, what is known of each, and who may serve next. */
export interface Pool {
	accounts(): readonly Account[];
	account(id: AccountId): Account | undefined;
	status(id: AccountId): AccountStatus;
	state(account: Account): AccountState;
	/**
	 * When the account can serve `modelId` (any model without one) from its included quota, epoch ms; `now` where it can
	 * already, undefined while it needs a person.
	 */
	readyAt(account: Account, now: number, modelId?: string): number | undefined;
	/** The account to try next. Never waits for the network. */
	choose(choice: Choice): Account | undefined;
	/**
	 * Accounts that a session leaves to those at work there, because `own`, which served it last, has run out of quota and
	 * another one has room, or somebody is back within `patienceMs`. Nobody where `own` could serve, or is away for another
	 * reason.
	 */
	crowded(question: SelectionRequest, own: AccountId | undefined, patienceMs: number): ReadonlyMap<AccountId, Crowded>;
	/** The account that the last attempt of this process used. */
	active(): AccountId | undefined;
	setActive(id: AccountId): void;
	/** A session is at work on an account; `isChoice`: it was with none, or with another, before. */
	acquireLease(id: AccountId, sessionId: SessionId | undefined, isChoice: boolean): void;
	/** The session is still at work on it. */
	renewLease(id: AccountId, sessionId: SessionId | undefined): void;
	/** The session is over. */
	releaseLease(sessionId: SessionId | undefined): void;
	/**
	 * Every account's rank, or what keeps it out, and why. Without a model only what holds for all models counts. `crowded`:
	 * what {@link Pool.crowded} gave, where the session waits.
	 */
	explain(
		question: SelectionRequest,
		excluded?: ReadonlySet<AccountId>,
		crowded?: ReadonlyMap<AccountId, Crowded>,
	): Verdict[];
	pinned(): AccountId | undefined;
	/** Pins an account for all sessions on this machine; undefined ends it. */
	pin(id: AccountId | undefined): Promise<void>;
	/** Takes an account, or every account of its workspace, out of the choice for a while. */
	cool(account: Account, cooling: Cooling, modelId: string): void;
	/**
	 * Counts a refusal of the whole workspace or account (402/403), before it is cooled; the third in a row switches it
	 * off. Parallel refusals of one moment count once.
	 */
	strike(account: Account, reason: string): void;
	/** Switches an account off that the backend has closed. */
	close(account: Account, reason: string): void;
	/** Tells, once, of an account that has been flagged as signed out or switched off. */
	lost(type: "signed-out" | "closed", account: Account, reason: string): void;
	/** Flags an account whose sign-in is over, unless it has another access token than the refused one by now. */
	signOut(account: Account, refused: string, reason: string): void;
	/** Ends all cooldowns. */
	clearCooldowns(): Promise<void>;
	/** Takes in what a response or the usage endpoint told. */
	noteUsage(id: AccountId, usage: UsageSnapshot): void;
	noteError(id: AccountId, text: string): void;
	/**
	 * Takes note of a refusal of which nothing tells whose fault it was. The same twice in a row has others tried first for a
	 * while, so that no session begins every turn on an account that refuses it.
	 */
	noteUnknown(id: AccountId, text: string): void;
	/** Remembers, by its hash, a token that was refused right after it had been issued. */
	noteRefused(id: AccountId, tokenHash: string): void;
	/** Accounts of which a refusal has told nothing yet but that others are to be tried first. */
	doubted(): ReadonlySet<AccountId>;
	/** Has others tried before these for a while: the request that they refused may have been at fault, or they. */
	doubt(ids: Iterable<AccountId>): void;
	/**
	 * An account has answered a request to its end; `hasMoved`: its session was with another account before. `hasToldUsage`:
	 * the answer said what is left.
	 */
	served(id: AccountId, hasMoved: boolean, hasToldUsage: boolean): void;
	/** An account begins to serve a session; tells, once a session, where that costs bought credits. */
	spends(id: AccountId, asked: RequestInfo): void;
	/** Tells of cooldowns that others have begun or ended since the last look, and of those that have run out. */
	detectChanges(): void;
	subscribe(listener: PoolListener): () => void;
	emit(event: PoolEvent): void;
	flush(): Promise<void>;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly clock: Clock;
	readonly rotation: () => RotationSettings;
}

const NOBODY: ReadonlyMap<AccountId, Crowded> = new Map();

/** Refusals in a row after which an account is switched off. */
const STRIKES = 3;

/** Others are tried first for this long after a refusal of which nothing tells whose fault it was. */
const DOUBT_MS = 10 * 60_000;

/** Creates the pool over its stores. */
export function createPool({ accounts, state, clock, rotation }: Deps): Pool {
	const listeners = new Set<PoolListener>();
	let active: AccountId | undefined;

	const emit = (event: PoolEvent) => {
		for (const listener of listeners) {
			try {
				listener(event);
			} catch (error) {
				// A listener whose session was replaced meanwhile must not end somebody's request.
				if (event.type !== "defect") tellDefect(error, "listener", emit);
			}
		}
	};
	const changed = () => emit({ type: "changed" });
	const find = (id: AccountId) => accountWith(accounts.list(), id);
	/** The pin and a session may name an account that was merged into another one since. */
	const present = (id: AccountId | undefined) => (id === undefined ? undefined : (find(id)?.id ?? id));
	const candidates = (): Candidate[] => {
		const memoOf = state.snapshot();
		return accounts.list().map((account) => {
			const { cooldowns, usage } = memoOf(account.id);
			return { account, cooldowns, usage };
		});
	};

	const watch = createChangeDetector({ accounts: accounts.list, memos: state.snapshot, clock, emit });

	const contextOf = ({ modelId, affinity, served, patienceMs, sessionId }: SelectionRequest): SelectionContext => ({
		modelId,
		now: clock.now(),
		pinned: present(state.pin()),
		affinity: present(affinity),
		served: present(served),
		patienceMs,
		liveSessions: state.liveSessions(sessionId),
		reserve: rotation().reserve,
		lastChosen: state.lastChosen(),
	});
	const setActive = (id: AccountId) => {
		if (active === id) return;
		active = id;
		changed();
	};

	/** Written at once, but nobody waits: the request goes on with what memory says. */
	const update = (id: AccountId, change: (memo: AccountStatus) => AccountStatus) => {
		void state.update(id, change);
	};
	const patch = (id: AccountId, fields: Parameters<AccountStore["patch"]>[1]) => {
		// The store has kept the change in memory and reported that it could not be written.
		accounts.patch(id, fields).catch(() => undefined);
	};

	const seatsOf = ({ workspaceId }: Account) => accounts.list().filter((each) => each.workspaceId === workspaceId);
	/** A seat of the workspace has quota: what was laid on the others for its sake is over. */
	const freeSeats = (account: Account, isOld: (cooldown: Cooldown) => boolean, cause: CoolingCause) => {
		const memoOf = state.snapshot();
		const free = (cooldowns: readonly Cooldown[]) => cooldowns.filter((each) => !(each.shared && isOld(each)));
		const held = seatsOf(account).filter(({ id }) => {
			const { cooldowns } = memoOf(id);
			return free(cooldowns).length < cooldowns.length;
		});
		if (held.length === 0) return;
		watch.look();
		for (const { id } of held) update(id, (memo) => ({ ...memo, cooldowns: free(memo.cooldowns) }));
		watch.look(cause);
		changed();
	};

	const close = (account: Account, reason: string) => {
		patch(account.id, { enabled: false, disabledReason: reason });
		watch.lost("closed", account, reason);
	};

	const doubt = (ids: Iterable<AccountId>) => {
		const doubtedUntil = clock.now() + DOUBT_MS;
		for (const id of ids) update(id, (memo) => ({ ...memo, doubtedUntil }));
	};
	const noteError = (id: AccountId, text: string) => {
		state.updateSoon(id, (memo) => ({ ...memo, lastError: { text, at: clock.now() } }));
	};

	return {
		accounts: () => accounts.list(),
		account: find,
		status: (id) => state.status(id),
		state: (account) => {
			const { cooldowns, usage } = state.status(account.id);
			return stateOf(account, cooldowns, clock.now(), usage);
		},
		readyAt: (account, now, modelId) => {
			if (!account.enabled || account.needsLogin) return undefined;
			const { cooldowns, usage } = state.status(account.id);
			return Math.max(readyAt(cooldowns, modelId, now), creditsUntil(usage, now) ?? now);
		},
		choose: ({ excluded, ...choice }) => {
			return firstChoice(candidates(), contextOf(choice), rotation().policy, excluded)?.account;
		},
		crowded: (question, own, patienceMs) => {
			const { modelId } = question;
			const now = clock.now();
			const left = own === undefined ? undefined : find(own);
			const cooldowns = left?.enabled && !left.needsLogin ? state.status(left.id).cooldowns : [];
			const isSpent = activeCooldowns(cooldowns, now).some((each) => isOfQuota(each) && covers(each, modelId));
			if (!isSpent) return NOBODY;
			const all = candidates();
			const crowded = crowdedOf(all, contextOf(question));
			const isWorthIt = all.some((candidate) => {
				const gate = crowded.get(candidate.account.id) ?? gateOf(candidate, modelId, now);
				return !gate || (gate.kind === "cooling" && gate.until <= now + patienceMs);
			});
			return isWorthIt ? crowded : NOBODY;
		},
		explain: (question, excluded, crowded) =>
			explain(candidates(), contextOf(question), rotation().policy, excluded, crowded),
		active: () => active,
		setActive,
		acquireLease: (id, sessionId, isChoice) => {
			setActive(id);
			if (sessionId !== undefined) state.acquireLease(sessionId, id, isChoice);
		},
		renewLease: (id, sessionId) => {
			if (sessionId !== undefined) state.acquireLease(sessionId, id, false);
		},
		releaseLease: (sessionId) => {
			if (sessionId !== undefined) state.releaseLease(sessionId);
		},
		pinned: () => present(state.pin()),
		pin: async (id) => {
			const isNews = state.pin() !== id;
			await state.setPin(id);
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
				models: reason === "usage_limit" && !scope.startsWith("model:") ? [modelId] : [],
				...(guessed && isOfQuota({ reason }) && { guessed: true }),
			};
			watch.look();
			const rest = (id: AccountId, next: Cooldown) =>
				update(id, (memo) => ({ ...memo, cooldowns: mergeCooldown(memo.cooldowns, next, now) }));
			rest(account.id, cooldown);
			// What one seat has used up says nothing of another's windows: those rest for the workspace's sake alone.
			const ofOthers: Cooldown = { ...cooldown, until: seatsUntil ?? until, guessed: undefined, shared: true };
			for (const { id } of cooling.covers === "workspace" ? seatsOf(account) : []) {
				if (id !== account.id) rest(id, ofOthers);
			}
			watch.look("refusal");
			changed();
		},
		strike: (account, reason) => {
			const { cooldowns } = state.status(account.id);
			if (cooldowns.some((cooldown) => cooldown.reason === "workspace_disabled")) return;
			update(account.id, (memo) => ({ ...memo, strikes: memo.strikes + 1 }));
			if (state.status(account.id).strikes >= STRIKES) close(account, reason);
		},
		close,
		lost: watch.lost,
		signOut: (account, refused, reason) => {
			const needsLogin = { reason, at: clock.now() };
			// The store has kept the change in memory and reported that it could not be written.
			accounts.patch(account.id, { needsLogin }, ({ access }) => access === refused).catch(() => undefined);
			if (!find(account.id)?.needsLogin) return;
			watch.lost("signed-out", account, reason);
		},
		clearCooldowns: async () => {
			watch.look();
			await state.clearCooldowns();
			watch.look("reset");
			changed();
		},
		noteUsage: (id, usage) => {
			const before = state.status(id);
			const after = mergeUsage(before, usage, clock.now());
			// A cooldown is other processes' business at once; a percent more or less is not.
			const isUrgent = after.cooldowns !== before.cooldowns;
			const change = (memo: AccountStatus) => mergeUsage(memo, usage, clock.now());
			if (isUrgent) {
				watch.look();
				update(id, change);
				watch.look("usage");
			} else state.updateSoon(id, change);
			if (id === active) watch.serves(id);
			const account = find(id);
			const isTold = usage.source === "api" && quotasOf(usage).length > 0;
			if (account && isTold && !isSpent(usage, clock.now())) {
				freeSeats(account, ({ setAt }) => usage.capturedAt - setAt >= ENDPOINT_LAG_MS, "usage");
			}
			const isNewPlan = usage.source === "api" && usage.plan !== undefined && account?.plan !== usage.plan;
			if (isNewPlan) patch(id, { plan: usage.plan });
			changed();
		},
		noteError,
		noteUnknown: (id, text) => {
			const { lastError } = state.status(id);
			if (lastError?.text === text && Math.abs(clock.now() - lastError.at) < DOUBT_MS) doubt([id]);
			noteError(id, text);
		},
		noteRefused: (id, refusedToken) => {
			update(id, (memo) => ({ ...memo, refusedToken }));
		},
		doubted: () => {
			const [memoOf, now] = [state.snapshot(), clock.now()];
			const isDoubted = (until = 0) => until > now && until - now <= DOUBT_MS;
			const all = accounts.list().filter(({ id }) => isDoubted(memoOf(id).doubtedUntil));
			return new Set(all.map(({ id }) => id));
		},
		doubt,
		served: (id, hasMoved, hasToldUsage) => {
			state.updateSoon(id, (memo) => ({
				...memo,
				strikes: 0,
				lastUsedAt: clock.now(),
				lastError: undefined,
				usageError: undefined,
				...(memo.doubtedUntil !== undefined && { doubtedUntil: undefined }),
			}));
			const account = find(id);
			if (account) freeSeats(account, () => true, "usage");
			emit({ type: "served", account: id, hasMoved, hasToldUsage });
		},
		spends: watch.spends,
		detectChanges: () => watch.look(),
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
