import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { formatDuration } from "../core/format.ts";

export { formatDuration, formatPercent, windowLabel } from "../core/format.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Epoch ms; no calendar has a day behind it. */
const LAST_DATE = 8.64e15;

/** Seconds below a minute (`42s`), else as {@link formatDuration}: for countdowns. */
export function formatCountdown(ms: number): string {
	return ms < MINUTE_MS ? `${Math.max(0, Math.ceil(ms / 1000))}s` : formatDuration(ms);
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A moment on the local clock: `14:32` today, `Mon 14:32` within a week, else `12 Dec`. */
export function formatClock(at: number, now: number): string {
	const then = dateOf(at);
	const clock = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
	if (then.toDateString() === new Date(now).toDateString()) return clock;
	if (at - now < 6 * DAY_MS) return `${WEEKDAYS[then.getDay()]} ${clock}`;
	return `${then.getDate()} ${MONTHS[then.getMonth()]}`;
}

/** A date; the last one that there is, or the first, for a time that no calendar has. */
function dateOf(at: number): Date {
	return new Date(Math.min(LAST_DATE, Math.max(-LAST_DATE, at)));
}

/** A moment in the past on the local clock: with its day, as `18 Nov 14:32`, unless that is today. */
export function formatPast(at: number, now: number): string {
	const then = dateOf(at);
	const clock = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
	if (then.toDateString() === new Date(now).toDateString()) return clock;
	return `${then.getDate()} ${MONTHS[then.getMonth()]} ${clock}`;
}

/** A day on the local calendar: `18 Nov`. */
export function formatDay(at: number): string {
	const then = dateOf(at);
	return `${then.getDate()} ${MONTHS[then.getMonth()]}`;
}

/** A count that never has three digits. */
export function formatCount(count: number): string {
	return count > 99 ? "over 99" : String(count);
}

/** `1 account`, `2 accounts`. */
export function plural(count: number, noun: string): string {
	return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
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

function twoDigits(value: number): string {
	return String(value).padStart(2, "0");
}

/** Stands before a time that nothing told. */
export function about(isGuess: boolean | undefined): string {
	return isGuess ? "about " : "";
}
