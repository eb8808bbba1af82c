import { createServer as createHttpServer } from "node:http";
import { createServer, type Server } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { exchangeCode } from "../../../../src/features/sign-in/code-grant.ts";
import { loginOnDevice } from "../../../../src/features/sign-in/device-login.ts";
import { probeBackend, probeIssuer } from "../../../../src/features/verify/probe.ts";
import { createOAuthClient } from "../../../../src/platform/backend/openai-oauth.ts";
import { type Unreached, unreachedWords, whyUnreached } from "../../../../src/platform/backend/unreached.ts";
import { createUsageApi } from "../../../../src/platform/backend/usage-api.ts";
import { aWorkspaceId } from "../../../support/ids.ts";
import { startUntrusted } from "../../../support/untrusted.ts";

async function listening(server: Server): Promise<number> {
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => void server.close());
	const address = server.address();
	return typeof address === "object" && address ? address.port : 0;
}

async function whyOf(url: string, options: RequestInit = {}): Promise<Unreached> {
	const failed = await fetch(url, { method: "POST", body: "x", ...options }).then(
		() => undefined,
		(error: unknown) => whyUnreached(error),
	);
	if (!failed) throw new Error("it was reached");
	return failed;
}

const coded = (code: string, over: object = {}) =>
	Object.assign(new Error("it failed with a SECRET"), { code, ...over });
const fetchFailed = (cause: unknown) => new TypeError("fetch failed", { cause });

