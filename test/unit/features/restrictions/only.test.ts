import { mkdirSync } from "node:fs";
import { beforeEach, describe, expect, it } from "vitest";
import { noSet, setEnded, setHolds } from "../../../../src/features/restrictions/texts.ts";
import { onlySchema } from "../../../../src/pi/json-schemas.ts";
import { createSessionFolders, realFolder } from "../../../../src/platform/stores/session-folders.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { scratchForEach } from "../../../support/scratch-for-each.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";

const scratch = scratchForEach();
let root: string;
let cli: CommandHarness;
const begin = (folder: string, init?: Parameters<typeof createCommandHarness>[1]) => {
	const cwd = `${root}/${folder}`;
	mkdirSync(cwd, { recursive: true });
	const { settings } = cli?.harness ?? {};
	cli = createCommandHarness([anAccount("work"), anAccount("my team"), anAccount("side")], {
		mode: "tui",
		...init,
		cwd,
	});
	if (settings) cli.harness.settings = settings;
	const folders = createSessionFolders({
		sets: () => cli.harness.settings.sets,
		processFolder: () => cwd,
		registry: new Map(),
	});
	folders.begin(aSessionId("s"), cwd);
	cli.harness.setFor = folders.setFor;
};
const sets = () => cli.harness.settings.sets;
const run = (args: string) => cli.run(`only ${args}`);
const next = () => cli.harness.pool.plan({ modelId: "m", affinity: undefined, sessionId: aSessionId("s") }).next?.id;
beforeEach(() => {
	root = realFolder(scratch.dir);
	mkdirSync(`${root}/proj/.git`, { recursive: true });
	begin("proj");
	cli.harness.settings = { ...cli.harness.settings, sets: {} };
});

describe("/multicodex only", () => {
	it("binds the project of the session to some accounts, also from a folder deep in it", async () => {
		begin("proj/src/deep");
		expect(await run("side my team")).toMatch(/^error: .*"team"/);
		const said = await run('side "my team"');
		expect(said).toMatch(/^info: Codex: sessions in .*\/proj use side and my team,.*\. .* next .* my team\.$/);
		expect(said).toContain(`${root}/proj `);
		expect(sets()).toEqual({ [`${root}/proj`]: ["side", "my team"] });
		begin("proj");
		expect(next()).not.toBe("work");
	});

	it("takes one label with a blank without quotes", async () => {
		await run("my team");
		expect(sets()).toEqual({ [`${root}/proj`]: ["my team"] });
	});

	it("binds the folder itself if it is no checkout", async () => {
		begin("plain/sub");
		await run("side");
		expect(sets()).toEqual({ [`${root}/plain/sub`]: ["side"] });
	});

	it("shows the set that holds, and those of it that have left the pool", async () => {
		expect(await run("")).toBe(`info: ${noSet(`${root}/proj`)}`);
		await run("side work");
		await cli.harness.accounts.remove(anId("side"));
		expect(await run("")).toBe(`info: ${setHolds(`${root}/proj`, ["side (not in the pool)", "work"])}`);
	});

	it("says of a set which accounts are used, or that none is, and what its end leaves", () => {
		const next = { isEnabled: true, isForeign: false, account: undefined };
		expect(setEnded("/x/proj", "/x", next)).toMatch(/^Codex: .* \/x\/proj .* bound .* \/x\. /);
		expect(setHolds("/proj", ["side", "work"])).toMatch(/^Sessions in \/proj use side and work, .* only all /);
		expect(setHolds("/proj", [])).toMatch(/^Sessions in \/proj use no account\. .* only all /);
		expect(noSet("/proj")).toMatch(/^Sessions in \/proj may use every account\. .* only <account> /);
	});

	it("ends with `all`, whatever key leads to the folder, and shows what holds then", async () => {
		await run("side");
		cli.harness.settings = {
			...cli.harness.settings,
			sets: { ...sets(), [`${root}/proj/`]: [anId("work")], [root]: [anId("work")] },
		};
		const next = { isEnabled: true, isForeign: false, account: anAccount("work") };
		expect(await run("all")).toBe(`info: ${setEnded(`${root}/proj`, root, next)}`);
		expect(sets()).toEqual({ [root]: ["work"] });
		expect(await run("all")).toContain("may use every account again");
		expect(await run("all")).toBe(`info: ${noSet(`${root}/proj`)}`);
	});

	it("replaces the set of a folder within the project if that is the one that holds", async () => {
		begin("proj/vendored");
		cli.harness.settings = { ...cli.harness.settings, sets: { [`${root}/proj/vendored`]: [anId("side")] } };
		await run("work");
		expect(sets()).toEqual({ [`${root}/proj/vendored`]: ["work"] });
		expect(next()).toBe("work");
	});

	it("says that a pin on another account does not hold there, and refuses one that would do nothing", async () => {
		await cli.run("use side");
		expect(await run("work")).toContain("The pin on side has no effect");
		expect(next()).toBe("work");
		expect(await cli.run("use side")).toMatch(/^error: side is not in .*\/multicodex only all /);
		expect(await cli.run("use work")).toContain("using work");
	});

	it("leaves nothing to an account outside if the set is dry", async () => {
		await run("work");
		await cli.run("disable work");
		expect([next(), await cli.run("next")]).toEqual([undefined, expect.stringMatching(/^error: /)]);
	});

	it.each([
		["wrok", /"wrok"\. .* work\?/],
		["work alll", / all\?/],
		["work all", /all cannot be combined/],
	])("refuses %s, and changes nothing", async (typed, problem) => {
		expect(await run(typed)).toMatch(problem);
		expect(cli.edited).toEqual([]);
	});

	it("changes nothing while the sets cannot be read", async () => {
		cli.harness.settings = { ...cli.harness.settings, sets: { "*": [] } };
		expect(next()).toBeUndefined();
		for (const typed of ["", "work", "all"]) expect(await run(typed)).toContain("cannot be read");
		expect(cli.edited).toEqual([]);
	});

	it("/multicodex only is what verify tells of, with accounts and folders that are gone", async () => {
		await run("side work");
		expect(await cli.run("verify")).toContain(`${root}/proj: 2 accounts.`);
		await cli.harness.accounts.remove(anId("side"));
		cli.harness.settings = { ...cli.harness.settings, sets: { ...sets(), "/no/such/folder": [anId("work")] } };
		const said = await cli.run("verify");
		expect(said).toContain(`${root}/proj names 1 account that`);
		expect(said).toMatch(/account set .* \/no\/such\/folder, .* does not exist/);
	});

	it("is a document for a program", async () => {
		const document = async () => onlySchema.parse(JSON.parse((await run("--json")).replace("info: ", "")));
		expect(await document()).toEqual({ version: 1, folder: `${root}/proj`, set: null });
		await run("side work");
		await cli.harness.accounts.remove(anId("side"));
		expect((await document()).set).toEqual({
			folder: `${root}/proj`,
			accounts: [
				{ id: "side", label: null },
				{ id: "work", label: "work" },
			],
		});
	});

	it("completes accounts one after the other, and all only at first", () => {
		expect(cli.offered("only ")).toEqual(expect.arrayContaining(["only work", "only all"]));
		expect(cli.offered("only work ")).toContain("only work side");
		expect(cli.offered("only work ")).not.toContain("only work all");
		expect(cli.offered("only all ") ?? []).toEqual([]);
	});
});
