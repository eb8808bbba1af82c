/** The message of a cancelled sign-in. pi shows nothing for exactly this text. */
export const LOGIN_CANCELLED = "Login cancelled";

/** A failed sign-in. The message is one whole sentence for the person and contains no secret. */
export class SignInError extends Error {
	constructor(sentence: string) {
		super(sentence);
		this.name = "SignInError";
	}
}

/** The sign-in service does not know the code. If it was pasted, another one may work. */
export class CodeRefusedError extends SignInError {}

const LOOPBACK = String.raw`(?:localhost|127\.0\.0\.1|\[::1\])`;
/** Matches the address that a browser ends on. It is as good as the sign-in itself. */
const CALLBACK = new RegExp(String.raw`(?:https?://)?${LOOPBACK}:14(?:55|57)/auth/callback\?\S*`, "i");
/** Matches the address where a sign-in starts. */
const BEGINNING = /^https?:\/\/\S+\/oauth\/authorize\?\S+$/i;

/**
 * Finds the address of a sign-in in what a person typed: the one that a browser ends on, anywhere in the text; a text
 * that is only a query with a code; or the address where a sign-in starts. A terminal may have broken it into lines.
 */
export function signInAddressIn(text: string): string | undefined {
	// Every such address contains one of these characters and few prompts do, so most skip the patterns.
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

/** Matches a join code of a shared pool that is more than its form; a longer one also without its start. */
const JOIN_CODE = /pi-pool-(?:keeper|runner)-[\w-]{16,}|pool-(?:keeper|runner)-[\w-]{60,}/i;
/** Matches the part before its password of the URL of a database. */
const BEFORE_PASSWORD = /postgres(?:ql)?:\/\/[^\s/@]*:/i;
/** Matches a text that is nothing but such a URL. */
const NOTHING_ELSE = /^['"`<]?postgres(?:ql)?:\/\/\S+$/i;
/** Matches a command that pi did not find, or that was typed without its slash. */
const COMMAND = /^(?<slash>\/?)(?<name>\S+)\s+(?<word>\S+)/;

/** Returns which secret of a shared pool a prompt contains; undefined for none. */
export function poolSecretIn(text: string): "code" | "password" | undefined {
	if (JOIN_CODE.test(text)) return "code";
	return hasPassword(text) && isMeantForUs(text.trim()) ? "password" : undefined;
}

/** True if the text contains the URL of a database with its password. */
function hasPassword(text: string): boolean {
	if (!BEFORE_PASSWORD.test(text)) return false;
	return text.split(/\s+/).some((word) => {
		const found = BEFORE_PASSWORD.exec(word);
		return found !== null && word.lastIndexOf("@") >= found.index + found[0].length;
	});
}

/** True for what looks like a command of ours. Prompts, and other commands, may mention a database. */
function isMeantForUs(text: string): boolean {
	if (NOTHING_ELSE.test(text)) return true;
	const { slash, name = "", word = "" } = COMMAND.exec(text)?.groups ?? {};
	return (
		isAlmost(name, "multicodex", 2) || (slash === "/" && ["share", "join"].some((each) => isAlmost(word, each, 1)))
	);
}

/** True if two words differ by at most `most` letters, in any order. */
function isAlmost(typed: string, meant: string, most: number): boolean {
	const missing = [...meant];
	let more = 0;
	for (const letter of typed.toLowerCase()) {
		const at = missing.indexOf(letter);
		if (at < 0) more += 1;
		else missing.splice(at, 1);
	}
	return Math.max(more, missing.length) <= most;
}

/** True for a sign-in that the person cancelled. */
export function isCancelled(error: unknown): boolean {
	return error instanceof SignInError && error.message === LOGIN_CANCELLED;
}
