import fc from "fast-check";
import { describe, expect, it } from "vitest";
import type { AccountSet } from "../../../src/core/account-sets.ts";
import type { AccountId } from "../../../src/core/ids.ts";
import type { UsageWindow } from "../../../src/core/usage.ts";
import { anAccount, aSnapshot, HOUR_MS } from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { runs } from "../../support/tiers.ts";
import { answered, createHarness, failedWith, MODEL, type Play, refused } from "../harness.ts";

const IDS = ["a", "b", "c", "d"].map(anId);
const SESSIONS = ["parent", "fork", "subagent", "resumed"].map(aSessionId);
const someId = fc.constantFrom(...IDS);
const someIds = fc.uniqueArray(someId, { maxLength: 4 });
const aSession = fc.constantFrom(...SESSIONS);
const aPercent = fc.integer({ min: 0, max: 100 });

/** What an account answers next, beside the figures that come with it. */
const PLAYS: Readonly<Record<string, Play>> = {
	answers: answered(),
	spent: refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 600 } }),
	throttled: refused(429, { error: { message: "slow down" } }, { "retry-after": "2" }),
	unknown: refused(403, { error: { message: "no" } }),
	overloaded: failedWith("The server is overloaded"),
	breaks: failedWith("fetch failed"),
};

const aStep = fc.oneof(
	{ weight: 5, arbitrary: fc.record({ kind: fc.constant("ask" as const), session: aSession }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("resume" as const), session: aSession, account: someId }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("move" as const), account: someId }) },
	{
		weight: 1,
		arbitrary: fc.record({ kind: fc.constant("pin" as const), account: fc.option(someId, { nil: undefined }) }),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant("only" as const),
			session: aSession,
			ids: fc.option(someIds, { nil: undefined }),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({ kind: fc.constant("cap" as const), account: someId, floor: fc.constantFrom(0, 40, 80, 99) }),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant("use" as const),
			account: someId,
			used: aPercent,
			hasCredits: fc.boolean(),
		}),
	},
	{
		weight: 2,
		arbitrary: fc.record({
			kind: fc.constant("answers" as const),
			account: someId,
			play: fc.constantFrom(...Object.keys(PLAYS)),
			draws: fc.integer({ min: 0, max: 60 }),
		}),
	},
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("time" as const), hours: fc.integer({ min: 0, max: 30 }) }) },
	{ weight: 1, arbitrary: fc.record({ kind: fc.constant("remove" as const), account: someId }) },
);

