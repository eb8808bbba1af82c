import { createServer, type IncomingHttpHeaders, type Server } from "node:http";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { askIssuer, exchangeCode } from "../../../../src/features/sign-in/code-grant.ts";
import { LOGIN_CANCELLED, SignInError } from "../../../../src/features/sign-in/rules.ts";
import { aTokenOf, HOUR_MS, NOW } from "../../../support/fakes.ts";

/** An issuer with prepared answers, which records its requests. */
interface Issuer {
	readonly url: string;
	status: number;
	body: string;
	headers: Record<string, string>;
	readonly asked: { readonly path: string; readonly headers: IncomingHttpHeaders; readonly body: string }[];
	/** What it does instead of answering. */
	instead: "reset" | "hang" | undefined;
}

let issuer: Issuer;
let server: Server;
beforeEach(async () => {
	server = createServer((request, response) => {
		const chunks: Buffer[] = [];
		request.on("data", (chunk: Buffer) => chunks.push(chunk));
		request.on("end", () => {
			const { url: path = "", headers } = request;
			issuer.asked.push({ path, headers, body: Buffer.concat(chunks).toString() });
			if (issuer.instead === "reset") response.destroy();
			if (issuer.instead !== undefined) return;
			response.writeHead(issuer.status, { "content-type": "application/json", ...issuer.headers });
			response.end(issuer.body);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	const port = typeof address === "object" ? address?.port : undefined;
	issuer = { url: `http://127.0.0.1:${port}`, status: 200, body: "{}", headers: {}, asked: [], instead: undefined };
});
afterEach(() => {
	server.closeAllConnections();
	server.close();
});

const CODE = { code: "code-SECRET", verifier: "verifier-SECRET", redirectUri: "http://localhost:1455/auth/callback" };
const exchange = (signal?: AbortSignal) => exchangeCode(`${issuer.url}/`, CODE, NOW, signal);
const grant = (overrides: Record<string, unknown> = {}) =>
	JSON.stringify({ access_token: aTokenOf("work"), refresh_token: "rt_SECRET", expires_in: 3600, ...overrides });

/** Why an exchange fails; whole, so that nothing can hide in it. */
async function reasonOf(failing: Promise<unknown>): Promise<string> {
	const error = await failing.then(
		() => undefined,
		(reason: unknown) => reason,
	);
	if (!(error instanceof SignInError)) throw new Error(`no SignInError: ${String(error)}`);
	expect([error.cause, JSON.stringify(error)]).toEqual([undefined, '{"name":"SignInError"}']);
	expect(error.message).not.toMatch(/SECRET/);
	return error.message;
}

describe("the exchange of a code", () => {
	it("takes the tokens that came, with any status, and of an answer that was cut off after them", async () => {
		for (const status of [201, 206, 400, 429, 500]) {
			Object.assign(issuer, { status, body: `\uFEFF${grant()}\r\n`, headers: { "content-type": "text/html" } });
			expect(await exchange()).toMatchObject({ refresh: "rt_SECRET" });
		}
		const announced = { "content-length": `${grant().length + 5}`, connection: "close" };
		Object.assign(issuer, { status: 200, body: grant(), headers: announced });
		expect(await exchange()).toMatchObject({ refresh: "rt_SECRET" });
		Object.assign(issuer, { body: grant().slice(0, -2) });
		expect(await exchange()).toMatchObject({ access: aTokenOf("work"), refresh: "rt_SECRET" });
		for (const cut of ['"', "CRET", '"refresh_token"']) {
			Object.assign(issuer, { body: grant().slice(0, grant().lastIndexOf(cut, grant().indexOf('"expires_in"') - 2)) });
			expect(await reasonOf(exchange())).toMatch(/cannot be reached/);
		}
	});

	it("reads the beginning of an answer that is longer than any grant", async () => {
		const padding = "x".repeat(262_144);
		issuer.body = grant({ padding });
		expect((await exchange()).refresh).toBe("rt_SECRET");
		issuer.body = `{"padding":"${padding}","data":${grant()}}`;
		expect(await reasonOf(exchange())).toMatch(/no account/);
	});

	it("sends what the issuer needs, once, and gives the credential", async () => {
		issuer.body = grant();
		const credential = await exchange();
		expect(credential).toEqual({
			access: aTokenOf("work"),
			refresh: "rt_SECRET",
			expiresAt: NOW + 10 * 24 * HOUR_MS,
		});
		expect(issuer.asked).toHaveLength(1);
		const [asked] = issuer.asked;
		expect([asked?.path, asked?.headers["content-type"]]).toEqual([
			"/oauth/token",
			expect.stringMatching(/^application\/x-www-form-urlencoded/),
		]);
		expect(Object.fromEntries(new URLSearchParams(asked?.body))).toEqual({
			grant_type: "authorization_code",
			code: CODE.code,
			code_verifier: CODE.verifier,
			redirect_uri: CODE.redirectUri,
			client_id: expect.stringMatching(/^app_/),
		});
	});

	it("takes the end of the token from the answer if the token does not tell it", async () => {
		const auth = { chatgpt_account_id: "acct-work" };
		const claims = Buffer.from(JSON.stringify({ "https://api.openai.com/auth": auth })).toString("base64url");
		issuer.body = grant({ access_token: `e30.${claims}.x` });
		expect((await exchange()).expiresAt).toBe(NOW + HOUR_MS);
	});

	it.each([
		["no lifetime", 200, grant({ expires_in: undefined })],
		["an odd lifetime", 200, grant({ expires_in: "soon" })],
		["no life at all", 200, grant({ expires_in: 0 })],
		["odd members", 200, grant({ id_token: 5, scope: null, token_type: [] })],
		["status 201", 201, grant()],
		["status 203", 203, `\uFEFF\r\n${grant()}\n`],
		["an object around it", 200, `{"data":${grant()}}`],
	])("takes an answer with %s", async (_what, status, body) => {
		Object.assign(issuer, { status, body });
		expect(await exchange()).toEqual({
			access: aTokenOf("work"),
			refresh: "rt_SECRET",
			expiresAt: NOW + 10 * 24 * HOUR_MS,
		});
	});

	it.each<[string, RegExp, Partial<Issuer>]>([
		[
			"a region without Codex",
			/region/,
			{ status: 403, body: '{"error":{"code":"unsupported_country_region_territory"}}' },
		],
		["a challenge of Cloudflare's", /Cloudflare/, { status: 403, body: "<!DOCTYPE html><html>SECRET</html>" }],
		["a challenge with its header alone", /Cloudflare/, { status: 503, headers: { "cf-mitigated": "challenge" } }],
		["too many sign-ins", /too many/, { status: 429, body: "SECRET" }],
		["an outage", /not working \(502\)/, { status: 502, body: "<html>SECRET</html>" }],
		[
			"a code that it does not know",
			/did not accept the code \(400\)/,
			{ status: 400, body: '{"error":"invalid_grant SECRET"}' },
		],
		["a refusal without a word", /did not accept the code \(403\)/, { status: 403, body: "" }],
		["another page", /returned no account/, { status: 200, body: "<html>SECRET</html>" }],
		["no refresh token", /without a refresh token/, { body: grant({ refresh_token: undefined }) }],
		["an empty refresh token", /without a refresh token/, { body: grant({ refresh_token: "" }) }],
		["no access token", /returned no account/, { body: grant({ access_token: 5 }) }],
		[
			"a token that names no workspace",
			/names no ChatGPT workspace/,
			{ body: grant({ access_token: aTokenOf("work", { auth: {} }) }) },
		],
		["a token that is none", /returned no account/, { body: grant({ access_token: "SECRET" }) }],
	])("an exchange that meets %s says so in a sentence of its own", async (_what, reason, answer) => {
		Object.assign(issuer, answer);
		expect(await reasonOf(exchange())).toMatch(reason);
		expect(issuer.asked).toHaveLength(1);
	});

	it.each(["reset", "closed"])("an exchange whose connection is %s reports that there is no answer", async (how) => {
		if (how === "reset") issuer.instead = "reset";
		else server.close();
		expect(await reasonOf(exchange())).toMatch(/cannot be reached/);
	});

	it("follows no redirect with what it sends", async () => {
		Object.assign(issuer, { status: 307, headers: { location: `${issuer.url}/elsewhere` } });
		expect(await reasonOf(exchange())).toMatch(/cannot be reached/);
		expect(issuer.asked.map(({ path }) => path)).toEqual(["/oauth/token"]);
	});

	it("the exchange of a code is cancelled at any time", async () => {
		const before = AbortSignal.abort();
		expect(await reasonOf(exchange(before))).toBe(LOGIN_CANCELLED);
		expect(issuer.asked).toEqual([]);
		issuer.instead = "hang";
		const controller = new AbortController();
		const exchanging = exchange(controller.signal);
		await expect.poll(() => issuer.asked.length, { timeout: 20_000 }).toBe(1);
		controller.abort();
		expect(await reasonOf(exchanging)).toBe(LOGIN_CANCELLED);
	});
});

describe("asking the issuer", () => {
	it("gives up after a while, and says nothing of what was asked", async () => {
		issuer.instead = "hang";
		const asking = askIssuer(`${issuer.url}/x`, { secret: "SECRET" }, { signal: undefined, timeoutMs: 20 });
		expect(await reasonOf(asking)).toMatch(/cannot be reached/);
	});

	it("quotes no address that is none", async () => {
		const asking = askIssuer("http://SECRET:x/", { secret: "SECRET" }, { signal: undefined, timeoutMs: 1000 });
		expect(await reasonOf(asking)).toMatch(/cannot be reached/);
	});
});
