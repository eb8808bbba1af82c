import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { z } from "zod";
import {
	answers,
	CLIENT_ID,
	type FakeCodex,
	type Grant,
	reasoningBlob,
	type ScriptedAnswer,
	SECRET_MARK,
	startFakeCodex,
	tokenAnswers,
	usageAnswers,
} from "./fake-codex/index.ts";
import { pkceChallenge } from "./fake-codex/tokens.ts";

/** `{"model":"gpt-5.5","store":false,"stream":true,…}` compressed by zstd 1.5 (`zstd -19 --no-check`). */
const ZSTD_BODY =
	"KLUv/QBopQMAsscXGIBtDiDilXtW2zj/SQFAkimAylg6DOalAVMxFZMBZeyN08oLfY30XbTt2zSx8juMTp/ps0SkNzorbTnAEadh07VJfAvbsnp8m36Ov0N2LOk/XWjlQRiCdYzT7Io+lgIGACmTqwju1Cj0HDee8RDBfAI=";

const HOUR_MS = 3_600_000;
const BODY = { model: "gpt-5.5", store: false, stream: true, instructions: "be kind", input: [] };
const looseRecord = z.record(z.string(), z.unknown());
const tokenReply = z.object({ access_token: z.string(), refresh_token: z.string().optional(), expires_in: z.number() });

let codex: FakeCodex;
let clients: WebSocket[] = [];

beforeEach(async () => {
	codex = await startFakeCodex({ accounts: ["a", { name: "b", plan: "team" }] });
});

afterEach(async () => {
	for (const client of clients) client.terminate();
	clients = [];
	await codex.close();
});

function headersFor(name: string, grant: Grant = codex.grant(name)): Record<string, string> {
	return { authorization: `Bearer ${grant.access}`, "chatgpt-account-id": codex.account(name).accountId };
}

function post(name: string, options: { body?: object; headers?: Record<string, string>; signal?: AbortSignal } = {}) {
	return fetch(`${codex.baseUrl}/codex/responses`, {
		method: "POST",
		headers: { "content-type": "application/json", ...headersFor(name), ...options.headers },
		body: JSON.stringify(options.body ?? BODY),
		...(options.signal === undefined ? {} : { signal: options.signal }),
	});
}

type Events = Record<string, unknown>[];

async function eventsOf(response: Response): Promise<Events> {
	const written = await response.text();
	return [...written.matchAll(/^data: (.+)$/gm)].map((match) => looseRecord.parse(JSON.parse(match[1] ?? "")));
}

function textOf(events: Events): string {
	const deltas = events.filter((event) => event.type === "response.output_text.delta");
	return deltas.map((event) => event.delta).join("");
}

function typesOf(events: Events): unknown[] {
	return events.map((event) => event.type);
}

async function connect(name: string, grant?: Grant): Promise<WebSocket> {
	const client = new WebSocket(`${codex.baseUrl.replace("http", "ws")}/codex/responses`, {
		headers: headersFor(name, grant),
	});
	clients.push(client);
	await new Promise((resolve, reject) => client.once("open", resolve).once("error", reject));
	return client;
}

/** Sends one `response.create` and collects frames up to a terminal one or the close. */
function turn(client: WebSocket, extra: object = {}): Promise<{ events: Events; closed?: number; reason?: string }> {
	const terminal = new Set(["response.completed", "response.failed", "error"]);
	return new Promise((resolve) => {
		const events: Events = [];
		client.on("error", () => undefined);
		client.on("message", (frame) => {
			const event = looseRecord.parse(JSON.parse(frame.toString()));
			events.push(event);
			if (terminal.has(String(event.type))) resolve({ events });
		});
		client.once("close", (closed, reason) => resolve({ events, closed, reason: reason.toString() }));
		client.send(JSON.stringify({ type: "response.create", ...BODY, ...extra }));
	});
}

function handshakeStatus(name: string, grant?: Grant): Promise<number | undefined> {
	const client = new WebSocket(`${codex.baseUrl.replace("http", "ws")}/codex/responses`, {
		headers: headersFor(name, grant),
	});
	clients.push(client);
	client.on("error", () => undefined);
	return new Promise((resolve) => {
		client.once("open", () => resolve(101));
		client.once("unexpected-response", (_request, response) => resolve(response.statusCode));
	});
}

function tokenRequest(fields: Record<string, string>, form = true): Promise<Response> {
	const body = { client_id: CLIENT_ID, ...fields };
	if (form) return fetch(`${codex.issuer}/oauth/token`, { method: "POST", body: new URLSearchParams(body) });
	const headers = { "content-type": "application/json" };
	return fetch(`${codex.issuer}/oauth/token`, { method: "POST", headers, body: JSON.stringify(body) });
}

function refresh(token: string, form = true): Promise<Response> {
	return tokenRequest({ grant_type: "refresh_token", refresh_token: token }, form);
}

async function usageOf(name: string, grant?: Grant) {
	const response = await fetch(`${codex.baseUrl}/wham/usage`, { headers: headersFor(name, grant) });
	return { status: response.status, payload: looseRecord.parse(await response.json()) };
}

