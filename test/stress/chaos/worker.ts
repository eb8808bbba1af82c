/**
 * One process of the chaos: the extension itself over the stream function of a pi, without the rest of that. Seats are
 * sessions; each gets an extension of its own, as pi loads one for every session. The driver orders, this obeys and
 * tells.
 */
import { getEventListeners } from "node:events";
import { performance } from "node:perf_hooks";
import type {
	Api,
	AssistantMessage,
	AssistantMessageEventStream,
	Context,
	Model,
	SimpleStreamOptions,
	UserMessage,
} from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import { SECRET_MARK } from "../../support/fake-codex/tokens.ts";
import { aContext, aPi, type FakeContext, type FakePi } from "../../unit/fake-pi.ts";
import type { Message, Order, TurnOrder, TurnReport } from "./orders.ts";
import { createWatcher } from "./watcher.ts";

type StreamFunction = (
	model: Model<Api>,
	context: Context,
	options: SimpleStreamOptions,
) => AssistantMessageEventStream;

interface Seat {
	readonly pi: FakePi;
	readonly context: FakeContext;
	readonly session: string;
	history: Context["messages"];
}

const RealDate = globalThis.Date;
const realNow = () => performance.timeOrigin + performance.now();
let jumpedMs = Number(process.env.CHAOS_CLOCK_MS ?? 0);
const wrongNow = () => RealDate.now() + jumpedMs;
globalThis.Date = new Proxy(RealDate, {
	apply: () => new RealDate(wrongNow()).toString(),
	construct: (target, args, newTarget) => Reflect.construct(target, args.length === 0 ? [wrongNow()] : args, newTarget),
	get: (target, key) => (key === "now" ? wrongNow : Reflect.get(target, key)),
});

const baseUrl = process.env.CHAOS_BASE_URL ?? "";
const seats = new Map<number, Seat>();
const running = new Map<string, AbortController>();
/** Lives as long as the process, as that of a person who never presses Esc. */
const patient = new AbortController();
let turns = 0;
let isLeaving = false;
// The driver is gone, and nothing else would end this.
process.on("disconnect", () => {
	if (!isLeaving) process.exit(1);
});

const tell = (message: Message) => {
	process.send?.(message);
};
const wrong = (what: string) => tell({ did: "wrong", what });
process.on("uncaughtException", (error) => wrong(`an exception: ${error.stack}`));
process.on("unhandledRejection", (reason) => {
	wrong(`an unhandled rejection: ${reason instanceof Error ? reason.stack : String(reason)}`);
});
process.on("warning", ({ name, message }) => {
	if (name !== "ExperimentalWarning") wrong(`a warning: ${message}`);
});

/** Turn by turn, whose tokens were meant. */
const meant = new Map<string, string[]>();
Object.assign(globalThis, {
	witness: ({ messages }: Context, access: string) => {
		const last = messages.findLast(({ role }) => role === "user");
		const id = /turn:([\w-]+);/.exec(JSON.stringify(last?.content))?.[1];
		const claims: unknown = JSON.parse(Buffer.from(access.split(".")[1] ?? "", "base64url").toString());
		if (id !== undefined && typeof claims === "object" && claims !== null && "sub" in claims)
			meant.get(id)?.push(String(claims.sub));
	},
});

const { default: multicodex } = await import("../../../index.ts");
const model: Model<Api> = { ...ai.getModel("openai-codex", "gpt-5.5"), baseUrl };

async function sit(seat: number, session: string): Promise<void> {
	await leave(seat);
	const pi = aPi();
	const context = aContext({ mode: "rpc", sessionId: session });
	context.model = { provider: "openai-codex", baseUrl };
	context.models = [{ provider: "openai-codex", id: model.id, baseUrl }];
	await multicodex(pi.api);
	seats.set(seat, { pi, context, session, history: [] });
	await pi.fire("session_start", context.ctx);
}

async function leave(number: number): Promise<void> {
	const seat = seats.get(number);
	if (!seat) return;
	seats.delete(number);
	await seat.pi.fire("session_shutdown", seat.context.ctx);
	ai.cleanupSessionResources(seat.session);
}

/** What pi would call; undefined while nothing of ours is registered. */
function registered({ pi }: Seat): { readonly stream: StreamFunction; readonly apiKey: string } | undefined {
	const since = pi.registrations.slice(pi.registrations.findLastIndex(({ call }) => call === "unregister") + 1);
	if (since.length === 0) return undefined;
	// Configurations are merged, as pi does.
	const { streamSimple, apiKey } = Object.assign({}, ...since.map(({ config }) => config));
	if (typeof streamSimple !== "function") return undefined;
	// As the extension has registered them.
	return { stream: streamSimple as StreamFunction, apiKey: String(apiKey ?? "none") };
}

