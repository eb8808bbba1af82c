import { comparable } from "../ui-kit/nearest.ts";

/** What an everyday word stands for: a subcommand, and words put before those typed after it. */
interface Alias {
	/** Empty for the command without a word. */
	readonly command: string;
	readonly words: readonly string[];
}

const of = (command: string, ...words: string[]): Alias => ({ command, words });

/** Words of other tools and of everyday use. A new one is one entry here. */
const ALIASES: ReadonlyMap<string, Alias> = new Map([
	["list", of("show")],
	["ls", of("show")],
	["status", of("show")],
	["quota", of("show")],
	["dashboard", of("")],
	["accounts", of("")],
	["switch", of("use")],
	["select", of("use")],
	["pin", of("use")],
	["unpin", of("use", "auto")],
	["delete", of("remove")],
	["rm", of("remove")],
	["undo", of("add", "--undo")],
	["doctor", of("verify")],
	["--help", of("help")],
	["-h", of("help")],
]);

/** Returns what the word stands for; undefined if it is no alias. */
export function aliasCalled(word: string): Alias | undefined {
	return ALIASES.get(comparable(word));
}

/** The words that are offered and listed. Options that every program knows are accepted but not listed. */
export const ALIAS_WORDS: readonly string[] = [...ALIASES.keys()].filter((word) => !word.startsWith("-"));

/** Returns the command that an alias stands for, as it would be typed. */
export function meaningOf({ command, words }: Alias): string {
	return ["/multicodex", command, ...words].filter((word) => word !== "").join(" ");
}

/** Lists every alias in one line: `list, ls, status, quota = show; …`. */
export function aliasLine(): string {
	const meanings = new Map<string, string[]>();
	for (const word of ALIAS_WORDS) {
		const alias = ALIASES.get(word);
		const meaning = alias ? [alias.command || "/multicodex", ...alias.words].join(" ") : "";
		meanings.set(meaning, [...(meanings.get(meaning) ?? []), word]);
	}
	return [...meanings].map(([meaning, words]) => `${words.join(", ")} = ${meaning}`).join("; ");
}
