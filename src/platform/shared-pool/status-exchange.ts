import { setImmediate } from "node:timers/promises";
import { within } from "../../core/abort.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Clock, StateStore } from "../../core/ports.ts";
import type { DatabaseClock } from "./database-clock.ts";
import { createSharedPin } from "./shared-pin.ts";
import { createStatusVersions } from "./status-versions.ts";
import { type Look, PoolProblem, type Push, type Pushed, type SharedStatus } from "./types.ts";

/** Runs later, unless the function that it gives is called before. */
export type After = (ms: number, run: () => void) => () => void;

/** Changes of one moment are one statement. */
const COLLECT_MS = 200;
/**
 * So are those of one turn that others need not know at once; ahead of the write of the file, which notes the version.
 */
const COLLECT_SLOWLY_MS = 600;
/**
 * What this machine knows more than the database is written after this long, unless the process that knows it does so.
 */
const OTHERS_FIRST_MS = 3000;
/** A process writes its presence again after this long. */
const PRESENT_EACH_MS = 60_000;
/** Of one statement. */
const MOST_STATUSES = 100;
/** So often in a row others may be quicker, with a pause that is doubled each time. */
const MOST_ROUNDS = 6;
const ROUND_MS = 20;
const BUSY_MS = 5000;
/** While the database is away. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;
/** The end of a session waits no longer for the database. */
const FLUSH_MS = 2000;
/** Nor does what has to know what is stored, before it goes on without. */
const CLAIM_MS = 3000;
/** So many statuses are taken in without a pause. */
const AT_ONCE = 20;
/** A row of this version asks for what is stored. */
const ASKS = -1;

interface Deps {
	readonly poolId: string;
	/** Of this run of the process. */
	readonly own: string;
	readonly machine: () => string;
	/** The state file of this machine. What is written to it here is not pushed. */
	readonly state: StateStore;
	readonly isShared: (id: AccountId) => boolean;
	readonly sharedIds: () => readonly AccountId[];
	/** How many sessions of this process are at work on each shared account. */
	readonly sessions: () => Readonly<Record<AccountId, number>>;
	readonly databaseClock: DatabaseClock;
	readonly push: (push: Push) => Promise<Pushed>;
	/** Hears of it when another machine has changed something here. */
	readonly onNews: () => void;
	readonly onFailure: (error: unknown) => void;
	readonly clock: Clock;
	readonly after: After;
}

/** What this process has to tell the other machines of a pool, and what it hears from them. Nothing here throws. */
export interface StatusExchange {
	/** The versions of the statuses that this machine has; a look asks for all others. */
	known(): ReadonlyMap<AccountId, number>;
	/** Takes in a look, once its accounts are known here. Gives way to others in between where it has brought a lot. */
	take(look: Look): Promise<void>;
	/** This process has changed the status of a shared account; `isUrgent`: others need to know it at once. */
	changed(id: AccountId, isUrgent?: boolean): void;
	/** A person has moved the pin. */
	pinMoved(before: AccountId | undefined, after: AccountId | undefined): void;
	/** Sessions of this process have begun or ended their work on shared accounts. */
	sessionsChanged(): void;
	/** Takes in what is stored of an account now. Bounded, and resolves also where the database is away. */
	refresh(id: AccountId): Promise<void>;
	/** Writes the status of an account now, joined with what others have written meanwhile. Bounded, as `refresh` is. */
	store(id: AccountId): Promise<void>;
	/** Writes what is due now. Bounded, and resolves also where the database is away. */
	flush(): Promise<void>;
	/** Writes what is due, and takes this process out of the presences. */
	end(): Promise<void>;
}

