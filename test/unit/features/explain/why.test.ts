import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { Offer } from "../../../../src/core/beyond/ladder.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import { POLICIES, type PolicyName } from "../../../../src/core/request/policies.ts";
import type { SharedPoolStatus } from "../../../../src/core/shared-pool.ts";
import { whyAsJson, whyAsText } from "../../../../src/features/explain/why.ts";
import { whySchema } from "../../../../src/pi/json-schemas.ts";
import { aPoolStatus } from "../../../support/fake-shared-pools.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { planOf, type Setting } from "../../plans.ts";

const usage = (used5h: number, usedWeek = 20, resetsInMs = DAY_MS) =>
	aSnapshot({
		windows: [
			{ usedPercent: used5h, windowMinutes: 300, resetsAt: NOW + HOUR_MS },
			{ usedPercent: usedWeek, windowMinutes: 10080, resetsAt: NOW + resetsInMs },
		],
	});
const candidate = (label: string, overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(label, { id: anId(`id-of-${label}`) }),
	cooldowns: [],
	usage: usage(30),
	...overrides,
});
const view = (
	candidates: readonly Candidate[],
	overrides: Partial<Setting> = {},
	policy: PolicyName = "soonest-reset",
) => ({
	plan: planOf(candidates, overrides, policy),
	isEnabled: true,
	isForeign: false,
	policy,
	model: "gpt-5.5",
});
const [work, home] = [candidate("work"), candidate("home")];
const cooling = candidate("side", { cooldowns: [aCooldown()] });
const out = candidate("out", { account: anAccount("out", { needsLogin: { reason: "revoked", at: NOW } }) });
const off = candidate("off", { account: anAccount("off", { enabled: false }) });

const onCredits = candidate("rich", {
	usage: { ...usage(100), credits: { hasCredits: true, unlimited: false } },
});
const spent = candidate("spent", { cooldowns: [aCooldown()] });

describe("why, if included quota is out", () => {
	const account = anAccount("rich", { id: anId("id-of-rich") });
	const offers: readonly Offer[] = [
		{ rung: { kind: "credits", account, balance: "20" }, consent: "given", canBeRemembered: true },
		{
			rung: { kind: "reserve-model", account, model: "gpt-6-luna", leftPercent: 40 },
			consent: "ask",
			canBeRemembered: true,
		},
		{
			rung: {
				kind: "reset-credit",
				account,
				credit: { id: "1", expiresAt: undefined },
				window: "7d",
				resetsAt: undefined,
			},
			consent: "ask",
			canBeRemembered: false,
		},
		{ rung: { kind: "chain", model: "anthropic/claude", isPaid: true }, consent: "given", canBeRemembered: false },
		{ rung: { kind: "wait", account, until: NOW + HOUR_MS, isGuess: false }, consent: "ask", canBeRemembered: false },
	];
	const LIST =
		/credits of rich, then Luna Reserve of rich \(asks first\), then a reset of rich \(asks first\), then anthropic\/claude\.$/;

	it("says what may serve until an account is back, and after one that serves on credits", () => {
		const [first] = whyAsText({ ...view([spent]), offers }, 300).split("\n");
		expect(first).toMatch(/^No account .* before .*, in 1h00m\. Until then: /);
		expect(first).toMatch(LIST);
		const own = view([spent, onCredits], { served: anId("id-of-rich") });
		expect(whyAsText({ ...own, offers: offers.slice(3, 4) }, 300)).toMatch(
			/^rich serves next .*credits: .* After that: anthropic\/claude\.\n/,
		);
		expect(whyAsText({ ...view([spent]), offers, isEnabled: false }, 300)).not.toContain("Until then");
	});

	it("lists the same in its document, which says nothing of it if there is nothing", () => {
		const document = whyAsJson({ ...view([spent]), offers });
		expect(whySchema.parse(JSON.parse(JSON.stringify(document))).beyond).toEqual([
			{ kind: "credits", account: "id-of-rich", consent: "given" },
			{ kind: "reserve-model", account: "id-of-rich", model: "gpt-6-luna", consent: "ask" },
			{ kind: "reset-credit", account: "id-of-rich", consent: "ask" },
			{ kind: "chain", model: "anthropic/claude", consent: "given" },
		]);
		expect(whyAsJson({ ...view([spent]), offers: offers.slice(4) })).not.toHaveProperty("beyond");
	});
});

