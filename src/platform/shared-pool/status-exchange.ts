import { setImmediate } from "node:timers/promises";
import type { AccountId } from "../../core/ids.ts";
import type { Clock, StateStore } from "../../core/ports.ts";
import type { DatabaseClock } from "./database-clock.ts";
import { createDueStatuses } from "./due-statuses.ts";
import { createOwnPresence } from "./own-presence.ts";
import { type After, createPushSchedule } from "./push-schedule.ts";
import { createSharedPin } from "./shared-pin.ts";
import { createStatusVersions } from "./status-versions.ts";
import type { Look, Push, Pushed } from "./types.ts";

/** Maximum wait for the database at the end of a session. */
const FLUSH_MS = 2000;
/** Maximum wait for what is stored, before continuing without it. */
const CLAIM_MS = 3000;
/** How many statuses are applied without a pause. */
const AT_ONCE = 20;

interface Deps {
	readonly poolId: string;
	/** The id of this run of the process. */
	readonly own: string;
	readonly machine: () => string;
	/** The state file of this machine. What is written to it here is not pushed. */
	readonly state: StateStore;
	readonly isShared: (id: AccountId) => boolean;
	readonly sharedIds: () => readonly AccountId[];
	/** Returns how many sessions of this process work on each shared account. */
	readonly sessions: () => Readonly<Record<AccountId, number>>;
	readonly databaseClock: DatabaseClock;
	readonly push: (push: Push) => Promise<Pushed>;
	/** Called when another machine has changed something here. */
	readonly onNews: () => void;
	readonly onFailure: (error: unknown) => void;
	readonly clock: Clock;
	readonly after: After;
}

/** Exchanges changes between this process and the other machines of a pool. Nothing here throws. */
export interface StatusExchange {
	/** Returns the status versions that this machine has. A look asks for all others. */
	known(): ReadonlyMap<AccountId, number>;
	/** Applies a look, once its accounts are known here. Yields to other work in between if it brought a lot. */
	take(look: Look): Promise<void>;
	/** Records that this process has changed the status of a shared account. `isUrgent`: others need to know at once. */
	changed(id: AccountId, isUrgent?: boolean): void;
	/** Records that a person has moved the pin. */
	pinMoved(before: AccountId | undefined, after: AccountId | undefined): void;
	/** Records that sessions of this process have started or ended their work on shared accounts. */
	sessionsChanged(): void;
	/** Applies the present stored status of an account. Bounded, and resolves even if the database is unreachable. */
	refresh(id: AccountId): Promise<void>;
	/** Writes an account's status now, merged with what others have written meanwhile. Bounded like `refresh`. */
	store(id: AccountId): Promise<void>;
	/** Writes what is due now. Bounded, and resolves even if the database is unreachable. */
	flush(): Promise<void>;
	/** Writes what is due, and removes this process from the presences. */
	end(): Promise<void>;
}

/** Creates the exchange. Reads and writes nothing before the first change or look. */
export function createStatusExchange(deps: Deps): StatusExchange {
	const { own, sharedIds, databaseClock, onNews, onFailure, clock, after } = deps;
	const onDue = () => schedule.soon();
	const versions = createStatusVersions(deps);
	const pin = createSharedPin(deps);
	const presence = createOwnPresence({ ...deps, onDue });
	const statuses = createDueStatuses({ versions, sharedIds, after, onDue });
	const isDue = () => statuses.isAny() || presence.isDue() || pin.toStore() !== undefined;

	/** Runs one statement. Returns true if others were faster and it must be repeated. */
	const push = async (): Promise<boolean> => {
		const aheadMs = databaseClock.aheadMs();
		const [present, pinned] = [presence.toStore(), pin.toStore()];
		const batch = statuses.next(aheadMs);
		const isUnmeasured = aheadMs === undefined && batch.ids.length > 0;
		if (batch.rows.length === 0 && !present && !pinned && !isUnmeasured) return false;
		try {
			const began = clock.now();
			const pushed = await deps.push({ process: own, statuses: batch.rows, presence: present, pin: pinned });
			const measuredMs = databaseClock.measure(pushed.now, (began + clock.now()) / 2);
			if (isUnmeasured) statuses.putBack(batch);
			const times = { usedMs: aheadMs ?? measuredMs, aheadMs: measuredMs };
			const { isNews, wasLate } = statuses.wasPushed(batch, pushed, times);
			if (isNews) onNews();
			if (present) presence.wasStored(present);
			const isPinLate = pushed.pin !== undefined && pin.wasPushed(pushed.pin);
			return wasLate || isPinLate;
		} catch (error) {
			statuses.putBack(batch);
			throw error;
		}
	};
	const schedule = createPushSchedule({ push, isMore: statuses.isAny, isDue, after, onFailure });

	/** Pushes one account at once, unless the database is known to be unreachable. */
	const pushNow = async (id: AccountId) => {
		if (!schedule.canPush()) return;
		statuses.add(id, true);
		await schedule.drain(CLAIM_MS, () => !statuses.has(id));
	};
	const flush = async () => {
		statuses.addLeft();
		if (statuses.isAny()) schedule.soon();
		await schedule.drain(FLUSH_MS);
	};

	return {
		known: versions.known,
		take: async (look) => {
			const aheadMs = databaseClock.measure(look.now, look.localNow);
			let isNews = false;
			const shared = new Set(sharedIds());
			for (const [at, each] of look.statuses.filter(({ id }) => shared.has(id)).entries()) {
				if (at > 0 && at % AT_ONCE === 0) await setImmediate();
				isNews = versions.take(each, aheadMs).isNewsHere || isNews;
				statuses.leave(each.id);
			}
			for (const id of versions.unstored()) statuses.leave(id);
			for (const id of look.gone) {
				versions.forget(id);
				// No other machine pins it now, so the pin would be this machine's alone.
				if (deps.state.pin() === id) void deps.state.setPin(undefined);
			}
			isNews = pin.take(look.pin) || isNews;
			presence.noteLook();
			if (!schedule.resume() && isDue()) schedule.soon();
			if (isNews) onNews();
		},
		changed: (id, isUrgent = true) => {
			statuses.changed(id, isUrgent);
			if (isUrgent) schedule.hurry();
			else schedule.soon(false);
		},
		pinMoved: (before, to) => {
			if (pin.moved(before, to)) schedule.soon();
		},
		sessionsChanged: () => {
			if (presence.sessionsChanged()) schedule.soon();
		},
		refresh: (id) => {
			if (schedule.canPush()) statuses.ask(id);
			return pushNow(id);
		},
		store: pushNow,
		flush,
		end: async () => {
			if (presence.end()) schedule.soon();
			await flush();
			for (const part of [schedule, statuses, presence]) part.stop();
		},
	};
}
