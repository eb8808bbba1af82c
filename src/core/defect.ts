import { hideTokens } from "./privacy.ts";

/** The part of pi-multicodex in which a defect occurred. */
export type DefectPlace =
	| "request"
	| "stream"
	| "listener"
	| "pi login"
	| "accounts"
	| "renewal"
	| "shared pool"
	| "usage"
	| "redemption"
	| "quota history"
	| "forecast"
	| "ledger"
	| "command"
	| "footer"
	| "session"
	| "notice"
	| "welcome";

/** A defect without its message, which may quote anything. */
export interface ErrorTrace {
	/** Class of the error, and its code if it has one: `TypeError ERR_INVALID_ARG_TYPE`. */
	readonly error: string;
	/** Frames of our own code, innermost first: `src/core/pool/pool.ts:12:5`. */
	readonly frames: readonly string[];
	/** The whole stack, for debugging. Tokens are removed. */
	readonly stack: readonly string[];
}

/** Matches a frame of our own code, in a source file or in the bundle. */
export const FRAME = /^((src\/[\w/-]{1,60}|index)\.ts|dist\/[\w-]{1,60}\.cjs):\d{1,6}(:\d{1,6})?$/;
/** More frames say little about the cause. */
export const MOST_FRAMES = 5;

/** The package's folder, found both from this source file and from the bundle. */
const ROOT = decoded(new URL(import.meta.url).pathname)
	.replace(/(src\/core|dist)\/[^/]*$/, "")
	.replace(/^\/(?=[A-Za-z]:)/, "");
const CLASS = /^[A-Za-z]{1,30}$/;
const CODE = /^[A-Z_]{1,30}$/;
/** Error classes of JavaScript itself. Expected errors have other classes. */
const OF_THE_LANGUAGE = [TypeError, RangeError, ReferenceError, SyntaxError, URIError, EvalError];

/** Describes an error without its message. */
export function traceOf(error: unknown): ErrorTrace {
	if (!(error instanceof Error)) return { error: "no error", frames: [], stack: [] };
	const stack = stackOf(error);
	const [name, code] = [CLASS.test(error.name) ? error.name : "Error", codeOf(error)];
	return {
		error: code !== undefined && CODE.test(code) ? `${name} ${code}` : name,
		frames: stack.flatMap(ownFrame).slice(0, MOST_FRAMES),
		stack,
	};
}

/** True if the error is a defect of ours. Errors of the file system or of the host are not. */
export function isDefect(error: unknown): boolean {
	return !(error instanceof Error) || OF_THE_LANGUAGE.some((each) => error instanceof each);
}

/** True if the error was thrown by our own code, or by a JavaScript function that it called. */
export function cameUpHere(error: unknown): boolean {
	const innermost = error instanceof Error ? stackOf(error).find((line) => /[/\\]/.test(line)) : undefined;
	return innermost !== undefined && ownFrame(innermost).length > 0;
}

function codeOf(error: Error): string | undefined {
	return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** Returns the stack without the message, which may have several lines. */
function stackOf({ stack = "", message }: Error): string[] {
	const at = stack.indexOf(message);
	return stack
		.slice(at < 0 ? 0 : at + message.length)
		.split("\n")
		.map((line) => hideTokens(line.trim()))
		.filter((line) => line.startsWith("at "));
}

function ownFrame(line: string): string[] {
	const path = (line.includes("file://") ? decoded(line) : line).replaceAll("\\", "/");
	const at = path.indexOf(ROOT);
	const frame = at < 0 ? "" : path.slice(at + ROOT.length).replace(/\)$/, "");
	return FRAME.test(frame) ? [frame] : [];
}

/** Decodes the path of a URL. Returns a path that was never encoded unchanged. */
function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		// The path contains a literal percent sign.
		return text;
	}
}
