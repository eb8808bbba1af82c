import { type Account, stateOf } from "../account.ts";
import { reserveLeft, reserveModelIn } from "../beyond/reserve-model.ts";
import type { Floors } from "../caps.ts";
import { activeCooldowns, type Cooldown, isPassing } from "../cooldown.ts";
import type { CoolingCause, PoolEvent, RequestInfo } from "../events.ts";
import type { AccountId, SessionId } from "../ids.ts";
import type { AccountStatus, Clock, StateStore } from "../ports.ts";
import { creditsUntil, tightest } from "../quota.ts";
import { HIGHEST_THRESHOLD } from "../settings.ts";
import type { ReserveModel } from "../usage.ts";

/** Detects what has changed about the accounts since the last call, in any process. Emits each event once. */
export interface ChangeDetector {
	/** Emits the cooldowns that started or ended. `cause` is what this process has just done. */
	detect(cause?: CoolingCause): void;
	/**
	 * Emits once that an account lost its sign-in or was closed, although several requests may find out at the same time.
	 */
	lost(type: "signed-out" | "closed", account: Account, reason: string): void;
	/** Called with the account that serves. Emits a warning if it is the last one and nearly used up. */
	serves(id: AccountId): void;
	/** Called with the account that serves a session. Emits, once per session, that this costs bought credits. */
	spends(id: AccountId, asked: RequestInfo): void;
	/**
	 * Called when an answer of a session starts. Emits that it comes from `reserveModel`, once for as long as the session
	 * stays there; undefined if it does not.
	 */
	answers(id: AccountId, asked: RequestInfo, reserveModel: ReserveModel | undefined): void;
}

interface Deps {
	readonly accounts: () => readonly Account[];
	/** Reads the file once and returns the status of every account as of then. */
	readonly statuses: () => (id: AccountId) => AccountStatus;
	/** Returns the caps on an account. */
	readonly floors?: (account: Account) => Floors | undefined;
	/** Returns how much may be left of the last account when a warning is due, percent. */
	readonly thresholds: () => readonly number[];
	/** Claims a warning for one of all processes. */
	readonly claim: StateStore["claimNotice"];
	readonly clock: Clock;
	readonly emit: (event: PoolEvent) => void;
}

/** Resets that differ by less than this are the same reset. */
const JITTER_MS = 60_000;
/** How long before a warning about a window without a known reset is repeated. */
const UNKNOWN_RESET_MS = 24 * 60 * JITTER_MS;

