import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { type Offer, rungKey } from "../../../../src/core/beyond/ladder.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import type { Failure } from "../../../../src/core/request/classify.ts";
import { type Plan, plan } from "../../../../src/core/request/plan.ts";
import {
	askedOf,
	beginProgress,
	type Circumstances,
	next,
	type Progress,
	redeemed,
	type Step,
	tried,
	waited,
} from "../../../../src/core/request/request-progress.ts";
import type { Served } from "../../../../src/core/request/serve.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { planOf } from "../../plans.ts";

const free = (id: string): Candidate => ({ account: anAccount(id), cooldowns: [], usage: undefined });
const cooling = (id: string, inMs: number, overrides: Partial<Parameters<typeof aCooldown>[0]> = {}): Candidate => ({
	...free(id),
	cooldowns: [aCooldown({ until: NOW + inMs, setAt: NOW, ...overrides })],
});
/** A guess of half an hour ago. */
const weak = (id: string): Candidate => cooling(id, HOUR_MS, { setAt: NOW - 30 * MINUTE_MS, guessed: true });

/** Nothing lies beyond included quota. */
const CALM: Circumstances = { isEnabled: true, offers: [], mayAsk: true };
const LIMITS = { maxRotations: 5, maxWaitMs: MINUTE_MS };
const begun = (overrides: Partial<Progress> = {}): Progress => ({ ...beginProgress(LIMITS, undefined), ...overrides });
const failure = (overrides: Partial<Failure> = {}): Failure => ({
	kind: "usage-limit",
	remedy: "rotate",
	cooling: undefined,
	retryAfterMs: undefined,
	isSignInGone: false,
	isLeftToHost: false,
	...overrides,
});
const refusedBy = (overrides: Partial<Failure> = {}): Served => ({
	kind: "refused",
	failure: failure(overrides),
	message: "refused",
});
const noToken = (retryAt: number, why?: string) => ({ kind: "unavailable", since: NOW, retryAt, why }) as const;
/** The step as `try a`, `trial a`, `wait 30`, `give-up exhausted` or `done`. */
const told = (step: Step): string => {
	switch (step.kind) {
		case "try":
			return `${step.isTrial ? "trial" : "try"} ${step.account.id}${step.on === "included" ? "" : ` on ${step.on}`}`;
		case "wait":
			return `wait ${(step.until - NOW) / 1000}${step.forRoom ? " for room" : ""}`;
		case "give-up":
			return `give-up ${step.why}`;
		case "ask":
			return `ask for ${step.offers.map(({ rung }) => rungKey(rung)).join(", ")}`;
		case "redeem":
		case "hand-over":
			return rungKey(step.rung);
		case "done":
			return "done";
	}
};