it("why names the model of the chain that serves while no account can, for a person and for a program", () => {
	const none = { ...view([spent]), link: "anthropic/claude" };
	expect(whyAsText(none, 100)).toMatch(
		/^anthropic\/claude serves next, from .* chain\. No account .* before .*\n- spent {2}out of quota/,
	);
	expect(whyAsJson(none)).toMatchObject({ next: null, link: "anthropic/claude" });
	expect(whyAsJson(view([spent]))).not.toHaveProperty("link");
});

it("why says who spends bought credits if nothing else is left, and that no other may", () => {
	const own = view([spent, onCredits], { served: anId("id-of-rich") });
	expect(whyAsText(own, 100)).toMatch(
		/^rich serves next .*credits: .*\n1 rich {3}.*credits until .*\n- spent {2}out of quota/,
	);
	expect(whyAsJson(own).candidates[0]).toMatchObject({
		rank: 1,
		gate: { kind: "credits", until: new Date(NOW + HOUR_MS).toISOString() },
	});
	const other = view([work, onCredits], { served: anId("id-of-rich") });
	expect(whyAsText(other, 100)).toMatch(/\n- rich {2}out of quota until /);
	expect(whyAsJson(other).candidates[1]).toMatchObject({ rank: null, gate: { kind: "credits" } });
	expect(whyAsText(view([onCredits, spent]), 100)).toMatch(/^No account .* before /);
});

