const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** The last day that JavaScript can represent, epoch ms. */
const LAST_DATE = 8.64e15;

/**
 * Formats a duration in at most two units: `<1m`, `42m`, `1h07m`, `6d20h`. No part has more than two digits, so that it
 * may appear in an error message: pi's retry looks for numbers such as 429 and 500 anywhere in it.
 */
export function formatDuration(ms: number): string {
	if (ms < MINUTE_MS) return "<1m";
	const minutes = Math.floor(ms / MINUTE_MS);
	if (minutes < 60) return `${minutes}m`;
	const hours = Math.floor(minutes / 60);
	if (hours < 24) return `${hours}h${twoDigits(minutes % 60)}m`;
	const days = Math.floor(ms / DAY_MS);
	return days < 100 ? `${days}d${twoDigits(hours % 24)}h` : "over 99d";
}

/** Formats a percentage without decimals. A small remainder is never shown as 0, and almost everything never as 100. */
export function formatPercent(percent: number): string {
	if (percent > 0 && percent < 1) return "<1%";
	return `${Math.floor(Math.min(100, Math.max(0, percent)))}%`;
}

/** Names a window in a sentence: `week` for seven days, `month` for thirty, else its length. */
export function windowLabel(name: string): string {
	if (name === "7d") return "week";
	return name === "30d" ? "month" : name;
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** Formats a time on the local clock: `14:32` today, `Mon 14:32` within a week, else `12 Dec`. */
export function formatClock(at: number, now: number): string {
	const then = dateOf(at);
	const clock = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
	if (then.toDateString() === new Date(now).toDateString()) return clock;
	if (at - now < 6 * DAY_MS) return `${WEEKDAYS[then.getDay()]} ${clock}`;
	return `${then.getDate()} ${MONTHS[then.getMonth()]}`;
}

/** Formats a day ahead on the local calendar: `today`, `Thu` within a week, else `12 Dec`. */
export function formatWeekday(at: number, now: number): string {
	const then = dateOf(at);
	if (then.toDateString() === new Date(now).toDateString()) return "today";
	return at - now < 6 * DAY_MS ? (WEEKDAYS[then.getDay()] ?? "") : formatDay(at);
}

/** Formats a past time on the local clock: `14:32` today, else with its day, such as `18 Nov 14:32`. */
export function formatPast(at: number, now: number): string {
	const then = dateOf(at);
	const clock = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
	if (then.toDateString() === new Date(now).toDateString()) return clock;
	return `${then.getDate()} ${MONTHS[then.getMonth()]} ${clock}`;
}

/** Formats a day on the local calendar: `18 Nov`. */
export function formatDay(at: number): string {
	const then = dateOf(at);
	return `${then.getDate()} ${MONTHS[then.getMonth()]}`;
}

/** Formats a count. Never uses three digits. */
export function formatCount(count: number): string {
	return count > 99 ? "over 99" : String(count);
}

/** Formats a count with its noun: `1 account`, `2 accounts`. */
export function plural(count: number, noun: string): string {
	return `${formatCount(count)} ${noun}${count === 1 ? "" : "s"}`;
}

/** Returns the word that precedes a guessed time. */
export function about(isGuess: boolean | undefined): string {
	return isGuess ? "about " : "";
}

/** Creates a date; the first or last possible one for a time that JavaScript cannot represent. */
function dateOf(at: number): Date {
	return new Date(Math.min(LAST_DATE, Math.max(-LAST_DATE, at)));
}

function twoDigits(value: number): string {
	return String(value).padStart(2, "0");
}
