import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { tellDefect } from "../core/defect-reports.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { SettingsStore } from "../core/ports.ts";
import { nearest } from "../ui-kit/nearest.ts";
import { ALIAS_WORDS, aliasCalled } from "./aliases.ts";
import { type CommandList, commandCalled, wordsIn } from "./command.ts";
import { noSuchCommand } from "./command-texts.ts";
import { modeOf } from "./output.ts";
import { type CommandSession, createCommandContext, report, runCommand } from "./run-command.ts";

/** Dependencies of typed commands. */
export interface CommandDeps {
	readonly link: Pick<PiLoginSync, "sync">;
	readonly pool: Pick<Pool, "detectChanges" | "emit">;
	readonly settings: Pick<SettingsStore, "read">;
}

/** Runs what was typed after `/multicodex`. Never throws. */
export async function runTyped(
	args: string,
	host: ExtensionCommandContext,
	commands: CommandList,
	deps: CommandDeps & Pick<CommandSession, "isMasked" | "signal">,
): Promise<void> {
	const { signal, isMasked, pool } = deps;
	const all = [commands.withoutAWord, ...commands.named];
	let end = (): void => undefined;
	const ended = new Promise<void>((resolve) => {
		end = resolve;
	});
	try {
		await run(args, host, commands, deps, { commands: all, signal, isMasked, emit: pool.emit, ended });
	} finally {
		end();
	}
}

async function run(
	args: string,
	host: ExtensionCommandContext,
	{ withoutAWord, named }: CommandList,
	deps: CommandDeps,
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

/** Another process may have added or removed accounts, and pi may have signed in or out. */
async function syncBeforeCommand({ link, pool }: CommandDeps): Promise<void> {
	try {
		await link.sync();
		pool.detectChanges();
		pool.emit({ type: "changed" });
	} catch (error) {
		// The command does what it can with what is known.
		tellDefect(error, "command", pool.emit);
	}
}
