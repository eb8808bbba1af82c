import { renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { formatClock } from "../../src/ui-kit/format.ts";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";
import { jumpingClock } from "./under-fire-support.ts";

const HOUR_MS = 3_600_000;
const MINUTE_MS = 60_000;
const ROWS = 30;

/** Two accounts, the first of which serves; half a minute more, so that no minute ends while a test looks. */
async function aBench(host: HostName = "0.73.1"): Promise<Bench> {
	const fiveHour = { usedPercent: 27, resetsInMs: 67.5 * MINUTE_MS };
	const bench = await createBench({
		host,
		accounts: [
			{ name: "work", plan: "plus", quota: { fiveHour, week: { usedPercent: 8, resetsInMs: 164.5 * HOUR_MS } } },
			{ name: "side", plan: "pro", quota: { fiveHour: { usedPercent: 90 }, week: { usedPercent: 58 } } },
		],
		rows: { side: { enabled: false } },
	});
	bench.dir.replace("models.json", {
		providers: {
			"openai-codex": { baseUrl: bench.codex.baseUrl },
			other: {
				baseUrl: "http://127.0.0.1:9/v1",
				api: "openai-completions",
				apiKey: "none",
				models: [{ id: "elsewhere" }],
			},
		},
	});
	return bench;
}

/** The footer is the last line of the screen. */
const footerOf = (screen: string) => screen.split("\n").at(-1) ?? "";

it.each(coreOf(hostNames))(
	"the footer is drawn for 120, 80 and 40 columns, and only beside a Codex model, on %s",
	async (host) => {
		const bench = await aBench(host);
		const terminal = bench.terminal([], { cols: 120, rows: ROWS });
		await terminal.ready();
		await terminal.waitForScreen((screen) => footerOf(screen).includes("73% left"));
		await terminal.submit("say hi");
		const widest =
			/^codex work \(plus\) · 5h ━{7}─{3} 73% left \(1h0[67]m\) · week ━{9}─ 92% left \(6d20h\) · last ready$/;
		await terminal.waitForScreen((screen) => widest.test(footerOf(screen)));
		terminal.resize(80);
		const usual = /^codex work · 5h 73% left \(1h0[67]m\) · week 92% left \(6d20h\) · last ready$/;
		await terminal.waitForScreen((screen) => usual.test(footerOf(screen)));
		terminal.resize(40);
		await terminal.waitForScreen((screen) => footerOf(screen) === "work · 5h 73% · wk 92% · last ready");
		terminal.resize(80);
		await terminal.waitForScreen((screen) => usual.test(footerOf(screen)));

		// Newer hosts offer models while one is typed, and take the first Enter for the choice.
		const choose = async (model: string) => {
			await terminal.submit(`/model ${model}`);
			await terminal.press("enter");
		};
		await choose("other/elsewhere");
		await terminal.waitForScreen((screen) => footerOf(screen).includes("elsewhere"));
		await choose(`openai-codex/${bench.host.model}`);
		await terminal.waitForScreen((screen) => usual.test(footerOf(screen)));
	},
);

it.each(coreOf(hostNames))(
	"the footer follows a new, a resumed, a forked and a reloaded session, on %s",
	async (host) => {
		const bench = await aBench(host);
		const terminal = bench.terminal([], { rows: ROWS });
		await terminal.ready();
		// While an answer is under way pi refuses to reload. The footer is ahead of its end.
		const hasAnswered = (screen: string, number: number) =>
			screen.includes(`OK from work #${number}`) && !screen.includes("Working");
		await terminal.submit("say hi");
		await terminal.waitForScreen(
			(screen) => footerOf(screen).startsWith("codex work · 5h 73% left") && hasAnswered(screen, 1),
		);
		await terminal.submit("/reload");
		await terminal.waitForText("Reloaded");
		await terminal.waitForScreen((screen) => footerOf(screen).startsWith("codex work · 5h 73% left"));
		await terminal.submit("/new");
		// The next session's account is known before it has asked anything.
		const isNamed = (screen: string) => footerOf(screen).startsWith("codex work · 5h 73% left");
		await terminal.waitForScreen((screen) => isNamed(screen) && !screen.includes("OK from work"));
		await terminal.submit("/resume");
		await terminal.waitForText(/say hi/);
		await terminal.press("enter");
		await terminal.waitForScreen((screen) => isNamed(screen) && screen.includes("OK from work #1"));
		await terminal.submit("again");
		await terminal.waitForScreen((screen) => hasAnswered(screen, 2));
		await terminal.submit("/fork");
		await terminal.waitForText(/again[\s\S]*again/);
		await terminal.press("enter");
		await terminal.waitForScreen((screen) => footerOf(screen).startsWith("codex work · 5h 73% left"));
		// Whatever was left over by a session would have been told so by pi.
		expect(terminal.transcript()).not.toMatch(/error|stale/i);
	},
);

it("the footer changes with each key of the panel, and in other processes with their next request", async () => {
	const bench = await aBench();
	const other = bench.rpc();
	expect((await other.prompt("say hi")).stopReason).toBe("stop");
	const terminal = bench.terminal([], { rows: ROWS });
	await terminal.ready();
	await terminal.submit("say hi");
	await terminal.waitForScreen((screen) => footerOf(screen).includes("73% left"));
	await terminal.submit("/multicodex footer");
	await terminal.waitForText("What is shown");

	await terminal.press("enter");
	await terminal.waitForScreen((screen) => footerOf(screen).startsWith("codex work · 5h 27% used"));
	await terminal.press("down", "down", "down", "space");
	const changed = "codex work · 5h 27% used · week 8% used · last ready";
	const screen = await terminal.waitForScreen((each) => footerOf(each) === changed);
	// The same line twice: in the panel, and where it will stand.
	expect(screen.split("\n").filter((line) => line === changed)).toHaveLength(2);
	await terminal.press("escape");
	await terminal.waitForScreen((each) => !each.includes("What is shown"));
	expect(bench.dir.readJson("settings.json")).toMatchObject({
		defaultProvider: "openai-codex",
		"pi-multicodex": { footer: { usage: "used", reset: false } },
	});
	await other.prompt("say hi");
	await until("the other process to follow", () => other.status("multicodex")?.includes("27% used") === true);

	await terminal.submit("/multicodex footer order=usage-first");
	await terminal.waitForScreen((each) => footerOf(each).startsWith("codex 5h 27% used · week 8% used · work"));
});

it("the footer command sets and prints values if there is no panel", async () => {
	const bench = await aBench();
	const set = await bench.print("/multicodex footer windows=7d maskEmails=true");
	expect(set).toMatchObject({ code: 0, stderr: "" });
	expect(set.stdout).toMatch(/^windows +7d/m);
	const rpc = bench.rpc();
	await rpc.send("/multicodex footer");
	expect(rpc.notifications.at(-1)?.message).toMatch(/^windows +7d[\s\S]*^maskEmails +true/m);
	const bad = await bench.print("/multicodex footer windows=30d");
	expect(bad).toMatchObject({ code: 1, stdout: "" });
	expect(bad.stderr).toContain("windows must be one of both, 5h, 7d");
});

it("the footer counts down while a request waits, and names the next account after Esc", async () => {
	const bench = await createBench({ host: OLDEST_HOST, accounts: ["work"], usage: answers.serverError(503) });
	bench.codex.account("work").always(answers.usageLimit({ resetsInMs: 40_000 }));
	const terminal = bench.terminal([], { rows: ROWS });
	await terminal.ready();
	await terminal.submit("say hi");
	const seconds = (screen: string) =>
		Number(
			/^codex waiting · work back (?:\w{3} )?\d\d:\d\d \((\d\d)s\) · esc ends the wait$/.exec(footerOf(screen))?.[1],
		);
	const first = seconds(await terminal.waitForScreen((screen) => seconds(screen) > 0));
	await terminal.waitForScreen((screen) => seconds(screen) === first - 1);
	await terminal.waitForScreen((screen) => seconds(screen) === first - 2);
	await terminal.press("escape");
	await terminal.waitForScreen((screen) =>
		/^codex 0\/1 ready · work back (?:\w{3} )?\d\d:\d\d \(<1m\)$/.test(footerOf(screen)),
	);
});

describe(`the figures of pi ${NEWEST_HOST} over a WebSocket, whose answers say nothing of usage`, () => {
	const week = { usedPercent: 31, resetsInMs: 50.5 * HOUR_MS };
	const settings = { "pi-multicodex": { rotation: { policy: "in-order" } } };

	it("figures follow each turn, and a notice names window and reset of the account that ran dry", async () => {
		const bench = await createBench({
			host: NEWEST_HOST,
			settings,
			accounts: [
				{
					name: "anna",
					quota: {
						fiveHour: { usedPercent: 52, resetsInMs: 72.5 * MINUTE_MS },
						week,
						costPerRequestPercent: { fiveHour: 24 },
					},
				},
				{ name: "cleo", quota: { fiveHour: { usedPercent: 20 }, week: { usedPercent: 60 } } },
			],
		});
		const terminal = bench.terminal([], { cols: 120, rows: ROWS });
		await terminal.ready();
		// What is known is there before the first request.
		await terminal.waitForScreen((screen) => /^codex anna .*5h .*48% left \(1h1\dm\)/.test(footerOf(screen)));
		await terminal.submit("say hi");
		await terminal.waitForScreen((screen) => /^codex anna .*5h .*24% left \(1h1\dm\)/.test(footerOf(screen)));
		// Within the minute nothing is asked: what refuses the next one is not known to be spent.
		await terminal.submit("again");
		await terminal.waitForText("OK from anna #2");
		const before = bench.codex.requestsOf("usage").filter(({ account }) => account === "anna").length;
		expect(before).toBe(2);
		await terminal.submit("and again");
		await terminal.waitForText("OK from cleo #1");
		const [fiveHour] = bench.codex.account("anna").quota?.windows(Date.now()) ?? [];
		const reset = fiveHour?.resetsAt ?? 0;
		// A refusal tells its reset in whole seconds, which may begin another minute.
		const clock = [0, 1000].map((ms) => formatClock(reset + ms, Date.now())).join("|");
		const limit = String.raw`Codex: anna reached its 5h limit \(resets (?:${clock})\)`;
		await terminal.waitForText(new RegExp(String.raw`${limit}\. Continued on cleo, 40% of its week limit left\.`));
		await terminal.waitForScreen((screen) => /^codex cleo .*week .*40% left/.test(footerOf(screen)));
		// The same moment in the state, in the log, and in what `show` prints.
		for (const { until } of bench.status("anna").cooldowns) expect(Math.abs(until - reset)).toBeLessThan(1000);
		// The log is written behind.
		const restsUntil = new RegExp(`out of quota until (?:${clock})`);
		let log = "";
		await until("the rest in the log", async () => {
			log = (await bench.print("/multicodex log")).stdout;
			return restsUntil.test(log);
		});
		expect(log).not.toContain("about");
		const shown = z
			.object({ accounts: z.array(z.object({ label: z.string(), readyAt: z.string().nullable() })) })
			.parse(JSON.parse((await bench.print("/multicodex show --json")).stdout));
		const readyAt = shown.accounts.find(({ label }) => label === "anna")?.readyAt;
		expect(Math.abs(Date.parse(readyAt ?? "") - reset)).toBeLessThan(1000);
	});

	it("figures show in every process what another one has changed: a pin, an account that is off", async () => {
		const bench = await createBench({ host: NEWEST_HOST, settings });
		const terminal = bench.terminal([], { cols: 120, rows: ROWS });
		await terminal.ready();
		await terminal.waitForScreen((screen) => /^codex a .*2 of 2 ready$/.test(footerOf(screen)));
		await bench.print("/multicodex use b");
		await terminal.waitForScreen((screen) => footerOf(screen).startsWith("codex b pinned"));
		await bench.print("/multicodex disable b");
		await terminal.waitForScreen((screen) => /^codex a .*1 of 2 ready$|^codex a .*last ready$/.test(footerOf(screen)));
	});

	it("figures keep their resets while they grow old, and are asked for with the first key after ten minutes", async () => {
		const fiveHour = { usedPercent: 52, resetsInMs: 72.5 * MINUTE_MS };
		const bench = await createBench({ host: NEWEST_HOST, accounts: [{ name: "anna", quota: { fiveHour, week } }] });
		const jumps = join(bench.dir.home, "clock");
		const terminal = bench.terminal([], { cols: 120, rows: ROWS, env: jumpingClock(jumps) });
		await terminal.ready();
		await terminal.waitForScreen((screen) => /^codex anna .* 48% left \(1h1\dm\)/.test(footerOf(screen)));
		const asked = bench.codex.usageRequests("anna").length;
		bench.codex.account("anna").quota?.setUsed("fiveHour", 70);
		// The machine sleeps for twenty minutes.
		writeFileSync(`${jumps}.new`, String(20 * MINUTE_MS));
		renameSync(`${jumps}.new`, jumps);
		terminal.resize(110);
		await terminal.waitForScreen((screen) => /^codex anna .*~48% left \(5\dm\)/.test(footerOf(screen)));
		expect(bench.codex.usageRequests("anna")).toHaveLength(asked);
		await terminal.type("x");
		await terminal.waitForScreen((screen) => /^codex anna .* 30% left \(5\dm\)/.test(footerOf(screen)));
		await terminal.type("y");
		expect(bench.codex.usageRequests("anna")).toHaveLength(asked + 1);
	});
});
