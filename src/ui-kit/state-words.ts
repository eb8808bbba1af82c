import { reachedCap } from "../core/caps.ts";
import { isReadyAtGuessed, isReadyAtOfQuota } from "../core/cooldown.ts";
import type { PoolView, ShownAccount } from "../core/pool/pool-view.ts";
import { creditsUntil } from "../core/quota.ts";
import { about, formatClock, formatCountdown } from "./format.ts";

/** The words for the state of an account, on every screen and in every document. */
export const STATE_WORDS = ["ready", "resting", "capped", "out of quota", "not in set", "signed out", "off"] as const;

/** One of {@link STATE_WORDS}. */
export type StateWord = (typeof STATE_WORDS)[number];

/** What the word depends on. */
type Known = Pick<ShownAccount, "state" | "cooldowns" | "usage" | "floors" | "outsideOf">;

/** Returns the word for the state of an account. */
export function stateWord({ state, cooldowns, usage, floors, outsideOf }: Known, now: number): StateWord {
	if (state === "disabled") return "off";
	if (state === "needs-login") return "signed out";
	if (outsideOf !== undefined) return "not in set";
	if (state === "ready") return "ready";
	if (reachedCap(floors, usage, now)) return "capped";
	if (creditsUntil(usage, now) !== undefined) return "out of quota";
	return isReadyAtOfQuota(cooldowns, undefined, now) ? "out of quota" : "resting";
}

/** Returns why no account of the pool serves; undefined if one may. */
export function bypassedBy({ isEnabled, isForeign }: Pick<PoolView, "isEnabled" | "isForeign">): string | undefined {
	if (!isEnabled) return "off, /multicodex on resumes";
	return isForeign ? "pi's own API key serves" : undefined;
}

/**
 * Returns how long a cooling account still waits: `42m`, or `about 42m` if that is a guess; undefined for any other
 * account.
 */
export function restFor({ state, readyAt, cooldowns, outsideOf }: ShownAccount, now: number): string | undefined {
	if (state !== "cooling" || readyAt === undefined || outsideOf !== undefined) return undefined;
	return `${about(isReadyAtGuessed(cooldowns, undefined, now))}${formatCountdown(readyAt - now)}`;
}

/** Returns until when, on the clock: `16:16`, or `about 16:16`. */
export function restUntil({ state, readyAt, cooldowns, outsideOf }: ShownAccount, now: number): string | undefined {
	if (state !== "cooling" || readyAt === undefined || outsideOf !== undefined) return undefined;
	return `${about(isReadyAtGuessed(cooldowns, undefined, now))}${formatClock(readyAt, now)}`;
}
