import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { writeFailure, writeResult } from "../output.ts";
import { reasonOf, type Subcommand, type SubcommandDeps } from "./subcommand.ts";

/**
 * Runs a subcommand and tells what it comes to; never throws. With `isQuiet` only a failure is told, for what is seen
 * anyway.
 */
export async function carryOut(
	command: Subcommand,
	words: readonly string[],
	ctx: ExtensionCommandContext,
	deps: SubcommandDeps,
	isQuiet = false,
): Promise<void> {
	try {
		const outcome = await command.run(words, ctx, deps);
		// With its session gone there is nobody to tell, and its context throws.
		if (deps.signal.aborted || !outcome) return;
		if ("failure" in outcome) writeFailure(ctx, outcome.failure);
		else if (!isQuiet) writeResult(ctx, command.name, outcome);
	} catch (error) {
		if (deps.signal.aborted) return;
		writeFailure(ctx, `multicodex ${command.name} failed: ${reasonOf(error)}`);
	}
}
