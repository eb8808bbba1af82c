import { within } from "../../core/abort.ts";
import { PoolProblem } from "./types.ts";

/** Runs something later, unless the returned function is called first. */
export type After = (ms: number, run: () => void) => () => void;

/** Changes within this time share one statement. */
const COLLECT_MS = 200;
/**
 * The same for changes of one turn that other machines need not know at once. Earlier than the file is written, which
 * records the version.
 */
const COLLECT_SLOWLY_MS = 600;
/** How often in a row other processes may be faster, with a pause that doubles each time. */
const MOST_ROUNDS = 6;
const ROUND_MS = 20;
const BUSY_MS = 5000;
/** Pauses while the database is unreachable. */
const FIRST_RETRY_MS = 1000;
const LONGEST_RETRY_MS = 60_000;

interface Deps {
	/** Runs one statement. Resolves to true if others were faster and it must be repeated. */
	readonly push: () => Promise<boolean>;
	/** True if a push has left statuses, which did not fit into its statement. */
	readonly isMore: () => boolean;
	/** True if there is anything to push. */
	readonly isDue: () => boolean;
	readonly after: After;
	readonly onFailure: (error: unknown) => void;
}

/** Decides when this process pushes. One push runs at a time. */
interface PushSchedule {
	/** Pushes soon. `isUrgent` brings forward a push that only waits for further changes. */
	soon(isUrgent?: boolean): void;
	/** Pushes soon, also if others were faster again and again, or if a push is under way. */
	hurry(): void;
	/** Pushes at once, since the database is back. Returns false if no push was waiting for that. */
	resume(): boolean;
	/** False while the database is known to be unreachable, and once this has ended. */
	canPush(): boolean;
	/**
	 * Pushes at once until no push is under way and `isDone`, or the database turns out to be unreachable. Without
	 * `isDone`, until no push is planned. Bounded.
	 */
	drain(longestMs: number, isDone?: () => boolean): Promise<void>;
	/** Ends it. Nothing is pushed afterwards. */
	stop(): void;
}

/** Creates the schedule. Nothing is pushed before the first call. */
export function createPushSchedule({ push, isMore, isDue, after, onFailure }: Deps): PushSchedule {
	let cancel: (() => void) | undefined;
	let running: Promise<void> | undefined;
	let rounds = 0;
	let retryMs = 0;
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
	const soon = (isUrgent = true) => {
		if (running || (cancel && !(isUrgent && isCollecting))) return;
		runIn(isUrgent ? COLLECT_MS : COLLECT_SLOWLY_MS);
		isCollecting = !isUrgent;
	};
	const runOnce = async () => {
		try {
			const wasLate = await push();
			retryMs = 0;
			rounds = wasLate ? rounds + 1 : 0;
			// Randomize the pauses, so that two processes that collided do not collide again.
			if (wasLate && rounds <= MOST_ROUNDS) runIn(ROUND_MS * 2 ** rounds * Math.random());
			else if (wasLate) {
				runIn(BUSY_MS * (1 + Math.random()));
				isCollecting = true;
			} else if (isMore()) runIn(0);
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
			if (isDue() && (isHurried || !cancel)) soon();
		});
		return running;
	};
	const drainUntil = async (isDone: () => boolean) => {
		for (let tries = 0; tries <= MOST_ROUNDS && (running || !isDone()); tries += 1) {
			await running;
			cancel?.();
			cancel = undefined;
			await run();
			if (retryMs > 0) return;
		}
	};

	return {
		soon,
		hurry: () => {
			isHurried = true;
			rounds = 0;
			soon();
		},
		resume: () => {
			if (retryMs === 0) return false;
			runIn(0);
			return true;
		},
		canPush: () => retryMs === 0 && !isClosed,
		drain: (longestMs, isDone = () => cancel === undefined) => within(drainUntil(isDone), longestMs, () => undefined),
		stop: () => {
			isClosed = true;
			cancel?.();
		},
	};
}
