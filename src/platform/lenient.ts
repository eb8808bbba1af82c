import * as z from "zod/mini";

/** Makes a member optional, and undefined where it cannot be read: an odd one is lost alone, and takes nothing with it. */
export function lenient<S extends z.ZodMiniType>(schema: S): z.ZodMiniCatch<z.ZodMiniOptional<S>> {
	return z.catch(z.optional(schema), undefined);
}

/** As {@link lenient}, for members that other programs also write as `null`. */
export function lenientOrNull<S extends z.ZodMiniType>(
	schema: S,
): z.ZodMiniCatch<z.ZodMiniOptional<z.ZodMiniNullable<S>>> {
	return z.catch(z.nullish(schema), undefined);
}
