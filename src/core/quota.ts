import { FURTHEST_RESET_MS } from "./cooldown.ts";
import { ownValue } from "./own-value.ts";
import {
	type Budget,
	type Credits,
	type MeteredLimit,
	RESET_JITTER_MS,
	type ReserveModel,
	STALE_AFTER_MS,
	type UsageSnapshot,
	type UsageWindow,
} from "./usage.ts";

/** A rolling window of the general limit, or of a further `limit` that only some models use. */
interface WindowQuota extends UsageWindow {
	readonly kind: "window";
	readonly limit?: { readonly id: string; readonly name: string | undefined } | undefined;
}

/** A monthly budget, or a member's cap. */
interface BudgetQuota extends Budget {
	readonly kind: "budget";
}

/** Bought credits. */
interface CreditsQuota extends Credits {
	readonly kind: "credits";
}

/** Luna Reserve. */
interface ReserveModelQuota extends ReserveModel {
	readonly kind: "reserve-model";
}

/** Reset credits. */
interface ResetCreditQuota {
	readonly kind: "reset-credit";
	readonly count: number;
}

/** Everything that an account can serve from, or that can refill it. */
export type Quota = WindowQuota | BudgetQuota | CreditsQuota | ReserveModelQuota | ResetCreditQuota;

/**
 * Returns every quota in a snapshot, most important first: windows from the shortest, budgets, credits, further limits,
 * reserve model, reset credits.
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

/** Returns the included quota of an account: its windows, then its budgets. */
export function includedOf(snapshot: UsageSnapshot): readonly UsageWindow[] {
	const budgets = budgetsOf(snapshot);
	return budgets.length === 0 ? windowsOf(snapshot) : [...windowsOf(snapshot), ...budgets];
}

/** Returns the snapshot with other included quota, as of `capturedAt` (epoch ms), and no limit reached. */
export function withIncluded(
	{ source, plan, limits, credits, reserveModel, askedForReserve, resetCredits }: UsageSnapshot,
	windows: readonly UsageWindow[],
	budgets: readonly Budget[],
	capturedAt: number,
): UsageSnapshot {
	// Named one by one: a forecast does this thousands of times, and a spread takes many times as long.
	return {
		capturedAt,
		source,
		plan,
		windows,
		budgets,
		limits,
		credits,
		limitReached: false,
		reserveModel,
		askedForReserve,
		resetCredits,
	};
}

/** Returns the windows of the general limit, in the order reported. */
export function windowsOf({ windows }: UsageSnapshot): readonly UsageWindow[] {
	return windows;
}

const NO_BUDGETS: readonly Budget[] = [];

/** Returns the budgets. They limit the windows beside them, and bought credits too. */
export function budgetsOf({ budgets = NO_BUDGETS }: UsageSnapshot): readonly Budget[] {
	return budgets;
}

/** Returns the windows of a further limit, or of the reserve model by its id; undefined if unknown. */
export function limitOf({ limits, reserveModel }: UsageSnapshot, id: string): readonly UsageWindow[] | undefined {
	return reserveModel?.limitId === id ? reserveModel.windows : ownValue(limits, id)?.windows;
}

/** Returns the first further limit that is used up and that `isIts` accepts. */
export function spentLimit(
	{ limits }: UsageSnapshot,
	now: number,
	isIts: (limit: MeteredLimit) => boolean = () => true,
): { readonly limitId: string; readonly windows: readonly UsageWindow[] } | undefined {
	const spent = Object.entries(limits).find(([, limit]) => isExhausted(limit.windows, now) && isIts(limit));
	return spent && { limitId: spent[0], windows: spent[1].windows };
}

/** True if a limit bears the name of a model: `GPT-5.3-Codex-Spark` is that of `gpt-5.3-codex-spark`. */
export function isNamedAfter(name: string, modelId: string): boolean {
	const lettersOf = (text: string) => text.toLowerCase().replaceAll(/[^a-z0-9]/g, "");
	return lettersOf(name) === lettersOf(modelId);
}

