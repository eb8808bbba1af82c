import type { OAuthLoginCallbacks } from "@mariozechner/pi-ai";
import { describe, expect, it } from "vitest";
import type { Credential } from "../../src/domain/account.ts";
import { createOAuthHooks } from "../../src/pi/sign-in.ts";
import type { LoginDialog } from "../../src/pool/ports.ts";
import { aCredential, NOW } from "../support/fakes.ts";

const credential = aCredential("work", { expiresAt: NOW });

function hooks({ fails = false } = {}) {
	const order: string[] = [];
	let dialog: LoginDialog | undefined;
	const created = createOAuthHooks({
		link: {
			sync: () => Promise.reject(new Error("never called under pi's lock")),
			isForeign: () => false,
			signedIn: async (signedIn: Credential) => {
				if (fails) throw new Error("disk full");
				order.push(`stored ${signedIn.refresh}`);
			},
		},
		loginInBrowser: async (shown) => {
			dialog = shown;
			return credential;
		},
		loginOnDevice: () => Promise.reject(new Error("not asked for")),
		accountIdOf: (access) => (access === credential.access ? "acct-work" : undefined),
		onSignedIn: () => order.push("told"),
	});
	return { created, order, dialog: () => dialog };
}

const callbacks = (overrides: Partial<OAuthLoginCallbacks> = {}): OAuthLoginCallbacks => ({
	onAuth: () => undefined,
	onPrompt: async () => "prompted",
	...overrides,
});

describe("pi's hooks", () => {
	it("give back the very credential that pi asks to renew, at once", async () => {
		const { created } = hooks();
		const given = { access: "a", refresh: "r", expires: 0, accountId: "x" };
		let renewed: unknown;
		void created.refreshToken(given).then((same) => {
			renewed = same;
		});
		// One turn of the promise queue: no timer, no file and no network can be in it.
		await Promise.resolve();
		await Promise.resolve();
		expect(renewed).toBe(given);
		expect(created.getApiKey(given)).toBe("a");
	});

	it("bear pi's own name, which pi shows everywhere", () => {
		const { created } = hooks();
		expect(created).toMatchObject({
			name: "ChatGPT Plus/Pro (Codex Subscription)",
			usesCallbackServer: true,
			isSubscription: true,
		});
	});

	it("store a sign-in before pi gets it", async () => {
		const { created, order } = hooks();
		expect(await created.login(callbacks())).toEqual({
			access: credential.access,
			refresh: credential.refresh,
			expires: NOW,
			accountId: "acct-work",
		});
		expect(order).toEqual([`stored ${credential.refresh}`, "told"]);
	});

	it("give pi nothing that could not be stored", async () => {
		const { created, order } = hooks({ fails: true });
		await expect(created.login(callbacks())).rejects.toThrow("disk full");
		expect(order).toEqual([]);
	});

	it("ask for a pasted code where pi can be asked, else by a prompt", async () => {
		const { created, dialog } = hooks();
		await created.login(callbacks({ onManualCodeInput: async () => "pasted" }));
		expect(await dialog()?.pasted()).toBe("pasted");
		await created.login(callbacks());
		expect(await dialog()?.pasted()).toBe("prompted");
	});
});
