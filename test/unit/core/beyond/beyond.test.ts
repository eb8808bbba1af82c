import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import type { BeyondSources } from "../../../../src/core/beyond/beyond.ts";
import type { DryAnswer, Offer, Rung } from "../../../../src/core/beyond/ladder.ts";
import { rungKey } from "../../../../src/core/beyond/ladder.ts";
import { decisionOf } from "../../../../src/core/decision.ts";
import { type AccountId, entriesById } from "../../../../src/core/ids.ts";
import type { Redemption } from "../../../../src/core/ports.ts";
import { creditsUntil } from "../../../../src/core/quota.ts";
import { gateOf, isOnlyResting } from "../../../../src/core/request/candidate.ts";
import { notRedeemed } from "../../../../src/core/request/turn-texts.ts";
import type { BeyondSettings } from "../../../../src/core/settings.ts";
import type { ReserveModel, UsageSnapshot } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW, settled } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { answered, createHarnessWith, gaveUp, type Harness, MODEL, refused } from "../../harness.ts";

const FUNDED = { hasCredits: true, unlimited: false, balance: "20" };
const week = (usedPercent: number) => ({ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS });
const fiveHours = { usedPercent: 10, windowMinutes: 300, resetsAt: NOW + HOUR_MS };
const LUNA: ReserveModel = {
	limitId: "base_model_inference",
	wireModel: "gpt-reserve",
	visibleModel: MODEL.id,
	windows: [{ usedPercent: 60, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS }],
};
const usageLimit = refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 7200 } });

type Ask = (offers: readonly Offer[], signal: AbortSignal | undefined) => DryAnswer | Promise<DryAnswer>;

/** A world whose included quota is out, and a person who answers. */
interface World {
	readonly harness: Harness;
	/** What was offered, one entry a question. */
	readonly questions: (readonly Offer[])[];
	readonly redeemed: string[];
}

interface Setting {
	readonly beyond?: Partial<BeyondSettings>;
	readonly ask?: Ask;
	readonly sources?: BeyondSources;
	/** What is known of each account besides that its week is spent. */
	readonly accounts: Readonly<Record<string, Partial<UsageSnapshot>>>;
	/** Of an account whose reset credit can be redeemed. */
	readonly redeem?: (account: AccountId, signal: AbortSignal | undefined) => Redemption | Promise<Redemption>;
}

function aSpentPool({ beyond, ask, sources, accounts, redeem }: Setting): World {
	const questions: (readonly Offer[])[] = [];
	const redeemed: string[] = [];
	const harness = createHarnessWith(
		{
			...(ask && {
				question: {
					ask: async (offers, signal) => {
						questions.push(offers);
						return ask(offers, signal);
					},
				},
			}),
			...(redeem && {
				resets: {
					refreshStale: async () => undefined,
					redeem: async ({ id }, _credit, signal) => {
						redeemed.push(id);
						return redeem(id, signal);
					},
				},
			}),
			...sources,
		},
		...Object.keys(accounts).map((id) => anAccount(id)),
	);
	harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, ...beyond } };
	for (const [id, usage] of entriesById(accounts)) {
		harness.pool.noteUsage(id, aSnapshot({ source: "api", windows: [fiveHours, week(100)], ...usage }));
		if (usage.resetCredits) {
			const credits = [{ id: `credit of ${id}`, expiresAt: NOW + DAY_MS }];
			harness.state.statusById.set(id, { ...harness.state.status(id), resetCredits: { askedAt: NOW, credits } });
		}
	}
	return { harness, questions, redeemed };
}

const offered = (offers: readonly Offer[] | undefined) => offers?.map(({ rung }) => rungKey(rung));
/** Says yes to the first offer of a kind. */
const yesTo =
	(kind: Rung["kind"]): Ask =>
	(offers) => {
		const rung = offers.find((offer) => offer.rung.kind === kind)?.rung;
		return rung ? { kind: "take", rung, forToday: false } : { kind: "stop" };
	};
const told = ({ harness }: World, type: string) => harness.told.filter((event) => event.type === type);
const never = () => new Promise<never>(() => undefined);

