import type { AccountId } from "../ids.ts";
import type { Clock } from "../ports.ts";
import type { TokenResult } from "./credentials.ts";

type Unavailable = Extract<TokenResult, { kind: "unavailable" }>;

/** When each account's token is renewed again after a failure. In this process alone: others find out by themselves. */
export interface RenewalBackoff {
	/** The answer while it is too early for another try. */
	current(id: AccountId): Unavailable | undefined;
	/** No try before `retryAt`; the next failure waits no longer for it. */
	until(id: AccountId, reason: string, retryAt: number): Unavailable;
	/** Ever more seldom. */
	longer(id: AccountId, reason: string): Unavailable;
	/** No try helps before the person has changed something; `reason` is given meanwhile. */
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
			// One from the future is ignored: the clock was set back since.
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
