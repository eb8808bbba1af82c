import { didYouMean } from "../../ui-kit/nearest.ts";

/** `import` was given neither a tool nor a path that is there. */
export function nothingToImport(typed: string, meant: readonly string[], tools: readonly string[]): string {
	return `There is no file, folder or tool "${typed}".${didYouMean(meant) || ` Tools: ${tools.join(", ")}.`}`;
}
