import type { AccountId } from "../ids.ts";
import { windowsOf } from "../quota.ts";
import { RESET_JITTER_MS, type UsageSnapshot } from "../usage.ts";

/** How much of a general window of an account was used at one moment, percent. */
export interface HistorySample {
	readonly accountId: AccountId;
	readonly windowMinutes: number;
	/** Epoch ms. */
	readonly at: number;
	readonly usedPercent: number;
	/** Epoch ms; undefined if the backend did not say. */
	readonly resetsAt?: number | undefined;
	/** What the previous window had reached, if it ended since the sample before this one. */
	readonly formerPercent?: number | undefined;
}

const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
/** For this long one sample per hour is kept, then one per day. */
const HOURLY_MS = 28 * DAY_MS;
/** Older samples are dropped. */
const KEPT_MS = 365 * DAY_MS;
/** A figure may fall by this much without a reset: two answers of one moment differ. */
const NOISE_PERCENT = 1;

/**
 * Takes samples of what an account reports. Leaves out a window that has reset since: its figure belongs to the former
 * one.
 */
export function samplesOf(accountId: AccountId, usage: UsageSnapshot): HistorySample[] {
	const at = usage.capturedAt;
	return windowsOf(usage).flatMap(({ windowMinutes, usedPercent, resetsAt }) =>
		resetsAt !== undefined && resetsAt <= at ? [] : [{ accountId, windowMinutes, at, usedPercent, resetsAt }],
	);
}

/** Returns a key for each window of each account. */
export function seriesOf({ accountId, windowMinutes }: HistorySample): string {
	return `${accountId} ${windowMinutes}`;
}

/** True if the window restarted between two samples. */
export function hasBegunAnew(former: HistorySample, next: HistorySample): boolean {
	if (former.resetsAt !== undefined && former.resetsAt <= next.at) return true;
	if (former.resetsAt === undefined || next.resetsAt === undefined) {
		return next.usedPercent < former.usedPercent - NOISE_PERCENT;
	}
	return next.usedPercent < former.usedPercent && next.resetsAt - former.resetsAt > RESET_JITTER_MS;
}

/** True if two samples of one window report the same. */
export function isUnchanged(former: HistorySample, next: HistorySample): boolean {
	return former.usedPercent === next.usedPercent && !hasBegunAnew(former, next);
}

/**
 * Joins two samples of one window; the later one stands for both. Keeps what a window that ended in between had
 * reached, since the use of its last minutes would be lost otherwise.
 */
export function joined(former: HistorySample, next: HistorySample): HistorySample {
	const ended = hasBegunAnew(former, next) ? former.usedPercent : 0;
	const formerPercent = Math.max(former.formerPercent ?? 0, next.formerPercent ?? 0, ended);
	return formerPercent > 0 ? { ...next, formerPercent } : next;
}

/**
 * Returns the history within its bounds at `now` (epoch ms), in order: one sample per account, window and hour for four
 * weeks, then one per day for a year, and none that repeats the one before it.
 */
export function boundedHistory(samples: readonly HistorySample[], now: number): HistorySample[] {
	const kept: HistorySample[] = [];
	/** The last sample of each window, and the position of the one kept for its hour or day. */
	const latest = new Map<string, { sample: HistorySample; place: number; spanMs: number; span: number }>();
	for (const sample of [...samples].sort((a, b) => a.at - b.at)) {
		const ageMs = now - sample.at;
		// No clock shows a time so far ahead. It would never be old enough to make room for others.
		if (Math.abs(ageMs) > KEPT_MS) continue;
		const spanMs = ageMs > HOURLY_MS ? DAY_MS : HOUR_MS;
		const span = Math.floor(sample.at / spanMs);
		const series = seriesOf(sample);
		const last = latest.get(series);
		const former = last && kept[last.place];
		if (last && isUnchanged(last.sample, sample) && sample.formerPercent === undefined) {
			last.sample = sample;
		} else if (former && last.spanMs === spanMs && last.span === span) {
			kept[last.place] = joined(former, sample);
			last.sample = sample;
		} else {
			latest.set(series, { sample, place: kept.push(sample) - 1, spanMs, span });
		}
	}
	return kept;
}