/** True if a refusal that names the reset `statedAt`, epoch ms, is about these spent windows. */
export function isResetOf(windows: readonly UsageWindow[], statedAt: number | undefined, now: number): boolean {
	const until = exhaustedUntil(windows, now);
	return until !== undefined && statedAt !== undefined && Math.abs(until - statedAt) <= RESET_JITTER_MS;
}

/** Returns the credits of the account, whether bought or part of its plan. */
export function creditsOf(snapshot: UsageSnapshot | undefined): Credits | undefined {
	return snapshot?.credits;
}

/** Returns the reserve model; undefined also if it is unknown which model it stands for. */
export function reserveModelOf(snapshot: UsageSnapshot | undefined): ReserveModel | undefined {
	const reserveModel = snapshot?.reserveModel;
	return reserveModel && reserveModel.visibleModel !== "" ? reserveModel : undefined;
}

/** Returns the windows of the reserve model, even if it is unknown which model it stands for. */
export function reserveWindowsOf({ reserveModel }: UsageSnapshot): readonly UsageWindow[] | undefined {
	return reserveModel?.windows;
}

/** Returns how many reset credits can be redeemed, as far as is known. */
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

/**
 * Returns the short name of a window by its length in minutes, with 5 % tolerance: `5h`, `7d`, `30d`, else hours or
 * days.
 */
export function windowName(minutes: number): string {
	const named = NAMED_MINUTES.find(([length]) => Math.abs(minutes - length) <= length * 0.05);
	if (named) return named[1];
	if (minutes < 60) return `${Math.round(minutes)}m`;
	return minutes < 2880 ? `${Math.round(minutes / 60)}h` : `${Math.round(minutes / 1440)}d`;
}

/**
 * Returns the remaining part of a quota in percent, 0..100; 100 for a window whose reset has passed. Undefined if the
 * quota has no size to compare with: credits with a balance, or a reserve model without windows.
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

/** The server's flag is as old as the windows. A window that has reset since overrides it. */
function leftOfReserve({ windows, isReached }: ReserveModel, now: number): number | undefined {
	if (isReached && !windows.some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now)) return 0;
	if (windows.length === 0) return undefined;
	return windows.reduce((least, window) => Math.min(least, leftOf(window, now)), 100);
}

/** Returns when a quota refills by itself, epoch ms; undefined if it does not, or if that is unknown. */
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

/** Returns the smallest remaining part of all windows and budgets, percent; 100 without any. */
export function headroom(snapshot: UsageSnapshot, now: number): number {
	return includedOf(snapshot).reduce((least, quota) => Math.min(least, remaining(quota, now)), 100);
}

/** The remaining part of a window or budget. */
export interface WindowLeft {
	/** Such as `5h`. */
	readonly window: string;
	readonly percent: number;
	/** Epoch ms; undefined if not known. */
	readonly resetsAt: number | undefined;
	readonly isStale: boolean;
}

/** Returns the window or budget that will run out first, as it looks now; undefined if none is known. */
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

/** Returns how far a snapshot can be trusted. One from the future, or past one of its resets, is stale. */
export function freshness(snapshot: UsageSnapshot | undefined, now: number): "fresh" | "stale" | "unknown" {
	if (!snapshot) return "unknown";
	const age = now - snapshot.capturedAt;
	if (age > STALE_AFTER_MS || age < -RESET_JITTER_MS) return "stale";
	return includedOf(snapshot).some(({ resetsAt }) => resetsAt !== undefined && resetsAt <= now) ? "stale" : "fresh";
}

/** True if nothing of the window was used since its last reset. The next request starts it. */
export function isUntouched(window: UsageWindow, snapshot: UsageSnapshot, now: number): boolean {
	if (window.resetsAt === undefined) return window.usedPercent <= 0;
	if (window.resetsAt <= now) return true;
	const fullLength = window.windowMinutes * 60_000;
	return window.usedPercent <= 0 && window.resetsAt - snapshot.capturedAt >= fullLength - RESET_JITTER_MS;
}

/** Returns the latest reset of the exhausted windows, epoch ms; undefined if none is exhausted or has a reset. */
export function exhaustedUntil(windows: readonly UsageWindow[], now: number): number | undefined {
	const resets = windows
		.filter((window) => window.usedPercent >= 100)
		.map((window) => resetAhead(window, now))
		.filter((at) => at !== undefined);
	return resets.length > 0 ? Math.max(...resets) : undefined;
}

