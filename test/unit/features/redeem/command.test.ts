import { beforeEach, describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { ResetCredit } from "../../../../src/core/reset-credits/reset-credits.ts";
import type { UsageSnapshot } from "../../../../src/core/usage.ts";
import { redeemSchema } from "../../../../src/pi/json-schemas.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";

const CREDIT: ResetCredit = { id: "credit-1", expiresAt: NOW + 13 * DAY_MS };
const LATER: ResetCredit = { id: "credit-2", expiresAt: NOW + 25 * DAY_MS };
const windows = (usedPercent: number, resetsInMs = 4 * DAY_MS) => [
	{ usedPercent: 10, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS },
	{ usedPercent, windowMinutes: 10_080, resetsAt: NOW + resetsInMs },
];
const counted = (resetCredits: number, overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({ source: "api", windows: windows(100), resetCredits, ...overrides });

let cli: CommandHarness;
function open(
	mode: "tui" | "rpc" | "print" | "json" = "tui",
	rows: readonly Account[] = [anAccount("work"), anAccount("team")],
) {
	cli = createCommandHarness(rows, { mode, hasUI: mode === "tui" || mode === "rpc" });
	tell("work", 2, [CREDIT, LATER]);
	tell("team", 0);
}
/** What the backend says of an account. */
function tell(id: string, count: number, credits?: readonly ResetCredit[], overrides: Partial<UsageSnapshot> = {}) {
	cli.usage.set(id, () => counted(count, { capturedAt: cli.harness.clock.now(), ...overrides }));
	if (credits) cli.credits.set(id, credits);
}
beforeEach(() => open());

/** The JSON document that a command prints. */
const documentOf = async (args: string) => {
	const [, text = ""] = /^\w+: (.*)$/s.exec(await cli.run(args)) ?? [];
	return redeemSchema.parse(JSON.parse(text));
};

describe("redeem in a terminal", () => {
	it("asks with what it gains and costs, and spends the credit that expires first", async () => {
		cli.redeem = async () => {
			cli.harness.pool.noteUsage(anId("work"), counted(1, { windows: windows(0), capturedAt: NOW + 1 }));
			await cli.harness.state.update(anId("work"), (status) => ({
				...status,
				resetCredits: { askedAt: NOW, credits: [LATER] },
			}));
			return { kind: "redeemed" };
		};
		const said = await cli.run("redeem");
		expect(cli.screen.questions).toEqual(["Redeem a reset of work?"]);
		expect(cli.screen.details[0]).toMatch(
			/Gains: week .*100% .* Tue 12:00 \(in 4d00h\); also 5h \(90% left\)\..*Costs: .* \(expires 3 Dec, 1 other .*\)\. /,
		);
		expect(cli.redeemed).toEqual([["work", "credit-1"]]);
		expect(said).toMatch(/^info: Codex: .* work: .*100% of the week.* 1 reset credit .*left\.$/);
	});

	it("spends nothing without a clear yes, even if the command says --yes", async () => {
		cli.screen.consent = false;
		for (const words of ["redeem", "redeem work", "redeem work --yes"]) {
			expect(await cli.run(words)).toBe("info: Nothing was redeemed.");
		}
		expect([cli.redeemed, cli.screen.questions.length]).toEqual([[], 3]);
	});

	it("has what spends nothing under the cursor", async () => {
		await cli.run("redeem work");
		expect(cli.screen.details[0]).toMatch(/█ +Keep the credit *Redeem it/);
	});

	it("offers every account that has one, the best first, and says why others are kept", async () => {
		open("tui", [anAccount("work"), anAccount("team"), anAccount("solo")]);
		tell("team", 1, [{ id: "credit-3", expiresAt: NOW + DAY_MS }]);
		tell("solo", 1, [{ id: "credit-4" }], { windows: windows(40) });
		await cli.run("redeem");
		expect(cli.screen.questions).toEqual(["Redeem a reset credit?"]);
		expect(cli.screen.details[0]).toMatch(/solo: kept: its windows .*credit without an end/);
		expect(cli.screen.details[0]).toMatch(/█ +Keep the credit *Redeem a reset of team *Redeem a reset of work/);
		expect(cli.redeemed).toEqual([["team", "credit-3"]]);
	});

	it("is answered in dialogs if there are no panels", async () => {
		open("rpc");
		await cli.run("redeem");
		expect(cli.redeemed).toEqual([["work", "credit-1"]]);
		tell("team", 1, [{ id: "credit-3", expiresAt: NOW + DAY_MS }]);
		cli.screen.choice = "Redeem a reset of work";
		await cli.run("redeem");
		expect(cli.redeemed.at(-1)).toEqual(["work", "credit-1"]);
		cli.screen.choice = undefined;
		expect(await cli.run("redeem")).toBe("info: Nothing was redeemed.");
		expect(cli.redeemed).toHaveLength(2);
	});

	it("offers no account that this session may not use, unless that is named", async () => {
		cli.harness.setFor = () => ({ folder: "/proj", accounts: [anId("team")] });
		expect(await cli.run("redeem")).toMatch(/^info: No .* reset credit/);
		expect(cli.askedUsage).toEqual(["team"]);
		await cli.run("redeem work");
		expect(cli.redeemed).toEqual([["work", "credit-1"]]);
	});

	it("says that there is nothing to redeem", async () => {
		tell("work", 0);
		expect(await cli.run("redeem")).toMatch(/^info: No .* reset credit, .* nothing to redeem\.$/);
		expect(await cli.run("redeem work")).toMatch(/^warning: work has no reset credit\./);
		expect([cli.askedLists, cli.screen.questions]).toEqual([[], []]);
	});

	it.each<[string, Partial<UsageSnapshot>, readonly ResetCredit[] | undefined, RegExp]>([
		["windows are not spent", { windows: windows(80) }, [CREDIT], /its windows are not/],
		["it resets within the hour", { windows: windows(100, 40 * MINUTE_MS) }, [CREDIT], /resets by itself at 12:40/],
		["the credit has expired", {}, [{ id: "c", expiresAt: NOW - 1 }], /its reset credit has expired/],
		["the list has no answer", {}, undefined, /could not be listed/],
		["there is one window", { windows: windows(100).slice(1) }, [CREDIT], /a single window/],
		[
			"a budget is spent",
			{ budgets: [{ usedPercent: 100, windowMinutes: 43_200, isReached: true }] },
			[CREDIT],
			/monthly budget/,
		],
	])("spends nothing, and says why, if %s", async (_why, overrides, credits, words) => {
		cli.credits.delete("work");
		tell("work", 1, credits, overrides);
		expect(await cli.run("redeem work")).toMatch(words);
		expect(await cli.run("redeem")).toMatch(words);
		expect([cli.redeemed, cli.screen.questions]).toEqual([[], []]);
	});

	it("spends nothing on figures that are old", async () => {
		cli.harness.pool.noteUsage(anId("work"), counted(2, { capturedAt: NOW - HOUR_MS }));
		cli.usage.set("work", () => "HTTP 503");
		expect(await cli.run("redeem work")).toMatch(/its usage is not/);
		expect(cli.redeemed).toEqual([]);
	});

	it.each([
		["redeem wrok", /"wrok"\. .* work\?/],
		["redeem work --yse", / --yse .* --yes\?/],
		["redeem nowhere", /"nowhere"/],
	])("redeem in a terminal is not given for %s", async (typed, words) => {
		expect(await cli.run(typed)).toMatch(words);
		expect(cli.askedUsage).toEqual([]);
	});

	it("says what a redemption that failed leaves open", async () => {
		cli.redeem = async () => ({ kind: "failed", reason: "HTTP 503", until: NOW + MINUTE_MS });
		expect(await cli.run("redeem work")).toMatch(/^error: Nothing .* work: HTTP 503\.$/);
		await cli.harness.state.update(anId("work"), (status) => ({
			...status,
			redemption: { creditId: "credit-1", key: "key", at: NOW },
		}));
		expect(await cli.run("redeem work")).toMatch(/work is not confirmed: .* no other credit/);
	});

	it("completes accounts that have credits, and its options", async () => {
		cli.harness.pool.noteUsage(anId("work"), counted(2));
		expect(cli.offered("redeem ")).toEqual(["redeem work", "redeem --yes", "redeem --json"]);
		expect(cli.offered("redeem work --y")).toEqual(["redeem work --yes"]);
	});
});

it("a look by `show` has the lists of reset credits asked for, if usage reports any", async () => {
	await cli.run("show");
	expect(cli.listLooks).toBe(0);
	cli.harness.pool.noteUsage(anId("work"), counted(2));
	await cli.run("show");
	expect(cli.listLooks).toBe(1);
});

describe("redeem without a person", () => {
	it("spends nothing without --yes, and says how", async () => {
		open("print");
		const { said, code } = await cli.runUnseen("redeem");
		expect([code, cli.redeemed]).toEqual([1, []]);
		expect(said).toMatch(/: \/multicodex redeem work --yes \(week .*100% [^\n]*3 Dec\)\.\n$/);
		expect(await cli.runUnseen("redeem team")).toMatchObject({ code: 1 });
	});

	it("spends the best one if the command says so", async () => {
		open("print");
		await cli.runUnseen("redeem --yes");
		expect(cli.redeemed).toEqual([["work", "credit-1"]]);
	});

	it("fails if there is nothing to spend", async () => {
		open("print");
		tell("work", 0);
		expect(await cli.runUnseen("redeem work --yes")).toMatchObject({ code: 1 });
		cli.redeem = async () => ({ kind: "no-credit", reason: "it is gone", until: NOW });
		tell("work", 1, [CREDIT]);
		expect(await cli.runUnseen("redeem work --yes")).toMatchObject({ code: 1 });
	});
});

describe("redeem as JSON", () => {
	it("lists without a question, and spends nothing", async () => {
		expect(await documentOf("redeem --json")).toEqual({
			version: 1,
			redeemed: null,
			outcome: null,
			reason: null,
			accounts: [
				{
					id: "work",
					credits: [{ expiresAt: "2026-12-03T12:00:00.000Z" }, { expiresAt: "2026-12-15T12:00:00.000Z" }],
					redeemable: true,
					obstacle: null,
					window: "7d",
					resetsAt: "2026-11-24T12:00:00.000Z",
					resets: ["5h", "7d"],
				},
			],
		});
		expect([cli.redeemed, cli.screen.questions]).toEqual([[], []]);
	});

	it("tells what came of a redemption", async () => {
		expect(await documentOf("redeem --yes --json")).toMatchObject({ redeemed: "work", outcome: "redeemed" });
		cli.redeem = async () => ({ kind: "busy", reason: "another session is at it", until: NOW });
		expect(await documentOf("redeem --yes --json")).toMatchObject({
			redeemed: null,
			outcome: "busy",
			reason: "another session is at it",
		});
		tell("work", 1, [], {});
		expect((await documentOf("redeem --json")).accounts).toMatchObject([
			{ redeemable: false, obstacle: "credits-unknown", credits: [], window: null },
		]);
	});
});
