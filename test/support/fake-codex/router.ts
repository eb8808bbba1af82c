import type { IncomingMessage, ServerResponse } from "node:http";
import { STATUS_CODES } from "node:http";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { FakeAccount } from "./accounts.ts";
import type { RefusalAnswer } from "./answer.ts";
import { refuse } from "./answers-refused.ts";
import type { DeviceEndpoints } from "./device.ts";
import { respond } from "./exchange.ts";
import { bearerOf, checkAccess } from "./gate.ts";
import { decodeBody, HttpSink, headersOf, readBody, resetConnection } from "./http.ts";
import { asString, type JsonRecord, parseJsonRecord } from "./json.ts";
import type { OAuthEndpoints, OAuthWorld } from "./oauth.ts";
import { play } from "./play.ts";
import type { RecordedRequest, Recorder, RequestKind } from "./recorder.ts";
import { usagePayload } from "./usage.ts";
import { wait } from "./wait.ts";
import type { WebSocketEndpoint } from "./websocket.ts";

const RESPONSES_PATH = "/backend-api/codex/responses";

/** What `issuerFor` puts before a path. */
const SENDER_PREFIX = /^\/as\/([A-Za-z0-9-]+)(?=\/)/;

const ROUTES: Readonly<Record<string, RequestKind>> = {
	[`POST ${RESPONSES_PATH}`]: "responses",
	"GET /backend-api/wham/usage": "usage",
	"GET /backend-api/wham/rate-limit-reset-credits": "reset-credits",
	"POST /backend-api/wham/rate-limit-reset-credits/consume": "redeem",
	"POST /oauth/token": "token",
	"GET /oauth/authorize": "authorize",
	"POST /api/accounts/deviceauth/usercode": "deviceauth",
	"POST /api/accounts/deviceauth/token": "deviceauth",
};

/** What the router needs from the rest of the fake. */
export interface RouterParts extends OAuthWorld {
	readonly recorder: Recorder;
	readonly oauth: OAuthEndpoints;
	readonly device: DeviceEndpoints;
	readonly sockets: WebSocketEndpoint;
	/** Aborts at close(). */
	readonly closing: AbortSignal;
	/** Status that refuses every handshake, or undefined to accept them. */
	readonly upgradeRefusal: () => number | undefined;
}

/** Records every request and hands it to its endpoint. */
export class Router {
	readonly #parts: RouterParts;
	readonly #connections = new WeakMap<Duplex, string>();
	#connectionCount = 0;

	constructor(parts: RouterParts) {
		this.#parts = parts;
	}

	/** Names a connection, in the order they are opened. */
	connected(socket: Socket): void {
		this.#connectionCount += 1;
		this.#connections.set(socket, `connection-${this.#connectionCount}`);
	}

	/** Answers one HTTP request. Never rejects. */
	async handle(incoming: IncomingMessage, response: ServerResponse): Promise<void> {
		const raw = await readBody(incoming);
		if (raw === undefined) {
			resetConnection(incoming.socket);
			return;
		}
		const bodyText = decodeBody(raw, incoming.headers["content-encoding"]);
		const request = this.#record(incoming, bodyText ?? "", incoming.socket);
		const sink = this.#sink(request, response);
		try {
			await this.#answer(request, sink, bodyText !== undefined);
		} catch (error) {
			// A mistake in a script of a test must show up in what that test sees, not kill the server.
			request.answer = "threw";
			if (response.headersSent) sink.reset();
			else sink.json(500, { error: { message: `the fake threw: ${String(error)}` } });
		}
	}

	/** Answers one WebSocket handshake. */
	upgrade(incoming: IncomingMessage, socket: Duplex, head: Buffer): void {
		const request = this.#record(incoming, "", socket, "websocket-upgrade");
		socket.on("error", () => socket.destroy());
		const refusal = this.#refuseUpgrade(request);
		if ("kind" in refusal) {
			this.#writeRefusal(request, socket, refusal);
			return;
		}
		request.answer = "accept";
		this.#parts.sockets.accept(incoming, socket, head, request, refusal);
	}

	#sink(request: RecordedRequest, response: ServerResponse): HttpSink {
		const { closing, recorder } = this.#parts;
		const gone = new AbortController();
		const signal = AbortSignal.any([gone.signal, closing]);
		const sink = new HttpSink(response, request, signal, () => this.#streamHeaders(request));
		response.on("close", () => {
			recorder.end(request, !response.writableEnded && !sink.wasReset && !closing.aborted);
			gone.abort();
		});
		return sink;
	}

