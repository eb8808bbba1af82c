import type { Api, AssistantMessage, Model } from "@mariozechner/pi-ai";
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { type Beyond, createBeyond } from "../../../src/core/beyond/beyond.ts";
import type { PoolEvent } from "../../../src/core/events.ts";
import type { AccountId } from "../../../src/core/ids.ts";
import { chainTakesOver, linkFailed } from "../../../src/core/request/turn-texts.ts";
import { createPoolModel, type PoolModel } from "../../../src/pi/pool-model.ts";
import type { Route, RouteRequest } from "../../../src/pi/virtual-models.ts";
import {
	aCooldown,
	anAccount,
	aPiAuth,
	aSnapshot,
	type FakePiAuth,
	HOUR_MS,
	MINUTE_MS,
	NOW,
	settled,
} from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { aContext, aPi, type FakeContext, type FakePi } from "../fake-pi.ts";
import { createHarness, type Harness, MODEL } from "../harness.ts";
import { aMessage } from "../streams.ts";

const aModel = (provider: string, id: string, rest: Partial<Model<Api>> = {}): Model<Api> => ({
	...MODEL,
	provider,
	id,
	api: "anthropic-messages",
	...rest,
});
const codex = (id: string) => aModel("openai-codex", id, { api: "openai-codex-responses" });
const priced = { cost: { input: 3, output: 15, cacheRead: 0, cacheWrite: 0 } };
const MODELS = [
	codex("gpt-5.5"),
	codex("gpt-6-luna"),
	aModel("anthropic", "claude", priced),
	aModel("local", "free"),
	aModel("unsigned", "model"),
];
const POOL = aModel("openai-codex", "pool", { api: "pi-virtual", baseUrl: "" });

let harness: Harness;
let pi: FakePi;
let piAuth: FakePiAuth;
let poolModel: PoolModel;
let beyond: Beyond;
let screen: FakeContext;
let branch: unknown[];
let savedModel: string | undefined;
let rechecks: number;
let lookedUpAt: string[];
/** What usage tells of an account once it is asked for. */
let onAskUsage: (id: AccountId) => Promise<boolean>;
const begin = (chain: readonly string[], hasVirtualModels = true) => {
	harness = createHarness(anAccount("a"), anAccount("b"));
	harness.affinity.begin(aSessionId("s"));
	setChain(chain);
	pi = aPi({ hasVirtualModels });
	piAuth = aPiAuth();
	branch = [];
	savedModel = "gpt-5.5";
	rechecks = 0;
	lookedUpAt = [];
	onAskUsage = async () => false;
	screen = aContext({ branch });
	screen.model = POOL;
	screen.models = [...MODELS, POOL];
	screen.unsigned.add("unsigned");
	poolModel = aPoolModel();
	poolModel.begin(screen.ctx);
};
const aPoolModel = (link = harness.deps.link): PoolModel => {
	const { pool, affinity, clock } = harness;
	const settings = () => harness.settings;
	const made: PoolModel = createPoolModel(pi.api, {
		pool,
		affinity,
		link,
		settings,
		savedModel: () => savedModel,
		loginMark: piAuth.loginMark,
		recheckCooling: () => {
			rechecks += 1;
		},
		beyond: { mayAsk: (...asked) => beyond.mayAsk(...asked), offers: (...asked) => beyond.offers(...asked) },
		lookUp: (plan, baseUrl, signal) => {
			lookedUpAt.push(baseUrl);
			return beyond.lookUp(plan, signal);
		},
		isRepeatedByHost: (words) => words.includes("429"),
		clock,
	});
	const question = { ask: async () => ({ kind: "unavailable" }) as const };
	beyond = createBeyond({
		pool,
		settings,
		modelNamed: () => undefined,
		askUsage: (id) => onAskUsage(id),
		question,
		chain: made,
	});
	return made;
};
const setChain = (chain: readonly string[]) => {
	harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, chain } };
};
const spend = (id: AccountId, until = NOW + HOUR_MS, scope: "account" | `model:${string}` = "account") =>
	harness.state.update(id, (status) => ({
		...status,
		cooldowns: [aCooldown({ scope, until, reason: scope === "account" ? "usage_limit" : "model_not_supported" })],
	}));
