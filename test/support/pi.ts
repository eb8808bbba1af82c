import type { AgentDir } from "./agent-dir.ts";
import { type PiProcess, type PiResult, startProcess } from "./child.ts";
import type { Host } from "./hosts.ts";
import { type LaunchOptions, launchCommand } from "./launch.ts";
import { connectRpc, type JsonEvent, jsonEventSchema, type Rpc } from "./rpc.ts";

/** Options of a pi process. */
export interface SpawnOptions extends LaunchOptions {
	/** Written to standard input, which is then closed; absent: standard input is empty. */
	readonly stdin?: string;
	/** SIGKILL after this time, counted from the spawn; the result then has `signal: "SIGKILL"`. */
	readonly killAfterMs?: number;
}

/** Options of {@link runPi}. */
export interface RunOptions extends SpawnOptions {
	/** Default 100 s. The process is killed and the call rejects after it. */
	readonly timeoutMs?: number;
}

/** Starts pi and returns at once. Wait for it, or it is killed when the test process exits. */
export function spawnPi(
	host: Host,
	agentDir: AgentDir,
	args: readonly string[],
	options: SpawnOptions = {},
): PiProcess {
	const child = startProcess(
		launchCommand(host, agentDir, args, options),
		options.stdin === undefined ? "ignore" : "pipe",
	);
	if (options.stdin !== undefined) {
		child.write(options.stdin);
		child.closeStdin();
	}
	if (options.killAfterMs !== undefined) {
		const timer = setTimeout(() => child.signal("SIGKILL"), options.killAfterMs);
		const stopTimer = (): void => clearTimeout(timer);
		child.ended.then(stopTimer, stopTimer);
	}
	return child;
}

/** Runs pi to its end, for `-p` and `--mode json`. Any exit code is a result; only a time-out rejects. */
export function runPi(
	host: Host,
	agentDir: AgentDir,
	args: readonly string[],
	options: RunOptions = {},
): Promise<PiResult> {
	return spawnPi(host, agentDir, args, options).wait(options.timeoutMs);
}

/**
 * Parses the output of `--mode json`.
 * @throws when a line is not a JSON object with a `type`
 */
export function parseJsonEvents(stdout: string): JsonEvent[] {
	// Only "\n" separates: JSON strings may hold U+2028, which other line splitters cut at.
	const lines = stdout.split("\n").filter((line) => line.trim() !== "");
	return lines.map((line) => {
		try {
			return jsonEventSchema.parse(JSON.parse(line));
		} catch (cause) {
			throw new Error(`not a JSON event: ${line}`, { cause });
		}
	});
}

/** Starts `pi --mode rpc` and returns its client; `args` are added to the command line. Close it in the end. */
export function startRpc(
	host: Host,
	agentDir: AgentDir,
	args: readonly string[] = [],
	options: LaunchOptions = {},
): Rpc {
	const command = launchCommand(host, agentDir, ["--mode", "rpc", ...args], options);
	return connectRpc(host.name, startProcess(command, "pipe"));
}
