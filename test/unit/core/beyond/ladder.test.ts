import { describe, expect, it } from "vitest";
import {
	type ChainRung,
	isIncludedOut,
	type LadderFacts,
	ladder,
	type Offer,
	type ReserveModelRung,
	type ResetCreditRung,
	type Rung,
	rungKey,
} from "../../../../src/core/beyond/ladder.ts";
import type { Candidate } from "../../../../src/core/request/candidate.ts";
import {
	type BeyondSettings,
	CREDITS_CONSENTS,
	goesOnWithOwnCredits,
	RESERVE_MODEL_CONSENTS,
} from "../../../../src/core/settings.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { planOf } from "../../plans.ts";

const week = (usedPercent: number) => ({ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS });
const FUNDED = { hasCredits: true, unlimited: false, balance: "20" };
const free = (id: string): Candidate => ({ account: anAccount(id), cooldowns: [], usage: undefined });
const funded = (id: string): Candidate => ({
	...free(id),
	usage: aSnapshot({ windows: [week(100)], credits: FUNDED }),
});
const cooling = (id: string, overrides: Parameters<typeof aCooldown>[0] = {}): Candidate => ({
	...free(id),
	cooldowns: [aCooldown(overrides)],
});
const resting = (id: string, inMs: number) => cooling(id, { reason: "rate_limit", until: NOW + inMs });

const luna = (id: string, leftPercent = 40): ReserveModelRung => ({
	kind: "reserve-model",
	account: anAccount(id),
	model: "gpt-6-luna",
	leftPercent,
});
const reset = (id: string): ResetCreditRung => ({
	kind: "reset-credit",
	account: anAccount(id),
	credit: { id: `credit of ${id}`, expiresAt: NOW + DAY_MS },
	window: "7d",
	resetsAt: NOW + 3 * DAY_MS,
});
const link = (model: string): ChainRung => ({ kind: "chain", model, isPaid: true });

const facts = (overrides: Partial<LadderFacts> = {}): LadderFacts => ({
	served: undefined,
	reserveModels: [],
	resetCredits: [],
	chain: [],
	patienceMs: MINUTE_MS,
	isAgreed: () => false,
	...overrides,
});
const settings = (overrides: Partial<BeyondSettings> = {}): BeyondSettings => ({
	credits: "own",
	reserveModel: "ask",
	chain: [],
	...overrides,
});
/** Offers as `credits a: ask`. */
const told = (offers: readonly Offer[]) => offers.map(({ rung, consent }) => `${rungKey(rung)}: ${consent}`);

