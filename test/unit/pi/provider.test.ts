import type { Api, AssistantMessageEvent, AssistantMessageEventStream, Model } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { z } from "zod";
import { EVERYWHERE } from "../../../src/core/account-sets.ts";
import type { StreamOptions } from "../../../src/core/request/attempt.ts";
import * as texts from "../../../src/core/request/turn-texts.ts";
import { registerProvider } from "../../../src/pi/provider.ts";
import { answers, type FakeCodex, startFakeCodex } from "../../support/fake-codex/index.ts";
import { anAccount, aSnapshot, settled } from "../../support/fakes.ts";
import { anId, aSessionId } from "../../support/ids.ts";
import { aContext, aPi, type FakePi } from "../fake-pi.ts";
import { answered, CONTEXT, createHarness, type Harness, MODEL } from "../harness.ts";

type StreamSimple = (
	model: Model<Api>,
	context: typeof CONTEXT,
	options?: StreamOptions,
) => AssistantMessageEventStream;

let codex: FakeCodex;
let pi: FakePi;
let harness: Harness;
let hasAccount: boolean;
let isEnabled: boolean;
let keyForOthers: string | undefined;
let isKeyValid: boolean;
let refusal: string | undefined;
let requestedAt: string[];
/** What the host does as its own stream function is called. */
let onInnerCall: () => void;
const oauth = {
	name: "ChatGPT",
	usesCallbackServer: true,
	isSubscription: true,
	login: () => Promise.reject(new Error("not here")),
	refreshToken: <T>(credentials: T) => Promise.resolve(credentials),
	getApiKey: ({ access }: { access: string }) => access,
} as const;

function register(...names: string[]) {
	return registerHouse(createHarness(...names.map((name) => anAccount(name))));
}

function registerHouse(next: Harness) {
	harness = next;
	const { delegate } = harness.deps;
	const stream: typeof delegate.stream = (...request) => {
		onInnerCall();
		return delegate.stream(...request);
	};
	return registerProvider(pi.api, {
		failover: { ...harness.deps, delegate: { ...delegate, stream } },
		oauth,
		hasAccount: () => hasAccount,
		keyForOthers: () => (keyForOthers === undefined ? undefined : { token: keyForOthers, isValid: isKeyValid }),
		isEnabled: () => isEnabled,
		refusalToSend: () => refusal,
		onRequest: (baseUrl) => requestedAt.push(baseUrl),
	});
}
const { argv } = process;
beforeEach(async () => {
	codex = await startFakeCodex({ accounts: ["theirs"] });
	pi = aPi();
	hasAccount = true;
	keyForOthers = undefined;
	isKeyValid = true;
	isEnabled = true;
	refusal = undefined;
	requestedAt = [];
	onInnerCall = () => undefined;
});
afterEach(async () => {
	process.argv = argv;
	await codex.close();
});

const configSchema = z.object({ streamSimple: z.custom<StreamSimple>((value) => typeof value === "function") });
const stream: StreamSimple = (model, context, options) =>
	configSchema.parse(pi.registrations.at(-1)?.config).streamSimple(model, context, options);
const ours: Model<Api> = MODEL;
const there = (): Model<Api> => ({ ...MODEL, baseUrl: codex.baseUrl });

async function collect(events: AssistantMessageEventStream): Promise<AssistantMessageEvent[]> {
	const all: AssistantMessageEvent[] = [];
	for await (const event of events) all.push(event);
	return all;
}
const wordsOf = (events: readonly AssistantMessageEvent[]) => {
	const final = events.at(-1);
	return final?.type === "error" ? final.error.errorMessage : undefined;
};

