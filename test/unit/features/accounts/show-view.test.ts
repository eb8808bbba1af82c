import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import type { PoolView, ShownAccount } from "../../../../src/core/pool/pool-view.ts";
import type { ReserveModel, UsageWindow } from "../../../../src/core/usage.ts";
import { poolAsJson, poolAsLines, poolAsText, poolInDetail } from "../../../../src/features/accounts/show-view.ts";
import { showSchema } from "../../../../src/pi/json-schemas.ts";
import { STATE_WORDS, type StateWord, stateWord } from "../../../../src/ui-kit/state-words.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import {
	aCooldown,
	aCredential,
	anAccount,
	aSnapshot,
	DAY_MS,
	HOUR_MS,
	MINUTE_MS,
	NOW,
} from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { aShown, aView } from "../../pool-views.ts";

const isoTime = z.iso.datetime({ precision: 3 });

/** The contract's `show --json`, section 6: exactly these keys. */
const documentSchema = z.strictObject({
	version: z.literal(1),
	enabled: z.boolean(),
	policy: z.enum(["soonest-reset", "most-headroom", "in-order", "round-robin"]),
	active: z.string().nullable(),
	pinned: z.string().nullable(),
	accounts: z.array(
		z.strictObject({
			id: z.string(),
			label: z.string(),
			email: z.string().nullable(),
			plan: z.string().nullable(),
			source: z.string().regex(/^(pi|login|import:.+)$/),
			linked: z.boolean(),
			state: z.enum(["ready", "cooling", "needs-login", "disabled"]),
			active: z.boolean(),
			pinned: z.boolean(),
			readyAt: isoTime.nullable(),
			cooldowns: z.array(
				z.strictObject({
					scope: z.string().regex(/^(account|limit:.+|model:.+)$/),
					reason: z.string().regex(/^[a-z_]+$/),
					until: isoTime,
				}),
			),
			token: z.strictObject({ expiresAt: isoTime.nullable() }),
			usage: z
				.strictObject({
					capturedAt: isoTime,
					source: z.enum(["headers", "api"]),
					stale: z.boolean(),
					windows: z.array(
						z.strictObject({
							name: z.string().regex(/^\d+[mhd]$/),
							minutes: z.number().positive(),
							usedPercent: z.number(),
							resetsAt: isoTime.nullable(),
						}),
					),
					budgets: z
						.array(
							z.strictObject({
								name: z.string().regex(/^\d+[mhd]$/),
								minutes: z.number().positive(),
								usedPercent: z.number(),
								resetsAt: isoTime.nullable(),
								reached: z.boolean(),
								used: z.number().nullable(),
								limit: z.number().nullable(),
							}),
						)
						.optional(),
					credits: z
						.strictObject({ hasCredits: z.boolean(), unlimited: z.boolean(), balance: z.string().nullable() })
						.nullable(),
					reserveModel: z
						.strictObject({ model: z.string(), windows: z.array(z.unknown()), reached: z.boolean() })
						.optional(),
				})
				.nullable(),
			lastUsedAt: isoTime.nullable(),
			lastError: z.string().nullable(),
		}),
	),
});

const fiveHours: UsageWindow = { usedPercent: 27, windowMinutes: 300, resetsAt: NOW + 67 * MINUTE_MS };
const week: UsageWindow = { usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS + 20 * HOUR_MS };

const shown = (label: string, overrides: Partial<ShownAccount> = {}): ShownAccount => ({
	account: anAccount(label),
	state: "ready",
	isActive: false,
	isPinned: false,
	readyAt: undefined,
	cooldowns: [],
	sessions: 0,
	usage: aSnapshot({ windows: [week, fiveHours] }),
	lastUsedAt: undefined,
	lastError: undefined,
	isUsageFailing: false,
	...overrides,
});
const viewOf = (...accounts: ShownAccount[]): PoolView => ({
	isEnabled: true,
	isForeign: false,
	policy: "soonest-reset",
	active: accounts.find(({ isActive }) => isActive)?.account.id,
	pinned: accounts.find(({ isPinned }) => isPinned)?.account.id,
	accounts,
	now: NOW,
});

