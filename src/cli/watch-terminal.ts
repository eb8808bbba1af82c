import { constants } from "node:os";
import { followFiles } from "../platform/files/file-watch.ts";
import type { StatusAsked } from "./arguments.ts";
import { statusOf } from "./status.ts";
import type { Paths, StoredPool } from "./stored-pool.ts";
import { wrapTextWithAnsi } from "./terminal-text.ts";
import { startWatch } from "./watch.ts";

const DEFAULT_SIZE = { rows: 24, columns: 80 };
/** Ctrl+C, Ctrl+D, Esc and q. */
const END_KEYS = new Set(["\x03", "\x04", "\x1b", "q", "Q"]);
const SIGNALS = ["SIGINT", "SIGTERM", "SIGHUP"] as const;

/**
 * Shows the status until a key or signal ends it, or standard output has no reader any more. Resolves to the exit code,
 * after restoring the terminal.
 */
export async function watchUntilEnd(
	asked: StatusAsked,
	{ files }: Paths,
	findOpener: () => Promise<() => StoredPool>,
	tellProblem: (text: string) => void,
): Promise<number> {
	const { stdin, stdout } = process;
	const isScreen = asked.form === "text" && stdout.isTTY && process.env.TERM !== "dumb";
	const hasKeys = isScreen && stdin.isTTY;
	let open = await findOpener();
	let stored = open();
	let shared = stored.settings.read().pool;
	/** Opens another reader after a shared pool was joined or left. */
	const openAnew = async () => {
		open = await findOpener();
		stored = open();
		watch.redraw();
	};
	/** Problems may have been fixed since. */
	const look = (columns: number) => {
		const sharedNow = stored.settings.read().pool;
		if (sharedNow !== shared) openAnew().catch(fail);
		shared = sharedNow;
		const { accounts, others } = stored.problems();
		if (accounts.length + others.length > 0) stored = open();
		return statusOf(stored, asked, () => columns);
	};
	const size = () => ({
		rows: stdout.rows || DEFAULT_SIZE.rows,
		columns: stdout.columns || DEFAULT_SIZE.columns,
	});
	const display = { isScreen, write: (text: string) => void stdout.write(text), size, wrap: wrapTextWithAnsi };
	const listening = new AbortController();
	let fail: (error: unknown) => void = () => undefined;
	const ended = new Promise<number>((resolve, reject) => {
		fail = reject;
		const on = (emitter: NodeJS.EventEmitter, event: string, listener: (...heard: unknown[]) => void) => {
			emitter.on(event, listener);
			listening.signal.addEventListener("abort", () => emitter.off(event, listener));
		};
		for (const name of SIGNALS) on(process, name, () => resolve(128 + constants.signals[name]));
		// Whatever the error is, nothing that is written will be read.
		stdout.on("error", () => resolve(0));
		on(stdout, "resize", () => watch.redraw());
		on(process, "SIGCONT", () => {
			if (hasKeys) stdin.setRawMode(true);
			watch.redraw();
		});
		if (!hasKeys) return;
		on(stdin, "data", (typed) => {
			if (END_KEYS.has(String(typed))) resolve(0);
		});
		on(stdin, "end", () => resolve(0));
	});
	if (hasKeys) stdin.setRawMode(true);
	const watch = startWatch({
		look,
		display,
		follow: (listener) => followFiles(files, listener),
		now: Date.now,
		tellProblem,
		onFailure: fail,
	});
	try {
		return await ended;
	} finally {
		watch.end();
		listening.abort();
		if (hasKeys) {
			stdin.setRawMode(false);
			stdin.pause();
		}
	}
}