async function turn(order: TurnOrder): Promise<TurnReport> {
	const startedAt = realNow();
	const { turn: id } = order;
	const nothing = { turn: id, startedAt, shown: [], meant: [], abortedAt: undefined, problems: [], words: "" };
	const seat = seats.get(order.seat);
	if (seat && !order.isAside) await seat.pi.fire("input", seat.context.ctx);
	const provider = seat && registered(seat);
	if (!seat || !provider) return { ...nothing, endedAt: realNow(), reason: "off" };
	const own = new AbortController();
	let abortedAt: number | undefined;
	own.signal.addEventListener("abort", () => {
		abortedAt = realNow();
	});
	running.set(id, own);
	meant.set(id, []);
	const timer = order.abortAfterMs === undefined ? undefined : setTimeout(() => own.abort(), order.abortAfterMs);
	const watcher = createWatcher((what) => wrong(`${id}: ${what}, when everything was said`));
	const prompt: UserMessage = {
		role: "user",
		content: [{ type: "text", text: `turn:${id};` }],
		timestamp: Date.now(),
	};
	const messages: Context["messages"] = order.isAside ? [prompt] : [...seat.history, prompt];
	const stream = provider.stream(
		model,
		{ systemPrompt: "Chaos.", messages },
		{
			apiKey: provider.apiKey,
			signal: AbortSignal.any([own.signal, patient.signal]),
			sessionId: order.isAside ? `${seat.session}-aside-${id}` : seat.session,
			transport: order.transport,
			reasoning: "low",
		},
	);
	const [push, end] = [stream.push.bind(stream), stream.end.bind(stream)];
	const watched = new Set<unknown>();
	stream.push = (event) => {
		watched.add(event);
		watcher.push(event);
		push(event);
	};
	stream.end = (result) => {
		watcher.end();
		end(result);
	};
	for await (const event of stream) {
		if (watched.has(event)) continue;
		// It came before anything could watch: switched off, the host itself refuses a request at once.
		watcher.push(event);
		if (event.type === "done" || event.type === "error") watcher.end();
	}
	// The end follows the final event at once, or not at all.
	await new Promise((resolve) => setTimeout(resolve, 5));
	watcher.close();
	clearTimeout(timer);
	running.delete(id);
	const users = meant.get(id) ?? [];
	meant.delete(id);
	if (order.isAside) ai.cleanupSessionResources(`${seat.session}-aside-${id}`);
	const final = watcher.final();
	if (final?.type === "done" && !order.isAside) remember(seat, prompt, final.message);
	turns += 1;
	const words = final?.type === "error" ? (final.error.errorMessage ?? "") : "";
	const reason = final?.type === "error" ? final.reason : (final?.type ?? "none");
	const problems = [...watcher.problems, ...(words.includes(SECRET_MARK) ? ["a token in its words"] : [])];
	return {
		turn: id,
		startedAt,
		endedAt: realNow(),
		reason,
		words,
		shown: watcher.shown(),
		meant: users,
		abortedAt,
		problems,
	};
}

/** Enough of a conversation for a continuation, and for reasoning that an account may refuse. */
function remember(seat: Seat, prompt: Context["messages"][number], message: AssistantMessage): void {
	const hasTools = message.content.some(({ type }) => type === "toolCall");
	seat.history = hasTools || seat.history.length >= 8 ? [] : [...seat.history, prompt, message];
}

/** What a person types while one session ends is taken by the next one. */
const LONGEST_CHANGE_MS = 30_000;

async function command(seat: number, line: string): Promise<string[]> {
	const deadline = performance.now() + LONGEST_CHANGE_MS;
	while (!seats.has(seat) && performance.now() < deadline) await new Promise((resolve) => setTimeout(resolve, 10));
	const { pi, context } = seats.get(seat) ?? {};
	const handler = pi?.commands.get("multicodex")?.handler;
	if (!handler || !context) throw new Error(`there is no session to type /multicodex ${line} in`);
	context.notices.length = 0;
	await handler(line, context.ctx);
	const told = context.notices.splice(0);
	if (told.some((text) => text.includes(SECRET_MARK))) wrong(`a token in what /multicodex ${line} told`);
	return told;
}

async function measure(): Promise<Extract<Message, { did: "measure" }>["measure"]> {
	for (const { context, pi } of seats.values()) {
		// What a test keeps is no growth of ours.
		context.notices.length = 0;
		context.statuses.length = 0;
		pi.entries.length = 0;
	}
	for (let round = 0; round < 3; round += 1) {
		globalThis.gc?.();
		await new Promise((resolve) => setTimeout(resolve, 20));
	}
	const resources: Record<string, number> = {};
	for (const kind of process.getActiveResourcesInfo()) resources[kind] = (resources[kind] ?? 0) + 1;
	return {
		turns,
		heapBytes: process.memoryUsage().heapUsed,
		resources,
		listeners: process.eventNames().reduce((sum, name) => sum + process.listenerCount(name), 0),
		signalListeners: getEventListeners(patient.signal, "abort").length,
	};
}

async function obey(order: Order): Promise<void> {
	switch (order.do) {
		case "sit":
			await sit(order.seat, order.session);
			return tell({ did: "order", ticket: order.ticket, told: [] });
		case "turn":
			return tell({ did: "turn", report: await turn(order) });
		case "command":
			return tell({ did: "order", ticket: order.ticket, told: await command(order.seat, order.line) });
		case "abort":
			running.get(order.turn)?.abort();
			return;
		case "jump":
			jumpedMs = order.byMs;
			return;
		case "measure":
			return tell({ did: "measure", ticket: order.ticket, measure: await measure() });
		case "leave":
			await Promise.all([...seats.keys()].map(leave));
			isLeaving = true;
			tell({ did: "leave" });
			// Whatever keeps the process alive from here on is a leak; the driver's own line is not.
			process.disconnect();
	}
}

process.on("message", (order: Order) => {
	obey(order).catch((error: unknown) => {
		wrong(`${order.do}: ${error instanceof Error ? error.stack : String(error)}`);
		if ("ticket" in order) tell({ did: "order", ticket: order.ticket, told: [] });
	});
});
tell({ did: "start" });
