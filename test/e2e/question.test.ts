import { stripVTControlCharacters } from "node:util";
import { describe, expect, it } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, prepareHost } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import type { Terminal } from "../support/terminal.ts";
import { ANY_HOST, coreOf } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const PATIENCE_MS = 30_000;
const HOUR_MS = 3_600_000;
const QUESTION = "How should this turn continue?";
/** Longer than the panel takes its keys for the end of what was typed before it came. */
const READING_MS = 900;

/** Two accounts without quota; `rich` has bought credits, `poor` has nothing. */
async function dryBench(host: HostName, settings: Readonly<Record<string, unknown>>): Promise<Bench> {
	const quota = { week: { usedPercent: 100, resetsInMs: 3 * HOUR_MS } };
	const bench = await createBench({
		host,
		accounts: [
			{ name: "poor", quota },
			{ name: "rich", quota, credits: { hasCredits: true, balance: "12.40" } },
		],
		settings: { transport: "sse", "pi-multicodex": settings },
	});
	// Credits serve what quota does not.
	bench.codex.account("rich").always(answers.echoAccount());
	return bench;
}

/** A client of a pi that knows what its accounts have left. */
async function informed(bench: Bench): Promise<Rpc> {
	const rpc = bench.rpc();
	await rpc.send("/multicodex refresh");
	return rpc;
}

/** A prompt whose question the person has had time to read. */
async function asked(terminal: Terminal, prompt: string): Promise<string> {
	await terminal.submit(prompt);
	const screen = await terminal.waitForText(QUESTION, PATIENCE_MS);
	await new Promise((resolve) => setTimeout(resolve, READING_MS));
	return screen;
}
const isGone = (terminal: Terminal) => terminal.waitForScreen((screen) => !screen.includes(QUESTION), PATIENCE_MS);
const footer = (rpc: Rpc) => stripVTControlCharacters(rpc.status("multicodex") ?? "");
const questions = ({ events }: Rpc) => events.filter(({ method }) => method === "select").length;

describe.each(coreOf(hostNames))("a pool without quota and without a yes, on pi %s", (host) => {
	it("asks in the middle of the turn, takes no text for an answer, and does what is chosen", async () => {
		const bench = await dryBench(host, { beyond: { credits: "ask" } });
		const terminal = bench.terminal([], { cols: 100, rows: 30 });
		await terminal.ready();
		// An account of which nothing is known yet is asked like any other.
		await until("usage to be stored", () => ["poor", "rich"].every((name) => bench.status(name).usage !== undefined));
		const screen = await asked(terminal, "say hi");
		expect(screen).toMatch(/^█ {2}Wait for (poor|rich) until .*\n {3}Use bought credits of rich \(balance 12\.40\)\n/m);
		expect(screen).toContain("waiting for your answer");
		expect(bench.asked().includes("rich")).toBe(false);

		await terminal.type("and then the tests");
		await terminal.press("enter");
		await terminal.waitForText("Letters do not answer");
		await terminal.press("down", "right");
		await terminal.waitForText("(today)");
		await terminal.press("left", "enter");
		await terminal.waitForText("OK from rich", PATIENCE_MS);
		// What was typed for the editor stands there, and was not sent.
		await terminal.waitForText(/^ ?and then the tests$/m);
		expect(bench.asked().filter((name) => name === "rich")).toHaveLength(1);

		// The next turn has a question of its own, which Esc ends.
		await terminal.press("ctrl+u");
		await asked(terminal, "say more");
		await terminal.press("escape");
		await isGone(terminal);
		await terminal.waitForText(/Bought\s+credits\s+are\s+left:\s+\/multicodex\s+beyond/, PATIENCE_MS);
		expect(bench.asked().filter((name) => name === "rich")).toHaveLength(1);
	});
});