describe("why, for a person", () => {
	it("names the account that serves and why, then all accounts in the order of the choice", () => {
		const affinity = anId("id-of-home");
		expect(whyAsText(view([work, cooling, home, out, off], { affinity }), 78).split("\n")).toEqual([
			expect.stringMatching(/^home serves next \(soonest-reset\): .* this session last\.$/),
			"1 home  served this session last",
			"2 work  new to this session",
			expect.stringMatching(/^- side {2}out of quota until (\w+ )?\d\d:\d\d, in 1h00m$/),
			"- out   signed out",
			"- off   off",
		]);
	});

	it.each<[string, readonly Candidate[], Partial<Setting>, PolicyName, string, RegExp]>([
		["a pin", [work, home], { pinned: anId("id-of-home") }, "soonest-reset", "home", /pinned\.$/],
		["being the only one", [work, cooling], {}, "soonest-reset", "work", /no other/],
		[
			"the others' reserve",
			[candidate("work", { usage: usage(95) }), home],
			{ reserve: { "5h": 10 } },
			"soonest-reset",
			"home",
			/the others .* reserve of 5h\.$/,
		],
		[
			"room",
			[candidate("work", { usage: usage(85) }), home],
			{},
			"soonest-reset",
			"home",
			/room .*, 70% of 5h left\.$/,
		],
		[
			"the soonest reset",
			[work, candidate("home", { usage: usage(30, 20, HOUR_MS) })],
			{},
			"soonest-reset",
			"home",
			/soonest, week resets in 1h00m\.$/,
		],
		["headroom", [work, candidate("home", { usage: usage(10) })], {}, "most-headroom", "home", /more, 80% left\.$/],
		["its turn", [work, home], { lastChosen: anId("id-of-work") }, "round-robin", "home", /its turn\.$/],
		["the list", [work, home], {}, "in-order", "work", /first in the list\.$/],
	])("gives %s as the reason", (_name, candidates, overrides, policy, label, reason) => {
		const [first] = whyAsText(view(candidates, overrides, policy), 78).split("\n");
		expect(first?.startsWith(`${label} serves next (${policy}): `)).toBe(true);
		expect(first).toMatch(reason);
	});

	it("says when an account is back if none can serve, and what to do if none ever will", () => {
		expect(whyAsText(view([cooling, out]), 78)).toMatch(/^No account .* before .*\d\d:\d\d, in 1h00m\.\n/);
		const guessed = candidate("side", { cooldowns: [aCooldown({ guessed: true })] });
		const later = candidate("late", { cooldowns: [aCooldown({ until: NOW + 2 * HOUR_MS })] });
		expect(whyAsText(view([later, guessed, out]), 78)).toMatch(/ before about .*, in 1h00m\.\n/);
		const last = candidate("last", { cooldowns: [aCooldown({ until: NOW + 3 * HOUR_MS, guessed: true })] });
		expect(whyAsText(view([cooling, last]), 78).split("\n")[0]).not.toContain("about");
		expect(whyAsText(view([out, off]), 78)).toMatch(/^No account .* the next request\.\n/);
		expect(whyAsText(view([]), 78)).toMatch(/^No .* \/multicodex add\.$/);
	});

	it("says that a session waits for room, and who needs what is left", () => {
		const busy = candidate("busy", { usage: usage(60) });
		const all = [busy, cooling];
		const at = { served: cooling.account.id, patienceMs: HOUR_MS };
		const waits = view(all, { ...at, liveSessions: new Map([[busy.account.id, 2]]) });
		expect(whyAsText(waits, 78).split("\n")).toEqual([
			expect.stringMatching(/ room before .*\d\d:\d\d, in 1h00m\.$/),
			expect.stringMatching(/^- busy {2}.* 2 live sessions$/),
			expect.stringMatching(/^- side {2}out of quota/),
		]);
		expect(whyAsJson(waits)).toMatchObject({
			next: null,
			candidates: [{ rank: null, gate: { kind: "crowded", live: 2, roomPercent: -30 } }, {}],
		});
		const one = view(all, { ...at, liveSessions: new Map([[busy.account.id, 1]]) }, "in-order");
		expect(whyAsText(one, 78)).toMatch(/^- busy {2}.* 1 live session$/m);
	});

	it("keeps its rows within every width, whatever accounts are called", () => {
		const labels = fc.array(
			fc.string({ unit: fc.constantFrom("a", "é", "漢", "🧪", " ", "-"), minLength: 1, maxLength: 40 }),
			{
				minLength: 1,
				maxLength: 5,
			},
		);
		fc.assert(
			fc.property(labels, fc.integer({ min: 20, max: 200 }), (names, columns) => {
				const candidates = names.map((name, at) => candidate(name, at % 2 ? { cooldowns: [aCooldown()] } : {}));
				const [, ...rows] = whyAsText(view(candidates), columns).split("\n");
				for (const row of rows) expect(visibleWidth(row)).toBeLessThanOrEqual(columns);
			}),
			runs(30),
		);
	});
});

describe("why, for a program", () => {
	it("names accounts by id alone, and tells rank, terms and gate", () => {
		const document = JSON.parse(
			JSON.stringify(whyAsJson(view([work, cooling, home], { affinity: anId("id-of-home") }))),
		);
		expect(document).toMatchObject({
			version: 1,
			policy: "soonest-reset",
			model: "gpt-5.5",
			next: "id-of-home",
			decidedBy: "session",
			candidates: [
				{ id: "id-of-home", rank: 1, gate: null, decidedBy: null },
				{ id: "id-of-work", rank: 2, gate: null, decidedBy: "session" },
				{ id: "id-of-side", rank: null, gate: { kind: "cooling", until: "2026-11-20T13:00:00.000Z" }, terms: [] },
			],
		});
		expect(document.candidates[0].terms).toContainEqual({ name: "room", value: 70, text: "70% of 5h left" });
		expect(JSON.stringify(document)).not.toMatch(/example\.test|"work"|"home"/);
	});

	it("says first that pi serves by itself while all is switched off", () => {
		const off = { ...view([work]), isEnabled: false };
		expect(whyAsText(off, 78).split("\n")[0]).toMatch(/ is off: .*\/multicodex on/);
		expect(whyAsJson(off)).toMatchObject({ enabled: false, next: "id-of-work" });
	});

	it("has no next account if none can serve, and agrees with every policy", () => {
		expect(whyAsJson(view([cooling]))).toMatchObject({ next: null, decidedBy: null });
		for (const policy of Object.keys(POLICIES) as PolicyName[]) {
			expect(whyAsJson(view([work], {}, policy))).toMatchObject({ next: "id-of-work", policy });
		}
	});
});

