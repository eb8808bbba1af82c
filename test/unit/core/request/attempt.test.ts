import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { describe, expect, it } from "vitest";
import {
	type Attempt,
	type CodexDelegate,
	type StreamOptions,
	startAttempt,
} from "../../../../src/core/request/attempt.ts";
import type { ReserveModel, UsageSnapshot, UsageWindow } from "../../../../src/core/usage.ts";
import { readRefusal } from "../../../../src/platform/backend/read-body.ts";
import { aSnapshot, NOW } from "../../../support/fakes.ts";
import { CONTEXT, MODEL } from "../../harness.ts";
import { aMessage } from "../../streams.ts";

interface TryOptions {
	stripReasoning: boolean;
	isFast: boolean;
	usage: UsageSnapshot;
	reserveModel: ReserveModel | undefined;
}

/** A try whose host is in the test's hands. */
function aTry(
	options: StreamOptions = {},
	{ stripReasoning = false, isFast = false, usage = aSnapshot(), reserveModel }: Partial<TryOptions> = {},
) {
	const noted: UsageSnapshot[] = [];
	const reserves: (readonly UsageWindow[])[] = [];
	const reads: unknown[] = [];
	const answeredOn: (string | undefined)[] = [];
	let given: StreamOptions | undefined;
	const delegate: CodexDelegate = {
		stream: (_model, _context, inner) => {
			given = inner;
			return (async function* (): AsyncGenerator<AssistantMessageEvent> {
				yield { type: "start", partial: aMessage() };
			})();
		},
		forgetSession: () => undefined,
	};
	const attempt = startAttempt(
		{ model: MODEL, context: CONTEXT, options, access: "the-token", stripReasoning, isFast, reserveModel },
		{
			delegate,
			backend: { fetch: globalThis.fetch, readRefusal },
			readUsageHeaders: (headers) => {
				reads.push(headers);
				return {
					snapshot: "x-codex" in headers ? usage : undefined,
					activeLimit: headers["x-codex-active-limit"],
					activeWindows: "x-spent" in headers ? [{ usedPercent: 100, windowMinutes: 300 }] : [],
				};
			},
			now: () => NOW,
			onUsage: (snapshot, limitId) => {
				noted.push(snapshot);
				answeredOn.push(limitId);
			},
			onReserveModel: (windows) => reserves.push(windows),
		},
	);
	const begin = async (): Promise<StreamOptions> => {
		for await (const _event of attempt.events) break;
		if (!given) throw new Error("the host was not called");
		return given;
	};
	return { attempt, begin, noted, reads, answeredOn, reserves };
}

/** The host's own `onResponse`, and what came of it. */
async function respond(inner: StreamOptions, status: number, headers: Record<string, string> = {}) {
	try {
		await inner.onResponse?.({ status, headers }, MODEL);
		return undefined;
	} catch (error) {
		return error instanceof Error ? error.message : "?";
	}
}

const answering =
	(body: string | ReadableStream, status = 429): typeof globalThis.fetch =>
	async () =>
		new Response(body, { status });

/** A request that the host makes through the `fetch` that it was given. */
async function request(inner: StreamOptions): Promise<Response> {
	if (!inner.fetch) throw new Error("no fetch");
	return inner.fetch("http://127.0.0.1/");
}

describe("what is left", () => {
	it.each([
		["over a socket, without headers", undefined, false],
		["without a header of the backend", { "content-type": "text/event-stream" }, false],
		["with its headers, also of a plan without windows", { "x-codex-plan-type": "team" }, true],
	])("is known to have come with an answer %s: %o", async (_name, headers, isTold) => {
		const { attempt, begin } = aTry();
		const inner = await begin();
		if (headers) await respond(inner, 200, headers);
		expect(attempt.hasUsageHeaders()).toBe(isTold);
	});
});

