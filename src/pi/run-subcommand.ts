import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { type Outcome, reasonOf, type Subcommand, type SubcommandDeps, tellUnexpected } from "./command.ts";
import { maskedOutcome } from "./mask-emails.ts";
import { writeFailure, writeResult } from "./output.ts";

/**
 * Runs a subcommand and tells its outcome; never throws. With `isQuiet` only a failure is told, for what is seen
 * anyway. `cancelled` where the person left a dialog of it without an answer.
 */
export async function runSubcommand(
	command: Subcommand,
	words: readonly string[],
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
	isQuiet = false,
): Promise<"done" | "cancelled"> {
	try {
		const outcome = await command.run(words, ctx, deps);
		// The session has ended: its chat is gone, and its context throws.
		if (deps.signal.aborted || !outcome) return "done";
		if ("failure" in outcome || !isQuiet) report(outcome, command.name, ctx, deps);
		return "isCancelled" in outcome && outcome.isCancelled ? "cancelled" : "done";
	} catch (error) {
		tellUnexpected(error, deps.pool);
		if (!deps.signal.aborted)
			report({ failure: `multicodex ${command.name} failed: ${reasonOf(error)}` }, command.name, ctx, deps);
		return "done";
	}
}

/** Tells what a command came to, as the mode has it, and with no e-mail in it where the person wants none. */
export function report(
	told: Outcome,
	command: string,
	ctx: ExtensionCommandContext,
	{ settings }: Pick<SubcommandDeps, "settings">,
): void {
	const outcome = maskedOutcome(told, settings.read().maskEmails);
	if ("failure" in outcome) writeFailure(ctx, outcome.failure);
	else writeResult(ctx, command, outcome);
}
