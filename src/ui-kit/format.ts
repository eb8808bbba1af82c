import { visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { formatDuration } from "../core/format.ts";

export {
	about,
	formatClock,
	formatCount,
	formatDay,
	formatDuration,
	formatPast,
	formatPercent,
	formatWeekday,
	plural,
	windowLabel,
} from "../core/format.ts";

const MINUTE_MS = 60_000;

/** Formats a countdown: seconds below a minute (`42s`), else as {@link formatDuration}. */
export function formatCountdown(ms: number): string {
	return ms < MINUTE_MS ? `${Math.max(0, Math.ceil(ms / 1000))}s` : formatDuration(ms);
}

/** Turns a code of ours or of the backend into words: `usage limit` for `usage_limit`. */
export function humanize(code: string): string {
	return printable(code.replaceAll("_", " "));
}

/** Says what a cooldown covers: `limit codex bengalfox`, `model gpt-5.5`. */
export function scopeLabel(scope: string): string {
	const [kind = "", ...name] = scope.split(":");
	return kind === "limit" ? `${kind} ${humanize(name.join(":"))}` : printable(`${kind} ${name.join(":")}`.trim());
}

/** Formats rows of cells as lines with aligned columns. */
export function alignColumns(rows: readonly (readonly string[])[]): string[] {
	const widths: number[] = [];
	for (const row of rows) {
		for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, visibleWidth(cell));
	}
	const padded = (cell: string, at: number) => cell + " ".repeat((widths[at] ?? 0) - visibleWidth(cell));
	return rows.map((row) => row.map(padded).join("  ").trimEnd());
}

/** A second column narrower than this is put below the first one. */
const NARROWEST_COLUMN = 12;
const INDENT = 4;

/**
 * Formats `text` after `head` in lines of `columns`, without cutting. Further lines are aligned with the beginning of
 * the text, or indented if `head` leaves too little room. Takes and returns plain text.
 */
export function hanging(head: string, text: string, columns: number): string[] {
	const used = visibleWidth(head);
	if (columns - used >= NARROWEST_COLUMN || visibleWidth(text) <= columns - used) {
		const [first = "", ...others] = wrapTextWithAnsi(text, Math.max(1, columns - used));
		return [head + first, ...others.map((line) => " ".repeat(used) + line)].map((line) => line.trimEnd());
	}
	const indent = Math.min(INDENT, Math.max(0, columns - 2));
	const below = wrapTextWithAnsi(text, Math.max(1, columns - indent));
	const heads = wrapTextWithAnsi(head.trimEnd(), Math.max(1, columns));
	return [...heads, ...below.map((line) => " ".repeat(indent) + line)].map((line) => line.trimEnd());
}

let segmenter: Intl.Segmenter | undefined;

/** Splits a text into characters as a reader counts them. */
export function graphemesIn(text: string): string[] {
	// Created at first use: it takes 5 ms, which every start of pi would pay for.
	segmenter ??= new Intl.Segmenter(undefined, { granularity: "grapheme" });
	return [...segmenter.segment(text)].map(({ segment }) => segment);
}

/** Returns the beginning of `text` that fits into `columns`, in whole characters. Takes and returns plain text. */
export function truncate(text: string, columns: number): string {
	if (visibleWidth(text) <= columns) return text;
	let kept = "";
	let room = columns - 1;
	for (const grapheme of graphemesIn(text)) {
		room -= visibleWidth(grapheme);
		if (room < 0) break;
		kept += grapheme;
	}
	return columns > 0 ? `${kept}…` : "";
}

/** Returns a label as it must be typed in a command: in quotes if it contains a blank. */
export function asWord(label: string): string {
	return /\s/.test(label) ? `"${label}"` : label;
}
