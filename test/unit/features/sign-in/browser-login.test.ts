import { createHash } from "node:crypto";
import { createServer, type Server } from "node:http";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from "vitest";
import type { Credential } from "../../../../src/core/account.ts";
import { loginInBrowser } from "../../../../src/features/sign-in/browser-login.ts";
import { LOGIN_CANCELLED, SignInError } from "../../../../src/features/sign-in/rules.ts";
import { CALLBACK_PORTS, holdCallbackPorts } from "../../../support/callback-ports.ts";
import { answers, type FakeCodex, startFakeCodex, tokenAnswers } from "../../../support/fake-codex/index.ts";
import { settled } from "../../../support/fakes.ts";
import { hurryTimersOf } from "../../waits.ts";

/** One sign-in under way, and the person at it. */
interface SignIn {
	readonly codex: FakeCodex;
	readonly credential: Promise<Credential>;
	readonly url: URL;
	readonly redirectUri: string;
	readonly state: string;
	readonly comesBack: boolean;
	/** What the dialog said was wrong with each text, the first time undefined. */
	readonly problems: (string | undefined)[];
	/** How many exchanges there had been each time that a code was said to be here. */
	readonly received: number[];
	readonly controller: AbortController;
	/** Pastes a text, waiting until it is asked for. */
	paste(text: string | undefined): Promise<void>;
	/** Ends the question as a dialog does that is closed. */
	close(): Promise<void>;
	/** Where the issuer sends the browser, with its code. */
	redirect(): Promise<URL>;
	/** Why it failed: the name of the error and its words, in which no secret may be. */
	reason(): Promise<string>;
}

// For all of the file at once: each test is over in a moment, and others wait.
let giveBack: (() => Promise<void>) | undefined;
beforeAll(async () => {
	await holdCallbackPorts((release) => {
		giveBack = release;
	});
}, 600_000);
afterAll(() => giveBack?.());

async function begin(nameOf?: (credential: Credential) => string | undefined): Promise<SignIn> {
	const codex = await startFakeCodex({ accounts: ["a", "b"] });
	onTestFinished(() => codex.close());
	const problems: (string | undefined)[] = [];
	const received: number[] = [];
	const questions: { resolve: (text: string | undefined) => void; reject: (error: Error) => void }[] = [];
	const controller = new AbortController();
	let shown: { url: string; comesBack: boolean } | undefined;
	const credential = loginInBrowser(
		`${codex.issuer}/`,
		{
			signal: controller.signal,
			showUrl: (url, { comesBack }) => {
				shown = { url, comesBack };
			},
			pasted: (problem) => {
				problems.push(problem);
				return new Promise((resolve, reject) => questions.push({ resolve, reject }));
			},
			received: () => received.push(codex.tokenRequests().length),
		},
		Date.now,
		nameOf,
	);
	// No test hears of a sign-in that it gave up; the ports must be free before the next one.
	onTestFinished(async () => {
		controller.abort();
		await credential.catch(() => undefined);
	});
	credential.catch(() => undefined);
	await expect.poll(() => shown?.url ?? "", { timeout: 20_000 }).not.toBe("");
	const url = new URL(shown?.url ?? "");
	const redirectUri = url.searchParams.get("redirect_uri") ?? "";
	const state = url.searchParams.get("state") ?? "";
	const next = async () => {
		await expect.poll(() => questions.length, { timeout: 20_000 }).toBeGreaterThan(0);
		return questions.shift();
	};
	return {
		codex,
		credential,
		url,
		redirectUri,
		state,
		comesBack: shown?.comesBack ?? false,
		problems,
		received,
		controller,
		paste: async (text) => (await next())?.resolve(text),
		close: async () => (await next())?.reject(new Error("closed")),
		redirect: async () => {
			const response = await fetch(url, { redirect: "manual" });
			return new URL(response.headers.get("location") ?? "");
		},
		reason: async () => {
			const error = await credential.then(
				() => undefined,
				(reason: unknown) => reason,
			);
			if (!(error instanceof SignInError)) throw new Error(`no SignInError: ${String(error)}`);
			for (const secret of [...codex.secrets(), state]) expect(error.message).not.toContain(secret);
			expect(error.cause).toBeUndefined();
			return error.message;
		},
	};
}

