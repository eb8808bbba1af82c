import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { registerCommand } from "../../../src/pi/router.ts";
import { COMMANDS, LISTED } from "../../support/commands.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../command-harness.ts";
import { aContext, aPi, type FakeContext } from "../fake-pi.ts";
import type { Harness } from "../harness.ts";

let cli: CommandHarness;
let harness: Harness;
let screen: FakeContext;

const work = anAccount("work", { id: anId("3f9c0a7be21d") });
const home = anAccount("home", { id: anId("3f00aa7be21d"), linked: true, source: "pi" });
const off = anAccount("off", { id: anId("aaaaaaaaaaaa"), enabled: false });
const out = anAccount("out", { id: anId("bbbbbbbbbbbb"), needsLogin: { reason: "revoked", at: NOW } });

beforeEach(() => {
	cli = createCommandHarness([work, home, off, out]);
	({ harness, screen } = cli);
});

const run = (args: string) => cli.run(args);
const offered = (typed: string) => cli.offered(typed);

describe("help", () => {
	const { columns } = process.stdout;
	afterEach(() => {
		process.stdout.columns = columns;
	});

	it("stands in two columns if they fit, else one below the other", async () => {
		process.stdout.columns = 200;
		const wide = (await run("help")).split("\n");
		expect(wide).toHaveLength(LISTED.length + 1);
		process.stdout.columns = 60;
		const narrow = (await run("help")).split("\n");
		expect(narrow).toHaveLength(2 * LISTED.length + 1);
		expect(narrow[1]).toMatch(/^ {4}every account/);
	});
});

describe("/multicodex", () => {
	it("shows every account, having looked at pi's login first", async () => {
		const text = await run("  show  ");
		expect(text).toMatch(/^info: 2 of 4 ready · soonest-reset\n/);
		for (const { label } of harness.pool.accounts()) expect(text).toContain(label);
		expect(cli.syncs).toBe(1);
	});

	it("says how a subcommand is typed, and changes nothing, for words that it does not take", async () => {
		harness.state.pinnedId = work.id;
		for (const args of [
			"show --xml",
			"show --json now",
			"reset everything",
			"reset all now",
			"add --fast",
			"add --undo work",
			"login --undo",
			"import --all",
			"remove",
			"remove work --force",
			"rename",
			"enable",
			"disable",
		]) {
			expect(await run(args)).toMatch(/^error: .*Usage: \/multicodex /);
		}
		expect(harness.pool.pinned()).toBe(work.id);
	});

	it("keeps words in quotes together, and takes a name of several words without them too", async () => {
		await harness.accounts.patch(home.id, { label: "day  job" });
		expect(await run('use "day  job"')).toContain("using day  job");
		await harness.accounts.patch(home.id, { label: "day job" });
		for (const args of ['use "day job"', "use day job", 'use   "day job"  ', "use day   job"]) {
			await harness.pool.pin(undefined);
			expect(await run(args)).toContain("using day job");
			expect(harness.pool.pinned()).toBe(home.id);
		}
		expect(await run('rename "day job" "night shift"')).toContain("is called night shift now");
		expect(await run('use ""')).toMatch(/^error: /);
	});

	it("announces that accounts may have changed elsewhere before it runs a command", async () => {
		const before = harness.told.length;
		await run("path");
		expect(harness.told.slice(before)).toContainEqual({ type: "changed" });
	});

	it("carries a command out although the look before it throws, and leaves a trace of that", async () => {
		vi.spyOn(harness.pool, "detectChanges").mockImplementationOnce(() => {
			throw new TypeError("secret-token");
		});
		expect(await run("use work")).toContain("using work");
		expect(harness.told).toContainEqual(expect.objectContaining({ type: "defect", where: "command" }));
	});

	it("never throws, and quotes no error whose words it does not know", async () => {
		const fail = (error: Error) =>
			Object.assign(harness.state, {
				setPin: async () => {
					throw error;
				},
			});
		fail(new Error("secret-token"));
		expect(await run("use work")).toMatch(/^error: multicodex use .*: an unexpected error$/);
		fail(Object.assign(new Error("ENOSPC: no space"), { code: "ENOSPC" }));
		expect(await run("use work")).toMatch(/^error: multicodex use .*: ENOSPC: no space$/);
		const defects = harness.told.filter(({ type }) => type === "defect");
		expect(defects).toMatchObject([{ where: "command", trace: { error: "Error" } }]);
		expect(JSON.stringify(defects)).not.toContain("secret-token");
	});
});

