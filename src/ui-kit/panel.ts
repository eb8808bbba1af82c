import { truncateToWidth, visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { truncate } from "./format.ts";

/** Colours of pi's theme that panels use. */
export type Tone = "accent" | "dim" | "error" | "muted" | "text" | "warning";

/** Puts a text into a colour of pi's theme. */
export type Paint = (tone: Tone, text: string) => string;

/** Puts a whole line on the theme's background of a selected row. */
export type Highlight = (line: string) => string;

/** Stands before the highlighted row: a background alone says nothing where there are no colours. */
export const CURSOR_SIGN = "█";

/** Keys that come from the person's own key bindings. */
export type PanelKey =
	| "tui.select.up"
	| "tui.select.down"
	| "tui.select.pageUp"
	| "tui.select.pageDown"
	| "tui.select.confirm"
	| "tui.select.cancel";

/** Has the page keys reach a panel: newer hosts keep them for their transcript where a panel does not say so. */
export const WITH_PAGE_KEYS = { capturesViewportInput: true } as const;

/** A piece of a line, in one colour. */
export interface Span {
	readonly tone: Tone;
	readonly text: string;
}

/** A line that is not painted yet. */
export type Line = readonly Span[];

/** Shorthand for a piece of a line. */
export function span(tone: Tone, text: string): Span {
	return { tone, text };
}

/** A line as it goes to the terminal, cut to `width`; nothing in it moves the cursor, wherever its words are from. */
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

/** What a row of a list is drawn with. */
export interface RowLook {
	readonly paint: Paint;
	readonly highlight: Highlight;
}

/** A line of a row, behind the column of the cursor's sign; all of it stands out where its row is highlighted. */
export function rowLine(line: Line, isSelected: boolean, width: number, { paint, highlight }: RowLook): string {
	if (!isSelected) return renderLine([span("text", " "), ...line], width, paint);
	const whole = renderLine([span("accent", CURSOR_SIGN), ...line.map(onHighlight)], width, paint);
	return highlight(whole + " ".repeat(Math.max(0, width - visibleWidth(whole))));
}

/**
 * Colours are made for the terminal's own background, and hard to read on another one: only what warns keeps its own.
 */
function onHighlight({ tone, text }: Span): Span {
	return { tone: tone === "warning" || tone === "error" ? tone : "text", text };
}

/** The text in `width` columns, filled up or cut. */
export function padCell(text: string, width: number): string {
	const shown = truncate(printable(text), width);
	return shown + " ".repeat(Math.max(0, width - visibleWidth(shown)));
}

/** A column that is narrower than this may show the same of two names. */
const TELLING = 16;

/** The same for a name: where the column is narrow, a longer one takes what `room` its own row has. */
export function nameCell(name: string, width: number, room: number): string {
	const whole = Math.min(visibleWidth(printable(name)), room);
	return padCell(name, width < TELLING ? Math.max(width, whole) : width);
}

/** No line wider than the terminal: pi ends at one that is. In a column or two even the margins are too much. */
export function clampWidth(lines: readonly string[], width: number): string[] {
	return lines.map((line) => (visibleWidth(line) > width ? truncateToWidth(line, width, "") : line));
}

/** Parts that are not broken, as many on a line as fit. */
export function wrapParts(parts: readonly string[], separator: string, width: number): string[] {
	const lines: string[] = [];
	for (const part of parts) {
		const joined = lines.length > 0 ? `${lines.at(-1)}${separator}${part}` : part;
		if (lines.length > 0 && visibleWidth(joined) <= width) lines[lines.length - 1] = joined;
		else lines.push(truncate(part, width));
	}
	return lines;
}

/** Words over as many lines as they need, within a margin. */
export function wordsOf(text: string, tone: Tone, width: number, paint: Paint): string[] {
	return wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - 2)).map((line) => ` ${line}`);
}

/** The keys of a panel, as many on a line as fit. */
export function hintsOf(keys: readonly string[], width: number, paint: Paint): string[] {
	return wrapParts(keys, "  ", width - 2).map((line) => ` ${paint("dim", line)}`);
}
