import { describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { pinned, unpinned } from "../../../../src/features/dashboard/pin-texts.ts";
import type { NextRequest } from "../../../../src/ui-kit/account-texts.ts";
import { anAccount, HOUR_MS, NOW } from "../../../support/fakes.ts";

/** Who serves next, with nothing in the way. */
const nextIs = (account: Account | undefined): NextRequest => ({ isEnabled: true, isForeign: false, account });

describe("the answer to a pin", () => {
	const atOnce = { readyAt: undefined, isGuess: false, next: nextIs(anAccount("work")), now: NOW };

	it("says that it holds for all sessions, and how it ends", () => {
		const text = pinned(anAccount("work"), { ...atOnce, readyAt: NOW });
		expect(text).toMatch(/using work in all/);
		expect(text).toContain("/multicodex use auto");
		expect(text).not.toContain("cooling");
	});

	it("says when a cooling account takes over, and if that is a guess", () => {
		const later = { ...atOnce, readyAt: NOW + HOUR_MS, next: nextIs(anAccount("home")) };
		expect(pinned(anAccount("work"), { ...later, isGuess: true })).toMatch(/ about 1h00m \(/);
		expect(pinned(anAccount("work"), later)).toMatch(/ in 1h00m \(.*\)\. .* goes to home\. /);
	});

	it("says who serves instead if that is neither the account nor another one", () => {
		const said = (next: Partial<NextRequest>) =>
			pinned(anAccount("work"), { ...atOnce, next: { ...atOnce.next, ...next } });
		expect(said({ isEnabled: false })).toMatch(/ is off: .* \/multicodex on\. /);
		expect(said({ isForeign: true })).toMatch(/ pi's own API key /);
		expect(said({ account: undefined })).toMatch(/ No Codex account /);
		expect(said({})).not.toMatch(/next request|No Codex/);
	});

	it("ends with who serves next if the pin is taken away", () => {
		expect(unpinned(nextIs(anAccount("home")))).toMatch(/^Codex: unpinned; .* goes to home\.$/);
	});
});
