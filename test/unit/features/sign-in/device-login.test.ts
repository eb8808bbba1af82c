import { describe, expect, it, onTestFinished } from "vitest";
import { loginOnDevice } from "../../../../src/features/sign-in/device-login.ts";
import { LOGIN_CANCELLED } from "../../../../src/features/sign-in/rules.ts";
import { answers, type FakeCodex, startFakeCodex, tokenAnswers } from "../../../support/fake-codex/index.ts";
import { settled } from "../../../support/fakes.ts";

/** The time between polls passes in a moment; what was waited is written down, in seconds. */
const waiting = { seconds: [] as number[], onPause: () => undefined as unknown };
const pause = async (ms: number, signal: AbortSignal | undefined) => {
	signal?.throwIfAborted();
	waiting.seconds.push(ms / 1000);
	waiting.onPause();
	await new Promise((resolve) => setImmediate(resolve));
	signal?.throwIfAborted();
};

type Shown = Parameters<Parameters<typeof loginOnDevice>[1]["showCode"]>[0];

async function start(): Promise<FakeCodex> {
	Object.assign(waiting, { seconds: [], onPause: () => undefined });
	const codex = await startFakeCodex({ accounts: ["a", "b"] });
	onTestFinished(() => codex.close());
	codex.device.intervalSeconds = 1;
	return codex;
}

const polls = (codex: FakeCodex) => codex.requests.filter(({ path }) => path.endsWith("/deviceauth/token"));

/** Signs in; the code is typed as soon as it has been asked for `after` times. */
async function signIn(codex: FakeCodex, { after = 0, now = Date.now } = {}) {
	const shown: Shown[] = [];
	waiting.onPause = () => {
		if (polls(codex).length >= after) codex.device.approve("b");
	};
	const signedIn = loginOnDevice(codex.issuer, { showCode: (next) => shown.push(next) }, now, pause);
	return { credential: await signedIn, shown };
}

const script = (codex: FakeCodex, status: number, error: unknown) =>
	codex.device.polls.next(answers.refuse(status, { error }));

/** Why a sign-in fails when its code is not typed. */
async function reasonOf(codex: FakeCodex, now = Date.now): Promise<string> {
	const failed = await loginOnDevice(codex.issuer, { showCode: () => undefined }, now, pause).then(
		() => "it did not",
		(error: unknown) => (error instanceof Error ? `${error.name}: ${error.message}` : "no error"),
	);
	for (const secret of codex.secrets()) expect(failed).not.toContain(secret);
	return failed;
}

