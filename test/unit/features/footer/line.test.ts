import { stripVTControlCharacters } from "node:util";
import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	DEFAULT_SETTINGS,
	FOOTER_ORDERS,
	FOOTER_WINDOWS,
	type FooterSettings,
	USAGE_MODES,
} from "../../../../src/core/settings.ts";
import type { UsageWindow } from "../../../../src/core/usage.ts";
import { type FooterModel, footerLine } from "../../../../src/features/footer/line.ts";
import type { Paint } from "../../../../src/ui-kit/panel.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { coreOf, runs } from "../../../support/tiers.ts";

const fiveHours: UsageWindow = { usedPercent: 27, windowMinutes: 300, resetsAt: NOW + 67 * MINUTE_MS };
const week: UsageWindow = { usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS + 20 * HOUR_MS };
const work = { account: anAccount("work"), usage: aSnapshot({ windows: [week, fiveHours] }), isReady: true };

const model = (overrides: Partial<FooterModel> = {}): FooterModel => ({
	isEnabled: true,
	isForeign: false,
	settings: DEFAULT_SETTINGS.footer,
	active: work,
	isPinned: false,
	ready: 3,
	total: 4,
	first: { label: "side", readyAt: NOW + 42 * MINUTE_MS },
	waitingUntil: undefined,
	waitsForRoom: false,
	hasKeys: false,
	now: NOW,
	...overrides,
});
/** The local clock, with its day where it is another one. */
const CLOCK = /([A-Z]\w\w )?\d\d:\d\d/;
const unpainted: Paint = (_tone, text) => text;
const at = (columns: number, overrides: Partial<FooterModel> = {}) => footerLine(model(overrides), columns, unpainted);
const lines = (overrides: Partial<FooterModel> = {}) => [120, 80, 40].map((columns) => at(columns, overrides));
const withFooter = (settings: Partial<FooterSettings>) => ({ settings: { ...DEFAULT_SETTINGS.footer, ...settings } });
/** Each word with its colour. */
const painted = (overrides: Partial<FooterModel> = {}, columns = 120) =>
	footerLine(model(overrides), columns, (tone, text) => `[${tone}:${text}]`);

