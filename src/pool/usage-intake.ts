import { type Cooldown, mergeCooldown } from "../domain/cooldown.ts";
import { exhaustedUntil, remaining, type UsageSnapshot, type UsageWindow } from "../domain/usage.ts";
import type { AccountMemo } from "./ports.ts";

/** The endpoint lags behind a refusal: newer data ends a cooldown only with this much left, and this long after. */
const ROOM_TO_RETURN_PERCENT = 5;
const ENDPOINT_LAG_MS = 60_000;

/** The memo with a newer snapshot in it, at `now` (epoch ms). Newer data may end a cooldown, correct its end, or begin one. */
export function withUsage(memo: AccountMemo, usage: UsageSnapshot, now: number): AccountMemo {
	const former = memo.usage;
	if (former && former.capturedAt > usage.capturedAt) return memo;
	const merged: UsageSnapshot = {
		...usage,
		windows: mergedWindows(former, usage),
		limits: { ...former?.limits, ...usage.limits },
		credits: usage.credits ?? former?.credits,
		plan: usage.plan ?? former?.plan,
	};
	const told = { ...merged, windows: usage.windows, limits: usage.limits };
	return { ...memo, usage: merged, cooldowns: corrected(memo.cooldowns, told, now) };
}

/** The endpoint tells every window there is; the headers of a refusal may name only the one that was hit. */
function mergedWindows(former: UsageSnapshot | undefined, usage: UsageSnapshot): readonly UsageWindow[] {
	if (usage.source === "api") return usage.windows;
	const told = new Set(usage.windows.map(({ windowMinutes }) => windowMinutes));
	return [...usage.windows, ...(former?.windows ?? []).filter(({ windowMinutes }) => !told.has(windowMinutes))];
}

function corrected(cooldowns: readonly Cooldown[], usage: UsageSnapshot, now: number): readonly Cooldown[] {
	// Only the endpoint tells all there is: headers may name one window of several, and would end a weekly block. What they
	// do name counts, and only that: an older snapshot must not bring back a cooldown that the person has ended.
	const settled = usage.source === "api" ? settledByEndpoint(cooldowns, usage, now) : cooldowns;
	const runsOnCredits = usage.credits?.unlimited === true || usage.credits?.hasCredits === true;
	const until = exhaustedUntil(usage.windows, now);
	if (until === undefined || runsOnCredits) return settled;
	const isKnown = settled.some((cooldown) => cooldown.scope === "account" && cooldown.until >= until);
	if (isKnown) return settled;
	return mergeCooldown(settled, { scope: "account", reason: "usage_limit", until, setAt: now, models: [] }, now);
}

/** Quota cooldowns as the endpoint now knows them: ended where there is room again, else with the reset it tells. */
function settledByEndpoint(cooldowns: readonly Cooldown[], usage: UsageSnapshot, now: number): readonly Cooldown[] {
	const settle = (cooldown: Cooldown): Cooldown | undefined => {
		const windows = windowsFor(cooldown, usage);
		const isOlder = cooldown.setAt <= usage.capturedAt;
		if (cooldown.reason !== "usage_limit" || !isOlder || !windows || windows.length === 0) return cooldown;
		const hasRoom = windows.every((window) => remaining(window, now) >= ROOM_TO_RETURN_PERCENT);
		const hasCaughtUp = usage.capturedAt - cooldown.setAt >= ENDPOINT_LAG_MS;
		if (hasRoom && hasCaughtUp && !usage.limitReached) return undefined;
		const until = exhaustedUntil(windows, now);
		return until === undefined || until === cooldown.until ? cooldown : { ...cooldown, until };
	};
	const settled = cooldowns.map(settle).filter((cooldown) => cooldown !== undefined);
	const isSame = settled.length === cooldowns.length && settled.every((cooldown, at) => cooldown === cooldowns[at]);
	return isSame ? cooldowns : settled;
}

function windowsFor(cooldown: Cooldown, usage: UsageSnapshot): readonly UsageWindow[] | undefined {
	if (cooldown.scope === "account") return usage.windows;
	const limitId = cooldown.scope.startsWith("limit:") ? cooldown.scope.slice("limit:".length) : undefined;
	return limitId === undefined ? undefined : usage.limits[limitId]?.windows;
}
