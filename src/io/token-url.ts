/** Hosts on which plain http cannot leave the machine. */
const LOOPBACK = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/;

/**
 * Says why a token must not be sent to `url`, naming the setting it came from; undefined where it may.
 * Tokens travel over https or to a loopback address only.
 */
export function refusalToSendTokens(url: string, setting: string): string | undefined {
	const parsed = URL.canParse(url) ? new URL(url) : undefined;
	if (!parsed) return `${setting} is not a URL.`;
	if (parsed.protocol === "https:") return undefined;
	if (parsed.protocol === "http:" && LOOPBACK.test(parsed.hostname)) return undefined;
	return `${setting} must use https (or a loopback address): a Codex sign-in is never sent in the clear.`;
}

/** A base URL to which a path can be added. */
export function withoutSlash(url: string): string {
	return url.replace(/\/+$/, "");
}
