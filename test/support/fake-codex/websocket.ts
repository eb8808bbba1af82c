import type { IncomingMessage } from "node:http";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { FakeAccount } from "./accounts.ts";
import type { Refusal } from "./answer.ts";
import { errorFrame } from "./answers-refused.ts";
import { respond } from "./exchange.ts";
import { asRecord, asString, type JsonRecord, parseJsonRecord } from "./json.ts";
import type { Sink } from "./play.ts";
import type { RecordedRequest, Recorder } from "./recorder.ts";

/** Accepts handshakes and answers `response.create` frames. */
export class WebSocketEndpoint {
	readonly #server = new WebSocketServer({ noServer: true });
	readonly #recorder: Recorder;
	readonly #now: () => number;
	readonly #closing: AbortSignal;

	constructor(recorder: Recorder, now: () => number, closing: AbortSignal) {
		this.#recorder = recorder;
		this.#now = now;
		this.#closing = closing;
	}

	/** Completes a handshake for an account; auth stays fixed for the life of the connection. */
	accept(
		incoming: IncomingMessage,
		socket: Duplex,
		head: Buffer,
		upgrade: RecordedRequest,
		account: FakeAccount,
	): void {
		this.#server.handleUpgrade(incoming, socket, head, (client) => {
			upgrade.status = 101;
			this.#recorder.end(upgrade, false);
			this.#serve(client, upgrade, account);
		});
	}

	/** Drops every connection at once. */
	close(): void {
		for (const client of this.#server.clients) client.terminate();
		this.#server.close();
	}

	#serve(client: WebSocket, upgrade: RecordedRequest, account: FakeAccount): void {
		const gone = new AbortController();
		const signal = AbortSignal.any([gone.signal, this.#closing]);
		const known = new Set<string>();
		let turn = Promise.resolve();
		client.on("error", () => gone.abort());
		client.on("close", () => gone.abort());
		client.on("message", (frame) => {
			const bodyText = frame.toString();
			const request = this.#record(bodyText, upgrade, account);
			// One response at a time per connection, as the backend does.
			turn = turn.then(() => this.#answer(request, client, signal, account, known));
		});
	}

	async #answer(
		request: RecordedRequest,
		client: WebSocket,
		signal: AbortSignal,
		account: FakeAccount,
		known: Set<string>,
	): Promise<void> {
		const sink = new WebSocketSink(client, request, signal, known, () => this.#rateLimits(account));
		try {
			await respond(account, request, sink, known);
		} finally {
			this.#recorder.end(request, signal.aborted && !sink.closed && !this.#closing.aborted);
		}
	}

	#record(bodyText: string, upgrade: RecordedRequest, account: FakeAccount): RecordedRequest {
		const frame = parseJsonRecord(bodyText);
		const { type, ...fields } = frame ?? {};
		return this.#recorder.add({
			kind: "websocket-request",
			at: Date.now(),
			method: asString(type) ?? "",
			path: upgrade.path,
			query: upgrade.query,
			headers: upgrade.headers,
			bodyText,
			body: type === "response.create" ? fields : undefined,
			account: account.name,
			connectionId: upgrade.connectionId,
			sender: upgrade.sender,
		});
	}

	/** The `codex.rate_limits` event of codex-backend.md 3.4; only a modelled quota has one. */
	#rateLimits(account: FakeAccount): JsonRecord | undefined {
		if (account.quota === undefined) return undefined;
		const [primary, secondary] = account.quota.windows(this.#now()).map((window) => ({
			used_percent: window.usedPercent,
			window_minutes: window.windowMinutes,
			reset_at: Math.ceil(window.resetsAt / 1_000),
		}));
		return {
			type: "codex.rate_limits",
			plan_type: account.plan,
			rate_limits: { primary: primary ?? null, secondary: secondary ?? null },
			credits: null,
			metered_limit_name: "codex",
		};
	}
}

class WebSocketSink implements Sink {
	readonly signal: AbortSignal;
	/** The fake itself ended the connection. */
	closed = false;
	readonly #client: WebSocket;
	readonly #request: RecordedRequest;
	readonly #known: Set<string>;
	readonly #rateLimits: () => JsonRecord | undefined;

	constructor(
		client: WebSocket,
		request: RecordedRequest,
		signal: AbortSignal,
		known: Set<string>,
		rateLimits: () => JsonRecord | undefined,
	) {
		this.#client = client;
		this.#request = request;
		this.signal = signal;
		this.#known = known;
		this.#rateLimits = rateLimits;
	}

	refuse(refusal: Refusal): void {
		this.#request.status = refusal.status;
		this.#write(errorFrame(refusal));
	}

	start(): void {
		this.#request.status = 200;
		const limits = this.#rateLimits();
		if (limits !== undefined) this.#write(limits);
	}

	send(event: JsonRecord): void {
		const id = asString(asRecord(event.response)?.id);
		if (event.type === "response.completed" && id !== undefined) this.#known.add(id);
		this.#write(event);
	}

	reset(): void {
		this.closed = true;
		this.#client.terminate();
	}

	close(code: number, reason: string): void {
		this.closed = true;
		// 1005 and 1006 mean "no close frame": they can only be produced by dropping the connection.
		if (code === 1005 || code === 1006) this.#client.terminate();
		else this.#client.close(code, reason);
	}

	finish(complete: boolean): void {
		if (!complete) this.close(1000, "");
	}

	#write(event: JsonRecord): void {
		if (!this.signal.aborted) this.#client.send(JSON.stringify(event));
	}
}