/** Creates it. Nothing is asked or written before the first change, or the first look. */
export function createStatusExchange(deps: Deps): StatusExchange {
	const { own, machine, isShared, sessions, databaseClock, push, onNews, onFailure, clock, after } = deps;
	const versions = createStatusVersions(deps);
	const pin = createSharedPin(deps);
	/** Accounts whose status may be news for the database. */
	const due = new Set<AccountId>();
	/**
	 * Accounts to compare once more in a while: another process of this machine is likely to write what is news there,
	 * and a change whose file is being written may be seen twice for a moment.
	 */
	const left = new Set<AccountId>();
	/** Accounts of which it has to be asked what is stored, although that was seen before. */
	const unsure = new Set<AccountId>();
	let cancel: (() => void) | undefined;
	let cancelLeft: (() => void) | undefined;
	let cancelPresence: (() => void) | undefined;
	let running: Promise<void> | undefined;
	let rounds = 0;
	let retryMs = 0;
	/** What the database has of the sessions of this process, and since when. */
	let told: { readonly sessions: string; readonly at: number } | undefined;
	let isPresenceDue = false;
	let hasEnded = false;
	let isClosed = false;
	/** Is the next run one that an urgent change may make sooner? */
	let isCollecting = false;

	const runIn = (ms: number) => {
		cancel?.();
		isCollecting = false;
		if (isClosed) return;
		cancel = after(ms, () => {
			cancel = undefined;
			void run();
		});
	};
	/** While the database is away, a change does not make the pause shorter. */
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

	/** The rows of a statement: statuses that are news there, and questions for those that were not seen yet. */
	const rowsFor = (ids: readonly AccountId[], aheadMs: number | undefined): readonly SharedStatus[] =>
		ids.flatMap((id) => {
			if (unsure.has(id) || versions.isUnseen(id)) return [{ id, version: ASKS, status: null }];
			return (aheadMs === undefined ? undefined : versions.toStore(id, aheadMs)) ?? [];
		});

	/** True where others were quicker with one of the rows. */
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
				// It was taken out of the pool.
				versions.forget(row.id);
			}
		}
		if (isNews) onNews();
		return wasLate;
	};

	/** Makes one statement. True where others were quicker, so that it has to be made again. */
	const pushOnce = async (): Promise<boolean> => {
		const ids = [...due].filter(isShared).slice(0, MOST_STATUSES);
		const rest = [...due].filter((id) => isShared(id) && !ids.includes(id));
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
			// The pauses differ, so that of two processes that met one is alone the next time.
			if (wasLate && rounds <= MOST_ROUNDS) runIn(ROUND_MS * 2 ** rounds * Math.random());
			else if (wasLate) runIn(BUSY_MS * (1 + Math.random()));
			else if (due.size > 0) runIn(0);
		} catch (error) {
			if (!(error instanceof PoolProblem)) onFailure(error);
			retryMs = Math.min(Math.max(2 * retryMs, FIRST_RETRY_MS), LONGEST_RETRY_MS);
			runIn(retryMs);
		}
	};
	const run = (): Promise<void> => {
		running ??= runOnce().finally(() => {
			running = undefined;
			if (due.size > 0 || isPresenceDue || pin.toStore()) runSoon();
		});
		return running;
	};
	/** Writes at once what is due, until `isDone`, or the database turns out to be away. */
	const drain = async (isDone: () => boolean) => {
		for (let tries = 0; tries <= MOST_ROUNDS && !isDone(); tries += 1) {
			await running;
			cancel?.();
			cancel = undefined;
			await run();
			if (retryMs > 0) return;
		}
	};
	/** Does the same for one account, unless the database is known to be away. */
	const drainNow = async (id: AccountId) => {
		if (retryMs > 0 || isClosed) return;
		due.add(id);
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
			for (const [at, each] of look.statuses.filter(({ id }) => isShared(id)).entries()) {
				if (at > 0 && at % AT_ONCE === 0) await setImmediate();
				isNews = versions.take(each, aheadMs).isNewsHere || isNews;
				leave(each.id);
			}
			for (const id of versions.unstored()) leave(id);
			for (const id of look.gone) {
				versions.forget(id);
				// Pinned nowhere else, it would be the pin of this machine alone.
				if (deps.state.pin() === id) void deps.state.setPin(undefined);
			}
			isNews = pin.take(look.pin) || isNews;
			if (!hasEnded && (told === undefined || clock.now() - told.at >= PRESENT_EACH_MS)) isPresenceDue = true;
			// The database is there: what waits for it need wait no longer.
			if (retryMs > 0) runIn(0);
			else if (due.size > 0 || isPresenceDue || pin.toStore()) runSoon();
			if (isNews) onNews();
		},
		changed: (id, isUrgent = true) => {
			due.add(id);
			left.delete(id);
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
