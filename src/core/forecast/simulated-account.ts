import type { Cooldown } from "../cooldown.ts";
import { ownValue } from "../own-value.ts";
import { planFactor } from "../plan-sizes.ts";
import { budgetsOf, isUntouched, windowName, windowsOf, withIncluded } from "../quota.ts";
import type { Candidate } from "../request/candidate.ts";
import type { Budget, UsageSnapshot, UsageWindow } from "../usage.ts";
import { HOUR_MS, sizeOf } from "./demand.ts";

/** A window or budget of a simulated account. */
interface Window {
	readonly minutes: number;
	/** In the unit of demand. */
	readonly size: number;
	/** The part that a cap leaves unused. */
	readonly kept: number;
	readonly isBudget: boolean;
	used: number;
	/** Epoch ms; undefined if the window has not started. */
	resetsAt: number | undefined;
}

/** A simulated account. */
export interface SimulatedAccount {
	readonly candidate: Candidate;
	readonly windows: readonly Window[];
	/** Epoch ms; in the past while it is not spent. */
	spentUntil: number;
	/** The candidate that the plan sees; undefined after a change. */
	seen: Candidate | undefined;
}

/** How soon something without a known end is checked again. */
const UNKNOWN_END_MS = HOUR_MS;
const TINY = 1e-9;

/** Simulates an account with what an account has left. */
export function simulatedAccount(candidate: Candidate, windowsPerWeek: number, now: number): SimulatedAccount {
	const { account, usage, floors = {} } = candidate;
	const factor = planFactor(usage?.plan ?? account.plan, usage);
	const windowIn =
		(of: UsageSnapshot, isBudget: boolean) =>
		(each: UsageWindow): Window => {
			const size = sizeOf(each.windowMinutes, factor, windowsPerWeek);
			const floor = ownValue(floors, windowName(each.windowMinutes)) ?? 0;
			const { usedPercent, windowMinutes: minutes } = each;
			const kept = (size * floor) / 100;
			if (isUntouched(each, of, now)) return { minutes, size, kept, isBudget, used: 0, resetsAt: undefined };
			return { minutes, size, kept, isBudget, used: (size * usedPercent) / 100, resetsAt: each.resetsAt };
		};
	const windows = usage
		? [...windowsOf(usage).map(windowIn(usage, false)), ...budgetsOf(usage).map(windowIn(usage, true))]
		: [];
	return { candidate, windows, spentUntil: 0, seen: undefined };
}

/** Copies it, to be used independently. */
export function copyOf({ candidate, windows, spentUntil, seen }: SimulatedAccount): SimulatedAccount {
	const own = windows.map(({ minutes, size, kept, isBudget, used, resetsAt }) => {
		return { minutes, size, kept, isBudget, used, resetsAt };
	});
	return { candidate, windows: own, spentUntil, seen };
}

/** Resets the windows whose time has come. */
export function roll({ windows }: SimulatedAccount, at: number): void {
	for (const window of windows) {
		if (window.resetsAt === undefined || window.resetsAt > at) continue;
		window.used = 0;
		window.resetsAt = undefined;
	}
}

/** Returns how much it can serve before it is spent. */
export function roomOf({ windows }: SimulatedAccount): number {
	let least = Infinity;
	for (const { size, kept, used } of windows) least = Math.min(least, Math.max(0, size - kept - used));
	return least;
}

/** Serves from it. Its windows start if they have not. */
export function use(simulated: SimulatedAccount, amount: number, at: number): void {
	simulated.seen = undefined;
	for (const window of simulated.windows) {
		window.resetsAt ??= at + window.minutes * 60_000;
		window.used += amount;
	}
}

/** Marks it as spent until all its spent windows have reset. */
export function markSpent(simulated: SimulatedAccount, at: number): void {
	let until = at + 1;
	for (const { size, kept, used, resetsAt = at + UNKNOWN_END_MS } of simulated.windows) {
		if (used >= size - kept - TINY) until = Math.max(until, resetsAt);
	}
	simulated.spentUntil = until;
	simulated.seen = undefined;
}

/**
 * Returns the account as the plan sees it. The result holds until the account serves: its times show whether a
 * window has reset.
 */
export function candidateAt(simulated: SimulatedAccount, at: number): Candidate {
	simulated.seen ??= look(simulated, at);
	return simulated.seen;
}

function look(simulated: SimulatedAccount, at: number): Candidate {
	roll(simulated, at);
	const { candidate, windows, spentUntil } = simulated;
	const { account, usage, isDoubted, trialAt, floors, outsideOf } = candidate;
	const cooldowns = spentUntil > at ? [...candidate.cooldowns, cooldownUntil(spentUntil, at)] : candidate.cooldowns;
	// Named one by one: a spread would take as long as everything else that a choice does.
	return { account, cooldowns, usage: usage && usageAt(usage, windows, at), isDoubted, trialAt, floors, outsideOf };
}

function usageAt(usage: UsageSnapshot, windows: readonly Window[], at: number): UsageSnapshot {
	const seen: UsageWindow[] = [];
	const budgets: Budget[] = [];
	for (const { minutes: windowMinutes, size, used, resetsAt = at + windowMinutes * 60_000, isBudget } of windows) {
		const usedPercent = Math.min(100, (used / size) * 100);
		if (isBudget) budgets.push({ windowMinutes, usedPercent, resetsAt, isReached: usedPercent >= 100 });
		else seen.push({ windowMinutes, usedPercent, resetsAt });
	}
	return withIncluded(usage, seen, budgets, at);
}

function cooldownUntil(until: number, setAt: number): Cooldown {
	return { scope: "account", reason: "usage_limit", until, setAt, models: [] };
}
