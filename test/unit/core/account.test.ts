import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { labelProblem, matchAccounts, printable, stateOf, uniqueLabel } from "../../../src/core/account.ts";
import { anyCharacter } from "../../support/arbitraries.ts";
import { aCooldown, anAccount, NOW } from "../../support/fakes.ts";
import { anId } from "../../support/ids.ts";

describe("the state of an account", () => {
	const needsLogin = { reason: "revoked", at: NOW };

	it.each([
		["ready", anAccount("a"), []],
		["cooling", anAccount("a"), [aCooldown()]],
		["ready", anAccount("a"), [aCooldown({ until: NOW })]],
		["ready", anAccount("a"), [aCooldown({ scope: "model:gpt-5.5" }), aCooldown({ scope: "limit:codex_bengalfox" })]],
		["needs-login", anAccount("a", { needsLogin }), [aCooldown()]],
		["disabled", anAccount("a", { enabled: false, needsLogin }), [aCooldown()]],
	] as const)("the state of an account is %s", (expected, account, cooldowns) => {
		expect(stateOf(account, cooldowns, NOW)).toBe(expected);
	});
});

describe("a label", () => {
	it("a label is the wanted one while no account has it, and is numbered otherwise", () => {
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

describe("a label that a person types", () => {
	it.each([
		"work",
		"day job",
		"職場",
		"🦊 fox",
		"a@b.example",
		"3f9c0a7be21d",
		"Autobahn",
		"it's",
		"x".repeat(40),
		"🦊".repeat(40),
	])("a typed label can be %s", (label) => {
		expect(labelProblem(label)).toBeUndefined();
	});

	it.each([
		["empty", "", /is empty/],
		["blank", " \t ", /is empty/],
		["too long", "x".repeat(41), /more than 40/],
		["a word of the commands", "auto", /meaning of its own/],
		["such a word in another case", "ALL", /meaning of its own/],
		["the word that adds", "Add", /meaning of its own/],
		["an option", "--device", /like an option/],
		["a dash", "-", /like an option/],
		["with a quote", 'my "work"', /characters that a label cannot have: "$/],
		["over two lines", "a\nb\n\tc", /: U\+000A, U\+0009$/],
		["with a tab", "a\tb", /: U\+0009$/],
		["with colours", "\x1b[31mred", /: U\+001B$/],
		["with an eight bit escape", "a\x9bb", /: U\+009B$/],
		["that turns the text", "a\u202eb", /: U\+202E$/],
		["that isolates a direction", "a\u2066b", /: U\+2066$/],
		["with a line separator", "a\u2028b", /: U\+2028$/],
	])("a typed label cannot be %s", (_what, label, problem) => {
		expect(labelProblem(label)).toMatch(problem);
	});

	it("never has what cannot be printed, and printing changes no other", () => {
		fc.assert(
			fc.property(fc.string({ unit: anyCharacter, maxLength: 40 }), (text) => {
				if (labelProblem(text) === undefined) expect(printable(text)).toBe(text);
				expect(printable(text)).not.toMatch(/[\p{Cc}\u2028\u2029\u202a-\u202e\u2066-\u2069]/u);
				expect([...printable(text)]).toHaveLength([...text].length);
			}),
		);
	});
});

describe("naming an account", () => {
	const work = anAccount("work", { id: anId("3f9c0a7be21d"), email: "Me@work.example" });
	const home = anAccount("home", { id: anId("3f00aa7be21d"), email: "me@home.example" });
	const odd = anAccount("3f9c", { id: anId("aaaaaaaaaaaa"), email: undefined });
	const all = [work, home, odd];

	it.each([
		["its label, in any case", " WORK ", [work]],
		["its e-mail, in any case", "me@WORK.example", [work]],
		["the beginning of its id", "3f00", [home]],
		["a label before the beginning of an id", "3f9c", [odd]],
		["nothing", "   ", []],
		["an unknown name", "missing", []],
		["what two may mean", "3f", [work, home]],
	])("an account is named by %s", (_name, text, expected) => {
		expect(matchAccounts(all, text)).toEqual(expected);
	});

	it("takes a label as it is written before one in another case", () => {
		const [upper, lower] = [
			anAccount("Work", { id: anId("cccccccccccc") }),
			anAccount("work", { id: anId("dddddddddddd") }),
		];
		expect(matchAccounts([upper, lower], "work")).toEqual([lower]);
		expect(matchAccounts([upper, lower], "WORK")).toEqual([upper, lower]);
	});

	it("takes a label that is an e-mail as it looks once that is hidden", () => {
		const mail = anAccount("me@work.example", { id: anId("eeeeeeeeeeee") });
		expect(matchAccounts([work, mail], "m…@work.example")).toEqual([mail]);
	});

	it("finds both if one e-mail has two workspaces", () => {
		const team = { ...home, id: anId("bbbbbbbbbbbb"), email: "me@work.example" };
		expect(matchAccounts([work, team], "me@work.example")).toEqual([work, team]);
	});
});