/** What the person sees in the browser. */
async function visit(url: URL | string): Promise<{ readonly status: number; readonly page: string }> {
	const response = await fetch(url);
	return { status: response.status, page: await response.text() };
}

/** The one whose credential it is, as the backend tells it. */
async function ownerOf({ codex, credential }: SignIn): Promise<string | undefined> {
	const { access } = await credential;
	return ["a", "b"].find((name) => {
		const payload = Buffer.from(access.split(".")[1] ?? "", "base64").toString();
		return payload.includes(codex.account(name).accountId);
	});
}

function isFree(port: number, host = "127.0.0.1"): Promise<boolean> {
	return new Promise((resolve) => {
		const socket = connect({ port, host }, () => {
			socket.destroy();
			resolve(false);
		});
		socket.once("error", () => resolve(true));
	});
}

async function expectPortsFree(): Promise<void> {
	for (const port of CALLBACK_PORTS) expect([port, await isFree(port)]).toEqual([port, true]);
}

async function occupy(port: number): Promise<Server> {
	const server = createServer((_request, response) => response.end("another program"));
	await new Promise<void>((resolve, reject) => {
		server.once("error", reject);
		server.listen(port, "127.0.0.1", resolve);
	});
	onTestFinished(() => {
		server.closeAllConnections();
		server.close();
	});
	return server;
}

describe("the address of a sign-in", () => {
	it("is one that the issuer knows, with a challenge and a state of its own each time", async () => {
		const one = await begin();
		const query = Object.fromEntries(one.url.searchParams);
		expect(query).toMatchObject({
			response_type: "code",
			redirect_uri: "http://localhost:1455/auth/callback",
			code_challenge_method: "S256",
			originator: "pi",
			scope: expect.stringContaining("offline_access"),
		});
		expect(one.url.href.startsWith(`${one.codex.issuer}/oauth/authorize?`)).toBe(true);
		expect(query.code_challenge).toMatch(/^[\w-]{43}$/);
		expect(one.state).toMatch(/^[\w-]{43}$/);
		one.controller.abort();
		await one.reason();
		const other = await begin();
		expect(other.state).not.toBe(one.state);
		expect(other.url.searchParams.get("code_challenge")).not.toBe(query.code_challenge);
	});

	it("is never that of a service in the clear", async () => {
		const dialog = { showUrl: () => expect.unreachable(), pasted: () => Promise.reject(new Error("not asked")) };
		const signIn = loginInBrowser("http://auth.example.test", dialog, Date.now);
		await expect(signIn).rejects.toThrow(/PI_MULTICODEX_AUTH_URL/);
	});
});

