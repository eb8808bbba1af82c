import * as z from "zod/mini";
import { lazily } from "./lazily.ts";

/** Makes a member optional, and undefined if it cannot be read, so that a malformed one spoils only itself. */
export function lenient<S extends z.ZodMiniType>(schema: S): z.ZodMiniCatch<z.ZodMiniOptional<S>> {
	return z.catch(z.optional(schema), undefined);
}

/** Does the same as {@link lenient}, for members that other programs may also write as `null`. */
export function lenientOrNull<S extends z.ZodMiniType>(
	schema: S,
): z.ZodMiniCatch<z.ZodMiniOptional<z.ZodMiniNullable<S>>> {
	return z.catch(z.nullish(schema), undefined);
}

/** A member of a document as stored, and its parsed value; undefined if it cannot be read. */
interface Member<T> {
	readonly key: string;
	readonly raw: unknown;
	readonly value: T | undefined;
}

/**
 * Creates a reader of a document's members that parses a member again only if its text has changed since the previous
 * call: a write changes few of a thousand accounts. Readings share the parsed values, so never change one in place.
 */
export function remembering<T>(
	read: (raw: unknown) => T | undefined,
): (members: readonly (readonly [key: string, raw: unknown])[]) => readonly Member<T>[] {
	let known: ReadonlyMap<string, { readonly text: string; readonly value: T | undefined }> = new Map();
	return (members) => {
		const next = new Map<string, { readonly text: string; readonly value: T | undefined }>();
		const all = members.map(([key, raw]) => {
			const text = textOf(raw);
			const former = known.get(key);
			const value = text !== undefined && former?.text === text ? former.value : read(raw);
			if (text !== undefined) next.set(key, { text, value });
			return { key, raw, value };
		});
		known = next;
		return all;
	};
}

/** Undefined for a value nested too deeply for `JSON.stringify`, which a file may contain anyway. */
function textOf(raw: unknown): string | undefined {
	try {
		return JSON.stringify(raw);
	} catch {
		return undefined;
	}
}

/** Creates a schema that is built at its first value. Otherwise every start would pay for one that few files need. */
export function late<S extends z.ZodMiniType>(build: () => S) {
	const schema = lazily(build);
	return z.pipe(
		z.unknown(),
		z.transform((value: unknown, context): z.output<S> => {
			const { success, data, error } = schema().safeParse(value);
			if (success) return data;
			context.issues.push({ code: "custom", message: error.message, input: value });
			return z.NEVER;
		}),
	);
}
