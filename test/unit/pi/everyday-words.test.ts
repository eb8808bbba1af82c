import { beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../../src/core/settings.ts";
import { ALIAS_WORDS, aliasCalled } from "../../../src/pi/aliases.ts";
import { COMMANDS } from "../../support/commands.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../command-harness.ts";
import { aContext } from "../fake-pi.ts";

let cli: CommandHarness;

beforeEach(() => {
	cli = createCommandHarness([
		anAccount("anna", { id: anId("aaaaaaaaaaaa"), email: "anna@acme.dev" }),
		anAccount("bert", { id: anId("bbbbbbbbbbbb"), email: "robert@acme.dev" }),
		anAccount("day job", { id: anId("cccccccccccc"), email: undefined }),
		anAccount("🚀 東京オフィス", { id: anId("dddddddddddd"), email: undefined }),
	]);
	cli.harness.settings = DEFAULT_SETTINGS;
	cli.screen = aContext({ mode: "rpc" });
});

const run = (args: string) => cli.run(args);
const pinned = () => cli.harness.pool.pinned();

describe("a word that is mistyped", () => {
	it.each([
		["stauts", "stauts", " status?"],
		["rmeove anna", "rmeove", " remove?"],
		["rot", "rot", " rotation?"],
		["frobnicate", "frobnicate", " /multicodex help "],
		["constructor", "constructor", " /multicodex help "],
		["use ana", "ana", " anna?"],
		["remove brt", "brt", " bert?"],
		["enable dayjob", "dayjob", ' "day job"?'],
		["rename robret@acme.dev x", "robret@acme.dev", " bert?"],
		["use atuo", "atuo", " auto?"],
		["refresh al", "al", " all?"],
		["use nemo", "nemo", " anna, bert, day job, 🚀 東京オフィス."],
		["reset quoat", "quoat", " quota?"],
		["import codx", "codx", " codex?"],
		["rotation polcy=in-order", "polcy", " policy?"],
		["rotation policy=in-ordr", undefined, " in-order?"],
		["rotation policy=defualt", undefined, " default?"],
		["footer metrs=true", "metrs", " meters?"],
		["rotation speed=9", "speed", " policy, maxRotations,"],
	])("changes nothing, and what may have been meant is named: %s", async (typed, wrong, meant) => {
		const said = await run(typed);
		expect(said).toMatch(/^error: /);
		const [, after = ""] = said.split(wrong === undefined ? "stays as it is." : `"${wrong}"`);
		expect(after).toContain(meant);
		expect([pinned(), cli.stored, cli.harness.pool.accounts().length]).toEqual([undefined, [], 4]);
	});

	it.each([
		["add --devcie", "--devcie", "--device"],
		["add —device", "—device", "--device"],
		["add --udno", "--udno", "--undo"],
		["show --jsno", "--jsno", "--json"],
		["why --jso", "--jso", "--json"],
		["log 5 --jsonn", "--jsonn", "--json"],
		["verify --fxi", "--fxi", "--fix"],
		["remove anna --logotu", "--logotu", "--logout"],
		["login --devic", "--devic", "--device"],
		["import --dryrun", "--dryrun", "--dry-run"],
		["reset backups --yse", "--yse", "--yes"],
	])("a mistyped option is named, with the option that may have been meant: %s", async (typed, wrong, right) => {
		expect(await run(typed)).toMatch(new RegExp(`^error: .* ${wrong} .* ${right}\\? Usage: /multicodex `));
	});

	it.each(COMMANDS.filter(({ name }) => name !== "rename").map(({ name }) => name))(
		"a mistyped option of %s is named even if no option is near, and nothing is done",
		async (name) => {
			expect(await run(`${name} --frobnicate`)).toMatch(/^error: .* --frobnicate [^?]*Usage: \/multicodex /);
			expect([cli.stored, cli.removals, cli.browserDialogs.length]).toEqual([[], 0, 0]);
		},
	);

	it("lists no twenty labels if nothing is near", async () => {
		cli = createCommandHarness(Array.from({ length: 20 }, (_, at) => anAccount(`seat ${at}`, { id: anId(`s${at}`) })));
		expect(await run("use nemo")).toMatch(/^error: .*"nemo"\. \/multicodex show [^,]*$/);
	});
});

describe("an everyday word", () => {
	it.each(["list", "ls", "status", "quota", "LS", "Show"])("%s shows", async (word) => {
		expect(await run(word)).toMatch(/^info: 4 of 4 ready/);
		expect(await run(`${word} --json`)).toMatch(/^info: \{\n {2}"version": 1/);
	});

	it.each(["switch", "select", "pin"])("%s pins an account", async (word) => {
		expect(await run(`${word} bert`)).toMatch(/^info: Codex: using bert /);
		expect(pinned()).toBe("bbbbbbbbbbbb");
	});

	it("unpin ends a pin, and takes no word", async () => {
		await run("pin bert");
		expect(await run("unpin")).toMatch(/^info: .*unpinned.* anna/);
		expect(pinned()).toBeUndefined();
		await run("pin bert");
		expect(await run("unpin anna")).toMatch(/^error: /);
		expect(pinned()).toBe("bbbbbbbbbbbb");
	});

	it.each(["delete", "rm"])("%s removes, after the same question", async (word) => {
		cli.screen.consent = false;
		expect(await run(`${word} bert`)).toBe("info: Nothing was removed.");
		cli.screen.consent = true;
		expect(await run(`${word} bert`)).toMatch(/^info: Codex: removed bert/);
		expect(await run("undo")).toMatch(/^info: Codex: bert is back/);
	});

	it("doctor verifies, and accounts is the dashboard, or what stands for it", async () => {
		expect(await run("doctor")).toMatch(/No problems|in order|pi /);
		cli.screen = aContext({ mode: "print" });
		expect((await cli.runUnseen("accounts")).code).toBe(process.exitCode);
	});

	it("is understood for --help and -h too", async () => {
		expect(await run("--help")).toContain("/multicodex use [account|auto]");
		expect(await run("-h")).toContain("/multicodex use [account|auto]");
	});

	it("stands for a subcommand that there is, and hides none", () => {
		const names = COMMANDS.map(({ name }) => name);
		for (const word of ALIAS_WORDS) {
			const command = aliasCalled(word)?.command;
			expect([word, command === "" || names.includes(command ?? "?")]).toEqual([word, true]);
			expect(names).not.toContain(word);
		}
	});

	it("is offered only if no subcommand fits, and nothing more once it is whole", () => {
		expect(cli.offered("li")).toEqual(["list"]);
		expect(cli.offered("st")).toEqual(["status", "list"]);
		expect(cli.offered("doc")).toEqual(["doctor"]);
		expect(cli.offered("s")).not.toContain("status");
		for (const word of ALIAS_WORDS) expect(cli.offered(word)).toBeNull();
		expect(cli.offered("switch be")).toEqual(["switch bert"]);
		expect(cli.offered("unpin ")).toBeNull();
	});
});

describe("what is offered", () => {
	it.each([
		["use er", ["use bert"]],
		["use 東", ['use "🚀 東京オフィス"']],
		["use オフィス", ['use "🚀 東京オフィス"']],
		["use 🚀", ['use "🚀 東京オフィス"']],
		["use job", ['use "day job"']],
		['use "job', ['use "day job"']],
		["use ＡＮＮＡ", null],
		["use ＮＮ", ["use anna"]],
		["move", ["remove"]],
		["ro", ["rotation"]],
	])("stands anywhere in the word: %s", (typed, offers) => {
		expect(cli.offered(typed)).toEqual(offers);
	});

	it("begins with those that begin so", () => {
		expect(cli.offered("o")?.slice(0, 3)).toEqual(["only", "off", "on"]);
	});

	it("what is offered is no option for a word that may be a label", () => {
		for (const typed of ["add d", "add un", "add device", "login json"]) expect(cli.offered(typed)).toBeNull();
		expect(cli.offered("add -")).toEqual(["add --device", "add --undo"]);
	});
});

describe("next", () => {
	const serves = () =>
		cli.harness.pool.plan({
			modelId: "gpt-5.5",
			affinity: cli.harness.affinity.account(),
			sessionId: aSessionId("s"),
		}).next?.label;

	beforeEach(() => {
		cli.harness.settings = { ...DEFAULT_SETTINGS, rotation: { ...DEFAULT_SETTINGS.rotation, policy: "in-order" } };
	});

	it("moves the session to the next account of the order, round and round, and pins nothing", async () => {
		const events: string[] = [];
		cli.harness.pool.subscribe((event) => {
			if (event.type === "switched") events.push(`${event.from.label} → ${event.to.label} ${event.cause}`);
		});
		expect(await run("next")).toMatch(/^info: .* bert\..*\/multicodex use anna /);
		expect(serves()).toBe("bert");
		await run("next");
		expect(serves()).toBe("day job");
		expect(await run("next")).toContain('/multicodex use "day job" goes back.');
		await run("next");
		expect([serves(), pinned(), cli.harness.pool.active()]).toEqual(["anna", undefined, "aaaaaaaaaaaa"]);
		expect(events[0]).toBe("anna → bert user");
	});

	it("passes over accounts that are not ready, and says what the next one has left", async () => {
		cli.harness.state.statusById.set(anId("bbbbbbbbbbbb"), {
			...cli.harness.pool.status(anId("bbbbbbbbbbbb")),
			cooldowns: [aCooldown({ until: NOW + HOUR_MS })],
		});
		cli.harness.pool.noteUsage(
			anId("cccccccccccc"),
			aSnapshot({ windows: [{ usedPercent: 52, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] }),
		);
		expect(await run("next")).toMatch(/^info: .* day job, 48% .*\/multicodex use anna /);
	});

	it("ends a pin, which would hold the session back, and says so", async () => {
		await run("use bert");
		expect(await run("next")).toMatch(/^info: .* anna\. bert .* pinned\..*\/multicodex use bert /);
		expect([serves(), pinned()]).toEqual(["anna", undefined]);
	});

	it("changes nothing if no other account can serve", async () => {
		cli = createCommandHarness([anAccount("anna"), anAccount("off", { enabled: false })]);
		await run("use anna");
		expect(await run("next")).toMatch(/^error: .* stays on anna/);
		expect(pinned()).toBe("anna");
		cli = createCommandHarness([]);
		expect(await run("next")).toMatch(/^error: .*\/multicodex add/);
	});

	it("takes no word", async () => {
		expect(await run("next bert")).toBe("error: Usage: /multicodex next");
	});
});

describe("durations and defaults of a group", () => {
	it.each([
		["rotation maxWait=45 min", { "rotation.maxWait": "45m" }],
		["rotation maxWait=1.5h", { "rotation.maxWait": "90m" }],
		['rotation maxWait="1h 30m" policy=in-order', { "rotation.maxWait": "90m", "rotation.policy": "in-order" }],
		["rotation cooldown=1 hour 30 minutes", { "rotation.cooldown": "90m" }],
		["rotation cooldown=2d", { "rotation.cooldown": "48h" }],
		["rotation maxWait=0", { "rotation.maxWait": "0s" }],
		["rotation POLICY=In-Order", { "rotation.policy": "in-order" }],
		["rotation policy=default", { "rotation.policy": "soonest-reset" }],
		["footer meters=default", { "footer.meters": true }],
	])("durations and defaults are taken as a person writes them: %s", async (typed, stored) => {
		expect(await run(typed)).toMatch(/^info: /);
		expect(cli.stored).toEqual([stored]);
	});

	it("marks each value that is not the default, and what the command has changed", async () => {
		await run("rotation policy=round-robin");
		const said = await run("rotation maxWait=8h");
		expect(said).toMatch(/^(info: )?policy +round-robin .*\(default soonest-reset\)$/m);
		expect(said).toMatch(/^maxWait +8h .*\(was 60s, default 60s\)$/m);
		expect(said.match(/\(/g)).toHaveLength(2);
		expect(await run("rotation")).toMatch(/^maxWait +8h .*\(default 60s\)$/m);
	});

	it("goes back to every default of the group at once, and offers that only if something is changed", async () => {
		expect(cli.offered("rotation def")).toBeNull();
		await run("rotation policy=round-robin maxWait=8h reserve.7d=20");
		expect(cli.offered("rotation def")).toEqual([
			"rotation default",
			"rotation policy=default",
			"rotation maxWait=default",
			"rotation reserve.7d=default",
		]);
		expect(cli.offered("rotation default")).toBeNull();
		const said = await run("rotation default");
		expect(said.match(/\(was /g)).toHaveLength(3);
		expect(cli.harness.settings.rotation).toEqual(DEFAULT_SETTINGS.rotation);
		await run("footer meters=false maskEmails=true");
		await run("footer default");
		expect(cli.harness.settings).toEqual(DEFAULT_SETTINGS);
	});
});
