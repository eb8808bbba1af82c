const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;

/**
 * A duration in at most two units: `<1m`, `42m`, `1h07m`, `6d20h`. No part has more than two digits, so that it can
 * stand in an error text: pi's retry looks for numbers such as 429 and 500 anywhere in it.
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

/** A percentage without decimals; a rest above zero is never shown as 0, a use below full never as 100. */
export function formatPercent(percent: number): string {
	if (percent > 0 && percent < 1) return "<1%";
	return `${Math.floor(Math.min(100, Math.max(0, percent)))}%`;
}

/** How a window is called in running text: `week` for seven days, `month` for thirty, else its length. */
export function windowLabel(name: string): string {
	if (name === "7d") return "week";
	return name === "30d" ? "month" : name;
}

function twoDigits(value: number): string {
	return String(value).padStart(2, "0");
}
