import type { ExtensionCommandContext } from "@mariozechner/pi-coding-agent";
import { tellUnexpected } from "../core/defect-reports.ts";
import type { Pool } from "../core/pool/pool.ts";
import { hidePoolSecrets } from "../core/privacy.ts";
import { PoolProblem } from "../core/shared-pool.ts";
import {
	type CommandContext,
	type Ended,
	type Given,
	isFailure,
	type Outcome,
	reasonOf,
	type Subcommand,
} from "./command.ts";
import { maskedOutcome } from "./mask-emails.ts";
import { writeFailure, writeResult } from "./output.ts";

/** What a command shares with the commands that it runs. */
export interface CommandSession {
	readonly commands: readonly Subcommand[];
	readonly signal: AbortSignal;
	readonly isMasked: () => boolean;
	readonly emit: Pool["emit"];
	readonly ended: Promise<void>;
}

/** Creates the context for the commands of a session. */
export function createCommandContext(host: ExtensionCommandContext, session: CommandSession): CommandContext {
	const ctx: CommandContext = {
		host,
		signal: session.signal,
		commands: session.commands,
		ended: session.ended,
		on: (other) => createCommandContext(other, session),
		run: async (name, given, { isQuiet = false } = {}) => {
			const command = session.commands.find((candidate) => candidate.name === name);
			if (command) return runCommand(command, given, ctx, session, isQuiet);
			report({ failure: `multicodex: there is no "${name}".` }, name, ctx, session);
			return "done";
		},
	};
	return ctx;
}

/** Runs a subcommand and reports its outcome; with `isQuiet`, only a failure. Never throws. */
export async function runCommand(
	command: Subcommand,
	given: Given,
	ctx: CommandContext,
	session: CommandSession,
	isQuiet = false,
): Promise<Ended> {
	const { signal, emit } = session;
	try {
		const args = argsFor(command, given);
		const outcome = isFailure(args) ? args : await command.run(args, ctx);
		// The session has ended. Its chat is gone, and its context throws.
		if (signal.aborted || !outcome) return "done";
		if ("failure" in outcome || !isQuiet) report(outcome, command.name, ctx, session);
		return "isCancelled" in outcome && outcome.isCancelled ? "cancelled" : "done";
	} catch (error) {
		if (!signal.aborted) report({ failure: failureOf(error, command, emit) }, command.name, ctx, session);
		return "done";
	}
}

/** Returns the text for an error. The message of a shared pool's problem is the answer, since it says what to do. */
function failureOf(error: unknown, { name }: Subcommand, emit: Pool["emit"]): string {
	if (error instanceof PoolProblem) return error.message;
	tellUnexpected(error, emit);
	return `multicodex ${name} failed: ${reasonOf(error)}`;
}

/** Returns the arguments: from the account if there is one, else parsed from words. */
function argsFor({ name, onAccount, parse }: Subcommand, given: Given): object {
	if ("words" in given) return parse(given.words);
	return onAccount?.args(given.account) ?? { failure: `multicodex ${name} works on no account.` };
}

/** Writes the outcome of a command in the form for the mode, with e-mails masked if the person wants that. */
export function report(
	reported: Outcome,
	command: string,
	{ host }: Pick<CommandContext, "host">,
	{ isMasked }: Pick<CommandSession, "isMasked">,
): void {
	const outcome = maskedOutcome(reported, isMasked());
	if ("failure" in outcome) writeFailure(host, hidePoolSecrets(outcome.failure));
	else writeResult(host, command, outcome);
}
