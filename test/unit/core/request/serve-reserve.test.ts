import type { Api, Model } from "@mariozechner/pi-ai";
import { describe, expect, it } from "vitest";
import { openReserveModel } from "../../../../src/core/beyond/reserve-model.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { type Served, serve } from "../../../../src/core/request/serve.ts";
import type { ReserveModel, UsageSnapshot } from "../../../../src/core/usage.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId, aWorkspaceId } from "../../../support/ids.ts";
import {
	answered,
	CONTEXT,
	createHarness,
	echoing,
	failedWith,
	gaveUp,
	type Harness,
	MODEL,
	type Play,
	refused,
} from "../../harness.ts";

const LIMIT = "base_model_inference";
const week = (usedPercent: number, resetsInMs = 3 * DAY_MS) => ({
	usedPercent,
	windowMinutes: 10_080,
	resetsAt: NOW + resetsInMs,
});
const LUNA: ReserveModel = {
	limitId: LIMIT,
	wireModel: "gpt-reserve",
	visibleModel: MODEL.id,
	windows: [week(60)],
};
const spent = (overrides: Partial<UsageSnapshot> = {}) =>
	aSnapshot({ source: "api", windows: [week(100)], reserveModel: LUNA, ...overrides });

/** A pool of one whose included quota is spent. */
function aPool(...plays: Play[]): Harness {
	const harness = createHarness(anAccount("a"));
	harness.pool.noteUsage(anId("a"), spent());
	harness.play("a", ...plays);
	return harness;
}

/** A whole answer with these headers. */
const answeredWith = (headers: Record<string, string>): Play =>
	async function* (options) {
		await options.onResponse?.({ status: 200, headers }, MODEL);
		yield* answered()(options);
	};

/** One request on the reserve model. */
async function serveOn(harness: Harness, model: Model<Api> = MODEL): Promise<Served> {
	const [account] = harness.pool.accounts();
	if (!account) throw new Error("no account");
	const request = { model, context: CONTEXT, options: { sessionId: aSessionId("s"), fetch: echoing } };
	const others = { hasNext: false, mayTryElsewhere: false };
	return serve(account, request, others, () => undefined, harness.deps, "reserve-model");
}

const isOpen = ({ pool, clock }: Harness) => {
	const [account] = pool.accounts();
	return account !== undefined && openReserveModel(account, pool.status(anId("a")), clock.at) !== undefined;
};
const told = (harness: Harness, type: string) => harness.told.filter((event) => event.type === type);

