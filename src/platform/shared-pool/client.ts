import { codeOf } from "../files/errors.ts";
import { type ClientTimes, type DriverConnection, openConnection, type Sql } from "./driver.ts";
import type { PoolUrl } from "./pool-url.ts";
import { toPoolProblem } from "./problems.ts";
import { PoolProblem } from "./types.ts";

/** One connection to the database. It is opened when needed and closed when idle. */
export interface Client {
	/** Runs statements. Rejects only with a `PoolProblem`, after `statementMs` at the latest. */
	run<T>(act: (sql: Sql) => Promise<T>): Promise<T>;
	/** Closes the connection at once. A later {@link run} rejects. */
	end(): Promise<void>;
}

/** How often a statement is tried if the server had to abort it for another one. */
const TRIES = 4;
/** Serialization failure and deadlock. Nothing was done. */
const GIVEN_UP = new Set(["40001", "40P01"]);
/**
 * Codes with which the driver rejects what waits for a connection that could not be made. The real reason is known
 * elsewhere.
 */
const LEFT_BEHIND = new Set(["CONNECTION_DESTROYED", "CONNECTION_ENDED"]);

export function createClient(url: PoolUrl, times: ClientTimes): Client {
	let connection: DriverConnection | undefined;
	let isEnded = false;
	/** Number of statements without an answer. */
	let running = 0;
	let idle: NodeJS.Timeout | undefined;

	/** Closes the present connection. The next statement opens another one. */
	const rest = () => {
		const former = connection;
		connection = undefined;
		void former?.close();
	};
	const once = async <T>(act: (sql: Sql) => Promise<T>): Promise<T> => {
		if (!connection || connection.isOver()) connection = openConnection(url, times);
		const mine = connection;
		clearTimeout(idle);
		running += 1;
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(() => reject(Object.assign(new Error("late"), { code: "ETIMEDOUT" })), times.statementMs);
		});
		try {
			return await Promise.race([mine.sql.then(act), late]);
		} catch (error) {
			if (isAnswer(error)) throw error;
			await mine.close();
			throw (LEFT_BEHIND.has(codeOf(error) ?? "") && mine.failure()) || error;
		} finally {
			clearTimeout(timer);
			running -= 1;
			if (running === 0 && !isEnded) idle = setTimeout(rest, times.idleMs);
		}
	};
	return {
		run: async (act) => {
			for (let attempt = 1; ; attempt += 1) {
				if (isEnded) throw toPoolProblem(Object.assign(new Error("ended"), { code: "CONNECTION_ENDED" }), url.place);
				try {
					return await once(act);
				} catch (error) {
					if (attempt === TRIES || !GIVEN_UP.has(codeOf(error) ?? "")) throw toPoolProblem(error, url.place);
				}
			}
		},
		end: async () => {
			isEnded = true;
			clearTimeout(idle);
			await connection?.close();
		},
	};
}

/** True if the server answered on a connection that still works, or if an answer showed why the pool cannot be used. */
function isAnswer(error: unknown): boolean {
	return error instanceof PoolProblem || (error instanceof Error && "severity" in error && error.severity === "ERROR");
}