describe("a request of a pool that is out", () => {
	it("asks before it spends credits if the settings say so, once a turn, and again in the next one", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask" },
			ask: yesTo("credits"),
			accounts: { a: { credits: FUNDED }, b: {} },
		});
		for (let time = 0; time < 3; time += 1) expect((await world.harness.ask()).text).toBe("from a");
		expect(world.questions.map(offered)).toEqual([["credits a", "wait"]]);
		expect(told(world, "on-credits")).toHaveLength(1);
		world.harness.deps.beyond.beginTurn();
		expect((await world.harness.ask()).text).toBe("from a");
		expect(world.questions).toHaveLength(2);
	});

	it("a yes to this turn does not count if the next turn is looked at", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask" },
			ask: yesTo("credits"),
			accounts: { a: { credits: FUNDED } },
		});
		await world.harness.ask();
		const { pool, beyond } = world.harness.deps;
		const plan = pool.plan({ modelId: MODEL.id, sessionId: aSessionId("s"), affinity: anId("a") });
		const consents = (isNextTurn: boolean) =>
			beyond
				.offers(plan, { request: undefined, served: anId("a"), patienceMs: 0, isNextTurn })
				.flatMap(({ rung, consent }) => (rung.kind === "credits" ? [consent] : []));
		expect([consents(false), consents(true)]).toEqual([["given"], ["ask"]]);
		expect([beyond.mayAsk(), beyond.mayAsk(true)]).toEqual([false, true]);
	});

	it("ends in its error after a no, without another question in the same turn", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask" },
			ask: () => ({ kind: "stop" }),
			accounts: { a: { credits: FUNDED } },
		});
		for (let time = 0; time < 2; time += 1) {
			const outcome = await world.harness.ask();
			expect([outcome.words, outcome.ends]).toEqual([gaveUp(world.harness), 1]);
		}
		expect(world.questions).toHaveLength(1);
		expect(world.harness.tries).toEqual([]);
	});

	it("asks no one and spends nothing if the settings forbid it, not even of its own account", async () => {
		const world = aSpentPool({
			beyond: { credits: "never" },
			ask: yesTo("credits"),
			accounts: { a: { credits: FUNDED } },
		});
		world.harness.affinity.served(aSessionId("s"), anId("a"));
		expect((await world.harness.ask()).words).toBe(gaveUp(world.harness));
		expect([world.questions, world.harness.tries]).toEqual([[], []]);
	});

	it("moves onto the credits of any account if the settings allow it", async () => {
		const world = aSpentPool({
			beyond: { credits: "allow" },
			ask: yesTo("wait"),
			accounts: { a: {}, b: { credits: FUNDED } },
		});
		world.harness.affinity.served(aSessionId("s"), anId("a"));
		expect((await world.harness.ask()).text).toBe("from b");
		expect(world.questions).toEqual([]);
	});

	it.each([
		["no person can be asked", (): DryAnswer => ({ kind: "unavailable" })],
		["the question fails", () => Promise.reject(new Error("no screen"))],
	])("does only what the settings allow if %s", async (_name, ask) => {
		const accounts = { a: { credits: FUNDED }, b: { reserveModel: LUNA } };
		const strict = aSpentPool({ beyond: { credits: "ask" }, ask, accounts });
		expect((await strict.harness.ask()).words).toBe(gaveUp(strict.harness));
		expect(strict.harness.tries).toEqual([]);
		const open = aSpentPool({ beyond: { credits: "ask", reserveModel: "always" }, ask, accounts });
		expect((await open.harness.ask()).text).toBe("from b");
		expect(told(open, "on-reserve-model")).toHaveLength(1);
	});

	it("tells of a question that fails as of a defect", async () => {
		const ask = () => Promise.reject(new TypeError("no screen"));
		const world = aSpentPool({ beyond: { credits: "ask" }, ask, accounts: { a: { credits: FUNDED } } });
		await world.harness.ask();
		expect(told(world, "defect")).toHaveLength(1);
	});

	it("has one final event when it is given up while its question stands, which is taken away", async () => {
		const giveUp = new AbortController();
		let question: AbortSignal | undefined;
		const ask: Ask = (_offers, signal) => {
			question = signal;
			return never();
		};
		const world = aSpentPool({ beyond: { credits: "ask" }, ask, accounts: { a: { credits: FUNDED } } });
		world.harness.onPause = () => {
			if (world.harness.pauses.length === 3) giveUp.abort();
		};
		const { events, ends } = await world.harness.ask({ signal: giveUp.signal });
		expect([events.map(({ type }) => type), events.at(-1), ends]).toMatchObject([["error"], { reason: "aborted" }, 1]);
		expect([question?.aborted, world.harness.tries]).toEqual([true, []]);
	});

	it("goes on by itself, and takes its question away, when quota is back meanwhile", async () => {
		let question: AbortSignal | undefined;
		const ask: Ask = (_offers, signal) => {
			question = signal;
			return never();
		};
		const world = aSpentPool({ beyond: { credits: "ask" }, ask, accounts: { a: { credits: FUNDED }, b: {} } });
		const { harness } = world;
		harness.onPause = () => {
			if (harness.pauses.length < 5) return;
			harness.pool.noteUsage(
				anId("b"),
				aSnapshot({ source: "api", capturedAt: harness.clock.at, windows: [week(10)] }),
			);
			if (harness.pauses.length === 5) void harness.pool.clearCooldowns();
		};
		expect((await harness.ask()).text).toBe("from b");
		expect([question?.aborted, harness.rechecks > 0]).toEqual([true, true]);
	});

	it("ends as one that was switched off, when that happens while its question stands", async () => {
		const world = aSpentPool({ beyond: { credits: "ask" }, ask: never, accounts: { a: { credits: FUNDED } } });
		world.harness.onPause = () => {
			world.harness.settings = { ...world.harness.settings, enabled: false };
		};
		expect((await world.harness.ask()).words).toContain("turned off");
	});

	it("does not count the time of its question as a wait", async () => {
		const world = aSpentPool({ beyond: { credits: "ask" }, accounts: { a: { credits: FUNDED }, b: {} }, ask: never });
		const { harness } = world;
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, maxWaitMs: 30_000 } };
		const rest = (inMs: number) => ({ cooldowns: [aCooldown({ until: harness.clock.at + inMs })], strikes: 0 });
		harness.state.statusById.set(anId("b"), rest(HOUR_MS));
		// After more than the longest wait `b` is known to be back soon.
		harness.onPause = () => {
			if (harness.pauses.length === 60) harness.state.statusById.set(anId("b"), rest(0));
		};
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.clock.at - NOW).toBeGreaterThan(30_000);
	});

	it("waits for as long as the person says, however short its own wait", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask", reserveModel: "always" },
			ask: yesTo("wait"),
			accounts: { a: { credits: FUNDED }, b: { reserveModel: LUNA } },
		});
		const { harness } = world;
		harness.state.statusById.set(anId("b"), {
			...harness.state.status(anId("b")),
			cooldowns: [aCooldown({ until: NOW + 5 * MINUTE_MS })],
			usage: undefined,
		});
		expect((await harness.ask()).text).toBe("from b");
		expect([harness.clock.at - NOW >= 5 * MINUTE_MS, told(world, "on-reserve-model")]).toEqual([true, []]);
	});

	it("leaves a rung that failed for the next one that needs no yes, each once", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask", reserveModel: "always" },
			ask: yesTo("credits"),
			accounts: { a: { credits: FUNDED }, b: { reserveModel: LUNA } },
		});
		world.harness.play("a", usageLimit);
		world.harness.play("b", usageLimit);
		const outcome = await world.harness.ask();
		expect([outcome.words, outcome.ends]).toEqual([gaveUp(world.harness), 1]);
		expect([world.harness.tries, world.questions.length]).toEqual([["a", "b"], 1]);
	});

	it("redeems a reset credit after a yes, and goes on with what that gives back", async () => {
		const world = aSpentPool({
			ask: yesTo("reset-credit"),
			accounts: { a: {}, b: { resetCredits: 1 } },
			redeem: (id) => {
				const full = { ...fiveHours, usedPercent: 0 };
				const usage = aSnapshot({ source: "api", windows: [full, week(0)] });
				world.harness.state.statusById.set(id, { cooldowns: [], strikes: 0, usage });
				return { kind: "redeemed" };
			},
		});
		world.harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown({ until: NOW + DAY_MS })], strikes: 0 });
		expect((await world.harness.ask()).text).toBe("from b");
		expect([world.redeemed, offered(world.questions[0])]).toEqual([["b"], ["reset-credit b credit of b", "wait"]]);
	});

	it("takes its redemption back, as far as that is possible, when it is given up meanwhile", async () => {
		const giveUp = new AbortController();
		let redemption: AbortSignal | undefined;
		const world = aSpentPool({
			ask: yesTo("reset-credit"),
			accounts: { a: { resetCredits: 1 } },
			redeem: (_id, signal) => {
				redemption = signal;
				giveUp.abort();
				return never();
			},
		});
		const { events, ends } = await world.harness.ask({ signal: giveUp.signal });
		expect([events.at(-1), ends]).toMatchObject([{ reason: "aborted" }, 1]);
		expect(redemption?.aborted).toBe(true);
	});

	it("says once that a reset failed, and does not try it again in that turn", async () => {
		const failed = { kind: "failed", reason: "no answer", until: NOW + MINUTE_MS } as const;
		const world = aSpentPool({
			ask: yesTo("reset-credit"),
			accounts: { a: { resetCredits: 1 } },
			redeem: () => failed,
		});
		for (let time = 0; time < 3; time += 1) expect((await world.harness.ask()).words).toBe(gaveUp(world.harness));
		expect([world.redeemed, world.questions.length]).toEqual([["a"], 1]);
		expect(told(world, "warning")).toMatchObject([{ text: notRedeemed("a", "no answer") }]);
	});

	it("gives up the lists of reset credits that it has waited five seconds for", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		try {
			let loading: AbortSignal | undefined;
			const resets: BeyondSources["resets"] = {
				refreshStale: (signal) => {
					loading = signal;
					return never();
				},
				redeem: never,
			};
			const world = aSpentPool({ sources: { resets }, accounts: { a: {} } });
			const asking = world.harness.ask();
			await vi.advanceTimersByTimeAsync(4999);
			expect(loading?.aborted).toBe(false);
			await vi.advanceTimersByTimeAsync(1);
			expect((await asking).words).toBe(gaveUp(world.harness));
			expect(loading?.aborted).toBe(true);
		} finally {
			vi.useRealTimers();
		}
	});

	it("names in its error the model to choose by hand, if a link of the chain answers there", async () => {
		const wayOn = () => ({ model: "openai-codex/pool", link: "anthropic/claude" });
		const chain = { links: () => [], wayOn, handOver: async () => "" };
		const world = aSpentPool({ sources: { chain }, accounts: { a: {} } });
		expect((await world.harness.ask()).words).toContain("/model openai-codex/pool switches to anthropic/claude.");
	});

	it("is left to the chain, with the words after which pi asks again", async () => {
		const links = () => [{ kind: "chain", model: "anthropic/claude", isPaid: true } as const];
		const handOver = async ({ model }: { model: string }) => `${model} takes over`;
		const chain = { links, wayOn: () => undefined, handOver };
		const world = aSpentPool({ sources: { chain }, accounts: { a: {} } });
		expect((await world.harness.ask()).words).toBe("anthropic/claude takes over");
	});

	it("goes by a yes for the whole day without a question, but redeems nothing by it", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask" },
			ask: () => ({ kind: "stop" }),
			sources: { consents: { holds: () => true } },
			accounts: { a: { resetCredits: 1 }, b: { credits: FUNDED } },
			redeem: () => ({ kind: "redeemed" }),
		});
		expect((await world.harness.ask()).text).toBe("from b");
		world.harness.play("b", usageLimit);
		await world.harness.ask();
		expect([world.redeemed, offered(world.questions[0])]).toEqual([[], ["reset-credit a credit of a", "wait"]]);
	});

	it("asks nothing while the request itself may be at fault", async () => {
		const world = aSpentPool({
			beyond: { credits: "ask" },
			ask: yesTo("credits"),
			accounts: { a: { credits: FUNDED }, b: {} },
		});
		world.harness.state.statusById.set(anId("b"), { cooldowns: [], strikes: 0 });
		world.harness.play("b", refused(403));
		await world.harness.ask();
		expect([world.harness.tries, world.questions]).toEqual([["b"], []]);
	});

	it("logs each move between what a session is served from", async () => {
		const world = aSpentPool({ accounts: { a: { credits: FUNDED }, b: {} } });
		const { harness } = world;
		harness.affinity.served(aSessionId("s"), anId("a"));
		for (let time = 0; time < 2; time += 1) await harness.ask();
		await harness.pool.clearCooldowns();
		harness.pool.noteUsage(anId("b"), aSnapshot({ source: "api", capturedAt: NOW + 1, windows: [week(10)] }));
		for (let time = 0; time < 2; time += 1) await harness.ask();
		const kinds = told(world, "source-changed").map((event) => decisionOf(event));
		expect(kinds).toMatchObject([
			{ kind: "on-credits", account: "a", until: NOW + 3 * DAY_MS, session: "s" },
			{ kind: "on-included", account: "b" },
		]);
		expect(told(world, "on-credits").map((event) => decisionOf(event))).toEqual([undefined]);
	});
});

