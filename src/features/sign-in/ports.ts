import type { Credential } from "../../core/account.ts";

/** The person's side of a sign-in. */
export interface LoginDialog {
	/**
	 * Shows the URL, and opens it where there is a browser. Without `comesBack` the browser cannot bring the code itself.
	 */
	showUrl(url: string, how: { readonly comesBack: boolean }): void;
	/**
	 * The code or the whole redirect URL, pasted at any time; rejects when the person cancels. Asked again, with the
	 * problem, after a text that holds no code; undefined where it cannot be.
	 */
	pasted(problem: string | undefined): Promise<string | undefined>;
	/** The code is here and is being exchanged. */
	received?(): void;
	readonly signal?: AbortSignal | undefined;
}

/** The person's side of a sign-in on another device. */
export interface DeviceDialog {
	/** Shows where to go and which code to type there. */
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
	/** False where no browser could be started. */
	openBrowser(url: string): Promise<boolean>;
}
