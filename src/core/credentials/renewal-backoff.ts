import type { AccountId } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { TokenResult } from "./credentials.ts";

type Unavailable = Extract<TokenResult, { kind: "unavailable" }>;

/**
 * Decides when a token may be renewed again after a failure. Applies to this process alone; others find out for
 * themselves.
 */
export interface RenewalBackoff {
	/** Returns the answer to give while it is too early to try again. */
	current(id: AccountId): Unavailable | undefined;
	/** Allows no try before `retryAt`. Does not lengthen the backoff of a later failure. */
	until(id: AccountId, reason: string, retryAt: number): Unavailable;
	/** Doubles the backoff. */
	longer(id: AccountId, reason: string): Unavailable;
	/** Trying again is useless before the person has changed something. Returns `reason` meanwhile. */
	lasting(id: AccountId, reason: string): Unavailable;
	end(id: AccountId): void;
}

const FIRST_BACKOFF_MS = 2000;
const LONGEST_BACKOFF_MS = 5 * 60_000;

/** Creates one without any backoff. */
export function createRenewalBackoff(clock: Clock): RenewalBackoff {
	const backoffs = new Map<AccountId, { setAt: number; until: number; lengthMs: number; lasting?: string }>();
	const until = (id: AccountId, reason: string, retryAt: number, lengthMs: number): Unavailable => {
		backoffs.set(id, { setAt: clock.now(), until: retryAt, lengthMs });
		return { kind: "unavailable", reason, retryAt };
	};
	return {
		current: (id) => {
			const backoff = backoffs.get(id);
			const now = clock.now();
			// Ignore a backoff from the future: the clock was set back.
			if (!backoff || backoff.setAt > now || backoff.until <= now) return undefined;
			const { until: retryAt, lasting } = backoff;
			if (lasting !== undefined) return { kind: "unavailable", reason: lasting, retryAt, lasts: true };
			return { kind: "unavailable", reason: "its last refresh failed a moment ago", retryAt };
		},
		until: (id, reason, retryAt) => until(id, reason, retryAt, backoffs.get(id)?.lengthMs ?? 0),
		longer: (id, reason) => {
			const doubledMs = Math.max((backoffs.get(id)?.lengthMs ?? 0) * 2, FIRST_BACKOFF_MS);
			const lengthMs = Math.min(doubledMs, LONGEST_BACKOFF_MS);
			return until(id, reason, clock.now() + lengthMs, lengthMs);
		},
		lasting: (id, reason) => {
			const retryAt = clock.now() + LONGEST_BACKOFF_MS;
			backoffs.set(id, { setAt: clock.now(), until: retryAt, lengthMs: 0, lasting: reason });
			return { kind: "unavailable", reason, retryAt, lasts: true };
		},
		end: (id) => {
			backoffs.delete(id);
		},
	};
}
