import { homedir } from "node:os";
import { join } from "node:path";
import { reasonOf } from "../pi/command.ts";
import { shown, writeAll } from "../pi/output.ts";
import { codeOf } from "../platform/files/errors.ts";
import type { openPoolReader } from "../platform/shared-pool/pool-reader.ts";
import { readArguments, type StatusAsked } from "./arguments.ts";
import { statusOf } from "./status.ts";
import { openStoredPool, type Paths, pathsIn, type StoredPool, untilWhole } from "./stored-pool.ts";
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
		// The reader of a pipe has read enough.
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
	const findOpener = () => opener(paths);
	if (asked.kind === "status") return status(asked, paths, findOpener);
	const [open, { explain }] = [await findOpener(), await import("./explain.ts")];
	const { text, problems, code } = await explain(asked, open(), paths, columnsNow());
	writeAll(text);
	problems.forEach(tell);
	return code;
}

async function status(asked: StatusAsked, paths: Paths, findOpener: () => Promise<() => StoredPool>): Promise<number> {
	if (asked.isWatching) {
		const { watchUntilEnd } = await import("./watch-terminal.ts");
		return watchUntilEnd(asked, paths, findOpener, tell);
	}
	const stored = (await findOpener())();
	const { text, problems, code } = statusOf(stored, asked, columnsNow);
	writeAll(text);
	[...problems, ...stored.complaints()].forEach(tell);
	return code;
}

/** Returns a function that opens the pool. The code for a shared pool is loaded only if this machine has joined one. */
async function opener(paths: Paths): Promise<() => StoredPool> {
	const open = (readShared?: typeof openPoolReader) =>
		openStoredPool(paths, { now: () => Date.now() }, () => process.cwd(), readShared);
	const first = open();
	if (first.settings.read().pool === undefined) {
		// It has already read the settings.
		let opened: StoredPool | undefined = first;
		return () => {
			const stored = opened ?? open();
			opened = undefined;
			return stored;
		};
	}
	const { openPoolReader: readShared } = await import("../platform/shared-pool/pool-reader.ts");
	return () => open(readShared);
}

function columnsNow(): number {
	return process.stdout.columns ?? DEFAULT_COLUMNS;
}

function tell(problem: string): void {
	process.stderr.write(`${shown(problem)}\n`);
}

/** Returns pi's agent directory, as pi determines it. */
function agentDirectory(): string {
	const named = process.env.PI_CODING_AGENT_DIR;
	if (!named) return join(homedir(), ".pi", "agent");
	return /^~(?=$|[/\\])/.test(named) ? join(homedir(), named.slice(1)) : named;
}

async function versionText(): Promise<string> {
	const { versionOfPackage } = await import("./version.ts");
	return versionOfPackage();
}