describe("show", () => {
	it("prints one JSON document, and nothing else", async () => {
		const document = JSON.parse((await run("show --json")).replace("info: ", ""));
		expect(document).toMatchObject({ version: 1, active: work.id, pinned: null, policy: "soonest-reset" });
		expect(document.accounts.map(({ state }: { state: string }) => state)).toEqual([
			"ready",
			"ready",
			"disabled",
			"needs-login",
		]);
	});

	it("hides e-mails from a person who wants that", async () => {
		expect(await run("show --json")).toContain("work@example.test");
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		expect(await run("show --json")).not.toContain("@example.test");
	});

	it("marks the account that serves the session's next request, and none if none can", async () => {
		const active = async () => JSON.parse((await run("show --json")).replace("info: ", "")).active;
		harness.state.statusById.set(home.id, { cooldowns: [], strikes: 0, lastUsedAt: NOW - HOUR_MS });
		expect(await active()).toBe(work.id);
		harness.affinity.begin(aSessionId("s"), home.id, NOW);
		expect(await active()).toBe(home.id);
		await harness.pool.pin(work.id);
		expect(await active()).toBe(work.id);
		for (const id of [work.id, home.id]) {
			harness.state.statusById.set(id, { cooldowns: [aCooldown({ until: NOW + HOUR_MS })], strikes: 0 });
		}
		expect(await active()).toBeNull();
	});

	it("takes an account that cools for one model for a ready one", async () => {
		harness.state.statusById.set(work.id, {
			cooldowns: [aCooldown({ scope: "model:gpt-6", until: NOW + HOUR_MS })],
			strikes: 0,
			usage: aSnapshot({ windows: [{ usedPercent: 27, windowMinutes: 300 }] }),
		});
		const { accounts } = JSON.parse((await run("show --json")).replace("info: ", ""));
		expect(accounts[0]).toMatchObject({ state: "ready", readyAt: null, cooldowns: [{ scope: "model:gpt-6" }] });
	});
});

describe("use", () => {
	it.each([
		["work", work],
		["HOME", home],
		["work@example.test", work],
		["3f00", home],
	])("%s pins the account, and says that it holds everywhere", async (word, account) => {
		expect(await run(`use ${word}`)).toContain(`using ${account.label} in all sessions`);
		expect(harness.pool.pinned()).toBe(account.id);
	});

	it("auto ends the pin", async () => {
		harness.state.pinnedId = work.id;
		expect(await run("use auto")).toMatch(/^info: /);
		expect(harness.pool.pinned()).toBeUndefined();
	});

	it("pins a cooling account and says when it takes over", async () => {
		harness.state.statusById.set(work.id, { cooldowns: [aCooldown()], strikes: 0 });
		expect(await run("use work")).toMatch(/takes over in 1h00m/);
		expect(harness.pool.pinned()).toBe(work.id);
	});

	it.each([
		["missing", /"missing"\. Known: work, home, off, out\./],
		["3f", /work \(3f9c0a7be21d\), home \(3f00aa7be21d\)\. Nothing was changed/],
		["off", /off \(by hand\)/],
		["out", /revoked\. \/multicodex login out/],
		["work home", /"work home"/],
	])("%s changes nothing, and says why", async (word, words) => {
		expect(await run(`use ${word}`)).toMatch(words);
		expect(screen.notices[0]).toMatch(/^error: /);
		expect(harness.pool.pinned()).toBeUndefined();
	});

	it("asks also if there are only dialogs", async () => {
		cli.screen = aContext({ mode: "rpc" });
		({ screen } = cli);
		screen.choice = "home";
		await run("use");
		expect([screen.questions.length, harness.pool.pinned()]).toEqual([1, home.id]);
		screen.choice = undefined;
		expect(await run("use")).toBe("info: Nothing was changed.");
		expect(harness.pool.pinned()).toBe(home.id);
		expect(screen.details[0]).toBe("work, home, off, out, auto, add");
		screen.choice = "add";
		expect(await run("use")).toMatch(/^error: /);
		expect(cli.browserDialogs).toHaveLength(1);
	});
});

