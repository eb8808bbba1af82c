import { createServer, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { z } from "zod";

/** What another provider answers: a text, or a refusal with its status and body. */
export type OtherAnswer = { readonly text: string } | { readonly status: number; readonly message: string };

/** A model of another provider, as `models.json` lists it. */
export interface OtherModel {
	readonly id: string;
	/** US dollars per million tokens; default: none. */
	readonly cost?: { readonly input: number; readonly output: number };
}

/** A request as it arrived. */
export interface OtherRequest {
	readonly model: string;
	/** Text of the last message. */
	readonly prompt: string;
	readonly authorization: string | undefined;
	/** Epoch ms. */
	readonly at: number;
}

const bodySchema = z.looseObject({
	model: z.string(),
	messages: z.array(z.looseObject({ content: z.unknown().optional() })),
});

/** A provider with the widespread completions protocol, on a loopback port. */
export class FakeOther {
	/** Every request so far, oldest first. */
	readonly requests: OtherRequest[] = [];
	readonly #answers = new Map<string, OtherAnswer>();
	readonly #server: Server;

	constructor() {
		this.#server = createServer((request, response) => {
			const chunks: Buffer[] = [];
			request.on("data", (chunk: Buffer) => chunks.push(chunk));
			request.on("end", () => {
				const body = bodySchema.parse(JSON.parse(Buffer.concat(chunks).toString("utf8")));
				this.requests.push({
					model: body.model,
					prompt: JSON.stringify(body.messages.at(-1)?.content ?? ""),
					authorization: request.headers.authorization,
					at: Date.now(),
				});
				answer(response, body.model, this.#answers.get(body.model) ?? { text: `OK from ${body.model}` });
			});
		});
	}

	/** Answers every request for `model` so; undefined: with a text that names it. */
	always(model: string, given: OtherAnswer | undefined): void {
		if (given) this.#answers.set(model, given);
		else this.#answers.delete(model);
	}

	/** Names of the models that were asked, oldest first. */
	asked(): string[] {
		return this.requests.map(({ model }) => model);
	}

	/** An entry of `providers` in `models.json`; without a key the provider is not signed in. */
	provider(models: readonly OtherModel[], key: string | undefined = "key-of-another"): Record<string, unknown> {
		const { port } = z.object({ port: z.number() }).parse(this.#server.address() satisfies AddressInfo | string | null);
		return {
			baseUrl: `http://127.0.0.1:${port}/v1`,
			api: "openai-completions",
			...(key !== undefined && { apiKey: key }),
			models: models.map(({ id, cost = { input: 0, output: 0 } }) => ({
				id,
				name: id,
				reasoning: false,
				input: ["text"],
				cost: { ...cost, cacheRead: 0, cacheWrite: 0 },
				contextWindow: 100_000,
				maxTokens: 4096,
			})),
		};
	}

	async listen(): Promise<this> {
		await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
		return this;
	}

	async close(): Promise<void> {
		this.#server.closeAllConnections();
		await new Promise<void>((resolve) => this.#server.close(() => resolve()));
	}
}

/** Starts one. The caller closes it. */
export function startFakeOther(): Promise<FakeOther> {
	return new FakeOther().listen();
}

function answer(response: ServerResponse, model: string, given: OtherAnswer): void {
	if ("status" in given) {
		response.writeHead(given.status, { "content-type": "application/json" });
		response.end(JSON.stringify({ error: { message: given.message, type: "error" } }));
		return;
	}
	response.writeHead(200, { "content-type": "text/event-stream" });
	const chunk = (choice: object, rest: object = {}) => {
		const body = { id: "c1", object: "chat.completion.chunk", created: 1, model, choices: [choice], ...rest };
		response.write(`data: ${JSON.stringify(body)}\n\n`);
	};
	chunk({ index: 0, delta: { role: "assistant", content: given.text }, finish_reason: null });
	const usage = { prompt_tokens: 10, completion_tokens: 5, total_tokens: 15 };
	chunk({ index: 0, delta: {}, finish_reason: "stop" }, { usage });
	response.end("data: [DONE]\n\n");
}
