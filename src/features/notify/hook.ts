import { type ChildProcess, spawn } from "node:child_process";
import { homedir } from "node:os";
import { codeOf } from "../../platform/files/errors.ts";

/** How a command ended. */
export type HookEnd =
	| { readonly kind: "done" }
	/** It could not be started: the code of the system, such as `ENOENT`. */
	| { readonly kind: "unstarted"; readonly code: string }
	| { readonly kind: "exit"; readonly code: number }
	| { readonly kind: "signal"; readonly signal: string }
	/** It took too long and was ended. */
	| { readonly kind: "late" }
	/** pi ended before it did. */
	| { readonly kind: "cut-off" };

/** Commands of the person that get notices. */
export interface Hooks {
	/** Runs a command, without a shell, with `document` on its standard input. Its output goes nowhere. Never rejects. */
	run(argv: readonly string[], document: string): Promise<HookEnd>;
	/** Ends the commands that are under way. */
	end(): void;
}

/** A command is ended after this long. */
export const LIMIT_MS = 5000;

/** Creates the runner of commands. */
export function createHooks(limitMs = LIMIT_MS): Hooks {
	/** What ends each command under way. */
	const running = new Map<Promise<HookEnd>, () => void>();

	const run = (argv: readonly string[], document: string): Promise<HookEnd> => {
		const [program = "", ...args] = argv;
		let child: ChildProcess;
		try {
			child = spawn(program, args, {
				// No project folder may decide which program that is.
				cwd: homedir(),
				stdio: ["pipe", "ignore", "ignore"],
				// Its own group, so that what it has started ends with it.
				detached: process.platform !== "win32",
				windowsHide: true,
			});
		} catch (error) {
			return Promise.resolve({ kind: "unstarted", code: codeOf(error) ?? "unknown error" });
		}
		let cut: HookEnd | undefined;
		const endAs = (end: HookEnd) => {
			cut ??= end;
			endGroup(child);
		};
		const ended = new Promise<HookEnd>((resolve) => {
			const timer = setTimeout(() => endAs({ kind: "late" }), limitMs);
			// pi need not stay for it.
			timer.unref();
			const settle = (end: HookEnd) => {
				clearTimeout(timer);
				resolve(cut ?? end);
			};
			child.once("error", (error) => settle({ kind: "unstarted", code: codeOf(error) ?? "unknown error" }));
			child.once("exit", (code, signal) => settle(endOf(code, signal)));
		});
		// One that does not read it closes it.
		child.stdin?.on("error", () => child.stdin?.destroy());
		child.stdin?.end(document);
		child.unref();
		running.set(ended, () => endAs({ kind: "cut-off" }));
		void ended.then(() => running.delete(ended));
		return ended;
	};

	return {
		run,
		end: () => {
			for (const cutOff of [...running.values()]) cutOff();
		},
	};
}

function endOf(code: number | null, signal: string | null): HookEnd {
	if (code === 0) return { kind: "done" };
	return code === null ? { kind: "signal", signal: signal ?? "a signal" } : { kind: "exit", code };
}

/** Ends a command and what it has started; none of them can refuse. */
function endGroup(child: ChildProcess): void {
	const { pid } = child;
	if (pid === undefined) return;
	try {
		if (process.platform === "win32") child.kill("SIGKILL");
		else process.kill(-pid, "SIGKILL");
	} catch (error) {
		// It has ended meanwhile, with all that it had started.
		if (codeOf(error) !== "ESRCH") throw error;
	}
}