describe("the headers of a response", () => {
	it("the headers of a response are read for usage once, however often the failure is looked at", async () => {
		const { attempt, begin, reads } = aTry();
		await respond(await begin(), 429, { "x-codex": "1", "x-spent": "1" });
		for (let time = 0; time < 3; time += 1) attempt.evidence("refused");
		expect(reads).toHaveLength(1);
	});

	it("the headers of a response say which limit an answer was given on, and a refusal does not", async () => {
		const limits: (string | undefined)[] = [];
		for (const status of [200, 429]) {
			const { begin, answeredOn } = aTry();
			await respond(await begin(), status, { "x-codex": "1", "x-codex-active-limit": "spark" });
			limits.push(...answeredOn);
		}
		expect(limits).toEqual(["spark", undefined]);
	});
});

describe("a try", () => {
	it("is made with the account's token and everything else that the caller wants", async () => {
		const { begin } = aTry({ apiKey: "placeholder", reasoning: "high", sessionId: "s", headers: { a: "b" } });
		expect(await begin()).toMatchObject({
			apiKey: "the-token",
			reasoning: "high",
			sessionId: "s",
			headers: { a: "b" },
		});
	});

	it("does not begin before its stream is read", () => {
		const { attempt } = aTry();
		expect(attempt.surfaced("words")).toBe("words");
	});

	it("makes a throw of the host a failure of the stream", async () => {
		const attempt: Attempt = startAttempt(
			{ model: MODEL, context: CONTEXT, options: {}, access: "t", stripReasoning: false, isFast: false },
			{
				delegate: {
					stream: () => {
						throw new Error("no key");
					},
					forgetSession: () => undefined,
				},
				backend: { fetch: globalThis.fetch, readRefusal },
				readUsageHeaders: () => ({ snapshot: undefined, activeLimit: undefined, activeWindows: [] }),
				now: () => NOW,
				onUsage: () => undefined,
				onReserveModel: () => undefined,
			},
		);
		await expect(attempt.events[Symbol.asyncIterator]().next()).rejects.toThrow("no key");
	});

	it("is given up by a release, and by the caller's abort", async () => {
		const released = aTry();
		const inner = await released.begin();
		expect(inner.signal?.aborted).toBe(false);
		released.attempt.release();
		expect(inner.signal?.aborted).toBe(true);
		const abort = new AbortController();
		const aborted = await aTry({ signal: abort.signal }).begin();
		abort.abort();
		expect(aborted.signal?.aborted).toBe(true);
	});
});

describe("a response", () => {
	it("a response is one to the caller, too, before anything is made of it", async () => {
		const seen: number[] = [];
		const { begin } = aTry({ onResponse: ({ status }) => void seen.push(status) });
		const inner = await begin();
		await respond(inner, 200);
		await respond(inner, 429);
		expect(seen).toEqual([200, 429]);
	});

	it("tells of usage, on success as on refusal", async () => {
		const { begin, noted } = aTry();
		const inner = await begin();
		await respond(inner, 200, { "x-codex": "1" });
		await respond(inner, 429, { "x-codex": "1" });
		await respond(inner, 200);
		expect(noted).toHaveLength(2);
	});

	it.each([
		[401, {}],
		[402, {}],
		[429, {}],
		[403, { "x-error-json": Buffer.from('{"error":{"code":"usage_not_included"}}').toString("base64") }],
	])("a response of %i is cut short, in words on which every host gives up at once", async (status, headers) => {
		expect(await respond(await aTry().begin(), status, headers)).toMatch(/usage limit/);
	});

	it.each([200, 400, 403, 404, 500, 502, 503])(
		"a response of %i is the host's, if its headers blame no account",
		async (status) => {
			expect(await respond(await aTry().begin(), status)).toBeUndefined();
		},
	);

	it("is cut short by its body, if the host shows it", async () => {
		const { begin } = aTry({ fetch: answering('{"detail":"Model not found gpt-5.5"}', 404) });
		const inner = await begin();
		await request(inner);
		expect(await respond(inner, 404)).toMatch(/usage limit/);
	});
});