it("no request ever leaves on an account outside its session's set, nor below a cap", async () => {
	let sent = 0;
	await fc.assert(
		fc.asyncProperty(fc.array(aStep, { minLength: 4, maxLength: 30 }), async (steps) => {
			const harness = createHarness(...IDS.map((id) => anAccount(id)));
			// The person lets everything serve that could, so that nothing but caps and sets keeps a request back.
			harness.settings = {
				...harness.settings,
				rotation: { ...harness.settings.rotation, maxWaitMs: 20_000 },
				beyond: { ...harness.settings.beyond, credits: "allow", reserveModel: "always" },
			};
			const sets = new Map<string, AccountSet>();
			harness.setFor = (session) => sets.get(session ?? "");
			const floors = new Map<string, number>();
			const known = new Map<string, UsageWindow>();
			const violations: string[] = [];
			const plays = new Map<string, { readonly play: Play; readonly draws: number }>();
			const learn = (id: AccountId, usedPercent: number, hasCredits: boolean) => {
				const window = { usedPercent, windowMinutes: 300, resetsAt: harness.clock.at + 5 * HOUR_MS };
				known.set(id, window);
				const credits = { hasCredits, unlimited: false };
				const reserveModel = { limitId: "r", wireModel: "gpt-reserve", visibleModel: MODEL.id, windows: [] };
				const capturedAt = harness.clock.at;
				const usage = aSnapshot({ capturedAt, windows: [window], credits, reserveModel, source: "api" });
				harness.pool.noteUsage(id, usage);
			};
			/** What is known without the code under test: figures that a reset has overtaken say nothing. */
			const leftOf = (id: AccountId) => {
				const { usedPercent = 0, resetsAt = 0 } = known.get(id) ?? {};
				return resetsAt <= harness.clock.at ? 100 : 100 - usedPercent;
			};
			for (const id of IDS) {
				harness.play(id, async function* (options) {
					sent += 1;
					const set = sets.get(options.sessionId ?? "");
					if (set && !set.accounts.includes(id)) violations.push(`${id} is outside of the set`);
					const floor = floors.get(id) ?? 0;
					if (floor > 0 && known.has(id) && leftOf(id) <= floor) violations.push(`${id} is at its cap`);
					const { play, draws } = plays.get(id) ?? { play: answered(), draws: 0 };
					// As the headers of a response: they come before its body.
					if (draws > 0) learn(id, Math.min(100, 100 - leftOf(id) + draws), false);
					yield* play(options);
				});
			}
			for (const step of steps) {
				switch (step.kind) {
					case "ask":
						await harness.ask({ sessionId: step.session });
						break;
					case "resume":
						harness.affinity.begin(step.session, step.account);
						break;
					case "move":
						harness.affinity.moveTo(step.account);
						break;
					case "pin":
						await harness.pool.pin(step.account);
						break;
					case "only":
						if (step.ids) sets.set(step.session, { folder: `/${step.session}`, accounts: step.ids });
						else sets.delete(step.session);
						break;
					case "cap": {
						floors.set(step.account, step.floor);
						const caps = Object.fromEntries([...floors].map(([id, floor]) => [id, { "5h": floor }]));
						harness.settings = { ...harness.settings, caps };
						break;
					}
					case "use":
						learn(step.account, step.used, step.hasCredits);
						break;
					case "answers": {
						const play = PLAYS[step.play];
						if (play) plays.set(step.account, { play, draws: step.draws });
						break;
					}
					case "time":
						harness.clock.at += step.hours * HOUR_MS;
						break;
					case "remove":
						await harness.accounts.remove(step.account);
						break;
				}
			}
			expect(violations).toEqual([]);
		}),
		runs(25, 800),
	);
	// A test in which nothing is sent proves nothing.
	expect(sent).toBeGreaterThan(40);
});

describe("a request that is on its way", () => {
	const NEAR = { usedPercent: 85, windowMinutes: 300 };

	it("is not sent a second time to an account that has reached its cap since the first", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.settings = { ...harness.settings, caps: { [anId("a")]: { "5h": 20 } } };
		harness.play("a", refused(429, {}, { "retry-after": "2" }), answered("too late"));
		harness.onPause = () => harness.pool.noteUsage(anId("a"), aSnapshot({ windows: [NEAR] }));
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["a", "b"]);
	});

	it("leaves an account that the person has taken out of the set during the wait for its token", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.tokens.set(anId("a"), () => {
			harness.setFor = () => ({ folder: "/proj", accounts: [anId("b")] });
			return { kind: "ready", access: "access-a" };
		});
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["b"]);
	});

	it("waits for the figures of the answer before it if a cap is near", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.settings = { ...harness.settings, caps: { [anId("a")]: { "5h": 20 } } };
		const figuresDue = async (id: AccountId) => harness.pool.noteUsage(id, aSnapshot({ windows: [NEAR] }));
		Object.assign(harness.deps, { figuresDue: (id: AccountId) => (id === "a" ? figuresDue(id) : undefined) });
		expect((await harness.ask()).text).toBe("from b");
		expect(harness.tries).toEqual(["b"]);
	});

	it("says in one line why the session left its account", async () => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.affinity.begin(aSessionId("s"), anId("a"));
		harness.settings = { ...harness.settings, caps: { [anId("a")]: { "5h": 20 } } };
		harness.pool.noteUsage(anId("a"), aSnapshot({ windows: [NEAR] }));
		await harness.ask();
		const rotated = harness.told.find(({ type }) => type === "rotated");
		expect(rotated).toMatchObject({ reason: "capped", window: "5h" });
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("a")] });
		harness.settings = { ...harness.settings, caps: {} };
		await harness.ask();
		expect(harness.told.findLast(({ type }) => type === "rotated")).toMatchObject({ reason: "not_in_set" });
	});
});
