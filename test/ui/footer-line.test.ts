import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { UsageWindow } from "../../src/domain/usage.ts";
import { type FooterModel, footerLine } from "../../src/ui/footer-line.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../support/fakes.ts";

const fiveHours: UsageWindow = { usedPercent: 27, windowMinutes: 300, resetsAt: NOW + 67 * MINUTE_MS };
const week: UsageWindow = { usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS + 20 * HOUR_MS };
const work = { account: anAccount("work"), usage: aSnapshot({ windows: [week, fiveHours] }), isReady: true };

const model = (overrides: Partial<FooterModel> = {}): FooterModel => ({
	active: work,
	isPinned: false,
	ready: 3,
	total: 4,
	first: { label: "side", readyAt: NOW + 42 * MINUTE_MS },
	waitingUntil: undefined,
	now: NOW,
	...overrides,
});
const COLUMNS = [120, 80, 40, 20];
const lines = (overrides: Partial<FooterModel> = {}) =>
	COLUMNS.map((columns) => footerLine(model(overrides), columns).text);

describe("the footer of an account in use", () => {
	it("says at each width what fits, the account first", () => {
		const full = "codex work (plus) · 5h 73% left (1h07m) · week 92% left (6d20h) · 3 of 4 ready";
		expect(lines()).toEqual([full, full, "work · 5h 73% · wk 92% · 3/4", "work · 3/4"]);
		expect(footerLine(model(), 77).text).toBe("codex work · 5h 73% left (1h07m) · week 92% left (6d20h) · 3/4 ready");
		expect(footerLine(model(), 60).text).toBe("codex work · 5h 73% left · week 92% left · 3/4 ready");
	});

	it("names windows by their length, the short one first, and invents none", () => {
		const month = { ...week, windowMinutes: 43_800, usedPercent: 50 };
		const usage = aSnapshot({ windows: [month] });
		const [wide] = lines({ active: { ...work, usage } });
		expect(wide).toContain("month 50% left");
		expect(wide).not.toMatch(/5h|week/);
	});

	it("says that it is pinned", () => {
		const texts = lines({ isPinned: true });
		expect(texts[0]).toMatch(/^codex work pinned \(plus\) · /);
		for (const text of texts) expect(text).toContain("work pinned");
	});

	it("marks old figures as such", () => {
		const usage = aSnapshot({ windows: [week, fiveHours], capturedAt: NOW - 18 * MINUTE_MS });
		const [wide, , narrow] = lines({ active: { ...work, usage } });
		expect(wide).toContain("5h ~73% left");
		expect(wide).toContain("week ~92% left");
		expect(wide).toContain("(18m old)");
		expect(narrow).toContain("5h ~73%");
	});

	it("takes figures whose reset has passed for old ones, and counts the window as refilled", () => {
		const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 100, resetsAt: NOW - 1 }] });
		expect(lines({ active: { ...work, usage } })[0]).toContain("5h ~100% left");
	});

	it("says that usage is not known", () => {
		const [wide, , narrow] = lines({ active: { ...work, usage: undefined } });
		expect(wide).toBe("codex work (plus) · usage unknown · 3 of 4 ready");
		expect(narrow).toContain("unknown");
		expect(lines({ active: { ...work, usage: aSnapshot() } })[0]).toContain("usage unknown");
	});

	it("says that nobody else is left, as a warning", () => {
		for (const text of lines({ ready: 1 }).slice(0, 2)) expect(text).toMatch(/ · last ready$/);
		expect(footerLine(model({ ready: 1 }), 120).tone).toBe("warning");
	});

	it("does not say so of the only account, nor of one that is not the ready one", () => {
		expect(lines({ ready: 1, total: 1 })[0]).toMatch(/1 of 1 ready$/);
		expect(lines({ ready: 1, active: { ...work, isReady: false } })[0]).toMatch(/1 of 4 ready$/);
	});

	it("prefers the plan that usage told to the one in the token", () => {
		const usage = aSnapshot({ windows: [week], plan: "pro" });
		expect(lines({ active: { ...work, usage } })[0]).toMatch(/^codex work \(pro\) · /);
	});

	it.each([
		[31, "dim"],
		[30, "warning"],
		[11, "warning"],
		[10, "error"],
		[0, "error"],
	] as const)("with %i %% left is %s", (left, tone) => {
		const usage = aSnapshot({ windows: [week, { ...fiveHours, usedPercent: 100 - left }] });
		expect(footerLine(model({ active: { ...work, usage } }), 120).tone).toBe(tone);
	});

	it("never shows a rest as nothing", () => {
		const usage = aSnapshot({ windows: [{ ...fiveHours, usedPercent: 99.6 }] });
		expect(lines({ active: { ...work, usage } })[0]).toContain("5h <1% left");
	});
});