describe("the footer of an account in use", () => {
	it("says that the shared pool is away, before it has room for all windows", () => {
		expect([80, 40, 25, 20].map((columns) => at(columns, { isPoolAway: true }))).toEqual([
			"codex work · pool away · 5h 73% left · week 92% left · 3/4 ready",
			"work · pool away · 5h 73% · wk 92% · 3/4",
			"work · pool away · 5h 73%",
			"work · 5h 73%",
		]);
		expect(painted({ isPoolAway: true })).toContain("[warning:pool away]");
		expect(at(80, { isPoolAway: true, active: undefined, ready: 0, total: 4 })).not.toContain("pool away");
	});

	it("gives way in the order of what matters, and leaves room for what other extensions say", () => {
		expect([110, 100, 70, 57, 50, 45, 30, 25, 20, 9, 3].map((columns) => at(columns))).toEqual([
			"codex work (plus) · 5h ━━━━━━━─── 73% left (1h07m) · week ━━━━━━━━━─ 92% left (6d20h) · 3 of 4 ready",
			"codex work · 5h ━━━━━━━─── 73% left (1h07m) · week ━━━━━━━━━─ 92% left (6d20h) · 3/4 ready",
			"codex work · 5h 73% left · week 92% left · 3/4 ready",
			"codex work · 5h 73% left · week 92% left · 3/4",
			"codex work · 5h 73% left · wk 92% · 3/4",
			"codex work · 5h 73% · wk 92% · 3/4",
			"work · 5h 73% · wk 92% · 3/4",
			"work · 5h 73% · wk 92%",
			"work · 5h 73%",
			"work",
			"wo…",
		]);
	});

	it("keeps the window with the least left longest, wherever it stands", () => {
		const tight = aSnapshot({ windows: [{ ...week, usedPercent: 80 }, fiveHours] });
		expect(at(20, { active: { ...work, usage: tight } })).toBe("work · wk 20%");
		expect(at(30, { active: { ...work, usage: tight } })).toBe("work · 5h 73% · wk 20% · 3/4");
	});

	it("names windows by their length, the short one first, and invents none", () => {
		const month = { ...week, windowMinutes: 43_800, usedPercent: 50 };
		const [wide] = lines({ active: { ...work, usage: aSnapshot({ windows: [month] }) } });
		expect(wide).toContain("month ━━━━━───── 50% left");
		expect(wide).not.toMatch(/5h|week/);
	});

	it("shows a budget if it is the tightest, or all there is", () => {
		const budget = { usedPercent: 95, windowMinutes: 43_200, resetsAt: NOW + 12 * DAY_MS, isReached: false };
		const withBudget = (usedPercent: number, windows: readonly UsageWindow[] = [week, fiveHours]) => ({
			active: { ...work, usage: aSnapshot({ windows, budgets: [{ ...budget, usedPercent }] }) },
		});
		expect(at(80, withBudget(95))).toBe("codex work · 5h 73% left · week 92% left · month 5% left · 3/4 ready");
		expect(at(20, withBudget(95))).toBe("work · month 5%");
		expect(at(80, withBudget(5))).not.toContain("month");
		expect(at(80, withBudget(40, []))).toMatch(/month \S+ 60% left \(12d00h\)/);
		expect(at(80, { ...withBudget(95), ...withFooter({ windows: "7d" }) })).toContain("week 92% left · month 5% left");
	});

	it("says that a session continues with bought credits, even if no account is ready", () => {
		const usage = aSnapshot({ windows: [{ ...week, usedPercent: 100 }] });
		const active = { ...work, usage, isReady: false, isOnCredits: true };
		expect(at(80, { active, ready: 0 })).toBe("codex work · credits · week ────────── 0% left (6d20h) · 0/4 ready");
		expect(at(20, { active, ready: 0 })).toBe("work · credits");
	});

	it("says that a session continues with Luna Reserve, even if no account is ready", () => {
		const usage = aSnapshot({ windows: [{ ...week, usedPercent: 100 }] });
		const active = { ...work, usage, isReady: false, isOnReserveModel: true };
		expect(at(80, { active, ready: 0 })).toBe("codex work · Luna Reserve · week 0% left (6d20h) · 0/4 ready");
		expect(at(20, { active, ready: 0 })).toBe("work · Luna Reserve");
	});

	it("says at every width that it is pinned", () => {
		const texts = lines({ isPinned: true });
		expect(texts[0]).toMatch(/^codex work pinned \(plus\) · /);
		expect(texts[1]).toMatch(/^codex work pinned · /);
		expect(texts[2]).toMatch(/^work pinned · /);
	});

	it("marks old figures as such, keeps their resets, which are still true, and says how old they are", () => {
		const usage = aSnapshot({ windows: [week, fiveHours], capturedAt: NOW - 18 * MINUTE_MS });
		const texts = lines({ active: { ...work, usage } });
		expect(texts[1]).toBe("codex work · 5h ~73% left (1h07m) · week ~92% left (6d20h) · 3/4 ready");
		expect(texts[2]).toBe("work · 5h ~73% · wk ~92% · 3/4");
		expect(at(100, { active: { ...work, usage } })).toBe(
			"codex work · 5h ~73% left (1h07m) · week ~92% left (6d20h) · 18m old · 3/4 ready",
		);
		expect(texts[0]).toContain("5h ━━━━━━━─── ~73% left (1h07m) · week ━━━━━━━━━─ ~92% left (6d20h) · 18m old · ");
		const withoutResets = { ...DEFAULT_SETTINGS.footer, reset: false };
		expect(at(80, { active: { ...work, usage }, settings: withoutResets })).toBe(
			"codex work · 5h ~73% left · week ~92% left · 18m old · 3/4 ready",
		);
	});

	it("takes figures whose reset has passed for old ones, and counts the window as refilled", () => {
		const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 100, resetsAt: NOW - 1 }] });
		expect(at(80, { active: { ...work, usage } })).toContain("~100% left · <1m old");
	});

	it("says that usage is not known", () => {
		expect(lines({ active: { ...work, usage: undefined } })).toEqual([
			"codex work (plus) · usage unknown · 3 of 4 ready",
			"codex work (plus) · usage unknown · 3 of 4 ready",
			"codex work · unknown · 3/4",
		]);
	});

	it("says of a seat whose usage is known that it has no window, and not that nothing is known", () => {
		expect(lines({ active: { ...work, usage: aSnapshot() } })).toEqual([
			"codex work (plus) · no limit reported · 3 of 4 ready",
			"codex work (plus) · no limit reported · 3 of 4 ready",
			"codex work · no limit · 3/4",
		]);
	});

	it("says in words at every width that no other account is left", () => {
		for (const text of lines({ ready: 1 })) expect(text).toMatch(/ · last ready$/);
	});

	it("does not say so of the only account, nor of one that is not the ready one", () => {
		expect(lines({ ready: 1, total: 1 })[0]).toMatch(/1 of 1 ready$/);
		expect(lines({ ready: 1, active: { ...work, isReady: false } })[0]).toMatch(/1 of 4 ready$/);
	});

	it("prefers the plan in the usage answer to the one in the token", () => {
		const usage = aSnapshot({ windows: [week], plan: "pro" });
		expect(lines({ active: { ...work, usage } })[0]).toMatch(/^codex work \(pro\) · /);
	});

	it("never shows a rest as nothing", () => {
		const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 99.6 }] });
		expect(at(80, { active: { ...work, usage } })).toContain("<1% left");
		expect(at(200, { active: { ...work, usage } })).toContain("━───────── <1% left");
	});
});

