import { beforeEach, describe, expect, it } from "vitest";
import { capSchema } from "../../../../src/pi/json-schemas.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";

let cli: CommandHarness;
const WORK = anAccount("work", { id: anId("3f9c0a7be21d") });
const week = (usedPercent: number) =>
	aSnapshot({ windows: [{ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 2 * DAY_MS }] });
const begin = (init?: Parameters<typeof createCommandHarness>[1]) => {
	cli = createCommandHarness([WORK, anAccount("my team")], init);
	cli.harness.pool.noteUsage(WORK.id, week(55));
};
const caps = () => cli.harness.settings.caps;
const run = (args: string) => cli.run(`cap ${args}`);
beforeEach(() => begin());

describe("/multicodex cap", () => {
	it.each([
		["work week=20%", { "7d": 20 }],
		["work week=20", { "7d": 20 }],
		["work 7d = 20 %", { "7d": 20 }],
		["work 5h=10 week=20% month=5", { "5h": 10, "7d": 20, "30d": 5 }],
		["WORK WEEK=20", { "7d": 20 }],
		["3f9c week=20", { "7d": 20 }],
	])("takes %s", async (typed, floors) => {
		await run(typed);
		expect(caps()).toEqual({ [WORK.id]: floors });
	});

	it("takes a label with a blank, with quotes and without", async () => {
		await run('"my team" week=20');
		await run("my team 5h=10");
		expect(caps()).toEqual({ "my team": { "7d": 20, "5h": 10 } });
	});

	it("says what is kept, and whether the cap is reached", async () => {
		expect(await run("work week=20")).toBe(
			"info: Codex: work is used only down to its cap: 20% of the week is kept, 45% left.",
		);
		expect(await run("work week=45")).toContain("45% of the week is kept, reached: 45% left");
		expect(await run("work 5h=10")).toContain("10% of 5h is kept, not reported now");
	});

	it("asks for usage where none is known, and says so", async () => {
		expect(await run("my team week=20")).toContain("20% of the week is kept, usage unknown");
		expect(cli.askedUsage).toEqual(["my team"]);
	});

	it("lists every cap, those of one account, or how to make one", async () => {
		expect(await run("")).toMatch(/No account has a cap\. \/multicodex cap <account> week=20/);
		expect(await run("work")).toMatch(/work has no cap\. \/multicodex cap work week=20/);
		await run("work week=20");
		await run("my team 5h=10");
		expect(await run("")).toBe(
			["info: work     20% of the week is kept, 45% left", "my team  10% of 5h is kept, usage unknown"].join("\n"),
		);
		expect(await run("work")).toBe("info: work  20% of the week is kept, 45% left");
	});

	it("names a cap whose account has left the pool", async () => {
		await run("work week=20");
		await cli.harness.accounts.remove(WORK.id);
		expect(await run("")).toContain("3f9c0a7be21d (not in the pool)");
	});

	it("ends one cap, those of an account, or all", async () => {
		await run("work 5h=10 week=20");
		expect(await run("work week=off")).toBe("info: Codex: work no longer has its cap of week.");
		expect(caps()).toEqual({ [WORK.id]: { "5h": 10 } });
		await run("my team week=20");
		expect(await run("work none")).toBe("info: Codex: work no longer has its caps.");
		expect(Object.keys(caps())).toEqual(["my team"]);
		expect(await run("off")).toBe("info: Codex: no account has a cap now.");
		expect(caps()).toEqual({});
	});

	it("leaves a cap of the same window under no other word, and under no former id", async () => {
		cli = createCommandHarness([anAccount("work", { formerIds: [anId("old")] })]);
		await run("work week=20");
		expect(cli.edited.filter(({ value }) => value !== undefined).map(({ path }) => path.join("."))).toEqual([
			"caps.work.7d",
		]);
		expect(cli.edited.filter(({ value }) => value === undefined).map(({ path }) => path.join("."))).toEqual([
			"caps.work.week",
			"caps.old.7d",
			"caps.old.week",
		]);
	});

	it.each([
		["work week=100%", /would keep the account unused: \/multicodex disable work does that/],
		["work week=0", /week must be a whole percentage from 1 to 99\. .*cap work week=off ends its cap/],
		["work week=-5", /whole percentage from 1 to 99/],
		["work week=250", /whole percentage from 1 to 99/],
		["work week=lots", /whole percentage from 1 to 99/],
		["work week=12.5", /whole percentage from 1 to 99/],
		["work week=", /whole percentage from 1 to 99/],
		["work weak=20", /There is no window "weak"\. Did you mean week\?/],
		["work fortnight=20", /There is no window "fortnight"\. Known: 5h, week, month\./],
		["work week=20 soon", /"soon" is not a cap: write it as week=20/],
		["week=20", /The account is missing/],
		["wrok week=20", /No Codex account is called "wrok"\. Did you mean work\?/],
		["work week=20 month=0", /month must be/],
		["--all", /There is no option --all here/],
	])("refuses %s, and changes nothing", async (typed, problem) => {
		expect(await run(typed)).toMatch(problem);
		expect(cli.edited).toEqual([]);
	});

	it("says why it cannot be stored", async () => {
		cli.settingsRefusal = Object.assign(new Error("settings.json is not valid JSON"), { code: "EUNREADABLE" });
		expect(await run("work week=20")).toBe("error: multicodex cap failed: settings.json is not valid JSON");
	});

	it("is a document for a program", async () => {
		await run("work 5h=10 week=45");
		const said = await run("--json");
		const { caps: rows } = capSchema.parse(JSON.parse(said.replace("info: ", "")));
		expect(rows).toEqual([
			{
				account: { id: WORK.id, label: "work" },
				window: "5h",
				floorPercent: 10,
				leftPercent: null,
				reached: false,
				until: null,
			},
			{
				account: { id: WORK.id, label: "work" },
				window: "7d",
				floorPercent: 45,
				leftPercent: 45,
				reached: true,
				until: new Date(NOW + 2 * DAY_MS).toISOString(),
			},
		]);
	});

	it("completes accounts, then caps", () => {
		expect(cli.offered("cap w")).toContain("cap work");
		expect(cli.offered("cap work w")).toContain("cap work week=20");
	});
});

