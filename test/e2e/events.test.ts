import { describe, expect, it } from "vitest";
import type { PiProcess } from "../support/child.ts";
import { answers, type StreamAnswer, tokenAnswers } from "../support/fake-codex/index.ts";
import { OLDEST_HOST } from "../support/hosts.ts";
import { parseJsonEvents } from "../support/pi.ts";
import type { Rpc, Turn } from "../support/rpc.ts";
import { coreOf } from "../support/tiers.ts";
import { type Bench, type BenchOptions, createBench, until } from "./support.ts";

/** The pi whose events tell whole messages, and nothing that differs between two runs. */
const benchOnOldest = (options: BenchOptions) => createBench({ host: OLDEST_HOST, ...options });
/** Over HTTP, so that each request is one that the backend can leave open. */
const benchOverHttp = (options: BenchOptions) => createBench({ settings: { transport: "sse" }, ...options });

const HOUR_MS = 3_600_000;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
/** pi's own turn retry, without its pauses. */
const quickRetry = { retry: { maxRetries: 2, baseDelayMs: 20 } };
const spent = answers.usageLimit({ resetsInMs: HOUR_MS });
/** The same for every account and every run, so that whole messages can be compared. */
const usage = { inputTokens: 1200, cachedTokens: 0, outputTokens: 7 };
const reasoning = { summary: "thinking it over", encryptedContent: "gAAAAAsame=" };

/** What an SSE event that makes pi write nothing is given to be taken in. */
const QUIET_MS = 500;
/** After this long without a byte, what one SSE event makes pi write is complete. */
const SETTLED_MS = 40;
const TICK_MS = 5;

/**
 * The answer one event at a time: the next is sent when pi has written all that one makes it write. The host changes
 * one message object while it reads, so events that arrive together may show each other's text, with us or without.
 */
function oneByOne(answer: StreamAnswer, writtenLength: () => number): StreamAnswer {
	function* steps(context: Parameters<StreamAnswer["steps"]>[0]): ReturnType<StreamAnswer["steps"]> {
		for (const step of answer.steps(context)) {
			const before = writtenLength();
			yield step;
			let [last, settledMs] = [before, 0];
			for (let ms = 0; step.do === "send" && ms < QUIET_MS && settledMs < SETTLED_MS; ms += TICK_MS) {
				yield { do: "wait", ms: TICK_MS };
				const length = writtenLength();
				settledMs = length > before && length === last ? settledMs + TICK_MS : 0;
				last = length;
			}
		}
	}
	return { ...answer, steps };
}

/** Everything pi writes in JSON mode for one prompt, without what differs from run to run. */
async function eventsOf(bench: Bench, account: string, sequence: readonly StreamAnswer[], extension: boolean) {
	let child: PiProcess | undefined;
	const writtenLength = () => child?.stdout().length ?? 0;
	bench.codex.account(account).next(...sequence.map((answer) => oneByOne(answer, writtenLength)));
	child = bench.spawn(["--mode", "json", "say hi"], { extension });
	const { stdout, stderr, code } = await child.wait();
	expect(stderr).toBe("");
	expect(bench.codex.account(account).pendingAnswers).toBe(0);
	return { code, events: comparable(parseJsonEvents(stdout).filter(({ type }) => type !== "session")) };
}

/**
 * Copies without times, random ids and stack traces. Also without the response's id: the fake's headers and first event
 * may arrive together, and then it is chance whether a message begins with it.
 */
function comparable(events: readonly unknown[]): unknown[] {
	const text = JSON.stringify(events, (key, value: unknown) => {
		if (key === "timestamp" || key === "durationMs") return 0;
		return key === "stack" || key === "responseId" ? undefined : value;
	});
	return JSON.parse(text.replaceAll(/\b(msg|rs|fc)_[0-9a-f]{32}\b/g, "$1_id"));
}

/** The host notes once a session that it has no WebSocket: here the refused try before has used that up. */
function withoutDiagnostics(value: unknown): unknown {
	return JSON.parse(JSON.stringify(value, (key, part: unknown) => (key === "diagnostics" ? undefined : part)));
}

interface Case {
	readonly what: string;
	readonly sequence: readonly StreamAnswer[];
	/** Near to another row. */
	readonly isVariant?: true;
}