const spendAll = async (until?: number) => {
	for (const { id } of harness.pool.accounts()) await spend(id, until);
};
const refill = () => harness.pool.clearCooldowns();
const route = async (request: Partial<RouteRequest> = {}): Promise<Route> => {
	const definition = pi.virtual.get("openai-codex/pool");
	if (!definition) throw new Error("no virtual model");
	return definition.route({ reason: "user", thinkingLevel: "high", messages: [], ...request }, screen.ctx);
};
const routed = async (request?: Partial<RouteRequest>) => {
	const { model } = await route(request);
	return `${model.provider}/${model.id}`;
};
const physical = (name: string) => {
	const model = MODELS.find(({ provider, id }) => `${provider}/${id}` === name);
	if (!model) throw new Error(`no model ${name}`);
	return { model };
};
const told = (type: PoolEvent["type"]) => harness.told.filter((event) => event.type === type);
const ends = (rest: Partial<AssistantMessage>) =>
	pi.fire("message_end", screen.ctx, { message: aMessage({ provider: "local", model: "free", ...rest }) });
const failsWith = (errorMessage: string, rest: Partial<AssistantMessage> = {}) =>
	ends({ stopReason: "error", errorMessage, content: [], ...rest });

beforeEach(() => begin(["local/free", "anthropic/claude"]));

describe("the virtual model of pool and chain", () => {
	it("is there while a chain is set, and gone with its last link or while the person has switched us off", async () => {
		expect([...pi.virtual.keys()]).toEqual(["openai-codex/pool"]);
		setChain([]);
		await poolModel.keep(undefined);
		expect(pi.virtual.size).toBe(0);
		setChain(["local/free"]);
		await poolModel.keep(undefined);
		expect(pi.virtual.size).toBe(1);
		harness.settings = { ...harness.settings, enabled: false };
		await poolModel.keep(undefined);
		expect(pi.virtual.size).toBe(0);
	});

	it("has the limits of the session's Codex model once a session has begun", () => {
		const { contextWindow, maxTokens } = MODEL;
		expect(pi.virtual.get("openai-codex/pool")).toMatchObject({ contextWindow, maxTokens });
	});

	it("is never registered for a person without a chain, nor on a host that has none", () => {
		begin([]);
		expect(pi.virtual.size).toBe(0);
		begin(["local/free"], false);
		expect(poolModel.isAvailable).toBe(false);
	});

	it("leaves a session that is on it with its Codex model when it goes", async () => {
		setChain([]);
		await poolModel.keep(screen.ctx);
		expect(pi.models).toMatchObject([{ provider: "openai-codex", id: "gpt-5.5" }]);
		expect(pi.virtual.size).toBe(0);
	});
});

describe("a host that throws if the virtual model is concerned", () => {
	/** Has pi throw for the first calls of the function. */
	const breakOnce = (name: "registerVirtualModel" | "unregisterVirtualModel" | "setModel") => {
		const whole: unknown = Reflect.get(pi.api, name);
		let calls = 0;
		Reflect.set(pi.api, name, (...given: unknown[]) => {
			calls += 1;
			if (calls === 1) throw new TypeError("not today");
			return typeof whole === "function" ? whole(...given) : undefined;
		});
		return () => calls;
	};

	it("keeps its session, is reported once, and is asked again in the next session", async () => {
		setChain([]);
		await poolModel.keep(undefined);
		const calls = breakOnce("registerVirtualModel");
		// As it is in pi: every event has the model looked after, the one about the failure too.
		onTestFinished(harness.pool.subscribe(() => void poolModel.keep(screen.ctx)));
		setChain(["local/free"]);
		for (let time = 0; time < 3; time += 1) await poolModel.keep(screen.ctx);
		expect([calls(), told("defect").length, pi.virtual.size]).toEqual([1, 1, 0]);
		poolModel.begin(screen.ctx);
		await poolModel.keep(screen.ctx);
		expect([calls(), told("defect").length, pi.virtual.size]).toEqual([2, 1, 1]);
	});

	it("starts all the same", async () => {
		breakOnce("registerVirtualModel");
		poolModel = aPoolModel();
		await settled();
		expect(told("defect")).toHaveLength(1);
		poolModel.begin(screen.ctx);
		await poolModel.keep(screen.ctx);
		expect([...pi.virtual.keys()]).toEqual(["openai-codex/pool"]);
	});

	it("is rid of it although the session cannot be given its Codex model", async () => {
		breakOnce("setModel");
		setChain([]);
		await poolModel.keep(screen.ctx);
		expect([pi.virtual.size, told("defect").length]).toEqual([0, 1]);
	});

	it("is left with it if it cannot take it away, and is asked for nothing more in that session", async () => {
		const calls = breakOnce("unregisterVirtualModel");
		setChain([]);
		for (let time = 0; time < 3; time += 1) await poolModel.keep(screen.ctx);
		expect([calls(), told("defect").length, pi.virtual.size]).toEqual([1, 1, 1]);
		setChain(["local/free"]);
		await poolModel.keep(screen.ctx);
		expect(pi.virtual.size).toBe(1);
	});
});

