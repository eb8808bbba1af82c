import { writeFileSync } from "node:fs";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import type { Api, AssistantMessageEvent, Context, Model, SimpleStreamOptions, Transport } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { Answer, Job, Memory, Order, Outcome, Pair, Round, Side, Times } from "./jobs.ts";
import { ORDER_VARIABLE } from "./jobs.ts";

/**
 * An extension that a real pi loads: it loads the package in turn, keeps the stream function that this registers, and
 * when the session has begun runs one job on it and on pi's own function beside it. pi then goes on as ever.
 */

type Stream = (
	model: Model<Api>,
	context: Context,
	options: SimpleStreamOptions,
) => AsyncIterable<AssistantMessageEvent>;

/** One request on one side, from call to end. */
type Ask = (side: Side, answer: Answer, sessionId: string, transport: Transport) => Promise<Times>;

const question = (answer: Answer): Context => ({
	systemPrompt: "You are measured.",
	messages: [{ role: "user", content: [{ type: "text", text: `Give a ${answer} answer.` }], timestamp: 0 }],
});

/** Of pi's own stream another session, so that neither side has the other one's sockets. */
const PLAIN_SESSION = "plain";

export default async function bench(pi: ExtensionAPI): Promise<void> {
	const order: Order = JSON.parse(process.env[ORDER_VARIABLE] ?? "");
	let registered: { readonly stream: Stream; readonly apiKey: string } | undefined;
	const registerProvider: ExtensionAPI["registerProvider"] = (name, config) => {
		const { streamSimple, apiKey } = config;
		if (streamSimple) registered = { stream: streamSimple, apiKey: apiKey ?? "none" };
		pi.registerProvider(name, config);
	};
	const { default: multicodex } = await import(order.extension);
	await multicodex(Object.create(pi, { registerProvider: { value: registerProvider } }));

	pi.on("session_start", async (_event, { model, sessionManager }) => {
		if (!registered || !model) throw new Error("nothing was registered, or pi has no model");
		const { stream, apiKey } = registered;
		const sides: Readonly<Record<Side, { readonly stream: Stream; readonly apiKey: string }>> = {
			ours: { stream, apiKey },
			plain: { stream: streamOfPi, apiKey: order.access },
		};
		const ask: Ask = (side, answer, sessionId, transport) => {
			const { stream: asked, apiKey: key } = sides[side];
			const { signal } = new AbortController();
			return timed(() => asked(model, question(answer), { apiKey: key, sessionId, signal, transport }));
		};
		const outcome = await run(order.job, ask, sessionManager.getSessionId());
		// pi closes the sockets of its own session alone.
		ai.cleanupSessionResources(PLAIN_SESSION);
		writeFileSync(order.outcome, JSON.stringify(outcome));
	});
}

/** pi's own stream function, for models of this api alone. */
const streamOfPi: Stream = (model, context, options) =>
	ai.streamSimpleOpenAICodexResponses(model as Model<"openai-codex-responses">, context, options);

async function timed(ask: () => AsyncIterable<AssistantMessageEvent>): Promise<Times> {
	const begun = performance.now();
	let first = Number.NaN;
	let finals = 0;
	for await (const event of ask()) {
		if (event.type === "text_delta" && Number.isNaN(first)) first = performance.now() - begun;
		if (event.type === "done") finals += 1;
		// A request that was not served would be measured as a fast one.
		if (event.type === "error") throw new Error(`not served: ${event.error.errorMessage}`);
	}
	const total = performance.now() - begun;
	if (finals !== 1 || Number.isNaN(first)) throw new Error(`an answer ended ${finals} times`);
	return { first, total };
}

async function run(job: Job, ask: Ask, session: string): Promise<Outcome> {
	const askAs = (side: Side, answer: Answer, transport: Transport) =>
		ask(side, answer, side === "ours" ? session : PLAIN_SESSION, transport);
	switch (job.kind) {
		case "pairs": {
			const one = (side: Side, answer: Answer) => askAs(side, answer, job.transport);
			const { warmUp } = job;
			await inPairs({ short: warmUp, long: warmUp, paced: 0 }, one);
			return { kind: "pairs", pairs: await inPairs(job.pairs, one) };
		}
		case "parallel": {
			const rounds: Record<Side, Round>[] = [];
			const atOnce = (side: Side) => together(job.streams, (at) => ask(side, "long", `${side} ${at}`, "sse"));
			await inTurn(0, atOnce);
			for (let round = 0; round < job.rounds; round += 1) rounds.push(await inTurn(round, atOnce));
			return { kind: "parallel", rounds };
		}
		case "growth": {
			for (let turn = 0; turn < job.warmUp; turn += 1) await askAs(job.side, "short", "sse");
			const memory: Memory[] = [await look(0)];
			for (let at = 1; at <= job.looks; at += 1) {
				for (let turn = 0; turn < job.turns; turn += 1) await askAs(job.side, "short", "sse");
				memory.push(await look(at * job.turns));
			}
			return { kind: "growth", memory };
		}
	}
}

/** Both sides, each first every other time: whatever the first one of two pays or gains is shared. */
async function inTurn<T>(at: number, one: (side: Side) => Promise<T>): Promise<Record<Side, T>> {
	const early = at % 2 === 0 ? await one("ours") : undefined;
	const plain = await one("plain");
	return { plain, ours: early ?? (await one("ours")) };
}

/** So many of each answer, one answer after the other by turns. */
async function inPairs(
	totals: Readonly<Record<Answer, number>>,
	one: (side: Side, answer: Answer) => Promise<Times>,
): Promise<Record<Answer, Pair[]>> {
	const taken: Record<Answer, Pair[]> = { short: [], long: [], paced: [] };
	for (let at = 0; at < Math.max(totals.short, totals.long, totals.paced); at += 1) {
		for (const answer of ["short", "long", "paced"] as const) {
			if (at < totals[answer]) taken[answer].push(await inTurn(at, (side) => one(side, answer)));
		}
	}
	return taken;
}

async function together(streams: number, one: (at: number) => Promise<Times>): Promise<Round> {
	const begun = performance.now();
	const before = process.cpuUsage();
	const times = await Promise.all(Array.from({ length: streams }, (_, at) => one(at)));
	const { user, system } = process.cpuUsage(before);
	return { wallMs: performance.now() - begun, cpuMs: (user + system) / 1000, times };
}

setFlagsFromString("--expose-gc");
const collectGarbage: () => void = runInNewContext("gc");

async function look(turns: number): Promise<Memory> {
	for (let round = 0; round < 4; round += 1) {
		collectGarbage();
		// What is released by a finalizer or an immediate is collected in the next round.
		await new Promise((resolve) => setTimeout(resolve, 50));
	}
	const { heapUsed, rss } = process.memoryUsage();
	return { turns, heap: heapUsed, rss };
}