describe("the next step of a request", () => {
	const crowdedSetting = { served: anId("own"), liveSessions: new Map([[anId("busy"), 3]]), patienceMs: MINUTE_MS };
	const busy: Candidate = {
		...free("busy"),
		usage: aSnapshot({ windows: [{ usedPercent: 50, windowMinutes: 300, resetsAt: NOW + HOUR_MS }] }),
	};

	it.each<[string, Plan, Partial<Progress>, string]>([
		["tries the first account of the plan", planOf([free("a"), free("b")]), {}, "try a"],
		["tries it also where the extension was switched off meanwhile", planOf([free("a")]), {}, "try a"],
		["is over once the final event is out", planOf([free("a")]), { isFinished: true }, "done"],
		["gives up without an account", planOf([]), {}, "give-up exhausted"],
		["waits for an account that is back soon", planOf([cooling("a", 30_000)]), {}, "wait 30"],
		["waits as long as the person allows", planOf([cooling("a", 60_000)]), {}, "wait 60"],
		["gives up where the first is back too late", planOf([cooling("a", 61_000)]), {}, "give-up exhausted"],
		["gives up where the wait is used up", planOf([cooling("a", 1000)]), { waitBudgetMs: 0 }, "give-up exhausted"],
		[
			"gives up where less of the wait is left",
			planOf([cooling("a", 2000)]),
			{ waitBudgetMs: 1999 },
			"give-up exhausted",
		],
		["asks on weak evidence with no account left", planOf([weak("a")]), {}, "trial a"],
		["asks on weak evidence once", planOf([weak("a")]), { hadTrial: true }, "give-up exhausted"],
		["rather waits a moment than asks on weak evidence", planOf([weak("a"), cooling("b", 30_000)]), {}, "wait 30"],
		[
			"rather asks on weak evidence than waits for hours",
			planOf([weak("a"), cooling("b", 10 * MINUTE_MS)]),
			{ waitBudgetMs: 8 * HOUR_MS },
			"trial a",
		],
		["waits for room", planOf([cooling("own", 30_000), busy], crowdedSetting), {}, "wait 30 for room"],
		[
			"takes a crowded account where no wait helps, before any trial",
			planOf([cooling("own", 30_000), busy, weak("c")], crowdedSetting),
			{ waitBudgetMs: 0 },
			"try busy",
		],
		[
			"waits rather than ends for an account on weak evidence past the limit of rotations",
			planOf([weak("a"), cooling("b", 10 * MINUTE_MS)]),
			{ attempts: 6, rotations: 5, previous: anAccount("z"), waitBudgetMs: 8 * HOUR_MS },
			"wait 600",
		],
		[
			"stops after two lost sign-ins in a row",
			planOf([free("a")]),
			{ signedOutInARow: 2 },
			"give-up signed-out-in-a-row",
		],
		[
			"stops after as many rotations as the person allows",
			planOf([free("a")]),
			{ attempts: 6, rotations: 5, previous: anAccount("z") },
			"give-up exhausted",
		],
		[
			"comes to the account that it is on without a rotation",
			planOf([free("a")]),
			{ attempts: 6, rotations: 5, previous: anAccount("a") },
			"try a",
		],
		[
			"comes back without a rotation to an account that it had only waited for",
			planOf([free("a")]),
			{ attempts: 6, rotations: 5, previous: anAccount("z"), visited: new Set([anId("a"), anId("z")]) },
			"try a",
		],
	])("%s", (_name, aPlan, past, expected) => {
		expect(told(next(begun(past), aPlan, CALM))).toBe(expected);
	});

	it.each([
		["an account is ready", planOf([free("a")]), "try a"],
		["it would wait", planOf([cooling("a", 30_000)]), "give-up switched-off"],
		["it would ask on weak evidence", planOf([weak("a")]), "give-up switched-off"],
	])("takes no heed of, or ends for, an extension that was switched off: %s", (_name, aPlan, expected) => {
		expect(told(next(begun(), aPlan, { ...CALM, isEnabled: false }))).toBe(expected);
	});

	it("goes to no more accounts beyond included quota than the person allows", () => {
		const offers = [aCreditsOffer(anId("a")), aCreditsOffer(anId("b"))];
		const past = begun({
			attempts: 6,
			rotations: 5,
			previous: anAccount("z"),
			visited: new Set([anId("b"), anId("z")]),
		});
		expect(told(next(past, planOf([cooling("a", HOUR_MS), cooling("b", HOUR_MS)]), { ...CALM, offers }))).toBe(
			"try b on credits",
		);
	});

	it("tries credits of an account once, whatever that try comes to", () => {
		const offers = [aCreditsOffer(anId("a"))];
		const dry = planOf([cooling("a", HOUR_MS)]);
		const step = next(begun(), dry, { ...CALM, offers });
		if (step.kind !== "try") throw new Error("credits with a yes are tried");
		expect(told(step)).toBe("try a on credits");
		expect(told(next(tried(begun(), step, refusedBy()), dry, { ...CALM, offers }))).toBe("give-up exhausted");
	});

	it("spends nothing beyond included quota while a refusal may be the fault of the request itself", () => {
		const offers = [aCreditsOffer(anId("a"))];
		const probing = tried(begun(), aTry(anId("z")), refusedBy({ remedy: "try-elsewhere-once" }));
		expect(told(next(probing, planOf([cooling("a", HOUR_MS)]), { ...CALM, offers }))).toBe("give-up exhausted");
	});

	it("tells the account whether another one could serve", () => {
		const others = (step: Step) => (step.kind === "try" ? step.others : undefined);
		expect(others(next(begun(), planOf([free("a")]), CALM))).toEqual({ hasNext: false, mayTryElsewhere: false });
		const two = planOf([free("a"), free("b")]);
		expect(others(next(begun(), two, CALM))).toEqual({ hasNext: true, mayTryElsewhere: true });
		const probing = tried(begun(), aTry(anId("z")), refusedBy({ remedy: "try-elsewhere-once" }));
		expect(others(next(probing, two, CALM))).toEqual({ hasNext: true, mayTryElsewhere: false });
		const last = begun({ attempts: 1, rotations: 4, previous: anAccount("z") });
		expect(others(next(last, two, CALM))).toEqual({ hasNext: true, mayTryElsewhere: false });
	});
});

