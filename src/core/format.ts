const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
/** Epoch ms; the last day that JavaScript can express. */
const LAST_DATE = 8.64e15;

/**
 * A duration in at most two units: `<1m`, `42m`, `1h07m`, `6d20h`. No part has more than two digits, so that it can be
 * in an error message: pi's retry looks for numbers such as 429 and 500 anywhere in it.
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

/**
 * A percentage without decimals. A little more than nothing is never shown as 0, and a little less than all never as
 * 100.
 */
export function formatPercent(percent: number): string {
	if (percent > 0 && percent < 1) return "<1%";
	return `${Math.floor(Math.min(100, Math.max(0, percent)))}%`;
}

/** The name of a window in a sentence: `week` for seven days, `month` for thirty, else its length. */
export function windowLabel(name: string): string {
	if (name === "7d") return "week";
	return name === "30d" ? "month" : name;
}

const WEEKDAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
const MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/** A time on the local clock: `14:32` today, `Mon 14:32` within a week, else `12 Dec`. */
export function formatClock(at: number, now: number): string {
	const then = dateOf(at);
	const clock = `${twoDigits(then.getHours())}:${twoDigits(then.getMinutes())}`;
	if (then.toDateString() === new Date(now).toDateString()) return clock;
	if (at - now < 6 * DAY_MS) return `${WEEKDAYS[then.getDay()]} ${clock}`;
	return `${then.getDate()} ${MONTHS[then.getMonth()]}`;
}

/** A day ahead on the local calendar: `today`, `Thu` within a week, else `12 Dec`. */
export function formatWeekday(at: number, now: number): string {
	const then = dateOf(at);
	if (then.toDateString() === new Date(now).toDateString()) return "today";
	return at - now < 6 * DAY_MS ? (WEEKDAYS[then.getDay()] ?? "") : formatDay(at);
}

/** A time in the past on the local clock: `14:32` today, else with its day, as `18 Nov 14:32`. */
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

/** Precedes a time that is a guess. */
export function about(isGuess: boolean | undefined): string {
	return isGuess ? "about " : "";
}

/** A date; the first or last possible one for a time that JavaScript cannot express. */
function dateOf(at: number): Date {
	return new Date(Math.min(LAST_DATE, Math.max(-LAST_DATE, at)));
}

function twoDigits(value: number): string {
	return String(value).padStart(2, "0");
}