describe("the route of a request", () => {
	it("leads to the pool while an account can serve, with the thinking level of the person", async () => {
		expect(await route()).toMatchObject({ model: { id: "gpt-5.5" }, thinkingLevel: "high" });
		await spend(anId("a"));
		expect(await routed()).toBe("openai-codex/gpt-5.5");
	});

	it("leads to the first link while none can, past links that cannot be asked, and asks early for the pool", async () => {
		await spendAll();
		expect(await routed()).toBe("local/free");
		expect(rechecks).toBe(1);
		setChain(["gone/model", "unsigned/model", "openai-codex/pool", "anthropic/claude"]);
		expect(await routed()).toBe("anthropic/claude");
	});

	it("leads to the pool for want of an open link, so that its loop has the last word", async () => {
		await spendAll();
		setChain(["unsigned/model"]);
		expect(await routed()).toBe("openai-codex/gpt-5.5");
	});

	it("leads to the pool for pi's own key, which serves as it is", async () => {
		await spendAll();
		pi = aPi({ hasVirtualModels: true });
		aPoolModel({ ...harness.deps.link, isForeign: () => true });
		expect(await routed()).toBe("openai-codex/gpt-5.5");
	});

	it("leads to another Codex model on the chain only if some account may serve that one", async () => {
		setChain(["openai-codex/gpt-6-luna", "local/free"]);
		for (const { id } of harness.pool.accounts()) {
			await harness.state.update(id, (status) => ({
				...status,
				cooldowns: [
					aCooldown({ scope: "limit:big", models: ["gpt-5.5"], reason: "usage_limit", until: NOW + HOUR_MS }),
				],
			}));
		}
		expect(await routed()).toBe("openai-codex/gpt-6-luna");
		await spendAll();
		expect(await routed()).toBe("local/free");
	});

	it("comes back to the pool with the next message, and not in mid-turn", async () => {
		await spendAll();
		const { state } = await route();
		await refill();
		const previous = physical("local/free");
		const midTurn = { reason: "continuation", previous, state, messages: [{ role: "toolResult" }] } as const;
		expect(await routed(midTurn)).toBe("local/free");
		expect(await routed({ reason: "retry", failed: previous, state })).toBe("local/free");
		expect(await routed({ previous, state })).toBe("openai-codex/gpt-5.5");
	});

	it("is on the Codex model that the session used last, whatever a link has answered since", async () => {
		setChain(["openai-codex/gpt-6-luna"]);
		branch.push({ type: "model_change", provider: "openai-codex", modelId: "gpt-5.5" });
		branch.push({ type: "model_change", provider: "openai-codex", modelId: "pool" });
		branch.push({ type: "message", message: aMessage({ provider: "openai-codex", model: "gpt-6-luna" }) });
		savedModel = undefined;
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		expect(poolModel.codexId(screen.ctx)).toBe("gpt-5.5");
		branch.length = 0;
		savedModel = "gpt-5.5";
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		savedModel = "gone";
		expect(await routed()).toBe("openai-codex/gpt-6-luna");
	});

	it("stays on the model that its route has kept, if a reserve model has answered for it", async () => {
		branch.push({ type: "model_change", provider: "openai-codex", modelId: "pool" });
		const data = { provider: "openai-codex", modelId: "pool", state: { codex: "gpt-5.5", link: null } };
		branch.push({ type: "custom", customType: "pi.virtual-model-state", data });
		branch.push({ type: "message", message: aMessage({ provider: "openai-codex", model: "gpt-6-luna" }) });
		savedModel = undefined;
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		branch.push({ type: "model_change", provider: "openai-codex", modelId: "gpt-6-luna" });
		expect(await routed()).toBe("openai-codex/gpt-6-luna");
	});

	it("tells each move once, and keeps what it has told with the session", async () => {
		await spendAll();
		const first = await route();
		expect(told("chain-serves")).toMatchObject([{ link: "local/free", isPaid: false, back: { account: "a" } }]);
		const second = await route({ state: first.state, previous: physical("local/free") });
		expect(second.state).toBe(first.state);
		expect(told("chain-serves")).toHaveLength(1);
		await refill();
		await route({ state: first.state, previous: physical("local/free") });
		expect(told("chain-left")).toMatchObject([{ link: "local/free" }]);
	});

	it("tells nothing of a request outside the session's turns, and keeps no state for it", async () => {
		await spendAll();
		expect(await route({ reason: "direct" })).not.toHaveProperty("state");
		expect(told("chain-serves")).toEqual([]);
	});
});