const work = shown("work", { isActive: true, lastUsedAt: NOW - MINUTE_MS });
const personal = shown("personal", { isPinned: true, usage: undefined });
const side = shown("side", {
	state: "cooling",
	readyAt: NOW + 42 * MINUTE_MS,
	cooldowns: [aCooldown({ until: NOW + 42 * MINUTE_MS })],
	usage: aSnapshot({ windows: [{ ...fiveHours, usedPercent: 100 }], credits: { hasCredits: true, unlimited: false } }),
});
const oldTeam = shown("old-team", {
	account: anAccount("old-team", { needsLogin: { reason: "refresh_token_reused", at: NOW }, email: undefined }),
	state: "needs-login",
	usage: undefined,
	lastError: { text: "refresh_token_reused", at: NOW },
});
const closed = shown("closed", {
	account: anAccount("closed", { enabled: false, disabledReason: "account_deactivated", plan: undefined }),
	state: "disabled",
	usage: undefined,
});
const partly = shown("partly", {
	cooldowns: [aCooldown({ scope: "limit:codex_bengalfox", until: NOW + HOUR_MS, models: ["gpt-5.3-codex-spark"] })],
});
const seat = shown("seat", {
	usage: aSnapshot({
		budgets: [
			{ usedPercent: 98, windowMinutes: 43_200, resetsAt: NOW + 12 * DAY_MS, isReached: false, used: 490, limit: 500 },
		],
	}),
});
const LUNA: ReserveModel = {
	limitId: "base_model_inference",
	wireModel: "gpt-reserve",
	visibleModel: "gpt-6-luna",
	windows: [{ ...week, usedPercent: 60 }],
};
/** Spent, with Luna Reserve left. */
const reserved = shown("reserved", {
	usage: aSnapshot({ windows: [{ ...week, usedPercent: 100 }], reserveModel: LUNA }),
});
/** Spent, with bought credits left. */
const funded = shown("funded", {
	state: "cooling",
	readyAt: NOW + 67 * MINUTE_MS,
	usage: aSnapshot({ windows: [{ ...fiveHours, usedPercent: 100 }], credits: { hasCredits: true, unlimited: false } }),
});
const allStates = viewOf(work, personal, side, oldTeam, closed, partly, seat, funded);

