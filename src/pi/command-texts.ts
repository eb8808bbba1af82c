import { didYouMean } from "../ui-kit/nearest.ts";

/** Returns the text for an unknown word after `/multicodex`. */
export function noSuchCommand(typed: string, meant: readonly string[]): string {
	return `multicodex: there is no "${typed}".${didYouMean(meant) || " /multicodex help lists every command."}`;
}

/** Returns the text for an unknown option. */
export function unknownOption(typed: string, meant: readonly string[]): string {
	return `There is no option ${typed} here.${didYouMean(meant)}`;
}

/** Returns the text for a word that a command does not take; undefined if there is none. */
export function unknownWord(typed: readonly string[], meant: readonly string[]): string | undefined {
	return typed.length > 0 ? `There is no "${typed.join(" ")}" here.${didYouMean(meant)}` : undefined;
}

/** More labels than this are too many for a message. */
const FEW = 6;

/** Returns the text for an unknown account. */
export function noSuchAccount(typed: string, meant: readonly string[], labels: readonly string[]): string {
	const few = labels.length > 0 ? `Known: ${labels.join(", ")}.` : "There is none yet: /multicodex add.";
	const known = labels.length > FEW ? "/multicodex show lists them." : few;
	return `No Codex account is called "${typed}".${didYouMean(meant) || ` ${known}`}`;
}
