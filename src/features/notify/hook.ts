import { type ChildProcess, spawn } from "node:child_process";
import { homedir } from "node:os";
import { codeOf } from "../../platform/files/errors.ts";

/** How a command ended. */
export type HookEnd =
	| { readonly kind: "done" }
	/** It could not be started. `code` is the system's, such as `ENOENT`. */
	| { readonly kind: "unstarted"; readonly code: string }
	| { readonly kind: "exit"; readonly code: number }
	| { readonly kind: "signal"; readonly signal: string }
	/** It took too long and was ended. */
	| { readonly kind: "late" }
	/** pi ended first. */
	| { readonly kind: "cut-off" };

/** Runs the person's commands that get notices. */
export interface Hooks {
	/** Runs a command without a shell, with `document` on its standard input. Discards its output. Never rejects. */
	run(argv: readonly string[], document: string): Promise<HookEnd>;
	/** Ends the running commands. */
	end(): void;
}

/** Time after which a command is ended. */
export const LIMIT_MS = 5000;

/** Creates the runner of commands. */
export function createHooks(limitMs = LIMIT_MS): Hooks {
	/** Functions that end each running command. */
	const running = new Map<Promise<HookEnd>, () => void>();

	const run = (argv: readonly string[], document: string): Promise<HookEnd> => {
		const [program = "", ...args] = argv;
		let child: ChildProcess;
		try {
			child = spawn(program, args, {
				// A project folder must not decide which program this is.
				cwd: homedir(),
				stdio: ["pipe", "ignore", "ignore"],
				// A group of its own, so that whatever it has started ends with it.
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
			// pi need not stay alive for it.
			timer.unref();
			const settle = (end: HookEnd) => {
				clearTimeout(timer);
				resolve(cut ?? end);
			};
			child.once("error", (error) => settle({ kind: "unstarted", code: codeOf(error) ?? "unknown error" }));
			child.once("exit", (code, signal) => settle(endOf(code, signal)));
		});
		// A command that does not read it closes it.
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

/** Ends a command and everything it has started. None of them can refuse. */
function endGroup(child: ChildProcess): void {
	const { pid } = child;
	if (pid === undefined) return;
	try {
		if (process.platform === "win32") child.kill("SIGKILL");
		else process.kill(-pid, "SIGKILL");
	} catch (error) {
		// It has ended meanwhile, with everything that it had started.
		if (codeOf(error) !== "ESRCH") throw error;
	}
}