it("each session keeps what it is served from while another one is at work between", async () => {
	const world = aSpentPool({ accounts: { a: { credits: FUNDED } } });
	const { harness } = world;
	const { beyond } = harness.deps;
	for (const sessionId of [aSessionId("one"), aSessionId("two"), aSessionId("one"), aSessionId("two")]) {
		harness.affinity.begin(sessionId, anId("a"), NOW);
		await harness.ask({ sessionId });
	}
	expect(told(world, "source-changed").map((event) => decisionOf(event)?.session)).toEqual(["one", "two"]);
	expect(["one", "two", "three"].map(aSessionId).map((session) => beyond.source(session)?.on)).toEqual([
		"credits",
		"credits",
		undefined,
	]);
});

it("a session that begins beyond included quota says on what", async () => {
	const groundsOf = async (accounts: Setting["accounts"], beyond: Partial<BeyondSettings>) => {
		const world = aSpentPool({ beyond, accounts });
		await world.harness.ask();
		return told(world, "chosen").map((event) => decisionOf(event)?.decidedBy);
	};
	expect(await groundsOf({ a: { reserveModel: LUNA }, b: {} }, { reserveModel: "always" })).toEqual(["reserve-model"]);
	expect(await groundsOf({ a: { credits: FUNDED }, b: {} }, { credits: "allow" })).toEqual(["credits"]);
});

