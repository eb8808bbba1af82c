import { describe, expect, it, onTestFinished, vi } from "vitest";
import type { PoolEvent } from "../../../../src/core/events.ts";
import { failover } from "../../../../src/core/request/request-loop.ts";
import type { UsageWindow } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW, settled } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { CONTEXT, createHarness, failedWith, gaveUp, type Harness, MODEL, refused } from "../../harness.ts";

const LIMIT = refused(429, { error: { type: "usage_limit_reached", message: "limit", resets_in_seconds: 3600 } });
const someone = (...names: string[]) => createHarness(...names.map((name) => anAccount(name)));
const toldOf = <T extends PoolEvent["type"]>(harness: Harness, type: T) =>
	harness.told.filter((event): event is Extract<PoolEvent, { type: T }> => event.type === type);
/** What was told of changes, as `<type> <from> <to> <why>`. */
const movesOf = (harness: Harness) =>
	harness.told.flatMap((event) => {
		if (event.type === "chosen") return `chosen ${event.account.id} ${event.grounds.decidedBy}`;
		if (event.type === "rotated") return `rotated ${event.from.id} ${event.to.id} ${event.reason}`;
		if (event.type === "switched") return `switched ${event.from.id} ${event.to.id} ${event.cause}`;
		return event.type === "continued" ? `continued ${event.first.from.id} ${event.to.id}` : [];
	});

describe("a session's first request", () => {
	it("chooses, once, and says by what", async () => {
		const harness = someone("a", "b");
		await harness.ask();
		await harness.ask();
		expect(movesOf(harness)).toEqual(["chosen a list"]);
		const [chosen] = toldOf(harness, "chosen");
		expect(chosen?.asked).toEqual({ modelId: "gpt-5.5", sessionId: "s" });
		expect(chosen?.grounds.terms.map(({ name }) => name)).toContain("room");
	});

	it("has nothing to decide with one account", async () => {
		const harness = someone("a");
		await harness.ask();
		expect(movesOf(harness)).toEqual(["chosen a undefined"]);
	});
});

describe("a request that goes from account to account", () => {
	it("tells each step, and in the end one line: the first cause, and who answers", async () => {
		const harness = someone("a", "b", "c");
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", LIMIT);
		harness.play("b", LIMIT);
		await harness.ask();
		expect(movesOf(harness)).toEqual(["rotated a b usage_limit", "rotated b c usage_limit", "continued a c"]);
		expect(toldOf(harness, "rotated")[1]?.grounds.decidedBy).toBeUndefined();
	});

	it("names the account that answers before anything is shown, and none when none does", async () => {
		const harness = someone("a", "b");
		harness.play("a", failedWith("The usage limit has been reached"));
		const order: string[] = [];
		harness.pool.subscribe(({ type }) => type === "continued" && order.push(type));
		const sink = { push: ({ type }: { type: string }) => order.push(type), end: () => undefined };
		await failover({ model: MODEL, context: CONTEXT, options: { sessionId: aSessionId("s") } }, sink, harness.deps);
		expect(order).toEqual(["continued", "start", "text_start", "text_delta", "text_end", "done"]);
		const dry = someone("a", "b");
		for (const id of ["a", "b"]) dry.play(id, LIMIT);
		await dry.ask();
		expect(movesOf(dry)).toEqual(["chosen a list", "rotated a b usage_limit"]);
		expect(toldOf(dry, "exhausted")).toMatchObject([
			{ why: { total: 2, cooling: 2, untried: 0 }, asked: { modelId: "gpt-5.5" } },
		]);
	});

	it("tells it even if the next account's answer is an error of the backend", async () => {
		const harness = someone("a", "b");
		harness.play("a", LIMIT);
		harness.play("b", failedWith("socket hang up"));
		await harness.ask();
		expect(movesOf(harness).at(-1)).toBe("continued a b");
	});

	it("says what has become of an account that lost its sign-in", async () => {
		const harness = someone("a", "b");
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.tokens.set(anId("a"), () => {
			void harness.accounts.patch(anId("a"), { needsLogin: { reason: "revoked", at: NOW } });
			return { kind: "signed-out", account: anAccount("a"), reason: "revoked", closed: false };
		});
		await harness.ask();
		expect(movesOf(harness)).toEqual(["rotated a b signed_out", "continued a b"]);
	});

	it("says so if no token could be had", async () => {
		const harness = someone("a", "b");
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.tokens.set(anId("a"), () => ({ kind: "unavailable", reason: "busy", retryAt: NOW + HOUR_MS }));
		await harness.ask();
		expect(movesOf(harness)).toEqual(["rotated a b unavailable", "continued a b"]);
	});
});

