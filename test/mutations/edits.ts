import { readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { repositoryRoot } from "../support/hosts.ts";

/** A change of one place of a source file: `from` is the text that stands there. */
export const editSchema = z.object({ file: z.string(), from: z.string().min(1), to: z.string() });

export type Edit = z.output<typeof editSchema>;

/** How often the text that an edit changes stands in its file, of this checkout or of a copy. */
export function timesIn({ file, from }: Edit, root = repositoryRoot): number {
	return readFileSync(join(root, file), "utf8").split(from).length - 1;
}