describe("the registration", () => {
	it("names the api, the stream and the sign-in, and leaves models and base URL to pi", () => {
		register("a");
		expect(Object.keys(pi.registrations[0]?.config ?? {}).sort()).toEqual(["api", "apiKey", "oauth", "streamSimple"]);
		const { getApiKey: _ours, ...same } = oauth;
		expect(pi.registrations[0]?.config).toMatchObject({ api: "openai-codex-responses", oauth: same });
	});

	it("has a placeholder for a key that no host resolves, and only while an account is signed in", () => {
		register("a");
		const key = pi.registrations[0]?.config?.apiKey;
		expect(key).toBe("pi-multicodex");
		expect(process.env[String(key)]).toBeUndefined();
		hasAccount = false;
		pi = aPi();
		register();
		expect(pi.registrations[0]?.config).not.toHaveProperty("apiKey");
	});

	it("is made anew when the first account comes and when the last one goes, not else", () => {
		hasAccount = false;
		const provider = register();
		provider.keepAvailability();
		hasAccount = true;
		provider.keepAvailability();
		provider.keepAvailability();
		hasAccount = false;
		provider.keepAvailability();
		provider.keepAvailability();
		expect(pi.registrations.map(({ call, config }) => `${call} ${config ? "apiKey" in config : ""}`)).toEqual([
			"register false",
			"register true",
			"unregister ",
			"register false",
		]);
	});
});

describe("the key that other extensions get", () => {
	const hooks = () => z.looseObject({ oauth: z.custom<typeof oauth>() }).parse(pi.registrations[0]?.config).oauth;
	const keysSet = () => pi.registrations.map(({ config }) => config?.apiKey);
	const rivalHere = (config: unknown) => {
		const { ctx } = aContext();
		return Object.assign(ctx, { modelRegistry: { getRegisteredProviderConfig: () => config } });
	};

	it("is the token of the account that would serve, also in place of pi's own login", () => {
		keyForOthers = "token of a";
		register("a");
		expect(keysSet()).toEqual(["token of a"]);
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of a");
		keyForOthers = undefined;
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
		keyForOthers = "token of a";
		isEnabled = false;
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
	});

	it("follows that account, and names nothing else by it", () => {
		keyForOthers = "token of a";
		const provider = register("a");
		const { ctx } = aContext();
		provider.keepKey(ctx);
		keyForOthers = "token of b";
		provider.keepKey(ctx);
		provider.keepKey(ctx);
		expect(pi.registrations.slice(1)).toEqual([{ call: "register", config: { apiKey: "token of b" } }]);
	});

	it("the key that other extensions get is not given if we are not registered", () => {
		keyForOthers = "token of a";
		const provider = register("a");
		keyForOthers = "token of b";
		provider.keepKey(rivalHere(undefined));
		isEnabled = false;
		provider.keepAvailability();
		provider.keepKey(aContext().ctx);
		expect(keysSet()).toEqual(["token of a", undefined]);
	});

	it("never makes a login of pi's: without accounts, or switched off, nothing is sent with it", async () => {
		keyForOthers = codex.grant("theirs").access;
		register();
		const events = await collect(stream(there(), CONTEXT, { apiKey: keyForOthers, transport: "sse" }));
		expect(wordsOf(events)).toBe(texts.noAccountSignedIn());
		isEnabled = false;
		const off = await collect(stream(there(), CONTEXT, { apiKey: keyForOthers, transport: "sse" }));
		expect(wordsOf(off)).toBe(texts.switchedOffHere());
		expect(codex.requests).toEqual([]);
	});

	it("is nothing of pi's own login if that is missing, and never one that has run out in place of it", () => {
		keyForOthers = "token of a";
		isKeyValid = false;
		register("a");
		expect(keysSet()).toEqual(["token of a"]);
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
		pi = aPi();
		registerHouse(createHarness(anAccount("a", { linked: true })));
		expect(keysSet()).toEqual(["pi-multicodex"]);
	});

	it("gives way to pi's own login if a request is pi's own", async () => {
		const { access } = codex.grant("theirs");
		keyForOthers = "token of a";
		register();
		const key = hooks().getApiKey({ access });
		isEnabled = false;
		const events = await collect(stream(there(), CONTEXT, { apiKey: key, transport: "sse" }));
		expect(events.at(-1)?.type).toBe("done");
		expect(codex.requestsOf("responses").map(({ headers }) => headers.authorization)).toEqual([`Bearer ${access}`]);
	});
});