function aCreditsOffer(id: AccountId): Offer {
	const rung = { kind: "credits", account: anAccount(id), balance: undefined } as const;
	return { rung, consent: "given", canBeRemembered: true };
}

function aTry(id: AccountId) {
	const step = next(begun(), planOf([free(id)]), CALM);
	if (step.kind !== "try") throw new Error("an account that is ready is tried");
	return step;
}

describe("what a request remembers", () => {
	it("offers no account again before a wait, and one that refused twice never", () => {
		const once = tried(begun(), aTry(anId("a")), refusedBy());
		expect(askedOf(once)).toMatchObject({ tried: new Set(["a"]), givenUp: new Set() });
		const later = waited(once, 1000);
		expect(askedOf(later)).toMatchObject({ tried: new Set(), patienceMs: MINUTE_MS - 1000 });
		const twice = waited(tried(later, aTry(anId("a")), refusedBy()), 1000);
		expect(askedOf(twice)).toMatchObject({ tried: new Set(["a"]), givenUp: new Set(["a"]) });
	});

	it("does not come back to an account whose refusal may be the request's fault", () => {
		const suspect = waited(tried(begun(), aTry(anId("a")), refusedBy({ remedy: "try-elsewhere-once" })), 1000);
		expect(suspect.suspects).toHaveLength(1);
		expect(askedOf(suspect).givenUp).toEqual(new Set(["a"]));
	});

	it("comes back to an account that has refused twice once a reset credit has filled it, and spends that credit once", () => {
		const credit = { id: "credit", expiresAt: NOW + HOUR_MS };
		const rung = { kind: "reset-credit", account: anAccount("a"), credit, window: "7d", resetsAt: undefined } as const;
		const offers: Offer[] = [{ rung, consent: "given", canBeRemembered: false }];
		const once = waited(tried(begun(), aTry(anId("a")), refusedBy()), 1000);
		const twice = tried(once, aTry(anId("a")), refusedBy());
		const dry = planOf([cooling("a", HOUR_MS)]);
		expect(askedOf(twice).givenUp).toEqual(new Set(["a"]));
		expect(told(next(twice, dry, { ...CALM, offers }))).toBe("reset-credit a credit");
		const filled = redeemed(twice, rung);
		expect(askedOf(filled)).toMatchObject({ tried: new Set(), givenUp: new Set() });
		expect(told(next(filled, dry, { ...CALM, offers }))).toBe("give-up exhausted");
	});

	it("comes back to an account without a token when that may be asked for again, and not before", () => {
		const retryAt = NOW + 20_000;
		const without = waited(tried(begun(), aTry(anId("a")), noToken(retryAt)), 1000);
		const at = (now: number) => planOf([free("a")], { ...askedOf(without), now });
		expect(told(next(without, at(NOW), CALM))).toBe("wait 20");
		expect(told(next(without, at(retryAt), CALM))).toBe("try a");
	});

	it("waits for no account that no try helps before the person has changed something", () => {
		const unable = tried(begun(), aTry(anId("a")), noToken(NOW + 20_000, "untrusted"));
		expect([unable.obstacle, unable.refusals.size]).toEqual(["untrusted", 0]);
		expect(told(next(unable, planOf([free("a")], askedOf(unable)), CALM))).toBe("give-up exhausted");
		const later = waited(unable, 1000);
		const plan = planOf([free("a"), cooling("b", 30_000)], { ...askedOf(later), now: NOW + 20_000 });
		expect(told(next(later, plan, CALM))).toBe("wait 30");
	});

	it("counts sign-ins that are lost one after the other, and no others", () => {
		const lost: Served = { kind: "signed-out" };
		const once = tried(begun(), aTry(anId("a")), lost);
		expect(tried(once, aTry(anId("b")), lost).signedOutInARow).toBe(2);
		expect(tried(once, aTry(anId("b")), refusedBy()).signedOutInARow).toBe(0);
		expect(tried(once, aTry(anId("b")), refusedBy({ isSignInGone: true })).signedOutInARow).toBe(2);
		expect(tried(once, aTry(anId("b")), refusedBy({ remedy: "close-account" })).signedOutInARow).toBe(2);
	});
});

