/** The message of a cancelled sign-in; pi shows nothing on exactly this one. */
export const LOGIN_CANCELLED = "Login cancelled";

/** A sign-in that came to nothing. The message is one whole sentence for the person, and holds no secret. */
export class SignInError extends Error {
	constructor(sentence: string) {
		super(sentence);
		this.name = "SignInError";
	}
}

/** The sign-in service does not know the code. Where it was pasted, another one may do. */
export class CodeRefusedError extends SignInError {}

const LOOPBACK = String.raw`(?:localhost|127\.0\.0\.1|\[::1\])`;
/** The address that a browser ends on: what stands in it is as good as the sign-in. */
const CALLBACK = new RegExp(String.raw`(?:https?://)?${LOOPBACK}:14(?:55|57)/auth/callback\?\S*`, "i");
/** Where a sign-in begins. */
const BEGINNING = /^https?:\/\/\S+\/oauth\/authorize\?\S+$/i;

/**
 * The address of a sign-in in what a person typed: the one that a browser ends on, wherever it stands, or a text that
 * is nothing but a query with a code, or the address that begins one. A terminal may have broken it over lines.
 */
export function signInAddressIn(text: string): string | undefined {
	// Every one has such a character, and few prompts do: those need none of the patterns.
	if (!/[?=]/.test(text)) return undefined;
	const asTyped = CALLBACK.exec(text)?.[0];
	if (asTyped !== undefined && /[?&]state=/.test(asTyped)) return asTyped;
	const joined = text.replaceAll(/\s+/g, "");
	const ended = CALLBACK.exec(joined)?.[0];
	if (ended !== undefined) return ended;
	if (BEGINNING.test(joined) && /[?&]client_id=/.test(joined)) return joined;
	const isQuery = /^\??[\w.~%+=&-]+$/.test(joined) && /(?:^|[?&])code=/.test(joined) && /[?&]state=/.test(`&${joined}`);
	return isQuery ? joined : undefined;
}

/** A join code of a shared pool, long enough to be more than its form. */
const JOIN_CODE = /pi-pool-(?:keeper|runner)-[\w-]{16,}/i;
/** A command that pi did not find, such as one whose name was mistyped, with the URL of a database and its password. */
const MISTYPED_SHARE = /^\/\S+\s+share\s[\s\S]*postgres(?:ql)?:\/\/[^\s/@]*:\S*@/i;

/** What of a shared pool's secrets a prompt holds; undefined for none. */
export function poolSecretIn(text: string): "code" | "password" | undefined {
	if (JOIN_CODE.test(text)) return "code";
	return MISTYPED_SHARE.test(text) ? "password" : undefined;
}

/** True for a sign-in that the person ended. */
export function isCancelled(error: unknown): boolean {
	return error instanceof SignInError && error.message === LOGIN_CANCELLED;
}
