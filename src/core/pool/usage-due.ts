import type { Account } from "../account.ts";
import type { AccountStatus } from "../ports.ts";
import { creditsUntil, includedOf } from "../quota.ts";
import { USAGE_TTL_MS } from "../usage.ts";

/** Minimum time between two calls for a cooling account before its reset. */
export const COOLING_TTL_MS = 15 * 60_000;
/** How long another process that started a call gets before we make our own. Doubled with each failure. */
const ASKING_MS = 30_000;
const LONGEST_BACKOFF_MS = 15 * 60_000;
/** Minimum time between two calls for an account whose answers report no usage, over all processes. */
const FOLLOW_MS = 60_000;

/** True if usage is to be fetched at `now`, epoch ms: it is unknown, a window has reset since, or it is `ttlMs` old. */
export function isDue(account: Account, status: AccountStatus, ttlMs: number, now: number): boolean {
	if (!mayBeAsked(account)) return false;
	const { usage, usageAskedAt, usageFailures = 0 } = status;
	if (usageAskedAt !== undefined && Math.abs(now - usageAskedAt) < backoffMs(usageFailures)) return false;
	if (!usage) return true;
	const isCooling = status.cooldowns.some(({ scope }) => scope === "account") || creditsUntil(usage, now) !== undefined;
	// Ignore a reset that had passed when it was reported: the backend's clock is behind ours.
	const wasTold = usageFailures === 0 && usageAskedAt !== undefined && now - usageAskedAt < USAGE_TTL_MS;
	const newsSince = wasTold ? usageAskedAt : 0;
	const hasReset = includedOf(usage).some(
		({ resetsAt }) => resetsAt !== undefined && resetsAt <= now && resetsAt > newsSince,
	);
	return hasReset || now - usage.capturedAt >= (isCooling ? COOLING_TTL_MS : ttlMs);
}

/** An answer that has reported no usage. */
interface UntoldAnswer {
	/** Epoch ms. */
	readonly answeredAt: number;
	/** True if what it used is fetched however recent the last call is. Only called if that decides. */
	readonly isUrgent: () => boolean;
}

/** Returns how long to wait at `now` (epoch ms) before fetching what an answer used, ms; undefined if that is known. */
export function untilAsked(
	account: Account,
	{ usageAskedAt, usageFailures = 0 }: AccountStatus,
	{ answeredAt, isUrgent }: UntoldAnswer,
	now: number,
): number | undefined {
	if (!mayBeAsked(account)) return undefined;
	if (usageAskedAt === undefined) return 0;
	const sinceMs = now - usageAskedAt;
	// A call from the future: the clock was set back.
	if (sinceMs < 0) return -sinceMs > FOLLOW_MS ? 0 : undefined;
	if (usageFailures !== 0) return Math.max(0, backoffMs(usageFailures) - sinceMs);
	if (usageAskedAt > answeredAt) return undefined;
	return isUrgent() ? 0 : Math.max(0, FOLLOW_MS - sinceMs);
}

function mayBeAsked({ enabled, needsLogin }: Account): boolean {
	return enabled && !needsLogin;
}

function backoffMs(failures: number): number {
	return Math.min(ASKING_MS * 2 ** failures, LONGEST_BACKOFF_MS);
}
