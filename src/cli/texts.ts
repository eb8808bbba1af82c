import { printable } from "../core/account.ts";

/** The name of the program. */
export const SPEAKS = "pi-multicodex";

/** How each command is typed, and what it does. */
export const USAGES = {
	status: {
		words: "status [--line [--width <columns>]|--json] [--watch]",
		summary: "every account; in one line for a status bar; again after each change",
	},
	usage: {
		words: "usage [today|week|month|all] [--by account|project|model|day] [--json]",
		summary: "requests, tokens and costs",
	},
	why: { words: "why [--json]", summary: "the account that a new session in this folder begins on, and why" },
	verify: { words: "verify [--json]", summary: "what is wrong with what is stored, and what to do about it" },
} as const;

/** Returns `Usage: pi-multicodex why [--json]`. */
export function usageOf(name: keyof typeof USAGES): string {
	return `Usage: ${SPEAKS} ${USAGES[name].words}`;
}

/** Returns the text of `--help`. */
export function helpText(): string {
	return [
		"Shows the Codex accounts of pi without pi. It reads what pi has stored, and changes nothing.",
		"",
		...Object.values(USAGES).map(({ words, summary }) => `  ${SPEAKS} ${words}\n      ${summary}`),
		"",
		"Exit code of status: 0 an account is ready, 3 none is, 1 what is stored cannot be read.",
		"Exit code of verify: 1 for a problem. Of every command: 2 for words that it does not know.",
		"PI_CODING_AGENT_DIR names pi's agent directory where it is not ~/.pi/agent.",
		"Everything else is done in pi: /multicodex help.",
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
export const NOT_YET_TAKEN_OVER =
	"pi's own Codex login is not among the accounts yet: pi takes it over when it starts.";

/** Precedes the output of `why`. */
export const FOR_A_NEW_SESSION = "A new session in this folder:";

/** What `verify` in pi checks and this program does not. */
export const LEFT_OUT =
	"The network, pi itself and other extensions were not looked at: /multicodex verify in pi does.";

/** Returns the text about the chain. Only pi knows which of its links can be asked. */
export function chainFollows(chain: readonly string[]): string {
	return `Where none of these serves, pi asks your chain, as far as it can: ${chain.map(printable).join(", ")}.`;
}

/** Returns the text for a file of pi's that cannot be read. */
export function unreadable(name: string): string {
	return `${name} is damaged and cannot be read.`;
}