/** True if one of the windows is used up at `now`. */
export function isExhausted(windows: readonly UsageWindow[], now: number): boolean {
	return windows.some(
		(window) => window.usedPercent >= 100 && (window.resetsAt === undefined || window.resetsAt > now),
	);
}

/** True if included quota is used up at `now`: a window, a budget, or all of it according to the server. */
export function isSpent(snapshot: UsageSnapshot, now: number): boolean {
	const quotas = includedOf(snapshot);
	if (isExhausted(quotas, now)) return true;
	// The server's flag is as old as the windows. A window that has reset since overrides it.
	if (!snapshot.limitReached || quotas.some(({ usedPercent }) => usedPercent >= 100)) return false;
	const { resetsAt } = fullest(quotas) ?? {};
	return resetsAt === undefined || resetsAt > now;
}

/** True if the snapshot reported included quota as used up, whatever has reset since. */
export function wasSpent(snapshot: UsageSnapshot): boolean {
	return snapshot.limitReached || includedOf(snapshot).some(({ usedPercent }) => usedPercent >= 100);
}

/** True if the server says that the general limit is reached. */
export function isLimitReached(snapshot: UsageSnapshot | undefined): boolean {
	return snapshot?.limitReached === true;
}

/**
 * Returns when included quota is back, epoch ms: the latest reset of the spent windows; if none is spent, the reset of
 * the fullest one. Undefined if unknown.
 */
export function knownReset(snapshot: UsageSnapshot | undefined, now: number): number | undefined {
	if (!snapshot) return undefined;
	const quotas = includedOf(snapshot);
	// The reset of a spent window is unknown. That of another window says nothing about it.
	if (isExhausted(quotas, now)) return exhaustedUntil(quotas, now);
	return fullestAhead(quotas, now)?.resetsAt;
}

/** Returns when a further limit is back, by the rules of {@link knownReset}. */
export function knownResetOfLimit(snapshot: UsageSnapshot | undefined, id: string, now: number): number | undefined {
	const windows = (snapshot && limitOf(snapshot, id)) ?? [];
	return exhaustedUntil(windows, now) ?? fullestAhead(windows, now)?.resetsAt;
}

/** Returns the fullest window whose reset is ahead. */
function fullestAhead(windows: readonly UsageWindow[], now: number): UsageWindow | undefined {
	return fullest(windows.filter((window) => resetAhead(window, now) !== undefined));
}

function fullest(quotas: readonly UsageWindow[]): UsageWindow | undefined {
	return [...quotas].sort((a, b) => b.usedPercent - a.usedPercent)[0];
}

/**
 * True if the account can continue once included quota is spent. Without a readable balance the server's flag decides.
 */
export function hasFunds(credits: Credits | undefined): boolean {
	if (!credits || credits.overageReached) return false;
	if (credits.unlimited) return true;
	const { hasCredits, balance = "" } = credits;
	return hasCredits && !(balance.trim() !== "" && Number(balance) <= 0);
}

/**
 * Returns until when the account could serve from bought credits alone, epoch ms: its windows are spent, and credits
 * are left. Undefined if it has included quota, or if credits do not help either, since a spent budget limits them as
 * well.
 */
export function creditsUntil(snapshot: UsageSnapshot | undefined, now: number): number | undefined {
	if (!snapshot || !hasFunds(snapshot.credits) || !isSpent(snapshot, now)) return undefined;
	if (isExhausted(budgetsOf(snapshot), now)) return undefined;
	return knownReset(snapshot, now) ?? Math.max(snapshot.capturedAt + STALE_AFTER_MS, now + RESET_JITTER_MS);
}

/** Returns the models with a limit of their own that has quota left. A spent general limit does not block them. */
export function modelsApart({ limits }: UsageSnapshot, now: number): readonly string[] {
	return Object.values(limits).flatMap(({ models = [], windows }) => (isExhausted(windows, now) ? [] : models));
}

/** Sorts windows, shortest first. */
export function byLength(windows: readonly UsageWindow[]): UsageWindow[] {
	return [...windows].sort((a, b) => a.windowMinutes - b.windowMinutes);
}
