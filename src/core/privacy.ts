/** Colour codes stay unchanged; the text between them is searched. */
const COLOUR = String.raw`\u001b\[[\d;]*m`;
/** Characters that end an e-mail in a sentence, a list, a path or a document. */
const AROUND = String.raw`\s\p{Cc}@"'(),:;<>[\]/\\|`;
/**
 * Matches each piece of text as a whole, with or without a domain: starting at every character takes quadratic time.
 */
const PIECE = `${COLOUR}|([^${AROUND}]+)(?:@([^${AROUND}]+))?`;
/** Built at the first use, since few starts hide an e-mail. */
let piece: RegExp | undefined;

/**
 * Masks every e-mail in a text, as `m…@work.example`; the result is never longer. With the `maskEmails` setting
 * everything on a screen passes through here, and nothing else hides an e-mail.
 */
export function hideEmails(text: string): string {
	piece ??= new RegExp(PIECE, "gu");
	return text.replace(piece, (found: string, local?: string, domain?: string) => {
		if (local === undefined || domain === undefined) return found;
		const [first = "", ...rest] = local;
		return `${rest.length > 0 ? first : ""}…@${domain}`;
	});
}

/** Masks every e-mail in the texts of a document. */
export function hideEmailsIn(value: unknown): unknown {
	if (typeof value === "string") return hideEmails(value);
	if (Array.isArray(value)) return value.map(hideEmailsIn);
	if (typeof value !== "object" || value === null) return value;
	return Object.fromEntries(Object.entries(value).map(([key, each]) => [key, hideEmailsIn(each)]));
}

/** An access token, or its beginning, and a refresh token in the form of OpenAI. */
const TOKEN = /(?<![\w-])(?:eyJ[\w-]{8,}(?:\.[\w-]*){0,2}|rt[_.][\w.-]{16,})/g;

/** A message of a server without the token that it may quote. */
export function hideTokens(text: string): string {
	return text.replace(TOKEN, "…");
}

/** A join code of a shared pool; a piece of one, too. */
const JOIN_CODE = /(pi-pool-(?:keeper|runner)-)[\w-]+/gi;
/** The password in a URL. It ends with the last `@`, where it was not encoded as it has to be. */
const URL_PASSWORD = /(\b[a-z][\w+.-]{0,20}:\/\/[^\s/:@]*:)[^\s"]*(?=@)/gi;

/** A text without join codes, and without passwords of URLs: what a person typed into the wrong command is quoted. */
export function hidePoolSecrets(text: string): string {
	return text.replace(JOIN_CODE, "$1…").replace(URL_PASSWORD, "$1…");
}
