import { describe, expect, it } from "vitest";
import { deviceSignIn, joined, restored } from "../../../../src/features/sign-in/texts.ts";
import { badLabel, leftUntil } from "../../../../src/ui-kit/account-texts.ts";
import { anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";

describe("the texts of a sign-in", () => {
	it("names an account of a new one, and counts as people do", () => {
		expect(joined(anAccount("work"), { isNew: true, isForNew: true, total: 1, now: NOW }).split("\n")).toEqual([
			expect.stringMatching(/^Codex: added work\. .* 1 account now\.$/),
			"work is work@example.test (plus).",
			expect.stringMatching(/^\/multicodex add .*, \/multicodex /),
		]);
		const known = { isNew: false, total: 3, now: NOW };
		const nameless = anAccount("work", { email: undefined, plan: undefined });
		expect(joined(nameless, { ...known, isForNew: false })).toMatch(/^Codex: work is [\w ]+ again\.$/);
		expect(joined(anAccount("work"), { ...known, isForNew: true })).toMatch(
			/^Codex: that was work, .* already added.* private window/,
		);
	});

	it("says what is left and until when, and how to choose a model if that is to be done", () => {
		const usage = aSnapshot({
			windows: [
				{ usedPercent: 8, windowMinutes: 10080, resetsAt: NOW + 6 * DAY_MS },
				{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			],
		});
		const how = {
			isNew: true,
			isForNew: true,
			total: 2,
			now: NOW,
			usage,
			modelAdvice: " /model chooses one.",
		};
		const account = anAccount("me@x.example", { email: "me@x.example" });
		const [done, about] = joined(account, how).split("\n");
		expect(done).toMatch(/^Codex: added me@x\.example\. .* 2 accounts now\. \/model chooses one\.$/);
		expect(about).toMatch(
			/^me@x\.example is .* plus plan\. Left: 73% of 5h until \d\d:\d\d, 92% of .*week until \d+ Nov\.$/,
		);
	});

	it("promises no end of a window that has not begun, and says nothing of unknown limits", () => {
		const untouched = aSnapshot({ windows: [{ usedPercent: 0, windowMinutes: 300 }] });
		expect(leftUntil(untouched, NOW)).toBe("100% of 5h");
		const notBegun = aSnapshot({ windows: [{ usedPercent: 0, windowMinutes: 300, resetsAt: NOW + 5 * HOUR_MS }] });
		expect(leftUntil(notBegun, NOW)).toBe("100% of 5h");
		expect(leftUntil(aSnapshot(), NOW)).toBeUndefined();
	});

	it("tells where to type a code, and how long it is valid", () => {
		const shown = { userCode: "1234-56789A", verificationUri: "https://x.test/device", expiresInSeconds: 900 };
		expect(deviceSignIn(shown)).toMatch(/ https:\/\/x\.test\/device .* 1234-56789A .* 15m\.$/);
	});

	it("never shows a label that could move the cursor", () => {
		expect(badLabel("a\x1b[2J", "has characters: U+001B")).toBe("That label has characters: U+001B.");
		expect(badLabel("auto", "has a meaning of its own")).toMatch(/^"auto" has/);
		expect(badLabel("fine", undefined)).toBeUndefined();
	});
});

it("the answer to an undone removal says what keeps the account from being used, if anything", () => {
	expect(restored(anAccount("work"), true)).toBe("Codex: work is back.");
	const off = anAccount("work", { enabled: false });
	expect(restored(off, true)).toMatch(/^Codex: work is back\. It is off \(by hand\)\. \/multicodex enable work$/);
	const lost = anAccount("work", { needsLogin: { reason: "revoked", at: NOW } });
	expect(restored(lost, true)).toMatch(/^Codex: work is back\. .* signed out: .* revoked\. \/multicodex login work$/);
});
