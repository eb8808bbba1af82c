import { printable } from "../core/account.ts";

/** The name of the program. */
export const SPEAKS = "pi-multicodex";

/** How each command is typed, and what it does. */
export const USAGES = {
	status: {
		words: "status [--line [--width <columns>]|--json] [--watch]",
		summary: "every account; --line fits a status bar, --watch repeats it after each change",
	},
	usage: {
		words: "usage [today|week|month|all] [--by account|project|model|day] [--json]",
		summary: "requests, tokens and costs",
	},
	why: { words: "why [--json]", summary: "the account that serves a new session in this folder, and why" },
	verify: { words: "verify [--json]", summary: "problems with the stored files, and how to fix them" },
} as const;

/** Returns `Usage: pi-multicodex why [--json]`. */
export function usageOf(name: keyof typeof USAGES): string {
	return `Usage: ${SPEAKS} ${USAGES[name].words}`;
}

/** Returns the text of `--help`. */
export function helpText(): string {
	return [
		"Shows the Codex accounts of pi without pi. Reads pi's files and changes nothing.",
		"",
		...Object.values(USAGES).map(({ words, summary }) => `  ${SPEAKS} ${words}\n      ${summary}`),
		"",
		"Exit codes of status: 0 if an account is ready, 3 if none is, 1 if the files cannot be read.",
		"Exit code of verify: 1 if there is a problem. Of every command: 2 for an unknown word or option.",
		"Set PI_CODING_AGENT_DIR if pi's agent directory is not ~/.pi/agent.",
		"For everything else, type /multicodex help in pi.",
	].join("\n");
}

/** Returns the text for an unknown command. `meant` ends the sentence. */
export function noSuchCommand(typed: string, meant: string): string {
	return `there is no "${printable(typed)}".${meant || ` ${SPEAKS} --help lists every command.`}`;
}

/** Returns the text for a word that a command does not take. */
export function noSuchOption(typed: string, meant: string, name: keyof typeof USAGES): string {
	return `${name} takes no ${printable(typed)}.${meant} ${usageOf(name)}`;
}

/** Returns the text for an unknown `--by` value. */
export function noSuchGrouping(typed: string, meant: string): string {
	return `--by takes no "${printable(typed)}".${meant} ${usageOf("usage")}`;
}

/** Returns the text for `--width` without a number. */
export function widthNeeded(most: number): string {
	return `--width must be a whole number of columns from 1 to ${most}. ${usageOf("status")}`;
}

/** Replaces the line if accounts cannot be read. */
export const BROKEN_LINE = "codex files unreadable";

/** pi has a login of its own and has not run since pi-multicodex was installed. */
export const NOT_YET_TAKEN_OVER = "pi's own Codex login is not in the pool yet: the next start of pi adds it.";

/** Precedes the output of `why`. */
export const FOR_A_NEW_SESSION = "A new session in this folder:";

/** What `verify` in pi checks and this program does not. */
export const LEFT_OUT =
	"The network, pi itself and other extensions were not checked: /multicodex verify in pi checks them.";

/** Returns the text about the chain. Only pi knows which of its links can be asked. */
export function chainFollows(chain: readonly string[]): string {
	return `If no account can serve, pi tries your chain: ${chain.map(printable).join(", ")}.`;
}

/** Returns the text for a file of pi's that cannot be read. */
export function unreadable(name: string): string {
	return `${name} is damaged and cannot be read.`;
}