describe("why, if caps and an account set hold", () => {
	const capped = candidate("work", { floors: { "7d": 85 } });
	const outside = candidate("home", { outsideOf: "/proj" });
	const set = { folder: "/proj", accounts: [anId("id-of-work"), anId("id-of-side")] };

	it("says which set serves, what is kept, and which accounts the session may not use", () => {
		expect(whyAsText(view([capped, outside, candidate("side")], { set }), 100).split("\n")).toEqual([
			expect.stringMatching(/^side serves next \(soonest-reset\): no other/),
			expect.stringMatching(/ account set of \/proj .*\/multicodex only$/),
			"1 side  the only one",
			expect.stringMatching(/^- work {2}at its cap: 80% of week left, 85% .* until .*, in 1d00h$/),
			expect.stringMatching(/^- home {2}not in the account set/),
		]);
	});

	it("says the same to a program, by ids and without a path", () => {
		const document = whyAsJson(view([capped, outside], { set }));
		expect(document.set).toEqual([anId("id-of-work"), anId("id-of-side")]);
		expect(document.candidates.map(({ gate }) => gate)).toEqual([
			{ kind: "capped", window: "7d", leftPercent: 80, floorPercent: 85, until: new Date(NOW + DAY_MS).toISOString() },
			{ kind: "not-in-set" },
		]);
		expect(JSON.stringify(document)).not.toContain("/proj");
		expect(whyAsJson(view([work]))).not.toHaveProperty("set");
	});
});

describe("why, in a pool that several machines share", () => {
	const others = [{ name: "desk", seenAt: NOW, sessions: new Map([[anId("id-of-work"), 2]]) }];
	const shared = candidate("work", { account: anAccount("work", { id: anId("id-of-work"), shared: true }) });
	const of = (overrides: Partial<SharedPoolStatus> = {}) => ({
		...view([shared, home, cooling]),
		sharedPool: aPoolStatus({ others, ...overrides }),
	});

	it("says which machines are at work on an account", () => {
		const [, first, second] = whyAsText(of(), 100).split("\n");
		expect(first).toMatch(/^1 work {2}.*; 2 sessions on desk$/);
		expect(second).not.toContain("desk");
		const document = whySchema.parse(whyAsJson(of()));
		expect(document.candidates.map((each) => each.shared)).toEqual([
			{ machines: [{ name: "desk", sessions: 2 }], renewal: "here" },
			undefined,
			undefined,
		]);
	});

	it("says who renews shared accounts if this machine does not", () => {
		const runner = whyAsText(of({ role: "runner" }), 100).split("\n");
		expect(runner[1]).toMatch(/ runner of pi: .* renewed by keepers\.$/);
		const connection = { kind: "away", since: NOW, problem: "away", text: "db.example cannot be reached." } as const;
		expect(whyAsText(of({ connection }), 100).split("\n")[1]).toMatch(
			/^The shared pool pi is away since 12:00: .* no token is renewed\./,
		);
		expect(whyAsJson(of({ connection })).candidates[0]?.shared?.renewal).toBe("waits");
	});
});
