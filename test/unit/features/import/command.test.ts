import { setTimeout as pause } from "node:timers/promises";
import { beforeEach, describe, expect, it } from "vitest";
import type { Finding } from "../../../../src/features/import/rules.ts";
import { anAccount, aSnapshot, aTokenOf, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { aGrant, type CommandHarness, createCommandHarness, idOf } from "../../command-harness.ts";

const UP = "\x1b[A";
const DOWN = "\x1b[B";

let cli: CommandHarness;
beforeEach(() => {
	cli = createCommandHarness();
});

const run = (args: string) => cli.run(args);
/** What a person is asked to choose from is on the panel; only what cannot be chosen goes out before it. */
const runAsked = () => cli.run("import");
const found = (name: string, overrides: Partial<Extract<Finding, { kind: "login" }>> = {}): Finding => ({
	kind: "login",
	tool: "codex",
	path: `/data/${name}.json`,
	name: undefined,
	credential: aGrant(name),
	workspaceIdHint: undefined,
	...overrides,
});
const key: Finding = {
	kind: "left-out",
	tool: "prodex",
	path: "/data/key.json",
	name: "key",
	reason: "holds an API key",
};
const labels = () => cli.harness.pool.accounts().map(({ label }) => label);

describe("import", () => {
	it("says what those have left that it took, if that is known in time", async () => {
		cli.found = [found("work")];
		const window = { usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
		cli.usage.set(idOf("work"), () => aSnapshot({ windows: [window] }));
		expect(await runAsked()).toMatch(/imported work\.\nwork: 73% of 5h until \d\d:\d\d left\.\n.* 1 account now\.\n/);
	});

	it("takes only what the person has chosen on the panel", async () => {
		cli.found = [found("work"), found("home"), found("side")];
		cli.screen.isAway = true;
		const running = cli.command.handler("import", cli.screen.ctx);
		await expect.poll(() => cli.screen.panel !== undefined).toBe(true);
		// Down to the second account, out with it, and up to the answer again.
		for (const key of [DOWN, DOWN, DOWN, " ", UP, UP, UP, "\r"]) {
			cli.screen.panel?.handleInput?.(key);
			await pause(200);
		}
		await running;
		expect(labels()).toEqual(["work", "side"]);
	});

	it("shows no e-mail on the panel to a person who hides them", async () => {
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		cli.found = [found("work")];
		cli.screen.consent = false;
		await runAsked();
		expect(cli.screen.details[0]).toMatch(/\[x\] w…@example\.test, Codex CLI/);
	});

	it("an import in RPC mode lets the person choose from a list, until one of its answers is given", async () => {
		cli = createCommandHarness([], { mode: "rpc" });
		cli.found = [found("work"), found("home")];
		cli.screen.choices.push("[x] home@example.test, Codex CLI (/data/home.json)");
		cli.screen.choice = "Yes, import 1 of 2";
		await cli.run("import");
		expect(labels()).toEqual(["work"]);
		expect(cli.screen.questions).toEqual(["Import 2 Codex accounts?", "Import 2 Codex accounts?"]);
		expect(cli.screen.details[0]).toMatch(/^Yes, .* 2, No, .*, \[x\] work@/);
		cli = createCommandHarness([], { mode: "rpc" });
		cli.found = [found("work"), found("home")];
		cli.screen.choice = "No, import nothing";
		expect(await cli.run("import")).toBe("info: Nothing was imported.");
		cli.screen.choice = undefined;
		expect(await cli.run("import")).toBe("info: Nothing was imported.");
		expect(labels()).toEqual([]);
	});

	it("an import in RPC mode keeps two accounts apart that are called alike", async () => {
		cli = createCommandHarness([], { mode: "rpc" });
		const path = "/data/export.json";
		const twin = { access: aTokenOf("home", { profileEmail: "work@example.test" }), refresh: "r", expiresAt: NOW };
		cli.found = [found("work", { path }), found("home", { path, credential: twin })];
		cli.screen.choices.push(`[x] work@example.test (${idOf("home")}), Codex CLI (${path})`);
		cli.screen.choice = "Yes, import 1 of 2";
		await cli.run("import");
		expect(cli.harness.pool.accounts().map(({ id }) => id)).toEqual([idOf("work")]);
	});

	it("an import in RPC mode is a plain question for one account, which names it", async () => {
		cli = createCommandHarness([], { mode: "rpc" });
		cli.found = [found("work")];
		await cli.run("import");
		expect(cli.screen.details).toEqual([expect.stringMatching(/^work@example\.test, Codex CLI \(.*These are copied/)]);
		expect(labels()).toEqual(["work"]);
	});

	it("looks once more when the person has said yes: a tool may have renewed its sign-in meanwhile", async () => {
		cli.found = [found("work")];
		cli.screen.onQuestion = () => {
			cli.found = [found("work", { credential: aGrant("work", NOW + HOUR_MS) }), found("home")];
		};
		expect(await runAsked()).toMatch(/imported work\.\n/);
		// What was not shown is not taken.
		expect(cli.harness.pool.accounts()).toMatchObject([{ credential: aGrant("work", NOW + HOUR_MS) }]);
	});

	it("an import of a tool that was named does not ask, and says what it did", async () => {
		cli.found = [found("work"), found("home", { tool: "prodex" })];
		expect(await run("import codex")).toMatch(
			/^info: Found 1 Codex sign-in:\n.*work.*\nCodex: imported work\.\n.* 1 account now\..*\nCodex CLI still /,
		);
		expect([labels(), cli.screen.questions]).toEqual([["work"], []]);
	});

	it("an import of a word that is neither tool nor path fails, and names the tools", async () => {
		expect(await run("import cdx")).toMatch(/^error: .*"cdx"\. Tools: pi, codex, prodex\.$/);
	});

	it("an import that finds nothing is a failure only if something was named", async () => {
		expect(await run("import")).toMatch(/^info: Nothing to import/);
		expect(await run("import codex")).toMatch(/^error: .*Codex CLI.*Nothing was imported/);
		expect(await run("import codex --dry-run")).toMatch(/^info: .*Codex CLI/);
		cli.paths.set("/empty", []);
		expect(await run("import /empty")).toMatch(/^error: /);
		cli.found = [key];
		expect(await run("import prodex")).toMatch(/^error: .*\/data\/key\.json.* API key/);
		expect(await run("import")).toMatch(/^info: Left out:\n.*API key\n/);
	});

	// A path is no machine: what lies elsewhere was not looked at.
	it("an import that finds nothing at a path says nothing of other places", async () => {
		cli.paths.set("/empty", []);
		for (const args of ["import /empty", "import /empty --dry-run"]) {
			expect(await run(args)).toMatch(/No .* was found/);
		}
	});

	it("an import that fails for several reasons keeps them apart in its one line", async () => {
		cli.found = [key, { ...key, path: "/data/torn.json", name: "torn", reason: "is not valid JSON" }];
		expect(await run("import prodex")).toMatch(/^error: .*key\.json.* API key; .*torn\.json.* not valid JSON/);
	});

	it.each(['import ""', 'import " "', 'import "" ""'])("%s names nothing, and looks everywhere", async (args) => {
		expect(await run(args)).toMatch(/^info: Nothing to import/);
		expect(cli.searched).toEqual([undefined]);
	});

	it("an import that finds only what is here says so, and asks nothing", async () => {
		cli = createCommandHarness([anAccount("work", { id: idOf("work") })]);
		cli.found = [found("work")];
		expect(await run("import")).toMatch(/^info: .*already added: work.*\nNothing is left/s);
		expect(cli.screen.questions).toEqual([]);
	});

	it("renews an account that its tool has renewed, and counts it", async () => {
		const lost = { needsLogin: { reason: "refresh_token_reused", at: NOW }, source: "import:codex" };
		cli = createCommandHarness([anAccount("mine", { id: idOf("work"), ...lost })]);
		cli.found = [found("work", { credential: aGrant("work", NOW + HOUR_MS) })];
		expect(await runAsked()).toMatch(/imported mine/);
		expect(cli.harness.pool.account(idOf("work"))).toMatchObject({ needsLogin: undefined });
	});

	it("shows no e-mail to a person who hides them", async () => {
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		cli.found = [found("work")];
		expect(await run("import --dry-run")).toMatch(/new: w…@example\.test/);
	});

	it("says so if an account cannot be stored", async () => {
		cli.found = [found("work")];
		cli.harness.accounts.isFull = true;
		expect(await run("import codex")).toMatch(/^error: .*: no space$/);
	});
});
