import { describe, expect, it } from "vitest";
import type { LinkObstacle } from "../../../../src/core/beyond/chain.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { POOL_PROBLEMS, type PoolProblemKind, type SharedPoolStatus } from "../../../../src/core/shared-pool.ts";
import { diagnose, type HealthFacts, hasProblem } from "../../../../src/features/verify/rules.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { aCredential, anAccount, DAY_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { hostNames } from "../../../support/hosts.ts";
import { anId } from "../../../support/ids.ts";

const answering = { refusal: undefined, status: 401, isChallenge: false, skewMs: 0 } as const;
const HEALTHY: HealthFacts = {
	now: NOW,
	isEnabled: true,
	files: [{ name: "codex-accounts.json", owner: "us", content: "good", bytes: 700, unreadableRows: 0 }],
	entries: [
		{ name: ".", kind: "directory", mode: 0o700 },
		{ name: "codex-accounts.json", kind: "file", mode: 0o600 },
	],
	locks: [],
	isWritable: true,
	accounts: [anAccount("a")],
	piLogin: { kind: "none", owner: undefined, refresh: undefined },
	settings: [],
	endpoints: [
		{ ...answering, name: "backend" },
		{ ...answering, name: "issuer" },
	],
	hostVersion: "1.5.2",
	nodeVersion: "22.19.0",
	rival: "none",
	defects: 0,
	environment: [],
};
const found = (facts: Partial<HealthFacts>) => diagnose({ ...HEALTHY, ...facts });
const told = (facts: Partial<HealthFacts>) =>
	found(facts)
		.filter(({ level }) => level !== "ok")
		.map(({ level, code, subject }) => [level, code, subject].filter((part) => part !== undefined).join(" "));
const aFile = HEALTHY.files[0] ?? expect.fail();
const lost = { needsLogin: { reason: "revoked", at: NOW } };

