import { setImmediate } from "node:timers/promises";
import { within } from "../../core/abort.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Clock, StateStore } from "../../core/ports.ts";
import type { DatabaseClock } from "./database-clock.ts";
import { createSharedPin } from "./shared-pin.ts";
import { createStatusVersions } from "./status-versions.ts";
import { type Look, PoolProblem, type Push, type Pushed, type SharedStatus } from "./types.ts";

/** Runs something later, unless the returned function is called first. */
export type After = (ms: number, run: () => void) => () => void;

/** Changes within this time share one statement. */
const COLLECT_MS = 200;
/**
 * The same for changes of one turn that other machines need not know at once. Earlier than the file is written, which
 * records the version.
 */
const COLLECT_SLOWLY_MS = 600;
/**
 * What this machine knows beyond the database is written after this long, unless the process that knows it writes it
 * first.
 */
const OTHERS_FIRST_MS = 3000;
/** How often a process writes its presence. */
const PRESENT_EACH_MS = 60_000;
/** Maximum per statement. */
const MOST_STATUSES = 100;
/** How often in a row other processes may be faster, with a pause that doubles each time. */
const MOST_ROUNDS = 6;
const ROUND_MS = 20;
const BUSY_MS = 5000;
/** Pauses while the database is unreachable. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** Maximum wait for the database at the end of a session. */
const FLUSH_MS = 2000;
/** Maximum wait for what is stored, before continuing without it. */
const CLAIM_MS = 3000;
/** How many statuses are applied without a pause. */
const AT_ONCE = 20;
/** The version of a row that only asks for what is stored. */
const ASKS = -1;

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

