import type { OAuthCredentials, OAuthLoginCallbacks } from "@mariozechner/pi-ai";
import type { Credential } from "../domain/account.ts";
import { LOGIN_CANCELLED } from "../domain/sign-in.ts";
import type { PiLink } from "../pool/pi-link.ts";
import type { DeviceDialog, LoginDialog } from "../pool/ports.ts";
import type { OAuthHooks } from "./provider.ts";

interface Deps {
	readonly link: PiLink;
	readonly loginInBrowser: (dialog: LoginDialog) => Promise<Credential>;
	readonly loginOnDevice: (dialog: DeviceDialog) => Promise<Credential>;
	readonly accountIdOf: (access: string) => string | undefined;
	/** The first account may have come. */
	readonly onSignedIn: () => void;
}

/**
 * What pi calls for `/login`, and while it looks for a key. `refreshToken` runs while pi holds the lock of `auth.json`:
 * it gives back what it got, at once. The exchange happens in our stream.
 */
export function createOAuthHooks({ link, accountIdOf, onSignedIn, ...ways }: Deps): OAuthHooks {
	return {
		// pi shows this name wherever it speaks of the login, so it is pi's own.
		name: "ChatGPT Plus/Pro (Codex Subscription)",
		usesCallbackServer: true,
		isSubscription: true,
		login: async (callbacks) => {
			const credential = await signIn(callbacks, ways);
			// The identity that this one replaces, and the new one, are safe before pi writes over the former.
			await link.signedIn(credential);
			onSignedIn();
			return toPi(credential, accountIdOf(credential.access));
		},
		refreshToken: (credentials) => Promise.resolve(credentials),
		getApiKey: (credentials) => credentials.access,
	};
}

/** Newer hosts can show a device code; there, as in pi's own login, the person chooses first. */
type NewerCallbacks = OAuthLoginCallbacks & { readonly onDeviceCode?: DeviceDialog["showCode"] };

async function signIn(
	callbacks: NewerCallbacks,
	{ loginInBrowser, loginOnDevice }: Pick<Deps, "loginInBrowser" | "loginOnDevice">,
): Promise<Credential> {
	const { onSelect, onDeviceCode, signal } = callbacks;
	if (!onSelect || !onDeviceCode) return loginInBrowser(dialogOf(callbacks));
	const way = await onSelect({
		message: "How do you want to sign in?",
		options: [
			{ id: "browser", label: "In the browser" },
			{ id: "device_code", label: "With a code on another device (no browser here)" },
		],
	});
	if (way === undefined) throw new Error(LOGIN_CANCELLED);
	return way === "device_code"
		? loginOnDevice({ signal, showCode: onDeviceCode })
		: loginInBrowser(dialogOf(callbacks));
}

function dialogOf(callbacks: OAuthLoginCallbacks): LoginDialog {
	return {
		signal: callbacks.signal,
		showUrl: (url) =>
			callbacks.onAuth({ url, instructions: "A browser window should open. Complete the sign-in to finish." }),
		pasted: () =>
			callbacks.onManualCodeInput
				? callbacks.onManualCodeInput()
				: callbacks.onPrompt({ message: "Paste the code or the whole redirect URL:" }),
	};
}

function toPi({ access, refresh, expiresAt }: Credential, accountId: string | undefined): OAuthCredentials {
	return { access, refresh, expires: expiresAt, ...(accountId !== undefined && { accountId }) };
}