describe("the place in a registry that goes by the api", () => {
	const API = "openai-codex-responses";
	const before = ai.getApiProvider(API);
	const put = (streamSimple: StreamSimple) => ai.registerApiProvider({ api: API, stream: streamSimple, streamSimple });
	afterEach(() => {
		if (before) ai.registerApiProvider(before);
	});
	/** As pi 0.79.10: what an extension registers for the api is what every request goes to. */
	const asGlobalHost = () => {
		const { registrations } = pi;
		const last = () => configSchema.parse(registrations.at(-1)?.config).streamSimple;
		pi.api.registerProvider = (_name, config) => {
			registrations.push({ call: "register", config: { ...config } });
			put(last());
		};
	};
	const call: StreamSimple = (...request) => {
		const entry = ai.getApiProvider(API);
		if (!entry) throw new Error("nothing is registered");
		return entry.streamSimple(...request);
	};

	it("is taken back when the host's own function has put itself there, once for each time", async () => {
		asGlobalHost();
		register("a");
		const theirs: StreamSimple = () => ai.createAssistantMessageEventStream();
		onInnerCall = () => put(theirs);
		for (const turn of [1, 2, 3]) {
			harness.play("a", answered(`turn ${turn}`));
			expect((await collect(call(ours, CONTEXT, { sessionId: "s" }))).at(-1)?.type).toBe("done");
			expect(pi.registrations).toHaveLength(1 + turn);
		}
		expect(harness.tries).toEqual(["a", "a", "a"]);
	});

	it("is left alone if nothing has changed, and if another extension has it", async () => {
		asGlobalHost();
		register("a");
		harness.play("a", answered("one"));
		await collect(call(ours, CONTEXT));
		expect(pi.registrations).toHaveLength(1);
		const rival: StreamSimple = () => ai.createAssistantMessageEventStream();
		put(rival);
		const registered = ai.getApiProvider(API);
		await settled();
		expect(ai.getApiProvider(API)).toBe(registered);
		expect(pi.registrations).toHaveLength(1);
	});

	it("the place in a registry that goes by the api is not taken back once we are switched off", async () => {
		asGlobalHost();
		const provider = register("a");
		onInnerCall = () => {
			put(() => ai.createAssistantMessageEventStream());
			isEnabled = false;
			provider.keepAvailability();
		};
		harness.play("a", answered("one"));
		await collect(call(ours, CONTEXT));
		expect(pi.registrations.map(({ call }) => call)).toEqual(["register", "unregister"]);
	});
});

describe("switched off", () => {
	const calls = () => pi.registrations.map(({ call, config }) => `${call} ${config ? "apiKey" in config : ""}`.trim());

	it("registers nothing from the start, and everything once it is switched on", () => {
		isEnabled = false;
		const provider = register("a");
		provider.keepAvailability();
		expect(calls()).toEqual([]);
		isEnabled = true;
		expect(provider.isOutOfStep()).toBe(true);
		provider.keepAvailability();
		expect(calls()).toEqual(["register true"]);
		expect(provider.isOutOfStep()).toBe(false);
	});

	it("has the host finish a change that came from elsewhere before the next request, each once", async () => {
		const { ctx } = aContext();
		const refresh = vi.spyOn(ctx.modelRegistry, "refresh");
		const provider = register("a");
		await provider.settle(ctx);
		expect(refresh).not.toHaveBeenCalled();

		for (const files of [{ isEnabled: false }, { isEnabled: true }, { isEnabled: true, hasAccount: false }]) {
			({ isEnabled, hasAccount = true } = files);
			refresh.mockClear();
			provider.keepAvailability();
			await Promise.all([provider.settle(ctx), provider.settle(ctx)]);
			await provider.settle(ctx);
			expect(refresh).toHaveBeenCalledTimes(2);
		}
	});

	it("keeps every request waiting that comes while the host looks", async () => {
		const { ctx } = aContext();
		let resolve: () => void = () => undefined;
		const looked = new Promise<void>((done) => {
			resolve = done;
		});
		vi.spyOn(ctx.modelRegistry, "refresh").mockImplementation(() => looked);
		const provider = register("a");
		isEnabled = false;
		provider.keepAvailability();
		let gone = 0;
		const requests = [1, 2].map(() =>
			provider.settle(ctx).then(() => {
				gone += 1;
			}),
		);
		await settled();
		expect(gone).toBe(0);
		resolve();
		await Promise.all(requests);
		expect(gone).toBe(2);
	});

	it("notices the first account of another process, and that the last one has left", () => {
		hasAccount = false;
		const provider = register();
		expect(provider.isOutOfStep()).toBe(false);
		for (const isThere of [true, false]) {
			hasAccount = isThere;
			expect(provider.isOutOfStep()).toBe(true);
			provider.keepAvailability();
			expect(provider.isOutOfStep()).toBe(false);
		}
	});

	it("takes the registration back, whether it had a key or not, and closes what a session has open", () => {
		for (const withAccount of [true, false]) {
			pi = aPi();
			isEnabled = true;
			hasAccount = withAccount;
			const provider = register("a");
			harness.deps.sockets.claim(aSessionId("s"), anId("a")).release();
			harness.closed.length = 0;
			isEnabled = false;
			provider.keepAvailability();
			provider.keepAvailability();
			expect(calls()).toEqual([`register ${withAccount}`, "unregister"]);
			expect(harness.closed).toHaveLength(1);
		}
	});

	it("passes on a request that still comes as it is, with the key of pi's own login", async () => {
		register("a");
		isEnabled = false;
		const events = await collect(stream(there(), CONTEXT, { apiKey: codex.grant("theirs").access }));
		expect(events.at(-1)).toMatchObject({ type: "done" });
		expect(codex.responsesRequests().map(({ account }) => account)).toEqual(["theirs"]);
		expect([harness.tries, requestedAt]).toEqual([[], []]);
		expect(harness.told).toContainEqual({ type: "changed" });
	});

	it("says that no account is signed in if pi has no login of its own", async () => {
		register("a");
		isEnabled = false;
		const events = await collect(stream(there(), CONTEXT, { apiKey: "pi-multicodex" }));
		expect(wordsOf(events)).toBe(texts.switchedOffHere());
		expect(codex.responsesRequests()).toEqual([]);
	});
});