describe("the footer without an account in use", () => {
	it("says that there is none", () => {
		expect(footerLine(model({ total: 0, ready: 0, active: undefined }), 120)).toEqual({
			text: "codex no accounts · /multicodex add",
			tone: "dim",
		});
	});

	it("counts who is ready before the first request", () => {
		expect(lines({ active: undefined })).toEqual([
			"codex · 3 of 4 ready",
			"codex · 3 of 4 ready",
			"codex · 3 of 4 ready",
			"codex · 3 of 4 ready",
		]);
		expect(footerLine(model({ active: undefined }), 10).text).toBe("3/4");
	});

	it("says who is back first when all are cooling", () => {
		const { text, tone } = footerLine(model({ ready: 0 }), 120);
		expect(text).toMatch(/^codex 0\/4 ready · side back (\w{3} )?\d\d:\d\d \(42m\)$/);
		expect(tone).toBe("error");
		expect(footerLine(model({ ready: 0 }), 20).text).toBe("codex 0/4 ready");
		expect(footerLine(model({ ready: 0, first: undefined }), 120).text).toBe("codex 0/4 ready");
	});

	it("counts down while a request waits", () => {
		const waitingUntil = NOW + 42_000;
		expect(lines({ ready: 0, waitingUntil })).toEqual([
			"codex waiting · first account back in 42s",
			"codex waiting · first account back in 42s",
			"codex back in 42s",
			"codex back in 42s",
		]);
		expect(footerLine(model({ waitingUntil }), 120).tone).toBe("warning");
	});
});

describe("any footer", () => {
	const aLabel = fc.oneof(
		fc.constantFrom("work", "職場アカウント", "ｗｉｄｅ", "émile", "👩‍💻 team", "a".repeat(60)),
		fc.string({ unit: "grapheme", minLength: 1, maxLength: 30 }),
	);
	const aWindow = fc.record({
		usedPercent: fc.double({ min: -10, max: 150, noNaN: true }),
		windowMinutes: fc.constantFrom(60, 300, 1440, 10080, 43200, 525600),
		resetsAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 366 * DAY_MS }), { nil: undefined }),
	});
	const aUsage = fc.record({
		windows: fc.array(aWindow, { maxLength: 4 }),
		plan: fc.option(fc.constantFrom("plus", "self_serve_business_usage_based"), { nil: undefined }),
		ageMs: fc.integer({ min: -HOUR_MS, max: 30 * DAY_MS }),
	});
	const aModel = fc
		.record({
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
			waitingUntil: fc.option(fc.integer({ min: NOW - HOUR_MS, max: NOW + DAY_MS }), { nil: undefined }),
		})
		.map(({ label, usage, hasActive, isReady, total, ready, ...rest }): FooterModel => {
			const snapshot = usage && aSnapshot({ windows: usage.windows, plan: usage.plan, capturedAt: NOW - usage.ageMs });
			const active = hasActive ? { account: anAccount(label), usage: snapshot, isReady } : undefined;
			return { ...rest, active, total, ready: Math.min(ready, total), now: NOW };
		});

	it("is never wider than the terminal", () => {
		fc.assert(
			fc.property(aModel, fc.integer({ min: 1, max: 200 }), (each, columns) => {
				expect(visibleWidth(footerLine(each, columns).text)).toBeLessThanOrEqual(columns);
			}),
			{ numRuns: 1000 },
		);
	});

	it("does not lose words to more room", () => {
		fc.assert(
			fc.property(aModel, fc.integer({ min: 40, max: 200 }), (each, columns) => {
				const narrow = visibleWidth(footerLine(each, columns).text);
				expect(visibleWidth(footerLine(each, columns + 1).text)).toBeGreaterThanOrEqual(narrow);
			}),
		);
	});

	it("never says undefined or NaN", () => {
		fc.assert(
			fc.property(aModel, (each) => {
				expect(footerLine(each, 500).text.replace(each.active?.account.label ?? "", "")).not.toMatch(/undefined|NaN/);
			}),
		);
	});

	it.each([80, 40, 20])("keeps wide characters within %i columns", (columns) => {
		const active = { ...work, account: anAccount("職場アカウントの第二号") };
		const { text } = footerLine(model({ active }), columns);
		expect(visibleWidth(text)).toBeLessThanOrEqual(columns);
		expect(text).toContain("職場");
	});
});
