import { Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import type postgres from "postgres";
import { dial } from "./dial.ts";
import type { PoolUrl } from "./pool-url.ts";

export type Sql = postgres.Sql;

/** How long the driver may take to close. Normally it closes at once. */
const CLOSING_MS = 2000;

/** Time limits. */
export interface ClientTimes {
	/** Time to open a connection. */
	readonly connectMs: number;
	/** Time to answer a statement, including connecting. */
	readonly statementMs: number;
	/** Time until an unused connection is closed. */
	readonly idleMs: number;
}

/**
 * The driver on one connection, which is opened at first use. It is never reopened: when the driver reconnects by
 * itself, an earlier statement may receive the answer to a later one.
 */
export interface DriverConnection {
	readonly sql: Promise<Sql>;
	/** Resolves when no statement will be answered any more. */
	readonly over: Promise<void>;
	isOver(): boolean;
	/** Returns why the connection could not be opened; undefined if it could. */
	failure(): unknown;
	/** Closes the connection at once, and rejects unanswered statements. */
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
	/** Opens one socket, and never a second one. Given none, the driver would wait forever, so it gets one that fails. */
	const onlySocket = async (): Promise<Socket> => {
		if (signal.aborted || socket) return broken(failure ?? ofCode("CONNECTION_ENDED"));
		socket = dial(url, { timeoutMs: times.connectMs, signal });
		try {
			const made = await socket;
			if (signal.aborted) {
				made.destroy();
				return broken(ofCode("CONNECTION_ENDED"));
			}
			// Listen before the driver does, since its statements reject on these events.
			made.once("error", end).once("close", end);
			// The driver treats an end without an error as temporary, so turn it into an error.
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
		// Without the package there is nothing to close, and the statement has failed for that reason. A driver that does
		// not close has no socket by then, and nothing waits for it.
		shutting ??= Promise.race([shut().catch(() => undefined), pause(CLOSING_MS, undefined, { ref: false })]);
		return shutting;
	};
	// Reject queued statements as well.
	void over.then(close);
	sql.catch(end);
	return { sql, over, isOver: () => signal.aborted, failure: () => failure, close };
}

/** Loads the driver. Without a shared pool it is never loaded. */
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
		// The socket already uses TLS if required.
		ssl: false,
		socket,
		max: 1,
		// The client closes idle connections. Otherwise the driver could accept a statement and make it wait for another
		// connection.
		idle_timeout: undefined,
		connect_timeout: times.connectMs / 1000,
		max_lifetime: null,
		// Our callers pause by themselves. The driver's pauses grow to 20 s, while statements wait.
		backoff: () => 1,
		// A pooler may pass each statement to another connection of the server.
		prepare: false,
		fetch_types: false,
		connection: { ...url.parameters },
		onnotice: () => undefined,
	};
}

/** Returns a socket that fails with `error` as soon as it has listeners. */
function broken(error: unknown): Socket {
	const socket = new Socket();
	setImmediate(() => socket.destroy(error instanceof Error ? error : ofCode("ECONNRESET")));
	return socket;
}

function ofCode(code: string): Error {
	return Object.assign(new Error(code), { code });
}
