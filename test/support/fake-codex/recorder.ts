import type { JsonRecord } from "./json.ts";

/** What a recorded request asked for. */
export type RequestKind =
	| "responses"
	| "websocket-upgrade"
	| "websocket-request"
	| "usage"
	| "reset-credits"
	| "redeem"
	| "token"
	| "authorize"
	| "deviceauth"
	| "other";

/** One request as the fake saw it. The fields after `connectionId` fill in while it is being answered. */
export interface RecordedRequest {
	readonly kind: RequestKind;
	/** Epoch milliseconds of the real clock at arrival. */
	readonly at: number;
	readonly method: string;
	/** Path without the query. */
	readonly path: string;
	readonly query: Readonly<Record<string, string>>;
	/** Names in lower case; for a WebSocket request those of its handshake. */
	readonly headers: Readonly<Record<string, string>>;
	/** Decoded (zstd included) request body or frame. */
	readonly bodyText: string;
	/** The body when it is a JSON object or a form. */
	readonly body: JsonRecord | undefined;
	/** Name of the account the token, refresh token or code belongs to, valid or not. */
	readonly account: string | undefined;
	/** One per TCP connection; a WebSocket keeps that of its handshake. */
	readonly connectionId: string;
	/** Who sent it, where it came by `issuerFor`. */
	readonly sender: string | undefined;
	/** The refresh token that was issued in return for the one sent, also where the answer was lost on its way. */
	issuedRefresh?: string;
	/** HTTP status, or the status of the WebSocket error frame (200 for a stream). */
	status?: number;
	/** Name of the constructor of the answer that was played. */
	answer?: string;
	/** Epoch milliseconds of the real clock when the answer ended, for whatever reason. */
	endedAt?: number;
	/** The client closed the connection before the answer was complete. */
	clientGone?: boolean;
}

interface Waiter {
	/** Settles when the predicate holds, or throws. */
	readonly check: () => void;
	readonly reject: (error: Error) => void;
}

/** Fields of a request fill in without notice, so waiting predicates are asked again this often. */
const RECHECK_MS = 10;

/** Keeps every request in order and lets tests wait for one. */
export class Recorder {
	readonly requests: RecordedRequest[] = [];
	readonly #waiters = new Set<Waiter>();

	add(request: RecordedRequest): RecordedRequest {
		this.requests.push(request);
		this.#wake();
		return request;
	}

	/** Marks a request as answered; the first call wins. */
	end(request: RecordedRequest, clientGone: boolean): void {
		if (request.endedAt !== undefined) return;
		request.endedAt = Date.now();
		if (clientGone) request.clientGone = true;
		this.#wake();
	}

	/**
	 * The first request, past or future, that satisfies the predicate. Rejects at the time-out, at `close` or with what
	 * the predicate throws.
	 */
	waitFor(predicate: (request: RecordedRequest) => boolean, timeoutMs = 5_000): Promise<RecordedRequest> {
		return new Promise((resolve, reject) => {
			const settle = () => {
				clearTimeout(timeout);
				clearInterval(recheck);
				this.#waiters.delete(waiter);
			};
			const fail = (error: Error) => {
				settle();
				reject(error);
			};
			const check = () => {
				try {
					const found = this.requests.find(predicate);
					if (found === undefined) return;
					settle();
					resolve(found);
				} catch (error) {
					fail(error instanceof Error ? error : new Error(String(error)));
				}
			};
			const late = () => fail(new Error(`no such request within ${timeoutMs} ms; seen: ${this.summary()}`));
			const waiter: Waiter = { check, reject: fail };
			const timeout = setTimeout(late, timeoutMs);
			const recheck = setInterval(check, RECHECK_MS);
			this.#waiters.add(waiter);
			check();
		});
	}

	/** One short line without any secret, for failure messages. */
	summary(): string {
		const seen = this.requests.map((r) => `${r.kind}(${r.account ?? "-"}, ${r.status ?? "open"}, ${r.answer ?? "-"})`);
		return seen.length === 0 ? "nothing" : seen.join(" ");
	}

	/** Fails everything that still waits. */
	close(): void {
		for (const waiter of [...this.#waiters]) {
			waiter.reject(new Error(`the fake Codex backend was closed; seen: ${this.summary()}`));
		}
	}

	#wake(): void {
		for (const waiter of [...this.#waiters]) waiter.check();
	}
}
