import { FURTHEST_RESET_MS } from "./cooldown.ts";

/** One rolling limit. Named by its length, never by its position in the answer. */
export interface UsageWindow {
	/** 0..100, may be fractional; 100 or more means exhausted. */
	readonly usedPercent: number;
	readonly windowMinutes: number;
	/** Epoch ms; undefined when the backend did not say. */
	readonly resetsAt?: number | undefined;
}

/** A budget of a month, or a member's cap in a workspace: spent like a window, and filled again on a day. */
export interface Budget extends UsageWindow {
	/** The server says that it is spent; `usedPercent` is 100 or more then. */
	readonly isReached: boolean;
	/** In the server's unit, if it reports them. */
	readonly used?: number | undefined;
	readonly limit?: number | undefined;
}

/** A further limit that only some models draw on. */
export interface MeteredLimit {
	readonly name?: string | undefined;
	readonly windows: readonly UsageWindow[];
	/** Models that were answered on it. */
	readonly models?: readonly string[] | undefined;
}

/** Credits of an account, as the backend reports them. */
export interface Credits {
	/** False also if the limit on spending them is reached. */
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
	/** Only the endpoint reports these. */
	readonly budgets?: readonly Budget[] | undefined;
	/** By limit id, e.g. `codex_bengalfox`. */
	readonly limits: Readonly<Record<string, MeteredLimit>>;
	readonly credits?: Credits | undefined;
	/** The server says that the general limit is reached. */
	readonly limitReached: boolean;
}

/** A snapshot of this age is stale (15 min, as in the status of Codex). */
export const STALE_AFTER_MS = 15 * 60 * 1000;

/** Usage is asked again at most this often (5 min), over all processes. */
export const USAGE_TTL_MS = 5 * 60 * 1000;

/** A reset may jitter by up to a minute between two polls. */
export const RESET_JITTER_MS = 60 * 1000;

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

/** The remaining part of a window in percent, 0..100; all of it once its reset has passed. */
export function remaining(window: UsageWindow, now: number): number {
	if (window.resetsAt !== undefined && window.resetsAt <= now) return 100;
	return Math.min(100, Math.max(0, 100 - window.usedPercent));
}

/** The included quota of an account: its windows, then its budgets. */
export function quotasOf({ windows, budgets = [] }: UsageSnapshot): readonly UsageWindow[] {
	return budgets.length === 0 ? windows : [...windows, ...budgets];
}

/** The smallest remaining part of all windows and budgets, in percent; 100 without any. */
export function headroom(snapshot: UsageSnapshot, now: number): number {
	return quotasOf(snapshot).reduce((least, quota) => Math.min(least, remaining(quota, now)), 100);
}

/** The remaining part of a window or budget. */
export interface WindowLeft {
	/** As `5h`. */
	readonly window: string;
	readonly percent: number;
	/** Epoch ms; undefined when not known. */
	readonly resetsAt: number | undefined;
	readonly isStale: boolean;
}

/** The window or budget that will run out first, as it looks now; undefined if none is known. */
export function tightest(snapshot: UsageSnapshot | undefined, now: number): WindowLeft | undefined {
	const [least] = [...(snapshot ? quotasOf(snapshot) : [])].sort((a, b) => remaining(a, now) - remaining(b, now));
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
	return quotasOf(snapshot).some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now) ? "stale" : "fresh";
}

/** Is the window idle? Nothing was used since its last reset, so the next request starts it. */
export function isUntouched(window: UsageWindow, snapshot: UsageSnapshot, now: number): boolean {
	if (window.resetsAt === undefined) return window.usedPercent <= 0;
	if (window.resetsAt <= now) return true;
	const fullLength = window.windowMinutes * 60_000;
	return window.usedPercent <= 0 && window.resetsAt - snapshot.capturedAt >= fullLength - RESET_JITTER_MS;
}

/** The latest reset of the exhausted windows, epoch ms; undefined if none is exhausted or none has a reset. */
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

/** Is the included quota used up at `now`: a window, a budget, or all of it as the server says? */
export function isSpent(snapshot: UsageSnapshot, now: number): boolean {
	const quotas = quotasOf(snapshot);
	if (isExhausted(quotas, now)) return true;
	// That statement is as old as the windows, so a window that has reset since counts more.
	if (!snapshot.limitReached || quotas.some(({ usedPercent }) => usedPercent >= 100)) return false;
	const { resetsAt } = fullest(quotas) ?? {};
	return resetsAt === undefined || resetsAt > now;
}

/**
 * When included quota is back, epoch ms: the latest reset of the spent windows, else of the fullest; undefined if
 * unknown.
 */
export function knownReset(snapshot: UsageSnapshot | undefined, now: number): number | undefined {
	if (!snapshot) return undefined;
	const quotas = quotasOf(snapshot);
	const running = quotas.filter(({ resetsAt = 0 }) => resetsAt > now && resetsAt - now <= FURTHEST_RESET_MS);
	return exhaustedUntil(quotas, now) ?? fullest(running)?.resetsAt;
}

function fullest(quotas: readonly UsageWindow[]): UsageWindow | undefined {
	return [...quotas].sort((a, b) => b.usedPercent - a.usedPercent)[0];
}

/** Can the account continue when its included quota is spent? Without a readable balance the server's flag decides. */
export function hasFunds(credits: Credits | undefined): boolean {
	if (!credits) return false;
	if (credits.unlimited) return true;
	const { hasCredits, balance = "" } = credits;
	return hasCredits && !(balance.trim() !== "" && Number(balance) <= 0);
}

/**
 * Until when an account would serve on bought credits alone, epoch ms: its windows are spent, and credits are left.
 * Undefined if it has included quota, or if not even credits help: a spent budget limits those as well.
 */
export function creditsUntil(snapshot: UsageSnapshot | undefined, now: number): number | undefined {
	if (!snapshot || !hasFunds(snapshot.credits) || !isSpent(snapshot, now)) return undefined;
	if (isExhausted(snapshot.budgets ?? [], now)) return undefined;
	return knownReset(snapshot, now) ?? Math.max(snapshot.capturedAt + STALE_AFTER_MS, now + RESET_JITTER_MS);
}

/** Windows, shortest first. */
export function byLength(windows: readonly UsageWindow[]): UsageWindow[] {
	return [...windows].sort((a, b) => a.windowMinutes - b.windowMinutes);
}
