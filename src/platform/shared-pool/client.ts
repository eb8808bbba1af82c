import { raceAbort } from "../../core/abort.ts";
import { codeOf } from "../files/errors.ts";
import { type ClientTimes, type DriverConnection, openConnection, type Sql } from "./driver.ts";
import { nextServer, type PoolUrl } from "./pool-url.ts";
import { toPoolProblem } from "./problems.ts";
import { PoolProblem } from "./types.ts";

/** One connection to the database. It is opened when needed and closed when idle. */
export interface Client {
	/**
	 * Runs statements. Rejects only with a `PoolProblem`, after `statementMs` at the latest, or with the reason of
	 * `signal` as soon as that fires. The statement may have been executed anyway.
	 */
	run<T>(act: (sql: Sql) => Promise<T>, signal?: AbortSignal): Promise<T>;
	/** Returns the URL, with the server in the first place that takes changes, as far as that is known. */
	url(): PoolUrl;
	/** Closes the connection at once. A later {@link run} rejects. */
	end(): Promise<void>;
}

/** How often a statement is tried if the server had to abort it for another one. */
const TRIES = 4;
/** Serialization failure and deadlock. Nothing was done. */
const GIVEN_UP = new Set(["40001", "40P01"]);
/**
 * Read-only, or not ready: the server of a pair that is not in charge, as after a failover. Nothing was done, and
 * another server of the URL may do it.
 */
const ELSEWHERE = new Set(["25006", "57P03"]);
/**
 * Codes with which the driver rejects what waits for a connection that could not be made. The real reason is known
 * elsewhere.
 */
const LEFT_BEHIND = new Set(["CONNECTION_DESTROYED", "CONNECTION_ENDED"]);

export function createClient(url: PoolUrl, times: ClientTimes): Client {
	let connection: DriverConnection | undefined;
	let ordered = url;
	let isEnded = false;
	/** Number of statements without an answer, by connection. */
	const running = new Map<DriverConnection, number>();
	let idle: NodeJS.Timeout | undefined;

	/** Leaves a connection to its last statement, and closes it then. The next statement opens another one. */
	const leave = (former: DriverConnection) => {
		if (connection === former) connection = undefined;
		if (!running.has(former)) void former.close();
	};
	const begun = (on: DriverConnection) => {
		clearTimeout(idle);
		running.set(on, (running.get(on) ?? 0) + 1);
	};
	const answered = (on: DriverConnection) => {
		const left = (running.get(on) ?? 1) - 1;
		if (left > 0) return void running.set(on, left);
		running.delete(on);
		if (on !== connection) void on.close();
		else if (!isEnded) idle = setTimeout(() => leave(on), times.idleMs);
	};
	const once = async <T>(act: (sql: Sql) => Promise<T>, signal: AbortSignal | undefined): Promise<T> => {
		signal?.throwIfAborted();
		if (!connection || connection.isOver()) connection = openConnection(ordered, times);
		const [mine, tried] = [connection, ordered];
		begun(mine);
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(() => reject(Object.assign(new Error("late"), { code: "ETIMEDOUT" })), times.statementMs);
		});
		try {
			return await raceAbort(Promise.race([mine.sql.then(act), late]), signal);
		} catch (error) {
			if (signal?.aborted) {
				// The next statement would wait behind this one. Others on the connection may continue.
				leave(mine);
				throw signal.reason;
			}
			if (ELSEWHERE.has(codeOf(error) ?? "") && url.hosts.length > 1) {
				// Another statement may have found that out already.
				if (ordered === tried) ordered = nextServer(tried);
				leave(mine);
			}
			if (isAnswer(error)) throw error;
			await mine.close();
			throw (LEFT_BEHIND.has(codeOf(error) ?? "") && mine.failure()) || error;
		} finally {
			clearTimeout(timer);
			answered(mine);
		}
	};
	return {
		run: async (act, signal) => {
			let servers = 1;
			for (let attempt = 1; ; attempt += 1) {
				if (isEnded) throw toPoolProblem(Object.assign(new Error("ended"), { code: "CONNECTION_ENDED" }), url.place);
				try {
					return await once(act, signal);
				} catch (error) {
					if (signal?.aborted) throw signal.reason;
					if (ELSEWHERE.has(codeOf(error) ?? "") && servers < url.hosts.length) {
						servers += 1;
						continue;
					}
					if (attempt >= TRIES || !GIVEN_UP.has(codeOf(error) ?? "")) throw toPoolProblem(error, url.place);
				}
			}
		},
		url: () => ordered,
		end: async () => {
			isEnded = true;
			clearTimeout(idle);
			await Promise.all([...new Set([connection, ...running.keys()])].map((each) => each?.close()));
		},
	};
}

/** True if the server answered on a connection that still works, or if an answer showed why the pool cannot be used. */
function isAnswer(error: unknown): boolean {
	return error instanceof PoolProblem || (error instanceof Error && "severity" in error && error.severity === "ERROR");
}