describe("a service that is not reached", () => {
	it("has a certificate that is not trusted: nothing was sent, and every sentence names it", async () => {
		const service = await startUntrusted();
		onTestFinished(() => service.close());
		const why = await whyOf(service.url);
		expect(why).toEqual({ kind: "certificate", code: "DEPTH_ZERO_SELF_SIGNED_CERT", maybeSent: false });
		const named = /certificate of the [\w -]+ is not trusted \(DEPTH_ZERO_SELF_SIGNED_CERT\).*NODE_EXTRA_CA_CERTS/i;
		expect(unreachedWords(why, "the sign-in service")).toMatch(named);

		const refreshed = await createOAuthClient(service.url, Date.now).refresh("refresh-SECRET");
		expect(refreshed).toEqual({ kind: "unavailable", reason: expect.stringMatching(named), lasts: true });
		const code = { code: "code-SECRET", verifier: "verifier", redirectUri: "http://localhost:1455/auth/callback" };
		await expect(exchangeCode(service.url, code, 0, undefined)).rejects.toThrow(named);
		await expect(
			loginOnDevice(service.url, { showCode: () => undefined }, Date.now, async () => undefined),
		).rejects.toThrow(named);
		const usage = { baseUrl: service.url, access: "access-SECRET", workspaceId: aWorkspaceId("acct") };
		await expect(createUsageApi(Date.now).fetch(usage, new AbortController().signal)).rejects.toThrow(named);
		const untrusted = { untrusted: "DEPTH_ZERO_SELF_SIGNED_CERT", status: undefined };
		expect(await probeIssuer(service.url, Date.now)).toMatchObject(untrusted);
		expect(await probeBackend(service.url, Date.now)).toMatchObject(untrusted);
		expect(service.asked()).toBe(0);
	});

	it.each([
		"SELF_SIGNED_CERT_IN_CHAIN",
		"UNABLE_TO_VERIFY_LEAF_SIGNATURE",
		"UNABLE_TO_GET_ISSUER_CERT",
		"UNABLE_TO_GET_ISSUER_CERT_LOCALLY",
		"CERT_HAS_EXPIRED",
		"CERT_NOT_YET_VALID",
		"CERT_UNTRUSTED",
		"CERT_REVOKED",
		"INVALID_CA",
		"HOSTNAME_MISMATCH",
		"ERR_TLS_CERT_ALTNAME_INVALID",
	])("a service that is not reached is one with the certificate error %s, wherever that lies", (code) => {
		const expected = { kind: "certificate", code, maybeSent: false };
		const error = coded(code);
		for (const thrown of [
			error,
			fetchFailed(error),
			fetchFailed(fetchFailed(error)),
			fetchFailed(new AggregateError([coded("ECONNREFUSED", { syscall: "connect" }), error])),
			new AggregateError([fetchFailed(error)]),
		]) {
			expect(whyUnreached(thrown)).toEqual(expected);
		}
	});

	it("speaks no TLS, or hangs up in the middle of the handshake", async () => {
		const plain = await listening(createHttpServer((_, response) => response.end()));
		expect(await whyOf(`https://127.0.0.1:${plain}`)).toMatchObject({ kind: "tls", maybeSent: false });
		const hangsUp = await listening(createServer((socket) => socket.once("data", () => socket.end())));
		expect(await whyOf(`https://127.0.0.1:${hangsUp}`)).toMatchObject({ kind: "tls", maybeSent: false });
		const alert = fetchFailed(coded("ERR_SSL_SSL/TLS_ALERT_HANDSHAKE_FAILURE"));
		expect(whyUnreached(alert)).toMatchObject({ kind: "tls", maybeSent: false });
	});

	it("refuses the connection, at one address or at all of them", async () => {
		const server = createServer();
		const port = await listening(server);
		await new Promise((resolve) => server.close(resolve));
		expect(await whyOf(`http://127.0.0.1:${port}`)).toMatchObject({ code: "ECONNREFUSED", maybeSent: false });
		const refused = coded("ECONNREFUSED", { syscall: "connect" });
		const late = coded("ETIMEDOUT", { syscall: "connect" });
		expect(whyUnreached(fetchFailed(new AggregateError([late, refused])))).toMatchObject({ maybeSent: false });
		expect(whyUnreached(fetchFailed(coded("EAI_AGAIN", { syscall: "getaddrinfo" })))).toMatchObject({
			maybeSent: false,
		});
		const tunnel = new Error("Proxy response (407) !== 200 when HTTP Tunneling");
		expect(whyUnreached(fetchFailed(tunnel))).toMatchObject({ kind: "proxy", maybeSent: false });
	});

	it("may have been sent to whenever that is not certain", async () => {
		const closes = await listening(createServer((socket) => socket.once("data", () => socket.destroy())));
		expect(await whyOf(`http://127.0.0.1:${closes}`)).toMatchObject({ kind: "unanswered", maybeSent: true });
		const aborted = await whyOf("http://127.0.0.1:9999", { signal: AbortSignal.abort() });
		expect(aborted).toMatchObject({ maybeSent: true });
		const loop = new Error("a loop");
		loop.cause = loop;
		const reset = coded("ECONNRESET", { syscall: "read" });
		for (const thrown of [undefined, "text", loop, reset, fetchFailed(reset), coded("ERR_SSL_DECRYPTION_FAILED")]) {
			expect(whyUnreached(thrown)).toMatchObject({ kind: "unanswered", maybeSent: true });
		}
		for (const code of ["EHOSTUNREACH", "ENETUNREACH", "ENETDOWN", "EHOSTDOWN"]) {
			for (const syscall of ["read", "write"]) {
				expect(whyUnreached(fetchFailed(coded(code, { syscall })))).toMatchObject({ maybeSent: true });
			}
			expect(whyUnreached(fetchFailed(coded(code, { syscall: "connect" })))).toMatchObject({ code, maybeSent: false });
		}
		const mixed = new AggregateError([coded("ECONNREFUSED", { syscall: "connect" }), reset]);
		expect(whyUnreached(fetchFailed(mixed))).toMatchObject({ maybeSent: true });
	});

	it("is spoken of without a word of its error", () => {
		for (const error of [coded("ECONNRESET"), coded("ENOTFOUND"), coded("CERT_REVOKED"), coded("SECRET")]) {
			expect(unreachedWords(whyUnreached(error), "the Codex backend")).not.toContain("SECRET");
		}
	});
});
