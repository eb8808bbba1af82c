/** Colour codes stay unchanged; the text between them is searched. */
const COLOUR = String.raw`\u001b\[[\d;]*m`;
/** Characters that delimit an e-mail in a sentence, a list, a path or a document. */
const AROUND = String.raw`\s\p{Cc}@"'(),:;<>[\]/\\|`;
/**
 * Matches each piece of text as a whole, with or without a domain. A match that could start at every character would
 * take quadratic time.
 */
const PIECE = `${COLOUR}|([^${AROUND}]+)(?:@([^${AROUND}]+))?`;
/** Built at first use, since few starts hide an e-mail. */
let piece: RegExp | undefined;

/**
 * Masks every e-mail in a text as `m…@work.example`. The result is never longer. With the `maskEmails` setting,
 * everything shown passes through here, and nothing else hides e-mails.
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

/** Matches an access token, or its beginning, and a refresh token in OpenAI's form. */
const TOKEN = /(?<![\w-])(?:eyJ[\w-]{8,}(?:\.[\w-]*){0,2}|rt[_.][\w.-]{16,})/g;

/** Returns a server's message without any token that it quotes. */
export function hideTokens(text: string): string {
	return text.replace(TOKEN, "…");
}

/** Matches a join code of a shared pool, or a piece of one. */
const JOIN_CODE = /(pi-pool-(?:keeper|runner)-)[\w-]+/gi;
/** Matches a piece of text without blanks and quotes, in which a URL ends. */
const WORD = /[^\s"]+/g;
/** Matches the part of a URL before its password. */
const BEFORE_PASSWORD = /\b[a-z][\w+.-]{0,20}:\/\/[^\s/:@]*:/i;

/** Removes join codes, and passwords in URLs, from a text that quotes what a person typed into the wrong command. */
export function hidePoolSecrets(text: string): string {
	return text.replace(JOIN_CODE, "$1…").replace(WORD, (word) => {
		const { index = 0, 0: before = "" } = BEFORE_PASSWORD.exec(word) ?? {};
		// A password that was not encoded may contain `@`, so it ends at the last one.
		const [start, end] = [index + before.length, word.lastIndexOf("@")];
		return start > 0 && end >= start ? `${word.slice(0, start)}…${word.slice(end)}` : word;
	});
}
