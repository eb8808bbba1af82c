import { beforeEach, describe, expect, it } from "vitest";
import type { Finding } from "../../src/domain/import.ts";
import { anAccount, HOUR_MS, NOW } from "../support/fakes.ts";
import { aDesk, aGrant, type Desk, idOf } from "./desk.ts";

let desk: Desk;
beforeEach(() => {
	desk = aDesk();
});

const run = (args: string) => desk.run(args);
/** Where the list goes out before the question. */
const runAsked = () => desk.run("import", 2);
const found = (name: string, overrides: Partial<Extract<Finding, { kind: "login" }>> = {}): Finding => ({
	kind: "login",
	tool: "codex",
	path: `/data/${name}.json`,
	name: undefined,
	credential: aGrant(name),
	accountIdHint: undefined,
	...overrides,
});
const key: Finding = {
	kind: "left-out",
	tool: "prodex",
	path: "/data/key.json",
	name: "key",
	reason: "holds an API key",
};
const labels = () => desk.house.pool.accounts().map(({ label }) => label);

describe("import", () => {
	it("looks everywhere, shows what it found, and takes it when the person says yes", async () => {
		desk.found = [found("work"), found("home", { tool: "prodex", name: "job" }), key];
		const before: string[] = [];
		desk.screen.onQuestion = () => {
			before.push(...desk.screen.notices);
		};
		const text = await runAsked();
		expect(before).toEqual([
			expect.stringMatching(
				/^info: Found 2 .*\n.*new: work@example\.test.*\n.*new: home@.*prodex job.*\nLeft out:\n.*API key/,
			),
		]);
		expect(desk.screen.questions).toEqual(["Import 2 Codex accounts?"]);
		// A list in the dialog could push its answers off the screen.
		expect(desk.screen.details).toEqual([
			expect.stringMatching(/^The list above says which\. These are copied.*→ Yes, import/),
		]);
		expect(text).toMatch(/^info: Codex: imported work, job\.\n/);
		expect([labels(), desk.searched]).toEqual([
			["work", "job"],
			[undefined, undefined],
		]);
		// What they have left is worth knowing before the first request.
		expect(desk.askedUsage).toEqual([idOf("work"), idOf("home")]);
	});

	it("looks once more when the person has said yes: a tool may have renewed its sign-in meanwhile", async () => {
		desk.found = [found("work")];
		desk.screen.onQuestion = () => {
			desk.found = [found("work", { credential: aGrant("work", NOW + HOUR_MS) }), found("home")];
		};
		expect(await runAsked()).toMatch(/imported work\.\n/);
		// What was not shown is not taken.
		expect(desk.house.pool.accounts()).toMatchObject([{ credential: aGrant("work", NOW + HOUR_MS) }]);
	});

	it("takes nothing when the person says no", async () => {
		desk.found = [found("work")];
		desk.screen.consent = false;
		expect(await runAsked()).toBe("info: Nothing was imported.");
		expect(labels()).toEqual([]);
	});

	it("of a tool that was named does not ask, and says what it did", async () => {
		desk.found = [found("work"), found("home", { tool: "prodex" })];
		expect(await run("import codex")).toMatch(
			/^info: Found 1 Codex sign-in:\n.*work.*\nCodex: imported work\.\nCodex CLI still/,
		);
		expect([labels(), desk.screen.questions]).toEqual([["work"], []]);
	});

	it("of a path takes what lies there, blanks included", async () => {
		desk.paths.set("~/my folder/auth.json", [found("work", { tool: "file" })]);
		expect(await run("import ~/my folder/auth.json")).toMatch(/imported work/);
		expect(await run('import "~/my folder/auth.json"')).toMatch(
			/^info: .*here already.*\nNothing is left to import\./s,
		);
		expect(desk.searched).toEqual(["~/my folder/auth.json", "~/my folder/auth.json"]);
	});

	it("--dry-run shows the same and changes nothing, in any place of the line", async () => {
		desk.found = [found("work"), key];
		for (const args of ["import --dry-run", "import codex --dry-run", "import --dry-run codex"]) {
			expect(await run(args)).toMatch(/^info: Found 1 Codex sign-in:\n {2}new: work@/);
		}
		expect([labels(), desk.screen.questions]).toEqual([[], []]);
	});

	it("of a word that is neither tool nor path fails, and names the tools", async () => {
		expect(await run("import cdx")).toBe('error: There is no file, folder or tool "cdx". Tools: pi, codex, prodex.');
	});

	it("that finds nothing is a failure only where something was named", async () => {
		expect(await run("import")).toBe("info: No other tool on this machine keeps a Codex sign-in.");
		expect(await run("import codex")).toBe("error: No Codex sign-in of Codex CLI was found. Nothing was imported.");
		expect(await run("import codex --dry-run")).toBe("info: No Codex sign-in of Codex CLI was found.");
		desk.paths.set("/empty", []);
		expect(await run("import /empty")).toMatch(/^error: /);
		desk.found = [key];
		expect(await run("import prodex")).toBe(
			"error: prodex key (/data/key.json) holds an API key. Nothing was imported.",
		);
		expect(await run("import")).toMatch(/^info: Left out:\n.*API key\nNothing is left to import\./);
	});

	// A path is no machine: what lies elsewhere was not looked at.
	it("that finds nothing at a path says nothing of other places", async () => {
		desk.paths.set("/empty", []);
		for (const args of ["import /empty", "import /empty --dry-run"]) {
			expect(await run(args)).toMatch(/No Codex sign-in was found/);
		}
	});

	it("that fails for several reasons keeps them apart in its one line", async () => {
		desk.found = [key, { ...key, path: "/data/torn.json", name: "torn", reason: "is not valid JSON" }];
		expect(await run("import prodex")).toBe(
			"error: prodex key (/data/key.json) holds an API key; prodex torn (/data/torn.json) is not valid JSON. Nothing was imported.",
		);
	});

	it.each(['import ""', 'import " "', 'import "" ""'])("%s names nothing, and looks everywhere", async (args) => {
		expect(await run(args)).toMatch(/^info: No other tool on this machine/);
		expect(desk.searched).toEqual([undefined]);
	});

	it("that finds only what is here says so, and asks nothing", async () => {
		desk = aDesk([anAccount("work", { id: idOf("work") })]);
		desk.found = [found("work")];
		expect(await run("import")).toMatch(/^info: .*here already: work.*\nNothing is left to import\./s);
		expect(desk.screen.questions).toEqual([]);
	});

	it("renews an account that its tool has renewed, and counts it", async () => {
		const lost = { needsLogin: { reason: "refresh_token_reused", at: NOW }, source: "import:codex" };
		desk = aDesk([anAccount("mine", { id: idOf("work"), ...lost })]);
		desk.found = [found("work", { credential: aGrant("work", NOW + HOUR_MS) })];
		expect(await runAsked()).toMatch(/imported mine/);
		expect(desk.house.pool.account(idOf("work"))).toMatchObject({ needsLogin: undefined });
	});

	it("shows no e-mail to a person who hides them", async () => {
		desk.house.settings = { ...desk.house.settings, maskEmails: true };
		desk.found = [found("work")];
		expect(await run("import --dry-run")).toMatch(/new: w…@example\.test/);
	});

	it("says so where an account cannot be stored", async () => {
		desk.found = [found("work")];
		desk.house.accounts.isFull = true;
		expect(await run("import codex")).toBe("error: multicodex import failed: no space");
	});
});
