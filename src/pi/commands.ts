import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { tellDefect } from "../pool/defects.ts";
import type { LastRotation } from "../ui/dashboard-words.ts";
import { add } from "./commands/add.ts";
import { carryOut, tell } from "./commands/carry-out.ts";
import { dashboard } from "./commands/dashboard.ts";
import { footer } from "./commands/footer.ts";
import { help } from "./commands/help.ts";
import { importAccounts } from "./commands/import.ts";
import { log } from "./commands/log.ts";
import { login } from "./commands/login.ts";
import { off, on } from "./commands/off-on.ts";
import { path } from "./commands/path.ts";
import { refresh } from "./commands/refresh.ts";
import { remove } from "./commands/remove.ts";
import { rename } from "./commands/rename.ts";
import { reset } from "./commands/reset.ts";
import { rotation } from "./commands/rotation.ts";
import { show } from "./commands/show.ts";
import type { Completion, Subcommand, SubcommandDeps } from "./commands/subcommand.ts";
import { disable, enable } from "./commands/switch.ts";
import { use } from "./commands/use.ts";
import { verify } from "./commands/verify.ts";
import { why } from "./commands/why.ts";
import { modeOf } from "./output.ts";
import { privately } from "./privately.ts";

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
		handler: (args, ctx) => run(args, privately(ctx, isMasked), deps()),
	});
}

async function run(args: string, ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<void> {
	const [name, ...words] = wordsIn(args);
	const withoutAWord = ctx.hasUI ? dashboard : show;
	const command = name === undefined ? withoutAWord : COMMANDS.find((candidate) => candidate.name === name);
	if (!command) {
		const known = COMMANDS.map((candidate) => candidate.name).join(", ");
		tell({ failure: `multicodex: there is no "${name}". Known: ${known}.` }, "help", ctx, deps);
		return;
	}
	if (!command.isLookOnly) {
		const looking = lookAround(deps);
		if (!(modeOf(ctx) === "tui" && command.isPanel?.(words))) await looking;
	}
	await carryOut(command, words, ctx, deps);
}

/** Another process may have added or removed accounts since the last look, and pi may have signed in or out. */
async function lookAround({ link, pool }: SubcommandDeps): Promise<void> {
	try {
		await link.sync();
		pool.look();
		pool.emit({ type: "changed" });
	} catch (error) {
		// The command does what it can with what is known.
		tellDefect(error, "command", pool.emit);
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
	const matches = (command?.complete?.(deps, before, last) ?? []).filter(({ value }) => bare(value).startsWith(begun));
	const [whole = ""] = wordsIn(last.toLowerCase());
	if (matches.some(({ value }) => wordsIn(value.toLowerCase())[0] === whole)) return null;
	return offered(matches.map((match) => ({ ...match, value: `${head}${match.value}` })));
}

function bare(word: string): string {
	return word.replaceAll('"', "").toLowerCase();
}

function offered(completions: Completion[]): Completion[] | null {
	return completions.length > 0 ? completions : null;
}
