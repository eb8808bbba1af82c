import type { Account } from "../account.ts";
import { type Cooldown, isOfQuota } from "../cooldown.ts";
import { tellDefect } from "../defect-reports.ts";
import type { RequestInfo, Rotated, RotationReason, SwitchCause, Switched } from "../events.ts";
import type { Clock } from "../ports.ts";
import { byLength, freshness, headroom, includedOf, isExhausted, limitOf, tightest, windowName } from "../quota.ts";
import { type Gated, gatedIn, type Plan, type SelectionReason, selectionReason } from "../request/plan.ts";
import type { Try, Wait } from "../request/request-progress.ts";
import type { ServedOn } from "../request/serve.ts";
import { RESET_JITTER_MS, type UsageSnapshot, type UsageWindow } from "../usage.ts";
import type { Pool } from "./pool.ts";

/** Reports how one request gets its account. */
export interface RotationReporter {
	/** The request is about to take `step`, after `previous`, according to `plan`. */
	accountChosen(step: Try, previous: Account | undefined, plan: Plan): void;
	/** The request waits for an account; undefined when it stops waiting. */
	waits(wait: Pick<Wait, "until" | "forRoom"> | undefined): void;
	/** The first output of `account` is about to be shown. */
	firstOutput(account: Account): void;
}

interface Deps {
	readonly pool: Pool;
	readonly clock: Clock;
	/** Settles when the usage calls of this request are answered; undefined if there are none. */
	readonly usageKnown: () => Promise<void> | undefined;
}

/** Creates the reporter of one request. `id` identifies the request within this process. */
export function createRotationReporter(
	id: number,
	asked: RequestInfo,
	{ pool, clock, usageKnown }: Deps,
): RotationReporter {
	let isWaiting = false;
	/** The first change, which the notice names. Later changes in this request only replace its target. */
	let first: Rotated | Switched | undefined;
	/** What the chosen account serves from. */
	let servedOn: ServedOn = "included";

	const remainingOn = (usage: UsageSnapshot | undefined) => {
		const now = clock.now();
		// An account that serves beyond its included quota has none left.
		if (servedOn !== "included" || !usage || freshness(usage, now) !== "fresh") return { remainingPercent: undefined };
		return { remainingPercent: headroom(usage, now), remainingWindow: tightest(usage, now)?.window };
	};
	/** Completes the report of a spent account with what is known now: the refusal may lack window and reset. */
	const asKnownNow = (change: Rotated | Switched): Rotated | Switched => {
		if (change.type !== "rotated" || change.reason !== "usage_limit") return change;
		const plan = pool.plan({ ...asked, affinity: undefined });
		const why = whyLeft(change.from, change.to, change.reason, plan);
		if ("cause" in why || why.reason !== change.reason || why.readyAt === undefined) return change;
		const { readyAt, guessed } = why;
		return { ...change, readyAt, guessed, window: windowBehind(gatedIn(plan, change.from.id), plan.now) };
	};
	const tellOfWait = (wait: Pick<Wait, "until" | "forRoom"> | undefined, goesOnWith?: Account) => {
		if (!wait && !isWaiting) return;
		isWaiting = wait !== undefined;
		const { until, forRoom = false } = wait ?? {};
		pool.emit({ type: "waiting", request: id, until, forRoom, ...(goesOnWith && { goesOnWith }) });
	};

	return {
		waits: (wait) => tellOfWait(wait),
		accountChosen: (step, from, plan) => {
			const { account: to, on, leftFor } = step;
			tellOfWait(undefined, to);
			servedOn = on;
			if (from?.id === to.id) return;
			const grounds = groundsOf(step, plan);
			if (!from) {
				pool.emit({ type: "chosen", account: to, asked, grounds });
				return;
			}
			const why = whyLeft(from, to, leftFor, plan);
			const { now } = plan;
			if ("cause" in why) {
				const left = tightest(pool.status(from.id).usage, now);
				const switched: Switched = { type: "switched", from, to, ...why, left, asked, grounds };
				// A person who pinned or disabled an account already knows.
				if (why.cause === "policy") first ??= switched;
				pool.emit(switched);
				return;
			}
			const rotated: Rotated = {
				type: "rotated",
				from,
				to,
				...why,
				window: windowBehind(gatedIn(plan, from.id), now),
				remainingPercent: remainingOn(pool.status(to.id).usage).remainingPercent,
				asked,
				grounds,
			};
			first ??= rotated;
			pool.emit(rotated);
		},
		firstOutput: (to) => {
			const change = first;
			first = undefined;
			// If a reserve model answers, the notice about that names the account.
			if (!change || change.from.id === to.id || servedOn === "reserve-model") return;
			const tell = () =>
				pool.emit({ type: "continued", first: asKnownNow(change), to, ...remainingOn(pool.status(to.id).usage) });
			const isOpen = change.type === "rotated" && change.reason === "usage_limit";
			const known = isOpen ? usageKnown() : undefined;
			if (known) known.then(tell).catch((error: unknown) => tellDefect(error, "request", pool.emit));
			else tell();
		},
	};
}

