import { decodeKittyPrintable } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { graphemesIn } from "./format.ts";

/** Time, as needed to distinguish keys from text. */
export interface Pace {
	/** Returns milliseconds on a clock that never goes back. */
	now(): number;
	/** Runs `work` after `ms`, and after everything that was typed by then. Returns a function that cancels it. */
	after(ms: number, work: () => void): () => void;
}

/** Two keys pressed by a person are further apart than this. */
const BURST_MS = 25;
/** A move and the key after it are further apart than this. */
const AFTER_MOVE_MS = 75;
/** A letter counts as a key if no other follows within this time: text is typed faster. */
const LETTER_MS = 150;

/** What a panel does with input. */
interface TypingDeps {
	readonly pace: Pace;
	/** Called for a key pressed by itself. */
	readonly onKey: (typed: string) => void;
	/** Called for text: a paste, a burst, or letters that follow each other as in words. */
	readonly onText: (text: string) => void;
	/** True for a key that may change something, such as Enter. It is never taken from a burst. */
	readonly isRisky: (typed: string) => boolean;
	/** True for a letter that only moves. It acts at once, and becomes part of the text if more letters follow. */
	readonly isMove?: (typed: string) => boolean;
	/** True while every letter is text, as in a field. */
	readonly isInField?: () => boolean;
}

/** Distinguishes keys from text, so that text is never taken for commands. */
export interface Typing {
	read(typed: string): void;
	/** True while a key waits for what follows it before it acts. */
	isWaiting(): boolean;
}

interface Waiting {
	readonly typed: string;
	/** The letters so far; undefined for a risky key. */
	readonly text: string | undefined;
	readonly at: number;
	/** True if it has already acted. */
	readonly isDone: boolean;
	readonly callOff: () => void;
}

const PASTE_BEGINS = "\x1b[200~";
const PASTE_ENDS = "\x1b[201~";

/** Returns the text in one piece of input; undefined for a key that is not text. */
export function textIn(typed: string): string | undefined {
	if (typed.startsWith(PASTE_BEGINS)) {
		const [pasted = ""] = typed.slice(PASTE_BEGINS.length).split(PASTE_ENDS);
		return printable(pasted.replaceAll(/[\r\n\t]+/g, " "));
	}
	const decoded = decodeKittyPrintable(typed);
	if (decoded !== undefined) return decoded;
	return typed === "" || /\p{Cc}/u.test(typed) ? undefined : typed;
}

/** Matches what pi's lists take for Enter, whatever the person's key bindings are. */
const isLineBreak = (typed: string) => typed === "\r" || typed === "\n";

/** Creates the reader of keys and text. */
export function createTyping(deps: TypingDeps): Typing {
	const { pace, onKey, onText, isRisky, isMove = () => false, isInField = () => false } = deps;
	let waiting: Waiting | undefined;
	let lastTextAt = Number.NEGATIVE_INFINITY;

	const drop = () => {
		waiting?.callOff();
		waiting = undefined;
	};
	const fire = () => {
		const due = waiting;
		drop();
		if (due && !due.isDone) onKey(due.typed);
	};
	const wait = (typed: string, text: string | undefined, isDone = false) => {
		waiting = {
			typed,
			text,
			at: pace.now(),
			isDone,
			callOff: pace.after(text === undefined ? BURST_MS : LETTER_MS, fire),
		};
	};
	const take = (text: string) => {
		drop();
		lastTextAt = pace.now();
		onText(text);
	};

	const readText = (typed: string, text: string) => {
		const isOne = graphemesIn(text).length === 1 && !typed.startsWith(PASTE_BEGINS);
		const now = pace.now();
		const isInText = isInField() || now - lastTextAt < LETTER_MS;
		// A person who moves and then presses another key can be this fast, but not faster.
		if (waiting?.isDone && now - waiting.at >= AFTER_MOVE_MS) drop();
		const before = waiting;
		if (!isOne || isInText) return take((before?.text ?? "") + text);
		if (isMove(typed) && (!before || before.isDone)) {
			drop();
			onKey(typed);
			return wait(typed, (before?.text ?? "") + text, true);
		}
		if (!before) return wait(typed, text);
		// The same letter again is a repeated key.
		if (before.text === text && now - before.at >= BURST_MS) {
			fire();
			return wait(typed, text);
		}
		take((before.text ?? "") + text);
	};

	const readRisky = (typed: string) => {
		const now = pace.now();
		const before = waiting;
		// A move or a risky key may be followed by another one, as fast as a person presses keys.
		const isNext = !before || ((before.isDone || before.text === undefined) && now - before.at >= BURST_MS);
		if (isNext && now - lastTextAt >= BURST_MS) {
			fire();
			return wait(typed, undefined);
		}
		drop();
		lastTextAt = now;
		if (before?.text !== undefined && !before.isDone) onText(before.text);
	};

	return {
		isWaiting: () => waiting !== undefined && !waiting.isDone,
		read: (typed) => {
			const text = textIn(typed);
			if (text !== undefined) {
				if (text !== "") readText(typed, text);
			} else if (isRisky(typed) || isLineBreak(typed)) readRisky(typed);
			else {
				// A fast person still presses one key after the other.
				if (waiting && pace.now() - waiting.at >= BURST_MS) fire();
				else drop();
				// Text has tabs between its words.
				if (typed === "\t") lastTextAt = pace.now();
				onKey(typed);
			}
		},
	};
}
