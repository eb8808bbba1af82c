import { FURTHEST_RESET_MS } from "./cooldown.ts";
import { ownValue } from "./own-value.ts";
import {
	type Budget,
	type Credits,
	RESET_JITTER_MS,
	type ReserveModel,
	STALE_AFTER_MS,
	type UsageSnapshot,
	type UsageWindow,
} from "./usage.ts";

/** A rolling window, of the general limit or of a further `limit` that only some models draw on. */
export interface WindowQuota extends UsageWindow {
	readonly kind: "window";
	readonly limit?: { readonly id: string; readonly name: string | undefined } | undefined;
}

/** A budget of a month, or a member's cap. */
export interface BudgetQuota extends Budget {
	readonly kind: "budget";
}

/** Bought credits. */
export interface CreditsQuota extends Credits {
	readonly kind: "credits";
}

/** Luna Reserve. */
export interface ReserveModelQuota extends ReserveModel {
	readonly kind: "reserve-model";
}

/** Reset credits. */
export interface ResetCreditQuota {
	readonly kind: "reset-credit";
	readonly count: number;
}

/** Everything that an account can serve from, or that can fill it again. */
export type Quota = WindowQuota | BudgetQuota | CreditsQuota | ReserveModelQuota | ResetCreditQuota;

/**
 * Every quota that a snapshot knows, in the order of what matters: windows, the shortest first, budgets, credits,
 * further limits, reserve model, reset credits.
 */
export function quotasOf(snapshot: UsageSnapshot | undefined): readonly Quota[] {
	if (!snapshot) return [];
	const credits = creditsOf(snapshot);
	const reserveModel = reserveModelOf(snapshot);
	const count = resetCreditsOf(snapshot);
	return [
		...byLength(windowsOf(snapshot)).map((window): Quota => ({ kind: "window", ...window })),
		...budgetsOf(snapshot).map((budget): Quota => ({ kind: "budget", ...budget })),
		...(credits ? [{ kind: "credits", ...credits } as const] : []),
		...Object.entries(snapshot.limits).flatMap(([id, { name, windows }]) =>
			byLength(windows).map((window): Quota => ({ kind: "window", limit: { id, name }, ...window })),
		),
		...(reserveModel ? [{ kind: "reserve-model", ...reserveModel } as const] : []),
		...(count > 0 ? [{ kind: "reset-credit", count } as const] : []),
	];
}

/** The included quota of an account: its windows, then its budgets. */
export function includedOf(snapshot: UsageSnapshot): readonly UsageWindow[] {
	const budgets = budgetsOf(snapshot);
	return budgets.length === 0 ? windowsOf(snapshot) : [...windowsOf(snapshot), ...budgets];
}

/** The windows of the general limit, in the order in which they were reported. */
export function windowsOf({ windows }: UsageSnapshot): readonly UsageWindow[] {
	return windows;
}

const NO_BUDGETS: readonly Budget[] = [];

/** The budgets, which limit the windows beside them, and bought credits too. */
export function budgetsOf({ budgets = NO_BUDGETS }: UsageSnapshot): readonly Budget[] {
	return budgets;
}

/** The windows of a further limit, or of the reserve model by its id; undefined if it is not known. */
export function limitOf({ limits, reserveModel }: UsageSnapshot, id: string): readonly UsageWindow[] | undefined {
	return reserveModel?.limitId === id ? reserveModel.windows : ownValue(limits, id)?.windows;
}

/** The first further limit that is used up. */
export function spentLimit(
	{ limits }: UsageSnapshot,
	now: number,
): { readonly limitId: string; readonly windows: readonly UsageWindow[] } | undefined {
	const [spent] = Object.entries(limits).filter(([, { windows }]) => isExhausted(windows, now));
	return spent && { limitId: spent[0], windows: spent[1].windows };
}

/** The credits of the account, bought or of its plan. */
export function creditsOf(snapshot: UsageSnapshot | undefined): Credits | undefined {
	return snapshot?.credits;
}

/** The reserve model; undefined also where nothing tells which model it stands for. */
export function reserveModelOf(snapshot: UsageSnapshot | undefined): ReserveModel | undefined {
	const reserveModel = snapshot?.reserveModel;
	return reserveModel && reserveModel.visibleModel !== "" ? reserveModel : undefined;
}

/** The windows of the reserve model, also where nothing tells which model it stands for. */
export function reserveWindowsOf({ reserveModel }: UsageSnapshot): readonly UsageWindow[] | undefined {
	return reserveModel?.windows;
}

/** How many reset credits can be redeemed, as far as is known. */
export function resetCreditsOf(snapshot: UsageSnapshot | undefined): number {
	return snapshot?.resetCredits ?? 0;
}

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

/**
 * The remaining part of a quota in percent, 0..100; all of a window once its reset has passed. Undefined where it has
 * no size to compare with: credits with a balance, a reserve model without windows.
 */