describe("responses over HTTP", () => {
	it("names the account and its request count by default", async () => {
		expect(textOf(await eventsOf(await post("a")))).toBe("OK from a #1");
		expect(textOf(await eventsOf(await post("b")))).toBe("OK from b #1");
		expect(textOf(await eventsOf(await post("a")))).toBe("OK from a #2");
		expect(codex.responsesRequests("a")).toHaveLength(2);
	});

	it("streams the whole sequence with reasoning, text, a tool call and usage", async () => {
		const call = { name: "read", arguments: { path: "x" }, callId: "call_1" };
		codex
			.account("a")
			.next(answers.text("hello there", { reasoning: true, functionCalls: [call], usage: { cachedTokens: 7 } }));
		const response = await post("a");
		expect(response.headers.get("content-type")).toMatch(/^text\/event-stream/);
		const events = await eventsOf(response);
		expect(typesOf(events)).toEqual([
			"response.created",
			"response.in_progress",
			"response.output_item.added",
			"response.reasoning_summary_part.added",
			"response.reasoning_summary_text.delta",
			"response.reasoning_summary_text.done",
			"response.reasoning_summary_part.done",
			"response.output_item.done",
			"response.output_item.added",
			"response.content_part.added",
			"response.output_text.delta",
			"response.output_text.delta",
			"response.output_text.done",
			"response.content_part.done",
			"response.output_item.done",
			"response.output_item.added",
			"response.function_call_arguments.delta",
			"response.function_call_arguments.done",
			"response.output_item.done",
			"response.completed",
		]);
		expect(events[7]).toMatchObject({ item: { type: "reasoning", encrypted_content: reasoningBlob("a") } });
		expect(events[18]).toMatchObject({ item: { type: "function_call", call_id: "call_1", arguments: '{"path":"x"}' } });
		expect(events.at(-1)).toMatchObject({
			response: { status: "completed", usage: { input_tokens_details: { cached_tokens: 7 }, output_tokens: 2 } },
		});
	});

	it("plays the queue first, then the repeating answer, then a function per request", async () => {
		codex.account("a").next(answers.text("one"), answers.serverError(500)).always(answers.text("again"));
		expect(textOf(await eventsOf(await post("a")))).toBe("one");
		expect((await post("a")).status).toBe(500);
		expect(textOf(await eventsOf(await post("a")))).toBe("again");
		codex.account("a").always((request, account) => answers.text(`${account.name} asked for ${request.body?.model}`));
		expect(textOf(await eventsOf(await post("a")))).toBe("a asked for gpt-5.5");
	});

	it("decodes zstd bodies and refuses damaged ones", async () => {
		const url = `${codex.baseUrl}/codex/responses`;
		const headers = { "content-type": "application/json", "content-encoding": "zstd", ...headersFor("a") };
		const response = await fetch(url, { method: "POST", headers, body: Buffer.from(ZSTD_BODY, "base64") });
		expect(textOf(await eventsOf(response))).toBe("OK from a #1");
		expect(codex.responsesRequests()[0]?.body).toMatchObject({ model: "gpt-5.5", store: false });
		const damaged = await fetch(url, { method: "POST", headers, body: "not zstd" });
		expect(damaged.status).toBe(400);
	});

	it("refuses what the backend refuses", async () => {
		const bad = await post("a", { headers: { "content-type": "text/plain" } });
		expect([bad.status, await bad.json()]).toEqual([400, { detail: "Unsupported content type" }]);
		const stored = await post("a", { body: { ...BODY, store: true } });
		expect([stored.status, await stored.json()]).toEqual([400, { detail: "Store must be set to false" }]);
		const unstreamed = await post("a", { body: { ...BODY, stream: false } });
		expect(unstreamed.status).toBe(400);
		const continued = await post("a", { body: { ...BODY, previous_response_id: "resp_1" } });
		expect(continued.status).toBe(400);
		const elsewhere = await fetch(`${codex.baseUrl}/codex/models`);
		expect(elsewhere.status).toBe(404);
		expect(codex.requestsOf("other")[0]).toMatchObject({ path: "/backend-api/codex/models", status: 404 });
	});

	it("refuses reasoning only where a request carries it", async () => {
		codex.account("a").always(answers.refuseReasoning());
		const blob = { type: "reasoning", summary: [], encrypted_content: "gAAAAAx" };
		const refused = await post("a", { body: { ...BODY, input: [blob] } });
		expect([refused.status, await refused.json()]).toMatchObject([
			400,
			{ error: { code: "invalid_encrypted_content" } },
		]);
		const stripped = await post("a", { body: { ...BODY, include: ["reasoning.encrypted_content"] } });
		expect(textOf(await eventsOf(stripped))).toBe("OK from a #2");
	});

	it("reports a prompt cache of its own per account", async () => {
		const body = { ...BODY, prompt_cache_key: "session", input: ["x".repeat(8_000)] };
		const cached = async (name: string) => JSON.stringify((await eventsOf(await post(name, { body }))).at(-1));
		expect(await cached("a")).toContain('"cached_tokens":0');
		expect(await cached("a")).toMatch(/"cached_tokens":20\d\d/);
		expect(await cached("b")).toContain('"cached_tokens":0');
	});

	it("answers 500 when a scripted function throws", async () => {
		codex.account("a").next(() => {
			throw new Error("boom in the test");
		});
		const response = await post("a");
		expect([response.status, await response.text()]).toEqual([500, expect.stringContaining("boom in the test")]);
	});
});

