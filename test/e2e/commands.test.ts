import { describe, expect, it } from "vitest";
import { z } from "zod";
import { showSchema } from "../../src/pi/json-schemas.ts";
import { answers } from "../support/fake-codex/index.ts";
import { wide } from "../support/tiers.ts";
import { type Bench, besidesPi, createBench, resultLines, until } from "./support.ts";

const HOUR_MS = 3_600_000;

/** With usage unknown the order of accounts is that of the list, whatever is fetched meanwhile. */
const usageUnknown = answers.serverError(503);
const WORDS = [
	"show",
	"use",
	"add",
	"login",
	"import",
	"remove",
	"rename",
	"enable",
	"disable",
	"refresh",
	"reset",
	"path",
	"help",
];

/** Four accounts in four states; the one in use has served a request. */
async function benchOfStates(): Promise<Bench> {
	const needsLogin = { reason: "refresh_token_expired", at: Date.now() };
	const bench = await createBench({
		accounts: [
			"side",
			{ name: "work", plan: "pro", quota: { fiveHour: { usedPercent: 27 }, week: { usedPercent: 8 } } },
			"old",
			"off",
		],
		rows: { old: { needsLogin }, off: { enabled: false } },
		settings: { transport: "sse" },
	});
	const rpc = bench.rpc();
	await until("usage to be known", () => ["side", "work"].every((name) => bench.status(name).usage !== undefined));
	bench.codex.account("side").always(answers.usageLimit({ resetsInMs: 2 * HOUR_MS }));
	expect((await rpc.prompt("say hi")).text).toBe("OK from work #1");
	await rpc.close();
	return bench;
}

describe("/multicodex show", () => {
	it("tells every account's state, and --json the same as one document", async () => {
		const bench = await benchOfStates();
		bench.codex.clearRequests();
		const text = await bench.print("/multicodex show");
		expect(text).toMatchObject({ code: 0, stderr: "" });
		const lineOf = (name: string) => text.stdout.split("\n").find((line) => line.includes(` ${name} `));
		expect(lineOf("side")).toMatch(/5h +0%.*out of quota/);
		expect(lineOf("work")).toMatch(/5h +73%.*week +92%.*ready/);
		expect(lineOf("old")).toMatch(/signed out$/);
		expect(lineOf("off")).toMatch(/off$/);
		expect((await bench.print("/multicodex")).stdout.split("\n")).toHaveLength(text.stdout.split("\n").length);

		const result = await bench.print("/multicodex show --json");
		expect(result).toMatchObject({ code: 0, stderr: "" });
		const shown = showSchema.parse(JSON.parse(result.stdout));
		const expiresAt = (name: string) => new Date(bench.stored(name).credential.expires).toISOString();
		const until = new Date(bench.status("side").cooldowns[0]?.until ?? 0).toISOString();
		expect(shown).toMatchObject({
			enabled: true,
			policy: "soonest-reset",
			active: bench.id("work"),
			pinned: null,
			accounts: [
				{
					id: bench.id("side"),
					label: "side",
					email: "side@example.test",
					source: "login",
					linked: false,
					state: "cooling",
					active: false,
					readyAt: until,
					cooldowns: [{ scope: "account", reason: "usage_limit", until }],
					token: { expiresAt: expiresAt("side") },
					lastUsedAt: null,
				},
				{
					id: bench.id("work"),
					plan: "pro",
					state: "ready",
					active: true,
					readyAt: null,
					cooldowns: [],
					token: { expiresAt: expiresAt("work") },
					usage: {
						source: "headers",
						stale: false,
						windows: [
							{ name: "5h", minutes: 300, usedPercent: 27 },
							{ name: "7d", minutes: 10_080, usedPercent: 8 },
						],
					},
					lastError: null,
				},
				{ id: bench.id("old"), state: "needs-login", readyAt: null, active: false },
				{ id: bench.id("off"), state: "disabled", readyAt: null, active: false },
			],
		});
		expect(bench.asked()).toEqual([]);
	});

	it("/multicodex show is one line of type multicodex in JSON mode, with and without --json", async () => {
		const bench = await createBench({ usage: usageUnknown });
		for (const prompt of ["/multicodex show", "/multicodex show --json", "/multicodex"]) {
			const result = await bench.run(["--mode", "json", prompt]);
			expect(result).toMatchObject({ code: 0, stderr: "" });
			const [line, ...others] = resultLines(result.stdout);
			expect(others).toEqual([]);
			const {
				type,
				command,
				result: shown,
			} = z.strictObject({ type: z.string(), command: z.string(), result: showSchema }).parse(line);
			expect({ type, command }).toEqual({ type: "multicodex", command: "show" });
			expect(shown.accounts.map(({ label, usage }) => [label, usage])).toEqual([
				["a", null],
				["b", null],
			]);
		}
	});

	it("says that no account is signed in", async () => {
		const bench = await createBench({ accounts: [] });
		const { code, stdout, stderr } = await bench.print("/multicodex show");
		expect({ code, stderr: besidesPi(stderr) }).toEqual({ code: 0, stderr: "" });
		expect(stdout).toMatch(/^No Codex account is signed in\./);
		const shown = showSchema.parse(JSON.parse((await bench.print("/multicodex show --json")).stdout));
		expect(shown).toMatchObject({ active: null, pinned: null, accounts: [] });
	});
});

