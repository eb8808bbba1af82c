import { readdirSync, readFileSync } from "node:fs";
import { join, relative } from "node:path";
import { type AgentDir, type AgentDirOptions, createAgentDir } from "../../support/agent-dir.ts";
import { SECRET_MARK } from "../../support/fake-codex/index.ts";

/** One machine of the fleet: a home of its own, a name, and a clock that is wrong. */
export interface Machine {
	readonly name: string;
	readonly dir: AgentDir;
	/** So much its clock is ahead, ms. */
	readonly clockMs: number;
	/** Added to the environment of its processes. */
	readonly env: Readonly<Record<string, string>>;
}

export function aMachine(
	name: string,
	clockMs: number,
	options: AgentDirOptions,
	env: Readonly<Record<string, string>> = {},
): Machine {
	return { name, clockMs, env, dir: createAgentDir(options) };
}

/** A file of a machine, by its path below the home. */
export interface HomeFile {
	readonly name: string;
	readonly text: string;
}

/** Everything that is on the disk of a machine. Bytes are read as they are. */
export function filesOf({ dir }: Machine): HomeFile[] {
	return readdirSync(dir.home, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name))
		.map((path) => ({ name: relative(dir.home, path), text: readFileSync(path, "latin1") }));
}

/** Names of JSON files that do not parse, and of copies that were kept of such files. */
export function brokenFiles(machine: Machine): string[] {
	return filesOf(machine)
		.filter(({ name, text }) => name.includes(".corrupt-") || (name.endsWith(".json") && !parses(text)))
		.map(({ name }) => `${machine.name}: ${name}`);
}

/** Names of files that hold a refresh token which can be read. */
export function tokensInClear(machine: Machine): string[] {
	return filesOf(machine)
		.filter(({ text }) => text.includes(`${SECRET_MARK}_rt_`))
		.map(({ name }) => `${machine.name}: ${name}`);
}

function parses(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		// Which one is the news; its content may be a token.
		return false;
	}
}