describe("a sign-in that the browser brings back", () => {
	it("ends with the account that signed in there, and gives the ports back", async () => {
		const signIn = await begin();
		signIn.codex.signIn("b");
		const { status, page } = await visit(signIn.url);
		expect([status, page]).toEqual([
			200,
			expect.stringMatching(/^Signed in as b@example\.test, .* close this page\.$/),
		]);
		expect(await ownerOf(signIn)).toBe("b");
		expect(await signIn.credential).toMatchObject({ refresh: expect.stringMatching(/./) });
		await expectPortsFree();
		expect(signIn.problems).toEqual([undefined]);
		// PKCE: what was sent to the exchange belongs to what was sent to the browser.
		const [exchange] = signIn.codex.tokenRequests();
		// The arrival of the code is reported once, before any request to the issuer.
		expect(signIn.received).toEqual([0]);
		const verifier = String(exchange?.body?.code_verifier);
		expect(createHash("sha256").update(verifier).digest("base64url")).toBe(
			signIn.url.searchParams.get("code_challenge"),
		);
	});

	it.skipIf(process.platform === "win32")("comes back on either loopback address", async () => {
		const signIn = await begin();
		const redirect = await signIn.redirect();
		redirect.hostname = "[::1]";
		const answer = await visit(redirect).catch(() => undefined);
		// A machine without IPv6 has no such address.
		if (!answer) return;
		expect(answer.status).toBe(200);
		expect(await ownerOf(signIn)).toBe("a");
		expect(await isFree(1455, "::1")).toBe(true);
	});

	it("an answer with a foreign state is refused, and the wait for the right one goes on", async () => {
		const signIn = await begin();
		const redirect = await signIn.redirect();
		const wrong = new URL(redirect);
		wrong.searchParams.set("state", "x".repeat(43));
		const { status, page } = await visit(wrong);
		expect([status, page]).toEqual([400, expect.stringMatching(/not the page/)]);
		wrong.searchParams.delete("state");
		expect((await visit(wrong)).status).toBe(400);
		expect([signIn.codex.tokenRequests(), signIn.received]).toEqual([[], []]);
		expect((await visit(redirect)).status).toBe(200);
		expect(await ownerOf(signIn)).toBe("a");
	});

	it("a sign-in that the browser brings back is not ended by what other programs send to the port", async () => {
		const signIn = await begin();
		const base = signIn.redirectUri.replace("localhost", "127.0.0.1");
		const origin = new URL(base).origin;
		for (const path of ["/", "/favicon.ico", "/auth/callback", `/auth/callback?state=${signIn.state}`, "//", "/%"]) {
			expect([path, (await visit(`${origin}${path}`)).status]).toEqual([path, 400]);
		}
		const other = `${origin}/other?code=c&state=${signIn.state}`;
		expect((await visit(other)).status).toBe(400);
		await visit(await signIn.redirect());
		expect(await ownerOf(signIn)).toBe("a");
	});

	it("never shows what came with it on its page", async () => {
		const signIn = await begin();
		const mark = "<script>alert(1)</script>";
		const url = `${signIn.redirectUri}?state=${signIn.state}&error=x&error_description=${encodeURIComponent(mark)}`;
		const { page } = await visit(url);
		expect(page).not.toContain("script");
		expect(await signIn.reason()).not.toContain("script");
	});

	it.each<[string, string, string, RegExp]>([
		["the person says no", "access_denied", "The user denied the request", /refused in the browser/],
		["Codex is not switched on", "access_denied", "missing_codex_entitlement", /not switched on.*administrator/],
		["the issuer refuses it", "server_error", "SECRET", /refused the sign-in/],
	])("a callback says so on its page if %s", async (_what, error, description, reason) => {
		const signIn = await begin();
		signIn.codex.denySignIn(error, description);
		const { page } = await visit(signIn.url);
		expect(page).toMatch(/refused/);
		expect(await signIn.reason()).toMatch(reason);
		expect(await signIn.reason()).not.toMatch(/SECRET/);
		expect(signIn.codex.tokenRequests()).toEqual([]);
		await expectPortsFree();
	});
});