describe("refusals", () => {
	const cases: [string, ScriptedAnswer, number, unknown, Record<string, string>?][] = [
		[
			"usage limit",
			answers.usageLimit({ resetsInMs: HOUR_MS }),
			429,
			{ error: { type: "usage_limit_reached", plan_type: "plus", resets_in_seconds: 3_600 } },
			{
				"x-codex-primary-used-percent": "100",
				"x-codex-primary-window-minutes": "300",
				"x-codex-primary-reset-at": "*",
			},
		],
		[
			"usage limit of a week",
			answers.usageLimit({ resetsInMs: 70 * HOUR_MS, plan: "pro" }),
			429,
			{ error: { plan_type: "pro", resets_at: expect.any(Number) } },
			{ "x-codex-primary-window-minutes": "10080" },
		],
		[
			"usage limit without headers",
			answers.usageLimit({ headers: false }),
			429,
			{ error: { resets_at: expect.any(Number) } },
			{ "x-codex-primary-used-percent": "" },
		],
		["usage limit without a body", answers.usageLimit({ body: false }), 429, "", { "x-codex-primary-reset-at": "*" }],
		[
			"usage limit without a reset in the body",
			answers.usageLimit({ body: "no-reset" }),
			429,
			{ error: { type: "usage_limit_reached", message: "The usage limit has been reached", plan_type: "plus" } },
		],
		[
			"per-model limit",
			answers.perModelLimit(),
			429,
			{ error: { type: "usage_limit_reached" } },
			{
				"x-codex-active-limit": "codex_bengalfox",
				"x-codex-bengalfox-primary-used-percent": "100",
				"x-codex-bengalfox-limit-name": "GPT-5.3-Codex-Spark",
				"x-codex-primary-used-percent": "20",
			},
		],
		[
			"workspace limit",
			answers.workspaceLimit("workspace_owner_credits_depleted"),
			429,
			{ error: { type: "usage_limit_reached" } },
			{ "x-codex-rate-limit-reached-type": "workspace_owner_credits_depleted" },
		],
		[
			"rate limit",
			answers.rateLimit(),
			429,
			{ error: { code: "rate_limit_exceeded", message: expect.stringContaining("try again in 1.2s") } },
			{ "retry-after": "" },
		],
		[
			"rate limit with a header",
			answers.rateLimit({ retryAfterSeconds: 7 }),
			429,
			{ error: { code: "rate_limit_exceeded" } },
			{ "retry-after": "7" },
		],
		["bare 429", answers.bare429(), 429, "Too Many Requests"],
		[
			"token invalidated",
			answers.unauthorized("token_invalidated"),
			401,
			{ error: { code: "token_invalidated", param: null }, status: 401 },
		],
		["token revoked", answers.unauthorized("token_revoked"), 401, { error: { code: "token_revoked" } }],
		[
			"session terminated",
			answers.unauthorized("app_session_terminated"),
			401,
			{ error: { message: "Your session has ended. Please log in again." } },
		],
		[
			"account deactivated",
			answers.unauthorized("account_deactivated"),
			401,
			{ error: { code: "account_deactivated" } },
		],
		[
			"unauthorized detail",
			answers.unauthorized("detail"),
			401,
			{ detail: "Unauthorized" },
			{ "x-error-json": Buffer.from('{"error":{"code":"token_expired"}}').toString("base64") },
		],
		["deactivated workspace", answers.deactivatedWorkspace(), 402, { detail: { code: "deactivated_workspace" } }],
		["workspace disabled", answers.forbidden("workspace_disabled"), 403, { error: { code: "workspace_disabled" } }],
		[
			"plan without Codex",
			answers.forbidden("usage_not_included"),
			403,
			{ error: { code: "usage_not_included", plan_type: "plus" } },
		],
		["usage not included", answers.usageNotIncluded(), 429, { error: { type: "usage_not_included" } }],
		[
			"Cloudflare",
			answers.cloudflare(),
			403,
			expect.stringContaining("Just a moment"),
			{ "cf-mitigated": "challenge", "content-type": "text/html; charset=UTF-8" },
		],
		[
			"region",
			answers.regionBlocked(),
			403,
			{ error: { code: "unsupported_country_region_territory", type: "request_forbidden" } },
		],
		["server error", answers.serverError(502), 502, { error: { type: "server_error" } }],
		["overloaded", answers.overloaded(), 503, { error: { code: "server_is_overloaded" } }],
		["reasoning refused", answers.invalidEncryptedContent(), 400, { error: { code: "invalid_encrypted_content" } }],
		[
			"previous response",
			answers.previousResponseNotFound("resp_9"),
			400,
			{ error: { code: "previous_response_not_found", param: "previous_response_id" } },
		],
		[
			"model not supported",
			answers.modelNotSupported("gpt-x"),
			400,
			{ detail: "The 'gpt-x' model is not supported when using Codex with a ChatGPT account." },
		],
		[
			"client too old",
			answers.clientTooOld("gpt-x"),
			400,
			{ detail: expect.stringContaining("requires a newer version of Codex") },
		],
		["model not found", answers.modelNotFound("gpt-x"), 404, { error: { message: "Model not found gpt-x" } }],
		["context too long", answers.contextTooLong(), 400, { error: { code: "context_length_exceeded" } }],
		[
			"any frame",
			answers.wsErrorFrame({ status: 418, error: { code: "teapot" }, headers: { "x-tea": "green" } }),
			418,
			{ error: { code: "teapot" } },
			{ "x-tea": "green" },
		],
		["anything else", answers.refuse(451, { detail: "no" }), 451, { detail: "no" }],
	];

	it.each(cases)("%s: status, body and headers over HTTP", async (_name, answer, status, body, headers = {}) => {
		codex.account("a").next(answer);
		const response = await post("a");
		const written = await response.text();
		expect(response.status).toBe(status);
		if (typeof body === "object" && !(body instanceof String) && written.startsWith("{")) {
			expect(JSON.parse(written)).toMatchObject(looseRecord.parse(body));
		} else {
			expect(written).toEqual(body);
		}
		for (const [name, value] of Object.entries(headers)) {
			if (value === "*") expect(response.headers.get(name)).not.toBeNull();
			else expect(response.headers.get(name) ?? "").toBe(value);
		}
	});

	it.each(cases)("%s: an error frame over a WebSocket", async (_name, answer, status, body) => {
		const client = await connect("a");
		codex.account("a").next(answer);
		const { events } = await turn(client);
		expect(events).toMatchObject([{ type: "error", status, headers: expect.anything() }]);
		const nested = looseRecord.safeParse(body).data?.error;
		if (nested !== undefined) expect(events[0]).toMatchObject({ error: nested });
	});

	it("writes the header names of an error frame as the backend does", async () => {
		const client = await connect("a");
		codex.account("a").next(answers.usageLimit());
		const { events } = await turn(client);
		expect(events[0]).toMatchObject({ headers: { "X-Codex-Primary-Used-Percent": "100" } });
	});
});