/** Returns why the account of `step` was chosen. Beyond included quota no term of the plan decided that. */
function groundsOf({ account, on, isTrial }: Try, plan: Plan): SelectionReason {
	const grounds = selectionReason(plan, account);
	if (on !== "included") return { ...grounds, decidedBy: on };
	return isTrial ? { ...grounds, decidedBy: "trial" } : grounds;
}

/** Returns why `from` was left, according to the plan; `leftFor` if stored state does not say. */
function whyLeft(
	from: Account,
	to: Account,
	leftFor: RotationReason | undefined,
	plan: Plan,
):
	| { readonly cause: SwitchCause }
	| { readonly reason: RotationReason; readonly readyAt: number | undefined; readonly guessed?: boolean } {
	const gated = gatedIn(plan, from.id);
	if (gated?.gate.kind === "not-in-set") return { reason: "not_in_set", readyAt: undefined };
	if (gated?.gate.kind === "capped") return { reason: "capped", readyAt: gated.gate.until };
	const longest = longestOf(gated?.blocking() ?? []);
	if (longest) {
		const { reason, until: readyAt, guessed } = longest;
		return { reason, readyAt, ...(guessed && { guessed }) };
	}
	if (leftFor !== undefined && leftFor !== "unavailable") return { reason: leftFor, readyAt: undefined };
	if (gated?.gate.kind === "credits") return { reason: "usage_limit", readyAt: gated.gate.until };
	if (plan.pinned === to.id) return { cause: "pin" };
	if (gated?.gate.kind === "needs-login") return { reason: "signed_out", readyAt: undefined };
	if (gated?.gate.kind === "disabled") {
		return gated.account.disabledReason ? { reason: "closed", readyAt: undefined } : { cause: "user" };
	}
	if (!isIn(plan, from)) return { cause: "user" };
	return leftFor ? { reason: leftFor, readyAt: undefined } : { cause: "policy" };
}

function isIn({ order, lastResort, passed, gated }: Plan, { id }: Account): boolean {
	return (
		[...order, ...lastResort, ...gated].some(({ account }) => account.id === id) ||
		passed.some((each) => each.id === id)
	);
}

function longestOf(cooldowns: readonly Cooldown[]): Cooldown | undefined {
	return [...cooldowns].sort((a, b) => b.until - a.until)[0];
}

/**
 * Names the window or budget that the account cools for: the longest one known to be used up, else the one that resets
 * when the account is ready again.
 */
function windowBehind(gated: Gated | undefined, now: number): string | undefined {
	if (gated?.gate.kind === "capped") return gated.gate.window;
	if (!gated?.usage) return undefined;
	const { usage } = gated;
	const longest = longestOf(gated.blocking().filter(isOfQuota));
	const limitId = longest?.scope.startsWith("limit:") ? longest.scope.slice("limit:".length) : undefined;
	const quotas = byLength(limitId === undefined ? includedOf(usage) : (limitOf(usage, limitId) ?? []));
	const spent = quotas.filter((window) => isExhausted([window], now));
	const isItsReset = ({ resetsAt }: UsageWindow) =>
		longest !== undefined &&
		!longest.guessed &&
		resetsAt !== undefined &&
		Math.abs(resetsAt - longest.until) <= RESET_JITTER_MS;
	const window = spent.at(-1) ?? quotas.findLast(isItsReset);
	return window && windowName(window.windowMinutes);
}
