import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { accountsNamed, stateOf, uniqueLabel } from "../../src/domain/account.ts";
import { aCooldown, anAccount, NOW } from "../support/fakes.ts";

describe("the state of an account", () => {
	const needsLogin = { reason: "revoked", at: NOW };

	it.each([
		["ready", anAccount("a"), []],
		["cooling", anAccount("a"), [aCooldown()]],
		["ready", anAccount("a"), [aCooldown({ until: NOW })]],
		["ready", anAccount("a"), [aCooldown({ scope: "model:gpt-5.5" }), aCooldown({ scope: "limit:codex_bengalfox" })]],
		["needs-login", anAccount("a", { needsLogin }), [aCooldown()]],
		["disabled", anAccount("a", { enabled: false, needsLogin }), [aCooldown()]],
	] as const)("is %s", (expected, account, cooldowns) => {
		expect(stateOf(account, cooldowns, NOW)).toBe(expected);
	});
});

describe("a label", () => {
	it("is the wanted one while nobody has it, else numbered", () => {
		expect(uniqueLabel("work", new Set())).toBe("work");
		expect(uniqueLabel("work", new Set(["work"]))).toBe("work-2");
		expect(uniqueLabel("work", new Set(["work", "work-2", "work-3"]))).toBe("work-4");
	});

	it("is never one that is taken", () => {
		const labels = fc.constantFrom("a", "a-2", "a-3", "a-2-2", "b");
		fc.assert(
			fc.property(labels, fc.array(labels), (wanted, taken) => {
				expect(taken).not.toContain(uniqueLabel(wanted, new Set(taken)));
			}),
		);
	});
});

describe("naming an account", () => {
	const work = anAccount("work", { id: "3f9c0a7be21d", email: "Me@work.example" });
	const home = anAccount("home", { id: "3f00aa7be21d", email: "me@home.example" });
	const odd = anAccount("3f9c", { id: "aaaaaaaaaaaa", email: undefined });
	const all = [work, home, odd];

	it.each([
		["its label, in any case", " WORK ", [work]],
		["its e-mail, in any case", "me@WORK.example", [work]],
		["the beginning of its id", "3f00", [home]],
		["a label before the beginning of an id", "3f9c", [odd]],
		["nothing", "   ", []],
		["what nobody has", "nobody", []],
		["what two may mean", "3f", [work, home]],
	])("by %s", (_name, text, expected) => {
		expect(accountsNamed(all, text)).toEqual(expected);
	});

	it("finds both where one e-mail has two workspaces", () => {
		const team = { ...home, id: "bbbbbbbbbbbb", email: "me@work.example" };
		expect(accountsNamed([work, team], "me@work.example")).toEqual([work, team]);
	});
});
