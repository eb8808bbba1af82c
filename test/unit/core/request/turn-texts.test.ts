import { isContextOverflow } from "@mariozechner/pi-ai";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import * as texts from "../../../../src/core/request/turn-texts.ts";
import { unreachedWords } from "../../../../src/platform/backend/unreached.ts";
import { MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anExhaustion, exhausted } from "../../exhaustions.ts";

function asOverflow(text: string): boolean {
	const usage = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0 };
	const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
	return isContextOverflow(
		{
			role: "assistant",
			content: [],
			api: "openai-codex-responses",
			provider: "openai-codex",
			model: "gpt-5.5",
			usage: { ...usage, cost },
			stopReason: "error",
			errorMessage: text,
			timestamp: NOW,
		},
		272_000,
	);
}

describe("the words that end a turn for good", () => {
	it("words that end a turn name what keeps a sign-in from being renewed, where that is known", () => {
		const why = { kind: "certificate", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", maybeSent: false } as const;
		const text = exhausted({ total: 2, unavailable: 2, obstacle: unreachedWords(why, "the sign-in service") });
		expect(text).toMatch(/could not be renewed: the certificate of .*UNABLE_TO_VERIFY.*NODE_EXTRA_CA_CERTS/);
	});

	it("words that end a turn are not taken for an overflow of the context in any combination", () => {
		fc.assert(fc.property(anExhaustion, (why) => !asOverflow(exhausted(why))));
		const others = [texts.signedOutInARow(), texts.unexpected(), texts.noAccountSignedIn()];
		expect([...others, texts.continuesElsewhere(), texts.brokenOff()].filter(asOverflow)).toEqual([]);
	});

	it("words that end a turn are one sentence after the other, with nothing left open", () => {
		fc.assert(
			fc.property(anExhaustion, (why) => {
				expect(exhausted(why)).toMatch(/^[A-Z].*[.]$/);
				expect(exhausted(why)).not.toMatch(/undefined|NaN|null| {2}|\n/);
			}),
		);
	});
});

it("words that let a host go on are those of the contract", () => {
	expect(texts.continuesElsewhere()).toBe(
		"The Codex usage limit was reached while answering. Another account takes over after the retry delay.",
	);
});

describe("the exhausted message", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says how many, when the first returns, and what can be done", () => {
		expect(exhausted({ total: 4, cooling: 4, readyAt })).toMatch(
			/^Codex quota exceeded on all 4 accounts\. The first resets in 42m \((?:\w{3} )?\d\d:\d\d\)\. \/multicodex shows all, \/model switches provider\.$/,
		);
	});

	it("speaks of one account as of one", () => {
		expect(exhausted({ total: 1, cooling: 1, readyAt })).toMatch(/^Codex quota exceeded\. It resets in 42m \(/);
	});

	it("says so where the return is a guess", () => {
		expect(exhausted({ total: 2, cooling: 2, readyAt, guessed: true })).toContain("resets in about 42m");
	});

	it("says who else could not be used", () => {
		expect(exhausted({ total: 4, cooling: 3, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota exceeded on 3 accounts\. .*\. 1 account is signed out\. /,
		);
		expect(exhausted({ total: 4, cooling: 3, unavailable: 1, readyAt })).toContain("1 account could not be reached.");
	});

	it("names the renewal, and not quota, where those that were tried had no token", () => {
		expect(exhausted({ total: 2, cooling: 0, unavailable: 1, untried: 1, readyAt: undefined })).toBe(
			"The Codex sign-in of 1 account could not be renewed just now. Send again to try 1 more.",
		);
	});

	it("says how to go on where accounts are left untried", () => {
		expect(exhausted({ total: 9, cooling: 6, tried: 6, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 6 accounts in a row. Send again to try 3 more.",
		);
	});

	it("says of each account what is true of it", () => {
		expect(exhausted({ total: 4, cooling: 2, unavailable: 2, refused: 1, readyAt })).toMatch(
			/\. 1 account was refused\. 1 account could not be reached\. \/multicodex shows all, /,
		);
		expect(exhausted({ total: 3, unavailable: 2, refused: 2, needsLogin: 1 })).toBe(
			"2 Codex accounts were refused. 1 account is signed out. /multicodex shows all, /model switches provider.",
		);
		expect(exhausted({ total: 9, cooling: 4, tried: 3, unavailable: 3, refused: 2, untried: 3, readyAt })).toBe(
			"Codex quota exceeded on 3 accounts in a row. 2 Codex accounts were refused. The Codex sign-in of 1 account could not be renewed just now. Send again to try 3 more.",
		);
		expect(exhausted({ total: 9, cooling: 6, notOffered: 6, untried: 3 })).toBe(
			"6 accounts may not use this model. Send again to try 3 more.",
		);
	});

	it("does not blame quota where the model or the sign-in is the reason", () => {
		expect(exhausted({ total: 2, cooling: 2, notOffered: 2, readyAt })).toMatch(/may use this model/);
		expect(exhausted({ total: 2, unavailable: 2 })).toMatch(/sign-in of 2 accounts could not be renewed/);
		expect(exhausted({ total: 0 })).toBe("No Codex account is signed in. Run /multicodex add.");
		expect(exhausted({ total: 2, needsLogin: 2 })).toBe(
			"No Codex account is signed in. /multicodex login signs in again.",
		);
	});

	it("names the accounts that are off as such, and not as signed out", () => {
		expect(exhausted({ total: 1, off: 1 })).toBe("No Codex account is ready: 1 account is off. /multicodex shows all.");
		expect(exhausted({ total: 3, off: 2, needsLogin: 1 })).toBe(
			"No Codex account is ready: 2 accounts are off, 1 account is signed out. /multicodex shows all.",
		);
	});
});

describe("the end of a turn that caps or an account set keep from other accounts", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says that a cap holds, and the command that lifts it", () => {
		expect(exhausted({ total: 2, capped: 2, readyAt })).toMatch(
			/^A cap applies to all 2 accounts\. The first resets in 42m \(.*\)\. \/multicodex cap shows them, \/multicodex cap off lifts every cap\. /,
		);
		expect(exhausted({ total: 1, capped: 1, readyAt })).toMatch(
			/^A cap applies to the Codex account\. It resets in 42m \(.*\)\. \/multicodex cap shows it, \/multicodex cap off lifts every cap\. /,
		);
		expect(exhausted({ total: 3, cooling: 1, capped: 1, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota exceeded on 1 account\. A cap applies to 1 account\. The first .*1 account is signed out\. \/multicodex cap/,
		);
	});

	it("names the set of the folder, and the command that ends it", () => {
		const bound = /This folder's account set allows no other account: \/multicodex only all ends it\.$/;
		expect(exhausted({ total: 1, cooling: 1, isInSet: true, readyAt })).toMatch(bound);
		expect(exhausted({ total: 1, needsLogin: 1, isInSet: true })).toMatch(bound);
		expect(exhausted({ total: 0, isInSet: true })).toBe(texts.setIsEmpty());
		expect(exhausted({ total: 1, cooling: 1, readyAt })).not.toMatch(/only all/);
	});
});

it("a shared pool is called empty only once its database was reached", () => {
	const away = { kind: "away", since: NOW, problem: "away", text: "no answer" } as const;
	for (const connection of [away, { kind: "unknown" }] as const) {
		expect(texts.noSharedAccount(connection)).toMatch(/cannot be reached/);
	}
	for (const kind of ["resting", "followed"] as const) {
		expect(texts.noSharedAccount({ kind, lookedAt: NOW })).toMatch(/has no account yet/);
	}
	expect(texts.noSharedAccount({ kind: "connected", lookedAt: NOW, listens: true })).toMatch(/has no account yet/);
});
