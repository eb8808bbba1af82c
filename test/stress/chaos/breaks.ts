import { readFileSync } from "node:fs";
import { z } from "zod";
import { editSchema, timesIn } from "../../mutations/edits.ts";

const breakSchema = z.object({ what: z.string(), edits: z.array(editSchema).min(1) });

/** Guards that can be taken out of the source as it is read, by name. */
export type Breaks = Readonly<Record<string, z.output<typeof breakSchema>>>;

export function readBreaks(file: URL): Breaks {
	return z.record(z.string(), breakSchema).parse(JSON.parse(readFileSync(file, "utf8")));
}

/** Those of the chaos: what then happens has to be seen by it. */
export const breaks = readBreaks(new URL("breaks.json", import.meta.url));

/** Edits of a break, of all without a name of `undefined`, whose text is not in the source any more: file and text. */
export function misfits(name?: string, of: Breaks = breaks): string[] {
	const chosen = Object.entries(of).filter(([each]) => name === undefined || each === name);
	return chosen.flatMap(([each, { edits }]) =>
		edits
			.filter((edit) => timesIn(edit) === 0)
			.map(({ file, from }) => `${each}: ${file} has no ${JSON.stringify(from)}`),
	);
}