/** Creates the detector. Its first call emits nothing: what holds then is not new. */
export function createChangeDetector(deps: Deps): ChangeDetector {
	const { accounts, statuses, floors, thresholds, claim, clock, emit } = deps;
	let known: ReadonlyMap<string, Cooling> | undefined;
	const lost = new Map<AccountId, string>();
	/** The reset and threshold of the last warning, by account and window. */
	const warned = new Map<string, { readonly resetsAt: number | undefined; readonly threshold: number }>();
	const spending = new Set<SessionId | undefined>();
	/** The account whose reserve model each session uses. */
	const onReserveModel = new Map<SessionId | undefined, AccountId>();

	/** Finds the cooldowns that hold now, by account and scope. */
	const coolingNow = (all: readonly Account[], now: number) => {
		const found = new Map<string, Cooling>();
		const status = statuses();
		for (const account of all) {
			const { cooldowns, usage } = status(account.id);
			for (const cooldown of activeCooldowns(cooldowns, now)) {
				const isOfReserveModel = reserveModelIn(cooldown.scope, usage) !== undefined;
				found.set(`${account.id} ${cooldown.scope}`, { account, cooldown, isOfReserveModel });
			}
		}
		return found;
	};

	return {
		detect: (cause = "elsewhere") => {
			const now = clock.now();
			const all = accounts();
			for (const { id, enabled, needsLogin } of all) if (enabled && !needsLogin) lost.delete(id);
			const before = known;
			const present = new Set(all.map(({ id }) => id));
			const holding = coolingNow(all, now);
			known = holding;
			if (!before) return;
			for (const [key, { account, cooldown, isOfReserveModel }] of holding) {
				const former = before.get(key)?.cooldown;
				if (former && cooldown.until - former.until <= JITTER_MS) continue;
				const { scope, reason, until, guessed } = cooldown;
				const known = { scope, reason, until, ...(guessed && { guessed }), cause };
				emit({ type: "cooling", account, ...known, ...(isOfReserveModel && { isOfReserveModel }) });
			}
			for (const [key, { account, cooldown }] of before) {
				if (holding.has(key) || !present.has(account.id)) continue;
				const how = cooldown.until <= now ? "time" : cause;
				emit({ type: "recovered", account, scope: cooldown.scope, cause: how });
			}
		},
		lost: (type, account, reason) => {
			if (lost.get(account.id) === type) return;
			lost.set(account.id, type);
			emit({ type, account, reason });
		},
		serves: (id) => {
			const now = clock.now();
			const status = statuses();
			const left = tightest(status(id).usage, now);
			if (!left || left.isStale || left.percent > HIGHEST_THRESHOLD) return;
			const states = accounts().map((account) => {
				const { usage, ...known } = status(account.id);
				const lasting = activeCooldowns(known.cooldowns, now).filter((each) => !isPassing(each));
				// A short cooldown does not use up an account's quota.
				const state = stateOf(account, lasting, now, usage, floors?.(account));
				return { account, state };
			});
			const [last, ...others] = states.filter(({ state }) => state === "ready");
			// A person with one account, or with the others disabled, knows that there is no other.
			const isLast = last?.account.id === id && others.length === 0 && states.some(({ state }) => state === "cooling");
			if (!last || !isLast) return;
			const threshold = passedThreshold(left.percent, thresholds());
			if (threshold === undefined) return;
			const key = `last-one ${id} ${left.window}`;
			const former = warned.get(key);
			const isSameWindow = former !== undefined && (left.resetsAt ?? 0) - (former.resetsAt ?? 0) <= JITTER_MS;
			if (isSameWindow && threshold >= former.threshold) return;
			warned.set(key, { resetsAt: left.resetsAt, threshold });
			const slackMs = left.resetsAt === undefined ? UNKNOWN_RESET_MS : JITTER_MS;
			const until = left.resetsAt ?? now + UNKNOWN_RESET_MS;
			void claim(key, { until, slackMs, level: threshold }).then((isOurs) => {
				if (isOurs) emit({ type: "last-one", account: last.account, left, threshold });
			});
		},
		spends: (id, asked) => {
			const until = creditsUntil(statuses()(id).usage, clock.now());
			const account = accounts().find((each) => each.id === id);
			if (until === undefined || !account || spending.has(asked.sessionId)) return;
			spending.add(asked.sessionId);
			emit({ type: "on-credits", account, until, asked });
		},
		answers: (id, asked, reserveModel) => {
			const { sessionId } = asked;
			const account = accounts().find((each) => each.id === id);
			const isStaying = onReserveModel.get(sessionId) === id;
			onReserveModel.delete(sessionId);
			if (!reserveModel || !account) return;
			onReserveModel.set(sessionId, id);
			if (isStaying) return;
			const leftPercent = reserveLeft(reserveModel, clock.now());
			emit({ type: "on-reserve-model", account, model: reserveModel.visibleModel, leftPercent, asked });
		},
	};
}

/** Returns the lowest threshold that is reached; undefined if none is. */
function passedThreshold(percent: number, thresholds: readonly number[]): number | undefined {
	const passed = thresholds.filter((each) => percent <= each);
	return passed.length > 0 ? Math.min(...passed) : undefined;
}

interface Cooling {
	readonly account: Account;
	readonly cooldown: Cooldown;
	readonly isOfReserveModel: boolean;
}
