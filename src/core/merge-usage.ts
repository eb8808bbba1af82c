import { type Cooldown, isOfQuota, mergeCooldown } from "./cooldown.ts";
import type { AccountStatus } from "./ports.ts";
import {
	creditsUntil,
	exhaustedUntil,
	hasFunds,
	isSpent,
	type MeteredLimit,
	quotasOf,
	RESET_JITTER_MS,
	remaining,
	type UsageSnapshot,
	type UsageWindow,
} from "./usage.ts";
import { MOST_LIMITS } from "./usage-bounds.ts";

/** The endpoint lags behind a refusal: newer data ends a cooldown only with this much left, and this long after. */
const ROOM_TO_RETURN_PERCENT = 5;
export const ENDPOINT_LAG_MS = 60_000;
/** A spent window without a reset is asked about again after this long. */
const UNKNOWN_END_MS = 15 * 60_000;

/**
 * Puts a newer snapshot into a status, at `now` (epoch ms). New data may end a cooldown, correct its end, or begin one.
 */
export function mergeUsage(memo: AccountStatus, usage: UsageSnapshot, now: number): AccountStatus {
	const former = memo.usage;
	if (former && former.capturedAt > usage.capturedAt) return memo;
	const isWhole = usage.source === "api";
	const budgets = isWhole ? usage.budgets : former?.budgets;
	const merged: UsageSnapshot = {
		...usage,
		windows: mergedWindows(former, usage),
		...(budgets && { budgets }),
		limits: isWhole ? usage.limits : mergedLimits(former, usage),
		credits: isWhole ? usage.credits : (usage.credits ?? former?.credits),
		plan: usage.plan ?? former?.plan,
	};
	const told = { ...merged, windows: usage.windows, budgets: usage.budgets, limits: usage.limits };
	return { ...memo, usage: merged, cooldowns: reconcileCooldowns(memo.cooldowns, told, former, now) };
}

/** The endpoint reports every window; the headers of a refusal may report only the one that was hit. */
function mergedWindows(former: UsageSnapshot | undefined, usage: UsageSnapshot): readonly UsageWindow[] {
	if (usage.source === "api") return usage.windows;
	const told = new Set(usage.windows.map(({ windowMinutes }) => windowMinutes));
	return [...usage.windows, ...(former?.windows ?? []).filter(({ windowMinutes }) => !told.has(windowMinutes))];
}

/** The newest limits first, so that a backend with ever new ones does not make the file grow. */
function mergedLimits(former: UsageSnapshot | undefined, usage: UsageSnapshot): Readonly<Record<string, MeteredLimit>> {
	const kept = Object.entries(former?.limits ?? {}).filter(([id]) => !Object.hasOwn(usage.limits, id));
	return Object.fromEntries([...Object.entries(usage.limits), ...kept].slice(0, MOST_LIMITS));
}

function reconcileCooldowns(
	cooldowns: readonly Cooldown[],
	usage: UsageSnapshot,
	former: UsageSnapshot | undefined,
	now: number,
): readonly Cooldown[] {
	// Only the endpoint reports everything: headers may have one window of several, and would end a weekly cooldown. They
	// count for their own windows only: an older snapshot must not bring back a cooldown that the person has ended.
	const isWhole = usage.source === "api";
	const settled = isWhole ? reconcileWithEndpoint(cooldowns, usage, former, now) : cooldowns;
	// With bought credits it does not cool: another gate keeps it for the sessions that are on it.
	if (!isSpent(usage, now) || creditsUntil(usage, now) !== undefined) return settled;
	const told = exhaustedUntil(quotasOf(usage), now);
	if (told === undefined && !isWhole) return settled;
	const isKnown = settled.some(({ scope, until }) => scope === "account" && until >= (told ?? now));
	if (isKnown) return settled;
	const until = told ?? now + UNKNOWN_END_MS;
	const rest: Cooldown = { scope: "account", reason: "usage_limit", until, setAt: now, models: [] };
	return mergeCooldown(settled, told === undefined ? { ...rest, guessed: true } : rest, now);
}

/** Corrects quota cooldowns by the endpoint: ended if there is quota again, else with the reset that it reports. */
function reconcileWithEndpoint(
	cooldowns: readonly Cooldown[],
	usage: UsageSnapshot,
	former: UsageSnapshot | undefined,
	now: number,
): readonly Cooldown[] {
	const isFunded = creditsUntil(usage, now) !== undefined;
	const isNewlyFunded = isFunded && former !== undefined && !hasFunds(former.credits);
	const settle = (cooldown: Cooldown): Cooldown | undefined => {
		if (!isOfQuota(cooldown) || cooldown.setAt > usage.capturedAt) return cooldown;
		const isGeneral = cooldown.scope === "account";
		const quotas = isGeneral ? quotasOf(usage) : limitOf(cooldown, usage);
		if (!quotas) return cooldown;
		const hasCaughtUp = usage.capturedAt - cooldown.setAt >= ENDPOINT_LAG_MS;
		const isBack = isGeneral ? hasRoom(usage, now) : isRoomy(quotas, now);
		if (hasCaughtUp && (isBack || (isGeneral && isNewlyFunded))) return undefined;
		const limit = isGeneral ? limitBehind(cooldown, usage, now) : undefined;
		if (limit !== undefined) return { ...cooldown, scope: `limit:${limit}`, guessed: undefined };
		const until = exhaustedUntil(quotas, now);
		return until === undefined || until === cooldown.until ? cooldown : { ...cooldown, until, guessed: undefined };
	};
	const settled = cooldowns.map(settle).filter((cooldown) => cooldown !== undefined);
	const isSame = settled.length === cooldowns.length && settled.every((cooldown, at) => cooldown === cooldowns[at]);
	return isSame ? cooldowns : settled;
}

/** Does the endpoint say that the account can serve? A seat without any limit lives on the credits of its plan. */
function hasRoom(usage: UsageSnapshot, now: number): boolean {
	if (usage.limitReached) return false;
	const quotas = quotasOf(usage);
	return quotas.length === 0 ? hasFunds(usage.credits) : isRoomy(quotas, now);
}

function isRoomy(quotas: readonly UsageWindow[], now: number): boolean {
	return quotas.length > 0 && quotas.every((quota) => remaining(quota, now) >= ROOM_TO_RETURN_PERCENT);
}

/**
 * Finds the limit that was hit if the refusal did not name it: the general limit has quota left, and another limit is
 * spent until the reset that the refusal named.
 */
function limitBehind(cooldown: Cooldown, usage: UsageSnapshot, now: number): string | undefined {
	if (cooldown.models.length === 0 || !hasRoom(usage, now)) return undefined;
	const behind = Object.entries(usage.limits).find(([, { windows }]) => {
		const until = exhaustedUntil(windows, now);
		return until !== undefined && Math.abs(until - cooldown.until) <= RESET_JITTER_MS;
	});
	return behind?.[0];
}

function limitOf({ scope }: Cooldown, { limits }: UsageSnapshot): readonly UsageWindow[] | undefined {
	const id = scope.startsWith("limit:") ? scope.slice("limit:".length) : "";
	return Object.hasOwn(limits, id) ? limits[id]?.windows : undefined;
}