describe("a pin on an account at its cap", () => {
	const atCap = async (init?: Parameters<typeof createCommandHarness>[1]) => {
		begin(init);
		cli.harness.settings = { ...cli.harness.settings, caps: { [WORK.id]: { "7d": 50 } } };
		expect(cli.harness.pool.plan({ modelId: "m", affinity: undefined, sessionId: aSessionId("s") }).next?.id).toBe(
			"my team",
		);
	};
	const next = () => cli.harness.pool.plan({ modelId: "m", affinity: undefined, sessionId: aSessionId("s") }).next?.id;

	it("asks, and keeps the cap where the answer is no", async () => {
		await atCap();
		cli.screen.consent = false;
		expect(await cli.run("use work")).toBe("info: Nothing was changed.");
		expect(cli.screen.questions).toEqual(["Use work below its cap?"]);
		expect(cli.screen.details[0]).toContain("45% of its week limit is left, 50% of it is kept.");
		expect([cli.harness.pool.pinned(), next()]).toEqual([undefined, "my team"]);
	});

	it("is used below the cap after a yes, until the window resets or the pin ends", async () => {
		await atCap();
		expect(await cli.run("use work")).toMatch(/using work in all sessions.* Its caps do not apply until /);
		expect(next()).toBe(WORK.id);
		await cli.run("use auto");
		expect(next()).toBe("my team");
		await cli.run("use work");
		cli.harness.clock.at = NOW + 2 * DAY_MS + HOUR_MS;
		cli.harness.pool.noteUsage(WORK.id, {
			...week(90),
			capturedAt: cli.harness.clock.at,
			windows: [{ usedPercent: 90, windowMinutes: 10_080, resetsAt: NOW + 9 * DAY_MS }],
		});
		expect([cli.harness.pool.pinned(), next()]).toEqual([WORK.id, "my team"]);
	});

	it("is refused where no person can be asked, unless --yes was typed", async () => {
		await atCap({ hasUI: false, mode: "print" });
		const { said, code } = await cli.runUnseen("use work");
		expect([code, cli.harness.pool.pinned()]).toEqual([1, undefined]);
		expect(said).toMatch(/work is at its cap: 45% .* \/multicodex use work --yes uses it without its caps until /);
		expect(next()).toBe("my team");
		await atCap();
		cli.screen.consent = false;
		expect(await cli.run("use work --yes")).toContain("using work");
		expect([cli.screen.questions, next()]).toEqual([[], WORK.id]);
	});

	it("that was made before does not pass the cap", async () => {
		begin();
		await cli.run("use work");
		cli.harness.settings = { ...cli.harness.settings, caps: { [WORK.id]: { "7d": 50 } } };
		expect(next()).toBe("my team");
	});
});
