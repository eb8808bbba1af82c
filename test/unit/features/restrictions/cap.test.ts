import { beforeEach, describe, expect, it } from "vitest";
import { allCapsEnded, capsEnded } from "../../../../src/features/restrictions/texts.ts";
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
		expect(await run("work week=20")).toMatch(/^info: Codex: work .*: 20% of the week .*, 45% left\.$/);
		expect(await run("work week=45")).toMatch(/: 45% of the week .*, reached: 45% left/);
		expect(await run("work 5h=10")).toMatch(/: 10% of 5h .*, not reported now/);
	});

	it("asks for usage if none is known, and says so", async () => {
		expect(await run("my team week=20")).toMatch(/my team .*: 20% .*, usage unknown/);
		expect(cli.askedUsage).toEqual(["my team"]);
	});

	it("lists every cap, those of one account, or how to make one", async () => {
		expect(await run("")).toMatch(/\/multicodex cap <account> week=20/);
		expect(await run("work")).toMatch(/\/multicodex cap work week=20/);
		await run("work week=20");
		await run("my team 5h=10");
		expect(await run("")).toMatch(
			/^info: work {5}20% of the week .*, 45% left\nmy team {2}10% of 5h .*, usage unknown$/,
		);
		expect(await run("work")).toMatch(/^info: work {2}20% of the week .*, 45% left$/);
	});

	it("names a cap whose account has left the pool", async () => {
		await run("work week=20");
		await cli.harness.accounts.remove(WORK.id);
		expect(await run("")).toContain("3f9c0a7be21d (not in the pool)");
	});

	it("ends one cap, those of an account, or all", async () => {
		await run("work 5h=10 week=20");
		expect(await run("work week=off")).toMatch(/^info: Codex: work .* its cap of week\.$/);
		expect(caps()).toEqual({ [WORK.id]: { "5h": 10 } });
		await run("my team week=20");
		expect(await run("work none")).toBe(`info: ${capsEnded(WORK, [])}`);
		expect(Object.keys(caps())).toEqual(["my team"]);
		expect(await run("off")).toBe(`info: ${allCapsEnded()}`);
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
		["work week=100%", /100% .*: \/multicodex disable work /],
		["work week=0", /week must be .* from 1 to 99\. .*cap work week=off /],
		["work week=-5", /from 1 to 99/],
		["work week=250", /from 1 to 99/],
		["work week=lots", /from 1 to 99/],
		["work week=12.5", /from 1 to 99/],
		["work week=", /from 1 to 99/],
		["work weak=20", /no window "weak"\. .* week\?/],
		["work fortnight=20", /no window "fortnight"\. .* 5h, week, month\./],
		["work week=20 soon", /"soon" is not a cap: .* week=20/],
		["week=20", /The account is missing/],
		["wrok week=20", /"wrok"\. .* work\?/],
		["work week=20 month=0", /month must be/],
	])("refuses %s, and changes nothing", async (typed, problem) => {
		expect(await run(typed)).toMatch(problem);
		expect(cli.edited).toEqual([]);
	});

	it("says why it cannot be stored", async () => {
		cli.settingsRefusal = Object.assign(new Error("not valid JSON"), { code: "EUNREADABLE" });
		expect(await run("work week=20")).toMatch(/^error: .*: not valid JSON$/);
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

	it("asks, and keeps the cap if the answer is no", async () => {
		await atCap();
		cli.screen.consent = false;
		expect(await cli.run("use work")).toBe("info: Nothing was changed.");
		expect(cli.screen.questions).toEqual(["Use work below its cap?"]);
		expect(cli.screen.details[0]).toMatch(/45% of its week .*, 50% /);
		expect([cli.harness.pool.pinned(), next()]).toEqual([undefined, "my team"]);
	});

	it("is used below the cap after a yes, until the window resets or the pin ends", async () => {
		await atCap();
		expect(await cli.run("use work")).toMatch(/using work .* caps do not apply until /);
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

	it("is refused if no person can be asked, unless --yes was typed", async () => {
		await atCap({ hasUI: false, mode: "print" });
		const { said, code } = await cli.runUnseen("use work");
		expect([code, cli.harness.pool.pinned()]).toEqual([1, undefined]);
		expect(said).toMatch(/work is at its cap: 45% .* \/multicodex use work --yes /);
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