describe("evidence of a refusal", () => {
	it("evidence of a refusal is the response's body over the words, with status, headers and windows", async () => {
		const { attempt, begin } = aTry({
			fetch: answering('{"error":{"type":"usage_limit_reached","message":"limit","resets_in_seconds":60}}'),
		});
		const inner = await begin();
		await request(inner);
		const headers = { "x-spent": "1", "x-codex-active-limit": "codex_bengalfox" };
		const told = (await respond(inner, 429, headers)) ?? "";
		expect(attempt.evidence(told)).toMatchObject({
			status: 429,
			code: "usage_limit_reached",
			message: "limit",
			resetsAt: NOW + 60_000,
			headers,
			limitId: "codex_bengalfox",
			windows: [{ usedPercent: 100 }],
		});
		expect(attempt.surfaced(told)).toBe("limit");
	});

	it("evidence of a refusal is the status alone if nothing else is shown, and says so to a person", async () => {
		const { attempt, begin } = aTry();
		const told = (await respond(await begin(), 429)) ?? "";
		expect(attempt.evidence(told)).toMatchObject({ status: 429, headers: {} });
		expect(attempt.evidence(told).message).toBeUndefined();
		expect(attempt.surfaced(told)).toContain("429");
		expect(attempt.surfaced(told)).not.toBe(told);
	});

	it("evidence of a refusal is the words if the host tells no more, and a frame in them", async () => {
		const { attempt, begin } = aTry();
		await begin();
		expect(attempt.evidence("The usage limit has been reached")).toMatchObject({
			message: "The usage limit has been reached",
		});
		const frame = { type: "error", status: 429, error: { type: "usage_limit_reached" }, headers: { "X-Spent": "1" } };
		expect(attempt.evidence(`Codex error: ${JSON.stringify(frame)}`)).toMatchObject({
			status: 429,
			code: "usage_limit_reached",
			windows: [{ usedPercent: 100 }],
		});
	});

	it("has no status of a response that was fine before its stream failed", async () => {
		const { attempt, begin } = aTry();
		await respond(await begin(), 200, { "x-spent": "1" });
		expect(attempt.evidence("The usage limit has been reached").status).toBeUndefined();
	});
});

describe("the body of a refusal", () => {
	it("is left whole for the host", async () => {
		const { begin } = aTry({ fetch: answering("the whole body") });
		expect(await (await request(await begin())).text()).toBe("the whole body");
	});

	it("the body of a success is not touched at all", async () => {
		let isRead = false;
		const body = new ReadableStream(
			{
				pull: (controller) => {
					isRead = true;
					controller.enqueue(new TextEncoder().encode("x"));
				},
			},
			{ highWaterMark: 0 },
		);
		const { begin } = aTry({ fetch: answering(body, 200) });
		await request(await begin());
		expect(isRead).toBe(false);
	});

	it("is read up to a bound, however long it is", async () => {
		let chunks = 0;
		const endless = new ReadableStream(
			{
				pull: (controller) => {
					chunks += 1;
					controller.enqueue(new TextEncoder().encode("x".repeat(8192)));
				},
			},
			{ highWaterMark: 0 },
		);
		const { attempt, begin } = aTry({ fetch: answering(endless) });
		const inner = await begin();
		await request(inner);
		const told = (await respond(inner, 429)) ?? "";
		expect(attempt.evidence(told).message?.length).toBeLessThanOrEqual(2 * 65_536);
		expect(chunks).toBeLessThan(50);
	});

	it("the body of a refusal that breaks off is none: status and headers are enough", async () => {
		const broken = new ReadableStream({
			start: (controller) => {
				controller.enqueue(new TextEncoder().encode('{"error":'));
			},
			pull: (controller) => controller.error(new Error("reset")),
		});
		const { attempt, begin } = aTry({ fetch: answering(broken) });
		const inner = await begin();
		await request(inner);
		expect(attempt.evidence((await respond(inner, 429)) ?? "")).toMatchObject({ status: 429 });
	});
});

