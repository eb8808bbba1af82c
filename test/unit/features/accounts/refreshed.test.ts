import { visibleWidth } from "@mariozechner/pi-tui";
import { describe, expect, it } from "vitest";
import { type Refreshed, refreshedAsText } from "../../../../src/features/accounts/refreshed.ts";
import { anAccount, aSnapshot, HOUR_MS, NOW } from "../../../support/fakes.ts";

const usage = aSnapshot({
	windows: [
		{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + HOUR_MS },
		{ usedPercent: 27.4, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
	],
});
const of = (label: string, overrides: Partial<Refreshed> = {}): Refreshed => ({
	account: anAccount(label),
	usage,
	problem: undefined,
	...overrides,
});
const line = (each: Refreshed) => refreshedAsText([each], NOW);

describe("what asking for usage came to", () => {
	it("is a line an account, with what is left, the short window first", () => {
		expect(refreshedAsText([of("work"), of("personal")], NOW)).toBe(
			"work      5h 72% left · week 92% left\npersonal  5h 72% left · week 92% left",
		);
	});

	it("is aligned by what labels take on the screen", () => {
		const lines = refreshedAsText([of("職場"), of("home")], NOW).split("\n");
		expect(new Set(lines.map((each) => visibleWidth(each.split("5h")[0] ?? "")))).toEqual(new Set([6]));
	});

	it("says why there is no answer, rather than what was known before", () => {
		expect(line(of("work", { problem: "HTTP 503" }))).toBe("work  HTTP 503");
	});

	it("says what to do about an account that cannot be asked", () => {
		const needsLogin = { reason: "refresh_token_expired", at: NOW };
		expect(line(of("work", { account: anAccount("work", { needsLogin }), problem: "signed out" }))).toMatch(
			/^work {2}.* expired\. \/multicodex login work$/,
		);
		const off = anAccount("day job", { enabled: false });
		expect(line(of("x", { account: off, problem: "off" }))).toMatch(/^day job {2}.*\. \/multicodex enable "day job"$/);
	});

	const funded = { hasCredits: true, unlimited: false };
	const budget = { usedPercent: 98, windowMinutes: 43_200, resetsAt: NOW + HOUR_MS, isReached: false };
	it.each([
		[{ budgets: [budget] }, "month 2% left"],
		[{ ...usage, budgets: [budget] }, "5h 72% left · week 92% left · month 2% left"],
		[{ budgets: [{ ...budget, usedPercent: 100, isReached: true }], credits: funded }, "month 0% left"],
		[{ credits: funded }, "runs on credits, without a limit"],
		[{ limitReached: true }, "limit reached"],
		[{ windows: [{ usedPercent: 100, windowMinutes: 300 }], credits: funded }, "5h 0% left · bought credits"],
	])("tells of budgets and credits: %#", (told, text) => {
		expect(line(of("work", { usage: aSnapshot(told) }))).toBe(`work  ${text}`);
	});

	it("says so if an account has no limits, and if there is no account", () => {
		expect(line(of("work", { usage: aSnapshot() }))).toBe("work  no limit reported");
		expect(refreshedAsText([], NOW)).toMatch(/^No .* \/multicodex add\.$/);
	});
});