describe("the colours of the footer", () => {
	it("the colours are quiet if all is well: the label is text, all else is dim", () => {
		expect(painted({}, 80)).toBe(
			"[dim:codex ][text:work][dim: · ][dim:5h ][dim:73% left][dim: (1h07m)][dim: · ][dim:week ][dim:92% left][dim: (6d20h)][dim: · ][dim:3/4 ready]",
		);
	});

	it.each([
		[31, "dim"],
		[30, "warning"],
		[11, "warning"],
		[10, "error"],
		[0, "error"],
	] as const)("a window with %i percent left is %s, and the other window stays dim", (left, tone) => {
		const usage = aSnapshot({ windows: [week, { ...fiveHours, usedPercent: 100 - left }] });
		for (const settings of [withFooter({ meters: false }), withFooter({ meters: false, usage: "used" })]) {
			const text = painted({ ...settings, active: { ...work, usage } });
			expect(text).toMatch(new RegExp(`\\[${tone}:${settings.settings.usage === "left" ? left : 100 - left}% `));
			expect(text).toMatch(/\[dim:(92|8)% /);
		}
	});

	it("the colours warn of the last account that is ready", () => {
		expect(painted({ ready: 1 })).toContain("[warning:last ready]");
		expect(painted({ ready: 0 })).toContain("[error:0/4 ready]");
	});
});

describe("what the person wants of the footer", () => {
	it.each<[Partial<FooterSettings>, string]>([
		[{ usage: "used" }, "codex work · 5h 27% used (1h07m) · week 8% used (6d20h) · 3/4 ready"],
		[{ windows: "5h", meters: false }, "codex work (plus) · 5h 73% left (1h07m) · 3 of 4 ready"],
		[{ windows: "7d", meters: false }, "codex work (plus) · week 92% left (6d20h) · 3 of 4 ready"],
		[{ account: false, meters: false }, "codex 5h 73% left (1h07m) · week 92% left (6d20h) · 3 of 4 ready"],
		[{ reset: false, meters: false }, "codex work (plus) · 5h 73% left · week 92% left · 3 of 4 ready"],
		[{ ready: false, meters: false, reset: false }, "codex work (plus) · 5h 73% left · week 92% left"],
		[{ order: "usage-first" }, "codex 5h 73% left (1h07m) · week 92% left (6d20h) · work · 3/4 ready"],
	])("what the person wants of the footer is what it gets at 80 columns: %j", (settings, text) => {
		expect(at(80, withFooter(settings))).toBe(text);
	});

	it("does not hide the only windows that an account has", () => {
		const active = { ...work, usage: aSnapshot({ windows: [week] }) };
		expect(at(30, { ...withFooter({ windows: "5h" }), active })).toBe("work · wk 92% · 3/4");
	});

	it("does not hide that an account is pinned", () => {
		expect(at(80, { ...withFooter({ account: false }), isPinned: true })).toMatch(/^codex pinned · 5h/);
	});

	it("does not make the line empty before the first request", () => {
		expect(at(80, { ...withFooter({ ready: false, account: false }), active: undefined })).toBe("codex 3 of 4 ready");
	});
});

describe("the footer without an account in use", () => {
	it("says that there is none, and what to type", () => {
		const none = { total: 0, ready: 0, active: undefined };
		expect(at(40, none)).toBe("codex no accounts · /multicodex add");
		expect(at(20, none)).toBe("codex no accounts");
	});

	it("says that it is off, whatever else there is, and what to type", () => {
		for (const overrides of [{}, { total: 0 }, { ready: 0 }, { waitingUntil: NOW + 1 }]) {
			expect(at(80, { ...overrides, isEnabled: false })).toBe("codex off · /multicodex on");
		}
		expect([at(20, { isEnabled: false }), at(5, { isEnabled: false })]).toEqual(["codex off", "off"]);
	});

	it("counts who is ready before the first request", () => {
		expect(lines({ active: undefined })).toEqual(["codex 3 of 4 ready", "codex 3 of 4 ready", "codex 3 of 4 ready"]);
		expect(at(10, { active: undefined })).toBe("3/4");
	});

	it("says who is back first when all are cooling", () => {
		expect(at(40, { ready: 0 })).toMatch(/^codex 0\/4 ready · side back (\w{3} )?\d\d:\d\d \(42m\)$/);
		expect(at(25, { ready: 0 })).toMatch(/^0\/4 ready · back (\w{3} )?\d\d:\d\d$/);
		expect(at(12, { ready: 0 })).toBe("0/4 ready");
		const first = { label: "side", readyAt: NOW + HOUR_MS, isGuess: true };
		expect(at(60, { ready: 0, first })).toMatch(/side back about (\w{3} )?\d\d:\d\d \(1h00m\)$/);
	});

	it("says where to look when no account comes back by itself", () => {
		expect(at(80, { ready: 0, first: undefined })).toBe("codex 0/4 ready · /multicodex show");
	});

	it("counts down while a request waits", () => {
		const waitingUntil = NOW + 42_000;
		const plainLines = (overrides: Partial<FooterModel>) =>
			lines(overrides).map((each) => each.replace(CLOCK, "12:00"));
		expect(plainLines({ ready: 0, waitingUntil })).toEqual([
			"codex waiting · first account back 12:00 (42s)",
			"codex waiting · first account back 12:00 (42s)",
			"codex back in 42s",
		]);
		expect(painted({ waitingUntil })).toContain("[warning:waiting]");
		const first = { label: "side", readyAt: waitingUntil, isGuess: true };
		const side = { ready: 0, waitingUntil, first, hasKeys: true };
		expect(at(80, side).replace(CLOCK, "12:00")).toBe(
			"codex waiting · side back about 12:00 (about 42s) · esc ends the wait",
		);
		expect(at(60, side)).toBe("codex waiting · side back in about 42s · esc ends the wait");
		expect(at(50, side)).toBe("codex waiting · side back in about 42s");
		expect(at(30, side)).toBe("codex back in about 42s");
		expect(plainLines({ waitingUntil, waitsForRoom: true })).toEqual([
			"codex waiting for room · first account back 12:00 (42s)",
			"codex waiting for room · first account back 12:00 (42s)",
			"codex back in 42s",
		]);
	});

	it("says that a turn waits for an answer, also while another waits for an account", () => {
		const asking = { ready: 0, isAsking: true, waitingUntil: NOW + 42_000 };
		expect(lines(asking)).toEqual([
			"codex waiting for your answer",
			"codex waiting for your answer",
			"codex waiting for your answer",
		]);
		expect(at(20, asking)).toBe("your answer?");
		expect(painted(asking)).toContain("[warning:waiting for your answer]");
	});
});

describe("any footer", () => {
	const aLabel = fc.oneof(
		fc.constantFrom(
			"work",
			"職場アカウント",
			"ｗｉｄｅ",
			"émile",
			"👩‍💻 team",
			"a".repeat(60),
			"\x1b[31mred\r\n",
			"a\u202eb",
		),
		fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
		fc.string({ unit: anyCharacter, minLength: 1, maxLength: 10 }),
	);
	const aWindow = fc.record({
		usedPercent: fc.double({ min: -10, max: 150, noNaN: true }),
		windowMinutes: fc.constantFrom(60, 300, 1440, 10080, 43200, 525600),
		resetsAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 366 * DAY_MS }), { nil: undefined }),
	});
	const aUsage = fc.record({
		windows: fc.array(aWindow, { maxLength: 4 }),
		plan: fc.option(fc.constantFrom("plus", "self_serve_business_usage_based", "\x07bell"), { nil: undefined }),
		ageMs: fc.integer({ min: -HOUR_MS, max: 30 * DAY_MS }),
	});
	const someSettings: fc.Arbitrary<FooterSettings> = fc.record({
		usage: fc.constantFrom(...USAGE_MODES),
		windows: fc.constantFrom(...FOOTER_WINDOWS),
		account: fc.boolean(),
		reset: fc.boolean(),
		meters: fc.boolean(),
		ready: fc.boolean(),
		lasts: fc.boolean(),
		order: fc.constantFrom(...FOOTER_ORDERS),
	});
	const aModel = fc
		.record({
			isEnabled: fc.boolean(),
			settings: someSettings,
			label: aLabel,
			usage: fc.option(aUsage, { nil: undefined }),
			hasActive: fc.boolean(),
			isReady: fc.boolean(),
			isPinned: fc.boolean(),
			total: fc.integer({ min: 0, max: 120 }),
			ready: fc.integer({ min: 0, max: 120 }),
			first: fc.option(fc.record({ label: aLabel, readyAt: fc.integer({ min: NOW, max: NOW + 366 * DAY_MS }) }), {
				nil: undefined,
			}),
			waitsForRoom: fc.boolean(),
			isAsking: fc.boolean(),
			hasKeys: fc.boolean(),
			isForeign: fc.boolean(),
			waitingUntil: fc.option(fc.integer({ min: NOW - HOUR_MS, max: NOW + DAY_MS }), { nil: undefined }),
		})
		.map(({ label, usage, hasActive, isReady, total, ready, ...rest }): FooterModel => {
			const snapshot = usage && aSnapshot({ windows: usage.windows, plan: usage.plan, capturedAt: NOW - usage.ageMs });
			const active = hasActive ? { account: anAccount(label), usage: snapshot, isReady } : undefined;
			return { ...rest, active, total, ready: Math.min(ready, total), now: NOW };
		});
	const textOf = (each: FooterModel, columns: number) => footerLine(each, columns, unpainted);

	it("any footer is one line, never wider than the terminal, and moves no cursor", () => {
		fc.assert(
			fc.property(aModel, fc.integer({ min: 1, max: 200 }), (each, columns) => {
				const text = textOf(each, columns);
				expect(visibleWidth(text)).toBeLessThanOrEqual(columns);
				expect(text).not.toMatch(/\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u);
			}),
			runs(60, 2000),
		);
	});

	it("any footer is the same line in colour", () => {
		fc.assert(
			fc.property(aModel, fc.integer({ min: 1, max: 200 }), (each, columns) => {
				const coloured = footerLine(each, columns, (tone, text) => `\x1b[${tone.length}m${text}\x1b[0m`);
				expect(stripVTControlCharacters(coloured)).toBe(textOf(each, columns));
			}),
			runs(30),
		);
	});

	it("fits and says something with every choice of settings there is", () => {
		const flags = [true, false];
		const one = <K extends keyof FooterSettings>(key: K, values: readonly FooterSettings[K][]) =>
			values.map((value) => ({ [key]: value }));
		const groups = [
			one("usage", USAGE_MODES),
			one("windows", FOOTER_WINDOWS),
			one("account", flags),
			one("reset", flags),
			one("meters", flags),
			one("ready", flags),
			one("order", FOOTER_ORDERS),
		];
		const all = groups.reduce<object[]>(
			(made, group) => made.flatMap((each) => group.map((more) => ({ ...each, ...more }))),
			[{}],
		);
		expect(all).toHaveLength(192);
		for (const settings of all) {
			for (const columns of coreOf([1, 10, 20, 40, 80, 120, 200], (each) => [1, 20, 80, 200].includes(each))) {
				const text = at(columns, withFooter(settings));
				expect([columns, visibleWidth(text) <= columns, text !== ""]).toEqual([columns, true, true]);
			}
		}
	});

	it("does not lose words to more room", () => {
		fc.assert(
			fc.property(aModel, fc.integer({ min: 1, max: 200 }), (each, columns) => {
				const narrow = visibleWidth(textOf(each, columns));
				// A label that does not fit is cut, and a wide character may leave a column free.
				expect(visibleWidth(textOf(each, columns + 1))).toBeGreaterThanOrEqual(narrow - 1);
			}),
			runs(30, 1000),
		);
	});

	it("says something in every combination of settings, and never undefined or NaN", () => {
		fc.assert(
			fc.property(aModel, (each) => {
				const text = textOf(each, 500);
				expect(text).not.toBe("");
				expect(text.replace(each.active?.account.label ?? "", "").replace(each.first?.label ?? "", "")).not.toMatch(
					/undefined|NaN/,
				);
			}),
			runs(30),
		);
	});

	it.each([80, 40, 20])("keeps wide characters within %i columns", (columns) => {
		const active = { ...work, account: anAccount("職場アカウントの第二号") };
		const text = at(columns, { active });
		expect(visibleWidth(text)).toBeLessThanOrEqual(columns);
		expect(text).toContain("職場");
	});
});