const CASES: readonly Case[] = [
	{
		what: "thinking and text",
		isVariant: true,
		sequence: [answers.text("one two three", { reasoning, usage })],
	},
	{
		what: "text, a tool call and the answer to its result",
		sequence: [
			answers.text("let me look", {
				functionCalls: [{ name: "bash", arguments: { command: "echo seen" }, callId: "call_1" }],
				usage,
			}),
			answers.text("it is there", { usage }),
		],
	},
	{ what: "an empty answer", isVariant: true, sequence: [answers.text("", { usage })] },
	{ what: "text without a terminal event", isVariant: true, sequence: [answers.noTerminalEvent("all of it")] },
	{ what: "nothing but a start", isVariant: true, sequence: [answers.noTerminalEvent()] },
	{
		what: "a failure before text",
		isVariant: true,
		sequence: [answers.failedBeforeOutput("cyber_policy", "This request violates the cyber policy.")],
	},
	{
		what: "a failure after text",
		isVariant: true,
		sequence: [answers.failedAfterOutput("invalid_prompt", "The prompt is invalid.", "half of it")],
	},
	{
		what: "an error event after text",
		isVariant: true,
		sequence: [answers.errorEvent("invalid_prompt", "The prompt is invalid.", { afterText: "half of it" })],
	},
	{
		what: "a connection that breaks in mid-answer, and pi's own retry",
		sequence: [answers.resetMidStream("half of it"), answers.text("all of it", { usage })],
	},
];

describe("what pi writes in JSON mode", () => {
	it.each(coreOf(CASES, ({ isVariant }) => !isVariant))(
		"what pi writes in JSON mode is the same with us, with and without a rotation before: $what",
		async ({ sequence }) => {
			const settings = { ...quickRetry };
			const plain = await benchOnOldest({ accounts: [], strangers: ["a"], settings });
			plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
			const direct = await benchOnOldest({ accounts: ["a"], usage: usageUnknown, settings });
			const rotated = await benchOnOldest({ accounts: ["a", "b"], usage: usageUnknown, settings });
			rotated.codex.account("a").always(spent);
			const [expected, straight, afterwards] = await Promise.all([
				eventsOf(plain, "a", sequence, false),
				eventsOf(direct, "a", sequence, true),
				eventsOf(rotated, "b", sequence, true),
			]);
			expect(straight).toEqual(expected);
			expect(withoutDiagnostics(afterwards)).toEqual(withoutDiagnostics(expected));
			expect(direct.asked()).toEqual(plain.asked());
			expect(rotated.asked()).toEqual(["a", ...sequence.map(() => "b")]);
			expect(direct.status("a").cooldowns).toEqual([]);
			expect(rotated.status("b").cooldowns).toEqual([]);
		},
	);

	it("begins a message empty, and every update tells exactly the text so far", async () => {
		const bench = await benchOnOldest({ usage: usageUnknown });
		bench.codex.account("a").always(spent);
		const { events } = await eventsOf(bench, "b", [answers.text("one two three")], true);
		const updates = events.filter((event) => isOfType(event, "message_update")) as {
			message: { content: { text: string }[] };
			assistantMessageEvent: { type: string; delta?: string };
		}[];
		const started = events.filter((event) => isOfType(event, "message_start")) as { message: { content: unknown } }[];
		expect(started.at(-1)?.message.content).toEqual([]);
		let told = "";
		for (const { message, assistantMessageEvent } of updates) {
			if (assistantMessageEvent.type.endsWith("_delta")) told += assistantMessageEvent.delta;
			expect(message.content.map(({ text }) => text).join("")).toBe(told);
		}
		expect(told).toBe("one two three");
	});
});

function isOfType(event: unknown, type: string): boolean {
	return typeof event === "object" && event !== null && "type" in event && event.type === type;
}

/** Aborts the turn under way, which must end in exactly one message, and waits for that end. */
async function abortTurn(rpc: Rpc): Promise<Turn> {
	await rpc.abort(10_000);
	const turn = await rpc.settled(10_000);
	expect(turn).toMatchObject({ stopReason: "aborted", retries: 0 });
	for (const type of ["message_start", "message_end"]) {
		const roles = turn.events
			.filter((event) => event.type === type)
			.map(({ message }) => (message as { role: string }).role)
			.filter((role) => role !== "system");
		expect(roles, type).toEqual(["user", "assistant"]);
	}
	return turn;
}

/** A whole turn after an aborted one: nothing of the former shows up in it. */
async function expectUsable(rpc: Rpc, text: string): Promise<void> {
	const turn = await rpc.prompt("again", 20_000);
	expect(turn).toMatchObject({ text, stopReason: "stop", retries: 0 });
	expect(turn.events.filter(({ type }) => type === "message_end")).toHaveLength(2);
}

