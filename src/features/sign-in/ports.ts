import type { Credential } from "../../core/account.ts";

/** The person's side of a sign-in. */
export interface LoginDialog {
	/**
	 * Shows the URL, and opens it if there is a browser. Without `comesBack` the browser cannot bring the code itself.
	 */
	showUrl(url: string, how: { readonly comesBack: boolean }): void;
	/**
	 * Returns the code or the whole redirect URL, pasted at any time. Rejects if the person cancels. Called again, with
	 * the problem, after a text without a code; undefined if the person cannot be asked again.
	 */
	pasted(problem: string | undefined): Promise<string | undefined>;
	/** Called when the code has arrived and is being exchanged. */
	received?(): void;
	readonly signal?: AbortSignal | undefined;
}

/** The person's side of a sign-in on another device. */
export interface DeviceDialog {
	/** Shows the address and the code to type there. */
	showCode(shown: {
		userCode: string;
		verificationUri: string;
		intervalSeconds: number;
		expiresInSeconds: number;
	}): void;
	readonly signal?: AbortSignal | undefined;
}

/** The ways to sign in. Each throws a `SignInError`. */
export interface SignInWays {
	inBrowser(dialog: LoginDialog): Promise<Credential>;
	onDevice(dialog: DeviceDialog): Promise<Credential>;
	/** Resolves to false if no browser could be started. */
	openBrowser(url: string): Promise<boolean>;
}
