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
	it("words that end a turn name what keeps a sign-in from being renewed, if that is known", () => {
		const why = { kind: "certificate", code: "UNABLE_TO_VERIFY_LEAF_SIGNATURE", maybeSent: false } as const;
		const text = exhausted({ total: 2, unavailable: 2, obstacle: unreachedWords(why, "the sign-in service") });
		expect(text).toMatch(/not be renewed: the certificate .*UNABLE_TO_VERIFY.*NODE_EXTRA_CA_CERTS/);
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

it("words that let a host repeat a turn end with those that every host looks for", () => {
	expect(texts.continuesElsewhere()).toMatch(/ after the retry delay\.$/);
});

describe("the exhausted message", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says how many, when the first returns, and what can be done", () => {
		expect(exhausted({ total: 4, cooling: 4, readyAt })).toMatch(
			/^Codex quota .* all 4 accounts\. .* in 42m \((?:\w{3} )?\d\d:\d\d\)\. \/multicodex .*, \/model .*\.$/,
		);
	});

	it("speaks of one account as of one", () => {
		expect(exhausted({ total: 1, cooling: 1, readyAt })).toMatch(/^Codex quota exceeded\. It .* 42m \(/);
	});

	it("says so if the return is a guess", () => {
		expect(exhausted({ total: 2, cooling: 2, readyAt, guessed: true })).toContain("in about 42m");
	});

	it("says who else could not be used", () => {
		expect(exhausted({ total: 4, cooling: 3, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota .* 3 accounts\. .*\. 1 account is signed out\. /,
		);
		expect(exhausted({ total: 4, cooling: 3, unavailable: 1, readyAt })).toMatch(/1 account .* reached\./);
	});

	it("names the renewal, and not quota, if those that were tried had no token", () => {
		expect(exhausted({ total: 2, cooling: 0, unavailable: 1, untried: 1, readyAt: undefined })).toMatch(
			/^The Codex sign-in of 1 account .* Send again to try 1 more\.$/,
		);
	});

	it("says how to continue if accounts are left untried", () => {
		expect(exhausted({ total: 9, cooling: 6, tried: 6, untried: 3, readyAt })).toMatch(
			/^Codex quota .* 6 accounts in a row\. Send again to try 3 more\.$/,
		);
	});

	it("says of each account what is true of it", () => {
		expect(exhausted({ total: 4, cooling: 2, unavailable: 2, refused: 1, readyAt })).toMatch(
			/\. 1 account was refused\. 1 account .* reached\. \/multicodex /,
		);
		expect(exhausted({ total: 3, unavailable: 2, refused: 2, needsLogin: 1 })).toMatch(
			/^2 Codex accounts were refused\. 1 account is signed out\. \/multicodex .*, \/model .*\.$/,
		);
		expect(exhausted({ total: 9, cooling: 4, tried: 3, unavailable: 3, refused: 2, untried: 3, readyAt })).toMatch(
			/^Codex quota .* 3 accounts in a row\. 2 Codex accounts were refused\. .* 1 account .* renewed .* try 3 more\.$/,
		);
		expect(exhausted({ total: 9, cooling: 6, notOffered: 6, untried: 3 })).toMatch(
			/^6 accounts .* this model\. Send again to try 3 more\.$/,
		);
	});

	it("does not blame quota if the model or the sign-in is the reason", () => {
		expect(exhausted({ total: 2, cooling: 2, notOffered: 2, readyAt })).toMatch(/^(?!.*quota).* use this model/);
		expect(exhausted({ total: 2, unavailable: 2 })).toMatch(/^(?!.*quota).* sign-in of 2 accounts .* renewed/);
		expect(exhausted({ total: 0 })).toMatch(/^No Codex account .* \/multicodex add\.$/);
		expect(exhausted({ total: 2, needsLogin: 2 })).toMatch(/^No Codex account .* \/multicodex login /);
	});

	it("names the accounts that are off as such, and not as signed out", () => {
		expect(exhausted({ total: 1, off: 1 })).toMatch(/^No Codex account .*: 1 account is off\. \/multicodex /);
		expect(exhausted({ total: 3, off: 2, needsLogin: 1 })).toMatch(
			/: 2 accounts are off, 1 account is signed out\. \/multicodex /,
		);
	});
});

describe("the end of a turn that caps or an account set keep from other accounts", () => {
	const readyAt = NOW + 42 * MINUTE_MS;

	it("says that a cap holds, and the command that lifts it", () => {
		expect(exhausted({ total: 2, capped: 2, readyAt })).toMatch(
			/^A cap .* all 2 accounts\. The first .* 42m \(.*\)\. \/multicodex cap .* them, \/multicodex cap off /,
		);
		expect(exhausted({ total: 1, capped: 1, readyAt })).toMatch(
			/^A cap .* the Codex account\. It .* 42m \(.*\)\. \/multicodex cap .* it, \/multicodex cap off /,
		);
		expect(exhausted({ total: 3, cooling: 1, capped: 1, needsLogin: 1, readyAt })).toMatch(
			/^Codex quota .* 1 account\. A cap .* 1 account\. The first .*1 account is signed out\. \/multicodex cap/,
		);
	});

	it("names the set of the folder, and the command that ends it", () => {
		const bound = / account set .*: \/multicodex only all /;
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