	async #answer(request: RecordedRequest, sink: HttpSink, decoded: boolean): Promise<void> {
		switch (request.kind) {
			case "responses":
				return this.#responses(request, sink, decoded);
			case "usage":
				return this.#usage(request, sink);
			case "reset-credits":
				return this.#resetCredits(request, sink);
			case "redeem":
				return this.#redeem(request, sink);
			case "token":
				return this.#parts.oauth.token(request, sink);
			case "authorize":
				return this.#parts.oauth.authorize(request, sink);
			case "deviceauth":
				if (request.path.endsWith("/usercode")) return this.#parts.device.start(request, sink);
				return this.#parts.device.poll(request, sink);
			default:
				return sink.json(404, { detail: "Not Found" });
		}
	}

	async #responses(request: RecordedRequest, sink: HttpSink, decoded: boolean): Promise<void> {
		const account = this.#admit(request, sink);
		if (account === undefined) return;
		if (!/^application\/json\b/.test(request.headers["content-type"] ?? "")) {
			return sink.json(400, { detail: "Unsupported content type" });
		}
		if (!decoded) return sink.json(400, { detail: "The body does not match its content-encoding" });
		return respond(account, request, sink);
	}

	async #usage(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const account = this.#admit(request, sink);
		if (account === undefined) return;
		const answer = account.usageScript.take();
		request.answer = answer?.name ?? "modelled";
		const nowMs = this.#parts.now();
		const asksForReserve = request.headers["x-openai-codex-luna-reserve"] === "1";
		if (answer === undefined) return sink.json(200, usagePayload(account, nowMs, asksForReserve));
		if (answer.kind !== "usage") {
			await play(answer, account.context(request), sink);
			return;
		}
		await wait(answer.delayMs, sink.signal);
		sink.json(200, answer.change(usagePayload(account, nowMs, asksForReserve), nowMs));
	}

	async #resetCredits(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const account = this.#admit(request, sink);
		if (account === undefined) return;
		const answer = account.resetCredits.listScript.take();
		request.answer = answer?.name ?? "modelled";
		if (answer === undefined) return sink.json(200, account.resetCredits.payload());
		if (answer.kind !== "list") {
			await play(answer, account.context(request), sink);
			return;
		}
		await wait(answer.delayMs, sink.signal);
		sink.json(200, answer.change(account.resetCredits.payload()));
	}

	async #redeem(request: RecordedRequest, sink: HttpSink): Promise<void> {
		const account = this.#admit(request, sink);
		if (account === undefined) return;
		const { resetCredits } = account;
		const answer = resetCredits.consumeScript.take();
		if (answer !== undefined && answer.kind !== "consume") {
			request.answer = answer.name;
			await play(answer, account.context(request), sink);
			return;
		}
		// A backend that has taken a call goes on with it, also when the client has left.
		await wait(answer?.beforeMs ?? 0, this.#parts.closing);
		const payload = resetCredits.consume(request.body);
		request.answer = String(payload.code);
		await wait(answer?.afterMs ?? 0, sink.signal);
		if (answer?.instead) await play(answer.instead, account.context(request), sink);
		else sink.json(200, answer?.change?.(payload) ?? payload);
	}

	#admit(request: RecordedRequest, sink: HttpSink): FakeAccount | undefined {
		const admitted = checkAccess(request.headers, this.#parts.ledger, this.#parts.account);
		if (!("kind" in admitted)) return admitted;
		request.answer = "refused token";
		sink.refuse(admitted.refuse(anonymous(this.#parts.now())));
		return undefined;
	}

	#refuseUpgrade(request: RecordedRequest): FakeAccount | RefusalAnswer {
		if (request.path !== RESPONSES_PATH) return refuse(404, { detail: "Not Found" });
		const status = this.#parts.upgradeRefusal();
		if (status !== undefined) return refuse(status, { detail: "WebSocket is not available" });
		const admitted = checkAccess(request.headers, this.#parts.ledger, this.#parts.account);
		if ("kind" in admitted) return admitted;
		const scripted = admitted.answerAtHandshake();
		if (scripted?.kind === "upgrade-refusal") return { ...refuse(scripted.status, ""), name: scripted.name };
		return scripted ?? admitted;
	}

	#writeRefusal(request: RecordedRequest, socket: Duplex, answer: RefusalAnswer): void {
		const { status, headers, body } = answer.refuse(anonymous(this.#parts.now()));
		const text = typeof body === "string" ? body : JSON.stringify(body);
		const lines = Object.entries({
			"content-type": "application/json",
			...headers,
			"content-length": String(Buffer.byteLength(text)),
		});
		const head = lines.map(([name, value]) => `${name}: ${value}`).join("\r\n");
		request.answer = answer.name;
		request.status = status;
		socket.end(
			`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Refused"}\r\n${head}\r\nconnection: close\r\n\r\n${text}`,
		);
		this.#parts.recorder.end(request, false);
	}

	#streamHeaders(request: RecordedRequest): Record<string, string> {
		if (request.account === undefined) return {};
		const account = this.#parts.account(request.account);
		return { ...account.quotaHeaders(request), "x-codex-turn-state": `turn-state-of-${account.accountId}` };
	}

	#record(incoming: IncomingMessage, bodyText: string, socket: Duplex, kind?: RequestKind): RecordedRequest {
		const url = new URL(incoming.url ?? "/", "http://fake");
		const headers = headersOf(incoming);
		const method = incoming.method ?? "";
		const body = parseBody(bodyText, headers["content-type"]);
		const path = url.pathname.replace(SENDER_PREFIX, "");
		const known = kind ?? ROUTES[`${method} ${path}`] ?? "other";
		return this.#parts.recorder.add({
			kind: known,
			at: Date.now(),
			method,
			path,
			query: Object.fromEntries(url.searchParams),
			headers,
			bodyText,
			body,
			account: this.#accountOf(known, headers, body),
			connectionId: this.#connections.get(socket) ?? "connection-unknown",
			sender: SENDER_PREFIX.exec(url.pathname)?.[1],
		});
	}

	#accountOf(kind: RequestKind, headers: Record<string, string>, body: JsonRecord | undefined): string | undefined {
		const { ledger, oauth } = this.#parts;
		if (kind === "token") return ledger.ownerOf(asString(body?.refresh_token) ?? asString(body?.code) ?? "");
		if (kind === "authorize")
			return oauth.browser !== undefined && "account" in oauth.browser ? oauth.browser.account : undefined;
		return ledger.access(bearerOf(headers) ?? "").account;
	}
}

function parseBody(text: string, contentType = ""): JsonRecord | undefined {
	if (contentType.startsWith("application/x-www-form-urlencoded")) return Object.fromEntries(new URLSearchParams(text));
	return parseJsonRecord(text);
}

function anonymous(nowMs: number) {
	return { nowMs, account: "", plan: "plus", model: "", requestCount: 0, inputTokens: 0, cachedTokens: 0 };
}