describe("signing in on another device", () => {
	it("shows the code and where to type it, and ends with the account that typed it", async () => {
		const codex = await start();
		let shown: Shown | undefined;
		const showCode = (next: Shown) => {
			shown = next;
			codex.device.approve("b", next.userCode);
		};
		const credential = await loginOnDevice(`${codex.issuer}/`, { showCode }, Date.now, pause);
		expect(shown).toMatchObject({
			verificationUri: `${codex.issuer}/codex/device`,
			intervalSeconds: 1,
			expiresInSeconds: 900,
		});
		const answer = await fetch(`${codex.baseUrl}/wham/usage`, {
			headers: { authorization: `Bearer ${credential.access}`, "chatgpt-account-id": "acct-b" },
		});
		expect(answer.status).toBe(200);
		expect(credential.expiresAt).toBeGreaterThan(Date.now());
		expect(credential.refresh).not.toBe("");
	});

	it("asks again, at the interval that the server gave, until the code was typed", async () => {
		const codex = await start();
		codex.device.intervalSeconds = 7;
		const { credential, shown } = await signIn(codex, { after: 3 });
		expect(credential.refresh).not.toBe("");
		expect([polls(codex).length, waiting.seconds, shown.length]).toEqual([4, [7, 7, 7, 7], 1]);
	});

	it.each([
		[0, 5],
		[-3, 5],
		[3600, 5],
		[60, 60],
	])("told an interval of %s s waits %s s", async (told, waited) => {
		const codex = await start();
		codex.device.intervalSeconds = told;
		await signIn(codex);
		expect(waiting.seconds).toEqual([waited]);
	});

	it("takes an answer of success without a code for a code that was not typed yet", async () => {
		const codex = await start();
		codex.device.polls.next(answers.refuse(200, {}), answers.refuse(202, { status: "pending" }));
		expect((await signIn(codex, { after: 2 })).credential.access).not.toBe("");
		expect(polls(codex)).toHaveLength(3);
	});

	it("asks more slowly from then on whenever the server says slow_down", async () => {
		const codex = await start();
		script(codex, 400, { code: "slow_down" });
		script(codex, 403, { code: "deviceauth_authorization_pending" });
		script(codex, 429, "slow_down");
		await signIn(codex, { after: 3 });
		expect(waiting.seconds).toEqual([1, 6, 6, 11]);
	});

	it("takes trouble on the way for a code that was not typed yet", async () => {
		const codex = await start();
		codex.device.polls.next(
			answers.resetBeforeHeaders(),
			answers.serverError(503),
			answers.refuse(404, "<html></html>"),
			answers.refuse(429, ""),
			answers.refuse(403, "no JSON"),
		);
		const { credential } = await signIn(codex, { after: 5 });
		expect(credential.refresh).not.toBe("");
		expect(polls(codex)).toHaveLength(6);
	});

	it.each([
		[{ device_auth_id: "d", usercode: "AB-1", interval: "3" }, "AB-1", 3],
		[{ device_auth_id: 17, user_code: " AB-1\n", usercode: 5 }, "AB-1", 5],
		[{ device_auth_id: "d", userCode: "AB-1", interval: null, expires_in: "soon" }, "AB-1", 5],
		[{ device_code: "d", user_code: null, usercode: "AB-1", interval: 2 }, "AB-1", 2],
	])("reads a code from any known answer: %j", async (told, userCode, seconds) => {
		const codex = await start();
		codex.device.starts.next(answers.refuse(201, told));
		const good = { authorization_code: "code", code_verifier: "verifier", code_challenge: null };
		codex.device.polls.next(answers.refuse(203, good));
		const shown: Shown[] = [];
		const signingIn = loginOnDevice(codex.issuer, { showCode: (next) => shown.push(next) }, Date.now, pause);
		// The fake issuer does not know the code that was made up here.
		await expect(signingIn).rejects.toThrow(/did not accept the code/);
		expect([shown[0]?.userCode, waiting.seconds]).toEqual([userCode, [seconds]]);
		const exchanged = codex.requests.at(-1)?.body;
		expect(exchanged).toMatchObject({ code: "code", code_verifier: "verifier" });
	});

	it("is over when the person says no on the other device, or the service ends it", async () => {
		const codex = await start();
		script(codex, 403, { code: "access_denied" });
		expect(await reasonOf(codex)).toMatch(/^SignInError: .*refused on the other device/);
		script(codex, 400, "expired_token");
		expect(await reasonOf(codex)).toMatch(/not used within 15 minutes/);
		script(codex, 400, { code: "deviceauth_invalid_request" });
		expect(await reasonOf(codex)).toMatch(/refused the device code \(400\)/);
		script(codex, 401, { code: null });
		expect(await reasonOf(codex)).toMatch(/refused the device code \(401\)/);
		expect(polls(codex)).toHaveLength(4);
	});

	it("is over when the code has run out", async () => {
		const codex = await start();
		let at = 0;
		waiting.onPause = () => {
			at += 5 * 60_000;
		};
		expect(await reasonOf(codex, () => at)).toMatch(/within 15 minutes\. Start again/);
		expect(polls(codex)).toHaveLength(3);
	});

	it("says what the exchange at its end met", async () => {
		const codex = await start();
		codex.token(tokenAnswers.permanent("invalid_grant", { status: 400 }));
		await expect(signIn(codex)).rejects.toThrow(/did not accept the code \(400\)/);
		codex.token(tokenAnswers.change(({ refresh_token: _, ...rest }) => rest));
		await expect(signIn(codex)).rejects.toThrow(/without a refresh token/);
	});

	it("is cancelled before the code, during the wait, and during a poll", async () => {
		const codex = await start();
		const cancelled = new Error(LOGIN_CANCELLED);
		cancelled.name = "SignInError";
		const signInUntil = (controller: AbortController, showCode: () => void = () => undefined) =>
			loginOnDevice(codex.issuer, { signal: controller.signal, showCode }, Date.now, pause);

		const early = new AbortController();
		early.abort();
		await expect(signInUntil(early)).rejects.toThrow(LOGIN_CANCELLED);
		expect(codex.requests).toEqual([]);

		const atOnce = new AbortController();
		await expect(signInUntil(atOnce, () => atOnce.abort())).rejects.toEqual(cancelled);
		expect(polls(codex)).toEqual([]);

		const during = new AbortController();
		codex.device.polls.next(answers.hang());
		const polling = signInUntil(during);
		await codex.waitFor(({ path }) => path.endsWith("/deviceauth/token"), 20_000);
		during.abort();
		await expect(polling).rejects.toEqual(cancelled);
		await settled();
		expect(polls(codex)).toHaveLength(1);
	});

	it("says so if device codes are switched off, and how to switch them on", async () => {
		const codex = await start();
		codex.device.enabled = false;
		expect(await reasonOf(codex)).toMatch(/switched off.*Settings/);
		expect(polls(codex)).toEqual([]);
	});

	it("says so if there is no answer", async () => {
		const codex = await start();
		await codex.close();
		expect(await reasonOf(codex)).toMatch(/cannot be reached/);
	});

	it("sends nothing to a service in the clear, and names the setting", async () => {
		const refused = loginOnDevice("http://auth.example.test", { showCode: () => undefined }, Date.now, pause);
		await expect(refused).rejects.toThrow(/PI_MULTICODEX_AUTH_URL/);
	});
});