describe("reset", () => {
	beforeEach(() => {
		harness.state.pinnedId = work.id;
		harness.state.statusById.set(work.id, { cooldowns: [aCooldown()], strikes: 2 });
	});
	const left = () => [harness.pool.pinned() === work.id, harness.state.status(work.id).cooldowns.length, cli.removals];

	it.each([
		["", [false, 0, 0], /^info: Unpinned, .* offered again\. /],
		["pin", [false, 1, 0], /^info: Unpinned; .* automatically\. /],
		["quota", [true, 0, 0], /^info: Accounts .* offered again\. /],
		["manual", [false, 1, 0], /^info: Unpinned; /],
		["all", [false, 0, 0], /^info: Unpinned, and /],
	])(
		"'%s' does what it says, tells who serves next, asks nothing and deletes no backup",
		async (what, expected, says) => {
			const said = await run(`reset ${what}`);
			expect(said).toMatch(says);
			expect(said).toMatch(/ goes to \w+\.$/);
			expect([left(), screen.questions]).toEqual([expected, []]);
		},
	);

	it("deletes backups after a question that names both kinds, and nothing else", async () => {
		screen.consent = false;
		expect(await run("reset backups")).toBe("info: Nothing was deleted.");
		expect(left()).toEqual([true, 1, 0]);
		expect(screen.details.join()).toMatch(/codex-accounts\.json\.bak-.*codex-accounts\.json\.v1\.bak/);
		screen.consent = true;
		expect(await run("reset backups")).toBe("info: Deleted 2 backups.");
		expect(left()).toEqual([true, 1, 1]);
	});

	it("deletes backups without a question after --yes, and in no other form", async () => {
		expect(await run("reset backups --yes")).toBe("info: Deleted 2 backups.");
		expect([screen.questions, left()]).toEqual([[], [true, 1, 1]]);
		expect(await run("reset --yes")).toMatch(/^info: Unpinned, /);
		expect(left()).toEqual([false, 0, 1]);
	});
});

function escaped(text: string): string {
	return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}

describe("help and path", () => {
	it("help and path have one line for each subcommand, and for each place", async () => {
		const help = await run("help");
		const lines = help.split("\n");
		expect(lines).toHaveLength(LISTED.length + 1);
		expect(lines.at(-1)).toContain("list, ls, status, quota = show; dashboard, accounts = /multicodex;");
		for (const { usage, summary } of LISTED)
			expect(help).toMatch(new RegExp(`${escaped(`/multicodex ${usage}`)} +${escaped(summary)}$`, "m"));
		expect(await run("path")).toBe("info: accounts  /x/codex-accounts.json\nstate     /x/codex-state.json");
	});
});