describe("the error of a pool that is out", () => {
	it.each<[string, Setting["accounts"], RegExp]>([
		["nothing new if nothing else is left", { a: {}, b: {} }, /^$/],
		["of credits", { a: { credits: FUNDED }, b: {} }, /^Bought credits are left: \/multicodex beyond .*them serve\. $/],
		[
			"of Luna Reserve",
			{ a: {}, b: { reserveModel: LUNA } },
			/^Luna Reserve is left: \/multicodex beyond .*it serve\. $/,
		],
		[
			"of all of it",
			{ a: { credits: FUNDED, reserveModel: LUNA }, b: { resetCredits: 1 } },
			/^Bought credits and Luna Reserve are left: \/multicodex beyond .* 1 reset credit .*: \/multicodex redeem\. $/,
		],
	])("tells what could have served: %s", async (_name, accounts, left) => {
		const { harness } = aSpentPool({ accounts, redeem: () => ({ kind: "redeemed" }) });
		const { words } = await harness.ask();
		const [, between] =
			/^Codex quota .* all 2 accounts\. .* in 3d00h \(\w+ \d\d:\d\d\)\. (.*)\/multicodex .*, \/model /.exec(
				words ?? "",
			) ?? [];
		expect(between).toMatch(left);
	});
});

it("two requests of one turn that ask at once get one answer each, and spend by it alone", async () => {
	const world = aSpentPool({ beyond: { credits: "ask" }, ask: yesTo("credits"), accounts: { a: { credits: FUNDED } } });
	const outcomes = await Promise.all([world.harness.ask(), world.harness.ask({ sessionId: "summary" })]);
	expect(outcomes.map(({ text }) => text)).toEqual(["from a", "from a"]);
});

