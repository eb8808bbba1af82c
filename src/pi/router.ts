import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { tellDefect } from "../core/defect-reports.ts";
import { disable, enable } from "../features/accounts/account-toggle.ts";
import { next } from "../features/accounts/next.ts";
import { path } from "../features/accounts/path.ts";
import { refresh } from "../features/accounts/refresh.ts";
import { remove } from "../features/accounts/remove.ts";
import { rename } from "../features/accounts/rename.ts";
import { reset } from "../features/accounts/reset.ts";
import { show } from "../features/accounts/show.ts";
import { dashboard } from "../features/dashboard/command.ts";
import type { LastRotation } from "../features/dashboard/texts.ts";
import { use } from "../features/dashboard/use.ts";
import { log } from "../features/explain/log-command.ts";
import { why } from "../features/explain/why-command.ts";
import { footer } from "../features/footer/command.ts";
import { importAccounts } from "../features/import/command.ts";
import { rotation } from "../features/preferences/rotation.ts";
import { add } from "../features/sign-in/add.ts";
import { login } from "../features/sign-in/login.ts";
import { off, on } from "../features/toggle/command.ts";
import { verify } from "../features/verify/command.ts";
import * as messages from "../ui-kit/messages.ts";
import { comparable, nearest } from "../ui-kit/nearest.ts";
import { ALIAS_WORDS, aliasCalled, meaningOf } from "./aliases.ts";
import type { Completion, Subcommand, SubcommandDeps } from "./command.ts";
import { help } from "./help.ts";
import { maskedContext } from "./mask-emails.ts";
import { modeOf } from "./output.ts";
import { report, runSubcommand } from "./run-subcommand.ts";

/** Every subcommand of `/multicodex`, in the order in which `help` lists them. The next one is one line here. */
export const COMMANDS: readonly Subcommand[] = [
	show,
	use,
	next,
	add,
	login,
	importAccounts,
	remove,
	rename,
	enable,
	disable,
	refresh,
	footer,
	rotation,
	why,
	log,
	reset,
	verify,
	off,
	on,
	path,
	help,
];

/** What `help` and the README list: the command without a word, and each subcommand. */
export const LISTED: readonly Subcommand[] = [dashboard, ...COMMANDS];

/** What subcommands work on, as far as it outlives the session. */
export type CommandParts = Omit<SubcommandDeps, "commands" | "listed" | "lastRotation" | "signal" | "setModel">;

/** Registers `/multicodex`. The handler never throws: a throw would end `pi -p` with exit code 0. */
export function registerCommand(pi: ExtensionAPI, parts: CommandParts): void {
	let session = new AbortController();
	const isMasked = () => parts.settings.read().maskEmails;
	// A sign-in that waits for its person must not outlive the session it was begun in.
	pi.on("session_shutdown", () => {
		session.abort();
		session = new AbortController();
	});
	let lastRotation: LastRotation | undefined;
	parts.pool.subscribe((event) => {
		if (event.type === "rotated") lastRotation = { at: parts.clock.now(), event };
	});
	const deps = (): SubcommandDeps => ({
		...parts,
		lastRotation: () => lastRotation,
		commands: COMMANDS,
		listed: LISTED,
		signal: session.signal,
		setModel: (model) => pi.setModel(model),
	});
	pi.registerCommand("multicodex", {
		description: "Codex accounts at a glance; show, use, add, import, remove and more",
		getArgumentCompletions: (typed) => completionsFor(typed, deps()),
		handler: (args, ctx) => run(args, maskedContext(ctx, isMasked), deps()),
	});
}

async function run(args: string, ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<void> {
	const [typed = "", ...rest] = wordsIn(args);
	const alias = aliasCalled(typed);
	const name = alias ? alias.command : typed;
	const words = [...(alias?.words ?? []), ...rest];
	const withoutAWord = ctx.hasUI ? dashboard : show;
	const command = name === "" ? withoutAWord : commandCalled(name);
	if (!command) {
		const meant = nearest(name, [...COMMANDS.map((candidate) => candidate.name), ...ALIAS_WORDS]);
		report({ failure: messages.noSuchCommand(name, meant) }, "help", ctx, deps);
		return;
	}
	if (!command.isLookOnly) {
		const looking = lookAround(deps);
		if (!(modeOf(ctx) === "tui" && command.isPanel?.(words))) await looking;
	}
	await runSubcommand(command, words, ctx, deps);
}

/** Another process may have added or removed accounts since the last look, and pi may have signed in or out. */
async function lookAround({ link, pool }: SubcommandDeps): Promise<void> {
	try {
		await link.sync();
		pool.detectChanges();
		pool.emit({ type: "changed" });
	} catch (error) {
		// The command does what it can with what is known.
		tellDefect(error, "command", pool.emit);
	}
}

function commandCalled(name: string): Subcommand | undefined {
	return COMMANDS.find((candidate) => candidate.name === comparable(name));
}

/** Words are parted by blanks; quotes keep a label, a path or a value together. */
function wordsIn(args: string): string[] {
	return [...args.matchAll(/(?:"[^"]*"|\S)+/g)].map(([word]) => word.replace(/"([^"]*)"/g, "$1"));
}

/**
 * The chosen value replaces everything after the command's name, so it holds all words. Nothing is offered once a
 * choice is complete: an open list would swallow the Enter that submits.
 */
function completionsFor(typed: string, deps: SubcommandDeps): Completion[] | null {
	const [, head = "", last = ""] = /^(.*?)("[^"]*|\S*)$/s.exec(typed) ?? [];
	const [name, ...before] = wordsIn(head);
	if (name === undefined) return aliasCalled(last) ? null : offered(last, namesFor(last));
	const alias = aliasCalled(name);
	const command = commandCalled(alias?.command ?? name);
	const choices = command?.complete?.(deps, [...(alias?.words ?? []), ...before], last) ?? [];
	const matches = offered(last, fitting(last, choices));
	return matches?.map((match) => ({ ...match, value: `${head}${match.value}` })) ?? null;
}

/** Subcommands; what else they may be called where none fits. */
function namesFor(typed: string): Completion[] {
	const names = COMMANDS.map(({ name, summary }) => ({ value: name, label: name, description: summary }));
	const fits = fitting(typed, names);
	if (fits.length > 0) return fits;
	const aliases = ALIAS_WORDS.map((word) => {
		const alias = aliasCalled(word);
		return { value: word, label: word, ...(alias && { description: `as ${meaningOf(alias)}` }) };
	});
	return fitting(typed, aliases);
}

/**
 * The choices that `typed` stands in, wherever that is, first those that begin with it. An option is offered to who
 * begins one: any other word may be a label.
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