describe("completions", () => {
	it("completions are the subcommands, as far as they fit", () => {
		expect(offered("")).toEqual(["dashboard", ...COMMANDS.map(({ name }) => name)]);
		expect(offered("re")).toEqual(["remove", "rename", "refresh", "redeem", "reset", "share"]);
		expect(offered("res")).toEqual(["reset", "refresh"]);
		expect(offered("move")).toEqual(["remove"]);
		expect(offered("zz")).toBeNull();
	});

	it("completions are none once a choice is complete: an open list would swallow the Enter", () => {
		expect(offered("show")).toBeNull();
		expect(offered("use work")).toBeNull();
		expect(offered("reset quota")).toBeNull();
		expect(offered("show --json")).toBeNull();
	});

	it("completions hold all words, because they replace all that was typed", () => {
		expect(offered("use ")).toEqual(["use work", "use home", "use off", "use out", "use auto"]);
		expect(offered("use H")).toEqual(["use home"]);
		expect(offered("use HOME")).toBeNull();
		expect(offered("reset ")).toEqual(["reset pin", "reset quota", "reset backups"]);
		expect(offered("show --")).toEqual(["show --json", "show --compact", "show --detail"]);
		expect(offered("help ")).toBeNull();
		expect(offered("nonsense ")).toBeNull();
	});

	it("put a label of several words in quotes, whatever of it was typed", async () => {
		await harness.accounts.patch(home.id, { label: "day job" });
		for (const typed of ['use "day', "use day", 'use "', 'use "Day job']) {
			expect([typed, offered(typed)]).toEqual([typed, expect.arrayContaining(['use "day job"'])]);
		}
		expect(offered('use "day job"')).toBeNull();
		// Quotes that are not needed make a word no less whole.
		expect(offered('use "work"')).toBeNull();
		expect(offered('rename "day job" ')).toBeNull();
		expect((await cli.command.getArgumentCompletions('remove "day job" '))?.map(({ value }) => value)).toEqual([
			'remove "day job" ',
			'remove "day job" --logout',
		]);
		expect(offered('only "day job" wo')).toEqual(['only "day job" work']);
	});

	it("completions offer what can be done: only accounts that are off can be switched on, and the other way round", () => {
		expect(offered("enable ")).toEqual(["enable off"]);
		expect(offered("disable ")).toEqual(["disable work", "disable home", "disable out"]);
		expect(offered("refresh ")).toEqual(["refresh work", "refresh home", "refresh off", "refresh out", "refresh all"]);
		expect(offered("rename w")).toEqual(["rename work"]);
		expect(offered("rename work ")).toBeNull();
	});

	it("completions go on after the first word, with the options that are left", () => {
		expect(offered("add ")).toEqual(["add --device", "add --undo"]);
		expect(offered("add lap ")).toEqual(["add lap --device"]);
		expect(offered("add lap --u")).toBeNull();
		for (const whole of ["add lap", "add --device ", "add --undo ", "add lap --device "])
			expect(offered(whole)).toBeNull();
		expect(offered("login --")).toEqual(["login --device"]);
		expect(offered("login work ")).toEqual(["login work --device"]);
		expect(offered("login --device ")).toEqual([
			"login --device work",
			"login --device home",
			"login --device off",
			"login --device out",
		]);
		expect(offered("login --device work ")).toBeNull();
		expect(offered("import --dry-run ")).toEqual([
			"import --dry-run pi",
			"import --dry-run codex",
			"import --dry-run prodex",
		]);
		expect(offered("import ")).toEqual(["import pi", "import codex", "import prodex", "import --dry-run"]);
		expect(offered("import codex --")).toEqual(["import codex --dry-run"]);
		expect(offered("import codex --dry-run ")).toBeNull();
		expect(offered("remove home ")).toEqual(["remove home --logout"]);
		expect(offered("remove home --logout ")).toBeNull();
		expect(offered("remove --logout h")).toEqual(["remove --logout home"]);
		expect(offered("refresh work ")).toBeNull();
		expect(offered("reset all ")).toBeNull();
		expect(offered("reset backups ")).toEqual(["reset backups --yes"]);
	});

	it("completions begin with a whole word that stands there, so that an Enter after a blank adds nothing", async () => {
		const first = async (typed: string) => (await cli.command.getArgumentCompletions(typed))?.[0];
		expect(await first("")).toMatchObject({ value: "dashboard", label: "dashboard" });
		expect(await first("show ")).toMatchObject({ value: "show ", label: "show" });
		for (const typed of ["use ", "remove home ", "reset backups ", "switch ", "rotation policy=in-order "]) {
			expect([typed, (await first(typed))?.value]).toEqual([typed, typed]);
		}
		expect(await first("remove ")).toMatchObject({ value: "remove work" });
		expect((await first("show -"))?.value).toBe("show --json");
	});

	it("completions have descriptions that end with a clause, so that pi's list cuts few words", async () => {
		const described = async () => {
			const offers = await cli.command.getArgumentCompletions("");
			return new Map(offers?.map(({ value, description }) => [value, description]));
		};
		const at = async (columns: number) => {
			const before = Object.getOwnPropertyDescriptor(process.stdout, "columns");
			Object.defineProperty(process.stdout, "columns", { value: columns, configurable: true });
			try {
				return await described();
			} finally {
				if (before) Object.defineProperty(process.stdout, "columns", before);
				else Reflect.deleteProperty(process.stdout, "columns");
			}
		};
		expect((await at(80)).get("dashboard")).toBe("every account at a glance");
		expect((await at(80)).get("show")).toMatch(/^every account: /);
		expect((await at(200)).get("use")).toBe(COMMANDS.find(({ name }) => name === "use")?.summary);
	});

	it("completions show no e-mails to a person who hides them", async () => {
		const descriptions = async () =>
			(await cli.command.getArgumentCompletions("use "))?.map(({ description }) => description);
		expect(await descriptions()).toContain("work@example.test");
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		expect((await descriptions())?.join()).not.toContain("@");
	});
});

describe("commands that cannot be loaded", () => {
	it("commands are one line and a trace of the cause, and are looked for again with the next command", async () => {
		const pi = aPi();
		let isThere = false;
		registerCommand(pi.api, {
			loadCommands: async () => {
				if (!isThere) throw new Error("Cannot find module '/secret/dist/commands.cjs'");
				return cli.commands;
			},
			link: { sync: async () => undefined },
			pool: harness.pool,
			settings: { read: () => harness.settings },
		});
		const command = pi.commands.get("multicodex");
		expect(await command?.getArgumentCompletions("sho")).toBeNull();
		await command?.handler("show", screen.ctx);
		expect(screen.notices).toEqual([expect.stringMatching(/^error: .*cannot be loaded.*\/reload/)]);
		expect(harness.told).toContainEqual(expect.objectContaining({ type: "defect", where: "command" }));
		isThere = true;
		expect(await command?.getArgumentCompletions("sho")).toMatchObject([{ value: "show" }]);
	});
});
