import * as z from "zod/mini";

/** Makes a member optional, and undefined if it cannot be read, so that an odd one loses only itself. */
export function lenient<S extends z.ZodMiniType>(schema: S): z.ZodMiniCatch<z.ZodMiniOptional<S>> {
	return z.catch(z.optional(schema), undefined);
}

/** Works as {@link lenient} does, for members that other programs also write as `null`. */
export function lenientOrNull<S extends z.ZodMiniType>(
	schema: S,
): z.ZodMiniCatch<z.ZodMiniOptional<z.ZodMiniNullable<S>>> {
	return z.catch(z.nullish(schema), undefined);
}
