import { describe, expect, it } from "vitest";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import { firstBack, gatedIn, readyCount, TRIAL_MS } from "../../../../src/core/request/plan.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { planOf } from "../../plans.ts";

const free = (id: string, overrides: Partial<Candidate> = {}): Candidate => ({
	account: anAccount(id),
	cooldowns: [],
	usage: undefined,
	...overrides,
});
const cooling = (id: string, cooldown: Parameters<typeof aCooldown>[0] = {}, overrides: Partial<Candidate> = {}) =>
	free(id, { cooldowns: [aCooldown(cooldown)], ...overrides });
const idsIn = (rows: readonly { readonly account: { readonly id: string } }[]) => rows.map(({ account }) => account.id);
const spentWith = (credits: { hasCredits: boolean; unlimited: boolean }) =>
	aSnapshot({ windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + HOUR_MS }], credits });
const FUNDED = { hasCredits: true, unlimited: false };

describe("a plan", () => {
	it("names every account once: in the order, behind a gate, or as one that the request is done with", () => {
		const off = free("off", { account: anAccount("off", { enabled: false }) });
		const plan = planOf([free("a"), off, cooling("c"), free("d")], { tried: new Set([anId("d")]) });
		expect([idsIn(plan.order), idsIn(plan.gated), plan.passed.map(({ id }) => id)]).toEqual([
			["a"],
			["off", "c"],
			["d"],
		]);
		expect([plan.total, readyCount(plan), plan.next?.id]).toEqual([4, 1, "a"]);
	});

	it("tries accounts that refused requests lately last, the pinned one and the session's own as well", () => {
		const doubted = free("a", { isDoubted: true });
		const plan = planOf([doubted, free("b")], { pinned: anId("a"), affinity: anId("a") });
		expect(idsIn(plan.order)).toEqual(["b", "a"]);
		expect(plan.order[1]).toMatchObject({ decidedBy: "doubt" });
		expect(
			planOf([free("a"), free("b")])
				.order[0]?.terms()
				.map(({ name }) => name),
		).not.toContain("doubt");
	});

	it("says when the first account is back that is worth waiting for, if none can be tried", () => {
		const soon = cooling("a", { until: NOW + MINUTE_MS });
		const late = cooling("b", { until: NOW + HOUR_MS });
		expect(planOf([soon, late]).waitUntil).toBe(NOW + MINUTE_MS);
		expect(planOf([soon, late], { givenUp: new Set([anId("a")]) }).waitUntil).toBe(NOW + HOUR_MS);
		const retry = { at: NOW + 5000, since: NOW, access: anAccount("a").credential.access };
		expect(planOf([free("a")], { retries: new Map([[anId("a"), retry]]) }).waitUntil).toBe(NOW + 5000);
		expect(planOf([soon, free("c")]).waitUntil).toBeUndefined();
		expect(planOf([free("a", { account: anAccount("a", { enabled: false }) })]).waitUntil).toBeUndefined();
	});

	it.each([
		["the clock was set back since", { since: NOW + 1 }],
		["a token was stored since", { access: "former" }],
	])("offers an account at once that had no token if %s", (_name, overrides) => {
		const retry = { at: NOW + HOUR_MS, since: NOW, access: anAccount("a").credential.access, ...overrides };
		const plan = planOf([free("a")], { retries: new Map([[anId("a"), retry]]) });
		expect([idsIn(plan.order), plan.passed]).toEqual([["a"], []]);
		const tried = planOf([free("a")], { retries: new Map([[anId("a"), retry]]), tried: new Set([anId("a")]) });
		expect([tried.order, tried.waitUntil]).toEqual([[], NOW]);
	});

	it("leaves crowded accounts for the last, and still names one of them as the next to serve", () => {
		const usage = aSnapshot({ windows: [{ usedPercent: 50, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] });
		const setting = { served: anId("own"), liveSessions: new Map([[anId("busy"), 3]]) };
		const all = [cooling("own", { until: NOW + MINUTE_MS }), free("busy", { usage })];
		const waits = planOf(all, { ...setting, patienceMs: MINUTE_MS });
		expect([waits.order, idsIn(waits.lastResort), waits.next?.id]).toEqual([[], ["busy"], "busy"]);
		expect([waits.forRoom, waits.waitUntil, readyCount(waits)]).toEqual([true, NOW + MINUTE_MS, 1]);
		// No wait for another helps: it is an account like any other.
		const impatient = planOf(all, { ...setting, patienceMs: MINUTE_MS - 1 });
		expect([idsIn(impatient.order), impatient.forRoom]).toEqual([["busy"], false]);
	});

	it("puts bought credits behind every account with quota, for the session that is on them alone", () => {
		const own = free("own", { usage: spentWith(FUNDED) });
		const both = planOf([own, free("b")], { served: anId("own") });
		expect([idsIn(both.order), idsIn(both.lastResort)]).toEqual([["b"], ["own"]]);
		const alone = planOf([own, cooling("b")], { served: anId("own") });
		expect(alone.order).toMatchObject([{ account: { id: "own" }, gate: { kind: "credits" } }]);
		expect([readyCount(alone), alone.next?.id]).toEqual([0, "own"]);
		expect(idsIn(planOf([own, cooling("b")]).order)).toEqual([]);
	});

	it("leaves bought credits alone if an account with quota is back within the wait", () => {
		const own = free("own", { usage: spentWith(FUNDED) });
		const resting = cooling("b", { reason: "rate_limit", until: NOW + MINUTE_MS });
		const setting = { served: anId("own"), patienceMs: MINUTE_MS };
		expect(idsIn(planOf([own, resting], setting).order)).toEqual([]);
		expect(planOf([own, resting], setting).waitUntil).toBe(NOW + MINUTE_MS);
		expect(idsIn(planOf([own, resting], { ...setting, patienceMs: MINUTE_MS - 1 }).order)).toEqual(["own"]);
	});

	it("says that an account below its cap is back when the window of the cap resets, and no sooner", () => {
		const usage = aSnapshot({ windows: [{ usedPercent: 90, windowMinutes: 10_080, resetsAt: NOW + DAY_MS }] });
		const capped = { usage, floors: { "7d": 20 } };
		expect(planOf([free("a", capped)]).waitUntil).toBe(NOW + DAY_MS);
		expect(planOf([cooling("a", { until: NOW + HOUR_MS }, capped)]).waitUntil).toBe(NOW + DAY_MS);
	});

	it("names the account that is back first, and whether that is a guess", () => {
		const guess = cooling("a", { until: NOW + MINUTE_MS, guessed: true });
		expect(firstBack(planOf([cooling("b"), guess]))).toMatchObject({ account: { id: "a" }, isGuess: true });
		expect(firstBack(planOf([free("a")]))).toBeUndefined();
	});

	it("tells what keeps an account out, and until when", () => {
		const plan = planOf([cooling("a", { scope: "model:gpt-5.5", reason: "model_not_supported" })]);
		const gated = gatedIn(plan, anId("a"));
		expect(gated).toMatchObject({ gate: { kind: "cooling" }, readyAt: NOW + HOUR_MS });
		expect(gated?.blocking()).toMatchObject([{ reason: "model_not_supported" }]);
		expect(gatedIn(plan, anId("b"))).toBeUndefined();
	});
});

describe("a trial", () => {
	const AGO = NOW - 20 * MINUTE_MS;
	const guess = { until: NOW + HOUR_MS, setAt: AGO, guessed: true } as const;
	const told = { until: NOW + DAY_MS, setAt: AGO } as const;
	const usageOf = (ageMs: number) => aSnapshot({ capturedAt: NOW - ageMs, windows: [] });

	it.each<[string, Candidate, string | undefined]>([
		["whose end is a guess", cooling("a", guess), "a"],
		["whose end was told a while ago, with no usage since", cooling("a", told), "a"],
		["whose usage is old as well", cooling("a", told, { usage: usageOf(16 * MINUTE_MS) }), "a"],
	])("is offered to an account %s", (_name, candidate, expected) => {
		const { trial, next } = planOf([candidate]);
		expect([trial?.id, next]).toEqual([expected, undefined]);
	});

	it.each<[string, Candidate]>([
		["that is ready", free("a")],
		["that was refused a moment ago", cooling("a", { ...guess, setAt: NOW - TRIAL_MS + 1 })],
		["that was asked on weak evidence lately", cooling("a", guess, { trialAt: NOW - TRIAL_MS + 1 })],
		["whose usage is fresh", cooling("a", told, { usage: usageOf(5 * MINUTE_MS) })],
		[
			"with bought credits, which it would spend",
			cooling("a", guess, { usage: { ...usageOf(HOUR_MS), credits: FUNDED } }),
		],
		["that rests for another reason than quota", cooling("a", { ...guess, reason: "unauthorized" })],
		["whose workspace is disabled", cooling("a", { ...told, reason: "workspace_disabled" })],
		["that is switched off", cooling("a", guess, { account: anAccount("a", { enabled: false }) })],
		[
			"of which one limit is only a guess, and another one told and fresh",
			free("a", {
				cooldowns: [aCooldown(guess), aCooldown({ until: NOW + HOUR_MS, setAt: NOW, scope: "model:gpt-5.5" })],
			}),
		],
	])("a trial is not offered to an account %s", (_name, candidate) => {
		expect(planOf([candidate]).trial).toBeUndefined();
	});

	it("is for the weakest evidence: a guess first, then what is oldest", () => {
		const older = cooling("b", { ...told, setAt: AGO - HOUR_MS });
		expect(planOf([cooling("a", told), older, cooling("c", guess)]).trial?.id).toBe("c");
		expect(planOf([cooling("a", told), older]).trial?.id).toBe("b");
		expect(planOf([cooling("a", told), older], { tried: new Set([anId("b")]) }).trial?.id).toBe("a");
	});

	it("a trial is not put off by a trial that a wrong clock has dated ahead", () => {
		expect(planOf([cooling("a", guess, { trialAt: NOW + DAY_MS })]).trial?.id).toBe("a");
	});
});
