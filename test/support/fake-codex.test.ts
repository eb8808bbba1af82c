import { randomBytes } from "node:crypto";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { WebSocket } from "ws";
import { z } from "zod";
import {
	answers,
	CLIENT_ID,
	type FakeCodex,
	type Grant,
	type ReserveInit,
	SECRET_MARK,
	startFakeCodex,
	tokenAnswers,
} from "./fake-codex/index.ts";
import { pkceChallenge } from "./fake-codex/tokens.ts";

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

function tokenRequest(fields: Record<string, string>, form = true): Promise<Response> {
	const body = { client_id: CLIENT_ID, ...fields };
	if (form) return fetch(`${codex.issuer}/oauth/token`, { method: "POST", body: new URLSearchParams(body) });
	const headers = { "content-type": "application/json" };
	return fetch(`${codex.issuer}/oauth/token`, { method: "POST", headers, body: JSON.stringify(body) });
}

function refresh(token: string, form = true): Promise<Response> {
	return tokenRequest({ grant_type: "refresh_token", refresh_token: token }, form);
}

async function usageOf(name: string, grant?: Grant, headers: Record<string, string> = {}) {
	const response = await fetch(`${codex.baseUrl}/wham/usage`, { headers: { ...headersFor(name, grant), ...headers } });
	return { status: response.status, payload: looseRecord.parse(await response.json()) };
}

describe("responses over HTTP", () => {
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

	it("refuses reasoning only if a request carries it", async () => {
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
});

it("refusals writes the header names of an error frame as the backend does", async () => {
	const client = await connect("a");
	codex.account("a").next(answers.usageLimit());
	const { events } = await turn(client);
	expect(events[0]).toMatchObject({ headers: { "X-Codex-Primary-Used-Percent": "100" } });
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

	it("takes a token for spent whose answer was lost after the rotation, and else for good", async () => {
		const { refresh: token } = codex.grant("a");
		codex.account("a").tokenScript.next(answers.resetBeforeHeaders(), tokenAnswers.resetAfterRotation());
		await expect(refresh(token)).rejects.toThrow();
		await expect(refresh(token)).rejects.toThrow();
		expect((await refresh(token)).status).toBe(401);
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
});

describe("Luna Reserve", () => {
	const ON_RESERVE = { ...BODY, model: "gpt-reserve" };
	const start = async (usedPercent: number, reserve: ReserveInit) => {
		await codex.close();
		codex = await startFakeCodex({ accounts: [{ name: "a", quota: { week: { usedPercent } }, reserve }, "b"] });
	};

	it("serves its wire model until it is out, without a change of the ordinary windows", async () => {
		await start(100, { usedPercent: 60, costPerRequestPercent: 20 });
		const used = async () => {
			const { status, headers } = await post("a", { body: ON_RESERVE });
			return [status, headers.get("x-base-model-inference-primary-used-percent"), headers.get("x-codex-active-limit")];
		};
		expect(await used()).toEqual([200, "80", "base_model_inference"]);
		expect(await used()).toEqual([200, "100", "base_model_inference"]);
		expect(await used()).toEqual([429, "100", "base_model_inference"]);
		expect((await usageOf("a")).payload).toMatchObject({ rate_limit: { primary_window: { used_percent: 100 } } });
		expect((await post("a")).status).toBe(429);
	});

	it("refuses while the ordinary usage is allowed, and on an account without it", async () => {
		await start(99, { usedPercent: 60 });
		expect((await post("a", { body: ON_RESERVE })).status).toBe(429);
		codex.account("b").setQuota({ week: { usedPercent: 100 } });
		const refused = await post("b", { body: ON_RESERVE });
		expect([refused.status, await refused.json()]).toMatchObject([429, { error: { type: "usage_limit_reached" } }]);
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
});

it("says what was seen, without a secret, when a wait times out", async () => {
	await post("a");
	const error: unknown = await codex.waitFor(() => false, 20).catch((reason: unknown) => reason);
	expect(String(error)).toContain("responses(a, 200, echoAccount)");
	expect(String(error)).not.toContain(SECRET_MARK);
});
