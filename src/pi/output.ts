import { writeSync } from "node:fs";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { printable } from "../core/account.ts";

/** How this pi communicates with its person. */
export type Mode = "tui" | "rpc" | "json" | "print";

/** Returns the mode of a context. 0.73.1 does not report it; the command line decides there. */
export function modeOf(ctx: ExtensionContext): Mode {
	const mode = "mode" in ctx ? ctx.mode : undefined;
	if (mode === "tui" || mode === "rpc" || mode === "json" || mode === "print") return mode;
	const at = process.argv.indexOf("--mode");
	const asked = at >= 0 ? process.argv[at + 1] : undefined;
	if (asked === "rpc" && ctx.hasUI) return "rpc";
	if (ctx.hasUI) return "tui";
	return asked === "json" ? "json" : "print";
}

const DEFAULT_COLUMNS = 80;
/** The width of the margin that pi puts before a notice. */
const MARGIN = 2;

/** Returns the maximum width of a line in a result. */
export function columnsNow(): number {
	return (process.stdout.columns ?? DEFAULT_COLUMNS) - MARGIN;
}

/** A command's outcome, in the forms that the modes need. */
export interface Result {
	/** Empty if the person has already seen it. */
	readonly text: string;
	/** For JSON mode and `--json`. */
	readonly json: unknown;
	/** Print the JSON document instead of the text. */
	readonly asJson?: boolean;
	/** True if the person left a dialog without an answer, for instance by Esc. */
	readonly isCancelled?: boolean;
	/** True if it succeeded, but has a consequence that is easily missed. */
	readonly isWarning?: boolean;
	/** True if the answer is bad news. Sets the exit code in print and JSON mode. */
	readonly isFailing?: boolean;
}

/** Writes a command's result in the form for the mode. */
export function writeResult(ctx: ExtensionContext, command: string, result: Result): void {
	const text = result.asJson ? documentText(result.json, 2) : shown(result.text);
	const mode = modeOf(ctx);
	if (result.isFailing && (mode === "print" || mode === "json")) process.exitCode = 1;
	switch (mode) {
		case "print":
			writeAll(`${text}\n`);
			return;
		case "json":
			writeAll(`${documentText({ type: "multicodex", command, result: result.json })}\n`);
			return;
		default:
			if (text !== "") ctx.ui.notify(text, result.isFailing || result.isWarning ? "warning" : "info");
	}
}

/** Reports a command's failure: one line, and a non-zero exit code in print and JSON mode. */
export function writeFailure(ctx: ExtensionContext, text: string): void {
	const mode = modeOf(ctx);
	if (mode === "tui" || mode === "rpc") {
		ctx.ui.notify(shown(text), "error");
		return;
	}
	process.stderr.write(`${shown(text)}\n`);
	process.exitCode = 1;
}

/** One line for the person about something that happened. */
export interface Notice {
	readonly level: "info" | "warning";
	readonly text: string;
}

/**
 * Tells the person about something that happened. In print and JSON mode, warnings go to stderr and everything else is
 * dropped.
 */
export function writeNotice(ctx: ExtensionContext, level: "info" | "warning", text: string): void {
	const mode = modeOf(ctx);
	if (mode === "tui" || mode === "rpc") ctx.ui.notify(shown(text), level);
	else if (level === "warning") process.stderr.write(`${shown(text)}\n`);
}

/** Makes lines safe for a terminal, since they quote reasons and names from servers and files. */
export function shown(text: string): string {
	return text.split("\n").map(printable).join("\n");
}

/** Matches what `JSON.stringify` leaves alone but a terminal may act on. A line end only ever occurs between texts. */
const ACTING = /(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Prints a document. It means the same to every parser, and nothing in it acts on a terminal. */
export function documentText(document: unknown, indent?: number): string {
	return JSON.stringify(document, undefined, indent).replace(ACTING, (character) =>
		// As two escapes if the character has two halves.
		character
			.split("")
			.map((half) => `\\u${half.charCodeAt(0).toString(16).padStart(4, "0")}`)
			.join(""),
	);
}

const PIPE_IS_FULL = new Int32Array(new SharedArrayBuffer(4));
const PIPE_PAUSE_MS = 10;

/**
 * Writes all of `text` to file descriptor 1, since pi redirects `process.stdout` to stderr while it owns the terminal.
 * A pipe takes 64 KiB at a time, so the returned count matters; a full pipe reports EAGAIN until its reader has caught
 * up.
 */
export function writeAll(text: string): void {
	let rest = Buffer.from(text);
	while (rest.length > 0) {
		try {
			rest = rest.subarray(writeSync(1, rest));
		} catch (error) {
			const isFull = error instanceof Error && "code" in error && error.code === "EAGAIN";
			if (!isFull) throw error;
			Atomics.wait(PIPE_IS_FULL, 0, 0, PIPE_PAUSE_MS);
		}
	}
}
