import type { Account, AccountId } from "../domain/account.ts";
import { covers } from "../domain/cooldown.ts";
import type { Asked, Rotated, RotationReason, SwitchCause, Switched } from "../domain/events.ts";
import { groundsOf } from "../domain/selection.ts";
import {
	byLength,
	creditsUntil,
	freshness,
	headroom,
	isExhausted,
	quotasOf,
	tightest,
	type UsageSnapshot,
	windowName,
} from "../domain/usage.ts";
import type { Affinity } from "./affinity.ts";
import type { Pool } from "./pool.ts";
import type { Clock } from "./ports.ts";

/** Tells how one request comes to its account. */
export interface Moves {
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
}

/** Begins the tale of one request. */
export function followMoves(asked: Asked, { pool, affinity, clock }: Deps): Moves {
	/** The first change that a person is told of: later ones of this request only change where it ends. */
	let first: Rotated | Switched | undefined;

	const remainingPercent = (id: AccountId) => {
		const { usage } = pool.memo(id);
		const now = clock.now();
		return usage && freshness(usage, now) === "fresh" ? headroom(usage, now) : undefined;
	};

	return {
		begin: (account, left, excluded, refusedFor) => {
			if (left?.id === account.id) return;
			const question = { ...asked, affinity: affinity.account(), served: affinity.lastServed() };
			const grounds = groundsOf(pool.explain(question, excluded));
			if (!left) {
				pool.emit({ type: "chosen", account, asked, grounds });
				return;
			}
			const [from, to, now] = [left, account, clock.now()];
			const why = whyLeft(from, to, asked, refusedFor, pool, now);
			if ("cause" in why) {
				const { usage } = pool.memo(from.id);
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
				window: exhaustedWindow(pool.memo(from.id).usage, now),
				remainingPercent: remainingPercent(to.id),
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
			pool.emit({ type: "continued", first: told, to, remainingPercent: remainingPercent(to.id) });
		},
	};
}

/** Why `from` was left is what the pool now knows of it. */
function whyLeft(
	from: Account,
	to: Account,
	{ modelId }: Asked,
	refusedFor: RotationReason | undefined,
	pool: Pool,
	now: number,
):
	| { readonly cause: SwitchCause }
	| { readonly reason: RotationReason; readonly readyAt: number | undefined; readonly guessed?: boolean } {
	const longest = pool
		.memo(from.id)
		.cooldowns.filter((cooldown) => covers(cooldown, modelId))
		.sort((a, b) => b.until - a.until)[0];
	if (longest) {
		const { reason, until: readyAt, guessed } = longest;
		return { reason, readyAt, ...(guessed && { guessed }) };
	}
	if (refusedFor !== undefined && refusedFor !== "unavailable") return { reason: refusedFor, readyAt: undefined };
	const until = creditsUntil(pool.memo(from.id).usage, now);
	if (until !== undefined) return { reason: "usage_limit", readyAt: until };
	if (pool.pinned() === to.id) return { cause: "pin" };
	const known = pool.account(from.id);
	if (known?.needsLogin) return { reason: "signed_out", readyAt: undefined };
	if (!known?.enabled) return known?.disabledReason ? { reason: "closed", readyAt: undefined } : { cause: "user" };
	return refusedFor ? { reason: refusedFor, readyAt: undefined } : { cause: "policy" };
}

/** Name of the longest window or budget that is used up. */
function exhaustedWindow(usage: UsageSnapshot | undefined, now: number): string | undefined {
	const spent = byLength(usage ? quotasOf(usage) : []).filter((window) => isExhausted([window], now));
	const longest = spent.at(-1);
	return longest && windowName(longest.windowMinutes);
}