it.each(coreOf(hostNames))(
	"asks an RPC client by a dialog, once a turn, and remembers a yes for the day in every pi: pi %s",
	async (host) => {
		const bench = await dryBench(host, { beyond: { credits: "ask" } });
		const rpc = await informed(bench);
		await rpc.send("say hi");
		const dialog = await rpc.waitForDialog(PATIENCE_MS, "select");
		await until("the footer to say so", () => footer(rpc) === "codex waiting for your answer");
		expect(dialog.title).toContain(QUESTION);
		rpc.answer(dialog, dialog.options.at(-1));
		expect(await rpc.settled()).toMatchObject({ stopReason: "error", retries: 0 });
		expect(dialog.options.at(-1)).toMatch(/^Stop/);

		// One yes serves all requests of a turn, and no other turn.
		const call = { name: "bash", arguments: { command: "echo seen" }, callId: "call_1" };
		bench.codex.account("rich").next(answers.text("One moment.", { functionCalls: [call] }));
		await rpc.send("say hi");
		const once = await rpc.waitForDialog(PATIENCE_MS, "select");
		rpc.answer(once, "Use bought credits of rich (balance 12.40)");
		expect((await rpc.settled()).text).toBe("OK from rich #2");
		expect(questions(rpc)).toBe(2);

		await rpc.send("say hi");
		const again = await rpc.waitForDialog(PATIENCE_MS, "select");
		const forToday = again.options.find((option) => /bought credits.*rest of today/.test(option));
		rpc.answer(again, forToday);
		expect((await rpc.settled()).text).toBe("OK from rich #3");
		expect((await rpc.prompt("say hi")).text).toBe("OK from rich #4");
		expect(questions(rpc)).toBe(3);

		// A new session, in a pi with no person at all, honours it.
		expect((await bench.print("say hi")).stdout).toContain("OK from rich #5");
		await rpc.send("/multicodex beyond forget");
		expect(rpc.notifications.at(-1)?.message).toContain("bought credits");
		const unasked = await bench.print("say hi", ["--no-session"]);
		expect(unasked).toMatchObject({ code: 1 });
		expect(bench.asked().filter((name) => name === "rich")).toHaveLength(5);
	},
);

it("goes on with Luna Reserve, redeems a reset, or waits, as the person chooses", async () => {
	const { model: normalModel } = await prepareHost(ANY_HOST);
	const bench = await createBench({
		host: ANY_HOST,
		accounts: [
			{
				name: "a",
				quota: { fiveHour: {}, week: { usedPercent: 100, resetsInMs: 3 * 24 * HOUR_MS } },
				reserve: { usedPercent: 60, normalModel, costPerRequestPercent: 10 },
				resetCredits: [{ id: "credit-1", expiresInMs: 8 * 24 * HOUR_MS }],
			},
		],
		settings: { transport: "sse", "pi-multicodex": { rotation: { maxWait: "0s" } } },
	});
	const a = bench.codex.account("a");
	const rpc = await informed(bench);
	const choose = async (wanted: RegExp) => {
		await rpc.send("say hi");
		const dialog = await rpc.waitForDialog(PATIENCE_MS, "select");
		rpc.answer(
			dialog,
			dialog.options.find((option) => wanted.test(option)),
		);
		const { text } = await rpc.settled();
		return [text.replace(/\d+$/, ""), bench.codex.responsesRequests().at(-1)?.body?.model];
	};
	expect(await choose(/^Continue with Luna Reserve of a: about 40% left$/)).toEqual(["OK from a #", "gpt-reserve"]);
	expect(a.resetCredits.ids("redeemed")).toEqual([]);

	expect(await choose(/^Redeem a reset of a: week back to 100%, credit expires /)).toEqual([
		"OK from a #",
		normalModel,
	]);
	expect(a.resetCredits.ids("redeemed")).toEqual(["credit-1"]);

	a.setQuota({ fiveHour: { usedPercent: 100, resetsInMs: 6000 }, week: {} });
	await rpc.send("/multicodex refresh");
	expect(await choose(/^Wait for a until /)).toEqual(["OK from a #", normalModel]);
	expect(questions(rpc)).toBe(3);
});

it("is taken away with the turn, and a person who has nothing beyond quota never sees it", async () => {
	const bench = await dryBench(ANY_HOST, { beyond: { credits: "ask" } });
	const rpc = await informed(bench);
	await rpc.send("say hi");
	await rpc.waitForDialog(PATIENCE_MS, "select");
	await rpc.abort();
	expect(await rpc.settled()).toMatchObject({ stopReason: "aborted" });
	await until("the footer to show no question", () => !footer(rpc).includes("your answer"));

	await rpc.send("/multicodex disable rich");
	expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "error" });
	expect(questions(rpc)).toBe(1);
});