describe("a redirect", () => {
	it.each([301, 302, 303, 307, 308])("is not followed, and ends the request with our own error: %i", async (status) => {
		const inits: (RequestInit | undefined)[] = [];
		const { attempt, begin } = aTry({
			fetch: async (_input, init) => {
				inits.push(init);
				return new Response("moved", { status, headers: { location: "https://elsewhere.example/" } });
			},
		});
		const inner = await begin();
		await request(inner);
		const told = (await respond(inner, status)) ?? "";
		expect(inits).toMatchObject([{ redirect: "manual" }]);
		// Every host gives up on an error with these words in it.
		expect(told).toContain("usage limit");
		expect(attempt.surfaced(told)).toMatch(/redirect.*models\.json/);
		expect(attempt.surfaced(told)).not.toMatch(/usage limit|elsewhere|\d{3}/);
	});
});

/** A request whose host does `act`, and then fails without an event. */
function failing(act: (inner: StreamOptions) => unknown) {
	const attempt = startAttempt(
		{
			model: MODEL,
			context: CONTEXT,
			options: { fetch: answering("", 200) },
			access: "t",
			stripReasoning: false,
			isFast: false,
		},
		{
			delegate: {
				stream: (_model, _context, inner) => ({
					[Symbol.asyncIterator]: () => ({
						next: async () => {
							await act(inner);
							throw new Error("gone");
						},
					}),
				}),
				forgetSession: () => undefined,
			},
			backend: { fetch: globalThis.fetch, readRefusal },
			readUsageHeaders: () => ({ snapshot: undefined, activeLimit: undefined, activeWindows: [] }),
			now: () => NOW,
			onUsage: () => undefined,
			onReserveModel: () => undefined,
		},
	);
	return { attempt, events: () => attempt.events[Symbol.asyncIterator]().next() };
}

describe("a request that ends without an answer", () => {
	it.each<[string, (inner: StreamOptions) => unknown, boolean]>([
		["before its body was made", () => undefined, true],
		["after its body was handed out, also where no fetch is seen", (inner) => inner.onPayload?.({}, MODEL), false],
		["after it was fetched", (inner) => inner.fetch?.("http://127.0.0.1/"), false],
	])("counts as unsent or not by how far it came: %s", async (_when, act, isUnsent) => {
		const { attempt, events } = failing(act);
		await expect(events()).rejects.toThrow("gone");
		expect(attempt.evidence("gone").unsent).toBe(isUnsent ? true : undefined);
	});
});