describe("/multicodex use", () => {
	it("takes a label, an e-mail or the beginning of an id, and auto ends it", async () => {
		const bench = await createBench({ accounts: ["home", "work"], usage: usageUnknown });
		const byLabel = await bench.print("/multicodex use work");
		expect(byLabel).toMatchObject({
			code: 0,
			stdout: "Codex: using work in all sessions until you choose another. /multicodex use auto to undo.\n",
			stderr: "",
		});
		expect(bench.pin()).toBe(bench.id("work"));
		expect((await bench.print("/multicodex use home@example.test")).code).toBe(0);
		expect(bench.pin()).toBe(bench.id("home"));
		const inJson = await bench.run(["--mode", "json", `/multicodex use ${bench.id("work").slice(0, 8)}`]);
		expect(inJson).toMatchObject({ code: 0, stderr: "" });
		expect(resultLines(inJson.stdout)).toMatchObject([{ type: "multicodex", command: "use" }]);
		expect(bench.pin()).toBe(bench.id("work"));
		const shown = showSchema.parse(JSON.parse((await bench.print("/multicodex show --json")).stdout));
		expect(shown.pinned).toBe(bench.id("work"));
		expect(shown.accounts.map(({ pinned }) => pinned)).toEqual([false, true]);
		expect((await bench.print("/multicodex use auto")).code).toBe(0);
		expect(bench.pin()).toBeNull();
	});

	it("holds for a prompt of the same command line", async () => {
		const bench = await createBench({ usage: usageUnknown });
		const result = await bench.run(["-p", "/multicodex use b", "say hi"]);
		expect(result).toMatchObject({ code: 0, stderr: "" });
		expect(result.stdout).toMatch(/^Codex: using b .*\nOK from b #1\n$/);
		expect(bench.asked()).toEqual(["b"]);
	});

	it("says when the account cools, and still pins it", async () => {
		const bench = await createBench({ usage: usageUnknown });
		bench.codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS - 1000 }));
		await bench.print("say hi");
		const result = await bench.print("/multicodex use a");
		expect(result.code).toBe(0);
		expect(result.stdout).toMatch(
			/^Codex: using a in all sessions .* cannot serve yet and takes over in (about )?59m \(.*\)\. .*\/multicodex use auto to undo\.\n$/,
		);
		expect(bench.pin()).toBe(bench.id("a"));
	});

	wide("refuses what is unknown, ambiguous or missing, and changes nothing", async () => {
		const email = "me@example.test";
		const bench = await createBench({
			accounts: [{ name: "home", email }, { name: "work", email }, "spare"],
			usage: usageUnknown,
		});
		expect((await bench.print("/multicodex use spare")).code).toBe(0);
		const before = bench.dir.read("codex-state.json");
		const refusals = {
			"use missing": ["missing", "home", "work", "spare"],
			[`use ${email}`]: ["home", "work", bench.id("home"), bench.id("work")],
			use: ["use"],
			// A label may hold blanks without quotes, so this is one unknown name.
			"use home work": ['"home work"', "home", "work", "spare"],
		};
		for (const [command, named] of Object.entries(refusals)) {
			const result = await bench.print(`/multicodex ${command}`);
			expect(result).toMatchObject({ code: 1, stdout: "" });
			expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
			for (const word of named) expect(result.stderr).toContain(word);
		}
		expect(bench.dir.read("codex-state.json")).toBe(before);
	});
});

