import { existsSync } from "node:fs";
import { type NoArgs, parseNothing, type Subcommand } from "../../pi/command.ts";
import { alignColumns } from "../../ui-kit/format.ts";

interface Ports {
	/** What is stored, with its path. */
	readonly paths: Readonly<Record<string, string>>;
	/** Path of the shared pool's file. It exists once this machine has joined a pool. */
	readonly poolFile: string;
}

/** `/multicodex path`: shows where everything is stored. */
export function createPath({ paths, poolFile }: Ports): Subcommand<NoArgs> {
	const usage = "path";
	return {
		name: "path",
		usage,
		summary: "where everything is stored",
		parse: (words) => parseNothing(words, usage),
		run: async () => {
			const all = existsSync(poolFile) ? { ...paths, "shared pool": poolFile } : paths;
			return { text: alignColumns(Object.entries(all)).join("\n"), json: all };
		},
	};
}
