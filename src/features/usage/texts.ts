import { basename } from "node:path";
import { type Account, printable } from "../../core/account.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { Grouping, Period, Report } from "../../core/ledger/ledger-report.ts";
import { formatCountdown, formatDay } from "../../ui-kit/format.ts";

/** The period of a report, as the end of a sentence. */
export const PERIOD_WORDS: Readonly<Record<Period, string>> = {
	today: "today",
	week: "the last 7 days",
	month: "the last 30 days",
	all: "all that is kept",
};

/** The title of a report by period. */
const TITLES: Readonly<Record<Period, string>> = {
	today: "Usage today",
	week: "Usage in the last 7 days",
	month: "Usage in the last 30 days",
	all: "All usage",
};

/** The name for amounts kept for several together, or without that part. */
const SEVERAL: Readonly<Record<Grouping, string>> = {
	account: "several accounts",
	project: "other folders",
	model: "several models",
	day: "?",
};

export const COST_NOTE = "Cost is what the API would charge, as pi computes it. A plan includes it.";
const NOT_COUNTED = "Nothing is counted: /multicodex footer ledger=true turns that on.";

/** Returns what each row is. Everything kept is shown by month where shorter periods are shown by day. */
export function rowsOf({ period, by }: Pick<Report, "period" | "by">): string {
	return by === "day" && period === "all" ? "month" : by;
}

/** `Usage in the last 7 days, by account`. */
export function titleOf(look: Pick<Report, "period" | "by">): string {
	return `${TITLES[look.period]}, by ${rowsOf(look)}`;
}

/** Returns the text in place of a table without rows. */
export function nothingIn(period: Period, isOn: boolean): string {
	const none = period === "today" ? "Nothing was used today." : `Nothing was used in ${PERIOD_WORDS[period]}.`;
	const never = period === "all" ? "Nothing has been counted yet." : none;
	return isOn ? never : `${never} ${NOT_COUNTED}`;
}

/** Returns the name of each row of a report. */
export function namesOf({ groups, by }: Report, accounts: readonly Account[]): readonly string[] {
	const folders = by === "project" ? shortFolders(groups.flatMap(({ key }) => key ?? [])) : undefined;
	return groups.map(({ key }) => {
		if (key === undefined) return SEVERAL[by];
		if (by === "account") return accounts.find(({ id }) => id === key)?.label ?? key;
		if (by === "day") return dayName(key);
		return printable(folders?.get(key) ?? key);
	});
}

/** Returns the end of each path, long enough to be unique. */
function shortFolders(paths: readonly string[]): ReadonlyMap<string, string> {
	const endOf = (path: string, parts: number) => path.split(/[\\/]/).filter(Boolean).slice(-parts).join("/");
	return new Map(
		paths.map((path) => {
			const most = path.split(/[\\/]/).length;
			const isClear = (parts: number) =>
				paths.every((each) => each === path || endOf(each, parts) !== endOf(path, parts));
			const parts = Array.from({ length: most }, (_, at) => at + 1).find(isClear) ?? most;
			return [path, endOf(path, parts) || basename(path) || path];
		}),
	);
}

/** `29 Nov` for a day, `2026-11` for a month. */
function dayName(key: string): string {
	const [year = 0, month = 1, day] = key.split("-").map(Number);
	return day === undefined ? key : formatDay(new Date(year, month - 1, day, 12).getTime());
}

/** `8 (1m)`: how often, and the time that it took; only the number if there was none. */
export function refusalsText({ refusals, refusedMs }: Amounts): string {
	if (refusals === 0) return "0";
	return `${refusals} (${refusedMs < 1000 ? "<1s" : formatCountdown(refusedMs)})`;
}

const BARS = "▁▂▃▄▅▆▇█";
/** Shown for nothing at all, which is different from a low bar. */
const NO_BAR = "·";

/** Draws the last `count` steps of a course as bars, scaled to the highest. */
export function sparkline(course: readonly number[], count: number): string {
	const shown = course.slice(-count);
	const most = Math.max(...shown, 0);
	return shown
		.map((each) => (each > 0 ? BARS[Math.min(BARS.length - 1, Math.floor((each / most) * (BARS.length - 1)))] : NO_BAR))
		.join("");
}
