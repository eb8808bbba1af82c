import { visibleWidth } from "@mariozechner/pi-tui";
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
	plural,
	windowLabel,
} from "../core/format.ts";

const MINUTE_MS = 60_000;

/** Seconds below a minute (`42s`), else as {@link formatDuration}: for countdowns. */
export function formatCountdown(ms: number): string {
	return ms < MINUTE_MS ? `${Math.max(0, Math.ceil(ms / 1000))}s` : formatDuration(ms);
}

/** A code of the backend or of ours as words: `usage limit` for `usage_limit`. */
export function humanize(code: string): string {
	return printable(code.replaceAll("_", " "));
}

/** What a cooldown covers, in words: `limit codex bengalfox`, `model gpt-5.5`. */
export function spokenScope(scope: string): string {
	const [kind = "", ...name] = scope.split(":");
	return kind === "limit" ? `${kind} ${humanize(name.join(":"))}` : printable(`${kind} ${name.join(":")}`.trim());
}

/** Rows of cells as lines, the cells of a column below each other. */
export function aligned(rows: readonly (readonly string[])[]): string[] {
	const widths: number[] = [];
	for (const row of rows) {
		for (const [at, cell] of row.entries()) widths[at] = Math.max(widths[at] ?? 0, visibleWidth(cell));
	}
	const padded = (cell: string, at: number) => cell + " ".repeat((widths[at] ?? 0) - visibleWidth(cell));
	return rows.map((row) => row.map(padded).join("  ").trimEnd());
}

const GRAPHEMES = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** The beginning of `text` that fits `columns`, in whole characters; plain text in, plain text out. */
export function cut(text: string, columns: number): string {
	if (visibleWidth(text) <= columns) return text;
	let kept = "";
	let room = columns - 1;
	for (const { segment } of GRAPHEMES.segment(text)) {
		room -= visibleWidth(segment);
		if (room < 0) break;
		kept += segment;
	}
	return columns > 0 ? `${kept}…` : "";
}

/** A label as it has to be typed in a command: in quotes where it holds a blank. */
export function asWord(label: string): string {
	return /\s/.test(label) ? `"${label}"` : label;
}