describe("a link that fails", () => {
	it.each([
		["429 rate limited", "quota"],
		["401 invalid api key", "sign-in"],
		["404 model not found", "model"],
	] as const)(
		"a link that fails before output with %j has the host ask again, which the next one answers",
		async (words, why) => {
			await spendAll();
			await route();
			expect(await failsWith(words)).toMatchObject({
				message: { errorMessage: linkFailed("local/free", why, "anthropic/claude") },
			});
			expect(told("link-closed")).toMatchObject([{ link: "local/free" }]);
			expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("anthropic/claude");
			expect(told("chain-serves")).toMatchObject([{ link: "local/free" }, { link: "anthropic/claude", isPaid: true }]);
		},
	);

	it("a link that fails after output keeps its words: nothing that was shown is asked for again", async () => {
		await spendAll();
		await route();
		expect(await failsWith("401", { content: [{ type: "text", text: "half" }] })).toBeUndefined();
		expect(await routed()).toBe("anthropic/claude");
	});

	it("a link for a moment is left to the host's own retry, and closed at the second time", async () => {
		await spendAll();
		await route();
		expect(await failsWith("503 overloaded")).toBeUndefined();
		expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("local/free");
		expect(await failsWith("503 overloaded")).toMatchObject({ message: { stopReason: "error" } });
		expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("anthropic/claude");
	});

	it("names the link that the host's next try is routed to, past those that cannot be asked", async () => {
		setChain(["local/free", "unsigned/model", "gone/model", "openai-codex/pool", "anthropic/claude"]);
		await spendAll();
		await route();
		expect(await failsWith("401")).toMatchObject({
			message: { errorMessage: expect.stringContaining("anthropic/claude takes over") },
		});
		expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("anthropic/claude");
		const ofClaude = { provider: "anthropic", model: "claude" };
		expect(await failsWith("401", ofClaude)).toMatchObject({
			message: { errorMessage: expect.stringContaining("The Codex pool") },
		});
		expect(await routed({ reason: "retry", failed: physical("anthropic/claude") })).toBe("openai-codex/gpt-5.5");
	});

	it("names the pool once that is back", async () => {
		await spendAll();
		await route();
		await refill();
		expect(await failsWith("401")).toMatchObject({
			message: { errorMessage: expect.stringContaining("The Codex pool") },
		});
		expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("openai-codex/gpt-5.5");
	});

	it("a link as the last one leaves the turn to the pool, whose loop has the words for it", async () => {
		setChain(["local/free"]);
		await spendAll();
		await route();
		expect(await failsWith("429")).toMatchObject({
			message: { errorMessage: linkFailed("local/free", "quota", undefined) },
		});
		expect(await routed({ reason: "retry", failed: physical("local/free") })).toBe("openai-codex/gpt-5.5");
	});

	it("a link is asked again once another sign-in is stored, or its quota has had a while", async () => {
		await spendAll(NOW + 24 * HOUR_MS);
		piAuth.marks.set("local", "key one");
		await failsWith("401");
		harness.clock.at += 12 * HOUR_MS;
		expect(await routed()).toBe("anthropic/claude");
		piAuth.marks.set("local", "key two");
		expect(await routed()).toBe("local/free");
		await failsWith("429");
		expect(await routed()).toBe("anthropic/claude");
		harness.clock.at += 16 * MINUTE_MS;
		expect(await routed()).toBe("local/free");
	});

	it("is no link's fault if the session is on another model, or the model is on no chain", async () => {
		screen.model = MODELS[0];
		expect(await failsWith("401")).toBeUndefined();
		screen.model = POOL;
		expect(await failsWith("401", { provider: "openai-codex", model: "gpt-5.5" })).toBeUndefined();
		expect(told("link-closed")).toEqual([]);
	});
});

