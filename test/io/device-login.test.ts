import { describe, expect, it, onTestFinished } from "vitest";
import { LOGIN_CANCELLED } from "../../src/domain/sign-in.ts";
import { loginOnDevice } from "../../src/io/device-login.ts";
import { type FakeCodex, startFakeCodex } from "../support/fake-codex/index.ts";

type Shown = Parameters<Parameters<typeof loginOnDevice>[1]["showCode"]>[0];

async function start(): Promise<FakeCodex> {
	const codex = await startFakeCodex({ accounts: ["a", "b"] });
	onTestFinished(() => codex.close());
	codex.device.intervalSeconds = 1;
	return codex;
}

const polls = (codex: FakeCodex) => codex.requests.filter(({ path }) => path.endsWith("/deviceauth/token"));

describe("signing in on another device", () => {
	it("shows the code and where to type it, and ends with the account that typed it", async () => {
		const codex = await start();
		let shown: Shown | undefined;
		const showCode = (next: Shown) => {
			shown = next;
			codex.device.approve("b", next.userCode);
		};
		const credential = await loginOnDevice(`${codex.issuer}/`, { showCode }, Date.now);
		expect(shown).toMatchObject({ verificationUri: `${codex.issuer}/codex/device`, intervalSeconds: 1 });
		const answer = await fetch(`${codex.baseUrl}/wham/usage`, {
			headers: { authorization: `Bearer ${credential.access}`, "chatgpt-account-id": "acct-b" },
		});
		expect(answer.status).toBe(200);
		expect(credential.expiresAt).toBeGreaterThan(Date.now());
		expect(credential.refresh).not.toBe("");
	});

	it("asks again until the code was typed", async () => {
		const codex = await start();
		let userCode = "";
		const signedIn = loginOnDevice(
			codex.issuer,
			{
				showCode: (shown) => {
					userCode = shown.userCode;
				},
			},
			Date.now,
		);
		await codex.waitFor(({ path, status }) => path.endsWith("/deviceauth/token") && status !== undefined, 20_000);
		codex.device.approve("a", userCode);
		await signedIn;
		expect(polls(codex).length).toBeGreaterThanOrEqual(2);
	});

	it("is cancelled at any time, with the words that pi keeps quiet about", async () => {
		const codex = await start();
		const controller = new AbortController();
		const dialog = { signal: controller.signal, showCode: () => controller.abort() };
		await expect(loginOnDevice(codex.issuer, dialog, Date.now)).rejects.toThrow(new Error(LOGIN_CANCELLED));
		expect(polls(codex)).toEqual([]);
	});

	it("says so where it is not enabled", async () => {
		const codex = await start();
		codex.device.enabled = false;
		await expect(loginOnDevice(codex.issuer, { showCode: () => undefined }, Date.now)).rejects.toThrow(/not enabled/);
	});

	it("sends nothing to a service in the clear, and names the setting", async () => {
		const refused = loginOnDevice("http://auth.example.test", { showCode: () => undefined }, Date.now);
		await expect(refused).rejects.toThrow(/PI_MULTICODEX_AUTH_URL/);
	});
});
