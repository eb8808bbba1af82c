import type { ExtensionAPI, ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { help } from "./commands/help.ts";
import { path } from "./commands/path.ts";
import { reset } from "./commands/reset.ts";
import { show } from "./commands/show.ts";
import type { Completion, Subcommand, SubcommandDeps } from "./commands/subcommand.ts";
import { use } from "./commands/use.ts";
import { writeFailure, writeResult } from "./output.ts";

/** Every subcommand of `/multicodex`, in the order in which `help` lists them. The next one is one line here. */
export const COMMANDS: readonly Subcommand[] = [show, use, reset, path, help];

/** Registers `/multicodex`. The handler never throws: a throw would end `pi -p` with exit code 0. */
export function registerCommand(pi: ExtensionAPI, parts: Omit<SubcommandDeps, "commands">): void {
	const deps = { ...parts, commands: COMMANDS };
	pi.registerCommand("multicodex", {
		description: "Codex accounts: show, use, reset",
		getArgumentCompletions: (typed) => completionsFor(typed, deps),
		handler: (args, ctx) => run(args, ctx, deps),
	});
}

async function run(args: string, ctx: ExtensionCommandContext, deps: SubcommandDeps): Promise<void> {
	const [name = "show", ...words] = args.split(/\s+/).filter((word) => word !== "");
	const command = COMMANDS.find((candidate) => candidate.name === name);
	if (!command) {
		const known = COMMANDS.map((candidate) => candidate.name).join(", ");
		writeFailure(ctx, `multicodex: there is no "${name}". Known: ${known}.`);
		return;
	}
	try {
		await deps.link.sync();
		// Another process may have added or removed accounts since the last look.
		deps.pool.emit({ type: "changed" });
		const outcome = await command.run(words, ctx, deps);
		if ("failure" in outcome) writeFailure(ctx, outcome.failure);
		else writeResult(ctx, name, outcome);
	} catch (error) {
		// Messages of file-system errors name paths, never content.
		const reason = error instanceof Error && "code" in error ? error.message : "an unexpected error";
		writeFailure(ctx, `multicodex ${name} failed: ${reason}`);
	}
}

/**
 * The chosen value replaces everything after the command's name, so it holds all words. Nothing is offered once a
 * choice is complete: an open list would swallow the Enter that submits.
 */
function completionsFor(typed: string, deps: SubcommandDeps): Completion[] | null {
	const [name = "", ...rest] = typed.split(/\s+/);
	if (rest.length === 0) {
		const matches = COMMANDS.filter((command) => command.name.startsWith(name));
		if (matches.some((command) => command.name === name)) return null;
		return offered(
			matches.map((command) => ({ value: command.name, label: command.name, description: command.summary })),
		);
	}
	const command = COMMANDS.find((candidate) => candidate.name === name);
	const word = rest.at(-1) ?? "";
	const matches = (command?.complete?.(deps) ?? []).filter(({ value }) =>
		value.toLowerCase().startsWith(word.toLowerCase()),
	);
	if (matches.some(({ value }) => value === word)) return null;
	const before = [name, ...rest.slice(0, -1)].join(" ");
	return offered(matches.map((match) => ({ ...match, value: `${before} ${match.value}` })));
}

function offered(completions: Completion[]): Completion[] | null {
	return completions.length > 0 ? completions : null;
}
