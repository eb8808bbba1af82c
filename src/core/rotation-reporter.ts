import type { Account } from "./account.ts";
import type { Affinity } from "./affinity.ts";
import { covers, isOfQuota } from "./cooldown.ts";
import type { RequestInfo, Rotated, RotationReason, SwitchCause, Switched } from "./events.ts";
import type { AccountId } from "./ids.ts";
import { ownValue } from "./own-value.ts";
import { selectionReasonOf } from "./policies.ts";
import type { Pool } from "./pool.ts";
import type { AccountStatus, Clock } from "./ports.ts";
import {
	byLength,
	creditsUntil,
	freshness,
	headroom,
	isExhausted,
	quotasOf,
	RESET_JITTER_MS,
	tightest,
	type UsageWindow,
	windowName,
} from "./usage.ts";

/** Tells how one request comes to its account. */
export interface RotationReporter {
	/**
	 * The request is about to try `account`, after `left`, chosen without those in `excluded`. `refusedFor`: why `left` was
	 * left where nothing stored tells it; undefined for the first account that the request tries.
	 */
	begin(
		account: Account,
		left: Account | undefined,
		excluded: ReadonlySet<AccountId>,
		refusedFor: RotationReason | undefined,
	): void;
	/** Something of `account` goes out to pi. */
	output(account: Account): void;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly clock: Clock;
	/** Settles when the usage is known that was asked for on this request's account; undefined where none was. */
	readonly usageKnown: () => Promise<void> | undefined;
}

/** Begins the tale of one request. */
export function createRotationReporter(
	asked: RequestInfo,
	{ pool, affinity, clock, usageKnown }: Deps,
): RotationReporter {
	/** The first change that a person is told of: later ones of this request only change where it ends. */
	let first: Rotated | Switched | undefined;

	const leftOf = (id: AccountId) => {
		const { usage } = pool.status(id);
		const now = clock.now();
		if (!usage || freshness(usage, now) !== "fresh") return { remainingPercent: undefined };
		return { remainingPercent: headroom(usage, now), remainingWindow: tightest(usage, now)?.window };
	};
	/** What was told of a spent account as it is known by now: its refusal need not have named window and reset. */
	const asKnownNow = (told: Rotated | Switched): Rotated | Switched => {
		if (told.type !== "rotated" || told.reason !== "usage_limit") return told;
		const why = whyLeft(told.from, told.to, asked, told.reason, pool, clock.now());
		if ("cause" in why || why.reason !== told.reason || why.readyAt === undefined) return told;
		const { readyAt, guessed } = why;
		return { ...told, readyAt, guessed, window: windowBehind(pool.status(told.from.id), asked, clock.now()) };
	};

	return {
		begin: (account, left, excluded, refusedFor) => {
			if (left?.id === account.id) return;
			const question = { ...asked, affinity: affinity.account(), served: affinity.lastServed() };
			const grounds = selectionReasonOf(pool.explain(question, excluded));
			if (!left) {
				pool.emit({ type: "chosen", account, asked, grounds });
				return;
			}
			const [from, to, now] = [left, account, clock.now()];
			const why = whyLeft(from, to, asked, refusedFor, pool, now);
			if ("cause" in why) {
				const { usage } = pool.status(from.id);
				const switched: Switched = { type: "switched", from, to, ...why, left: tightest(usage, now), asked, grounds };
				// Whoever pins or switches off by hand knows.
				if (why.cause === "policy") first ??= switched;
				pool.emit(switched);
				return;
			}
			const rotated: Rotated = {
				type: "rotated",
				from,
				to,
				...why,
				window: windowBehind(pool.status(from.id), asked, now),
				remainingPercent: leftOf(to.id).remainingPercent,
				asked,
				grounds,
			};
			first ??= rotated;
			pool.emit(rotated);
		},
		output: (to) => {
			const told = first;
			first = undefined;
			if (!told || told.from.id === to.id) return;
			const tell = () => pool.emit({ type: "continued", first: asKnownNow(told), to, ...leftOf(to.id) });
			const isOpen = told.type === "rotated" && told.reason === "usage_limit";
			const known = isOpen ? usageKnown() : undefined;
			if (known) void known.then(tell);
			else tell();
		},
	};
}

/** Why `from` was left is what the pool now knows of it. */
function whyLeft(
	from: Account,
	to: Account,
	{ modelId }: RequestInfo,
	refusedFor: RotationReason | undefined,
	pool: Pool,
	now: number,
):
	| { readonly cause: SwitchCause }
	| { readonly reason: RotationReason; readonly readyAt: number | undefined; readonly guessed?: boolean } {
	const longest = pool
		.status(from.id)
		.cooldowns.filter((cooldown) => covers(cooldown, modelId))
		.sort((a, b) => b.until - a.until)[0];
	if (longest) {
		const { reason, until: readyAt, guessed } = longest;
		return { reason, readyAt, ...(guessed && { guessed }) };
	}
	if (refusedFor !== undefined && refusedFor !== "unavailable") return { reason: refusedFor, readyAt: undefined };
	const until = creditsUntil(pool.status(from.id).usage, now);
	if (until !== undefined) return { reason: "usage_limit", readyAt: until };
	if (pool.pinned() === to.id) return { cause: "pin" };
	const known = pool.account(from.id);
	if (known?.needsLogin) return { reason: "signed_out", readyAt: undefined };
	if (!known?.enabled) return known?.disabledReason ? { reason: "closed", readyAt: undefined } : { cause: "user" };
	return refusedFor ? { reason: refusedFor, readyAt: undefined } : { cause: "policy" };
}

/**
 * Name of the window or budget that keeps the account out: the longest that is used up; where none is known to be, the one
 * that resets when the account is back.
 */
function windowBehind({ usage, cooldowns }: AccountStatus, { modelId }: RequestInfo, now: number): string | undefined {
	if (!usage) return undefined;
	const [longest] = cooldowns
		.filter((cooldown) => isOfQuota(cooldown) && covers(cooldown, modelId))
		.sort((a, b) => b.until - a.until);
	const limitId = longest?.scope.startsWith("limit:") ? longest.scope.slice("limit:".length) : undefined;
	const quotas = byLength(limitId === undefined ? quotasOf(usage) : (ownValue(usage.limits, limitId)?.windows ?? []));
	const spent = quotas.filter((window) => isExhausted([window], now));
	const isItsReset = ({ resetsAt }: UsageWindow) =>
		longest !== undefined &&
		!longest.guessed &&
		resetsAt !== undefined &&
		Math.abs(resetsAt - longest.until) <= RESET_JITTER_MS;
	const window = spent.at(-1) ?? quotas.findLast(isItsReset);
	return window && windowName(window.windowMinutes);
}
