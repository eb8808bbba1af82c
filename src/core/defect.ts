import { hideTokens } from "./privacy.ts";

/** Where an error came up that is ours to mend. */
export type DefectPlace =
	| "request"
	| "stream"
	| "listener"
	| "pi login"
	| "accounts"
	| "renewal"
	| "usage"
	| "command"
	| "footer"
	| "session"
	| "welcome";

/** An error without its message, which may quote anything. */
export interface ErrorTrace {
	/** Its class, and its code where it has one: `TypeError ERR_INVALID_ARG_TYPE`. */
	readonly error: string;
	/** Our own part of its stack, innermost first: `src/core/pool.ts:12:5`. */
	readonly frames: readonly string[];
	/** The whole stack, for debugging. Tokens are removed. */
	readonly stack: readonly string[];
}

/** One of our own frames. */
export const FRAME = /^(src\/[\w/-]{1,60}|index)\.ts:\d{1,6}(:\d{1,6})?$/;
/** Frames beyond these say little of the cause. */
export const MOST_FRAMES = 5;

const ROOT = decoded(new URL("../..", import.meta.url).pathname).replace(/^\/(?=[A-Za-z]:)/, "");
const CLASS = /^[A-Za-z]{1,30}$/;
const CODE = /^[A-Z_]{1,30}$/;
/** What JavaScript itself complains of. Errors that are foreseen, ours and the world's, are of other classes. */
const OF_THE_LANGUAGE = [TypeError, RangeError, ReferenceError, SyntaxError, URIError, EvalError];

/** Describes an error without a word of its message. */
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

/** True for an error that only a change of ours can mend. A file system that says no is none, nor is an error of the host. */
export function isDefect(error: unknown): boolean {
	return !(error instanceof Error) || OF_THE_LANGUAGE.some((each) => error instanceof each);
}

/** True for an error that our own code has thrown, or a function of JavaScript that it called. */
export function cameUpHere(error: unknown): boolean {
	const innermost = error instanceof Error ? stackOf(error).find((line) => /[/\\]/.test(line)) : undefined;
	return innermost !== undefined && ownFrame(innermost).length > 0;
}

function codeOf(error: Error): string | undefined {
	return "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** The lines of the stack after the message, which may have lines of its own. */
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

/** A path of a URL as the file system has it; as it is where it was never encoded. */
function decoded(text: string): string {
	try {
		return decodeURIComponent(text);
	} catch {
		// A percent sign of its own, in a stack that any program may have written.
		return text;
	}
}
