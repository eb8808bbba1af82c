import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { visibleWidth } from "@mariozechner/pi-tui";
import { tellDefect } from "../core/defect-reports.ts";
import type { PiLoginSync } from "../core/pi-login-sync.ts";
import type { Pool } from "../core/pool.ts";
import type { SettingsStore } from "../core/ports.ts";
import { comparable, nearest } from "../ui-kit/nearest.ts";
import { ALIAS_WORDS, aliasCalled, meaningOf } from "./aliases.ts";
import { type CommandList, type Completion, isFailure, type Subcommand, tellUnexpected } from "./command.ts";
import { COMMANDS_UNAVAILABLE, noSuchCommand } from "./command-texts.ts";
import { maskedContext } from "./mask-emails.ts";
import { columnsNow, modeOf, writeFailure } from "./output.ts";
import { type CommandSession, createCommandContext, report, runCommand } from "./run-command.ts";

interface Deps {
	/** The subcommands, which are loaded when the first one is given or completed. */
	readonly loadCommands: () => Promise<CommandList>;
	readonly link: Pick<PiLoginSync, "sync">;
	readonly pool: Pick<Pool, "detectChanges" | "emit">;
	readonly settings: Pick<SettingsStore, "read">;
}

/** Registers `/multicodex`. The handler never throws: a throw would end `pi -p` with exit code 0. */
export function registerCommand(pi: ExtensionAPI, deps: Deps): void {
	const { loadCommands, pool, settings } = deps;
	let session = new AbortController();
	const isMasked = () => settings.read().maskEmails;
	// A sign-in that waits for its person must not outlive the session it was begun in.
	pi.on("session_shutdown", () => {
		session.abort();
		session = new AbortController();
	});
	pi.registerCommand("multicodex", {
		description: "Codex accounts at a glance; show, use, add, import, remove and more",
		getArgumentCompletions: async (typed) => {
			// A list that cannot be loaded offers nothing; the command itself says why.
			const commands = await loadCommands().catch(() => undefined);
			return (commands && completionsFor(typed, commands)?.map(inList)) ?? null;
		},
		handler: async (args, host) => {
			const { signal } = session;
			const masked = maskedContext(host, isMasked);
			const commands = await loadCommands().catch((error: unknown) => {
				tellUnexpected(error, pool);
				return undefined;
			});
			if (!commands) return writeFailure(masked, COMMANDS_UNAVAILABLE);
			const all = [commands.withoutAWord, ...commands.named];
			let end = (): void => undefined;
			const ended = new Promise<void>((resolve) => {
				end = resolve;
			});
			try {
				await run(args, masked, commands, deps, { commands: all, signal, isMasked, emit: pool.emit, ended });
			} finally {
				end();
			}
		},
	});
}

async function run(
	args: string,
	host: ExtensionCommandContext,
	{ withoutAWord, named }: CommandList,
	deps: Deps,
	session: CommandSession,
): Promise<void> {
	const ctx = createCommandContext(host, session);
	const [typed = "", ...rest] = wordsIn(args);
	const alias = aliasCalled(typed);
	const name = alias ? alias.command : typed;
	const words = [...(alias?.words ?? []), ...rest];
	const command = name === "" ? withoutAWord : commandCalled(name, named);
	if (!command) {
		const meant = nearest(name, [...named.map((candidate) => candidate.name), ...ALIAS_WORDS]);
		report({ failure: noSuchCommand(name, meant) }, "help", ctx, session);
		return;
	}
	if (!command.isLookOnly) {
		const syncing = syncBeforeCommand(deps);
		if (!(modeOf(host) === "tui" && command.isPanel?.(words))) await syncing;
	}
	await runCommand(command, { words }, ctx, session);
}

/** Another process may have added or removed accounts since the last look, and pi may have signed in or out. */
async function syncBeforeCommand({ link, pool }: Deps): Promise<void> {
	try {
		await link.sync();
		pool.detectChanges();
		pool.emit({ type: "changed" });
	} catch (error) {
		// The command does what it can with what is known.
		tellDefect(error, "command", pool.emit);
	}
}

