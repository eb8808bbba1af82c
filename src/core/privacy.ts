/** Codes that colour a text stand as they are; what they surround is looked at. */
const COLOUR = String.raw`\u001b\[[\d;]*m`;
/** What no part of an e-mail holds where it stands in a sentence, a list, a path or a document. */
const AROUND = String.raw`\s\p{Cc}@"'(),:;<>[\]/\\|`;
/** Takes each piece of text as a whole, with or without a domain: a try at every character would take time by the square. */
const PIECE = new RegExp(`${COLOUR}|([^${AROUND}]+)(?:@([^${AROUND}]+))?`, "gu");

/**
 * The text with every e-mail in it made unreadable, `m…@work.example`; never longer than before. With the `maskEmails`
 * setting everything that is shown goes through here, and nothing else hides an e-mail.
 */
export function hideEmails(text: string): string {
	return text.replace(PIECE, (found: string, local?: string, domain?: string) => {
		if (local === undefined || domain === undefined) return found;
		const [first = "", ...rest] = local;
		return `${rest.length > 0 ? first : ""}…@${domain}`;
	});
}

/** The same for every text in a document. */
export function hideEmailsIn(value: unknown): unknown {
	if (typeof value === "string") return hideEmails(value);
	if (Array.isArray(value)) return value.map(hideEmailsIn);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hideEmailsIn(each)]));
}

/** An access token, or its beginning, and a refresh token as OpenAI makes them. */
const TOKEN = /(?<![\w-])(?:eyJ[\w-]{8,}(?:\.[\w-]*){0,2}|rt[_.][\w.-]{16,})/g;

/** A server's words without the token that they may quote. */
export function hideTokens(text: string): string {
	return text.replace(TOKEN, "…");
}