describe("an abort", () => {
	it("an abort during a request that hangs ends it, in pi's own words", async () => {
		const plain = await benchOverHttp({ accounts: [], strangers: ["a"] });
		plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
		const bench = await benchOverHttp({ usage: usageUnknown });
		const ends = await Promise.all(
			[plain, bench].map(async (each) => {
				each.codex.account("a").next(answers.hang());
				const rpc = each.rpc([], { extension: each === bench });
				await rpc.send("say hi");
				await each.codex.waitFor(({ kind }) => kind === "responses", 20_000);
				const { errorMessage, text } = await abortTurn(rpc);
				await each.codex.waitFor(({ kind, clientGone }) => kind === "responses" && clientGone === true);
				await expectUsable(rpc, "OK from a #2");
				return { errorMessage, text };
			}),
		);
		expect(ends[1]).toEqual(ends[0]);
		expect(bench.asked()).toEqual(["a", "a"]);
	});

	it("an abort in mid-answer keeps what was said, as pi alone does", async () => {
		const plain = await benchOverHttp({ accounts: [], strangers: ["a"] });
		plain.dir.write("auth.json", { "openai-codex": plain.codex.piAuthEntry("a") });
		const bench = await benchOverHttp({ usage: usageUnknown });
		const ends = await Promise.all(
			[plain, bench].map(async (each) => {
				each.codex.account("a").next(answers.hangAfterStart("said so far"));
				const rpc = each.rpc([], { extension: each === bench });
				await rpc.send("say hi");
				// An update tells the whole text, or its last word alone.
				await rpc.waitFor((event) => event.type === "message_update" && JSON.stringify(event).includes("far"));
				const { errorMessage, text, events } = await abortTurn(rpc);
				expect(text).toBe("said so far");
				await expectUsable(rpc, "OK from a #2");
				return { errorMessage, message: comparable([events.findLast(({ type }) => type === "message_end")?.message]) };
			}),
		);
		expect(ends[1]).toEqual(ends[0]);
		expect(bench.status("a").cooldowns).toEqual([]);
	});

	it("an abort between the start of an answer and its first word ends it", async () => {
		const bench = await benchOverHttp({ usage: usageUnknown });
		bench.codex.account("a").next(answers.hangAfterStart());
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await bench.codex.waitFor(({ kind, status }) => kind === "responses" && status === 200, 20_000);
		await abortTurn(rpc);
		await expectUsable(rpc, "OK from a #2");
	});

	it("an abort after a rotation ends the request on the next account", async () => {
		const bench = await benchOverHttp({ usage: usageUnknown });
		bench.codex.account("a").always(spent);
		bench.codex.account("b").next(answers.hang());
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await bench.codex.waitFor(({ kind, account }) => kind === "responses" && account === "b", 20_000);
		await abortTurn(rpc);
		await bench.codex.waitFor(({ account, clientGone }) => account === "b" && clientGone === true);
		await expectUsable(rpc, "OK from b #2");
		expect(bench.asked()).toEqual(["a", "b", "b"]);
	});

	it("an abort during a pause that the backend asked for ends it", async () => {
		const bench = await benchOverHttp({ usage: usageUnknown });
		bench.codex.account("a").next(answers.rateLimit({ retryAfterSeconds: 10 }));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		await bench.codex.waitFor(({ kind, status }) => kind === "responses" && status === 429, 20_000);
		const sentAt = Date.now();
		await abortTurn(rpc);
		expect(bench.asked()).toEqual(["a"]);
		expect(Date.now() - sentAt).toBeLessThan(8_000);
		await expectUsable(rpc, "OK from a #2");
	});

	it("an abort while the token is renewed ends the wait, and the new token is kept", async () => {
		const bench = await benchOverHttp({ accounts: ["a"], usage: usageUnknown });
		const { codex, dir } = bench;
		const credential = codex.grant("a", { expiresInMs: -1000 });
		dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a", { credential })] });
		// The old token is spent at once, the answer comes late: a process that drops it has lost the account.
		codex.account("a").token(tokenAnswers.delay(3_000, { rotate: "before" }));
		const rpc = bench.rpc();
		await rpc.send("say hi");
		const exchange = await codex.waitFor(({ kind }) => kind === "token", 20_000);
		await abortTurn(rpc);
		expect(exchange.endedAt).toBeUndefined();
		expect(bench.asked()).toEqual([]);
		await until("the new token to be stored", () => bench.stored("a").credential.refresh !== credential.refresh);
		await expectUsable(rpc, "OK from a #1");
		expect(codex.tokenRequests()).toHaveLength(1);
	});
});