describe("show as JSON", () => {
	it("has exactly the contract's shape, for an account in every state", () => {
		expect(() => documentSchema.parse(poolAsJson(allStates))).not.toThrow();
		expect(() => documentSchema.parse(poolAsJson(viewOf()))).not.toThrow();
	});

	it("tells the truth", () => {
		const document = documentSchema.parse(poolAsJson(allStates));
		expect(document).toMatchObject({ active: "work", pinned: "personal", policy: "soonest-reset" });
		expect(document.accounts.map(({ state }) => state)).toEqual([
			"ready",
			"ready",
			"cooling",
			"needs-login",
			"disabled",
			"ready",
			"ready",
			"cooling",
		]);
		expect(document.accounts[0]).toMatchObject({
			id: "work",
			email: "work@example.test",
			active: true,
			pinned: false,
			lastUsedAt: new Date(NOW - MINUTE_MS).toISOString(),
			token: { expiresAt: new Date(NOW + 10 * DAY_MS).toISOString() },
			usage: {
				capturedAt: "2026-11-20T12:00:00.000Z",
				stale: false,
				windows: [
					{ name: "5h", minutes: 300, usedPercent: 27, resetsAt: "2026-11-20T13:07:00.000Z" },
					{ name: "7d", minutes: 10080, usedPercent: 8 },
				],
				credits: null,
			},
		});
		expect(document.accounts[2]).toMatchObject({
			readyAt: "2026-11-20T12:42:00.000Z",
			cooldowns: [{ scope: "account", reason: "usage_limit", until: "2026-11-20T12:42:00.000Z" }],
			usage: { credits: { hasCredits: true, unlimited: false, balance: null } },
		});
		expect(document.accounts[3]).toMatchObject({ email: null, usage: null, lastError: "refresh_token_reused" });
		expect(document.accounts[5]?.cooldowns[0]?.scope).toBe("limit:codex_bengalfox");
		expect(document.accounts[5]?.usage).not.toHaveProperty("budgets");
		const resetsAt = "2026-12-02T12:00:00.000Z";
		expect(document.accounts[6]?.usage?.budgets).toEqual([
			{ name: "30d", minutes: 43_200, usedPercent: 98, resetsAt, reached: false, used: 490, limit: 500 },
		]);
		expect(document.accounts[7]).toMatchObject({
			state: "cooling",
			cooldowns: [],
			readyAt: "2026-11-20T13:07:00.000Z",
		});
	});

	it("has the reserve model of an account that has one, and of no other", () => {
		const { accounts } = documentSchema.parse(poolAsJson(viewOf(reserved, work)));
		expect(accounts[0]?.usage?.reserveModel).toEqual({
			model: "gpt-6-luna",
			windows: [{ name: "7d", minutes: 10_080, usedPercent: 60, resetsAt: "2026-11-27T08:00:00.000Z" }],
			reached: false,
		});
		expect(accounts[1]?.usage).not.toHaveProperty("reserveModel");
		const odd = shown("odd", { usage: aSnapshot({ reserveModel: { ...LUNA, visibleModel: "" } }) });
		expect(poolAsJson(viewOf(odd)).accounts[0]?.usage).not.toHaveProperty("reserveModel");
	});

	it("marks what is older than 15 minutes", () => {
		const old = shown("old", { usage: aSnapshot({ windows: [week], capturedAt: NOW - 16 * MINUTE_MS }) });
		expect(documentSchema.parse(poolAsJson(viewOf(old))).accounts[0]?.usage?.stale).toBe(true);
	});

	it("survives times that are no dates", () => {
		const credential = aCredential("odd", { expiresAt: Number.POSITIVE_INFINITY });
		const odd = shown("odd", { account: anAccount("odd", { credential }), lastUsedAt: 1e300 });
		expect(documentSchema.parse(poolAsJson(viewOf(odd))).accounts[0]).toMatchObject({
			token: { expiresAt: null },
			lastUsedAt: null,
		});
	});

	it("holds no secret, nor does the text", () => {
		const secrets = allStates.accounts.flatMap(({ account: { credential } }) => [
			credential.access,
			credential.refresh,
		]);
		const output = JSON.stringify(poolAsJson(allStates)) + poolAsText(allStates, 120) + poolAsText(allStates, 40);
		expect(secrets.filter((secret) => output.includes(secret))).toEqual([]);
		expect(output).toContain("work");
	});
});

