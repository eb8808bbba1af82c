import type { z } from "zod";

/** What `schema` makes of a JSON text; undefined where it is not that. */
export function parseJson<S extends z.ZodType>(schema: S, text: string): z.output<S> | undefined {
	try {
		return schema.safeParse(JSON.parse(withoutMark(text))).data;
	} catch {
		// HTML, or a torn text. The parser's message quotes it, and it may hold a token.
		return undefined;
	}
}

/** A text without the byte order mark that some programs begin a file or an answer with. */
export function withoutMark(text: string): string {
	return text.startsWith("\uFEFF") ? text.slice(1) : text;
}
