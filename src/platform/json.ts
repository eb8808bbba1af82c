import type * as z from "zod/mini";

/** What `schema` makes of a JSON text; undefined where it is not that. */
export function parseJson<S extends z.ZodMiniType>(schema: S, text: string): z.output<S> | undefined {
	try {
		return schema.safeParse(JSON.parse(withoutMark(text))).data;
	} catch {
		// HTML, or a torn text. The parser's message quotes it, and it may hold a token.
		return undefined;
	}
}

/** The text of a file that any system's programs may have saved: UTF-8, or UTF-16 where its mark says so. */
export function textFrom(bytes: Uint8Array): string {
	const mark = `${bytes[0]},${bytes[1]}`;
	if (mark === "255,254") return new TextDecoder("utf-16le").decode(bytes);
	return new TextDecoder(mark === "254,255" ? "utf-16be" : "utf-8").decode(bytes);
}

/** A text without the byte order mark that some programs begin a file or an answer with. */
export function withoutMark(text: string): string {
	return text.startsWith("\uFEFF") ? text.slice(1) : text;
}
