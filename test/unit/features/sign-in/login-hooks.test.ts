import type { OAuthLoginCallbacks } from "@mariozechner/pi-ai";
import { describe, expect, it } from "vitest";
import type { Credential } from "../../../../src/core/account.ts";
import { createOAuthHooks } from "../../../../src/features/sign-in/login-hooks.ts";
import type { DeviceDialog, LoginDialog } from "../../../../src/features/sign-in/ports.ts";
import { LOGIN_CANCELLED } from "../../../../src/features/sign-in/rules.ts";
import { aCredential, NOW } from "../../../support/fakes.ts";

const credential = aCredential("work", { expiresAt: NOW });

function hooks({ fails = false } = {}) {
	const order: string[] = [];
	const dialogs: LoginDialog[] = [];
	const devices: DeviceDialog[] = [];
	const created = createOAuthHooks({
		link: {
			sync: () => Promise.reject(new Error("never called under pi's lock")),
			isForeign: () => false,
			signedIn: async (signedIn: Credential) => {
				if (fails) throw new Error("disk full");
				order.push(`stored ${signedIn.refresh}`);
			},
		},
		ways: {
			inBrowser: async (dialog) => {
				dialogs.push(dialog);
				return credential;
			},
			onDevice: async (dialog) => {
				devices.push(dialog);
				return credential;
			},
		},
		workspaceIdOf: (access) => (access === credential.access ? "acct-work" : undefined),
		accountOf: () => undefined,
		onSignedIn: () => order.push("told"),
	});
	return { created, order, dialogs, devices };
}

type Callbacks = OAuthLoginCallbacks & { readonly onDeviceCode?: DeviceDialog["showCode"] };
const callbacks = (overrides: Partial<Callbacks> = {}): Callbacks => ({
	onAuth: () => undefined,
	onPrompt: async () => "prompted",
	...overrides,
});

describe("pi's hooks", () => {
	it("pi's hooks give back the very credential that pi asks to renew, at once", async () => {
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

	it("pi's hooks store a sign-in before pi gets it", async () => {
		const { created, order } = hooks();
		expect(await created.login(callbacks())).toEqual({
			access: credential.access,
			refresh: credential.refresh,
			expires: NOW,
			accountId: "acct-work",
		});
		expect(order).toEqual([`stored ${credential.refresh}`, "told"]);
	});

	it("pi's hooks give pi nothing that could not be stored", async () => {
		const { created, order } = hooks({ fails: true });
		await expect(created.login(callbacks())).rejects.toThrow("disk full");
		expect(order).toEqual([]);
	});

	it("pi's hooks ask for a pasted code if pi can be asked, else by a prompt, and only once", async () => {
		const { created, dialogs } = hooks();
		await created.login(callbacks({ onManualCodeInput: async () => "pasted" }));
		await created.login(callbacks());
		expect(await dialogs[0]?.pasted(undefined)).toBe("pasted");
		expect(await dialogs[1]?.pasted(undefined)).toBe("prompted");
		expect(await dialogs[0]?.pasted("There is no code in it.")).toBeUndefined();
	});

	it("pi's hooks show the address as pi does, and whether the browser can come back by itself", async () => {
		const shown: { url: string; instructions?: string | undefined }[] = [];
		const { created, dialogs } = hooks();
		const controller = new AbortController();
		await created.login(callbacks({ onAuth: (info) => shown.push(info), signal: controller.signal }));
		const [dialog] = dialogs;
		dialog?.showUrl("https://x.test/", { comesBack: true });
		dialog?.showUrl("https://x.test/", { comesBack: false });
		expect(shown.map(({ url }) => url)).toEqual(["https://x.test/", "https://x.test/"]);
		expect(shown[0]?.instructions).not.toMatch(/1455/);
		expect(shown[1]?.instructions).toMatch(/1455 and 1457.*[Pp]aste/);
		expect(dialog?.signal).toBe(controller.signal);
	});
});

describe("a pi that can show a device code", () => {
	const onDeviceCode = () => undefined;

	it("the person chooses between browser and code", async () => {
		const { created, dialogs, devices } = hooks();
		const offered: string[][] = [];
		const choosing = (id: string) =>
			callbacks({
				onDeviceCode,
				onSelect: async ({ options }) => {
					offered.push(options.map((option) => option.id));
					return id;
				},
			});
		await created.login(choosing("browser"));
		expect([dialogs.length, devices.length]).toEqual([1, 0]);
		expect(await created.login(choosing("device_code"))).toMatchObject({ access: credential.access });
		expect([dialogs.length, devices.length]).toEqual([1, 1]);
		expect(offered).toEqual([
			["browser", "device_code"],
			["browser", "device_code"],
		]);
		expect(devices[0]?.showCode).toBe(onDeviceCode);
	});

	it("a sign-in without a choice is cancelled, and nothing is stored", async () => {
		const { created, order } = hooks();
		const none = callbacks({ onDeviceCode, onSelect: async () => undefined });
		await expect(created.login(none)).rejects.toThrow(LOGIN_CANCELLED);
		expect(order).toEqual([]);
	});

	it("a pi without a choice signs in through the browser", async () => {
		const { created, dialogs, devices } = hooks();
		await created.login(callbacks({ onDeviceCode }));
		await created.login(callbacks({ onSelect: async () => "device_code" }));
		expect([dialogs.length, devices.length]).toEqual([2, 0]);
	});
});
