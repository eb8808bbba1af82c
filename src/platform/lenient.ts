import * as z from "zod/mini";

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