describe("a request for a Codex model", () => {
	it("is served from the pool, on a stream that is handed out at once", async () => {
		register("a");
		harness.play("a", answered("from the pool"));
		const events = stream(ours, CONTEXT, { apiKey: "pi-multicodex", sessionId: "s" });
		expect(events).not.toBeInstanceOf(Promise);
		expect((await collect(events)).at(-1)?.type).toBe("done");
		expect([harness.tries, requestedAt]).toEqual([["a"], [ours.baseUrl]]);
	});

	it("a request for a Codex model may come without options", async () => {
		register("a");
		expect((await collect(stream(ours, CONTEXT))).at(-1)?.type).toBe("done");
	});

	it("is refused if a token must not go, with the setting named, and nothing is sent", async () => {
		register("a");
		refusal = "baseUrl of openai-codex in models.json must use https";
		const events = await collect(stream(there(), CONTEXT));
		expect(wordsOf(events)).toBe(refusal);
		expect([harness.tries, codex.requests]).toEqual([[], []]);
	});

	it("ends in one event if something of ours breaks", async () => {
		register("a");
		Object.assign(harness.deps.link, {
			isForeign: () => {
				throw new Error("secret-token");
			},
		});
		const events = await collect(stream(ours, CONTEXT));
		expect(events).toHaveLength(1);
		expect(wordsOf(events)).toBe(texts.unexpected());
		const defects = harness.told.filter(({ type }) => type === "defect");
		expect(defects).toMatchObject([{ where: "request", trace: { error: "Error" } }]);
		expect(JSON.stringify(defects)).not.toContain("secret-token");
	});

	it("ends at once in one aborted event, although the login is being read", async () => {
		register("a");
		Object.assign(harness.deps.link, { sync: () => new Promise(() => undefined) });
		const abort = new AbortController();
		const collecting = collect(stream(ours, CONTEXT, { signal: abort.signal }));
		await settled();
		abort.abort();
		expect(await collecting).toMatchObject([{ type: "error", reason: "aborted" }]);
	});
});