describe("a request on a reserve model", () => {
	it("is served by it, with one notice for as long as the session stays there", async () => {
		const harness = aPool(answered());
		for (let time = 0; time < 2; time += 1) {
			expect(await serveOn(harness)).toEqual({ kind: "finished", failure: undefined });
		}
		expect(told(harness, "on-reserve-model")).toMatchObject([
			{ account: { id: "a" }, model: MODEL.id, leftPercent: 40, asked: { sessionId: "s" } },
		]);
		harness.pool.answers(anId("a"), { modelId: MODEL.id, sessionId: aSessionId("s") }, undefined);
		await serveOn(harness);
		expect(told(harness, "on-reserve-model")).toHaveLength(2);
	});

	it("asks for the wire model, without the faster tier, and is no spending of credits", async () => {
		const harness = aPool(answered());
		harness.settings = { ...harness.settings, rotation: { ...harness.settings.rotation, fastMode: "always" } };
		harness.pool.noteUsage(anId("a"), spent({ credits: { hasCredits: true, unlimited: false, balance: "5" } }));
		await serveOn(harness);
		const [options] = harness.options;
		expect(await options?.onPayload?.({ model: MODEL.id }, MODEL)).toEqual({ model: "gpt-reserve" });
		expect(told(harness, "on-credits")).toEqual([]);
	});

	it("closes the sockets of the included quota first, and those of its own after it", async () => {
		const harness = aPool(answered());
		await serveOn(harness);
		await serveOn(harness);
		expect(harness.closed).toEqual(["s before try 1"]);
		harness.pool.noteUsage(anId("a"), aSnapshot({ source: "api", windows: [week(0)] }));
		await harness.pool.clearCooldowns();
		await harness.ask();
		expect(harness.closed).toEqual(["s before try 1", "s before try 3"]);
	});

	it("has usage asked for after it, whatever its headers say, and frees no seat of its workspace", async () => {
		const harness = aPool(answeredWith({ "x-codex-primary-used-percent": "14" }));
		const shared = { ...anAccount("b"), workspaceId: aWorkspaceId("acct-a") };
		await harness.accounts.put(shared);
		const laid = { scope: "account", reason: "workspace_limit", until: NOW + HOUR_MS, setAt: NOW, models: [] } as const;
		harness.state.statusById.set(anId("b"), {
			...harness.state.status(anId("b")),
			cooldowns: [{ ...laid, shared: true }],
		});
		await serveOn(harness);
		expect(told(harness, "served")).toMatchObject([{ hasToldUsage: false }]);
		expect(harness.state.status(anId("b")).cooldowns).toHaveLength(1);
	});

	it("leaves the windows of the included quota as they are, and notes what is left of the reserve", async () => {
		const harness = aPool(answeredWith({ "x-codex": "1" }));
		harness.readUsageHeaders = () => ({
			snapshot: aSnapshot({ windows: [week(14)], reserveModel: { ...LUNA, visibleModel: "", windows: [week(70)] } }),
			activeLimit: undefined,
			activeWindows: [week(14)],
		});
		await serveOn(harness);
		expect(harness.pool.status(anId("a")).usage).toMatchObject({
			source: "api",
			windows: [{ usedPercent: 100 }],
			reserveModel: { visibleModel: MODEL.id, windows: [{ usedPercent: 70 }] },
		});
	});

	it("a reserve request of a session on another model is one of the model that answers", async () => {
		const harness = aPool(answered());
		harness.models.push(MODEL);
		await serveOn(harness, { ...MODEL, id: "gpt-6.2-sol" });
		expect(told(harness, "on-reserve-model")).toMatchObject([{ model: MODEL.id, asked: { modelId: MODEL.id } }]);
	});

	it.each([
		["is used up meanwhile", (harness: Harness) => harness.pool.noteReserveModel(anId("a"), [week(100)])],
		["pi has no model for", (harness: Harness) => harness.models.splice(0)],
	])("that %s, is not sent", async (_name, happen) => {
		const harness = aPool(answered());
		harness.models.push(MODEL);
		happen(harness);
		expect(await serveOn(harness, { ...MODEL, id: "gpt-6.2-sol" })).toMatchObject({ kind: "unavailable" });
		expect(harness.tries).toEqual([]);
	});
});

