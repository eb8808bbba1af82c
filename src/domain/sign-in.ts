/** The message of a cancelled sign-in; pi shows nothing on exactly this one. */
export const LOGIN_CANCELLED = "Login cancelled";

/** A sign-in that came to nothing. The message is one whole sentence for the person, and holds no secret. */
export class SignInError extends Error {
	constructor(sentence: string) {
		super(sentence);
		this.name = "SignInError";
	}
}

/** True for a sign-in that the person ended. */
export function isCancelled(error: unknown): boolean {
	return error instanceof SignInError && error.message === LOGIN_CANCELLED;
}