describe("any course of steps", () => {
	const outcome = fc.constantFrom<"limit" | "brief" | "suspect" | "no-token" | "signed-out" | "answer">(
		...(["limit", "limit", "brief", "suspect", "no-token", "signed-out", "answer"] as const),
	);
	const course = fc.record({
		cools: fc.array(fc.constantFrom(undefined, undefined, 500, 20_000, 50_000, HOUR_MS), {
			minLength: 1,
			maxLength: 9,
		}),
		weak: fc.nat(8),
		outcomes: fc.array(outcome, { minLength: 60, maxLength: 60 }),
		maxRotations: fc.nat(6),
		maxWaitMs: fc.constantFrom(0, 1000, MINUTE_MS, 10 * MINUTE_MS),
		slowMs: fc.nat(5000),
	});

	it("ends within its bounds, tries no account too often, and none behind a gate but in one trial", () => {
		let waits = 0;
		let trials = 0;
		fc.assert(
			fc.property(course, ({ cools, weak: weakAt, outcomes, maxRotations, maxWaitMs, slowMs }) => {
				let now = NOW;
				const candidates = cools.map((inMs, at) => {
					if (inMs === undefined) return free(`a${at}`);
					return at === weakAt ? weak(`a${at}`) : cooling(`a${at}`, inMs);
				});
				let progress = beginProgress({ maxRotations, maxWaitMs }, undefined);
				const tries: AccountId[] = [];
				const refusals = new Map<AccountId, number>();
				let waitedMs = 0;
				let hadTrial = false;
				for (let steps = 0; ; steps += 1) {
					expect(steps).toBeLessThan(5000);
					const asked = { modelId: "m", sessionId: aSessionId("s"), affinity: undefined, ...askedOf(progress) };
					const aPlan = plan(asked, {
						now,
						candidates,
						pinned: undefined,
						liveSessions: new Map(),
						lastChosen: undefined,
						policy: "in-order",
						reserve: {},
					});
					const step = next(progress, aPlan, CALM);
					if (step.kind === "give-up" || step.kind === "done") break;
					if (step.kind === "wait") {
						waits += 1;
						expect(step.until - now).toBeLessThanOrEqual(maxWaitMs - waitedMs);
						const tookMs = Math.min(1000, Math.max(250, step.until - now), step.budgetMs);
						waitedMs += tookMs;
						now += tookMs;
						progress = waited(progress, tookMs);
						continue;
					}
					if (step.kind !== "try") throw new Error(`there is nothing for ${step.kind}`);
					const { account, isTrial } = step;
					const own = candidates.find((each) => each.account.id === account.id);
					expect(own?.cooldowns.some(({ until }) => until > now)).toBe(isTrial);
					if (isTrial) {
						trials += 1;
						expect(hadTrial).toBe(false);
						hadTrial = true;
					}
					tries.push(account.id);
					now += slowMs;
					const how = outcomes[tries.length % outcomes.length];
					const index = candidates.findIndex((each) => each.account.id === account.id);
					const forMs = how === "limit" ? HOUR_MS : 3000;
					if (how !== "no-token") refusals.set(account.id, (refusals.get(account.id) ?? 0) + 1);
					if (how === "limit" || how === "brief") {
						candidates[index] = { ...free(account.id), cooldowns: [aCooldown({ until: now + forMs, setAt: now })] };
					}
					if (how === "signed-out") {
						const needsLogin = { reason: "revoked", at: now };
						candidates[index] = { ...free(account.id), account: anAccount(account.id, { needsLogin }) };
					}
					progress = tried(progress, step, servedAs(how, now));
				}
				expect(new Set(tries).size).toBeLessThanOrEqual(maxRotations + 1);
				expect(Math.max(0, ...refusals.values())).toBeLessThanOrEqual(2);
				expect(waitedMs).toBeLessThanOrEqual(maxWaitMs);
				if (maxWaitMs === 0) expect(new Set(tries).size).toBe(tries.length);
			}),
			runs(160, 1000),
		);
		expect(waits).toBeGreaterThan(100);
		expect(trials).toBeGreaterThan(10);
	});

	function servedAs(how: string | undefined, now: number): Served {
		if (how === "answer") return { kind: "finished", failure: undefined };
		if (how === "signed-out") return { kind: "signed-out" };
		if (how === "no-token") return { ...noToken(now + 2000), since: now };
		return refusedBy(how === "suspect" ? { remedy: "try-elsewhere-once" } : {});
	}
});
