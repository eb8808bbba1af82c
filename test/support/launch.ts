import { delimiter, dirname, join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import type { AgentDir } from "./agent-dir.ts";
import { type Host, repositoryRoot } from "./hosts.ts";

/** What every way of starting pi accepts. */
export interface LaunchOptions {
	/** Added to the minimal environment; an undefined value takes a variable away. */
	readonly env?: Readonly<Record<string, string | undefined>>;
	/** Default: the agent directory's empty `cwd`. */
	readonly cwd?: string;
	/** `true` (default) loads the extension under test, a string another file, `false` none. */
	readonly extension?: boolean | string;
	/** Whose process it is; only root may give another user than itself. */
	readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

/** A command line with everything the child process depends on. */
export interface LaunchCommand {
	readonly file: string;
	readonly args: readonly string[];
	readonly cwd: string;
	readonly env: Record<string, string>;
	readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

/** The package, where `package-setup.ts` has made it; else the sources of this repository. */
const extensionUnderTest = (): string => process.env.EXTENSION_UNDER_TEST ?? join(repositoryRoot, "index.ts");

function extensionArguments(extension: boolean | string): readonly string[] {
	if (extension === false) return [];
	return ["-e", extension === true ? extensionUnderTest() : extension];
}

/**
 * Builds the command line for a pi that sees nothing of the machine it runs on: no proxy, no token, no
 * configuration of the developer. The time zone is UTC so that printed times can be compared.
 */
export function launchCommand(
	host: Host,
	agentDir: AgentDir,
	args: readonly string[],
	options: LaunchOptions = {},
): LaunchCommand {
	const env: Record<string, string> = {
		PATH: [dirname(host.node), process.env.PATH ?? ""].join(delimiter),
		HOME: agentDir.home,
		TZ: "UTC",
		NO_COLOR: "1",
		PI_OFFLINE: "1",
		PI_SKIP_VERSION_CHECK: "1",
		PI_TELEMETRY: "0",
		PI_CODING_AGENT_DIR: agentDir.dir,
	};
	for (const [name, value] of Object.entries(options.env ?? {})) {
		if (value === undefined) delete env[name];
		else env[name] = value;
	}
	const piArguments = [host.cli, ...extensionArguments(options.extension ?? true), ...args];
	return { file: host.node, args: piArguments, cwd: options.cwd ?? agentDir.cwd, env, user: options.user };
}

function isErrorCode(error: unknown, code: string): boolean {
	return error instanceof Error && "code" in error && error.code === code;
}

/** Sends a signal; returns false when the process is gone already. */
export function signalProcess(pid: number, signal: NodeJS.Signals): boolean {
	try {
		return process.kill(pid, signal);
	} catch (error) {
		if (isErrorCode(error, "ESRCH")) return false;
		throw error;
	}
}

const running = new Set<number>();

process.on("exit", () => {
	for (const pid of running) signalProcess(pid, "SIGKILL");
});

/**
 * Makes sure a child does not outlive this process. Call the returned function when the child has exited: its id
 * may belong to another process from then on.
 */
export function killAtExit(pid: number): () => void {
	running.add(pid);
	return () => running.delete(pid);
}

/** The end of a child's output, for error messages. */
export function outputTail(output: string, maximum = 3000): string {
	const text = stripVTControlCharacters(output).trim();
	if (text === "") return "(nothing)";
	return text.length > maximum ? `…${text.slice(-maximum)}` : text;
}