describe("what may serve once all included quota is out", () => {
	const anHourAway = [funded("a"), cooling("b", { until: NOW + HOUR_MS })];
	const everything = facts({
		reserveModels: [luna("b")],
		resetCredits: [reset("b")],
		chain: [link("anthropic/claude")],
	});

	it("is offered in one order: credits, reserve model, reset credit, chain, wait", () => {
		const offers = ladder(planOf(anHourAway), settings({ credits: "ask" }), everything);
		expect(told(offers)).toEqual([
			"credits a: ask",
			"reserve-model b: ask",
			"reset-credit b credit of b: ask",
			"chain anthropic/claude: given",
			"wait: ask",
		]);
		expect(offers.filter(({ canBeRemembered }) => canBeRemembered).map(({ rung }) => rung.kind)).toEqual([
			"credits",
			"reserve-model",
		]);
	});

	// Every combination of settings, of what there is, and of what the person has agreed to.
	const combinations = CREDITS_CONSENTS.flatMap((credits) =>
		RESERVE_MODEL_CONSENTS.flatMap((reserveModel) =>
			[false, true].flatMap((isAgreed) =>
				[false, true].flatMap((hasChain) =>
					[false, true].map((isSoon) => ({ credits, reserveModel, isAgreed, hasChain, isSoon })),
				),
			),
		),
	);
	const CREDITS_ROW = { own: undefined, ask: "ask", allow: "given", never: undefined } as const;
	const RESERVE_ROW = { ask: "ask", always: "given", never: undefined } as const;
	it.each(combinations)(
		"follows the settings: credits=$credits, reserve=$reserveModel, agreed: $isAgreed, chain: $hasChain, back soon: $isSoon",
		({ credits, reserveModel, isAgreed, hasChain, isSoon }) => {
			const pool = [funded("a"), cooling("b", { until: NOW + (isSoon ? MINUTE_MS : HOUR_MS) })];
			const beyond = settings({ credits, reserveModel });
			const offers = ladder(planOf(pool), beyond, {
				...everything,
				chain: hasChain ? everything.chain : [],
				isAgreed: () => isAgreed,
			});
			const asked = (row: "ask" | "given" | undefined) => (row === "ask" && isAgreed ? "given" : row);
			const row = (key: string, consent: string | undefined) => (consent ? [`${key}: ${consent}`] : []);
			expect(told(offers)).toEqual([
				...row("credits a", asked(CREDITS_ROW[credits])),
				...row("reserve-model b", asked(RESERVE_ROW[reserveModel])),
				...row("reset-credit b credit of b", asked("ask")),
				...row("chain anthropic/claude", hasChain ? "given" : undefined),
				...row("wait", isSoon ? "given" : "ask"),
			]);
		},
	);

	it.each(CREDITS_CONSENTS)("what a session's own credits pay is left to the plan alone: credits=%s", (credits) => {
		const beyond = settings({ credits });
		const setting = { served: anId("a"), leavesOwnCredits: !goesOnWithOwnCredits(beyond) };
		const plan = planOf([funded("a"), cooling("b")], setting);
		const isUnasked = credits === "own" || credits === "allow";
		expect(plan.order.map(({ account, gate }) => [account.id, gate?.kind])).toEqual(
			isUnasked ? [["a", "credits"]] : [],
		);
		const offers = told(ladder(plan, beyond, facts({ served: anId("a") })));
		expect(offers).toEqual({ own: [], allow: [], ask: ["credits a: ask", "wait: ask"], never: ["wait: ask"] }[credits]);
	});

	it.each(CREDITS_CONSENTS)("what a pool of one pays with credits is left to the plan alone: credits=%s", (credits) => {
		const beyond = settings({ credits });
		const plan = planOf([funded("a")], { leavesOwnCredits: !goesOnWithOwnCredits(beyond) });
		expect(plan.next?.id).toBe(credits === "own" || credits === "allow" ? "a" : undefined);
	});

	it.each<[string, readonly Candidate[]]>([
		["an account has included quota left", [funded("a"), free("b")]],
		["an account with quota rests for a moment", [funded("a"), resting("b", 30_000)]],
		["an account with quota rests for longer than a request waits", [funded("a"), resting("b", HOUR_MS)]],
		["its sign-in was refused a moment ago", [funded("a"), cooling("b", { reason: "unauthorized" })]],
	])("what may serve once quota is out, is no credits, no reserve model and no reset while %s", (_name, pool) => {
		const all = facts({ reserveModels: [luna("a"), luna("b")], resetCredits: [reset("a"), reset("b")] });
		const plan = planOf(pool);
		expect(isIncludedOut(plan)).toBe(false);
		const kinds = ladder(plan, settings({ credits: "allow", reserveModel: "always" }), all).map(
			({ rung }) => rung.kind,
		);
		expect(kinds.filter((kind) => kind !== "wait")).toEqual([]);
	});

	it("is nothing while another request might still be served by an account that this one has tried", () => {
		const plan = planOf([funded("a"), free("b")], { tried: new Set([anId("b")]) });
		expect(ladder(plan, settings({ credits: "allow" }), everything).map(({ rung }) => rung.kind)).not.toContain(
			"credits",
		);
	});

	it.each<[string, readonly Candidate[]]>([
		["is off", [{ ...funded("a"), account: anAccount("a", { enabled: false }) }, cooling("b")]],
		[
			"has to sign in again",
			[{ ...funded("a"), account: anAccount("a", { needsLogin: { reason: "x", at: NOW } }) }, cooling("b")],
		],
		["is outside the account set", [{ ...funded("a"), outsideOf: "/work" }, cooling("b")]],
	])("is nothing of an account that %s", (_name, pool) => {
		const all = facts({ reserveModels: [luna("a")], resetCredits: [reset("a")] });
		const offers = ladder(planOf(pool), settings({ credits: "allow", reserveModel: "always" }), all);
		expect(told(offers)).toEqual(["wait: ask"]);
	});

	it("is nothing for a model that no account may use", () => {
		const refused = { scope: "model:gpt-5.5", reason: "model_not_supported" } as const;
		const offers = ladder(planOf([cooling("a", refused), cooling("b", refused)]), settings(), everything);
		expect(offers.map(({ rung }) => rung.kind)).toEqual(["wait"]);
	});

	it("is the chain if every account only rests, unless one is back within the wait", () => {
		const all = facts({ chain: [link("a/b"), link("c/d")] });
		expect(told(ladder(planOf([resting("a", HOUR_MS)]), settings(), all))).toEqual([
			"chain a/b: given",
			"chain c/d: given",
			"wait: ask",
		]);
		expect(told(ladder(planOf([resting("a", 30_000)]), settings(), all))).toEqual(["wait: given"]);
	});

	it("asks for the chain in a session on another model, until the person has agreed to a link", () => {
		const chain = [{ ...link("a/b"), needsYes: true }];
		const plan = planOf([resting("a", HOUR_MS)]);
		expect(told(ladder(plan, settings(), facts({ chain })))).toEqual(["chain a/b: ask", "wait: ask"]);
		const agreed = facts({ chain, isAgreed: ({ kind }) => kind === "chain" });
		expect(told(ladder(plan, settings(), agreed))).toEqual(["chain a/b: given", "wait: ask"]);
	});

	it("begins with the account that the session is on, then goes by what is left", () => {
		const pool = [funded("a"), funded("b"), cooling("c"), cooling("d"), cooling("e")];
		const all = facts({
			served: anId("b"),
			reserveModels: [luna("c", 10), luna("d"), { ...luna("e"), leftPercent: undefined }],
		});
		expect(told(ladder(planOf(pool), settings({ credits: "allow", reserveModel: "always" }), all))).toEqual([
			"credits b: given",
			"credits a: given",
			"reserve-model e: given",
			"reserve-model d: given",
			"reserve-model c: given",
			"wait: ask",
		]);
		const own = ladder(planOf(pool), settings({ reserveModel: "always" }), { ...all, served: anId("c") });
		expect(told(own)[0]).toBe("reserve-model c: given");
	});

	it("what may serve once quota is out, is one reset credit at most, the best of accounts that are out", () => {
		const all = facts({ resetCredits: [reset("z"), reset("b"), reset("a")] });
		expect(told(ladder(planOf([cooling("a"), cooling("b")]), settings(), all))).toEqual([
			"reset-credit b credit of b: ask",
			"wait: ask",
		]);
	});

	it("names the account that is back first, and whether its time is a guess", () => {
		const pool = [cooling("a", { until: NOW + 2 * HOUR_MS }), cooling("b", { until: NOW + HOUR_MS, guessed: true })];
		const [offer] = ladder(planOf(pool), settings(), facts());
		const rung: Rung = { kind: "wait", account: anAccount("b"), until: NOW + HOUR_MS, isGuess: true };
		expect(offer).toEqual({ rung, consent: "ask", canBeRemembered: false });
	});
});
