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
	return isAllToday(outlook, now) ? clocksText(outlook, now) : daysText(outlook, now);
}

/** The interval alone, where a screen has room for nothing else: `out 14:20 to 15:00`, `out Sun to Mon`. */
export function outText(outlook: Outlook, now: number): string {
	const { dryAt, from, to } = outlook;
	const text = isAllToday(outlook, now) ? clockText : formatWeekday;
	const [first, last] = [from, to ?? dryAt].map((at) => text(at, now));
	if (to === undefined) return `until ${first} or later`;
	return first === last ? `out ${first}` : `out ${first} to ${last}`;
}

function isAllToday({ dryAt, from, to = dryAt }: Outlook, now: number): boolean {
	return [from, dryAt, to].every((at) => formatWeekday(at, now) === "today");
}

function daysText({ dryAt, from, to }: Outlook, now: number): string {
	const [middle, first] = [dryAt, from].map((at) => formatWeekday(at, now));
	return `${middle} (${first}${to === undefined ? " or later" : ` to ${formatWeekday(to, now)}`})`;
}

function clocksText({ dryAt, from, to }: Outlook, now: number): string {
	const interval = to === undefined ? " or later" : ` to ${clockText(to, now)}`;
	return `${clockText(dryAt, now)} (${clockText(from, now)}${interval})`;
}

function clockText(at: number, now: number): string {
	return formatClock(Math.round(Math.max(at, now) / STEP_MS) * STEP_MS, now);
}

/** Returns how long quota lasts, from the longest wording to the shortest; nothing without a forecast. */
export function lastsTexts({ forecast, accounts, active, now }: PoolView): readonly string[] {
	if (!forecast) return [];
	const { pool, serving } = forecast;
	const own = accounts.length > 1 && active !== undefined ? serving : undefined;
	const label = accounts.find(({ account }) => account.id === active)?.account.label;
	const whole = accounts.length > 1 ? "pool" : "quota";
	const the = accounts.length > 1 ? "the pool" : "quota";
	const short = (name: string, outlook: Outlook) => [
		`${name} until ${shortText(outlook, now)}`,
		`${name} ${outText(outlook, now)}`,
	];
	const first = own && label !== undefined ? `${label} lasts until ${untilText(own, now)}` : undefined;
	if (!pool) return own && first ? [`at your pace ${first}`, first, ...short(label ?? "", own)] : [];
	const ofPool = untilText(pool, now);
	const both = first ? `${first}, the pool until ${ofPool}` : undefined;
	return [
		...(both ? [`at your pace ${both}`, both] : []),
		`at your pace ${the} lasts until ${ofPool}`,
		`${the} lasts until ${ofPool}`,
		...short(whole, pool),
	];
}