describe("show as text", () => {
	const linesOf = (view: PoolView, columns: number) => poolAsText(view, columns).split("\n");

	it("the text of show is one aligned line an account at 120 columns", () => {
		const [head, ...rows] = linesOf(viewOf(work, personal, side), 120);
		expect(head).toBe("2 of 3 ready · soonest-reset");
		expect(rows).toHaveLength(3);
		expect(rows[0]).toMatch(/^→ +work +plus +5h +73% left +1h07m +week +92% left +6d20h +ready$/);
		expect(rows[1]).toMatch(/^ +personal +plus +usage unknown +ready, pinned$/);
		expect(rows[2]).toMatch(/^ +side +plus +5h +0% left +1h07m +out of quota 42m$/);
		const stateColumn = [rows[0]?.indexOf("ready"), rows[1]?.indexOf("ready,"), rows[2]?.indexOf("out of")];
		expect(new Set(stateColumn).size).toBe(1);
	});

	it("the text of show is one line an account at 80 columns", () => {
		const lines = linesOf(viewOf(work, personal, side), 80);
		expect(lines).toHaveLength(4);
		for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(80);
	});

	it("is two lines an account at 40 columns, with state and windows", () => {
		const lines = linesOf(viewOf(work, personal, side), 40);
		expect(lines).toHaveLength(7);
		expect(lines[1]).toMatch(/^→ work +ready$/);
		expect(lines[2]).toMatch(/^ {4}5h +73%.* 1h07m +w(ee)?k +92%.* 6d20h$/);
		expect(lines[4]).toBe("    usage unknown");
		for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(40);
	});

	it("cuts a long label rather than the state, if there is no room for both", () => {
		const label = "x".repeat(40);
		const long = (row: ShownAccount) => ({ ...row, account: { ...row.account, label } });
		const lines = linesOf(viewOf(...[work, personal, side, oldTeam, closed].map(long)), 40);
		const firsts = [1, 3, 5, 7, 9].map((at) => lines[at] ?? "");
		expect(firsts.map((line) => line.replace(/^[→ ] x+…/, ""))).toEqual([
			"  ready",
			"  ready, pinned",
			"  out of quota 42m",
			"  signed out",
			"  off",
		]);
		// All of the width is used.
		for (const line of firsts) expect(visibleWidth(line)).toBe(40);
	});

	it("aligns wide characters by what they take on the screen", () => {
		const wide = shown("職場", { isActive: true });
		const lines = linesOf(viewOf(wide, shown("home")), 120).slice(1);
		const columnOf = (line: string | undefined, word: string) => visibleWidth((line ?? "").split(word)[0] ?? "");
		expect(columnOf(lines[0], "plus")).toBe(columnOf(lines[1], "plus"));
	});

	it("says why an account cannot be used, and what of it is refused in part", () => {
		const off = shown("off", { account: anAccount("off", { enabled: false }), state: "disabled" });
		const text = poolAsText(allStates, 120);
		expect(text).toMatch(/old-team: .* by another program\. \/multicodex login old-team$/m);
		expect(text).toMatch(/closed: off \(account deactivated\)\./);
		expect(text).toMatch(/partly: limit codex bengalfox, .* until /);
		expect(poolAsText(viewOf(off), 120)).toContain("off: off (by hand). /multicodex enable off");
	});

	it("tells of budgets, and of an account that has nothing but bought credits left", () => {
		const [, first] = linesOf(viewOf(seat), 120);
		expect(first).toMatch(/^ +seat +plus +month +2% left +12d00h +ready$/);
		expect(poolAsText(viewOf(work, funded), 120)).toMatch(
			/^ {2}funded: bought credits .* session .*, until \d\d:\d\d$/m,
		);
		// Refused although there are credits: nothing goes on there.
		const refused = { ...funded, cooldowns: side.cooldowns };
		expect(poolAsText(viewOf(refused), 120)).not.toContain("credits");
	});

	it("leaves what is to be typed whole, however narrow the screen", () => {
		expect(poolAsText(viewOf(oldTeam), 20)).toMatch(/\/multicodex login old-team$/);
	});

	it("says first why no account of the pool serves, and marks none", () => {
		const bypassed = { ...viewOf({ ...work, isActive: false }), active: undefined };
		expect(poolAsText({ ...bypassed, isEnabled: false }, 120)).toMatch(/^off, \/multicodex on resumes · 1 of 1 ready/);
		expect(poolAsText({ ...bypassed, isForeign: true }, 120)).toMatch(/^pi's own API key serves · 1 of 1 ready/);
	});

	it("says what to do if no account is signed in", () => {
		expect(poolAsText(viewOf(), 120)).toMatch(/^No .* \/multicodex add\.$/);
	});

	it.each([120, 80, 40, 20])(
		"is never wider than %i columns, but for what is to be typed, which is whole",
		(columns) => {
			const states = fc.constantFrom(work, personal, side, oldTeam, closed, partly);
			const labels = fc.constantFrom("work", "職場", "a-rather-long-label");
			fc.assert(
				fc.property(fc.array(fc.tuple(states, labels), { minLength: 1, maxLength: 5 }), (rows) => {
					const view = viewOf(...rows.map(([row, label]) => ({ ...row, account: { ...row.account, label } })));
					// Below the head and a line an account, where there is room for everything.
					const notes = linesOf(view, 1000).slice(1 + rows.length);
					const lines = linesOf(view, columns);
					const table = lines.slice(0, lines.length - notes.length);
					for (const line of table) expect(visibleWidth(line)).toBeLessThanOrEqual(columns);
					// One line an account, or two; on a narrow screen each window has a line of its own.
					const heights = columns < 40 ? [1, 2, 3] : [1, 2];
					expect(heights.some((height) => table.length <= height * rows.length + 1)).toBe(true);
					expect(table.join("\n")).not.toMatch(/%.*…/);
					expect(lines.slice(table.length)).toEqual(notes);
				}),
				runs(20),
			);
		},
	);

	it("leaves no blanks at the end of a line", () => {
		for (const columns of [120, 40]) expect(poolAsText(allStates, columns)).not.toMatch(/ $/m);
	});
});

describe("show --compact", () => {
	const rows = () => poolAsLines(allStates).split("\n");

	it("the output of show --compact is one line an account, with each column where it always is", () => {
		expect(rows()).toEqual([
			"→ work              ready         -       5h     73% 1h07m   week   92% 6d20h",
			"  personal          ready         -       -        - -       -        - -",
			"  side              out of quota  42m     5h      0% 1h07m   -        - -",
			"  old-team          signed out    -       -        - -       -        - -",
			"  closed            off           -       -        - -       -        - -",
			"  partly            ready         -       5h     73% 1h07m   week   92% 6d20h",
			"  seat              ready         -       month   2% 12d00h  -        - -",
			"  funded            out of quota  1h07m   5h      0% 1h07m   -        - -",
		]);
	});

	it("fits eighty columns with any label", () => {
		const long = shown("x".repeat(40), { isActive: true });
		const wide = shown("東京オフィス東京オフィス東京", {
			usage: aSnapshot({ windows: [{ ...week, usedPercent: 0 }] }),
		});
		const lines = poolAsLines(viewOf(long, wide, side)).split("\n");
		for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(78);
		expect(new Set(lines.map((line) => visibleWidth(line.split(/ready|out of/)[0] ?? ""))).size).toBe(1);
	});

	it("says how to begin if there is no account", () => {
		expect(poolAsLines(viewOf())).toBe(poolAsText(viewOf(), 80));
	});
});

describe("show --detail", () => {
	const text = (view: PoolView, columns = 120) => poolInDetail(view, columns);

	it("tells of each window when it resets on the clock, and what else is known", () => {
		expect(text(viewOf(work))).toMatch(
			/^→ work\n {2}state +ready, serves next\n {2}who +work@\S+ · plus · id work\n {2}5h +73% left, resets (\w+ )?\d\d:\d\d \(1h07m\)\n {2}week +92% left, resets .+ \(6d20h\)\n/,
		);
		expect(text(viewOf(work))).toMatch(/\n {2}sign-in +token until /);
		expect(text(viewOf(work))).toMatch(/\n {2}last used +\d\d:\d\d$/);
	});

	it("tells until when an account is out of quota, and of credits and budgets", () => {
		expect(text(viewOf(side))).toMatch(/state +out of quota until \d\d:\d\d \(42m\)\n/);
		expect(text(viewOf(side))).toMatch(/credits +some are left/);
		expect(text(viewOf(seat))).toMatch(/month budget +2% left, resets .* \(12d00h\), 490 of 500 used/);
		const rich = shown("rich", {
			usage: aSnapshot({ windows: [], credits: { hasCredits: true, unlimited: false, balance: "12.50" } }),
		});
		expect(text(viewOf(rich))).toMatch(/credits +12\.50 left/);
		expect(text(viewOf(rich))).not.toMatch(/Luna|reset credit/);
		const credits = { hasCredits: false, unlimited: false, balance: "12.50", overageReached: true };
		const closed = shown("closed", { usage: aSnapshot({ windows: [], credits }) });
		expect(text(viewOf(closed))).toMatch(/credits +the limit .* is reached, 12\.50 left/);
	});

	it("has the same in its document, and no key of it for an account that has none of it", () => {
		const credits = { hasCredits: false, unlimited: false, balance: "5", overageReached: true };
		const rich = shown("rich", { usage: aSnapshot({ windows: [week], credits, reserveModel: LUNA, resetCredits: 2 }) });
		const [usage, plain] = showSchema.parse(poolAsJson(viewOf(rich, work))).accounts.map((account) => account.usage);
		expect(usage).toMatchObject({
			credits: { hasCredits: false, balance: "5", overageReached: true },
			reserveModel: { model: "gpt-6-luna", windows: [{ name: "7d", usedPercent: 60 }], reached: false },
			resetCredits: 2,
		});
		expect(Object.keys(plain ?? {})).toEqual(["capturedAt", "source", "stale", "windows", "credits"]);
	});

	it("tells of reset credits if there are some, and of no reserve that stands for an unknown model", () => {
		const nameless = { ...LUNA, visibleModel: "" };
		const rich = text(viewOf(shown("rich", { usage: aSnapshot({ reserveModel: nameless, resetCredits: 2 }) })));
		expect(rich).toMatch(/reset credits +2\n/);
		expect(rich).not.toMatch(/Luna/);
	});

	it("tells when the first reset credit expires, also in the list and in the document", () => {
		const listed = [{ id: "c", expiresAt: NOW + 13 * DAY_MS }, { id: "d" }];
		const rich = shown("rich", { usage: aSnapshot({ resetCredits: 2 }), resetCredits: listed });
		const last = shown("last one", {
			account: anAccount("last one", { id: anId("last") }),
			usage: aSnapshot({ resetCredits: 1 }),
			resetCredits: listed.slice(0, 1),
		});
		expect(text(viewOf(rich))).toMatch(/reset credits +2, .* expires 3 Dec\n/);
		expect(text(viewOf(last))).toMatch(/reset credits +1, expires 3 Dec\n/);
		const lines = poolAsText(viewOf(rich, last, work), 120).split("\n");
		expect(lines.filter((line) => line.includes("reset credit"))).toEqual([
			expect.stringMatching(/^ {2}rich: 2 reset credits, .* 3 Dec\. \/multicodex redeem rich$/),
			expect.stringMatching(/^ {2}last one: 1 reset credit, .* 3 Dec\. \/multicodex redeem "last one"$/),
		]);
		const [first, second, third] = showSchema.parse(poolAsJson(viewOf(rich, last, work))).accounts;
		expect(first?.resetCredits).toEqual([{ expiresAt: "2026-12-03T12:00:00.000Z" }, { expiresAt: null }]);
		expect([second?.resetCredits?.length, Object.hasOwn(third ?? {}, "resetCredits")]).toEqual([1, false]);
	});

	it("tells what is left of Luna Reserve, if there is one", () => {
		expect(text(viewOf(reserved))).toMatch(/\n {2}Luna Reserve +40% left, resets .+ \(6d20h\), .* gpt-6-luna\n/);
		expect(text(viewOf(work))).not.toContain("Reserve");
		const unknown = shown("unknown", { usage: aSnapshot({ reserveModel: { ...LUNA, windows: [] } }) });
		expect(text(viewOf(unknown))).toMatch(/Luna Reserve +there is some, .* gpt-6-luna\n/);
	});

	it.each([
		["usage_limit", /Luna Reserve +used up until \d\d:\d\d\n/, "usage limit"],
		["model_not_supported", /Luna Reserve +was refused, .* before \d\d:\d\d\n/, "model not supported"],
	] as const)("tells until when Luna Reserve is closed for a %s", (reason, fact, words) => {
		const cooldowns = [aCooldown({ scope: "limit:base_model_inference", reason, until: NOW + HOUR_MS })];
		const lines = text(viewOf({ ...reserved, cooldowns }));
		expect(lines).toMatch(fact);
		expect(lines).toMatch(new RegExp(`reserved: Luna Reserve, ${words} until \\d\\d:\\d\\d$`));
	});

	it("tells of the limits of single models, and of what is refused in part", () => {
		const limits = { codex_bengalfox: { windows: [{ ...fiveHours, usedPercent: 40 }] } };
		const limited = shown("limited", { usage: aSnapshot({ windows: [week], limits }), cooldowns: partly.cooldowns });
		expect(text(viewOf(limited))).toMatch(/limit codex bengalfox +5h 60% left, resets /);
		expect(text(viewOf(limited))).toMatch(/limited: limit codex bengalfox, .* until \d\d:\d\d$/);
	});

	it.each([
		["usage-limit", "usage limit"],
		["rate-limit", "rate limit"],
		["refresh_token_reused", "its sign-in .* another program"],
		["HTTP 503", "HTTP 503"],
		["Not allowed here!", "Not allowed here!"],
	])("tells the last error in words: %s", (told, words) => {
		const failed = shown("failed", { lastError: { text: told, at: NOW } });
		expect(text(viewOf(failed))).toMatch(new RegExp(`last error +\\d\\d:\\d\\d, ${words}$`));
	});

	it("tells of each account, a blank line between, and wraps what is too wide", () => {
		expect(text(allStates).split("\n\n")).toHaveLength(8);
		for (const columns of [118, 78, 38, 28]) {
			const rows = text(viewOf(work, side, seat), columns).split("\n");
			for (const row of rows) expect(visibleWidth(row)).toBeLessThanOrEqual(columns);
			const whole = text(viewOf(work, side, seat)).replaceAll(/\s+/g, "");
			expect(rows.join("").replaceAll(/\s+/g, "")).toBe(whole);
		}
		expect(text(viewOf(work), 28)).toMatch(/^ {2}5h {9}73% left,\n {13}resets \S+\n {13}\(1h07m\)$/m);
	});
});

describe("one vocabulary", () => {
	it("has one of a few words for the state of every account, and no code, in every form", () => {
		const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 85 }] });
		const every = viewOf(
			...allStates.accounts,
			shown("kept", { state: "cooling", readyAt: NOW + HOUR_MS, floors: { "5h": 20 }, usage }),
			shown("elsewhere", { outsideOf: "/proj" }),
		);
		const forms = [poolAsText(every, 120), poolAsText(every, 40), poolAsLines(every), poolInDetail(every, 120)];
		for (const form of forms) {
			expect(form).not.toMatch(/cooling|needs-login|disabled|switched off|sign in again|\bactive\b|\w_\w/);
			for (const word of STATE_WORDS.filter((each) => each !== "resting")) expect(form).toContain(word);
		}
	});

	it.each<[StateWord, Partial<ShownAccount>]>([
		["ready", {}],
		["out of quota", { state: "cooling", cooldowns: [aCooldown()] }],
		["out of quota", { state: "cooling", cooldowns: [aCooldown({ reason: "workspace_limit" })] }],
		["resting", { state: "cooling", cooldowns: [aCooldown({ reason: "rate_limit" })] }],
		["resting", { state: "cooling", cooldowns: [aCooldown({ reason: "refused" })] }],
		[
			"resting",
			{
				state: "cooling",
				cooldowns: [
					aCooldown({ reason: "workspace_disabled", until: NOW + 2 * HOUR_MS }),
					aCooldown({ scope: "model:x" }),
				],
			},
		],
		["out of quota", { state: "cooling", usage: funded.usage }],
		["signed out", { state: "needs-login" }],
		["off", { state: "disabled" }],
	])("calls it %s", (word, overrides) => {
		expect(stateWord(shown("a", overrides), NOW)).toBe(word);
	});
});

