import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { add } from "./commands/add.ts";
import { help } from "./commands/help.ts";
import { importAccounts } from "./commands/import.ts";
import { login } from "./commands/login.ts";
import { off, on } from "./commands/off-on.ts";
import { path } from "./commands/path.ts";
import { refresh } from "./commands/refresh.ts";
import { remove } from "./commands/remove.ts";
import { rename } from "./commands/rename.ts";
import { reset } from "./commands/reset.ts";
import { rotation } from "./commands/rotation.ts";
import { show } from "./commands/show.ts";
import type { Completion, Outcome, Subcommand, SubcommandDeps } from "./commands/subcommand.ts";
import { disable, enable } from "./commands/switch.ts";
import { use } from "./commands/use.ts";
import { verify } from "./commands/verify.ts";
import { writeFailure, writeResult } from "./output.ts";
import { privately, privateOutcome } from "./privately.ts";

/** Every subcommand of `/multicodex`, in the order in which `help` lists them. The next one is one line here. */
export const COMMANDS: readonly Subcommand[] = [
	show,
	use,
	add,
	login,
	importAccounts,
	remove,
	rename,
	enable,
	disable,
	refresh,
	rotation,
	reset,
	verify,
	off,
	on,
	path,
	help,
];

/** What subcommands work on, as far as it outlives the session. */
export type CommandParts = Omit<SubcommandDeps, "commands" | "signal" | "setModel">;

/** Registers `/multicodex`. The handler never throws: a throw would end `pi -p` with exit code 0. */
export function registerCommand(pi: ExtensionAPI, parts: CommandParts): void {
	let session = new AbortController();
	const isMasked = () => parts.settings.read().maskEmails;
	// A sign-in that waits for its person must not outlive the session it was begun in.
	pi.on("session_shutdown", () => {
		session.abort();
		session = new AbortController();
	});
	const deps = (): SubcommandDeps => ({
		...parts,
		commands: COMMANDS,
		signal: session.signal,
		setModel: (model) => pi.setModel(model),
	});
	pi.registerCommand("multicodex", {
		description: "Codex accounts: show, use, add, import, remove and more",
		getArgumentCompletions: (typed) => completionsFor(typed, deps()),
		handler: (args, ctx) => run(args, privately(ctx, isMasked), deps()),
	});
}

async function run(args: string, ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<void> {
	const [name = "show", ...words] = wordsIn(args);
	const command = COMMANDS.find((candidate) => candidate.name === name);
	const say = (told: Outcome) => {
		const outcome = privateOutcome(told, deps.settings.read().maskEmails);
		if ("failure" in outcome) writeFailure(ctx, outcome.failure);
		else writeResult(ctx, name, outcome);
	};
	if (!command) {
		const known = COMMANDS.map((candidate) => candidate.name).join(", ");
		say({ failure: `multicodex: there is no "${name}". Known: ${known}.` });
		return;
	}
	try {
		if (!command.isLookOnly) {
			await deps.link.sync();
			// Another process may have added or removed accounts since the last look.
			deps.pool.emit({ type: "changed" });
		}
		const outcome = await command.run(words, ctx, deps);
		// With its session gone there is nobody to tell, and its context throws.
		if (!deps.signal.aborted) say(outcome);
	} catch (error) {
		if (deps.signal.aborted) return;
		// Messages of file-system errors name paths, never content.
		const reason = error instanceof Error && "code" in error ? error.message : "an unexpected error";
		say({ failure: `multicodex ${name} failed: ${reason}` });
	}
}

/** Words are parted by blanks; quotes keep a label or a path together. */
function wordsIn(args: string): string[] {
	return [...args.matchAll(/"([^"]*)"|(\S+)/g)].map(([, quoted, bare]) => quoted ?? bare ?? "");
}

/**
 * The chosen value replaces everything after the command's name, so it holds all words. Nothing is offered once a
 * choice is complete: an open list would swallow the Enter that submits.
 */
function completionsFor(typed: string, deps: SubcommandDeps): Completion[] | null {
	const [, head = "", last = ""] = /^(.*?)("[^"]*|\S*)$/s.exec(typed) ?? [];
	const [name, ...before] = wordsIn(head);
	if (name === undefined) {
		const matches = COMMANDS.filter((command) => command.name.startsWith(last));
		if (matches.some((command) => command.name === last)) return null;
		return offered(
			matches.map((command) => ({ value: command.name, label: command.name, description: command.summary })),
		);
	}
	const command = COMMANDS.find((candidate) => candidate.name === name);
	const begun = bare(last);
	const matches = (command?.complete?.(deps, before) ?? []).filter(({ value }) => bare(value).startsWith(begun));
	if (matches.some(({ value }) => value === last)) return null;
	return offered(matches.map((match) => ({ ...match, value: `${head}${match.value}` })));
}

function bare(word: string): string {
	return word.replaceAll('"', "").toLowerCase();
}

function offered(completions: Completion[]): Completion[] | null {
	return completions.length > 0 ? completions : null;
}
