import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Account } from "../../../../src/core/account.ts";
import type { ToolName } from "../../../../src/core/account-source.ts";
import {
	type Finding,
	type FoundLogin,
	type ImportReader,
	type PlannedImport,
	planImport,
	takeableSignIns,
	type Verdict,
} from "../../../../src/features/import/rules.ts";
import { anAccount, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";

/** Tokens of this test read `<identity>@<issued at>`; an identity `-` or a time `-` is missing. */
const reader: ImportReader = {
	identify: ({ credential }) => {
		const [id = ""] = credential.access.split("@");
		return id === "-" ? undefined : { id: anId(id), email: `${id}@example.test` };
	},
	issuedAt: (access) => {
		const [, at = "-"] = access.split("@");
		return at === "-" ? undefined : Number(at);
	},
	isSpent: () => false,
};

const found = (access: string, overrides: Partial<FoundLogin> & { refresh?: string } = {}): FoundLogin => {
	const { refresh = `refresh of ${access}`, ...rest } = overrides;
	return {
		kind: "login",
		tool: "codex",
		path: "/x/auth.json",
		name: undefined,
		credential: { access, refresh, expiresAt: NOW + HOUR_MS },
		workspaceIdHint: undefined,
		...rest,
	};
};
const holding = (access: string, overrides: Partial<Account> = {}, refresh = `refresh of ${access}`): Account => {
	const [id = ""] = access.split("@");
	return anAccount(id, { credential: { access, refresh, expiresAt: NOW + HOUR_MS }, ...overrides });
};
/** `spent`: refresh tokens that are known to be spent. */
const plan = (findings: readonly Finding[], accounts: readonly Account[] = [], spent: readonly string[] = []) =>
	planImport(findings, accounts, { ...reader, isSpent: (_account, refresh) => spent.includes(refresh) }, NOW);
const verdicts = (findings: readonly Finding[], accounts: readonly Account[] = []) =>
	plan(findings, accounts).planned.map(({ verdict }) => verdict);
const signedOut = { needsLogin: { reason: "refresh_token_reused", at: NOW } };

describe("what is done with a sign-in that lies with another tool", () => {
	it("is nothing if machines share the account by a sign-in that works: the tool would go on spending it", () => {
		const shared = { shared: true, source: "import:codex" };
		expect(verdicts([found("a@9")], [holding("a@1", shared)])).toEqual(["have"]);
		expect(verdicts([found("a@9")], [holding("a@1", { ...shared, ...signedOut })])).toEqual(["renew"]);
	});

	it.each<[Verdict, string, FoundLogin, Account[]]>([
		["add", "of an account that is not here", found("a@5"), [holding("b@5")]],
		["have", "that is the very one that we hold", found("a@5"), [holding("a@5")]],
		["have", "of an account that has its own", found("a@9"), [holding("a@5", { source: "login" })]],
		["have", "of an account that pi holds", found("a@9"), [holding("a@5", { source: "pi", linked: true })]],
		["have", "of an account that came from another tool", found("a@9"), [holding("a@5", { source: "import:prodex" })]],
		["renew", "that its tool has renewed since we took it", found("a@9"), [holding("a@5", { source: "import:codex" })]],
		["have", "that we have renewed since we took it", found("a@5"), [holding("a@9", { source: "import:codex" })]],
		["renew", "of an account that is signed out", found("a@9"), [holding("a@5", signedOut)]],
		["spent", "that has been refused already", found("a@5"), [holding("a@5", signedOut)]],
		["spent", "whose refresh token has been refused", found("a@9", { refresh: "r" }), [holding("a@5", signedOut, "r")]],
		["add", "that does not say when it was issued", found("a@-"), []],
		[
			"have",
			"that does not say it, of an account with one",
			found("a@-"),
			[holding("a@5", { source: "import:codex" })],
		],
		["have", "of pi, which is linked and never copied", found("a@9", { tool: "pi" }), []],
	])("a found sign-in is %s for one %s", (verdict, _what, finding, accounts) => {
		expect(verdicts([finding], accounts)).toEqual([verdict]);
	});

	it("is nothing for all but the newest of one identity", () => {
		const findings = [found("a@1"), found("a@3", { tool: "opencode" }), found("b@1"), found("a@2")];
		expect(verdicts(findings)).toEqual(["older", "add", "add", "older"]);
	});

	it("never goes back to what we took from there and have renewed since: it is spent", () => {
		const lost = holding("a@3", { ...signedOut, source: "import:codex" });
		expect(verdicts([found("a@3"), found("a@1")], [lost])).toEqual(["spent", "spent"]);
		expect(verdicts([found("a@1")], [lost])).toEqual(["spent"]);
		expect(verdicts([found("a@4")], [lost])).toEqual(["renew"]);
	});

	it("never goes back to an older copy that yet another tool keeps of what we took", () => {
		const ours = holding("a@9", { ...signedOut, source: "import:codex" });
		expect(verdicts([found("a@9"), found("a@3", { tool: "codex-auth" })], [ours])).toEqual(["spent", "spent"]);
	});

	it("never goes back to a sign-in that was refused here, though its token is the latest", () => {
		const after = [holding("a@5", { source: "import:codex" })];
		expect(plan([found("a@9", { refresh: "refused" })], after, ["refused"]).planned).toMatchObject([
			{ verdict: "spent" },
		]);
	});

	it("is nothing for a second copy of the very sign-in, and that is no older one", () => {
		const copies = [found("a@5", { refresh: "r" }), found("a@5", { refresh: "r", tool: "codex-auth" }), found("a@4")];
		expect(verdicts(copies)).toEqual(["add", "same", "older"]);
	});

	it("knows a sign-in of ours by its refresh token, though the newer token tells more of the person", () => {
		const vague = holding("vague@5", { source: "import:codex" }, "r");
		expect(plan([found("a@9", { refresh: "r" })], [vague]).planned).toMatchObject([
			{ verdict: "have", account: vague },
		]);
	});

	it("takes one refresh token once, though two files tell of two persons", () => {
		const both = [found("vague@5", { refresh: "r" }), found("a@9", { refresh: "r" })];
		expect(verdicts(both).filter((verdict) => verdict === "add")).toHaveLength(1);
	});

	it("says of pi's own login whether it is spent", () => {
		expect(verdicts([found("a@5", { tool: "pi" })], [holding("a@5", { ...signedOut, linked: true })])).toEqual([
			"spent",
		]);
	});

	it("says whose owner will go on renewing it", () => {
		const past = { ...found("a@1"), credential: { access: "a@1", refresh: "r", expiresAt: NOW } };
		const active = plan([past, found("b@1")]).planned.map(({ isOwnerActive }) => isOwnerActive);
		expect(active).toEqual([false, true]);
	});

	it("leaves out what is no sign-in, and a token without an owner, with the reason", () => {
		const key: Finding = { kind: "left-out", tool: "prodex", path: "/p", name: "main", reason: "holds an API key" };
		const { planned, leftOut } = plan([key, found("-@5", { name: "x" }), found("a@1")]);
		expect(planned).toHaveLength(1);
		expect(leftOut).toEqual([
			key,
			{ kind: "left-out", tool: "codex", path: "/x/auth.json", name: "x", reason: expect.stringMatching(/workspace/) },
		]);
	});

	it("is shown with the account it belongs to, and the person it is for", () => {
		const account = holding("a@5");
		expect(plan([found("a@5")], [account]).planned).toMatchObject([
			{ owner: { id: "a", email: "a@example.test" }, account },
		]);
	});
});

describe("any plan", () => {
	const identity = fc.constantFrom("a", "b", "c", "-");
	const refresh = fc.constantFrom("r1", "r2", "r3", "r4");
	const tool = fc.constantFrom<ToolName>("pi", "codex", "codex-auth", "prodex", "opencode", "file");
	const aFinding = fc
		.record({ identity, at: fc.integer({ min: 1, max: 50 }), refresh, tool, ttl: fc.integer({ min: -5, max: 5 }) })
		.map(({ identity, at, refresh, tool, ttl }) => ({
			...found(`${identity}@${at}`, { tool }),
			// One refresh token is one person's.
			credential: { access: `${identity}@${at}`, refresh: `${identity} ${refresh}`, expiresAt: NOW + ttl },
		}));
	const anOwner = fc
		.record({
			at: fc.integer({ min: 1, max: 50 }),
			refresh,
			source: fc.constantFrom("pi", "login", "import:codex", "import:prodex"),
			isOut: fc.boolean(),
		})
		.map(({ at, refresh, source, isOut }) => (id: string) => {
			return holding(`${id}@${at}`, { source, ...(isOut && signedOut) }, `${id} ${refresh}`);
		});
	const holdings = fc
		.tuple(fc.option(anOwner), fc.option(anOwner))
		.map(([a, b]) => [a?.("a"), b?.("b")].filter((account) => account !== undefined));
	const isTaken = ({ verdict }: PlannedImport) => verdict === "add" || verdict === "renew";
	const whole = fc.tuple(fc.array(aFinding, { maxLength: 8 }), holdings);

	it("takes one sign-in an identity at most, and that is the newest that may work", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				const { planned } = plan(findings, accounts);
				const taken = planned.filter(isTaken);
				expect(new Set(taken.map(({ owner }) => owner.id)).size).toBe(taken.length);
				for (const { owner, found: one } of taken) {
					const may = new Set<Verdict>(["add", "renew", "older"]);
					const all = planned.filter((each) => each.owner.id === owner.id && may.has(each.verdict));
					const newest = Math.max(...all.map((each) => reader.issuedAt(each.found.credential.access) ?? 0));
					expect(reader.issuedAt(one.credential.access)).toBe(newest);
				}
			}),
			runs(30),
		);
	});

	it("says one thing of every finding, and loses none", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				const { planned, leftOut } = plan(findings, accounts);
				const anonymous = findings.filter(({ credential }) => credential.access.startsWith("-"));
				expect(planned.map((each) => each.found)).toEqual(findings.filter((each) => !anonymous.includes(each)));
				expect(leftOut).toHaveLength(anonymous.length);
			}),
			runs(30),
		);
	});

	it("adds no account that is present, and renews none that is absent", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				for (const { verdict, account, owner, found: one } of plan(findings, accounts).planned) {
					const sharing = accounts.find(({ credential }) => credential.refresh === one.credential.refresh);
					expect(account).toBe(accounts.find(({ id }) => id === owner.id) ?? sharing);
					if (verdict === "add") expect(account).toBeUndefined();
					if (verdict === "renew" || verdict === "spent") expect(account).toBeDefined();
				}
			}),
			runs(30),
		);
	});

	it("never replaces a sign-in of its own that works, nor one that was issued later", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				for (const { verdict, account, found: one } of plan(findings, accounts).planned) {
					if (verdict !== "renew" || !account || account.needsLogin) continue;
					expect(account.source).toBe(`import:${one.tool}`);
					expect(reader.issuedAt(one.credential.access)).toBeGreaterThan(
						reader.issuedAt(account.credential.access) ?? 0,
					);
				}
			}),
			runs(30),
		);
	});

	it("never takes the refresh token that we hold, least of all one that was refused", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				for (const each of plan(findings, accounts).planned.filter(isTaken)) {
					expect(each.found.credential.refresh).not.toBe(each.account?.credential.refresh);
				}
			}),
			runs(30),
		);
	});

	it("never takes pi's own login", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				const taken = plan(findings, accounts).planned.filter(isTaken);
				expect(taken.map(({ found: one }) => one.tool)).not.toContain("pi");
			}),
			runs(30),
		);
	});

	it("comes to the same in whatever order the places are looked at, but for copies of one moment", () => {
		// One finding a moment and identity, and a refresh token of its own, so that nothing is decided by the order.
		const tokens = fc.uniqueArray(fc.constantFrom("r1", "r2", "r3", "r4", "r5", "r6", "r7", "r8"));
		const distinct = fc
			.tuple(fc.uniqueArray(aFinding, { selector: ({ credential }) => credential.access }), tokens)
			.map(([findings, refreshes]) =>
				refreshes.flatMap((each, index) => {
					const finding = findings[index];
					return finding ? [{ ...finding, credential: { ...finding.credential, refresh: each } }] : [];
				}),
			);
		const shuffled = distinct.chain((findings) =>
			fc.tuple(fc.constant(findings), fc.shuffledSubarray(findings, { minLength: findings.length }), holdings),
		);
		const byFinding = ({ planned }: ReturnType<typeof plan>) =>
			new Map(planned.map((each) => [each.found, each.verdict]));
		fc.assert(
			fc.property(shuffled, ([one, other, accounts]) => {
				expect(byFinding(plan(other, accounts))).toEqual(byFinding(plan(one, accounts)));
			}),
			runs(30),
		);
	});

	it("a plan takes one of several copies of the same moment", () => {
		fc.assert(
			fc.property(fc.shuffledSubarray(["codex", "codex-auth", "prodex"] as const, { minLength: 3 }), (tools) => {
				const planned = plan(tools.map((each) => found("a@5", { tool: each, refresh: "r1" }))).planned;
				expect(planned.map(({ verdict }) => verdict)).toEqual(["add", "same", "same"]);
			}),
			runs(30),
		);
	});

	it("is done once it was carried out", () => {
		fc.assert(
			fc.property(whole, ([findings, accounts]) => {
				const taken = plan(findings, accounts).planned.filter(isTaken);
				const after = new Map(accounts.map((account) => [account.id, account]));
				for (const { owner, found: one, account } of taken) {
					if (account) after.delete(account.id);
					after.set(owner.id, anAccount(owner.id, { credential: one.credential, source: `import:${one.tool}` }));
				}
				const refused = accounts.filter(({ needsLogin }) => needsLogin).map(({ credential }) => credential.refresh);
				expect(plan(findings, [...after.values()], refused).planned.filter(isTaken)).toEqual([]);
			}),
			runs(30),
		);
	});
});

it("sign-ins are named by e-mail or by the name that the tool has for them, and leave out what is not taken", () => {
	const findings = [found("a@5"), found("b@5", { tool: "prodex", name: "main" }), found("c@5")];
	const { planned, leftOut } = plan(findings, [holding("c@9", { source: "login" })]);
	const nameless = planned.map((each) =>
		each.owner.id === "b" ? { ...each, owner: { id: anId("b"), email: undefined } } : each,
	);
	expect(takeableSignIns({ planned: nameless, leftOut })).toEqual([
		{ tool: "Codex CLI", who: "a@example.test" },
		{ tool: "prodex", who: "main" },
	]);
});
