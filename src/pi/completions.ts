import { visibleWidth } from "@mariozechner/pi-tui";
import { comparable } from "../ui-kit/nearest.ts";
import { ALIAS_WORDS, aliasCalled, meaningOf } from "./aliases.ts";
import { type CommandList, type Completion, commandCalled, isFailure, type Subcommand, wordsIn } from "./command.ts";
import { columnsNow } from "./output.ts";

/** Returns where the word being typed starts: at an open quote, else after the last blank. */
function startOfLast(typed: string): number {
	const isQuoteOpen = typed.split('"').length % 2 === 0;
	if (isQuoteOpen) return typed.lastIndexOf('"');
	return /^.*\s/s.exec(typed)?.[0].length ?? 0;
}

/**
 * Returns the completions. A chosen value replaces everything after the command's name, so it contains all words.
 * Nothing is offered once the input is complete: an open list would swallow the Enter that submits.
 */
export function completionsFor(typed: string, { withoutAWord, named }: CommandList): Completion[] | null {
	const at = startOfLast(typed);
	const [head, last] = [typed.slice(0, at), typed.slice(at)];
	const [name, ...behind] = wordsIn(head);
	if (name === undefined) {
		const names = aliasCalled(last) ? null : offered(last, namesFor(last, [withoutAWord, ...named]));
		return names?.map(inList) ?? null;
	}
	const alias = aliasCalled(name);
	const command = commandCalled(alias?.command ?? name, named);
	const before = [...(alias?.words ?? []), ...behind];
	const choices = command?.complete?.(before, last) ?? [];
	const matches = offered(last, fitting(last, choices));
	if (!command || !matches) return null;
	const longer = matches.map((match) => ({ ...match, value: `${head}${match.value}` }));
	const isWhole = last === "" && !isFailure(command.parse(before));
	return [...(isWhole ? [asItStands(head, command)] : []), ...longer].map(inList);
}

/**
 * The choice to add nothing. pi's list highlights the first entry, and Enter must not take an option unseen. With its
 * trailing blank the value equals the text in the editor, which pi prefers to all other entries.
 */
function asItStands(head: string, { summary }: Subcommand): Completion {
	return { value: head, label: head.trim(), description: summary };
}

/** The width that pi's list gives to names and margins. It cuts what does not fit beside them. */
const BESIDE_NAMES = 36;

/** Shortens the description to what the list has room for, at the end of a clause. */
function inList(choice: Completion): Completion {
	const { description } = choice;
	if (description === undefined) return choice;
	const room = columnsNow() - BESIDE_NAMES;
	const kept = description.split(/(?=[,;:] )/).reduce((before, clause) => {
		const longer = before + clause;
		return visibleWidth(longer) <= room && description.startsWith(longer) ? longer : before;
	});
	return { ...choice, description: kept };
}

/** Completes subcommands; their aliases if none matches. */
function namesFor(typed: string, commands: readonly Subcommand[]): Completion[] {
	const names = commands.map(({ name, summary }) => ({ value: name, label: name, description: summary }));
	const fits = fitting(typed, names);
	if (fits.length > 0) return fits;
	const aliases = ALIAS_WORDS.map((word) => {
		const alias = aliasCalled(word);
		return { value: word, label: word, ...(alias && { description: `as ${meaningOf(alias)}` }) };
	});
	return fitting(typed, aliases);
}

/**
 * Returns the choices that contain `typed`, those that start with it first. Options are offered while nothing is typed,
 * and after a dash: any other word may be a label.
 */
function fitting(typed: string, choices: readonly Completion[]): Completion[] {
	const wanted = bare(typed);
	const isOption = ({ value }: Completion) => value.startsWith("--");
	const all = choices.filter((choice) => !isOption(choice) || wanted === "" || wanted.startsWith("-"));
	const placed = all.map((choice) => ({ choice, at: placeIn(bare(choice.value), wanted) }));
	const fits = placed.filter(({ at }) => at >= 0);
	return [...fits.filter(({ at }) => at === 0), ...fits.filter(({ at }) => at > 0)].map(({ choice }) => choice);
}

/** Returns where `wanted` is found in a word, or in the value after the `=` of a preference; -1 if it is not. */
function placeIn(word: string, wanted: string): number {
	const at = word.indexOf(wanted);
	const equals = wanted.indexOf("=") + 1;
	if (at >= 0 || equals === 0 || !word.startsWith(wanted.slice(0, equals))) return at;
	return word.indexOf(wanted.slice(equals), equals);
}

/** Returns nothing once there is nothing left to choose. */
function offered(typed: string, matches: Completion[]): Completion[] | null {
	const [whole = ""] = wordsIn(typed);
	const isWhole = matches.some(({ value }) => comparable(wordsIn(value)[0] ?? "") === comparable(whole));
	return matches.length > 0 && !isWhole ? matches : null;
}

function bare(word: string): string {
	return comparable(word.replaceAll('"', ""));
}