describe("a refusal on a reserve model", () => {
	const limit = (resetsInSeconds: number) =>
		refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: resetsInSeconds } });

	it("closes it until its reset and leaves the account as it was", async () => {
		const harness = aPool(limit(7200));
		const before = harness.pool.status(anId("a"));
		expect(await serveOn(harness)).toMatchObject({ kind: "refused", failure: { kind: "usage-limit" } });
		const after = harness.pool.status(anId("a"));
		expect(after.cooldowns.filter(({ scope }) => scope === "account")).toEqual(before.cooldowns);
		expect(after.cooldowns.find(({ scope }) => scope === `limit:${LIMIT}`)).toMatchObject({
			reason: "usage_limit",
			until: NOW + 2 * HOUR_MS,
			models: [],
		});
		expect([after.strikes, after.lastError]).toEqual([0, undefined]);
		expect(isOpen(harness)).toBe(false);
		harness.clock.at += 2 * HOUR_MS;
		expect(isOpen(harness)).toBe(true);
	});

	it("has the end that is known of its windows if it names none", async () => {
		const harness = aPool(refused(429, { error: { type: "usage_limit_reached" } }));
		await serveOn(harness);
		const closed = harness.pool.status(anId("a")).cooldowns.find(({ scope }) => scope === `limit:${LIMIT}`);
		expect(closed?.until).toBe(NOW + 3 * DAY_MS);
	});

	it.each<[string, Play]>([
		["an unknown model", refused(404, { detail: "Model not found gpt-reserve" })],
		["a model that is not for it", refused(400, { detail: "The 'gpt-reserve' model is not supported." })],
		["a workspace that is disabled", refused(403, { error: { code: "workspace_disabled" } })],
		["no leave", refused(403, { error: { message: "Forbidden" } })],
		["a frame that names it", failedWith("Codex error: gpt-reserve is not enabled")],
	])("a refusal on a reserve model for %s closes it for a day, with one notice", async (_name, play) => {
		const harness = aPool(play);
		expect(await serveOn(harness)).toMatchObject({ kind: "refused", failure: { remedy: "rotate" } });
		expect(await serveOn(harness)).toMatchObject({ kind: "unavailable" });
		expect(harness.tries).toEqual(["a"]);
		expect(told(harness, "cooling").filter((event) => "isOfReserveModel" in event)).toMatchObject([
			{ scope: `limit:${LIMIT}`, reason: "model_not_supported", until: NOW + DAY_MS, cause: "refusal" },
		]);
		expect(harness.pool.status(anId("a")).strikes).toBe(0);
		harness.clock.at += DAY_MS;
		expect(isOpen(harness)).toBe(true);
	});

	it("a refusal on a reserve model of the request itself is surfaced and closes nothing", async () => {
		const harness = aPool(refused(400, { error: { code: "context_length_exceeded", message: "too long" } }));
		expect(await serveOn(harness)).toMatchObject({ kind: "finished", failure: { kind: "request" } });
		expect(isOpen(harness)).toBe(true);
		expect(told(harness, "on-reserve-model")).toEqual([]);
	});

	it("is over as soon as the endpoint reports that there is room again", async () => {
		const harness = aPool(limit(7200));
		await serveOn(harness);
		harness.clock.at += HOUR_MS;
		harness.pool.noteUsage(
			anId("a"),
			spent({ capturedAt: harness.clock.at, reserveModel: { ...LUNA, windows: [week(5)] } }),
		);
		expect(isOpen(harness)).toBe(true);
	});
});

/** A minute later the endpoint reports that an account has quota again. */
function isBack({ clock, pool }: Harness, id: AccountId): void {
	clock.at += MINUTE_MS + 1;
	pool.noteUsage(id, aSnapshot({ source: "api", windows: [week(0)], capturedAt: clock.at }));
}

