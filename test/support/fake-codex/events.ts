import { randomUUID } from "node:crypto";
import type { AnswerContext, Step } from "./answer.ts";
import type { JsonRecord } from "./json.ts";

/** A tool call the model makes. */
export interface FunctionCall {
	readonly name: string;
	readonly arguments: JsonRecord;
	readonly callId?: string;
}

/** The reasoning item that precedes the text. */
export interface Reasoning {
	readonly summary?: string;
	/** Default: a blob that names the account, see `reasoningBlob`. */
	readonly encryptedContent?: string;
}

/** What a healthy answer contains. */
export interface TextOptions {
	/** The deltas; default: the text word by word. */
	readonly tokens?: readonly string[];
	/** Pause before each delta. */
	readonly delayMs?: number;
	/** Pause before the response headers (over a WebSocket: before the first frame). */
	readonly beforeHeadersMs?: number;
	readonly reasoning?: boolean | Reasoning;
	readonly functionCalls?: readonly FunctionCall[];
	/** Default: estimated from the request and the number of deltas. */
	readonly usage?: { readonly inputTokens?: number; readonly cachedTokens?: number; readonly outputTokens?: number };
}

/** The blob of a default reasoning item; it looks like the real ones and tells who made it. */
export function reasoningBlob(account: string): string {
	return `gAAAAA${Buffer.from(`fake reasoning of ${account}`).toString("base64url")}=`;
}

/** Numbers the events of one response and builds them in the shapes that pi reads. */
export class ResponseEvents {
	readonly id = newId("resp");
	readonly #context: AnswerContext;
	#sequence = 0;
	#output: JsonRecord[] = [];

	constructor(context: AnswerContext) {
		this.#context = context;
	}

	send(event: JsonRecord): Step {
		const sequence_number = this.#sequence;
		this.#sequence += 1;
		return { do: "send", event: { ...event, sequence_number } };
	}

	*created(): Iterable<Step> {
		yield this.send({ type: "response.created", response: this.#response("in_progress") });
		yield this.send({ type: "response.in_progress", response: this.#response("in_progress") });
	}

	*reasoning(reasoning: Reasoning): Iterable<Step> {
		const { at, id } = { at: this.#output.length, id: newId("rs") };
		const item_id = id;
		const text = reasoning.summary ?? `Reasoning of ${this.#context.account}`;
		const part = { type: "summary_text", text };
		const place = { item_id, output_index: at, summary_index: 0 };
		yield this.send({
			type: "response.output_item.added",
			output_index: at,
			item: { id, type: "reasoning", summary: [] },
		});
		yield this.send({ type: "response.reasoning_summary_part.added", ...place, part: { ...part, text: "" } });
		yield this.send({ type: "response.reasoning_summary_text.delta", ...place, delta: text });
		yield this.send({ type: "response.reasoning_summary_text.done", ...place, text });
		yield this.send({ type: "response.reasoning_summary_part.done", ...place, part });
		const encrypted_content = reasoning.encryptedContent ?? reasoningBlob(this.#context.account);
		yield this.#done({ id, type: "reasoning", summary: [part], encrypted_content });
	}

	/** A message item; `complete: false` leaves it open, as a broken stream does. */
	*message(deltas: readonly string[], delayMs: number, complete = true): Iterable<Step> {
		const { at, id } = { at: this.#output.length, id: newId("msg") };
		const place = { item_id: id, output_index: at, content_index: 0 };
		const message = { id, type: "message", role: "assistant" };
		const item = { ...message, status: "in_progress", content: [] };
		yield this.send({ type: "response.output_item.added", output_index: at, item });
		yield this.send({ type: "response.content_part.added", ...place, part: outputText("") });
		for (const delta of deltas) {
			if (delayMs > 0) yield { do: "wait", ms: delayMs };
			yield this.send({ type: "response.output_text.delta", ...place, delta });
		}
		if (!complete) return;
		const text = deltas.join("");
		yield this.send({ type: "response.output_text.done", ...place, text });
		yield this.send({ type: "response.content_part.done", ...place, part: outputText(text) });
		yield this.#done({ ...message, status: "completed", content: [outputText(text)] });
	}

	*functionCall(call: FunctionCall): Iterable<Step> {
		const { at, id } = { at: this.#output.length, id: newId("fc") };
		const place = { item_id: id, output_index: at };
		const written = JSON.stringify(call.arguments);
		const item = { id, type: "function_call", call_id: call.callId ?? newId("call"), name: call.name };
		const started = { ...item, status: "in_progress", arguments: "" };
		yield this.send({ type: "response.output_item.added", output_index: at, item: started });
		yield this.send({ type: "response.function_call_arguments.delta", ...place, delta: written });
		yield this.send({ type: "response.function_call_arguments.done", ...place, arguments: written });
		yield this.#done({ ...item, status: "completed", arguments: written });
	}

	completed(usage: TextOptions["usage"], outputTokens: number): Step {
		const input_tokens = usage?.inputTokens ?? this.#context.inputTokens;
		const output_tokens = usage?.outputTokens ?? outputTokens;
		const response = {
			...this.#response("completed"),
			usage: {
				input_tokens,
				input_tokens_details: { cached_tokens: usage?.cachedTokens ?? this.#context.cachedTokens },
				output_tokens,
				output_tokens_details: { reasoning_tokens: 0 },
				total_tokens: input_tokens + output_tokens,
			},
		};
		return this.send({ type: "response.completed", response });
	}

	failed(code: string, message: string): Step {
		return this.send({ type: "response.failed", response: { ...this.#response("failed"), error: { code, message } } });
	}

	#done(item: JsonRecord): Step {
		const output_index = this.#output.length;
		this.#output.push(item);
		return this.send({ type: "response.output_item.done", output_index, item });
	}

	#response(status: string): JsonRecord {
		return {
			id: this.id,
			object: "response",
			created_at: Math.floor(this.#context.nowMs / 1_000),
			status,
			model: this.#context.model,
			store: false,
			error: null,
			incomplete_details: null,
			output: [...this.#output],
			usage: null,
		};
	}
}

/** The text cut into words, each with the white space after it. */
export function words(text: string): string[] {
	return text.match(/\s*\S+\s*/g) ?? (text === "" ? [] : [text]);
}

function outputText(text: string): JsonRecord {
	return { type: "output_text", text, annotations: [], logprobs: [] };
}

function newId(prefix: string): string {
	return `${prefix}_${randomUUID().replaceAll("-", "")}`;
}
