import { createServer, type Socket, connect as tcp } from "node:net";

/** Stands between a client and a PostgreSQL server, and does to their connections what a network does. */
export interface PostgresProxy {
	readonly port: number;
	/** The URL of a database through the proxy. */
	through(url: string): string;
	/** Connections that stand now. */
	connections(): number;
	/** Connections that were ever made. */
	made(): number;
	/** What went through until now: statements that clients sent, bytes that they received, and
	 * connections whose answers are swallowed. */
	traffic(): { readonly statements: number; readonly received: number; readonly silenced: number };
	/** Cuts every connection, in whatever it is doing. */
	cut(): void;
	/**
	 * Cuts the connection at the next statement whose text holds `text`, after it was done and before its answer, and
	 * calls `act`.
	 */
	loseAnswerOf(text: string, act?: () => void): void;
	/**
	 * Keeps the next statement whose text holds `text` from the server, and all that follows on its connection, and calls
	 * `act`: what sent it waits for ever.
	 */
	holdBack(text: string, act?: () => void): void;
	/**
	 * Swallows the answer to each statement that holds this text, which is done, and all that follows on its connection;
	 * undefined: those of no more connections. With an empty text a connection gets no answer at all.
	 */
	swallowAnswersOf(text: string | undefined): void;
	/** Swallows notifications, as a pooler in transaction mode would. */
	dropNotifications(): void;
	/** Holds everything back for so long, in both directions. */
	delay(ms: number): void;
	/** Refuses new connections, or takes them again. */
	refuse(yes: boolean): void;
	close(): Promise<void>;
}

/** A text that is waited for in a statement, and what follows. */
interface Watch {
	readonly text: string;
	readonly act: () => void;
}

const nothing = () => undefined;

const NOTIFICATION = "A".charCodeAt(0);
const COMPLETE = "C".charCodeAt(0);
const READY = "Z".charCodeAt(0);
const TLS_REQUEST = 80_877_103;

export async function startPostgresProxy(serverPort: number): Promise<PostgresProxy> {
	const pairs = new Set<readonly [Socket, Socket]>();
	let made = 0;
	let isRefusing = false;
	let dropsNotifications = false;
	let delayMs = 0;
	let lost: Watch | undefined;
	let held: Watch | undefined;
	let swallowed: string | undefined;
	let statements = 0;
	let received = 0;
	let silenced = 0;

	const server = createServer((client) => {
		if (isRefusing) {
			client.destroy();
			return;
		}
		made += 1;
		const database = tcp({ port: serverPort, host: "127.0.0.1" });
		const pair = [client, database] as const;
		pairs.add(pair);
		let losing: Watch | undefined;
		let isHeld = false;
		let isMute = false;
		let isLastStatement = false;
		/** What follows once the server is ready again. It commits a statement between its answer and that. */
		let onCommit: (() => void) | undefined;
		const silence = () => {
			isMute = true;
			silenced += 1;
		};
		const cutOff = ({ act }: Watch) => {
			client.destroy();
			act();
		};
		const whenDone = () => {
			if (isLastStatement) return silence;
			const watch = losing;
			return watch && (() => cutOff(watch));
		};
		const split = createSplitter();
		const later = (act: () => void) => (delayMs > 0 ? setTimeout(act, delayMs) : act());
		client.on("data", (bytes) => {
			if (bytes.length === 8 && bytes.readUInt32BE(4) === TLS_REQUEST) split.expectByte();
			statements += countExecutions(bytes);
			if (lost && bytes.includes(lost.text)) {
				losing = lost;
				lost = undefined;
			}
			if (held && bytes.includes(held.text)) {
				const { act } = held;
				held = undefined;
				isHeld = true;
				act();
			}
			if (isHeld) return;
			if (swallowed === "" && !isMute) silence();
			if (swallowed && bytes.includes(swallowed)) isLastStatement = true;
			later(() => database.write(bytes));
		});
		database.on("data", (bytes) => {
			if (isMute) return;
			for (const message of split.push(bytes)) {
				if (dropsNotifications && message[0] === NOTIFICATION) continue;
				if (message[0] === COMPLETE) onCommit ??= whenDone();
				if (onCommit) {
					if (message[0] !== READY) continue;
					onCommit();
					return;
				}
				received += message.length;
				later(() => client.write(message));
			}
		});
		for (const [socket, other] of [
			[client, database],
			[database, client],
		] as const) {
			socket.setNoDelay(true);
			socket.on("error", () => other.destroy());
			socket.on("close", () => {
				pairs.delete(pair);
				other.destroy();
			});
		}
	});
	await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
	const address = server.address();
	const port = typeof address === "object" && address !== null ? address.port : 0;
	const cut = () => {
		for (const [client] of pairs) client.destroy();
	};
	return {
		port,
		through: (url) => url.replace(`:${serverPort}/`, `:${port}/`),
		connections: () => pairs.size,
		made: () => made,
		traffic: () => ({ statements, received, silenced }),
		cut,
		loseAnswerOf: (text, act = nothing) => {
			lost = { text, act };
		},
		swallowAnswersOf: (text) => {
			swallowed = text;
		},
		holdBack: (text, act = nothing) => {
			held = { text, act };
		},
		dropNotifications: () => {
			dropsNotifications = true;
		},
		delay: (ms) => {
			delayMs = ms;
		},
		refuse: (yes) => {
			isRefusing = yes;
		},
		close: async () => {
			cut();
			await new Promise((done) => server.close(done));
		},
	};
}

/** Messages with which a client has a statement executed: of no name, as many rows as there are. */
const EXECUTION = Buffer.from([69, 0, 0, 0, 9, 0, 0, 0, 0, 0]);
/** Messages with which one is sent as a text alone begin with this letter. */
const SIMPLE = "Q".charCodeAt(0);

function countExecutions(bytes: Buffer): number {
	let count = bytes[0] === SIMPLE ? 1 : 0;
	for (let at = bytes.indexOf(EXECUTION); at >= 0; at = bytes.indexOf(EXECUTION, at + 1)) count += 1;
	return count;
}

/** Splits what a server sends into its messages: a letter, and a length that counts itself. */
function createSplitter(): { expectByte(): void; push(bytes: Buffer): Buffer[] } {
	let held: Buffer = Buffer.alloc(0);
	let expectsByte = false;
	return {
		// The answer to the question for TLS is one letter without a length.
		expectByte: () => {
			expectsByte = true;
		},
		push: (bytes) => {
			held = Buffer.concat([held, bytes]);
			const messages: Buffer[] = [];
			for (;;) {
				const length = expectsByte ? 1 : 1 + (held.length >= 5 ? held.readUInt32BE(1) : Number.POSITIVE_INFINITY);
				if (held.length < length) return messages;
				expectsByte = false;
				messages.push(held.subarray(0, length));
				held = held.subarray(length);
			}
		},
	};
}