describe("the exchange at its end", () => {
	it.each<[string, RegExp, (codex: FakeCodex) => void]>([
		["a region without Codex", /region/, (codex) => codex.token(answers.regionBlocked())],
		["a challenge of Cloudflare's", /Cloudflare/, (codex) => codex.token(answers.cloudflare())],
		["too many sign-ins", /too many/, (codex) => codex.token(answers.bare429())],
		["an outage", /not working \(503\)/, (codex) => codex.token(answers.serverError(503))],
		["a lost connection", /cannot be reached/, (codex) => codex.token(answers.resetBeforeHeaders())],
		[
			"a refusal",
			/did not accept the code \(400\)/,
			(codex) => codex.token(tokenAnswers.permanent("invalid_grant", { status: 400 })),
		],
		[
			"no refresh token",
			/without a refresh token/,
			(codex) => codex.token(tokenAnswers.change(({ refresh_token: _, ...rest }) => rest)),
		],
	])("an exchange that meets %s says so, and the ports are free again", async (_what, reason, prepare) => {
		const signIn = await begin();
		prepare(signIn.codex);
		const { page } = await visit(signIn.url);
		expect(await signIn.reason()).toMatch(reason);
		// The person is still in front of the browser.
		expect(page).toMatch(/^The sign-in did not work/);
		expect(page).toMatch(reason);
		await expectPortsFree();
		expect(signIn.codex.tokenRequests()).toHaveLength(1);
	});

	it("the exchange at its end can be cancelled too", async () => {
		const signIn = await begin();
		signIn.codex.token(answers.hang());
		const page = visit(signIn.url);
		await signIn.codex.waitFor(({ kind }) => kind === "token", 20_000);
		signIn.controller.abort();
		expect(await signIn.reason()).toBe(LOGIN_CANCELLED);
		expect((await page).page).toMatch(/^The sign-in was cancelled in pi\./);
		await expectPortsFree();
	});

	it("a long exchange leaves no page waiting", async () => {
		hurryTimersOf(3000);
		const signIn = await begin();
		signIn.codex.token(answers.hang());
		expect((await visit(signIn.url)).page).toMatch(/ on its way to pi\./);
	});

	it("names the account on the page by its label, and nothing in the label acts on a page", async () => {
		const signIn = await begin(() => "<b>my label</b>\u001b[2J");
		const { page } = await visit(signIn.url);
		expect(page).toMatch(/^Signed in as <b>my label<\/b>\P{Cc}*, and pi has/u);
		const without = await begin(() => undefined);
		expect((await visit(without.url)).page).toMatch(/^You are signed in, and pi has/);
	});
});

describe("a sign-in whose code is pasted", () => {
	it.each<[string, (redirect: URL) => string]>([
		["the whole address", (redirect) => ` ${redirect.href}\n`],
		["the code", (redirect) => redirect.searchParams.get("code") ?? ""],
		["code and state", (redirect) => `${redirect.searchParams.get("code")}#${redirect.searchParams.get("state")}`],
		["the query", (redirect) => redirect.search],
		["the query without its mark", (redirect) => redirect.search.slice(1)],
		["the address without a scheme", (redirect) => redirect.href.replace("http://", "")],
		["the same with the machine's number", ({ href }) => href.replace(/http:\/\/[\w.]+/, "127.0.0.1")],
		["the address in quotes", (redirect) => `"${redirect.href}"`],
		["the address in a sentence", (redirect) => `It says <${redirect.href}>.`],
		["the address in two lines", ({ href }) => href.replace("&state", "\n   &state")],
		["the address broken within its state", ({ href }) => href.replace(/(state=.{6})/, "$1\n   ")],
	])("takes %s", async (_what, textOf) => {
		const signIn = await begin();
		signIn.codex.signIn("b");
		await signIn.paste(textOf(await signIn.redirect()));
		expect(await ownerOf(signIn)).toBe("b");
		await expectPortsFree();
	});

	it("says what is wrong with a text and asks again, until there is a code", async () => {
		const signIn = await begin();
		const redirect = await signIn.redirect();
		const foreign = new URL(redirect);
		foreign.searchParams.set("state", "another");
		for (const text of [
			"https://nothing.example/?x=1",
			"no code at all",
			foreign.href,
			`${redirect.searchParams.get("code")}#another`,
			`${signIn.redirectUri}?error=access_denied&state=${signIn.state}`,
			`${signIn.redirectUri}?code=&state=${signIn.state}`,
			redirect.href,
		]) {
			await signIn.paste(text);
		}
		expect(await ownerOf(signIn)).toBe("a");
		expect(signIn.problems).toEqual([
			undefined,
			expect.stringMatching(/no sign-in code/),
			expect.stringMatching(/no sign-in code/),
			expect.stringMatching(/another sign-in/),
			expect.stringMatching(/another sign-in/),
			expect.stringMatching(/refused in the browser/),
			expect.stringMatching(/no sign-in code/),
		]);
		expect(signIn.codex.tokenRequests()).toHaveLength(1);
	});

	it("asks again after an unknown code, until the right one is pasted or brought back", async () => {
		for (const last of ["paste", "browser"]) {
			const signIn = await begin();
			const redirect = await signIn.redirect();
			await signIn.paste("garbage");
			await signIn.paste("more-garbage");
			if (last === "paste") await signIn.paste(redirect.href);
			else {
				await expect.poll(() => signIn.problems.length, { timeout: 20_000 }).toBe(3);
				await visit(redirect);
			}
			expect(await ownerOf(signIn)).toBe("a");
			const refused = expect.stringMatching(/did not accept the code .* Paste the address/);
			expect(signIn.problems).toEqual([undefined, refused, refused]);
			await expectPortsFree();
		}
	});

	it("is still brought back by the browser after a text that was none", async () => {
		const signIn = await begin();
		await signIn.paste("no code");
		await visit(signIn.url);
		expect(await ownerOf(signIn)).toBe("a");
	});

	it.each<[string, (signIn: SignIn) => Promise<void>]>([
		["an empty text", (signIn) => signIn.paste("  ")],
		["a dialog that is closed", (signIn) => signIn.close()],
		["no text at all", (signIn) => signIn.paste(undefined)],
	])("a sign-in whose code is pasted is cancelled by %s", async (_what, act) => {
		const signIn = await begin();
		await act(signIn);
		expect(await signIn.reason()).toBe(LOGIN_CANCELLED);
		await expectPortsFree();
	});

	it("ends with what was wrong if the person cannot be asked twice", async () => {
		const signIn = await begin();
		await signIn.paste("https://nothing.example/");
		await signIn.paste(undefined);
		expect(await signIn.reason()).toMatch(/no sign-in code/);
	});
});

