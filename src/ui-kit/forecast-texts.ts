import type { Outlook } from "../core/forecast/forecast.ts";
import type { PoolView } from "../core/pool/pool-view.ts";
import { formatClock, formatWeekday } from "./format.ts";

/** The precision of a forecast. */
const STEP_MS = 10 * 60_000;
const DAY_MS = 24 * 60 * 60_000;
/** A time further ahead, or with a longer interval, is shown in days. */
const FAR_MS = 2 * DAY_MS;

/** `about 15:40 (14:50 to 17:20)`, or `Thu (Wed to Sat)`. Never shows a time without its interval. */
export function untilText(outlook: Outlook, now: number): string {
	const { dryAt, from, to = dryAt } = outlook;
	const inDays = daysText(outlook, now);
	const isOneDay = formatWeekday(from, now) === formatWeekday(to, now);
	return !isOneDay && (to - from >= DAY_MS || dryAt - now >= FAR_MS) ? inDays : `about ${clocksText(outlook, now)}`;
}

/** Returns the same for a narrow screen. */
function shortText(outlook: Outlook, now: number): string {
	const { dryAt, from, to = dryAt } = outlook;
	const isToday = [from, dryAt, to].every((at) => formatWeekday(at, now) === "today");
	return isToday ? clocksText(outlook, now) : daysText(outlook, now);
}

function daysText({ dryAt, from, to }: Outlook, now: number): string {
	const [middle, first] = [dryAt, from].map((at) => formatWeekday(at, now));
	return `${middle} (${first}${to === undefined ? " or later" : ` to ${formatWeekday(to, now)}`})`;
}

function clocksText({ dryAt, from, to }: Outlook, now: number): string {
	const text = (at: number) => formatClock(Math.round(Math.max(at, now) / STEP_MS) * STEP_MS, now);
	return `${text(dryAt)} (${text(from)}${to === undefined ? " or later" : ` to ${text(to)}`})`;
}

/** Returns how long quota lasts, from the longest wording to the shortest; nothing without a forecast. */
export function lastsTexts({ forecast, accounts, active, now }: PoolView): readonly string[] {
	if (!forecast) return [];
	const { pool, serving } = forecast;
	const own = accounts.length > 1 && active !== undefined ? serving : undefined;
	const label = accounts.find(({ account }) => account.id === active)?.account.label;
	const ofPool = pool && untilText(pool, now);
	const short = pool ?? own;
	const shortest = short ? [`until ${shortText(short, now)}`] : [];
	const whole = accounts.length > 1 ? "the pool" : "quota";
	const alone =
		ofPool === undefined ? [] : [`at your pace ${whole} lasts until ${ofPool}`, `${whole} lasts until ${ofPool}`];
	if (!own || label === undefined) return [...alone, ...(pool ? shortest : [])];
	const first = `${label} lasts until ${untilText(own, now)}`;
	const both = ofPool === undefined ? [] : [`at your pace ${first}, the pool until ${ofPool}`];
	return [...both, ...(ofPool === undefined ? [`at your pace ${first}`, first] : alone), ...shortest];
}