describe("the judgement", () => {
	it("finds everything in order if it is", () => {
		expect(told({})).toEqual([]);
		expect(found({}).map(({ code }) => code)).toEqual([
			"file-good",
			"permissions-good",
			"sign-ins-good",
			"endpoint-good",
			"endpoint-good",
			"clock-good",
			"host-tried",
			"node-good",
			"rival-none",
		]);
	});

	it("says what is the matter with a shared pool, and how bad that is", () => {
		const at = (overrides: Partial<SharedPoolStatus>) => told({ sharedPool: aPoolStatus(overrides) });
		expect(at({})).toEqual([]);
		expect(found({ sharedPool: aPoolStatus() }).map(({ code }) => code)).toContain("shared-good");
		expect(at({ connection: { kind: "connected", lookedAt: NOW, listens: false } })).toEqual(["note shared-no-listen"]);
		expect(at({ clockAheadMs: -10 * MINUTE_MS })).toEqual(["warning shared-clock"]);
		const away = (problem: PoolProblemKind) => ({
			connection: { kind: "away", since: NOW, problem, text: "Why." } as const,
		});
		expect(at(away("away"))).toEqual(["warning shared-away away"]);
		const lasting = POOL_PROBLEMS.filter((problem) => problem !== "away");
		for (const problem of lasting) expect(at(away(problem))).toEqual([`problem shared-away ${problem}`]);
	});

	it("counts renewed sign-ins that wait for the shared pool", () => {
		const journal = (id: string) => ({ name: `codex-pool-${id}-0011.journal`, kind: "file", mode: 0o600 }) as const;
		expect(told({ entries: [...HEALTHY.entries, journal("a"), journal("b")] })).toEqual(["warning shared-journal"]);
	});

	it("names each link of the chain that can never answer, and none that only cannot now", () => {
		const link = (name: string, obstacle?: LinkObstacle) => ({ name, obstacle });
		const links = [
			link("a/gone", "unknown-model"),
			link("b/auto", "virtual"),
			link("c/unsigned", "no-credentials"),
			link("openai-codex/big", "not-offered"),
			link("openai-codex/luna", "no-account"),
			link("d/late", "failed"),
			link("e/good"),
		];
		expect(told({ chain: { isAvailable: true, links } })).toEqual([
			"warning chain-unknown a/gone",
			"warning chain-virtual b/auto",
			"warning chain-unsigned c/unsigned",
			"warning chain-not-offered openai-codex/big",
		]);
		expect(found({ chain: { isAvailable: true, links } })).toContainEqual(
			expect.objectContaining({ code: "chain-good", figure: 3 }),
		);
		expect(told({ chain: { isAvailable: false, links: [link("e/good")] } })).toEqual(["note chain-no-host"]);
		expect(told({ chain: { isAvailable: false, links: [] } })).toEqual([]);
	});

	it("begins with what is worst", () => {
		const levels = found({
			accounts: [anAccount("a", lost)],
			environment: ["CODEX_HOME"],
			files: [{ ...aFile, content: "broken" }],
		}).map(({ level }) => level);
		expect(levels).toEqual([...levels].sort((a, b) => order.indexOf(a) - order.indexOf(b)));
		expect(new Set(levels)).toEqual(new Set(order));
	});
	const order = ["problem", "warning", "note", "ok"];

	it.each([
		["broken", "problem file-broken codex-accounts.json"],
		["unreadable", "problem file-unreadable codex-accounts.json"],
		["newer", "warning file-newer codex-accounts.json"],
		["older", "note file-older codex-accounts.json"],
	] as const)("the judgement of a file that is %s: %s", (content, expected) => {
		expect(told({ files: [{ ...aFile, content }] })).toEqual([expected]);
	});

	it("a missing file is no finding, and unreadable rows are counted", () => {
		expect(found({ files: [{ ...aFile, content: "missing" }] }).map(({ subject }) => subject)).not.toContain(
			aFile.name,
		);
		expect(found({ files: [{ ...aFile, unreadableRows: 2 }] })[0]).toMatchObject({ code: "rows-strange", figure: 2 });
	});

	it("open files are a warning, an open directory is a note, and Windows has neither", () => {
		const wide = [
			{ name: ".", kind: "directory", mode: 0o755 },
			{ name: "auth.json", kind: "file", mode: 0o640 },
		] as const;
		expect(told({ entries: wide })).toEqual(["warning permissions-wide auth.json", "note permissions-wide ."]);
		expect(found({ entries: [{ name: "x", kind: "file", mode: undefined }] }).map(({ code }) => code)).not.toContain(
			"permissions-good",
		);
		expect(told({ isWritable: false })).toEqual(["problem directory-unwritable"]);
		const readOnly = ["settings.json", "auth.json", "codex-accounts.json"].map((name) => ({
			name,
			target: "/store/x",
		}));
		expect(told({ readOnly })).toEqual([
			"problem file-read-only codex-accounts.json",
			"warning file-read-only auth.json",
			"note file-read-only settings.json",
		]);
	});

	it("leftovers of dead processes are found", () => {
		const entries = [
			{ name: "x.tmp", kind: "leftover", mode: 0o600 },
			{ name: "x.corrupt-1", kind: "quarantined", mode: 0o600 },
		] as const;
		expect(told({ entries })).toEqual(["warning leftover x.tmp", "note quarantined x.corrupt-1"]);
		const lock = (ageMs: number, isStrange = false) => [{ name: "x.lock", ageMs, staleMs: 10_000, isStrange }];
		expect(told({ locks: lock(10_000) })).toEqual(["note lock-held x.lock"]);
		expect(told({ locks: lock(10_001) })).toEqual(["warning lock-stale x.lock"]);
		expect(told({ locks: lock(-10_000) })).toEqual(["note lock-held x.lock"]);
		expect(told({ locks: lock(-10_001) })).toEqual(["warning lock-ahead x.lock"]);
		expect(told({ locks: lock(0, true) })).toEqual(["warning lock-strange x.lock"]);
	});

	it("accounts are judged: none, none usable, lost, switched off, due, shared", () => {
		const due = anAccount("due", { credential: aCredential("due", { expiresAt: NOW + 9 * MINUTE_MS }) });
		expect(told({ accounts: [] })).toEqual(["note pool-empty"]);
		expect(told({ accounts: [], piLogin: { kind: "oauth", owner: anId("a"), refresh: "r" } })).toEqual([]);
		expect(told({ accounts: [anAccount("a"), anAccount("b", lost)] })).toEqual(["warning sign-in-lost b"]);
		expect(told({ accounts: [anAccount("a", lost), anAccount("b", { enabled: false })] })).toEqual([
			"problem pool-unusable",
			"warning sign-in-lost a",
			"note account-off b",
		]);
		expect(found({ accounts: [anAccount("a"), due] }).find(({ code }) => code === "tokens-due")?.figure).toBe(1);
		expect(found({ accounts: [anAccount("a"), due] }).find(({ code }) => code === "sign-ins-good")?.figure).toBe(1);
		const twin = anAccount("twin", { credential: aCredential("a") });
		expect(told({ accounts: [anAccount("a"), twin] })).toEqual(["warning sign-in-shared twin"]);
	});

	it("pi's own login is compared with our file", () => {
		const linked = anAccount("a", { linked: true });
		const login = (owner: AccountId, refresh: string) => ({ piLogin: { kind: "oauth", owner, refresh } as const });
		expect(told({ accounts: [linked], ...login(anId("a"), "refresh-a") })).toEqual([]);
		expect(told({ accounts: [linked], ...login(anId("a"), "later") })).toEqual(["note link-behind a"]);
		expect(told({ accounts: [linked], ...login(anId("b"), "later") })).toEqual(["note link-gone a"]);
		expect(told({ accounts: [linked] })).toEqual(["note link-gone a"]);
		const elsewhere = anAccount("a", { linkedElsewhere: true });
		expect(told({ accounts: [elsewhere] })).toEqual(["note link-elsewhere a"]);
		const both = [linked, anAccount("b", { linked: true })];
		expect(told({ accounts: both, ...login(anId("a"), "refresh-a") })).toEqual([
			"warning link-twice",
			"note link-gone b",
		]);
		const unusable = { kind: "oauth", owner: undefined, refresh: "r" } as const;
		expect(told({ accounts: [anAccount("a")], piLogin: unusable })).toEqual(["warning link-unusable auth.json"]);
		const foreign = { kind: "foreign", owner: undefined, refresh: undefined } as const;
		expect(told({ piLogin: foreign })).toEqual(["note pi-key auth.json"]);
		// Half a file says nothing of a login.
		expect(told({ accounts: [linked], piLogin: { ...foreign, kind: "unreadable" } })).toEqual([]);
	});

	it.each([
		[{ refusal: "no" }, "problem endpoint-refused backend"],
		[{ status: undefined }, "problem endpoint-silent backend"],
		[{ status: undefined, untrusted: "CERT_HAS_EXPIRED" }, "problem endpoint-untrusted backend"],
		[{ isChallenge: true }, "warning endpoint-challenge backend"],
		[{ status: 503 }, "warning endpoint-failing backend"],
	])("the judgement of a backend with %j: %s", (answer, expected) => {
		expect(told({ endpoints: [{ ...answering, name: "backend", ...answer }] })).toEqual([expected]);
	});

	it("a clock that is wrong by more than a minute is a finding, by the larger difference", () => {
		const clock = (...skews: (number | undefined)[]) => ({
			endpoints: skews.map((skewMs) => ({ ...answering, name: "backend" as const, skewMs })),
		});
		expect(told(clock(60_000, -60_000))).toEqual([]);
		expect(found(clock(1000, -61_000))[0]).toMatchObject({ code: "clock-wrong", level: "warning", figure: -61_000 });
		expect(found(clock(undefined)).map(({ code }) => code)).not.toContain("clock-good");
		expect(told({ endpoints: [] })).toEqual(["note endpoint-unknown backend"]);
	});

	it.each([
		["0.73.0", "warning host-old 0.73.0"],
		["0.9.12", "warning host-old 0.9.12"],
		["0.80.1", "note host-untried 0.80.1"],
		["2.0.0-beta.1", "note host-untried 2.0.0-beta.1"],
	])("the judgement of pi %s: %s", (hostVersion, expected) => {
		expect(told({ hostVersion })).toEqual([expected]);
	});

	it.each(hostNames)("pi %s, on which the tests run, has no finding", (hostVersion) => {
		expect(told({ hostVersion })).toEqual([]);
	});

	it("the judgement reset credits that would be lost within three days are named", () => {
		const credit = (expiresAt?: number) => ({ account: anId("a"), credit: { id: "c", expiresAt } });
		const resetCredits = [credit(NOW + 2 * DAY_MS), credit(NOW + 4 * DAY_MS), credit()];
		expect(told({ resetCredits })).toEqual(["note reset-credit-ends a"]);
	});

	it("Node, rivals, settings and the environment are judged", () => {
		expect(told({ nodeVersion: "20.5.9" })).toEqual(["problem node-old 20.5.9"]);
		expect(told({ nodeVersion: "20.6.0" })).toEqual([]);
		expect(told({ isFromSource: true })).toEqual(["note from-source"]);
		expect(told({ rival: "another" })).toEqual(["warning rival-another"]);
		expect(told({ rival: "not-visible" })).toEqual(["note rival-not-visible"]);
		expect(told({ rival: "another", isEnabled: false })).toEqual(["note switched-off"]);
		expect(told({ settings: ["x must be y."] })).toEqual(["warning setting-bad settings.json"]);
		expect(told({ defects: 2 })).toEqual(["warning defects codex-events.jsonl"]);
		expect(told({ environment: ["CODEX_HOME", "NODE_TLS_REJECT_UNAUTHORIZED"] })).toEqual([
			"warning tls-unchecked NODE_TLS_REJECT_UNAUTHORIZED",
			"note environment CODEX_HOME",
		]);
	});

	it("has a problem only if one is found", () => {
		expect(hasProblem(found({}))).toBe(false);
		expect(hasProblem(found({ accounts: [anAccount("a"), anAccount("b", lost)] }))).toBe(false);
		expect(hasProblem(found({ isWritable: false }))).toBe(true);
	});
});