export function remaining(quota: UsageWindow, now: number): number;
export function remaining(quota: Quota, now: number): number | undefined;
export function remaining(quota: UsageWindow | Quota, now: number): number | undefined {
	if (!("kind" in quota)) return leftOf(quota, now);
	switch (quota.kind) {
		case "window":
		case "budget":
			return leftOf(quota, now);
		case "credits":
			return leftOfCredits(quota);
		case "reserve-model":
			return leftOfReserve(quota, now);
		case "reset-credit":
			return quota.count > 0 ? 100 : 0;
	}
}

function leftOf({ usedPercent, resetsAt }: UsageWindow, now: number): number {
	if (resetsAt !== undefined && resetsAt <= now) return 100;
	return Math.min(100, Math.max(0, 100 - usedPercent));
}

function leftOfCredits(credits: Credits): number | undefined {
	if (!hasFunds(credits)) return 0;
	return credits.unlimited ? 100 : undefined;
}

/** The server's word is as old as the windows, so that one which has reset since counts more. */
function leftOfReserve({ windows, isReached }: ReserveModel, now: number): number | undefined {
	if (isReached && !windows.some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now)) return 0;
	if (windows.length === 0) return undefined;
	return windows.reduce((least, window) => Math.min(least, leftOf(window, now)), 100);
}

/** When a quota is filled again by itself, epoch ms; undefined where it is not, or where nothing tells when. */
export function refillsAt(quota: Quota, now: number): number | undefined {
	switch (quota.kind) {
		case "window":
		case "budget":
			return resetAhead(quota, now);
		case "reserve-model":
			return exhaustedUntil(quota.windows, now) ?? fullestAhead(quota.windows, now)?.resetsAt;
		case "credits":
		case "reset-credit":
			return undefined;
	}
}

function resetAhead({ resetsAt }: UsageWindow, now: number): number | undefined {
	return resetsAt !== undefined && resetsAt > now && resetsAt - now <= FURTHEST_RESET_MS ? resetsAt : undefined;
}

/** The smallest remaining part of all windows and budgets, in percent; 100 without any. */
export function headroom(snapshot: UsageSnapshot, now: number): number {
	return includedOf(snapshot).reduce((least, quota) => Math.min(least, remaining(quota, now)), 100);
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
	const [least] = [...(snapshot ? includedOf(snapshot) : [])].sort((a, b) => remaining(a, now) - remaining(b, now));
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
	return includedOf(snapshot).some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now) ? "stale" : "fresh";
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
		.map((window) => resetAhead(window, now))
		.filter((at) => at !== undefined);
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
	const quotas = includedOf(snapshot);
	if (isExhausted(quotas, now)) return true;
	// That statement is as old as the windows, so a window that has reset since counts more.
	if (!snapshot.limitReached || quotas.some(({ usedPercent }) => usedPercent >= 100)) return false;
	const { resetsAt } = fullest(quotas) ?? {};
	return resetsAt === undefined || resetsAt > now;
}

/** Did the snapshot report the included quota as used up, whatever has reset since? */
export function wasSpent(snapshot: UsageSnapshot): boolean {
	return snapshot.limitReached || includedOf(snapshot).some(({ usedPercent }) => usedPercent >= 100);
}

/** Does the server say that the general limit is reached? */
export function isLimitReached(snapshot: UsageSnapshot | undefined): boolean {
	return snapshot?.limitReached === true;
}

/**
 * When included quota is back, epoch ms: the latest reset of the spent windows, else of the fullest; undefined if
 * unknown.
 */
export function knownReset(snapshot: UsageSnapshot | undefined, now: number): number | undefined {
	if (!snapshot) return undefined;
	const quotas = includedOf(snapshot);
	return exhaustedUntil(quotas, now) ?? fullestAhead(quotas, now)?.resetsAt;
}

/** When a further limit is back, as {@link knownReset} tells of the included quota. */
export function knownResetOfLimit(snapshot: UsageSnapshot | undefined, id: string, now: number): number | undefined {
	const windows = (snapshot && limitOf(snapshot, id)) ?? [];
	return exhaustedUntil(windows, now) ?? fullestAhead(windows, now)?.resetsAt;
}

/** The fullest window whose reset is ahead. */
function fullestAhead(windows: readonly UsageWindow[], now: number): UsageWindow | undefined {
	return fullest(windows.filter((window) => resetAhead(window, now) !== undefined));
}

function fullest(quotas: readonly UsageWindow[]): UsageWindow | undefined {
	return [...quotas].sort((a, b) => b.usedPercent - a.usedPercent)[0];
}

/** Can the account continue when its included quota is spent? Without a readable balance the server's flag decides. */
export function hasFunds(credits: Credits | undefined): boolean {
	if (!credits || credits.overageReached) return false;
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
	if (isExhausted(budgetsOf(snapshot), now)) return undefined;
	return knownReset(snapshot, now) ?? Math.max(snapshot.capturedAt + STALE_AFTER_MS, now + RESET_JITTER_MS);
}

/** Windows, shortest first. */
export function byLength(windows: readonly UsageWindow[]): UsageWindow[] {
	return [...windows].sort((a, b) => a.windowMinutes - b.windowMinutes);
}
