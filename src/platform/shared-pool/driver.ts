import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type postgres from "postgres";
import { dial } from "./dial.ts";
import type { PoolUrl } from "./pool-url.ts";

export type Sql = postgres.Sql;

/** The driver ends at once where all is well. */
const CLOSING_MS = 2000;

/** How long things may take. */
export interface ClientTimes {
	/** Until a connection stands. */
	readonly connectMs: number;
	/** Until a statement is answered, from its first byte on, the connecting included. */
	readonly statementMs: number;
	/** Until a connection without use is closed. */
	readonly idleMs: number;
}

/**
 * The driver on one connection, which is made when it is used first. Once that is over, so is this: where the driver
 * connects again by itself, a statement of before may be handed the answer to a statement of after.
 */
export interface DriverConnection {
	readonly sql: Promise<Sql>;
	/** Resolves when no statement is answered any more. */
	readonly over: Promise<void>;
	isOver(): boolean;
	/** Why it could not be made; undefined where it could. */
	failure(): unknown;
	/** Ends it at once, and rejects what is not answered yet. */
	close(): Promise<void>;
}

export function openConnection(url: PoolUrl, times: ClientTimes): DriverConnection {
	const ending = new AbortController();
	const { signal } = ending;
	let tellOver = (): void => undefined;
	const over = new Promise<void>((resolve) => {
		tellOver = resolve;
	});
	let socket: Promise<Socket> | undefined;
	let failure: unknown;
	const end = () => {
		ending.abort();
		tellOver();
	};
	/** One socket, and no second one. A driver that is given none would wait for ever: it is given one that fails. */
	const onlySocket = async (): Promise<Socket> => {
		if (signal.aborted || socket) return broken(failure ?? ofCode("CONNECTION_ENDED"));
		socket = dial(url, { timeoutMs: times.connectMs, signal });
		try {
			const made = await socket;
			if (signal.aborted) {
				made.destroy();
				return broken(ofCode("CONNECTION_ENDED"));
			}
			// Before the driver, whose statements reject by these events.
			made.once("error", end).once("close", end);
			// The driver takes an end without an error for one that may be waited out.
			made.once("end", () => made.destroy(ofCode("ECONNRESET")));
			return made;
		} catch (error) {
			failure = error;
			end();
			return broken(error);
		}
	};
	const sql = load(optionsOf(url, times, onlySocket));
	const shut = async () => {
		const driver = await sql;
		const made = await socket?.catch(() => undefined);
		made?.destroy();
		await driver.end({ timeout: 0 });
	};
	let shutting: Promise<void> | undefined;
	const close = () => {
		end();
		// Without the package there is nothing to close, as the statement has found out. A driver that does not end has no
		// socket by then, and nothing waits for it.
		shutting ??= Promise.race([shut().catch(() => undefined), pause(CLOSING_MS, undefined, { ref: false })]);
		return shutting;
	};
	// Statements that are still in a queue are rejected, too.
	void over.then(close);
	sql.catch(end);
	return { sql, over, isOver: () => signal.aborted, failure: () => failure, close };
}

/** Who has no shared pool never loads the driver. */
async function load(options: Options): Promise<Sql> {
	const { default: connect } = await import("postgres");
	return connect(options);
}

type Options = postgres.Options<Record<string, never>> & { readonly socket: () => Promise<Socket> };

function optionsOf(url: PoolUrl, times: ClientTimes, socket: () => Promise<Socket>): Options {
	return {
		host: "database",
		port: 5432,
		user: url.user,
		password: url.password,
		database: url.database,
		// The socket has seen to it.
		ssl: false,
		socket,
		max: 1,
		// The client closes it: what the driver takes in meanwhile would wait for another connection.
		idle_timeout: undefined,
		connect_timeout: times.connectMs / 1000,
		max_lifetime: null,
		// Who uses the connection makes its own pauses. Those of the driver grow to 20 s, in which statements wait.
		backoff: () => 1,
		// A pooler may hand each statement to another connection of the server.
		prepare: false,
		fetch_types: false,
		connection: { ...url.parameters },
		onnotice: () => undefined,
	};
}

/** A socket that fails with `error` as soon as its listeners are there. */
function broken(error: unknown): Socket {
	const socket = new Socket();
	setImmediate(() => socket.destroy(error instanceof Error ? error : ofCode("ECONNRESET")));
	return socket;
}

function ofCode(code: string): Error {
	return Object.assign(new Error(code), { code });
}
