import type { Outlook } from "../core/forecast.ts";
import type { PoolView } from "../core/pool-view.ts";
import { formatClock, formatWeekday } from "./format.ts";

/** A forecast is no better than this. */
const STEP_MS = 10 * 60_000;
/** An interval that is longer is told in days. */
const LONG_MS = 24 * 60 * 60_000;

/** `about 15:40 (14:50 to 17:20)`, or `Thu (Wed to Sat)`: never a time without its interval. */
export function untilText({ dryAt, from, to }: Outlook, now: number): string {
	const isLong = (to ?? dryAt) - from >= LONG_MS;
	const text = (at: number) =>
		isLong ? formatWeekday(at, now) : formatClock(Math.round(Math.max(at, now) / STEP_MS) * STEP_MS, now);
	const interval = to === undefined ? `${text(from)} or later` : `${text(from)} to ${text(to)}`;
	return `${isLong ? "" : "about "}${text(dryAt)} (${interval})`;
}

/** How long quota lasts, from the longest wording to the shortest; none where nothing can be told. */
export function lastsTexts({ forecast, accounts, active, now }: PoolView): readonly string[] {
	if (!forecast) return [];
	const { pool, serving } = forecast;
	const own = accounts.length > 1 && active !== undefined ? serving : undefined;
	const label = accounts.find(({ account }) => account.id === active)?.account.label;
	const ofPool = pool && untilText(pool, now);
	const whole = accounts.length > 1 ? "the pool" : "quota";
	if (own && label !== undefined) {
		const ofOwn = untilText(own, now);
		const pooled = ofPool === undefined ? [] : [`the pool until ${ofPool}`];
		const first = `${label} lasts until ${ofOwn}`;
		const joined = [first, ...pooled].join(", ");
		return [`at your pace ${joined}`, joined, ...pooled, first, `until ${ofPool ?? ofOwn}`];
	}
	if (ofPool === undefined) return [];
	return [`at your pace ${whole} lasts until ${ofPool}`, `${whole} lasts until ${ofPool}`, `until ${ofPool}`];
}
