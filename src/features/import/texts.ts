import { didYouMean } from "../../ui-kit/nearest.ts";

/** Returns the text if `import` was given neither a tool nor an existing path. */
export function nothingToImport(typed: string, meant: readonly string[], tools: readonly string[]): string {
	return `There is no file, folder or tool "${typed}".${didYouMean(meant) || ` Tools: ${tools.join(", ")}.`}`;
}
