import type { IncomingMessage, ServerResponse } from "node:http";
import { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { decompress } from "fzstd";
import type { Refusal } from "./answer.ts";
import type { JsonRecord } from "./json.ts";
import type { Sink } from "./play.ts";
import type { RecordedRequest } from "./recorder.ts";

/** No test sends more; a runaway client must not fill the memory. */
const MAX_BODY_BYTES = 64 * 1_048_576;

/** A whole request body; undefined when it is too large or the client goes away meanwhile. */
export function readBody(request: IncomingMessage): Promise<Buffer | undefined> {
	return new Promise((resolve) => {
		const chunks: Buffer[] = [];
		let size = 0;
		request.on("data", (chunk: Buffer) => {
			size += chunk.length;
			if (size > MAX_BODY_BYTES) resolve(undefined);
			else chunks.push(chunk);
		});
		request.on("end", () => resolve(Buffer.concat(chunks)));
		request.on("error", () => resolve(undefined));
		request.on("close", () => resolve(undefined));
	});
}

/** The body as text; undefined when it is not what its content-encoding says or the encoding is unknown. */
export function decodeBody(body: Buffer, encoding: string | undefined): string | undefined {
	if (encoding === undefined || encoding === "identity") return body.toString();
	if (encoding !== "zstd") return undefined;
	try {
		return Buffer.from(decompress(new Uint8Array(body))).toString();
	} catch (error) {
		// fzstd throws plain errors for a damaged frame; the real backend answers 400, so the reason is of no use to the
		// client.
		if (error instanceof Error) return undefined;
		throw error;
	}
}

/** Request headers as single strings under lower-case names. */
export function headersOf(request: IncomingMessage): Record<string, string> {
	const headers: Record<string, string> = {};
	for (const [name, value] of Object.entries(request.headers)) {
		if (value !== undefined) headers[name] = Array.isArray(value) ? value.join(", ") : value;
	}
	return headers;
}

/** Closes a connection with RST, so that the client sees ECONNRESET and not a clean end. */
export function resetConnection(socket: Duplex | null): void {
	if (socket instanceof Socket) socket.resetAndDestroy();
	else socket?.destroy();
}

/** Answers over HTTP: JSON, HTML or server-sent events. */
export class HttpSink implements Sink {
	readonly signal: AbortSignal;
	/** The fake itself ended the connection. */
	wasReset = false;
	readonly #response: ServerResponse;
	readonly #request: RecordedRequest;
	readonly #streamHeaders: () => Record<string, string>;

	constructor(
		response: ServerResponse,
		request: RecordedRequest,
		signal: AbortSignal,
		streamHeaders: () => Record<string, string> = () => ({}),
	) {
		this.#response = response;
		this.#request = request;
		this.signal = signal;
		this.#streamHeaders = streamHeaders;
	}

	refuse(refusal: Refusal): void {
		this.json(refusal.status, refusal.body, refusal.headers);
	}

	/** A whole answer; a string body is sent as it is. */
	json(status: number, body: JsonRecord | string, headers: Readonly<Record<string, string>> = {}): void {
		if (this.signal.aborted) return;
		this.#request.status = status;
		const isText = typeof body === "string";
		const type = isText ? "text/plain; charset=utf-8" : "application/json";
		this.#response.writeHead(status, { "content-type": type, ...headers });
		this.#response.end(isText ? body : JSON.stringify(body));
	}

	start(headers: Readonly<Record<string, string>>): void {
		if (this.signal.aborted) return;
		this.#request.status = 200;
		const stream = { "content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache" };
		this.#response.writeHead(200, { ...stream, ...this.#streamHeaders(), ...headers });
		this.#response.flushHeaders();
	}

	send(event: JsonRecord): void {
		if (this.signal.aborted) return;
		this.#response.write(`event: ${String(event.type)}\ndata: ${JSON.stringify(event)}\n\n`);
	}

	reset(): void {
		this.wasReset = true;
		resetConnection(this.#response.socket);
	}

	close(): void {
		this.reset();
	}

	finish(): void {
		if (!this.signal.aborted) this.#response.end();
	}
}
