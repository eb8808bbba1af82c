import { spawn } from "node:child_process";
import { killAtExit, type LaunchCommand, outputTail, signalProcess } from "./launch.ts";

/** How a pi process ended and what it wrote. */
export interface PiResult {
	/** Exit code; null when a signal ended it. */
	readonly code: number | null;
	readonly signal: NodeJS.Signals | null;
	readonly stdout: string;
	readonly stderr: string;
	/** From the spawn to the end of its output. */
	readonly ms: number;
}

/** A running pi process. */
export interface PiProcess {
	readonly pid: number;
	/** What was written to standard output so far. */
	stdout(): string;
	/** What was written to standard error so far. */
	stderr(): string;
	/** Sends a signal; returns false when the process is gone already. */
	signal(signal: NodeJS.Signals): boolean;
	/** Waits for the end. After `timeoutMs` (default 100 s) it kills the process and rejects with its output. */
	wait(timeoutMs?: number): Promise<PiResult>;
}

/** A {@link PiProcess} whose pipes are in our hands. */
export interface PipedProcess extends PiProcess {
	write(text: string): void;
	closeStdin(): void;
	onStdout(listener: (text: string) => void): void;
	readonly ended: Promise<PiResult>;
}

/** Starts a child that is killed, at the latest, when this process exits. */
export function startProcess(command: LaunchCommand, stdin: "ignore" | "pipe"): PipedProcess {
	const startedAt = performance.now();
	const child = spawn(command.file, [...command.args], {
		cwd: command.cwd,
		env: command.env,
		stdio: [stdin, "pipe", "pipe"],
		...command.user,
	});
	const pid = child.pid;
	const forget = pid === undefined ? undefined : killAtExit(pid);
	let stdout = "";
	let stderr = "";
	child.stdout?.setEncoding("utf8").on("data", (text: string) => {
		stdout += text;
	});
	child.stderr?.setEncoding("utf8").on("data", (text: string) => {
		stderr += text;
	});
	let stdinError: Error | undefined;
	child.stdin?.on("error", (error) => {
		// A child that exits early breaks the pipe; how it exited is the news, this is only a footnote to it.
		stdinError = error;
	});
	child.on("exit", () => forget?.());
	const ended = new Promise<PiResult>((resolve, reject) => {
		child.on("error", reject);
		child.on("close", (code, signal) => {
			resolve({ code, signal, stdout, stderr, ms: performance.now() - startedAt });
		});
	});
	// A caller that waits sees the rejection; without this line a spawn error with no caller ends the test run.
	ended.catch(() => undefined);

	const describe = (): string => {
		const footnote = stdinError === undefined ? "" : `\nstdin: ${stdinError.message}`;
		return `pi ${command.args.slice(1).join(" ")}\nstdout: ${outputTail(stdout)}\nstderr: ${outputTail(stderr)}${footnote}`;
	};
	const signal = (name: NodeJS.Signals): boolean => {
		if (pid === undefined || child.exitCode !== null || child.signalCode !== null) return false;
		return signalProcess(pid, name);
	};
	const wait = async (timeoutMs = 100_000): Promise<PiResult> => {
		let timer: NodeJS.Timeout | undefined;
		const expired = new Promise<never>((_resolve, reject) => {
			timer = setTimeout(() => {
				signal("SIGKILL");
				reject(new Error(`no end after ${timeoutMs} ms: ${describe()}`));
			}, timeoutMs);
		});
		try {
			return await Promise.race([ended, expired]);
		} finally {
			clearTimeout(timer);
		}
	};
	return {
		pid: pid ?? -1,
		stdout: () => stdout,
		stderr: () => stderr,
		signal,
		wait,
		ended,
		write: (text) => void child.stdin?.write(text),
		closeStdin: () => void child.stdin?.end(),
		onStdout: (listener) => void child.stdout?.on("data", listener),
	};
}
