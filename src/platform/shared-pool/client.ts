import { Socket } from "node:net";
import type postgres from "postgres";
import { codeOf } from "../errors.ts";
import { dial } from "./dial.ts";
import type { PoolUrl } from "./pool-url.ts";
import { toPoolProblem } from "./problems.ts";
import { PoolProblem } from "./types.ts";

export type Sql = postgres.Sql;

/** How long things may take. */
export interface ClientTimes {
	/** Until a connection stands. */
	readonly connectMs: number;
	/** Until a statement is answered, from its first byte on, the connecting included. */
	readonly statementMs: number;
	/** Until a connection without use is closed. */
	readonly idleMs: number;
}

/** One connection to the database, which is opened when it is used and closed when it is not. */
export interface Client {
	/** Runs statements. Rejects with a `PoolProblem` alone, at the latest when `statementMs` are over. */
	run<T>(act: (sql: Sql) => Promise<T>): Promise<T>;
	/** Closes the connection at once. A later {@link run} rejects. */
	end(): Promise<void>;
}

/** How often a statement is tried where the server had to give it up for another one. */
const TRIES = 4;
/** Serialization failure and deadlock: nothing was done. */
const GIVEN_UP = new Set(["40001", "40P01"]);

export function createClient(url: PoolUrl, times: ClientTimes): Client {
	let opened: Promise<Opened> | undefined;
	let isEnded = false;

	const discard = async (of: Promise<Opened>): Promise<void> => {
		if (opened === of) opened = undefined;
		try {
			const { sql, sockets, close } = await of;
			close();
			for (const socket of sockets) socket.destroy();
			await sql.end({ timeout: 0 });
		} catch {
			// It was never opened: the package is missing, as the statement has found out, too.
		}
	};
	const once = async <T>(act: (sql: Sql) => Promise<T>): Promise<T> => {
		opened ??= open(url, times);
		const mine = opened;
		let timer: NodeJS.Timeout | undefined;
		const late = new Promise<never>((_, reject) => {
			timer = setTimeout(() => reject(Object.assign(new Error("late"), { code: "ETIMEDOUT" })), times.statementMs);
		});
		try {
			return await Promise.race([mine.then(({ sql }) => act(sql)), late]);
		} catch (error) {
			// The driver sends what comes next on a connection that has just failed, and waits for an answer.
			if (!isAnswer(error)) await discard(mine);
			throw error;
		} finally {
			clearTimeout(timer);
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
			if (opened === undefined) return;
			await discard(opened);
		},
	};
}

/** Did the server answer, on a connection that goes on? Or did an answer show what keeps the pool from being used? */
function isAnswer(error: unknown): boolean {
	return error instanceof PoolProblem || (error instanceof Error && "severity" in error && error.severity === "ERROR");
}

interface Opened {
	readonly sql: Sql;
	/** Those that are open, also where nobody waits for an answer any more. */
	readonly sockets: ReadonlySet<Socket>;
	/** From here on no connection stands up any more: the driver goes on with one that it was about to make. */
	close(): void;
}

async function open(url: PoolUrl, times: ClientTimes): Promise<Opened> {
	const { default: connect } = await import("postgres");
	const sockets = new Set<Socket>();
	let isClosed = false;
	const refused = () => broken(Object.assign(new Error("closed"), { code: "CONNECTION_ENDED" }));
	const options: postgres.Options<Record<string, never>> & { readonly socket: () => Promise<Socket> } = {
		host: "database",
		port: 5432,
		user: url.user,
		password: url.password,
		database: url.database,
		// `socket` below has seen to it.
		ssl: false,
		max: 1,
		idle_timeout: times.idleMs / 1000,
		connect_timeout: times.connectMs / 1000,
		max_lifetime: null,
		// Who uses the connection makes its own pauses. Those of the driver grow to 20 s, in which statements wait.
		backoff: (attempt) => Math.min(0.05 * 2 ** attempt, 1),
		// A pooler may hand each statement to another connection of the server.
		prepare: false,
		fetch_types: false,
		connection: { ...url.parameters },
		onnotice: () => undefined,
		socket: async () => {
			if (isClosed) return refused();
			const socket = await dial(url, times.connectMs).catch(broken);
			if (isClosed) {
				socket.destroy();
				return refused();
			}
			sockets.add(socket);
			socket.once("close", () => sockets.delete(socket));
			// The driver would connect again and again, at once and for ever, to a server that closes without a word.
			socket.once("end", () => socket.destroy(Object.assign(new Error("cut off"), { code: "ECONNRESET" })));
			return socket;
		},
	};
	const close = () => {
		isClosed = true;
	};
	return { sql: connect(options), sockets, close };
}

/**
 * A socket that fails with `error` as soon as its listeners are there: the driver waits for ever where none is handed
 * to it.
 */
function broken(error: Error): Socket {
	const socket = new Socket();
	setImmediate(() => socket.destroy(error));
	return socket;
}