describe("a request that is not ours", () => {
	/** What reached the backend: exactly the token that the caller gave. */
	async function passesThrough(model: Model<Api>): Promise<void> {
		const { access } = codex.grant("theirs");
		codex.account("theirs").always(answers.text("their own answer"));
		const options: StreamOptions = { apiKey: access, transport: "sse" };
		if (process.argv.includes("--api-key")) process.argv = [...process.argv, access];
		const events = await collect(stream(model, CONTEXT, options));
		expect(events.at(-1)?.type).toBe("done");
		expect(codex.requestsOf("responses").map(({ headers }) => headers.authorization)).toEqual([`Bearer ${access}`]);
		expect([harness.tries, requestedAt]).toEqual([[], []]);
	}

	it("a request of another provider never meets a token of ours", async () => {
		register("a");
		await passesThrough({ ...there(), provider: "my-proxy" });
	});

	it("goes out on no socket of an account, keeps its own, and leaves that to no account", async () => {
		register("a");
		const { access } = codex.grant("theirs");
		const theirs = () =>
			collect(
				stream({ ...there(), provider: "my-proxy" }, CONTEXT, { apiKey: access, transport: "sse", sessionId: "s" }),
			);
		const asOurs = () => harness.deps.sockets.claim(aSessionId("s"), anId("a"));
		asOurs().release();
		harness.closed.length = 0;
		await theirs();
		await theirs();
		expect(harness.closed).toHaveLength(1);
		const underWay = asOurs();
		expect([harness.closed.length, underWay.mustNotShare]).toEqual([2, false]);
		// An answer of ours under way in the session keeps its socket.
		await theirs();
		expect(harness.closed).toHaveLength(2);
		underWay.release();
	});

	it("a request with a key from the command line goes out with that key", async () => {
		register("a");
		process.argv = [...argv, "--api-key"];
		await passesThrough(there());
	});

	it("a request without any account signed in is pi's own", async () => {
		register();
		await passesThrough(there());
	});

	it("a request while pi holds an API key is pi's own, on no socket of ours", async () => {
		register("a");
		harness.deps.sockets.claim(aSessionId("s"), anId("a")).release();
		harness.closed.length = 0;
		Object.assign(harness.deps.link, { isForeign: () => true });
		await passesThrough(there());
		const { access } = codex.grant("theirs");
		await collect(stream(there(), CONTEXT, { apiKey: access, transport: "sse", sessionId: "s" }));
		expect(harness.closed).toHaveLength(1);
	});

	it("a request with our placeholder for a key sends nothing", async () => {
		register();
		const events = await collect(stream(there(), CONTEXT, { apiKey: "pi-multicodex", transport: "sse" }));
		expect(events).toMatchObject([{ type: "error", reason: "error" }]);
		expect(wordsOf(events)).toBe(texts.noAccountSignedIn());
		expect(codex.requests).toEqual([]);
		// So that pi's own guidance is back at the next request.
		expect(harness.told.map(({ type }) => type)).toContain("changed");
	});

	it("fails in pi's own words", async () => {
		register();
		const words = wordsOf(await collect(stream(there(), CONTEXT, { apiKey: "no jwt", transport: "sse" })));
		expect(words).toMatch(/account/i);
		expect(codex.requests).toEqual([]);
	});
});

describe("the key, if caps or an account set keep all accounts from others", () => {
	const hooks = () => hooksSchema.parse(pi.registrations.at(-1)?.config?.oauth);
	const hooksSchema = z.object({
		getApiKey: z.custom<(credentials: { access: string }) => string>((value) => typeof value === "function"),
	});

	it("is none of pi's own login if that is outside the set, or at its cap", () => {
		registerHouse(createHarness(anAccount("a", { linked: true }), anAccount("b")));
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("b")] });
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("pi-multicodex-kept");
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("a")] });
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
		harness.settings = { ...harness.settings, caps: { [anId("a")]: { "5h": 20 } } };
		harness.pool.noteUsage(anId("a"), aSnapshot({ windows: [{ usedPercent: 85, windowMinutes: 300 }] }));
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("pi-multicodex-kept");
		isEnabled = false;
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("token of pi");
	});

	it("is none of a login that is not known yet, while a set holds", () => {
		register("b");
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("gone")] });
		expect(hooks().getApiKey({ access: "token of pi" })).toBe("pi-multicodex-kept");
	});

	it("serves no request of an empty pool while a set holds", async () => {
		register();
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("gone")] });
		const events = await collect(stream(there(), CONTEXT, { apiKey: codex.grant("theirs").access, transport: "sse" }));
		expect(wordsOf(events)).toBe(texts.setIsEmpty());
		harness.setFor = () => ({ folder: EVERYWHERE, accounts: [] });
		const unread = await collect(stream(there(), CONTEXT, { apiKey: codex.grant("theirs").access, transport: "sse" }));
		expect(wordsOf(unread)).toBe(texts.setsUnreadable());
		expect(codex.requestsOf("responses")).toEqual([]);
	});
});