describe("a turn of a spent pool", () => {
	const usageLimit = refused(429, { error: { type: "usage_limit_reached", resets_in_seconds: 7200 } });
	/** Two accounts that refuse; `b` turns out to have a reserve model. */
	const aSpentPool = (reserveModel: "always" | "ask" | "never") => {
		const harness = createHarness(anAccount("a"), anAccount("b"));
		harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, reserveModel } };
		harness.play("a", usageLimit);
		harness.play("b", usageLimit, answered("from the reserve of b"));
		harness.onAskForReserve = (id) => {
			harness.state.statusById.set(id, { ...harness.state.status(id), reserveAskedAt: harness.clock.at });
			harness.clock.at += 1;
			const reserve = id === "b" ? { reserveModel: LUNA } : { reserveModel: undefined };
			harness.pool.noteUsage(id, spent({ ...reserve, askedForReserve: true, capturedAt: harness.clock.at }));
		};
		return harness;
	};

	it("asks each account once for its reserve model, and goes on with the one that is found", async () => {
		const harness = aSpentPool("always");
		expect((await harness.ask()).text).toBe("from the reserve of b");
		expect([harness.askedForReserve, harness.tries]).toEqual([
			["a", "b"],
			["a", "b", "b"],
		]);
		expect(told(harness, "on-reserve-model")).toHaveLength(1);
		// One notice is enough, and of the included quota nothing is left.
		expect(told(harness, "continued")).toEqual([]);
		expect(told(harness, "rotated").map((event) => "remainingPercent" in event && event.remainingPercent)).toEqual([
			undefined,
		]);
		expect((await harness.ask()).text).toBe("from the reserve of b");
		expect(harness.askedForReserve).toHaveLength(2);
		expect(told(harness, "on-reserve-model")).toHaveLength(1);
	});

	it("goes back to included quota as soon as an account has some", async () => {
		const harness = aSpentPool("always");
		await harness.ask();
		isBack(harness, anId("a"));
		harness.play("a", answered());
		expect((await harness.ask()).text).toBe("hello");
		expect(harness.tries.at(-1)).toBe("a");
	});

	it.each(["always", "ask"] as const)(
		"a turn of a spent pool with %s ends as ever if no account has one",
		async (reserveModel) => {
			const harness = aSpentPool(reserveModel);
			harness.onAskForReserve = () => undefined;
			expect((await harness.ask()).words).toBe(gaveUp(harness));
			expect(harness.tries).toEqual(["a", "b"]);
		},
	);

	it("names the reserve model and spends nothing of it if the person would have to be asked and cannot", async () => {
		const harness = aSpentPool("ask");
		expect((await harness.ask()).words).toContain("Luna Reserve");
		expect(harness.tries).toEqual(["a", "b"]);
	});

	it("asks for nothing if the person wants no reserve model", async () => {
		const harness = aSpentPool("never");
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect([harness.askedForReserve, harness.tries]).toEqual([[], ["a", "b"]]);
	});

	it.each([
		["of a session on another model, says which one it changes to", "gpt-6.2-sol", true],
		["of a session on the model that answers, changes nothing", MODEL.id, undefined],
	])("a turn of a spent pool has an offer that, %s", (_name, modelId, changesModel) => {
		const harness = aSpentPool("ask");
		harness.models.push(MODEL);
		for (const id of [anId("a"), anId("b")]) harness.pool.noteUsage(id, spent());
		const request = { model: { ...MODEL, id: modelId }, context: CONTEXT, options: {} };
		const plan = harness.pool.plan({ modelId, sessionId: aSessionId("s"), affinity: undefined });
		const [offer] = harness.deps.beyond.offers(plan, { request, served: undefined, patienceMs: 0 });
		expect(offer?.rung).toMatchObject({ kind: "reserve-model", model: MODEL.id });
		expect(offer?.rung.kind === "reserve-model" && offer.rung.changesModel).toBe(changesModel);
	});

	it("ends if the reserve model is refused, without a second try", async () => {
		const harness = aSpentPool("always");
		harness.play("b", usageLimit, refused(404, { detail: "Model not found gpt-reserve" }));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect((await harness.ask()).words).toBe(gaveUp(harness));
		expect(harness.tries).toEqual(["a", "b", "b"]);
	});

	it("goes on with the reserve model of another account if one is refused", async () => {
		const harness = aSpentPool("always");
		const onAsk = harness.onAskForReserve;
		harness.onAskForReserve = (id) => {
			onAsk(id);
			harness.pool.noteUsage(id, spent({ capturedAt: harness.clock.at }));
		};
		harness.play("a", usageLimit, answered("from the reserve of a"));
		harness.play("b", usageLimit, refused(404, { detail: "Model not found gpt-reserve" }));
		harness.affinity.begin(aSessionId("s"), anId("b"), NOW);
		expect((await harness.ask()).text).toBe("from the reserve of a");
		expect(harness.tries).toEqual(["b", "a", "b", "a"]);
		expect((await harness.ask()).text).toBe("from the reserve of a");
		expect(harness.tries).toHaveLength(5);
	});

	it("goes to an account whose quota is back, as the answer to the question for a reserve model says", async () => {
		const harness = aSpentPool("always");
		for (const id of [anId("a"), anId("b")]) {
			harness.state.statusById.set(id, { ...harness.state.status(id), cooldowns: [aCooldown()] });
		}
		harness.onAskForReserve = (id) => id === "a" && isBack(harness, id);
		harness.play("a", answered());
		expect((await harness.ask()).text).toBe("hello");
		expect([harness.askedForReserve, harness.tries]).toEqual([["a", "b"], ["a"]]);
	});
});
