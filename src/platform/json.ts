import type * as z from "zod/mini";

/** Parses a JSON text with `schema`; undefined if it does not match. */
export function parseJson<S extends z.ZodMiniType>(schema: S, text: string): z.output<S> | undefined {
	try {
		return schema.safeParse(JSON.parse(withoutMark(text))).data;
	} catch {
		// HTML or torn text. The parser's message quotes the text, which may contain a token.
		return undefined;
	}
}

/** Decodes a file from any system: UTF-8, or UTF-16 if its byte order mark says so. */
export function textFrom(bytes: Uint8Array): string {
	const mark = `${bytes[0]},${bytes[1]}`;
	if (mark === "255,254") return new TextDecoder("utf-16le").decode(bytes);
	return new TextDecoder(mark === "254,255" ? "utf-16be" : "utf-8").decode(bytes);
}

/** Removes the byte order mark with which some programs start a file or an answer. */
export function withoutMark(text: string): string {
	return text.startsWith("\uFEFF") ? text.slice(1) : text;
}
