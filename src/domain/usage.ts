import { FURTHEST_RESET_MS } from "./cooldown.ts";

/** One rolling limit. Named by its length, never by the slot it came in. */
export interface UsageWindow {
	/** 0..100, may be fractional; 100 or more means exhausted. */
	readonly usedPercent: number;
	readonly windowMinutes: number;
	/** Epoch ms; undefined when the backend did not say. */
	readonly resetsAt?: number | undefined;
}

/** A further limit that only some models draw on. */
export interface MeteredLimit {
	readonly name?: string | undefined;
	readonly windows: readonly UsageWindow[];
}

/** Credits of an account, as the backend says. */
export interface Credits {
	readonly hasCredits: boolean;
	readonly unlimited: boolean;
	readonly balance?: string | undefined;
}

/** Everything known of an account's usage at one moment. */
export interface UsageSnapshot {
	/** Epoch ms. */
	readonly capturedAt: number;
	readonly source: "headers" | "api";
	readonly plan?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** By limit id, e.g. `codex_bengalfox`. */
	readonly limits: Readonly<Record<string, MeteredLimit>>;
	readonly credits?: Credits | undefined;
	/** The server's own word that the general limit is reached, where it gives one. */
	readonly limitReached: boolean;
}

/** Age from which a snapshot counts as stale (15 min, as in Codex's own status). */
export const STALE_AFTER_MS = 15 * 60 * 1000;

/** Usage is asked again at most this often (5 min), over all processes. */
export const USAGE_TTL_MS = 5 * 60 * 1000;

/** A reset may jitter by up to a minute between two polls. */
const RESET_JITTER_MS = 60 * 1000;

const NAMED_MINUTES: readonly (readonly [minutes: number, name: string])[] = [
	[300, "5h"],
	[1440, "1d"],
	[10080, "7d"],
	[43200, "30d"],
	[525600, "365d"],
];

/** Short name of a window by its length in minutes, with 5 % tolerance: `5h`, `7d`, `30d`, else hours or days. */
export function windowName(minutes: number): string {
	const named = NAMED_MINUTES.find(([length]) => Math.abs(minutes - length) <= length * 0.05);
	if (named) return named[1];
	if (minutes < 60) return `${Math.round(minutes)}m`;
	return minutes < 2880 ? `${Math.round(minutes / 60)}h` : `${Math.round(minutes / 1440)}d`;
}

/** What is left of a window in percent, 0..100; all of it once its reset has passed. */
export function remaining(window: UsageWindow, now: number): number {
	if (window.resetsAt !== undefined && window.resetsAt <= now) return 100;
	return Math.min(100, Math.max(0, 100 - window.usedPercent));
}

/** The least that is left over all windows, in percent; 100 without a window. */
export function headroom(snapshot: UsageSnapshot, now: number): number {
	return snapshot.windows.reduce((least, window) => Math.min(least, remaining(window, now)), 100);
}

/** What is left of a window. */
export interface WindowLeft {
	/** As `5h`. */
	readonly window: string;
	readonly percent: number;
	/** Epoch ms; undefined when not known. */
	readonly resetsAt: number | undefined;
	readonly isStale: boolean;
}

/** What is left of the window that ends first, as it looks now; undefined where no window is known. */
export function tightest(snapshot: UsageSnapshot | undefined, now: number): WindowLeft | undefined {
	const [least] = [...(snapshot?.windows ?? [])].sort((a, b) => remaining(a, now) - remaining(b, now));
	if (!least) return undefined;
	return {
		window: windowName(least.windowMinutes),
		percent: remaining(least, now),
		resetsAt: least.resetsAt,
		isStale: freshness(snapshot, now) !== "fresh",
	};
}

/** How far a snapshot can be trusted. One from the future, or past one of its resets, is stale. */
export function freshness(snapshot: UsageSnapshot | undefined, now: number): "fresh" | "stale" | "unknown" {
	if (!snapshot) return "unknown";
	const age = now - snapshot.capturedAt;
	if (age > STALE_AFTER_MS || age < -RESET_JITTER_MS) return "stale";
	return snapshot.windows.some((window) => window.resetsAt !== undefined && window.resetsAt <= now) ? "stale" : "fresh";
}

/** True where a window's clock does not run: nothing used since its last reset, so the next request starts it. */
export function isUntouched(window: UsageWindow, snapshot: UsageSnapshot, now: number): boolean {
	if (window.resetsAt === undefined) return window.usedPercent <= 0;
	if (window.resetsAt <= now) return true;
	const fullLength = window.windowMinutes * 60_000;
	return window.usedPercent <= 0 && window.resetsAt - snapshot.capturedAt >= fullLength - RESET_JITTER_MS;
}

/** The latest reset among the exhausted windows, epoch ms; undefined where none is exhausted or none tells its reset. */
export function exhaustedUntil(windows: readonly UsageWindow[], now: number): number | undefined {
	const resets = windows
		.filter((window) => window.usedPercent >= 100)
		.map((window) => window.resetsAt)
		.filter((at) => at !== undefined)
		.filter((at) => at > now && at - now <= FURTHEST_RESET_MS);
	return resets.length > 0 ? Math.max(...resets) : undefined;
}

/** Is one of the windows used up at `now`? */
export function isExhausted(windows: readonly UsageWindow[], now: number): boolean {
	return windows.some(
		(window) => window.usedPercent >= 100 && (window.resetsAt === undefined || window.resetsAt > now),
	);
}

/** Windows, shortest first. */
export function byLength(windows: readonly UsageWindow[]): UsageWindow[] {
	return [...windows].sort((a, b) => a.windowMinutes - b.windowMinutes);
}