describe("pi's ChatGPT sign-in under openai", () => {
	const hostVersion = "1.6.0";
	it("is a note, and a warning if the session is on it", () => {
		expect(told({ hostVersion, hasPlanLogin: true })).toEqual(["note plan-login openai"]);
		expect(told({ hostVersion, hasPlanLogin: true, isOnPlanLogin: true })).toEqual(["warning plan-login-used openai"]);
	});

	it("is nothing on a host that does not use it, nor without it", () => {
		expect(told({ hostVersion: "0.87.1", hasPlanLogin: true })).toEqual([]);
		expect(told({ hostVersion })).toEqual([]);
	});
});

describe("account sets and caps", () => {
	const set = { folder: "/proj", isThere: true, holds: true, present: [anId("a")], gone: 0 };
	const cap = { id: anId("a"), window: "7d", floorPercent: 20, isReached: false, isReported: true };

	it.each([
		[set, ["note set-holds"]],
		[{ ...set, holds: false }, []],
		[{ ...set, gone: 1 }, ["warning set-account-gone", "note set-holds"]],
		[{ ...set, present: [], gone: 1 }, ["problem set-empty"]],
		[{ ...set, present: [], holds: false }, ["warning set-empty"]],
		[{ ...set, isThere: false, holds: false }, ["warning set-folder-gone"]],
	])("findings of a set %j are %j", (fact, findings) => {
		expect(told({ sets: [fact] })).toEqual(findings);
	});

	it.each([
		[cap, ["note cap-kept a"]],
		[{ ...cap, isReported: undefined }, ["note cap-kept a"]],
		[{ ...cap, isReported: false }, ["note cap-unreported a"]],
		[{ ...cap, isReached: true }, ["note cap-reached a"]],
		[{ ...cap, id: anId("gone") }, ["warning cap-account-gone gone"]],
	])("findings of a cap %j are %j", (fact, findings) => {
		expect(told({ caps: [fact] })).toEqual(findings);
	});
});