it("two requests of one turn share the yes to a reset credit while it is redeemed", async () => {
	const world = aSpentPool({
		ask: yesTo("reset-credit"),
		accounts: { a: { resetCredits: 1 } },
		redeem: async (id) => {
			await settled();
			const usage = aSnapshot({ source: "api", windows: [{ ...fiveHours, usedPercent: 0 }, week(0)] });
			world.harness.state.statusById.set(id, { cooldowns: [], strikes: 0, usage });
			return { kind: "redeemed" };
		},
	});
	const outcomes = await Promise.all([world.harness.ask(), world.harness.ask({ sessionId: "summary" })]);
	expect(outcomes.map(({ text }) => text)).toEqual(["from a", "from a"]);
});

describe("money, credits and resets", () => {
	const ids = ["a", "b", "c"].map(anId);
	const aSetting = fc.record({
		credits: fc.constantFrom("own" as const, "ask" as const, "ask" as const, "allow" as const, "never" as const),
		reserveModel: fc.constantFrom("ask" as const, "ask" as const, "always" as const, "never" as const),
		hasChain: fc.constantFrom(true, false, false),
	});
	const aState = fc.record({
		id: fc.constantFrom(...ids),
		usedPercent: fc.constantFrom(10, 100, 100, 100, 100, 100),
		hasCredits: fc.boolean(),
		hasReserve: fc.boolean(),
		hasReset: fc.boolean(),
		resetsInMs: fc.constantFrom(MINUTE_MS, 3 * DAY_MS, 3 * DAY_MS),
	});
	const anAnswer = fc.constantFrom("yes", "yes", "second", "second", "stop", "none", "kill", "kill");
	const aStep = fc.oneof(
		{ weight: 6, arbitrary: fc.record({ type: fc.constant("usage" as const), state: aState }) },
		{
			weight: 4,
			arbitrary: fc.record({ type: fc.constant("ask" as const), isRefused: fc.boolean(), answer: anAnswer }),
		},
		fc.record({ type: fc.constant("turn" as const) }),
		fc.record({ type: fc.constant("setting" as const), setting: aSetting }),
		fc.record({ type: fc.constant("restart" as const) }),
		fc.record({ type: fc.constant("settle" as const), id: fc.constantFrom(...ids) }),
		fc.record({ type: fc.constant("rest" as const), id: fc.constantFrom(...ids) }),
		fc.record({ type: fc.constant("later" as const), ms: fc.constantFrom(MINUTE_MS, HOUR_MS, 4 * DAY_MS) }),
	);

	it("money is never spent without the yes that it asks, whatever refusals, kills and restarts come between", async () => {
		const met = { credits: 0, reserveModel: 0, redeemed: 0, chain: 0, questions: 0, kills: 0 };
		const wrong: string[] = [];
		await fc.assert(
			fc.asyncProperty(aSetting, fc.array(aStep, { minLength: 15, maxLength: 40 }), async (first, steps) => {
				let setting = first;
				/** What the person has said yes to in this turn, and how often the turn has asked. */
				let yeses = new Set<string>();
				let questions = 0;
				let next: { readonly isRefused: boolean; readonly answer: string } = { isRefused: false, answer: "none" };
				let killing = new AbortController();
				const beginTurn = () => {
					yeses = new Set();
					questions = 0;
				};
				const sources: BeyondSources = {
					question: {
						ask: async (offers) => {
							questions += 1;
							met.questions += 1;
							if (questions > 1) wrong.push("a turn asked twice");
							if (next.answer === "none") return { kind: "unavailable" };
							if (next.answer === "kill") {
								met.kills += 1;
								killing.abort();
								return never();
							}
							const rung = offers[next.answer === "second" ? 1 : 0]?.rung;
							const isLong = rung?.kind === "wait" && rung.until - harness.clock.at > HOUR_MS;
							if (next.answer === "stop" || !rung || isLong) return { kind: "stop" };
							yeses.add(rungKey(rung));
							return { kind: "take", rung, forToday: false };
						},
					},
					resets: {
						refreshStale: async () => undefined,
						redeem: async (account, credit) => {
							met.redeemed += 1;
							// One yes is one call.
							if (!yeses.delete(`reset-credit ${account.id} ${credit.id}`))
								wrong.push(`${account.id} was reset unasked`);
							if (next.isRefused) return { kind: "failed", reason: "of a test", until: 0 };
							harness.state.statusById.set(account.id, { cooldowns: [], strikes: 0 });
							return { kind: "redeemed" };
						},
					},
					chain: {
						links: () => (setting.hasChain ? [{ kind: "chain", model: "x/y", isPaid: true }] : []),
						wayOn: () => undefined,
						handOver: async () => {
							met.chain += 1;
							if (!setting.hasChain) wrong.push("the chain served unlisted");
							return "handed over";
						},
					},
				};
				const isOnCredits = (id: AccountId) => {
					const { usage, cooldowns } = harness.pool.status(id);
					const gate = gateOf({ account: anAccount(id), cooldowns, usage }, MODEL.id, harness.clock.at);
					return (
						gate?.kind === "credits" ||
						(gate?.kind !== "cooling" && creditsUntil(usage, harness.clock.at) !== undefined)
					);
				};
				/** Now, or after a moment's rest, which a session on its own credits need not wait for. */
				const hasIncluded = (id: AccountId, mayRest: boolean) => {
					const { usage, cooldowns } = harness.pool.status(id);
					const candidate = { account: anAccount(id), cooldowns, usage };
					const gate = gateOf(candidate, MODEL.id, harness.clock.at);
					return !gate || (mayRest && gate.kind === "cooling" && isOnlyResting(candidate, MODEL.id, harness.clock.at));
				};
				const judge = (id: AccountId, isOnReserve: boolean) => {
					const isOwn = harness.affinity.lastServed() === id && ["own", "allow"].includes(setting.credits);
					const key = isOnReserve ? "reserve-model" : "credits";
					const isAgreed = [...yeses].some((yes) => (isOnReserve ? yes.startsWith(key) : yes === `${key} ${id}`));
					if (isOnReserve) {
						met.reserveModel += 1;
						const isAllowed = setting.reserveModel === "always" || (setting.reserveModel === "ask" && isAgreed);
						if (!isAllowed) wrong.push(`${id} served from its reserve model unasked`);
					} else if (isOnCredits(id)) {
						met.credits += 1;
						const isAllowed = {
							own: isOwn,
							allow: true,
							ask: isAgreed,
							never: false,
						}[setting.credits];
						if (!isAllowed) wrong.push(`${id} spent credits under ${setting.credits}`);
					} else return;
					if (ids.some((each) => hasIncluded(each, isOnReserve || !isOwn)))
						wrong.push(`${id} served from ${key} beside included quota`);
				};
				const create = (former?: Harness): Harness => {
					const created = createHarnessWith(sources, ...ids.map((id) => anAccount(id)));
					if (former) {
						created.clock.at = former.clock.at;
						for (const [id, status] of former.state.statusById) created.state.statusById.set(id, status);
					}
					for (const id of ids) {
						created.play(id, async function* (options) {
							const payload = await options.onPayload?.({ model: MODEL.id }, MODEL);
							judge(id, JSON.stringify(payload).includes(LUNA.wireModel));
							const play = next.isRefused ? usageLimit : answered();
							yield* play(options);
						});
					}
					return created;
				};
				let harness = create();
				for (const step of steps) {
					const { hasChain: _hasChain, ...beyond } = setting;
					harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, ...beyond } };
					if (step.type === "later") harness.clock.at += step.ms;
					else if (step.type === "setting") setting = step.setting;
					else if (step.type === "rest") {
						const rest = aCooldown({ reason: "rate_limit", until: harness.clock.at + HOUR_MS });
						harness.state.statusById.set(step.id, { cooldowns: [rest], strikes: 0 });
					} else if (step.type === "settle") harness.affinity.served(aSessionId("s"), step.id);
					else if (step.type === "turn") {
						beginTurn();
						harness.deps.beyond.beginTurn();
					} else if (step.type === "restart") {
						beginTurn();
						harness = create(harness);
					} else if (step.type === "usage") {
						const { id, usedPercent, hasCredits, hasReserve, hasReset, resetsInMs } = step.state;
						const at = harness.clock.at;
						const resetsAt = at + resetsInMs;
						const usage = aSnapshot({
							source: "api",
							capturedAt: at,
							windows: [
								{ ...fiveHours, resetsAt: at + HOUR_MS },
								{ usedPercent, windowMinutes: 10_080, resetsAt },
							],
							...(hasCredits && { credits: FUNDED }),
							...(hasReserve && { reserveModel: { ...LUNA, windows: [] } }),
							...(hasReset && { resetCredits: 1 }),
						});
						harness.state.statusById.set(id, { cooldowns: [], strikes: 0 });
						harness.pool.noteUsage(id, usage);
						const credits = hasReset ? [{ id: `credit ${at}`, expiresAt: undefined }] : [];
						const status = harness.state.status(id);
						harness.state.statusById.set(id, { ...status, resetCredits: { askedAt: at, credits } });
					} else {
						next = step;
						killing = new AbortController();
						expect((await harness.ask({ signal: killing.signal })).ends).toBe(1);
						if (killing.signal.aborted) {
							beginTurn();
							harness = create(harness);
						}
					}
					expect(wrong).toEqual([]);
				}
			}),
			runs(25),
		);
		// The search has been everywhere.
		for (const [what, count] of Object.entries(met)) expect([what, count > 0]).toEqual([what, true]);
	});
});
