import { raceAbort } from "../../core/abort.ts";
import type { PoolListener } from "../../core/events.ts";
import type { Clock } from "../../core/ports.ts";
import { type Asker, type PoolDatabase, PoolProblem, type PoolProblemKind } from "./types.ts";

/** Access to the pool's database, and the problem that prevents it. */
export interface Connection {
	/**
	 * Runs statements. Rejects with a {@link PoolProblem}; at once while the database is unreachable and the next try is
	 * not due, unless a person asks. Rejects with the reason of that person's signal as soon as it fires.
	 */
	use<T>(work: (database: PoolDatabase) => Promise<T>, asker?: Asker): Promise<T>;
	/** Returns why the database cannot be used, and since when, epoch ms; undefined while it can. */
	away(): { readonly problem: PoolProblem; readonly since: number } | undefined;
	/** Returns when the database may be tried again, epoch ms. */
	nextTryAt(): number;
	/** Closes the connection. A later use opens it again. */
	rest(): Promise<void>;
}

interface Deps {
	/** Loads the client. The first statement connects. */
	readonly open: () => Promise<PoolDatabase>;
	readonly clock: Clock;
	readonly tell: PoolListener;
}

const FIRST_PAUSE_MS = 1000;
const LONGEST_PAUSE_MS = 60_000;
/** Problems that only prevent changes. Everything can still be read. */
const OF_CHANGES: ReadonlySet<PoolProblemKind> = new Set(["no-rights", "read-only", "full"]);

/** Creates the connection. Loads and connects nothing before the first use. */
export function createConnection({ open, clock, tell }: Deps): Connection {
	let database: Promise<PoolDatabase> | undefined;
	let away: { readonly problem: PoolProblem; readonly since: number } | undefined;
	/** How often the connection was closed. */
	let times = 0;
	let pauseMs = 0;
	let nextTryAt = 0;
	const told = new Set<PoolProblemKind>();

	const failed = (problem: PoolProblem) => {
		if (OF_CHANGES.has(problem.kind)) {
			if (!told.has(problem.kind)) tell({ type: "warning", text: problem.message });
			told.add(problem.kind);
			return;
		}
		const isNews = away === undefined;
		away = { problem, since: away?.since ?? clock.now() };
		pauseMs = Math.min(Math.max(pauseMs * 2, FIRST_PAUSE_MS), LONGEST_PAUSE_MS);
		nextTryAt = clock.now() + pauseMs;
		if (isNews) tell({ type: "pool-away", problem: problem.kind, text: problem.message, since: away.since });
	};
	const succeeded = () => {
		pauseMs = 0;
		if (!away) return;
		const { since } = away;
		away = undefined;
		tell({ type: "pool-back", since });
	};
	const opened = () => {
		database ??= open().catch((error: unknown) => {
			database = undefined;
			throw error;
		});
		return database;
	};

	return {
		use: async (work, asker) => {
			// If the clock was set back, do not lengthen the pause.
			const leftMs = nextTryAt - clock.now();
			if (away && !asker && leftMs > 0 && leftMs <= LONGEST_PAUSE_MS) throw away.problem;
			const ofThisTime = times;
			try {
				const whole = await raceAbort(opened(), asker?.signal);
				const result = await work(asker?.signal ? whole.until(asker.signal) : whole);
				succeeded();
				return result;
			} catch (error) {
				// A statement that we cut off by closing the connection is no problem of the database.
				if (error instanceof PoolProblem && ofThisTime === times) failed(error);
				throw error;
			}
		},
		away: () => away,
		nextTryAt: () => (away ? nextTryAt : clock.now()),
		rest: async () => {
			const closing = database;
			database = undefined;
			times += 1;
			// A connection that never opened needs no closing. One that cannot be closed ends with the process.
			await closing?.then((each) => each.end()).catch(() => undefined);
		},
	};
}