describe("broken streams", () => {
	it.each([
		["failed before output", answers.failedBeforeOutput("server_error", "broke"), "", "response.failed"],
		[
			"failed after output",
			answers.failedAfterOutput("server_error", "broke", "some text"),
			"some text",
			"response.failed",
		],
		["error event", answers.errorEvent("invalid_prompt", "no"), "", "error"],
		["error event after text", answers.errorEvent("invalid_prompt", "no", { afterText: "some" }), "some", "error"],
		["no terminal event", answers.noTerminalEvent("half a word"), "half a word", "response.output_item.done"],
	])("%s, over both transports", async (_name, answer, written, last) => {
		codex.account("a").always(answer);
		const events = await eventsOf(await post("a"));
		expect([textOf(events), typesOf(events).at(-1)]).toEqual([written, last]);
		const framed = await turn(await connect("a"));
		expect([textOf(framed.events), typesOf(framed.events).at(-1)]).toEqual([written, last]);
	});

	it("closes the WebSocket with 1000 where there is no terminal event", async () => {
		codex.account("a").always(answers.noTerminalEvent());
		expect(await turn(await connect("a"))).toMatchObject({ closed: 1000 });
	});

	it("resets a connection before the headers and in mid-stream", async () => {
		codex.account("a").next(answers.resetBeforeHeaders(), answers.resetMidStream("first words"));
		await expect(post("a")).rejects.toThrow("fetch failed");
		const response = await post("a");
		const reader = response.body?.getReader();
		let seen = "";
		const drain = async () => {
			for (;;) {
				const chunk = await reader?.read();
				if (chunk === undefined || chunk.done) return;
				seen += Buffer.from(chunk.value).toString();
			}
		};
		await expect(drain()).rejects.toThrow();
		expect(seen).toContain("words");
		expect(codex.requests.some((request) => request.clientGone)).toBe(false);
	});

	it("resets and closes WebSockets on demand", async () => {
		codex
			.account("a")
			.next(
				answers.resetBeforeHeaders(),
				answers.wsClose(1009, "too big"),
				answers.wsClose(4000, "later", { afterText: "some" }),
			);
		expect(await turn(await connect("a"))).toEqual({ events: [], closed: 1006, reason: "" });
		expect(await turn(await connect("a"))).toEqual({ events: [], closed: 1009, reason: "too big" });
		const late = await turn(await connect("a"));
		expect([late.closed, late.reason, textOf(late.events)]).toEqual([4000, "later", "some"]);
	});

	it("hangs until the client goes away, and records that", async () => {
		codex.account("a").next(answers.hang(), answers.hangAfterStart());
		const first = new AbortController();
		const silent = post("a", { signal: first.signal });
		const request = await codex.waitFor((each) => each.kind === "responses");
		expect(request.endedAt).toBeUndefined();
		first.abort();
		await expect(silent).rejects.toThrow();
		await codex.waitFor((each) => each === request && each.clientGone === true);
		const second = new AbortController();
		const started = await post("a", { signal: second.signal });
		expect(started.status).toBe(200);
		second.abort();
		await codex.waitFor((each) => each.answer === "hangAfterStart" && each.endedAt !== undefined);
	});

	it("takes as long as the script says", async () => {
		codex
			.account("a")
			.next(answers.slow({ beforeHeadersMs: 60, perTokenMs: 20 }), answers.delayed(60, answers.bare429()));
		const startedAt = performance.now();
		const response = await post("a");
		expect(performance.now() - startedAt).toBeGreaterThan(55);
		expect(textOf(await eventsOf(response))).toBe("OK from a #1");
		expect(performance.now() - startedAt).toBeGreaterThan(130);
		expect((await post("a")).status).toBe(429);
	});
});

