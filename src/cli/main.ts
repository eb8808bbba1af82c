import { homedir } from "node:os";
import { join } from "node:path";
import { reasonOf } from "../pi/command.ts";
import { shown, writeAll } from "../pi/output.ts";
import { codeOf } from "../platform/errors.ts";
import { readArguments, type StatusAsked } from "./arguments.ts";
import { statusOf } from "./status.ts";
import { openStoredPool, type Paths, pathsIn, untilWhole } from "./stored-pool.ts";
import { helpText, SPEAKS } from "./texts.ts";

const DEFAULT_COLUMNS = 80;
const BAD_USAGE = 2;
const FAILED = 1;

/** Runs the program on the words of its command line. Sets the exit code and never rejects. */
export async function main(words: readonly string[]): Promise<void> {
	const asked = readArguments(words);
	try {
		process.exitCode = await run(asked);
	} catch (error) {
		// The reader of a pipe has all that it wants.
		if (codeOf(error) === "EPIPE") return;
		tell(`${SPEAKS} failed: ${reasonOf(error)}.`);
		process.exitCode = FAILED;
	}
}

async function run(asked: ReturnType<typeof readArguments>): Promise<number> {
	if (asked.kind === "wrong") {
		tell(asked.problem);
		return BAD_USAGE;
	}
	if (asked.kind === "help" || asked.kind === "version") {
		writeAll(`${asked.kind === "help" ? helpText() : await versionText()}\n`);
		return 0;
	}
	const paths = pathsIn(agentDirectory());
	await untilWhole(paths);
	if (asked.kind === "status") return status(asked, paths);
	const { explain } = await import("./explain.ts");
	const { text, problems, code } = await explain(asked, open(paths), paths, columnsNow());
	writeAll(text);
	problems.forEach(tell);
	return code;
}

async function status(asked: StatusAsked, paths: Paths): Promise<number> {
	if (asked.isWatching) {
		const { watchUntilEnd } = await import("./watch-terminal.ts");
		return watchUntilEnd(asked, paths, () => open(paths), tell);
	}
	const stored = open(paths);
	const { text, problems, code } = statusOf(stored, asked, columnsNow());
	writeAll(text);
	[...problems, ...stored.complaints()].forEach(tell);
	return code;
}

function open(paths: Paths) {
	return openStoredPool(paths, { now: () => Date.now() }, () => process.cwd());
}

function columnsNow(): number {
	return process.stdout.columns ?? DEFAULT_COLUMNS;
}

function tell(problem: string): void {
	process.stderr.write(`${shown(problem)}\n`);
}

/** pi's agent directory, as pi finds it. */
function agentDirectory(): string {
	const named = process.env.PI_CODING_AGENT_DIR;
	if (!named) return join(homedir(), ".pi", "agent");
	return /^~(?=$|[/\\])/.test(named) ? join(homedir(), named.slice(1)) : named;
}

async function versionText(): Promise<string> {
	const { versionOfPackage } = await import("./version.ts");
	return versionOfPackage();
}
