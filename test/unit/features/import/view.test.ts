import { describe, expect, it } from "vitest";
import type { ToolName } from "../../../../src/core/account-source.ts";
import type { FoundLogin, ImportPlan, LeftOut, PlannedImport, Verdict } from "../../../../src/features/import/rules.ts";
import { importFailure, importList, importOutcome, isWorthTaking } from "../../../../src/features/import/view.ts";
import { anAccount, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const planned = (
	verdict: Verdict,
	name: string,
	overrides: Partial<Omit<PlannedImport, "found">> & { readonly found?: Partial<FoundLogin> } = {},
): PlannedImport => {
	const { found, ...rest } = overrides;
	return {
		found: {
			kind: "login",
			tool: "codex",
			path: `/home/me/.codex/${name}.json`,
			name: undefined,
			credential: { access: "access-SECRET", refresh: "refresh-SECRET", expiresAt: NOW + HOUR_MS },
			workspaceIdHint: undefined,
			...found,
		},
		owner: { id: anId(`id-${name}`), email: `${name}@example.test` },
		account: undefined,
		verdict,
		isOwnerActive: true,
		...rest,
	};
};
const leftOut = (reason: string, overrides: Partial<LeftOut> = {}): LeftOut => ({
	kind: "left-out",
	tool: "prodex",
	path: "/home/me/.prodex/profiles/main/auth.json",
	name: "main",
	reason,
	...overrides,
});
const plan = (...each: (PlannedImport | LeftOut)[]): ImportPlan => ({
	planned: each.filter((one): one is PlannedImport => "verdict" in one),
	leftOut: each.filter((one): one is LeftOut => "reason" in one),
});
const listed = (of: ImportPlan, options: { readonly tool?: ToolName } = {}) =>
	importList(of, { home: "/home/me", now: NOW, tool: options.tool });

describe("the list of what was found", () => {
	it("says so if there is nothing", () => {
		expect(listed(plan())).toMatch(/^Nothing to import: /);
	});

	it("says of which tool there is nothing, if only that one was looked at", () => {
		expect(listed(plan(), { tool: "prodex" })).toMatch(/^No Codex sign-in of prodex /);
		expect(listed(plan(), { tool: "codex-pool" })).toMatch(/^No .* of opencode codex-pool /);
		expect(listed(plan(leftOut("is torn")), { tool: "prodex" })).toMatch(/^Left out:\n/);
	});

	it("has a line each: what is done, for whom, and where it lies", () => {
		const known = anAccount("mine");
		const text = listed(
			plan(
				planned("add", "work"),
				planned("renew", "home", { account: known, found: { tool: "codex-auth", name: "job" } }),
				planned("have", "side", { found: { tool: "opencode", path: "/data/opencode/auth.json" } }),
				planned("older", "work"),
				planned("spent", "lost"),
				planned("same", "work"),
			),
		);
		expect(text.split("\n")).toEqual([
			"Found 6 Codex sign-ins:",
			"  new: work@example.test, Codex CLI (~/.codex/work.json)",
			"  new sign-in: mine, codex-auth job (~/.codex/home.json)",
			"  already added: side@example.test, opencode (/data/opencode/auth.json)",
			"  an older copy: work@example.test, Codex CLI (~/.codex/work.json)",
			"  used up: lost@example.test, Codex CLI (~/.codex/lost.json)",
			"  the same sign-in: work@example.test, Codex CLI (~/.codex/work.json)",
		]);
	});

	it("says what was left out, by name and reason", () => {
		const text = listed(plan(leftOut("holds an API key"), planned("add", "work")));
		expect(text.split("\n").slice(-2)).toEqual([
			"Left out:",
			"  prodex main (~/.prodex/profiles/main/auth.json) holds an API key",
		]);
		expect(listed(plan(leftOut("is not valid JSON", { tool: "file", name: undefined })))).toBe(
			"Left out:\n  ~/.prodex/profiles/main/auth.json is not valid JSON",
		);
	});

	it("says that a token which has run out is renewed", () => {
		const credential = { access: "a", refresh: "r", expiresAt: NOW };
		expect(listed(plan(planned("add", "work", { found: { credential } })))).toMatch(/has expired.* renewed /);
	});

	it("names a sign-in by its e-mail, else as its tool does", () => {
		expect(listed(plan(planned("add", "work", { found: { name: "job" } })))).toMatch(/new: work@example\.test,/);
		const of = plan(
			planned("add", "work", { found: { name: "me@example.test" }, owner: { id: anId("id-work"), email: undefined } }),
		);
		expect(listed(of)).toMatch(/new: me@example\.test, Codex CLI \(/);
	});

	it("lets nothing from elsewhere move the cursor, colour or turn the text", () => {
		const evil = "a\x1b[2Jb\u202ec\nd";
		const text = listed(
			plan(
				planned("add", "x", {
					found: { name: evil, path: `/tmp/${evil}` },
					owner: { id: anId("id"), email: undefined },
				}),
				leftOut("is torn", { name: evil, path: `/tmp/${evil}` }),
			),
		);
		expect([...text].filter((character) => character === "\x1b" || character === "\u202e")).toEqual([]);
		expect(text.split("\n")).toHaveLength(4);
	});

	it("holds no token", () => {
		const all = (["add", "renew", "have", "older", "same", "spent"] as const).map((verdict) => planned(verdict, "x"));
		expect(listed(plan(...all))).not.toMatch(/SECRET/);
	});
});

describe("why nothing could be taken", () => {
	const options = { home: "/home/me", now: NOW, tool: undefined };

	it("why nothing could be taken is one line, with every reason", () => {
		const two = plan(leftOut("is torn"), leftOut("is no file", { tool: "file", path: "/x\n/y", name: undefined }));
		expect(importFailure(two, options)).toMatch(
			/^prodex main \(~\/\.prodex\/profiles\/main\/auth\.json\) is torn; \/x\?\/y is no file\. Nothing was imported\.$/,
		);
	});

	it("why nothing could be taken is that there is nothing, if there is nothing", () => {
		expect(importFailure(plan(), { ...options, tool: "prodex" })).toMatch(/ of prodex .*\. Nothing was imported\.$/);
	});
});

describe("a plan is worth carrying out", () => {
	it.each<[Verdict, boolean]>([
		["add", true],
		["renew", true],
		["have", false],
		["older", false],
		["spent", false],
		["same", false],
	])("a plan is worth carrying out with %s: %s", (verdict, isWorth) => {
		expect(isWorthTaking(plan(planned("older", "x"), planned(verdict, "y")))).toBe(isWorth);
	});
});

describe("what came of an import", () => {
	const work = anAccount("work", { id: anId("id-work") });
	const home = anAccount("day job", { id: anId("id-home") });

	it("names what was taken", () => {
		const of = plan(planned("add", "work"), planned("renew", "home"), planned("have", "side"));
		expect(importOutcome(of, [work, home]).split("\n")[0]).toBe("Codex: imported work, day job.");
		expect(importOutcome(of, [])).toBe("Nothing was imported.");
	});

	it("warns of an owner that still uses the sign-in, or has to sign in again", () => {
		const of = plan(
			planned("add", "work", { isOwnerActive: false }),
			planned("renew", "home"),
			planned("older", "work"),
		);
		const [, ...warnings] = importOutcome(of, [work, home]).split("\n");
		expect(warnings).toEqual([
			expect.stringMatching(/^Codex CLI still uses .* day job; .*signed out\. \/multicodex login "day job" /),
			expect.stringMatching(/^Codex CLI has to .* after work /),
		]);
	});

	it("warns in one line a tool, however many of its sign-ins were taken", () => {
		const side = anAccount("side", { id: anId("id-side") });
		const of = plan(
			planned("add", "work", { found: { tool: "prodex" } }),
			planned("add", "side", { found: { tool: "opencode" } }),
			planned("add", "home", { found: { tool: "prodex" } }),
		);
		const [, ...warnings] = importOutcome(of, [work, home, side]).split("\n");
		expect(warnings).toEqual([
			expect.stringMatching(/^prodex still uses .* work, day job; .*\/multicodex login <account> /),
			expect.stringMatching(/^opencode still uses .* side; .*\/multicodex login side /),
		]);
	});

	it.each([
		["codex", "Codex CLI"],
		["opencode", "opencode"],
		["prodex", "prodex"],
		["codex-auth", "codex-auth"],
		["file", "The program that keeps that file"],
	] as const)("writes the name of %s as its owner does: %s", (tool, name) => {
		for (const isOwnerActive of [true, false]) {
			const of = plan(planned("add", "work", { found: { tool }, isOwnerActive }));
			const [, warning] = importOutcome(of, [work]).split("\n");
			expect(warning).toMatch(new RegExp(`^${name} (still|has)`));
		}
	});

	it("warns of no account that was not imported", () => {
		expect(importOutcome(plan(planned("add", "work"), planned("add", "home")), [work]).split("\n")).toHaveLength(2);
	});
});