describe("/multicodex reset", () => {
	async function pinnedAndCooling(): Promise<Bench> {
		const bench = await createBench({ usage: usageUnknown });
		bench.codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		await bench.print("say hi");
		await bench.print("/multicodex use b");
		expect(bench.status("a").cooldowns).toHaveLength(1);
		return bench;
	}
	const held = (bench: Bench) => ({ pin: bench.pin() !== null, cooldowns: bench.status("a").cooldowns.length });

	it("clears the pin, the cooldowns, or both", async () => {
		const bench = await pinnedAndCooling();
		const state = bench.dir.read("codex-state.json") ?? "";
		for (const [what, left] of [
			["manual", { pin: false, cooldowns: 1 }],
			["quota", { pin: true, cooldowns: 0 }],
			["pin", { pin: false, cooldowns: 1 }],
			["", { pin: false, cooldowns: 0 }],
		] as const) {
			bench.dir.write("codex-state.json", state);
			const result = await bench.print(`/multicodex reset ${what}`);
			expect(result).toMatchObject({ code: 0, stderr: "" });
			expect(result.stdout.trimEnd().split("\n")).toHaveLength(1);
			expect(held(bench), what).toEqual(left);
		}
		expect(bench.stored("a").enabled).toBe(true);
	});

	it("refuses a word it does not know, and changes nothing", async () => {
		const bench = await pinnedAndCooling();
		const result = await bench.print("/multicodex reset everything");
		expect(result).toMatchObject({ code: 1, stdout: "" });
		for (const word of ["pin", "quota", "backups"]) expect(result.stderr).toContain(word);
		expect(held(bench)).toEqual({ pin: true, cooldowns: 1 });
	});

	it("asks before it deletes backups if it can", async () => {
		const bench = await pinnedAndCooling();
		bench.dir.write("codex-accounts.json.v1.bak", "{}");
		const rpc = bench.rpc();
		rpc.answerDialogs(() => false);
		await rpc.send("/multicodex reset");
		await rpc.send("/multicodex reset backups");
		expect(held(bench)).toEqual({ pin: false, cooldowns: 0 });
		expect(bench.dir.read("codex-accounts.json.v1.bak")).toBe("{}");
		rpc.answerDialogs(() => true);
		await rpc.send("/multicodex reset backups");
		expect(bench.dir.read("codex-accounts.json.v1.bak")).toBeUndefined();
		expect(rpc.events.filter(({ method }) => method === "confirm")).toHaveLength(2);
		expect(rpc.notifications.map(({ level }) => level)).toEqual(["info", "info", "info"]);
	});
});

describe("/multicodex path and help", () => {
	it("path and help tell where everything is and what there is to say", async () => {
		const bench = await createBench();
		const { stdout, ...path } = await bench.print("/multicodex path");
		expect(path).toMatchObject({ code: 0, stderr: "" });
		for (const name of ["codex-accounts.json", "codex-state.json", "settings.json", "auth.json"]) {
			expect(stdout).toContain(bench.dir.path(name));
		}
		const help = await bench.print("/multicodex help");
		expect(help).toMatchObject({ code: 0, stderr: "" });
		const lines = help.stdout.trimEnd().split("\n");
		for (const word of WORDS) {
			expect(
				lines.filter((line) => line.startsWith(`/multicodex ${word} `)),
				word,
			).toHaveLength(1);
		}
	});

	it("path and help are one line each in JSON mode", async () => {
		const bench = await createBench();
		for (const word of ["path", "help"]) {
			const result = await bench.run(["--mode", "json", `/multicodex ${word}`]);
			expect(result).toMatchObject({ code: 0, stderr: "" });
			const lines = resultLines(result.stdout);
			expect(lines).toMatchObject([{ type: "multicodex", command: word }]);
			expect(JSON.stringify(lines)).toContain(word === "path" ? bench.dir.path("codex-state.json") : "reset");
		}
	});
});

it("a word that no subcommand has is refused in one line that leads to help, in every mode", async () => {
	const bench = await createBench();
	for (const args of [["-p"], ["--mode", "json"]]) {
		const result = await bench.run([...args, "/multicodex nonsense"]);
		expect(result.code).toBe(1);
		expect(result.stdout).not.toContain("nonsense");
		expect(resultLines(result.stdout.includes("{") ? result.stdout : "")).toEqual([]);
		expect(result.stderr.trimEnd().split("\n")).toHaveLength(1);
		expect(result.stderr).toMatch(/"nonsense".*\/multicodex help/);
	}
	expect(bench.codex.requests).toEqual([]);
});

describe("in RPC mode", () => {
	it("every command answers through notify and writes nothing else", async () => {
		const bench = await createBench({ usage: usageUnknown });
		const rpc = bench.rpc();
		for (const word of [
			"show",
			"show --json",
			"use b",
			"use auto",
			"reset quota",
			"path",
			"help",
			"nonsense",
			"use x",
		]) {
			await rpc.send(`/multicodex ${word}`);
		}
		expect(rpc.notifications.map(({ level }) => level)).toEqual([
			...Array.from({ length: 7 }, () => "info"),
			"error",
			"error",
		]);
		const [, shown, used] = rpc.notifications.map(({ message }) => message);
		expect(showSchema.parse(JSON.parse(shown ?? "")).accounts).toHaveLength(2);
		expect(used).toMatch(/^Codex: using b in all sessions/);
		expect(rpc.strayLines).toEqual([]);
		expect(bench.asked()).toEqual([]);
		expect(await rpc.close(60_000)).toMatchObject({ code: 0, stderr: "" });
	});
});
