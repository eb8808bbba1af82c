import type { OAuthCredentials, OAuthLoginCallbacks } from "@mariozechner/pi-ai";
import type { Credential } from "../domain/account.ts";
import type { LoginDialog } from "../io/browser-login.ts";
import type { PiLink } from "../pool/pi-link.ts";
import type { OAuthHooks } from "./provider.ts";

interface Deps {
	readonly link: PiLink;
	readonly login: (dialog: LoginDialog) => Promise<Credential>;
	readonly accountIdOf: (access: string) => string | undefined;
	/** The first account may have come. */
	readonly onSignedIn: () => void;
}

/**
 * What pi calls for `/login`, and while it looks for a key. `refreshToken` runs while pi holds the lock of `auth.json`:
 * it gives back what it got, at once. The exchange happens in our stream.
 */
export function createOAuthHooks({ link, login, accountIdOf, onSignedIn }: Deps): OAuthHooks {
	return {
		// pi shows this name wherever it speaks of the login, so it is pi's own.
		name: "ChatGPT Plus/Pro (Codex Subscription)",
		usesCallbackServer: true,
		isSubscription: true,
		login: async (callbacks) => {
			const credential = await login(dialogOf(callbacks));
			// The identity that this one replaces, and the new one, are safe before pi writes over the former.
			await link.signedIn(credential);
			onSignedIn();
			return toPi(credential, accountIdOf(credential.access));
		},
		refreshToken: (credentials) => Promise.resolve(credentials),
		getApiKey: (credentials) => credentials.access,
	};
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