describe("a request for which the pool found no account", () => {
	const asked = { modelId: "gpt-5.5", sessionId: aSessionId("s") };
	const names = (of: typeof asked | undefined = asked) => poolModel.links(of).map(({ model }) => model);
	const [free] = [{ kind: "chain", model: "local/free", isPaid: false }] as const;

	it("is offered the links that can be asked, and needs no yes in a session that is on the virtual model", () => {
		expect(poolModel.links(asked)).toEqual([
			{ kind: "chain", model: "local/free", isPaid: false, needsYes: false },
			{ kind: "chain", model: "anthropic/claude", isPaid: true, needsYes: false },
		]);
		setChain(["unsigned/model", "openai-codex/gpt-5.5", "anthropic/claude"]);
		expect(names()).toEqual(["anthropic/claude"]);
		expect(poolModel.wayOn(asked)).toBeUndefined();
	});

	it("is offered none for a summary, while we are off, or after its session was replaced", () => {
		expect(names({ ...asked, sessionId: aSessionId("of a summary") })).toEqual([]);
		harness.settings = { ...harness.settings, enabled: false };
		expect(names()).toEqual([]);
	});

	it("ends in words that have the host ask again, which the link answers that was chosen", async () => {
		await spendAll();
		const chosen = { kind: "chain", model: "anthropic/claude", isPaid: true } as const;
		expect(await poolModel.handOver(chosen, asked)).toMatch(/anthropic\/claude .* retry delay/);
		expect(await routed({ reason: "retry", failed: physical("openai-codex/gpt-5.5") })).toBe("anthropic/claude");
		expect(await routed()).toBe("local/free");
		expect(pi.models).toEqual([]);
	});

	it("moves a session that is on a Codex model to the virtual one, by a yes alone", async () => {
		screen.model = MODELS[0];
		expect(poolModel.links(asked)).toMatchObject([{ needsYes: true }, { needsYes: true }]);
		expect(poolModel.wayOn(asked)).toEqual({ model: "openai-codex/pool", link: "local/free" });
		expect(await poolModel.handOver(free, asked)).toBe(chainTakesOver("local/free"));
		expect(pi.models).toMatchObject([{ provider: "openai-codex", id: "pool" }]);
	});

	it("names the first link for a person on a host without virtual models, unless that has it repeat the turn", () => {
		begin(["local/free"], false);
		screen.model = MODELS[0];
		expect(poolModel.links(asked)).toEqual([]);
		expect(poolModel.wayOn(asked)).toEqual({ model: "local/free", link: "local/free" });
		screen.models = [...MODELS, aModel("local", "free-20250429")];
		setChain(["local/free-20250429"]);
		expect(poolModel.wayOn(asked)).toBeUndefined();
	});
});