describe("a refusal that says neither what is spent nor until when", () => {
	const BARE = failedWith("The usage limit has been reached");
	const five = { usedPercent: 60, windowMinutes: 300, resetsAt: NOW + 2 * HOUR_MS };
	const week = { usedPercent: 40, windowMinutes: 10_080, resetsAt: NOW + 50 * HOUR_MS };
	const known = (...windows: UsageWindow[]) => ({ cooldowns: [], strikes: 0, usage: aSnapshot({ windows }) });
	/** Window, time and certainty that the notice names. */
	const ends = (harness: Harness) =>
		toldOf(harness, "continued").map(({ first }) =>
			first.type === "rotated" ? [first.window, first.readyAt, first.guessed === true] : [],
		);

	it("names the window that resets when the account is back", async () => {
		const harness = someone("a", "b");
		harness.state.statusById.set(anId("a"), known(five, week));
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", BARE);
		await harness.ask();
		expect(ends(harness)).toEqual([["5h", five.resetsAt, false]]);
		expect(toldOf(harness, "rotated")).toMatchObject([{ window: "5h", readyAt: five.resetsAt }]);
	});

	it("uses the answer of the usage endpoint, which it waits for", async () => {
		const harness = someone("a", "b");
		harness.state.statusById.set(anId("a"), known(five, week));
		harness.state.statusById.set(anId("b"), known(week));
		let answer: () => void = () => undefined;
		harness.onAsk = async (id) => {
			await new Promise<void>((resolve) => {
				answer = resolve;
			});
			const windows = [five, { ...week, usedPercent: 100 }];
			harness.pool.noteUsage(id, aSnapshot({ source: "api", capturedAt: NOW, windows }));
		};
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", BARE);
		// The answer is not held up by it.
		expect((await harness.ask()).final?.type).toBe("done");
		expect(ends(harness)).toEqual([]);
		answer();
		await settled();
		expect(ends(harness)).toEqual([["7d", week.resetsAt, false]]);
		expect(toldOf(harness, "continued")).toMatchObject([{ remainingPercent: 60, remainingWindow: "7d" }]);
	});

	it("costs no more than its line if the change can no longer be worded", async () => {
		const harness = someone("a", "b");
		let answer: () => void = () => undefined;
		harness.onAsk = async () => {
			await new Promise<void>((resolve) => {
				answer = resolve;
			});
		};
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		harness.play("a", BARE);
		await harness.ask();
		harness.pool.plan = () => {
			throw new TypeError("secret");
		};
		answer();
		await settled();
		expect(toldOf(harness, "defect")).toMatchObject([{ where: "request", trace: { error: "TypeError" } }]);
	});

	it("is called a guess if nothing is known, also by the endpoint", async () => {
		const harness = someone("a", "b");
		harness.play("a", BARE);
		await harness.ask();
		expect(ends(harness)).toEqual([[undefined, NOW + HOUR_MS, true]]);
	});

	it("ends a turn with the endpoint's time if no account is left", async () => {
		const harness = someone("a");
		harness.onAsk = async (id) => {
			await settled();
			const windows = [five, { ...week, usedPercent: 100 }];
			harness.pool.noteUsage(id, aSnapshot({ source: "api", capturedAt: NOW, windows }));
		};
		harness.play("a", BARE);
		await harness.ask();
		expect(harness.exhaustions).toMatchObject([{ readyAt: week.resetsAt }]);
		expect(harness.exhaustions[0]?.guessed).toBeUndefined();
	});

	it("ends a turn in time if the usage endpoint does not answer", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		onTestFinished(() => {
			vi.useRealTimers();
		});
		const harness = someone("a");
		harness.onAsk = () => new Promise(() => undefined);
		harness.play("a", BARE);
		const asking = harness.ask();
		await vi.advanceTimersByTimeAsync(2000);
		expect((await asking).words).toBe(gaveUp(harness));
		expect(harness.exhaustions).toMatchObject([{ readyAt: NOW + HOUR_MS, guessed: true }]);
		await harness.pool.clearCooldowns();
		const abort = new AbortController();
		const aborted = harness.ask({ signal: abort.signal });
		await settled();
		abort.abort();
		expect((await aborted).final).toMatchObject({ type: "error", reason: "aborted" });
	});

	it("a refusal for one limit names that limit's window", async () => {
		const harness = someone("a", "b");
		const limits = { spark: { windows: [{ ...week, usedPercent: 100 }] } };
		const cooldowns = [aCooldown({ scope: "limit:spark", models: ["gpt-5.5"], until: week.resetsAt })];
		harness.state.statusById.set(anId("a"), { cooldowns, strikes: 0, usage: aSnapshot({ windows: [five], limits }) });
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		await harness.ask();
		expect(ends(harness)).toEqual([["7d", week.resetsAt, false]]);
	});
});

describe("a session between two requests", () => {
	const begun = async () => {
		const harness = someone("a", "b");
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		await harness.ask();
		harness.told.length = 0;
		return harness;
	};

	it("is moved by the policy when its cache is gone, and says what was left", async () => {
		const harness = await begun();
		const windows = [{ usedPercent: 92, windowMinutes: 300, resetsAt: NOW + 4 * HOUR_MS }];
		harness.state.statusById.set(anId("a"), { cooldowns: [], strikes: 0, usage: aSnapshot({ windows }) });
		harness.clock.at = NOW + HOUR_MS;
		await harness.ask();
		expect(movesOf(harness)).toEqual(["switched a b policy", "continued a b"]);
		expect(toldOf(harness, "switched")).toMatchObject([{ left: { window: "5h", percent: 8, isStale: true } }]);
		expect(toldOf(harness, "switched")[0]?.grounds.decidedBy).toBe("room");
	});

	it("moves as visibly if its account was spent meanwhile", async () => {
		const harness = await begun();
		harness.state.statusById.set(anId("a"), { cooldowns: [aCooldown()], strikes: 0 });
		await harness.ask();
		expect(movesOf(harness)).toEqual(["rotated a b usage_limit", "continued a b"]);
	});

	it("shows no notice if a person has pinned another account, or switched the session's own off", async () => {
		const harness = await begun();
		await harness.pool.pin(anId("b"));
		await harness.ask();
		expect(movesOf(harness)).toEqual(["switched a b pin"]);
		const other = await begun();
		await other.accounts.edit(anId("a"), { enabled: false });
		await other.ask();
		expect(movesOf(other)).toEqual(["switched a b user"]);
	});

	it("tells the failover that follows a pin", async () => {
		const harness = someone("a", "b", "c");
		harness.affinity.begin(aSessionId("s"), anId("a"), NOW);
		await harness.pool.pin(anId("b"));
		harness.play("b", LIMIT);
		await harness.ask();
		expect(movesOf(harness)).toEqual(["switched a b pin", "rotated b a usage_limit", "continued b a"]);
	});
});
