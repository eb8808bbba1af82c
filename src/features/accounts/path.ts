import { type NoArgs, parseNothing, type Subcommand } from "../../pi/command.ts";
import { alignColumns } from "../../ui-kit/format.ts";

interface Ports {
	/** What is stored, with its path. */
	readonly paths: Readonly<Record<string, string>>;
}

/** `/multicodex path`: shows where everything is stored. */
export function createPath({ paths }: Ports): Subcommand<NoArgs> {
	const usage = "path";
	return {
		name: "path",
		usage,
		summary: "where everything is stored",
		parse: (words) => parseNothing(words, usage),
		run: async () => ({ text: alignColumns(Object.entries(paths)).join("\n"), json: paths }),
	};
}