function commandCalled(name: string, commands: readonly Subcommand[]): Subcommand | undefined {
	return commands.find((candidate) => candidate.name === comparable(name));
}

/** Words are parted by blanks; quotes keep a label, a path or a value together. */
function wordsIn(args: string): string[] {
	return [...args.matchAll(/(?:"[^"]*"|\S)+/g)].map(([word]) => word.replace(/"([^"]*)"/g, "$1"));
}

/** Where the piece that is being typed begins: behind the last blank, or at a quote that was opened before it. */
function startOfLast(typed: string): number {
	const word = typed.length - (typed.split(/\s/).at(-1)?.length ?? 0);
	const quote = typed.lastIndexOf('"');
	return quote < 0 ? word : Math.min(quote, word);
}

/**
 * The chosen value replaces everything after the command's name, so it holds all words. Nothing is offered once a
 * choice is complete: an open list would swallow the Enter that submits.
 */
export function completionsFor(typed: string, { withoutAWord, named }: CommandList): Completion[] | null {
	const at = startOfLast(typed);
	const [head, last] = [typed.slice(0, at), typed.slice(at)];
	const [name, ...behind] = wordsIn(head);
	if (name === undefined) return aliasCalled(last) ? null : offered(last, namesFor(last, [withoutAWord, ...named]));
	const alias = aliasCalled(name);
	const command = commandCalled(alias?.command ?? name, named);
	const before = [...(alias?.words ?? []), ...behind];
	const choices = command?.complete?.(before, last) ?? [];
	const matches = offered(last, fitting(last, choices));
	if (!command || !matches) return null;
	const longer = matches.map((match) => ({ ...match, value: `${head}${match.value}` }));
	return last === "" && !isFailure(command.parse(before)) ? [asItStands(head, command), ...longer] : longer;
}

/**
 * The choice to add nothing: pi's list highlights the first one, and an Enter that takes an option unseen is a slip.
 * With the blank behind it the value is what stands in the editor, which pi then prefers to all others.
 */
function asItStands(head: string, { summary }: Subcommand): Completion {
	return { value: head, label: head.trim(), description: summary };
}

/** pi's list gives this much of the screen to names and margins, and cuts what does not fit beside them. */
const BESIDE_NAMES = 36;

/** With as much of its description as the list has room for, up to the end of a clause. */
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

/** Subcommands; what else they may be called where none fits. */
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
 * The choices that `typed` stands in, wherever that is, first those that begin with it. An option is offered
 * before anything is typed and once its dash is: any other word may be a label.
 */
function fitting(typed: string, choices: readonly Completion[]): Completion[] {
	const wanted = bare(typed);
	const isOption = ({ value }: Completion) => value.startsWith("--");
	const all = choices.filter((choice) => !isOption(choice) || wanted === "" || wanted.startsWith("-"));
	const placed = all.map((choice) => ({ choice, at: placeIn(bare(choice.value), wanted) }));
	const fits = placed.filter(({ at }) => at >= 0);
	return [...fits.filter(({ at }) => at === 0), ...fits.filter(({ at }) => at > 0)].map(({ choice }) => choice);
}

/** Where `wanted` stands in a word, or behind the `=` of a preference in its value; -1 where it does not. */
function placeIn(word: string, wanted: string): number {
	const at = word.indexOf(wanted);
	const equals = wanted.indexOf("=") + 1;
	if (at >= 0 || equals === 0 || !word.startsWith(wanted.slice(0, equals))) return at;
	return word.indexOf(wanted.slice(equals), equals);
}

/** Nothing where there is nothing to choose any more. */
function offered(typed: string, matches: Completion[]): Completion[] | null {
	const [whole = ""] = wordsIn(typed);
	const isWhole = matches.some(({ value }) => comparable(wordsIn(value)[0] ?? "") === comparable(whole));
	return matches.length > 0 && !isWhole ? matches : null;
}

function bare(word: string): string {
	return comparable(word.replaceAll('"', ""));
}