describe("tokens", () => {
	it("issues distinct tokens that pi can read with a bare atob and a search can find", async () => {
		codex.addAccount({
			name: "seat é>?~",
			accountId: "acct-shared",
			userId: "u1",
			email: "sé~@example.test",
			plan: "pro",
		});
		const [first, second] = [codex.grant("seat é>?~"), codex.piAuthEntry("seat é>?~")];
		expect(second).toMatchObject({ type: "oauth", accountId: "acct-shared" });
		expect(first.access).not.toBe(second.access);
		const payload = first.access.split(".")[1] ?? "";
		expect(payload).toMatch(/^[A-Za-z0-9]+$/);
		const claims = looseRecord.parse(JSON.parse(atob(payload)));
		expect(claims).toMatchObject({
			sub: "u1",
			"https://api.openai.com/auth": {
				chatgpt_account_id: "acct-shared",
				chatgpt_user_id: "u1",
				chatgpt_account_user_id: "u1__acct-shared",
				chatgpt_plan_type: "pro",
			},
			"https://api.openai.com/profile": { email: "sé~@example.test" },
		});
		expect(claims.exp).toBe(Math.floor(first.expires / 1_000));
		for (const secret of [first.access, atob(payload), first.refresh]) expect(secret).toContain(SECRET_MARK);
		expect(codex.secrets()).toEqual(
			expect.arrayContaining([first.access, first.refresh, second.access, second.refresh]),
		);
	});

	it("leaves out claims on demand", () => {
		codex.addAccount({ name: "old", accountUserId: null, claims: { chatgpt_account_id: null, is_org_owner: true } });
		const claims = looseRecord.parse(JSON.parse(atob(codex.grant("old").access.split(".")[1] ?? "")));
		expect(claims["https://api.openai.com/auth"]).toEqual({
			chatgpt_user_id: "user-old",
			user_id: "user-old",
			chatgpt_plan_type: "plus",
			is_org_owner: true,
		});
	});

	it("checks token and account header on every request", async () => {
		const status = async (headers: Record<string, string>) => {
			const response = await post("a", { headers });
			return [response.status, JSON.stringify(await response.json())];
		};
		expect(await status({ authorization: "Bearer nonsense" })).toEqual([401, expect.stringContaining("Unauthorized")]);
		expect(await status(headersFor("a", codex.grant("a", { expiresInMs: 0 })))).toEqual([
			401,
			expect.stringContaining("token_expired"),
		]);
		expect(await status({ "chatgpt-account-id": "acct-b" })).toEqual([
			401,
			expect.stringContaining("chatgpt-account-id"),
		]);
		const grant = codex.grant("a");
		codex.account("a").expireAccessTokens();
		expect(await status(headersFor("a", grant))).toEqual([401, expect.stringContaining("token_expired")]);
		codex.account("a").revokeTokens();
		expect(await status(headersFor("a", grant))).toEqual([401, expect.stringContaining("token_invalidated")]);
		expect(codex.responsesRequests("a").at(-1)).toMatchObject({ status: 401, answer: "refused token" });
		expect(codex.account("a").requestCount).toBe(0);
	});

	it("follows the injected clock", async () => {
		await codex.close();
		let now = 1_800_000_000_000;
		codex = await startFakeCodex({ accounts: ["a"], now: () => now });
		const grant = codex.grant("a", { expiresInMs: 1_000 });
		expect(grant.expires).toBe(now + 1_000);
		expect((await usageOf("a", grant)).status).toBe(200);
		now += 1_000;
		expect((await usageOf("a", grant)).status).toBe(401);
	});

	it.each([true, false])(
		"rotates a refresh token and revokes the family when it is used again (form: %s)",
		async (form) => {
			const old = codex.grant("a");
			const bystander = codex.grant("a");
			const rotated = tokenReply.parse(await (await refresh(old.refresh, form)).json());
			expect(rotated.expires_in).toBe(864_000);
			expect(rotated.refresh_token).not.toBe(old.refresh);
			const renewed = { access: rotated.access_token, refresh: rotated.refresh_token ?? "", expires: 0 };
			expect((await usageOf("a", old)).status).toBe(200);
			expect((await usageOf("a", renewed)).status).toBe(200);
			const reused = await refresh(old.refresh, form);
			expect([reused.status, await reused.json()]).toMatchObject([
				401,
				{ error: { code: "refresh_token_reused", param: null } },
			]);
			expect((await usageOf("a", old)).status).toBe(401);
			expect((await usageOf("a", renewed)).payload).toMatchObject({ error: { code: "token_invalidated" } });
			const dead = await refresh(renewed.refresh, form);
			expect([dead.status, await dead.json()]).toMatchObject([401, { error: { code: "refresh_token_invalidated" } }]);
			expect((await usageOf("a", bystander)).status).toBe(200);
			expect(codex.tokenRequests("a")).toHaveLength(3);
			expect(codex.secrets()).toEqual(expect.arrayContaining([renewed.access, renewed.refresh]));
		},
	);

	it("refuses unknown refresh tokens, clients and grant types", async () => {
		expect((await refresh("rt_unknown")).status).toBe(401);
		expect((await tokenRequest({ grant_type: "refresh_token", refresh_token: "x", client_id: "other" })).status).toBe(
			401,
		);
		expect((await tokenRequest({ grant_type: "password" })).status).toBe(400);
	});

	it.each([
		["status", answers.serverError(503), 503, "server_error"],
		["429", answers.bare429(), 429, "Too Many Requests"],
		["Cloudflare", answers.cloudflare(), 403, "Just a moment"],
		["region", answers.regionBlocked(), 403, "unsupported_country_region_territory"],
		["permanent", tokenAnswers.permanent("refresh_token_expired"), 401, '"error":{"message"'],
		[
			"permanent as a string",
			tokenAnswers.permanent("invalid_grant", { status: 400, place: "error" }),
			400,
			'"error":"invalid_grant"',
		],
		[
			"permanent at the top",
			tokenAnswers.permanent("app_session_terminated", { place: "code" }),
			401,
			'"code":"app_session_terminated"',
		],
	])("scripts the token endpoint: %s", async (_name, answer, status, written) => {
		const { refresh: token } = codex.grant("a");
		codex.account("a").tokenScript.next(answer);
		const response = await refresh(token);
		expect([response.status, await response.text()]).toEqual([status, expect.stringContaining(written)]);
		expect((await refresh(token)).status).toBe(200);
	});

	it("scripts the token endpoint for all accounts", async () => {
		codex.token(answers.serverError(500));
		expect((await refresh(codex.grant("a").refresh)).status).toBe(500);
		codex.token(undefined);
		expect((await refresh(codex.grant("a").refresh)).status).toBe(200);
	});

	it("can delay, hang, lose the answer before or after the rotation, and keep the refresh token", async () => {
		const script = codex.account("a").tokenScript;
		const kept = codex.grant("a").refresh;
		script.next(
			tokenAnswers.delay(60),
			tokenAnswers.withoutRefreshToken(),
			answers.resetBeforeHeaders(),
			tokenAnswers.resetAfterRotation(),
		);
		const startedAt = performance.now();
		expect((await refresh(codex.grant("a").refresh)).status).toBe(200);
		expect(performance.now() - startedAt).toBeGreaterThan(55);
		expect(await (await refresh(kept)).json()).not.toHaveProperty("refresh_token");
		await expect(refresh(kept)).rejects.toThrow();
		await expect(refresh(kept)).rejects.toThrow();
		expect((await refresh(kept)).status).toBe(401);
		script.next(answers.hang(), tokenAnswers.delay(5_000));
		const unspent = codex.grant("a").refresh;
		for (const answer of ["hang", "delay"]) {
			const body = new URLSearchParams({ client_id: CLIENT_ID, grant_type: "refresh_token", refresh_token: unspent });
			const gaveUp = fetch(`${codex.issuer}/oauth/token`, { method: "POST", body, signal: AbortSignal.timeout(50) });
			await expect(gaveUp).rejects.toThrow();
			await codex.waitFor((each) => each.answer === answer && each.clientGone === true);
		}
		expect((await refresh(unspent)).status).toBe(200);
	});
});

