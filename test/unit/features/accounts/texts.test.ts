import { describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import { removed, removeQuestion, switchedOff, switchedOn } from "../../../../src/features/accounts/texts.ts";
import { joined } from "../../../../src/features/sign-in/texts.ts";
import type { NextRequest } from "../../../../src/ui-kit/account-texts.ts";
import { anAccount, NOW } from "../../../support/fakes.ts";

/** Who serves next, with nothing in the way. */
const nextIs = (account: Account | undefined): NextRequest => ({ isEnabled: true, isForeign: false, account });

describe("the question before an account leaves", () => {
	const ask = (how: Partial<Parameters<typeof removeQuestion>[1]>) =>
		removeQuestion(anAccount("work"), {
			isPis: false,
			isActive: false,
			next: nextIs(anAccount("home")),
			...how,
		});

	it("says what follows, and how it is undone", () => {
		const text = expect.stringMatching(/^\/multicodex add --undo [\w ]+\.$/);
		expect(ask({})).toEqual({ heading: "Remove work?", text, act: "Remove", keep: "Keep" });
		expect(ask({ isActive: true }).text).toMatch(/^The next request .* home\. \/multicodex add --undo /);
		expect(ask({ next: nextIs(undefined) }).text).toMatch(/^No other account .*\. \/multicodex add --undo /);
	});

	it("names the one act that it is about: pi's own login leaves with pi's sign-in, or stays", () => {
		const { text, act, keep } = ask({ isPis: true });
		expect([act, keep]).toEqual(["Remove and sign pi out", "Keep"]);
		expect(text).toMatch(/^This is pi's own login: /);
	});

	it("is answered with what has become of pi and of the pool", () => {
		const said = removed(anAccount("work"), {
			next: nextIs(undefined),
			isPiSignedOut: true,
			left: 0,
		});
		expect(said).toMatch(/^Codex: removed work and signed pi out\. No .* left\. \/multicodex add --undo /);
	});
});

describe("what is done to a shared account", () => {
	const shared = anAccount("work", { shared: true });
	const next = nextIs(anAccount("side"));

	it("holds for all machines, and comes back on this one alone, in the words of every command", () => {
		const { text } = removeQuestion(shared, { isPis: false, isActive: false, next });
		expect(text).toMatch(/^It is shared: every machine .* add --undo .*, on this machine alone\.$/);
		expect(removed(shared, { next: undefined, isPiSignedOut: false, left: 1 })).toMatch(
			/^Codex: removed work, for all machines .* add --undo .*, on this machine alone\.$/,
		);
		expect(switchedOff(shared, next)).toMatch(/^Codex: work is off, for all machines /);
		expect(switchedOn(shared, next)).toMatch(/^Codex: work is on again, for all machines /);
		const signedIn = joined(shared, { isNew: false, isForNew: false, total: 2, now: NOW });
		expect(signedIn).toMatch(/^Codex: work .* again, for all machines /);
	});
});