describe("a sign-in that comes to nothing", () => {
	it("is cancelled at any time, and the ports are free at once", async () => {
		const signIn = await begin();
		expect(await isFree(1455)).toBe(false);
		signIn.controller.abort();
		expect(await signIn.reason()).toBe(LOGIN_CANCELLED);
		await expectPortsFree();
		expect(signIn.codex.tokenRequests()).toEqual([]);
	});

	it("is over after ten minutes, and the ports are free at once", async () => {
		vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
		onTestFinished(() => void vi.useRealTimers());
		const signIn = await begin();
		// Waiting for the address has let some of the time pass.
		await vi.advanceTimersByTimeAsync(9 * 60_000);
		expect(await isFree(1455)).toBe(false);
		await vi.advanceTimersByTimeAsync(60_000);
		expect(await signIn.reason()).toMatch(/not completed within 10 minutes/);
		await expectPortsFree();
	});
});

describe("callback ports that others use", () => {
	it("callback ports in use are passed over for the next one", async () => {
		await occupy(1455);
		const signIn = await begin();
		expect([signIn.redirectUri, signIn.comesBack]).toEqual(["http://localhost:1457/auth/callback", true]);
		await visit(signIn.url);
		expect(await ownerOf(signIn)).toBe("a");
	});

	it("callback ports in use leave pasting if none is free, and the screen says so", async () => {
		await Promise.all(CALLBACK_PORTS.map(occupy));
		const signIn = await begin();
		expect([signIn.redirectUri, signIn.comesBack]).toEqual(["http://localhost:1455/auth/callback", false]);
		await signIn.paste((await signIn.redirect()).href);
		expect(await ownerOf(signIn)).toBe("a");
		await settled();
		for (const port of CALLBACK_PORTS) expect((await visit(`http://127.0.0.1:${port}/`)).page).toBe("another program");
	});
});
