import { didYouMean } from "../ui-kit/nearest.ts";

/** The word after `/multicodex` is none. */
export function noSuchCommand(typed: string, meant: readonly string[]): string {
	return `multicodex: there is no "${typed}".${didYouMean(meant) || " /multicodex help lists every command."}`;
}

/** A command was given an option that it does not have. */
export function unknownOption(typed: string, meant: readonly string[]): string {
	return `There is no option ${typed} here.${didYouMean(meant)}`;
}

/** A command was given a word that it does not take; undefined where there was none. */
export function unknownWord(typed: readonly string[], meant: readonly string[]): string | undefined {
	return typed.length > 0 ? `There is no "${typed.join(" ")}" here.${didYouMean(meant)}` : undefined;
}

/** More labels than this are a list to look up, not one to read in a message. */
const FEW = 6;

/** An account was named that there is not. */
export function noSuchAccount(typed: string, meant: readonly string[], labels: readonly string[]): string {
	const few = labels.length > 0 ? `Known: ${labels.join(", ")}.` : "There is none yet: /multicodex add.";
	const known = labels.length > FEW ? "/multicodex show lists them." : few;
	return `No Codex account is called "${typed}".${didYouMean(meant) || ` ${known}`}`;
}
