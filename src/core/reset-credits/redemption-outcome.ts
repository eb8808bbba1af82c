import type { ConsumeAnswer, Redemption } from "../ports.ts";
import type { RedemptionEnd } from "./reset-credits.ts";

/** How a call has ended, and what is recorded of it. */
export interface CallOutcome {
	readonly redemption: Redemption;
	/** Undefined if the credit may be spent. The next try sends the same key. */
	readonly end: RedemptionEnd | undefined;
}

/** How long an account is not offered again after a failure, by cause. */
export const CLOSED_MS = { short: 60_000, medium: 15 * 60_000, long: 60 * 60_000 } as const;

/** Interprets an answer. `now` is epoch ms. No reason contains a number, since it may end a turn. */
export function outcomeOf(answer: ConsumeAnswer, now: number): CallOutcome {
	const failed = (reason: string, forMs: number): Redemption => ({ kind: "failed", reason, until: now + forMs });
	switch (answer.kind) {
		case "reset":
			return { redemption: { kind: "redeemed" }, end: "redeemed" };
		case "already_redeemed":
			return { redemption: { kind: "already" }, end: "already" };
		case "nothing_to_reset": {
			const reason = "OpenAI found nothing to reset, and kept the credit";
			return {
				redemption: { kind: "nothing-to-reset", reason, until: now + CLOSED_MS.medium },
				end: "nothing-to-reset",
			};
		}
		case "no_credit":
			return { redemption: noCredit("OpenAI has no such credit any more", now), end: "no-credit" };
		case "refused": {
			const { status, reason, retryAfterMs } = answer;
			return { redemption: failed(reason, retryAfterMs ?? closedMs(status)), end: "failed" };
		}
		case "unknown":
		case "unsent":
			return { redemption: failed(answer.reason, CLOSED_MS.short), end: undefined };
	}
}

/**
 * Returns the outcome for a credit that does not exist. It is off the list by then, and another one of the account may
 * be offered soon.
 */
export function noCredit(reason: string, now: number): Redemption {
	return { kind: "no-credit", reason, until: now + CLOSED_MS.short };
}

function closedMs(status: number): number {
	return status === 429 ? CLOSED_MS.medium : CLOSED_MS.long;
}
