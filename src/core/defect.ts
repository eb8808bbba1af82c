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

/** A frame of our own code, in a source or in the bundle. */
export const FRAME = /^((src\/[\w/-]{1,60}|index)\.ts|dist\/[\w-]{1,60}\.cjs):\d{1,6}(:\d{1,6})?$/;
/** Further frames say little about the cause. */
export const MOST_FRAMES = 5;

/** The package's folder, above this source and above the bundle that it becomes a part of. */
const ROOT = decoded(new URL(import.meta.url).pathname)
	.replace(/(src\/core|dist)\/[^/]*$/, "")
	.replace(/^\/(?=[A-Za-z]:)/, "");
const CLASS = /^[A-Za-z]{1,30}$/;
const CODE = /^[A-Z_]{1,30}$/;
/** Classes that JavaScript itself throws. Errors that are expected have other classes. */
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

/** Is the error a defect of ours? A refusal of the file system is none, nor is an error of the host. */
export function isDefect(error: unknown): boolean {
	return !(error instanceof Error) || OF_THE_LANGUAGE.some((each) => error instanceof each);
}

/** Did our own code throw the error, or a function of JavaScript that it called? */
export function cameUpHere(error: unknown): boolean {
	const innermost = error instanceof Error ? stackOf(error).find((line) => /[/\\]/.test(line)) : undefined;
	return innermost !== undefined && ownFrame(innermost).length > 0;
}

function codeOf(error: Error): string | undefined {
	return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The lines of the stack behind the message, which may have several lines. */
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

/** Decodes the path of a URL; returns a path that was never encoded unchanged. */
function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		// The path has a percent sign of its own.
		return text;
	}
}