describe("show, if caps and an account set hold", () => {
	const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 85 }] });
	const kept = shown("kept", { state: "cooling", readyAt: NOW + 67 * MINUTE_MS, floors: { "5h": 20, "7d": 5 }, usage });
	const view = {
		...viewOf(work, kept, shown("elsewhere", { outsideOf: "/home/me/client" })),
		set: { folder: "/home/me/client", accounts: [anId("work"), anId("kept"), anId("gone")] },
	};

	it("counts the accounts of the set, names it, and says what each cap keeps", () => {
		expect(poolAsText(view, 100).split("\n")).toEqual([
			"1 of 2 ready · soonest-reset · set of client",
			expect.stringMatching(/^→ {2}work .* ready$/),
			expect.stringMatching(/^ {3}kept .* capped 1h07m$/),
			expect.stringMatching(/^ {3}elsewhere .* not in set$/),
			expect.stringMatching(/^ {2}kept: 20% of 5h .*, reached: 15% left$/),
			expect.stringMatching(/^ {2}kept: 5% of the week .*, not reported now$/),
		]);
	});

	it("a program is shown caps and an account set alike", () => {
		const document = showSchema.parse(poolAsJson(view));
		expect(document.set).toEqual({ folder: "/home/me/client", accounts: [anId("work"), anId("kept"), anId("gone")] });
		expect(document.accounts.map(({ inSet, caps }) => [inSet, caps])).toEqual([
			[undefined, undefined],
			[
				undefined,
				[
					{ window: "5h", floorPercent: 20, reached: true },
					{ window: "7d", floorPercent: 5, reached: false },
				],
			],
			[false, undefined],
		]);
		expect(JSON.stringify(poolAsJson(viewOf(work)))).not.toMatch(/"set"|inSet|caps/);
	});
});