describe("login", () => {
	const redirect_uri = "http://localhost:1455/auth/callback";
	const verifier = randomBytes(32).toString("base64url");

	async function authorize(
		changes: Record<string, string> = {},
	): Promise<{ status: number; back: URLSearchParams; text: string }> {
		const query = new URLSearchParams({
			response_type: "code",
			client_id: CLIENT_ID,
			redirect_uri,
			scope: "openid profile email offline_access",
			code_challenge: pkceChallenge(verifier),
			code_challenge_method: "S256",
			state: "0123456789abcdef",
			id_token_add_organizations: "true",
			codex_cli_simplified_flow: "true",
			originator: "pi",
			...changes,
		});
		const response = await fetch(`${codex.issuer}/oauth/authorize?${query}`, { redirect: "manual" });
		const location = response.headers.get("location");
		const back = location === null ? new URLSearchParams() : new URL(location).searchParams;
		return { status: response.status, back, text: await response.text() };
	}

	function exchange(code: string, changes: Record<string, string> = {}): Promise<Response> {
		return tokenRequest({ grant_type: "authorization_code", code, redirect_uri, code_verifier: verifier, ...changes });
	}

	it("signs in the account of the browser, once per code", async () => {
		codex.signIn("b");
		const { status, back } = await authorize();
		expect([status, back.get("state")]).toEqual([302, "0123456789abcdef"]);
		const code = back.get("code") ?? "";
		expect((await exchange(code, { code_verifier: "wrong" })).status).toBe(400);
		expect((await exchange(code, { redirect_uri: "http://localhost:1/auth/callback" })).status).toBe(400);
		const reply = tokenReply.parse(await (await exchange(code)).json());
		const grant = { access: reply.access_token, refresh: reply.refresh_token ?? "", expires: 0 };
		expect((await usageOf("b", grant)).payload).toMatchObject({ email: "b@example.test", plan_type: "team" });
		expect((await exchange(code)).status).toBe(400);
		expect(codex.secrets()).toContain(code);
		expect(codex.requestsOf("authorize")[0]?.account).toBe("b");
	});

	it("issues no refresh token without offline_access", async () => {
		const { back } = await authorize({ scope: "openid profile email" });
		expect(await (await exchange(back.get("code") ?? "")).json()).not.toHaveProperty("refresh_token");
	});

	it("refuses a malformed authorize request and a denied or foreign sign-in", async () => {
		expect(await authorize({ client_id: "x", redirect_uri: "http://evil.test/auth/callback" })).toMatchObject({
			status: 400,
			text: expect.stringContaining("client_id is not acceptable; redirect_uri is not acceptable"),
		});
		codex.denySignIn("access_denied", "missing_codex_entitlement");
		expect((await authorize()).back.get("error_description")).toBe("missing_codex_entitlement");
		codex.signIn("a");
		expect((await authorize({ allowed_workspace_id: "acct-b" })).back.get("error")).toBe("access_denied");
	});

	it("serves the device flow", async () => {
		const headers = { "content-type": "application/json" };
		const call = (path: string, body: object) =>
			fetch(`${codex.issuer}/api/accounts/deviceauth/${path}`, { method: "POST", headers, body: JSON.stringify(body) });
		codex.device.enabled = false;
		expect((await call("usercode", { client_id: CLIENT_ID })).status).toBe(404);
		codex.device.enabled = true;
		const started = await (await call("usercode", { client_id: CLIENT_ID })).json();
		const device = z.object({ device_auth_id: z.string(), user_code: z.string(), interval: z.string() }).parse(started);
		const { device_auth_id, user_code } = device;
		expect((await call("token", { device_auth_id, user_code })).status).toBe(403);
		codex.device.polls.next(answers.refuse(400, { error: { code: "slow_down" } }));
		expect((await call("token", { device_auth_id, user_code })).status).toBe(400);
		codex.device.approve("b", user_code);
		const polled = await (await call("token", { device_auth_id, user_code })).json();
		const { authorization_code, code_verifier, code_challenge } = z
			.object({ authorization_code: z.string(), code_verifier: z.string(), code_challenge: z.string() })
			.parse(polled);
		expect(code_challenge).toBe(pkceChallenge(code_verifier));
		const redirected = { redirect_uri: `${codex.issuer}/deviceauth/callback`, code_verifier };
		expect((await exchange(authorization_code, redirected)).status).toBe(200);
		expect(codex.tokenRequests("b")).toHaveLength(1);
	});
});

