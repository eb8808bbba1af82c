import type { OAuthCredentials, OAuthLoginCallbacks } from "@mariozechner/pi-ai";
import type { Account, Credential } from "../../core/account.ts";
import type { PiLoginSync } from "../../core/credentials/pi-login-sync.ts";
import type { OAuthHooks } from "../../pi/provider.ts";
import type { DeviceDialog, LoginDialog, SignInWays } from "./ports.ts";
import { LOGIN_CANCELLED, SignInError } from "./rules.ts";
import * as texts from "./texts.ts";

interface Deps {
	readonly link: PiLoginSync;
	readonly ways: Pick<SignInWays, "inBrowser" | "onDevice">;
	readonly workspaceIdOf: (access: string) => string | undefined;
	/** Returns the account that a credential belongs to, if it is in the pool. */
	readonly accountOf: (credential: Credential) => Account | undefined;
	/** Called after a sign-in, which may be the first account. `known` is the account that it already belonged to. */
	readonly onSignedIn: (credential: Credential, known: Account | undefined) => void;
}

/**
 * Creates the hooks that pi calls for `/login` and while it looks for a key. `refreshToken` runs while pi holds the
 * lock of `auth.json`, so it returns its argument at once. The exchange happens in our stream.
 */
export function createOAuthHooks({ link, workspaceIdOf, accountOf, onSignedIn, ways }: Deps): OAuthHooks {
	return {
		// pi shows this name wherever it mentions the login, so it is pi's own.
		name: "ChatGPT Plus/Pro (Codex Subscription)",
		usesCallbackServer: true,
		isSubscription: true,
		login: async (callbacks) => {
			const credential = await signIn(callbacks, ways);
			const known = accountOf(credential);
			// Both the identity that is replaced and the new one are safe before pi overwrites the former.
			await link.signedIn(credential);
			onSignedIn(credential, known);
			return toPi(credential, workspaceIdOf(credential.access));
		},
		refreshToken: (credentials) => Promise.resolve(credentials),
		getApiKey: (credentials) => credentials.access,
	};
}

/** Newer hosts can show a device code. There the person chooses first, as in pi's own login. */
type NewerCallbacks = OAuthLoginCallbacks & { readonly onDeviceCode?: DeviceDialog["showCode"] };

async function signIn(callbacks: NewerCallbacks, { inBrowser, onDevice }: Deps["ways"]): Promise<Credential> {
	const { onSelect, onDeviceCode, signal } = callbacks;
	if (!onSelect || !onDeviceCode) return inBrowser(dialogOf(callbacks));
	const way = await onSelect({
		message: "How do you want to sign in?",
		options: [
			{ id: "browser", label: "In the browser" },
			{ id: "device_code", label: "With a code on another device (no browser here)" },
		],
	});
	if (way === undefined) throw new SignInError(LOGIN_CANCELLED);
	return way === "device_code" ? onDevice({ signal, showCode: onDeviceCode }) : inBrowser(dialogOf(callbacks));
}

function dialogOf(callbacks: OAuthLoginCallbacks): LoginDialog {
	return {
		signal: callbacks.signal,
		showUrl: (url, { comesBack }) => callbacks.onAuth({ url, instructions: texts.browserSignIn(comesBack) }),
		pasted: async (problem) => {
			// pi can be asked only once.
			if (problem !== undefined) return undefined;
			return callbacks.onManualCodeInput
				? callbacks.onManualCodeInput()
				: callbacks.onPrompt({ message: "Paste the code or the whole redirect URL:" });
		},
	};
}

function toPi({ access, refresh, expiresAt }: Credential, accountId: string | undefined): OAuthCredentials {
	return { access, refresh, expires: expiresAt, ...(accountId !== undefined && { accountId }) };
}
