import { truncateToWidth, visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { truncate } from "./format.ts";

/** Colours of pi's theme that panels use. */
export type Tone = "accent" | "dim" | "error" | "muted" | "text" | "warning";

/** Colours a text in pi's theme. */
export type Paint = (tone: Tone, text: string) => string;

/** Puts a whole line on the theme's background for a selected row. */
export type Highlight = (line: string) => string;

/** Precedes the highlighted row: a background alone is invisible without colours. */
export const CURSOR_SIGN = "█";

/** Keys that follow the person's own key bindings. */
export type PanelKey =
	| "tui.select.up"
	| "tui.select.down"
	| "tui.select.pageUp"
	| "tui.select.pageDown"
	| "tui.select.confirm"
	| "tui.select.cancel";

/** Makes page keys reach a panel. Newer hosts otherwise use them for their transcript. */
export const WITH_PAGE_KEYS = { capturesViewportInput: true } as const;

/** A piece of a line in one colour. */
export interface Span {
	readonly tone: Tone;
	readonly text: string;
}

/** A line before it is painted. */
export type Line = readonly Span[];

/** Creates a piece of a line. */
export function span(tone: Tone, text: string): Span {
	return { tone, text };
}

/** Renders a line for the terminal, cut to `width`. Nothing in it moves the cursor, wherever its text comes from. */
export function renderLine(line: Line, width: number, paint: Paint): string {
	let rest = width;
	let result = "";
	for (const { tone, text } of line) {
		if (rest <= 0) break;
		const shown = truncate(printable(text), rest);
		rest -= visibleWidth(shown);
		result += paint(tone, shown);
	}
	return result;
}

/** How to draw a row of a list. */
interface RowLook {
	readonly paint: Paint;
	readonly highlight: Highlight;
}

/** Renders a line of a row, after the column for the cursor's sign. If its row is highlighted, all of it stands out. */
export function rowLine(line: Line, isSelected: boolean, width: number, { paint, highlight }: RowLook): string {
	if (!isSelected) return renderLine([span("text", " "), ...line], width, paint);
	const whole = renderLine([span("accent", CURSOR_SIGN), ...line.map(onHighlight)], width, paint);
	return highlight(whole + " ".repeat(Math.max(0, width - visibleWidth(whole))));
}

/** Colours suit the terminal's own background and are hard to read on another one. Only warnings keep theirs. */
function onHighlight({ tone, text }: Span): Span {
	return { tone: tone === "warning" || tone === "error" ? tone : "text", text };
}

/** Fills or cuts the text to `width` columns. */
export function padCell(text: string, width: number): string {
	const shown = truncate(printable(text), width);
	return shown + " ".repeat(Math.max(0, width - visibleWidth(shown)));
}

/** In a narrower column two names may look the same. */
const TELLING = 16;

/** Does the same for a name. In a narrow column, a longer name may use the `room` of its own row. */
export function nameCell(name: string, width: number, room: number): string {
	const whole = Math.min(visibleWidth(printable(name)), room);
	return padCell(name, width < TELLING ? Math.max(width, whole) : width);
}

/** Cuts every line to the width of the terminal: a wider one ends pi. In a column or two even margins are too wide. */
export function clampWidth(lines: readonly string[], width: number): string[] {
	return lines.map((line) => (visibleWidth(line) > width ? truncateToWidth(line, width, "") : line));
}

/** Puts as many parts on each line as fit. Never breaks a part. */
export function wrapParts(parts: readonly string[], separator: string, width: number): string[] {
	const lines: string[] = [];
	for (const part of parts) {
		const joined = lines.length > 0 ? `${lines.at(-1)}${separator}${part}` : part;
		if (lines.length > 0 && visibleWidth(joined) <= width) lines[lines.length - 1] = joined;
		else lines.push(truncate(part, width));
	}
	return lines;
}

/** Wraps words into as many lines as needed, within a margin. */
export function wordsOf(text: string, tone: Tone, width: number, paint: Paint): string[] {
	return wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - 2)).map((line) => ` ${line}`);
}

/** Lists the keys of a panel, as many per line as fit. */
export function hintsOf(keys: readonly string[], width: number, paint: Paint): string[] {
	return wrapParts(keys, "  ", width - 2).map((line) => ` ${paint("dim", line)}`);
}