describe("usage and quota", () => {
	it("has exactly the documented shape", async () => {
		codex.addAccount({
			name: "rich",
			quota: { fiveHour: { usedPercent: 12.5, resetsInMs: HOUR_MS }, week: {} },
			credits: { hasCredits: true, balance: "9.50" },
			additionalLimits: [
				{ limitName: "GPT-5.3-Codex-Spark", meteredFeature: "codex_bengalfox", usedPercent: 100, resetsInMs: HOUR_MS },
			],
		});
		const { payload } = await usageOf("rich");
		expect(payload).toMatchObject({
			plan_type: "plus",
			rate_limit: {
				allowed: true,
				limit_reached: false,
				primary_window: { used_percent: 12.5, limit_window_seconds: 18_000, reset_at: expect.any(Number) },
				secondary_window: { used_percent: 0, limit_window_seconds: 604_800 },
			},
			code_review_rate_limit: null,
			credits: { has_credits: true, unlimited: false, balance: "9.50" },
			additional_rate_limits: [
				{
					limit_name: "GPT-5.3-Codex-Spark",
					metered_feature: "codex_bengalfox",
					rate_limit: { limit_reached: true, secondary_window: null },
				},
			],
			rate_limit_reached_type: null,
		});
		expect((await usageOf("a")).payload).toMatchObject({ rate_limit: { primary_window: { used_percent: 0 } } });
	});

	it.each([
		["null windows", usageAnswers.nullWindows(), 200, { rate_limit: { primary_window: null, secondary_window: null } }],
		["no rate limit", usageAnswers.noRateLimit(), 200, { rate_limit: null }],
		[
			"only a week",
			usageAnswers.windows(["week", { usedPercent: 99.6 }]),
			200,
			{
				rate_limit: {
					limit_reached: false,
					primary_window: { used_percent: 99.6, limit_window_seconds: 604_800 },
					secondary_window: null,
				},
			},
		],
		[
			"reached type",
			usageAnswers.limitReached("workspace_owner_usage_limit_reached"),
			200,
			{ rate_limit_reached_type: { type: "workspace_owner_usage_limit_reached" } },
		],
		["spend control", usageAnswers.spendControl(true), 200, { spend_control: { reached: true } }],
		[
			"a budget",
			usageAnswers.budget({ usedPercent: 98, resetsInMs: HOUR_MS }),
			200,
			{
				rate_limit: null,
				spend_control: { reached: false, individual_limit: { limit: "500", used: "490", used_percent: 98 } },
			},
		],
		["malformed", usageAnswers.malformed(), 200, { rate_limit: "soon" }],
		["late", usageAnswers.modelled({ delayMs: 20 }), 200, { plan_type: "plus" }],
		["an error", answers.serverError(500), 500, { error: { type: "server_error" } }],
		["a 401", answers.unauthorized("detail"), 401, { detail: "Unauthorized" }],
	])("scripts wham/usage: %s", async (_name, answer, status, payload) => {
		codex.account("a").usage(answer);
		expect(await usageOf("a")).toMatchObject({ status, payload });
		codex.account("a").usage(undefined);
		expect((await usageOf("a")).payload).toMatchObject({ rate_limit: { allowed: true } });
	});

	it("does not contradict a usage limit that was just played", async () => {
		codex.account("a").next(answers.usageLimit({ resetsInMs: 70 * HOUR_MS }));
		await post("a");
		expect((await usageOf("a")).payload).toMatchObject({
			rate_limit: { limit_reached: true, secondary_window: { used_percent: 100 } },
		});
		await post("a");
		expect((await usageOf("a")).payload).toMatchObject({ rate_limit: { limit_reached: false } });
	});

	it("fills with every healthy request, refuses when it is spent, and empties at the reset", async () => {
		await codex.close();
		let now = 1_800_000_000_000;
		const quota = {
			fiveHour: { usedPercent: 60, resetsInMs: HOUR_MS },
			week: {},
			costPerRequestPercent: { fiveHour: 20, week: 1 },
		};
		codex = await startFakeCodex({ accounts: [{ name: "a", quota }], now: () => now });
		const used = async () => (await post("a")).headers.get("x-codex-primary-used-percent");
		expect([await used(), await used()]).toEqual(["80", "100"]);
		expect((await usageOf("a")).payload).toMatchObject({
			rate_limit: { allowed: false, limit_reached: true, secondary_window: { used_percent: 2 } },
		});
		const spent = await post("a");
		expect([spent.status, await spent.json()]).toMatchObject([
			429,
			{ error: { type: "usage_limit_reached", resets_in_seconds: 3_600 } },
		]);
		expect(spent.headers.get("x-codex-secondary-used-percent")).toBe("2");
		now += HOUR_MS;
		expect(await used()).toBe("20");
	});

	it("reports the longest window as primary on demand", async () => {
		codex.account("a").setQuota({ fiveHour: {}, week: { usedPercent: 3 }, longestFirst: true });
		expect((await post("a")).headers.get("x-codex-primary-window-minutes")).toBe("10080");
	});
});