describe("a pool that several machines share", () => {
	const shared = { pool: "pi", users: [{ machine: "desk", sessions: 2 }], renewal: "waits" } as const;
	const view = aView(
		[aShown("work", { account: anAccount("work", { shared: true }), shared, isActive: true }), aShown("solo")],
		{ sharedPool: aPoolStatus({ others: [{ name: "desk", seenAt: NOW, sessions: new Map([[anId("work"), 2]]) }] }) },
	);

	it("is named in the first line, with a mark on its accounts, and a note of who works on them", () => {
		const [head, first, second, ...notes] = poolAsText(view, 120).split("\n");
		expect(head).toBe("2 of 2 ready · soonest-reset · ⇄ pi with desk");
		expect(first).toMatch(/^→ {2}work ⇄ {2}/);
		expect(second).toMatch(/^ {3}solo {4}/);
		expect(notes).toEqual(["  work: 2 sessions on desk"]);
		expect(poolAsText(view, 40)).toMatch(/^→ work ⇄ {2}ready$/m);
	});

	it("is among the facts of an account, with who renews its sign-in", () => {
		const detail = poolInDetail(view, 80);
		expect(detail).toMatch(/^ {2}shared +.* pi, 2 sessions on desk$/m);
		expect(detail).toMatch(/^ {2}sign-in +token until .*, not renewed /m);
		expect(detail.match(/2 sessions on desk/g)).toHaveLength(1);
	});

	it("a pool that several machines share is in the document", () => {
		const document = showSchema.parse(poolAsJson(view));
		expect(document.pool).toEqual({
			name: "pi",
			role: "keeper",
			machine: "laptop",
			state: "connected",
			machines: ["desk"],
		});
		expect(document.accounts.map((account) => account.shared)).toEqual([
			{ machines: [{ name: "desk", sessions: 2 }], renewal: "waits" },
			undefined,
		]);
	});
});