describe("what comes before the chain", () => {
	const reserveModel = { limitId: "luna", wireModel: "gpt-reserve", visibleModel: "gpt-6-luna", windows: [] };
	const withReserveModel = async (consent: "always" | "ask" | "never") => {
		harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, reserveModel: consent } };
		await spendAll();
		await harness.state.update(anId("a"), (status) => ({ ...status, usage: aSnapshot({ reserveModel }) }));
		for (const { id } of harness.pool.accounts()) await spend(id);
	};

	it("serves first if the person has agreed to it, or could be asked", async () => {
		await withReserveModel("always");
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		await withReserveModel("ask");
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		await withReserveModel("never");
		expect(await routed()).toBe("local/free");
	});

	it("a yes that the next turn may ask for again shows no link, and no account as back", async () => {
		await withReserveModel("ask");
		await beyond.ask([], new AbortController().signal);
		screen.isIdle = false;
		const first = await route();
		expect(first.model).toMatchObject({ provider: "local", id: "free" });
		screen.isIdle = true;
		expect(poolModel.serving(screen.ctx)).toBeUndefined();
		beyond.beginTurn();
		screen.isIdle = false;
		expect(await routed({ state: first.state, previous: physical("local/free") })).toBe("openai-codex/gpt-5.5");
		expect(told("chain-left")).toEqual([]);
	});

	it("is looked up if it is not known yet, once, and not for what is only shown", async () => {
		const asked: string[] = [];
		onAskUsage = async (id) => {
			asked.push(id);
			const usage = aSnapshot({ ...(id === "b" && { reserveModel }) });
			await harness.state.update(id, (status) => ({ ...status, usage, reserveAskedAt: harness.clock.at }));
			await spend(id);
			return true;
		};
		harness.settings = { ...harness.settings, beyond: { ...harness.settings.beyond, reserveModel: "always" } };
		await spendAll();
		expect(poolModel.serving(screen.ctx)).toBe("local/free");
		expect(asked).toEqual([]);
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		expect(await routed()).toBe("openai-codex/gpt-5.5");
		expect(asked).toEqual(["a", "b"]);
		expect(new Set(lookedUpAt)).toEqual(new Set([MODELS[0]?.baseUrl]));
	});

	it("is passed if its yes is missing and no person could give it", async () => {
		const { models } = screen;
		screen = aContext({ branch, hasUI: false });
		screen.model = POOL;
		screen.models = models;
		await withReserveModel("ask");
		expect(await routed()).toBe("local/free");
	});
});

describe("what is shown of the chain", () => {
	it("is the link that would serve next while the pool is out, and the one that a turn is on", async () => {
		expect(poolModel.serving(screen.ctx)).toBeUndefined();
		await spendAll();
		expect(poolModel.serving(screen.ctx)).toBe("local/free");
		const { state } = await route();
		const data = { provider: "openai-codex", modelId: "pool", state };
		branch.push({ type: "custom", customType: "pi.virtual-model-state", data });
		await refill();
		expect(poolModel.serving(screen.ctx)).toBeUndefined();
		screen.isIdle = false;
		expect(poolModel.serving(screen.ctx)).toBe("local/free");
		screen.model = MODELS[0];
		expect(poolModel.serving(screen.ctx)).toBeUndefined();
	});

	it("says what each link costs, and why it cannot be asked", async () => {
		setChain([
			"anthropic/claude",
			"local/free",
			"unsigned/model",
			"gone/model",
			"openai-codex/gpt-6-luna",
			"openai-codex/pool",
		]);
		screen.subscribed.add("local");
		for (const { id } of harness.pool.accounts()) await spend(id, NOW + HOUR_MS, "model:gpt-6-luna");
		const shown = poolModel.shown(screen.ctx).map(({ name, obstacle, isPaid, isSubscription }) => {
			return [name, obstacle, isPaid, isSubscription];
		});
		expect(shown).toEqual([
			["anthropic/claude", undefined, true, false],
			["local/free", undefined, false, true],
			["unsigned/model", "no-credentials", false, false],
			["gone/model", "unknown-model", false, false],
			["openai-codex/gpt-6-luna", "not-offered", false, true],
			["openai-codex/pool", "virtual", false, true],
		]);
	});
});