describe("WebSocket", () => {
	it("answers several requests on one connection and knows its own response ids", async () => {
		const client = await connect("a");
		const first = await turn(client);
		expect(textOf(first.events)).toBe("OK from a #1");
		const { id } = z.object({ id: z.string() }).parse(first.events.at(-1)?.response);
		const second = await turn(client, { previous_response_id: id });
		expect(textOf(second.events)).toBe("OK from a #2");
		const [one, two] = codex.requestsOf("websocket-request");
		expect(one?.connectionId).toBe(two?.connectionId);
		expect(two?.headers.authorization).toMatch(/^Bearer /);
		const elsewhere = await turn(await connect("a"), { previous_response_id: id });
		expect(elsewhere.events).toMatchObject([
			{ type: "error", status: 400, error: { code: "previous_response_not_found", param: "previous_response_id" } },
		]);
	});

	it("keeps the auth of the handshake after the token was revoked", async () => {
		const client = await connect("a");
		codex.account("a").revokeTokens();
		expect(textOf((await turn(client)).events)).toBe("OK from a #1");
	});

	it("emits codex.rate_limits when a quota is modelled", async () => {
		codex.account("a").setQuota({ fiveHour: { usedPercent: 40 }, costPerRequestPercent: 30 });
		const client = await connect("a");
		expect((await turn(client)).events[0]).toMatchObject({
			type: "codex.rate_limits",
			rate_limits: { primary: { used_percent: 70, window_minutes: 300 }, secondary: null },
		});
		await turn(client);
		expect((await turn(client)).events).toMatchObject([
			{ type: "error", status: 429, error: { type: "usage_limit_reached" } },
		]);
	});

	it("refuses handshakes as a whole, by token, by script and at the edge", async () => {
		codex.websocket = "refuse";
		expect(await handshakeStatus("a")).toBe(426);
		codex.websocket = "accept";
		expect(await handshakeStatus("a", codex.grant("a", { expiresInMs: 0 }))).toBe(401);
		codex.account("a").next(answers.wsRefuseUpgrade(429), answers.cloudflare());
		expect([await handshakeStatus("a"), await handshakeStatus("a"), (await post("a")).status]).toEqual([429, 403, 403]);
		expect(await handshakeStatus("a")).toBe(101);
		expect(codex.websocketUpgrades().map((each) => each.status)).toEqual([426, 401, 429, 403, 101]);
	});

	it("gives the default answer over HTTP where only the handshake is refused", async () => {
		codex.account("a").always(answers.wsRefuseUpgrade());
		expect(await handshakeStatus("a")).toBe(426);
		expect(textOf(await eventsOf(await post("a")))).toBe("OK from a #1");
	});
});

describe("close", () => {
	it("ends every hanging answer and connection and frees the port", async () => {
		codex.account("a").always(answers.hang());
		const silent = post("a").catch((error: unknown) => error);
		const client = await connect("a");
		const framed = turn(client);
		codex.account("b").usage(answers.hang());
		const usage = usageOf("b").catch((error: unknown) => error);
		await codex.waitFor((each) => each.kind === "usage");
		await codex.waitFor((each) => each.kind === "responses" && each.answer === "hang");
		await codex.waitFor((each) => each.kind === "websocket-request" && each.answer === "hang");
		const never = codex.waitFor(() => false, 60_000);
		const rejected = expect(never).rejects.toThrow("closed");
		const startedAt = performance.now();
		await codex.close();
		expect(performance.now() - startedAt).toBeLessThan(500);
		await rejected;
		expect(await silent).toBeInstanceOf(Error);
		expect(await usage).toBeInstanceOf(Error);
		expect(await framed).toMatchObject({ closed: 1006 });
		await expect(fetch(codex.issuer)).rejects.toThrow();
		await codex.close();
		expect(codex.requests.every((each) => each.endedAt !== undefined)).toBe(true);
	});

	it("rejects a wait whose predicate throws", async () => {
		await post("a");
		const wrong = () => {
			throw new Error("wrong predicate");
		};
		await expect(codex.waitFor(wrong)).rejects.toThrow("wrong predicate");
	});

	it("says what was seen, without a secret, when a wait times out", async () => {
		await post("a");
		const error: unknown = await codex.waitFor(() => false, 20).catch((reason: unknown) => reason);
		expect(String(error)).toContain("responses(a, 200, echoAccount)");
		expect(String(error)).not.toContain(SECRET_MARK);
	});
});
