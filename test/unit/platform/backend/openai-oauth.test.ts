import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { createServer as createSocketServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { RefreshOutcome } from "../../../../src/core/ports.ts";
import { createOAuthClient } from "../../../../src/platform/backend/openai-oauth.ts";
import { answers, CLIENT_ID, type FakeCodex, startFakeCodex, tokenAnswers } from "../../../support/fake-codex/index.ts";
import { aToken, aTokenOf, DAY_MS, NOW, settled, until } from "../../../support/fakes.ts";
import { coreOf, isWide } from "../../../support/tiers.ts";

let codex: FakeCodex;
beforeAll(async () => {
	codex = await startFakeCodex({ accounts: ["a"] });
});
afterAll(() => codex.close());
afterEach(() => {
	vi.useRealTimers();
	codex.account("a").token(undefined);
	codex.clearRequests();
});

/** Can be used, and does not tell when it ends. */
const TIMELESS = aToken({ auth: { chatgpt_account_id: "acct-a" } });

const refresh = (token: string, issuer = codex.issuer) => createOAuthClient(issuer, () => NOW).refresh(token);

/** Refreshes once against an answer of the token endpoint; no reason it gives may hold a token. */
async function outcomeOf(answer: Parameters<FakeCodex["oauth"]["script"]["always"]>[0]): Promise<RefreshOutcome> {
	const { refresh: token } = codex.grant("a");
	codex.account("a").token(answer);
	const outcome = await refresh(token);
	if (outcome.kind !== "granted") {
		expect(codex.secrets().filter((secret) => JSON.stringify(outcome).includes(secret))).toEqual([]);
	}
	return outcome;
}

describe("a refresh", () => {
	it("a refresh is one form post of exactly what the issuer wants", async () => {
		const grant = codex.grant("a");
		const outcome = await refresh(grant.refresh);
		const [request, ...others] = codex.requests;
		expect(others).toEqual([]);
		expect(request).toMatchObject({ method: "POST", path: "/oauth/token", kind: "token" });
		expect(request?.body).toEqual({
			grant_type: "refresh_token",
			refresh_token: grant.refresh,
			client_id: CLIENT_ID,
		});
		expect(outcome.kind).toBe("granted");
	});

	it("gives the new credential, with the end that the token itself tells", async () => {
		const grant = codex.grant("a");
		const outcome = await refresh(grant.refresh);
		const credential = outcome.kind === "granted" ? outcome.credential : undefined;
		expect(codex.secrets()).toEqual(expect.arrayContaining([credential?.access, credential?.refresh]));
		expect(credential?.refresh).not.toBe(grant.refresh);
		const inTenDays = Date.now() + 10 * DAY_MS;
		expect(Math.abs((credential?.expiresAt ?? 0) - inTenDays)).toBeLessThan(60_000);
	});

	it("keeps the refresh token if the answer has none", async () => {
		const grant = codex.grant("a");
		codex.account("a").token(tokenAnswers.withoutRefreshToken());
		expect(await refresh(grant.refresh)).toMatchObject({ kind: "granted", credential: { refresh: grant.refresh } });
	});

	it("takes expires_in, and else an hour, if the token does not tell its end", async () => {
		const opaque = (expires?: number) => tokenAnswers.change(() => ({ access_token: TIMELESS, expires_in: expires }));
		expect(await outcomeOf(opaque(120))).toMatchObject({ credential: { expiresAt: NOW + 120_000 } });
		expect(await outcomeOf(opaque())).toMatchObject({ credential: { expiresAt: NOW + 3_600_000 } });
		expect(
			await outcomeOf(tokenAnswers.change(() => ({ access_token: aTokenOf("a"), expires_in: 120 }))),
		).toMatchObject({
			credential: { expiresAt: NOW + 10 * DAY_MS },
		});
	});

	it("reads the beginning of an answer longer than any grant, and is unknown without a token there", async () => {
		const padding = (length: number) => "x".repeat(length);
		const paddedBehind = (length: number) => tokenAnswers.change((body) => ({ ...body, padding: padding(length) }));
		const paddedBefore = (length: number) => tokenAnswers.change((body) => ({ padding: padding(length), ...body }));
		expect(await outcomeOf(paddedBefore(200_000))).toMatchObject({ kind: "granted" });
		expect(await outcomeOf(paddedBehind(262_144))).toMatchObject({ kind: "granted" });
		expect(await outcomeOf(paddedBefore(262_144))).toMatchObject({ kind: "unknown" });
		expect(await outcomeOf(answers.refuse(503, `<html>${"x".repeat(262_144)}`))).toMatchObject({ kind: "unavailable" });
	});

	it("takes an issuer with a slash at its end", async () => {
		expect((await refresh(codex.grant("a").refresh, `${codex.issuer}/`)).kind).toBe("granted");
		expect(codex.requests[0]?.path).toBe("/oauth/token");
	});

	const kept = async (edit: (body: Record<string, unknown>) => Record<string, unknown>) => {
		const grant = codex.grant("a");
		const access = aTokenOf("a");
		codex
			.account("a")
			.token(tokenAnswers.change((body) => edit({ ...body, access_token: access, refresh_token: "next" })));
		const outcome = await refresh(grant.refresh);
		return { outcome, access, spent: grant.refresh };
	};

	it.each([null, "", "  ", 17, {}, [], "two words", true])(
		"keeps the refresh token if the answer has %j in its place",
		async (odd) => {
			const { outcome, access, spent } = await kept((body) => ({ ...body, refresh_token: odd }));
			expect(outcome).toMatchObject({ kind: "granted", credential: { access, refresh: spent } });
		},
	);

	it.each([
		{ expires_in: null },
		{ expires_in: "" },
		{ expires_in: "soon" },
		{ expires_in: -1 },
		{ expires_in: 0 },
		{ expires_in: 1e300 },
		{ expires_in: [3600] },
		{ id_token: 5, scope: ["openid"], token_type: null },
		{ account: { id: null }, expires_at: "never" },
	])("stores what came, whatever else the answer says: %j", async (odd) => {
		const { outcome, access } = await kept((body) => ({ ...body, ...odd }));
		expect(outcome).toEqual({
			kind: "granted",
			credential: { access, refresh: "next", expiresAt: NOW + 10 * DAY_MS },
		});
	});

	it.each([
		["3600", NOW + 3_600_000],
		[" 120 ", NOW + 120_000],
		[90.5, NOW + 90_500],
		["0", NOW + 3_600_000],
		["-5", NOW + 3_600_000],
		[null, NOW + 3_600_000],
		[1e12, NOW + 3_600_000],
		["Infinity", NOW + 3_600_000],
	])("reads a lifetime of %j if the token tells none", async (told, expiresAt) => {
		const { outcome } = await kept((body) => ({ ...body, access_token: TIMELESS, expires_in: told }));
		expect(outcome).toMatchObject({ kind: "granted", credential: { access: TIMELESS, expiresAt } });
	});

	it.each(["data", "result", "tokens", "token"])(
		"finds the tokens in an answer that has them under %s",
		async (name) => {
			const { outcome, access } = await kept((body) => ({ ok: true, [name]: body }));
			expect(outcome).toMatchObject({ kind: "granted", credential: { access, refresh: "next" } });
		},
	);

	it.each<[string, (body: Record<string, unknown>) => unknown]>([
		["in a list", (body) => [body]],
		["in a list of answers", (body) => [{ ok: true }, { data: [body] }]],
		["two objects down", (body) => ({ data: { token: body } })],
		["under a name of tomorrow", (body) => ({ credentials: { oauth: body } })],
	])("finds the tokens in an answer that has them %s", async (_where, around) => {
		const access = aTokenOf("a");
		const body = JSON.stringify(around({ access_token: access, refresh_token: "next" }));
		expect(await outcomeOf(answers.refuse(200, body))).toMatchObject({
			kind: "granted",
			credential: { access, refresh: "next" },
		});
	});

	it("looks no deeper than a gateway nests, and takes nothing of a page that quotes tokens", async () => {
		const token = { access_token: aTokenOf("a"), refresh_token: "next" };
		const deep = Array.from({ length: 10 }).reduce<unknown>((inner) => ({ data: inner }), token);
		for (const body of [JSON.stringify(deep), `<pre>${JSON.stringify(token)}</pre>`]) {
			expect(await outcomeOf(answers.refuse(200, body))).toMatchObject({ kind: "unknown" });
		}
	});

	it.each([
		["a byte order mark", (json: string) => `\uFEFF${json}`],
		["blank lines", (json: string) => `\r\n\t ${json} \r\n`],
	])("reads an answer with %s around it, with any status", async (_what, around) => {
		const access = aTokenOf("a");
		const body = around(JSON.stringify({ access_token: ` ${access}\n`, refresh_token: "next" }));
		for (const status of coreOf([200, 201, 203, 206, 400, 429, 500, 503], (each) => [200, 400, 503].includes(each))) {
			expect(await outcomeOf(answers.refuse(status, body))).toMatchObject({
				kind: "granted",
				credential: { access, refresh: "next" },
			});
		}
	});

	it("keeps a next refresh token that comes without an access token: the former one is spent", async () => {
		const { outcome } = await kept(({ refresh_token }) => ({ refresh_token, access_token: null }));
		expect(outcome.kind === "unknown" && outcome.next?.()).toBe("next");
		expect(JSON.stringify(outcome)).not.toContain("next");
	});

	it("keeps a next refresh token that lies elsewhere in the answer than the access token", async () => {
		const { outcome } = await kept(({ access_token, refresh_token }) => ({ access_token, data: { refresh_token } }));
		expect(outcome).toMatchObject({ kind: "granted", credential: { refresh: "next" } });
	});

	it.each([
		["no JWT", "opaque"],
		["without a workspace", aToken({ sub: "auth0|a", expiresAt: NOW + DAY_MS })],
		["without claims", aToken({})],
		["in four parts", `${aTokenOf("a")}.more`],
		["in two parts", aTokenOf("a").replace(/\.signature$/, "")],
		["not decodable", "x.%%%.y"],
	])(
		"keeps the next refresh token, and nothing else, if the access token is %s: pi could not use it",
		async (_what, odd) => {
			const { outcome } = await kept((body) => ({ ...body, access_token: odd }));
			expect(outcome.kind === "unknown" && outcome.next?.()).toBe("next");
		},
	);

	it("takes no word about the token in a refusal for the next one", async () => {
		const refusal = answers.refuse(400, { error: "invalid_grant", refresh_token: "unknown", access_token: "none" });
		expect(await outcomeOf(refusal)).toEqual({ kind: "refused", code: "invalid_grant", closed: false });
	});

	it("is refused by an answer of success that holds a code for that, and no token", async () => {
		expect(await outcomeOf(answers.refuse(200, { error: "invalid_grant" }))).toMatchObject({ kind: "refused" });
		expect(await outcomeOf(answers.refuse(200, { error: "server_error" }))).toMatchObject({ kind: "unknown" });
	});

	it("is never sent in the clear to another machine", async () => {
		const outcome = await refresh("secret", "http://auth.example");
		const reason = expect.stringContaining("PI_MULTICODEX_AUTH_URL");
		// Nothing is waited for: only the person can change it.
		expect(outcome).toEqual({ kind: "unavailable", reason, lasts: true });
	});
});

const SIGN_IN_AGAIN = [
	"refresh_token_expired",
	"refresh_token_reused",
	"refresh_token_invalidated",
	"refresh_token_exhausted",
	"refresh_token_revoked",
	"invalid_grant",
	"invalid_refresh_token",
	"revoked",
	"token_expired",
	"token_invalidated",
	"app_session_terminated",
	"account_session_expired",
	"account_auth_invalidated",
];
const CLOSED = ["account_deactivated", "account_suspended", "account_deleted"];
const PLACES = ["error.code", "error", "code"] as const;
/** In the core every code in one place, and one code in every place. */
const places = (codes: readonly string[]) =>
	coreOf(
		codes.flatMap((code) => PLACES.map((place) => [code, place] as const)),
		([code, place]) => code === codes[0] || place === PLACES[0],
	);

describe("a refusal for good", () => {
	it.each(places(SIGN_IN_AGAIN))("is %s in %s, with 401 and with 400", async (code, place) => {
		for (const status of coreOf([401, 400], (each) => each === 401 || place !== PLACES[0])) {
			expect(await outcomeOf(tokenAnswers.permanent(code, { place, status }))).toEqual({
				kind: "refused",
				code,
				closed: false,
			});
		}
	});

	it.each(places(CLOSED))("is %s in %s, and no sign-in helps", async (code, place) => {
		expect(await outcomeOf(tokenAnswers.permanent(code, { place }))).toEqual({ kind: "refused", code, closed: true });
	});

	it.each<Record<string, unknown>>([
		{ error: { code: 123, type: "invalid_request_error" }, code: "invalid_grant" },
		{ error: null, code: "invalid_grant" },
		{ error: 5, error_description: ["odd"], code: "invalid_grant" },
		{ error: "invalid_grant", code: 123 },
		{ error: { code: null, type: "invalid_grant", message: 7 } },
		{ error: { code: "unheard_of" }, code: "invalid_grant" },
		{ error: "invalid_request", error_code: "invalid_grant" },
		{ detail: "invalid_grant" },
		{ detail: { code: "invalid_grant", message: null } },
		{ detail: [{ loc: [] }], error: { code: " Invalid_Grant " } },
	])("is found whatever lies beside it: %j", async (body) => {
		for (const status of coreOf([400, 401, 403])) {
			expect(await outcomeOf(answers.refuse(status, body))).toEqual({
				kind: "refused",
				code: "invalid_grant",
				closed: false,
			});
		}
	});

	it("may be a 400 or a 401 in JSON with a reason that is not known, and nothing else", async () => {
		const words = { error: { code: "brand_new", message: "No." } };
		for (const status of [400, 401]) {
			// Its code may quote anything and goes no further. A gateway that inspects the traffic answers so, too.
			for (const body of [words, { message: "No." }, { detail: "Unauthorized" }, {}]) {
				const reason = `the sign-in service answered ${status}`;
				expect(await outcomeOf(answers.refuse(status, body))).toEqual({
					kind: "unavailable",
					reason,
					mayBeFinal: true,
				});
			}
		}
		for (const answer of [
			answers.refuse(401, "<html>unauthorized</html>"),
			answers.refuse(401, ""),
			answers.refuse(400, "<html>bad request</html>"),
			answers.refuse(400, ""),
			answers.refuse(403, words),
			answers.refuse(403, "<html>forbidden</html>"),
			answers.refuse(429, { error: { code: "refresh_token_reused" } }),
			answers.refuse(503, words),
			answers.refuse(400, { error: "temporarily_unavailable" }),
			// These refuse the program, whose next sign-in would fare no better.
			answers.refuse(401, { error: "invalid_client" }),
			answers.refuse(400, { error: { code: "unauthorized_client" } }),
			answers.refuse(400, { error: "unsupported_grant_type" }),
			answers.refuse(400, { error: { code: "unsupported_country_region_territory" } }),
		]) {
			const outcome = await outcomeOf(answer);
			expect(outcome).toMatchObject({ kind: "unavailable" });
			expect(outcome).not.toHaveProperty("mayBeFinal");
		}
	});

	it("a second use of a refresh token is a refusal for good", async () => {
		const { refresh: token } = codex.grant("a");
		expect((await refresh(token)).kind).toBe("granted");
		expect(await refresh(token)).toEqual({ kind: "refused", code: "refresh_token_reused", closed: false });
	});

	it("a refusal for good is read in any case", async () => {
		expect(await outcomeOf(tokenAnswers.permanent("Invalid_Grant", { status: 400 }))).toMatchObject({
			kind: "refused",
			code: "invalid_grant",
		});
	});
});

describe("a refusal for now", () => {
	const ofServers = coreOf([500, 502, 503, 504, 529], (status) => [500, 529].includes(status));
	it.each(ofServers)("the status %i is a refusal for now, whatever its body says", async (status) => {
		expect((await outcomeOf(answers.serverError(status))).kind).toBe("unavailable");
		expect((await outcomeOf(answers.refuse(status, "<html>bad gateway</html>"))).kind).toBe("unavailable");
		for (const code of ["refresh_token_reused", "invalid_grant", "account_deactivated"]) {
			const outcome = await outcomeOf(tokenAnswers.permanent(code, { status }));
			expect([code, outcome.kind]).toEqual([code, "unavailable"]);
		}
	});

	it("a 429 is a refusal for now, with and without a body", async () => {
		expect((await outcomeOf(answers.bare429())).kind).toBe("unavailable");
		expect((await outcomeOf(tokenAnswers.permanent("rate_limit_exceeded", { status: 429 }))).kind).toBe("unavailable");
	});

	it("a page of HTML is a refusal for now, even with 401", async () => {
		expect((await outcomeOf(answers.cloudflare())).kind).toBe("unavailable");
		expect((await outcomeOf(answers.refuse(401, "<html>Just a moment...</html>"))).kind).toBe("unavailable");
	});

	it("a blocked region is a refusal for now", async () => {
		expect((await outcomeOf(answers.regionBlocked())).kind).toBe("unavailable");
	});

	it("is an issuer that cannot be reached: the token cannot be spent", async () => {
		const gone = await startFakeCodex();
		await gone.close();
		expect(await refresh("unsent", gone.issuer)).toMatchObject({ kind: "unavailable" });
	});
});

describe("no answer", () => {
	it.each([
		["a connection that is reset", answers.resetBeforeHeaders()],
		["a connection that is reset after the token was spent", tokenAnswers.resetAfterRotation()],
		["an answer without a token", tokenAnswers.change(() => ({ token_type: "Bearer" }))],
		["an answer with an empty token", tokenAnswers.change((body) => ({ ...body, access_token: "" }))],
		["a page of HTML with status 200", answers.refuse(200, "<html>welcome</html>")],
	])("leaves open whether the token is spent: %s", async (_name, answer) => {
		expect((await outcomeOf(answer)).kind).toBe("unknown");
	});

	it("is waited for 30 s of a running process, no longer", async () => {
		vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
		codex.account("a").token(answers.hang());
		const { refresh: token } = codex.grant("a");
		let outcome: RefreshOutcome | undefined;
		const waiting = refresh(token).then((ended) => {
			outcome = ended;
		});
		await codex.waitFor(({ kind }) => kind === "token");
		vi.advanceTimersByTime(29_500);
		await new Promise((resolve) => setImmediate(resolve));
		expect(outcome).toBeUndefined();
		vi.advanceTimersByTime(1000);
		await waiting;
		expect(outcome).toMatchObject({ kind: "unknown" });
	});

	it("is waited for in the body, too", async () => {
		vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
		const server = createServer((_request, response) => {
			response.writeHead(200, { "content-type": "application/json" });
			response.write('{"access_token":');
			vi.advanceTimersByTime(31_000);
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		const { port } = server.address() as AddressInfo;
		expect(await refresh("secret", `http://127.0.0.1:${port}`)).toMatchObject({ kind: "unknown" });
		server.closeAllConnections();
		server.close();
	});

	it("no answer is not followed to another address with the token", async () => {
		const outcome = await outcomeOf(answers.refuse(307, {}, { location: `${codex.issuer}/elsewhere` }));
		expect(outcome.kind).not.toBe("granted");
		expect(codex.requests.map(({ path }) => path)).toEqual(["/oauth/token"]);
	});
});

describe("an answer, as it comes over the wire,", () => {
	const access = aTokenOf("a");
	const json = JSON.stringify({ access_token: access, refresh_token: "next", expires_in: 60 });
	const length = Buffer.byteLength(json);
	const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;
	const inChunks = (text: string, size: number) => text.match(new RegExp(`[^]{1,${size}}`, "g"))?.map(chunk) ?? [];

	/** An issuer that writes these parts to the socket, one after the other, and then ends, breaks or keeps it. */
	async function issuerThatWrites(
		parts: readonly string[],
		end: "end" | "break" | "keep",
		onWritten: () => void = () => undefined,
	): Promise<string> {
		const server = createSocketServer((socket) => {
			socket.on("error", () => undefined);
			socket.once("data", async () => {
				for (const part of parts) {
					socket.write(part);
					await new Promise((resolve) => setTimeout(resolve, 2));
				}
				if (end === "end") socket.end();
				if (end === "break") socket.resetAndDestroy();
				onWritten();
			});
			onTestFinished(() => void socket.destroy());
		});
		await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
		onTestFinished(() => void server.close());
		const { port } = server.address() as AddressInfo;
		return `http://127.0.0.1:${port}`;
	}
	const head = (...lines: readonly string[]) => `HTTP/1.1 200 OK\r\n${lines.map((line) => `${line}\r\n`).join("")}\r\n`;
	const granted = { kind: "granted", credential: { access, refresh: "next", expiresAt: NOW + 10 * DAY_MS } };

	it.each<[string, readonly string[], "end" | "break"]>([
		["in one piece", [head(`content-length: ${length}`), json], "end"],
		["as HTML by its type", [head("content-type: text/html", `content-length: ${length}`), json], "end"],
		["in chunks of a few bytes", [head("transfer-encoding: chunked"), ...inChunks(json, 40), chunk("")], "end"],
		["without a length, until the connection ends", [head("connection: close"), json], "end"],
		["after its mark, between blanks", [head("connection: close"), "\uFEFF", "\r\n ", json, "\r\n\r\n"], "end"],
		["with a status between", ["HTTP/1.1 103 Early Hints\r\n\r\n", head(`content-length: ${length}`), json], "end"],
		["shorter than it was announced", [head(`content-length: ${length + 9}`), json], "end"],
		["cut off after its last byte", [head("transfer-encoding: chunked"), chunk(json)], "break"],
	])("an answer over the wire is taken %s", async (_what, parts, end) => {
		expect(await refresh("spent", await issuerThatWrites(parts, end))).toEqual(granted);
	});

	it("leaves open whether the token was spent if it breaks off, whatever code that has", async () => {
		const broken = new ReadableStream({
			pull: (controller) => controller.error(Object.assign(new Error("gone"), { code: "ENETDOWN" })),
		});
		const fetching = vi.spyOn(globalThis, "fetch").mockResolvedValue(new Response(broken));
		onTestFinished(() => fetching.mockRestore());
		expect(await refresh("spent")).toMatchObject({ kind: "unknown" });
	});

	it("is taken if nothing tells that it has ended, when its time is up", async () => {
		let isWritten = false;
		const issuer = await issuerThatWrites([head("transfer-encoding: chunked"), chunk(json)], "keep", () => {
			isWritten = true;
		});
		vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
		const outcome = refresh("spent", issuer);
		await until("the answer is on its way", () => isWritten);
		for (let turn = 0; turn < 50; turn += 1) await settled();
		vi.advanceTimersByTime(31_000);
		expect(await outcome).toEqual(granted);
	});

	it.each(["end", "break"] as const)("is taken for the tokens that are whole if it was cut off: %s", async (end) => {
		const cutAt = async (at: number) =>
			refresh("spent", await issuerThatWrites([head(`content-length: ${length}`), json.slice(0, at)], end));
		const behind = json.indexOf(",", json.indexOf('"next"'));
		for (const at of [length - 1, behind + 5, behind]) expect(await cutAt(at)).toEqual(granted);
		// The former refresh token is spent, but the access token serves for as long as it lasts.
		const withoutNext = { ...granted, credential: { ...granted.credential, refresh: "spent" } };
		const afterAccess = json.indexOf('","refresh_token') + 1;
		for (const at of [behind - 1, behind - 4, afterAccess]) expect(await cutAt(at)).toEqual(withoutNext);
		for (const at of [afterAccess - 1, 30, 2]) expect(await cutAt(at)).toMatchObject({ kind: "unknown" });
	});

	/**
	 * Odd values of each member, alone and in pairs: none of them costs the access token, nor another one's good value.
	 */
	const ODD = [undefined, null, "", " ", 0, -1, 1e300, "soon", [], {}, true] as const;
	const MEMBERS = ["refresh_token", "expires_in", "id_token", "scope", "token_type", "error", "data"] as const;
	// The others are not read at all.
	const read = coreOf(MEMBERS, (member) => ["refresh_token", "expires_in", "error", "data"].includes(member));
	it.each(read)("keeps what is good with an odd %s, beside another odd member", async (first) => {
		const [next = first] = MEMBERS.slice(MEMBERS.indexOf(first) + 1);
		for (const second of isWide ? MEMBERS : [next]) {
			for (const [at, value] of ODD.entries()) {
				const odd: Record<string, unknown> = { [first]: value, [second]: ODD[(at * 7 + 3) % ODD.length] };
				const body = JSON.stringify({ access_token: access, refresh_token: "next", expires_in: 60, ...odd });
				codex.account("a").token(answers.refuse(200, body));
				const { refresh: token } = codex.grant("a");
				const told = odd.refresh_token === "soon" ? "soon" : token;
				const credential = { ...granted.credential, refresh: "refresh_token" in odd ? told : "next" };
				expect([odd, await refresh(token)]).toEqual([odd, { kind: "granted", credential }]);
			}
		}
	});
});
