import { didYouMean } from "../../ui-kit/nearest.ts";

/** Returns the text for an unknown preference. */
export function noSuchSetting(typed: string, meant: readonly string[], known: readonly string[]): string {
	return `There is no setting "${typed}".${didYouMean(meant) || ` Known: ${known.join(", ")}.`}`;
}

/** Returns the text for an invalid value. `wanted` is the end of "must be …". */
export function badValue(name: string, wanted: string, meant: readonly string[]): string {
	return `${name} must be ${wanted}, and stays as it is.${didYouMean(meant)}`;
}
