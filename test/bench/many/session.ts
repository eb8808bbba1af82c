/**
 * One of many processes that share an agent directory: the package over pi's own packages, without the rest of pi. It
 * takes orders from its parent. Node runs this file as it is.
 */
import fs from "node:fs";
import { createRequire, syncBuiltinESMExports } from "node:module";
import { basename, join } from "node:path";
import type { Api, AssistantMessageEvent, Context, Model, SimpleStreamOptions } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import * as tui from "@mariozechner/pi-tui";
import type { Locks, Order, Reply, Turn } from "./orders.ts";

type Stream = (
	model: Model<Api>,
	context: Context,
	options: SimpleStreamOptions,
) => AsyncIterable<AssistantMessageEvent>;
type Handler = (event: Record<string, unknown>, ctx: unknown) => unknown;

const CONTEXT: Context = {
	systemPrompt: "You are measured.",
	messages: [{ role: "user", content: [{ type: "text", text: "Count." }], timestamp: 0 }],
};

/** By the file that is locked. */
const locks: Record<string, { taken: number; refused: number }> = {};
const { mkdir } = fs;
const counted = (path: string, ...rest: unknown[]) => {
	const done = rest.pop();
	if (typeof done !== "function") throw new Error("a lock is made with a callback");
	return Reflect.apply(mkdir, fs, [
		path,
		...rest,
		(error: unknown, ...answer: unknown[]) => {
			if (String(path).endsWith(".lock")) note(basename(path, ".lock"), error === null);
			done(error, ...answer);
		},
	]);
};
// Before the package is loaded, whose library for locks keeps the function that it finds.
Object.assign(fs, { mkdir: Object.assign(counted, mkdir) });
syncBuiltinESMExports();

function note(name: string, isTaken: boolean): void {
	const { taken = 0, refused = 0 } = locks[name] ?? {};
	locks[name] = isTaken ? { taken: taken + 1, refused } : { taken, refused: refused + 1 };
}

const { BENCH_DIST = "", BENCH_BASE_URL = "", BENCH_ACCESS = "", BENCH_SESSION = "" } = process.env;
const load = createRequire(import.meta.url);
const packages: Readonly<Record<string, unknown>> = {
	"@mariozechner/pi-ai": ai,
	"@mariozechner/pi-tui": tui,
	// Of its largest one, only what a session without a screen asks for.
	"@mariozechner/pi-coding-agent": { VERSION: "0.73.1", getAgentDir: () => process.env.PI_CODING_AGENT_DIR },
};
const { start } = load(join(BENCH_DIST, "multicodex.cjs"));

const handlers = new Map<string, Handler[]>();
let registered: { readonly streamSimple: Stream; readonly apiKey?: string } | undefined;
const pi = {
	on: (event: string, handler: Handler) => handlers.set(event, [...(handlers.get(event) ?? []), handler]),
	// Configurations are merged, as pi does.
	registerProvider: (_name: string, config: NonNullable<typeof registered>) => {
		registered = { ...registered, ...config };
	},
	unregisterProvider: () => {
		registered = undefined;
	},
	registerCommand: () => undefined,
	appendEntry: () => undefined,
	events: { emit: () => undefined },
};
await start(pi, async (name: string) => packages[name]);
const model: Model<Api> = { ...ai.getModel("openai-codex", "gpt-5.5"), baseUrl: BENCH_BASE_URL };
const ctx = {
	hasUI: false,
	mode: process.env.BENCH_MODE ?? "print",
	cwd: process.cwd(),
	isIdle: () => true,
	ui: {
		// Of a session that stays, notices are what its person is told of rotations.
		notify: (text: string) => process.env.BENCH_MODE === undefined && tell({ did: "complain", text }),
		setStatus: () => undefined,
	},
	model,
	modelRegistry: {
		refresh: () => undefined,
		getAll: () => [model],
		getAvailable: () => [model],
		find: () => model,
		hasConfiguredAuth: () => true,
		isUsingOAuth: () => true,
	},
	sessionManager: { getSessionId: () => BENCH_SESSION, getBranch: () => [] },
};
const fire = async (event: string) => {
	for (const handler of handlers.get(event) ?? []) await handler({ type: event, text: "" }, ctx);
};
const tell = (reply: Reply) => process.send?.(reply);

async function turn(order: Extract<Order, { do: "turns" }>): Promise<Turn> {
	const { signal } = new AbortController();
	const stream: Stream | undefined = order.side === "plain" ? streamOfPi : registered?.streamSimple;
	if (!stream) throw new Error("nothing is registered");
	const apiKey = order.side === "plain" ? BENCH_ACCESS : (registered?.apiKey ?? "none");
	const begun = performance.now();
	let first = Number.NaN;
	let isDone = false;
	for await (const event of stream(model, CONTEXT, { apiKey, sessionId: BENCH_SESSION, signal, transport: "sse" })) {
		if (event.type === "text_delta" && Number.isNaN(first)) first = performance.now() - begun;
		if (event.type === "error") throw new Error(event.error.errorMessage);
		isDone = event.type === "done";
	}
	if (!isDone) throw new Error("an answer has no end");
	return { first, total: performance.now() - begun };
}

const streamOfPi: Stream = (asked, context, options) =>
	ai.streamSimpleOpenAICodexResponses(asked as Model<"openai-codex-responses">, context, options);

async function obey(order: Order): Promise<void> {
	if (order.do === "turns") {
		const before = process.cpuUsage();
		const turns: Turn[] = [];
		for (let at = 0; at < order.turns; at += 1) turns.push(await turn(order));
		const { user, system } = process.cpuUsage(before);
		tell({ did: "turns", turns, cpuMs: (user + system) / 1000, locks: takeLocks() });
		return;
	}
	await fire("session_shutdown");
	tell({ did: "leave", locks: takeLocks() });
	// Whatever keeps the process alive from here on is left over; the line to the parent is not.
	process.disconnect();
}

/** Counts since the last call. */
function takeLocks(): Locks {
	const taken = structuredClone(locks);
	for (const name of Object.keys(locks)) delete locks[name];
	return taken;
}

process.on("message", (order: Order) => {
	obey(order).catch((error: unknown) => tell({ did: "complain", text: String(error) }));
});
await fire("session_start");
tell({ did: "begin" });