describe("a payload", () => {
	const reasoning = { type: "reasoning", id: "rs_1", encrypted_content: "gA" };
	const payload = { model: "gpt-5.5", input: [reasoning, { type: "message", id: "msg_1", role: "user" }, "text"] };
	const changed = async (options: StreamOptions, stripReasoning: boolean, sent: unknown = payload) =>
		(await aTry(options, { stripReasoning }).begin()).onPayload?.(sent, MODEL);

	const fast = async (options: StreamOptions, sent: unknown = payload, stripReasoning = false) =>
		(await aTry(options, { stripReasoning, isFast: true }).begin()).onPayload?.(sent, MODEL);

	it("goes out as it is", async () => {
		expect(await changed({}, false)).toBe(payload);
	});

	it("goes out as another extension has changed it", async () => {
		expect(await changed({ onPayload: () => ({ mine: true }) }, false)).toEqual({ mine: true });
		expect(await changed({ onPayload: () => undefined }, false)).toBe(payload);
	});

	it("loses its reasoning after that, with the ids that would refer to it", async () => {
		const stripped = { model: "gpt-5.5", input: [{ type: "message", role: "user" }, "text"] };
		expect(await changed({}, true)).toEqual(stripped);
		expect(await changed({ onPayload: () => ({ ...payload, mine: true }) }, true)).toEqual({ ...stripped, mine: true });
		expect(payload.input[0]).toBe(reasoning);
	});

	it("asks for the faster tier if the settings say so, after the other hooks", async () => {
		expect(await fast({})).toEqual({ ...payload, service_tier: "priority" });
		expect(await fast({ onPayload: () => ({ mine: true }) })).toEqual({ mine: true, service_tier: "priority" });
		expect(payload).not.toHaveProperty("service_tier");
	});

	it.each(["flex", "default", null])("keeps a tier that is set already: %j", async (service_tier) => {
		const theirs = { ...payload, service_tier };
		expect(await fast({}, theirs)).toEqual(theirs);
		expect(await fast({ onPayload: () => theirs })).toEqual(theirs);
	});

	it("asks for the faster tier without its reasoning, too", async () => {
		expect(await fast({}, payload, true)).toEqual({
			model: "gpt-5.5",
			input: [{ type: "message", role: "user" }, "text"],
			service_tier: "priority",
		});
	});

	it.each([null, "text"])("a payload of another shape asks for nothing: %j", async (sent) => {
		expect(await fast({}, sent)).toEqual(sent);
	});

	it.each([null, "text", {}, { input: "text" }])("a payload of another shape is left alone: %j", async (sent) => {
		expect(await changed({}, true, sent)).toEqual(sent);
	});
});

describe("a try on a reserve model", () => {
	const week = (usedPercent: number) => ({ usedPercent, windowMinutes: 10_080, resetsAt: NOW + 60_000 });
	const reserveModel: ReserveModel = {
		limitId: "base_model_inference",
		wireModel: "gpt-reserve",
		visibleModel: MODEL.id,
		windows: [week(14)],
	};

	it("names it to the backend alone, whatever else has changed the payload", async () => {
		const theirs: unknown[] = [];
		const onPayload = (payload: unknown) => {
			theirs.push(payload);
			return { model: "another", input: ["theirs"] };
		};
		const { begin } = aTry({ onPayload }, { reserveModel });
		const inner = await begin();
		expect(await inner.onPayload?.({ model: MODEL.id }, MODEL)).toEqual({ model: "gpt-reserve", input: ["theirs"] });
		expect(theirs).toEqual([{ model: MODEL.id }]);
	});

	it("leaves the payload of any other try as it is", async () => {
		const inner = await aTry().begin();
		expect(await inner.onPayload?.({ model: MODEL.id }, MODEL)).toEqual({ model: MODEL.id });
	});

	it("takes from the headers what is left of it, and nothing of the included quota", async () => {
		const usage = aSnapshot({ windows: [week(14)], reserveModel: { ...reserveModel, windows: [week(15)] } });
		const { begin, noted, reserves } = aTry({}, { reserveModel, usage });
		await respond(await begin(), 200, { "x-codex": "1" });
		expect([noted, reserves]).toEqual([[], [[week(15)]]]);
	});

	it("takes nothing from headers that do not tell of it", async () => {
		const { begin, noted, reserves } = aTry({}, { reserveModel, usage: aSnapshot({ windows: [week(14)] }) });
		await respond(await begin(), 200, { "x-codex": "1" });
		expect([noted, reserves]).toEqual([[], []]);
	});

	it.each([
		[
			"its own windows",
			aSnapshot({ windows: [week(5)], reserveModel: { ...reserveModel, windows: [week(100)] } }),
			100,
		],
		["the general ones where there are no others", aSnapshot({ windows: [week(99)] }), 99],
	])("has as evidence of a refusal %s, under its own limit", async (_name, usage, usedPercent) => {
		const { attempt, begin } = aTry({}, { reserveModel, usage });
		await respond(await begin(), 429, { "x-codex": "1", "x-codex-active-limit": "premium" });
		expect(attempt.evidence("refused")).toMatchObject({
			status: 429,
			limitId: "base_model_inference",
			windows: [{ usedPercent }],
		});
	});
});