describe("the footer of a session within an account set, or of an account with a cap", () => {
	it("says the set at every width if there is room for the account and a window", () => {
		const set = { setFolder: "/home/me/client", ready: 1, total: 2 };
		expect(lines(set)).toEqual([
			"codex work · set of client · 5h ━━━━━━━─── 73% left (1h07m) · week ━━━━━━━━━─ 92% left (6d20h) · last ready".replace(
				"1/2 ready",
				"last ready",
			),
			"codex work · set of client · 5h 73% left · week 92% left · last ready",
			"work · set of client · 5h 73% · wk 92%",
		]);
	});

	it("says what a cap keeps if there is room for it", () => {
		const active = { ...work, floors: { "7d": 20 } };
		expect(at(120, { active })).toContain("week ━━━━━━━━━─ 92% left, cap 20% (6d20h)");
		expect(at(40, { active })).not.toContain("cap");
	});

	it("says that a cap keeps all accounts, and when the first is back", () => {
		const first = { label: "side", readyAt: NOW + 42 * MINUTE_MS, isCapped: true };
		expect(at(80, { active: undefined, ready: 0, first })).toMatch(/^codex 0\/4 ready · side capped, back .*\(42m\)$/);
		const bound = at(120, { active: undefined, ready: 0, total: 1, first, setFolder: "/x/client" });
		expect(bound).toMatch(/^codex 0\/1 ready · set of client · side capped, back /);
	});

	it("says that no account of the set is left, and what to type", () => {
		const none = { active: undefined, ready: 0, total: 0, first: undefined, setFolder: "/x/client" };
		expect(at(80, none)).toMatch(/^codex no account .* · set of client · \/multicodex only$/);
		expect(at(20, none)).toBe("set is empty");
	});
});

describe("the footer while a model of the chain serves", () => {
	const link = "anthropic/claude-opus-5-5";

	it("names it, how many accounts are ready, and which one is back first", () => {
		expect([80, 50, 40, 18].map((columns) => at(columns, { link, ready: 0, active: undefined }))).toEqual([
			expect.stringMatching(/^codex 0\/4 ready · anthropic\/claude-opus-5-5 serves · side back .*\d\d:\d\d$/),
			"codex 0/4 ready · anthropic/claude-opus-5-5 serves",
			"0/4 ready · claude-opus-5-5",
			"claude-opus-5-5",
		]);
	});

	it("says no return if an account is back already and the turn goes on where it is", () => {
		expect(at(80, { link, ready: 1 })).toBe("codex 1/4 ready · anthropic/claude-opus-5-5 serves");
	});

	it("gives way to a pool that is off", () => {
		expect(at(80, { link, isEnabled: false })).toBe("codex off · /multicodex on");
	});
});