/** Creates it. Reads and writes nothing before the first change or look. */
export function createStatusExchange(deps: Deps): StatusExchange {
	const { own, machine, sharedIds, sessions, databaseClock, push, onNews, onFailure, clock, after } = deps;
	const versions = createStatusVersions(deps);
	const pin = createSharedPin(deps);
	/** Accounts whose status may be new to the database. */
	const due = new Set<AccountId>();
	/** Those of `due` that others need to know at once. A thousand others may be due, and wait. */
	const urgent = new Set<AccountId>();
	/**
	 * Accounts to compare again after a while. Another process of this machine will probably write their changes, and a
	 * change whose file is being written may be seen twice for a moment.
	 */
	const left = new Set<AccountId>();
	/** Accounts whose stored status must be read again, although it was seen before. */
	const unsure = new Set<AccountId>();
	let cancel: (() => void) | undefined;
	let cancelLeft: (() => void) | undefined;
	let cancelPresence: (() => void) | undefined;
	let running: Promise<void> | undefined;
	let rounds = 0;
	let retryMs = 0;
	/** What the database knows of this process's sessions, and since when. */
	let told: { readonly sessions: string; readonly at: number } | undefined;
	let isPresenceDue = false;
	let hasEnded = false;
	let isClosed = false;
	/** True if an urgent change may bring the next run forward. */
	let isCollecting = false;
	/** True if an urgent change came while a run was under way. */
	let isHurried = false;

	const runIn = (ms: number) => {
		cancel?.();
		isCollecting = false;
		if (isClosed) return;
		cancel = after(ms, () => {
			cancel = undefined;
			void run();
		});
	};
	/** While the database is unreachable, a change does not shorten the pause. */
	const runSoon = (isUrgent = true) => {
		if (running || (cancel && !(isUrgent && isCollecting))) return;
		runIn(isUrgent ? COLLECT_MS : COLLECT_SLOWLY_MS);
		isCollecting = !isUrgent;
	};
	const leave = (id: AccountId) => {
		left.add(id);
		cancelLeft ??= after(OTHERS_FIRST_MS, () => {
			cancelLeft = undefined;
			for (const each of left) due.add(each);
			left.clear();
			runSoon();
		});
	};

	const presenceOf = (): Push["presence"] => {
		if (!isPresenceDue) return undefined;
		return hasEnded ? "gone" : { machine: machine(), sessions: sessions() };
	};
	const presenceTold = (presence: NonNullable<Push["presence"]>) => {
		isPresenceDue = false;
		cancelPresence?.();
		cancelPresence = undefined;
		told = presence === "gone" ? undefined : { sessions: JSON.stringify(presence.sessions), at: clock.now() };
		if (presence === "gone" || Object.keys(presence.sessions).length === 0) return;
		cancelPresence = after(PRESENT_EACH_MS, () => {
			isPresenceDue = true;
			runSoon();
		});
	};

	/** Returns the rows of a statement: statuses that are new there, and questions for those never seen. */
	const rowsFor = (ids: readonly AccountId[], aheadMs: number | undefined): readonly SharedStatus[] =>
		ids.flatMap((id) => {
			if (unsure.has(id) || versions.isUnseen(id)) return [{ id, version: ASKS, status: null }];
			return (aheadMs === undefined ? undefined : versions.toStore(id, aheadMs)) ?? [];
		});

	/** Returns true if others were faster with one of the rows. */
	const takePushed = (rows: readonly SharedStatus[], { written, others }: Pushed, usedMs: number, aheadMs: number) => {
		let [isNews, wasLate] = [false, false];
		const stored = new Map(others.map((other) => [other.id, other]));
		for (const row of rows) {
			const version = written.get(row.id);
			const other = stored.get(row.id);
			if (version !== undefined) {
				versions.wasStored(row, version, usedMs);
				leave(row.id);
			} else if (other) {
				const isLate = row.version !== ASKS;
				isNews = versions.take(other, aheadMs, isLate).isNewsHere || isNews;
				wasLate ||= isLate;
				unsure.delete(row.id);
				due.add(row.id);
			} else if (row.version === ASKS) {
				versions.isUnstored(row.id);
				unsure.delete(row.id);
				due.add(row.id);
			} else {
				// The account was taken out of the pool.
				versions.forget(row.id);
			}
		}
		if (isNews) onNews();
		return wasLate;
	};

	/** Runs one statement. Returns true if others were faster and it must be repeated. */
	const pushOnce = async (): Promise<boolean> => {
		const shared = new Set(sharedIds());
		const first = [...due].filter((id) => urgent.has(id));
		const all = [...new Set([...first, ...due])].filter((id) => shared.has(id));
		const [ids, rest] = [all.slice(0, MOST_STATUSES), all.slice(MOST_STATUSES)];
		const aheadMs = databaseClock.aheadMs();
		const rows = rowsFor(ids, aheadMs);
		const [presence, pinned] = [presenceOf(), pin.toStore()];
		due.clear();
		for (const id of rest) due.add(id);
		const isUnmeasured = aheadMs === undefined && ids.length > 0;
		if (rows.length === 0 && !presence && !pinned && !isUnmeasured) return false;
		try {
			const began = clock.now();
			const pushed = await push({ process: own, statuses: rows, presence, pin: pinned });
			const measuredMs = databaseClock.measure(pushed.now, (began + clock.now()) / 2);
			if (isUnmeasured) for (const id of ids) due.add(id);
			const wasLate = takePushed(rows, pushed, aheadMs ?? measuredMs, measuredMs);
			for (const id of urgent) if (!due.has(id)) urgent.delete(id);
			if (presence) presenceTold(presence);
			const isPinLate = pushed.pin !== undefined && pin.wasPushed(pushed.pin);
			return wasLate || isPinLate;
		} catch (error) {
			for (const id of ids) due.add(id);
			throw error;
		}
	};

	const runOnce = async () => {
		try {
			const wasLate = await pushOnce();
			retryMs = 0;
			rounds = wasLate ? rounds + 1 : 0;
			// Randomize the pauses, so that two processes that collided do not collide again.
			if (wasLate && rounds <= MOST_ROUNDS) runIn(ROUND_MS * 2 ** rounds * Math.random());
			else if (wasLate) {
				runIn(BUSY_MS * (1 + Math.random()));
				isCollecting = true;
			} else if (due.size > 0) runIn(0);
		} catch (error) {
			if (!(error instanceof PoolProblem)) onFailure(error);
			retryMs = Math.min(Math.max(2 * retryMs, FIRST_RETRY_MS), LONGEST_RETRY_MS);
			runIn(retryMs);
		}
	};
	const run = (): Promise<void> => {
		if (running) return running;
		isHurried = false;
		running = runOnce().finally(() => {
			running = undefined;
			if ((due.size > 0 || isPresenceDue || pin.toStore()) && (isHurried || !cancel)) runSoon();
		});
		return running;
	};
	/** Writes at once what is due, until `isDone` or the database turns out to be unreachable. */
	const drain = async (isDone: () => boolean) => {
		for (let tries = 0; tries <= MOST_ROUNDS && !isDone(); tries += 1) {
			await running;
			cancel?.();
			cancel = undefined;
			await run();
			if (retryMs > 0) return;
		}
	};
	/** Does the same for one account, unless the database is known to be unreachable. */
	const drainNow = async (id: AccountId) => {
		if (retryMs > 0 || isClosed) return;
		due.add(id);
		urgent.add(id);
		const isDone = () => !due.has(id) && running === undefined;
		await within(drain(isDone), CLAIM_MS, () => undefined);
	};
	const flush = async () => {
		for (const id of left) due.add(id);
		left.clear();
		if (due.size > 0) runSoon();
		await within(
			drain(() => !running && !cancel),
			FLUSH_MS,
			() => undefined,
		);
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
				leave(each.id);
			}
			for (const id of versions.unstored()) leave(id);
			for (const id of look.gone) {
				versions.forget(id);
				// No other machine pins it now, so the pin would be this machine's alone.
				if (deps.state.pin() === id) void deps.state.setPin(undefined);
			}
			isNews = pin.take(look.pin) || isNews;
			if (!hasEnded && (told === undefined || clock.now() - told.at >= PRESENT_EACH_MS)) isPresenceDue = true;
			// The database is back, so nothing has to wait for it any longer.
			if (retryMs > 0) runIn(0);
			else if (due.size > 0 || isPresenceDue || pin.toStore()) runSoon();
			if (isNews) onNews();
		},
		changed: (id, isUrgent = true) => {
			due.add(id);
			left.delete(id);
			if (isUrgent) {
				urgent.add(id);
				isHurried = true;
				rounds = 0;
			}
			runSoon(isUrgent);
		},
		pinMoved: (before, to) => {
			if (pin.moved(before, to)) runSoon();
		},
		sessionsChanged: () => {
			if ((told?.sessions ?? "{}") === JSON.stringify(sessions())) return;
			isPresenceDue = true;
			runSoon();
		},
		refresh: (id) => {
			if (retryMs === 0) unsure.add(id);
			return drainNow(id);
		},
		store: drainNow,
		flush,
		end: async () => {
			hasEnded = true;
			isPresenceDue = told !== undefined;
			if (isPresenceDue) runSoon();
			await flush();
			isClosed = true;
			for (const stop of [cancel, cancelLeft, cancelPresence]) stop?.();
		},
	};
}
