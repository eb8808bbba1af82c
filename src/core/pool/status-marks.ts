import type { Cooldown } from "../cooldown.ts";
import type { AccountStatus } from "../ports.ts";
import {
	type EndedCooldown,
	endsIn,
	endsOf,
	isAlike,
	LAST_WRITTEN,
	type LastWritten,
	mergedEnds,
	stampOf,
} from "./merge-status.ts";

type Change = (status: AccountStatus) => AccountStatus;

/**
 * Wraps a change so that it marks what other machines must know: cooldowns that it ends or shortens, and changed fields
 * without a time of their own. `now` is the time of the change, epoch ms. The file may apply the change several times,
 * also to a status that already has it or has learnt something newer since. That is left alone.
 */
export function marking(change: Change, now: number): Change {
	let at: number | undefined;
	return (status) => {
		at ??= latestIn(status, now);
		return marked(status, change(status), at);
	};
}

/** Marks what a reset has ended, given the status `before` it. May be applied several times. */
export function markingReset(before: AccountStatus, now: number): Change {
	const at = latestIn(before, now);
	const ends = endsIn(before, { cooldowns: [], strikes: 0 });
	return (status) => {
		const { marks } = status;
		const strikes = before.strikes > 0 ? { strikes: Math.max(stampOf(status, "strikes"), at) } : {};
		const ended = mergedEnds([...endsOf(status), ...ends], now);
		return { ...status, marks: { ended, changedAt: { ...marks?.changedAt, ...strikes } } };
	};
}

/** Returns a time no earlier than anything known: `now`, unless the clock was set back. */
function latestIn({ cooldowns, marks }: AccountStatus, now: number): number {
	const stamps = Object.values(marks?.changedAt ?? {}).map((at) => at + 1);
	return Math.max(now, ...stamps, ...cooldowns.map(({ setAt }) => setAt));
}

function marked(before: AccountStatus, after: AccountStatus, at: number): AccountStatus {
	if (before === after) return before;
	const isNewer = ({ setAt }: Cooldown) => setAt > at;
	const older = { ...before, cooldowns: before.cooldowns.filter((each) => !isNewer(each)) };
	const ended = mergedEnds([...endsOf(before), ...endsIn(older, after)], at);
	const cooldowns = withLonger(after.cooldowns, before.cooldowns.filter(isNewer));
	const changedAt = { ...before.marks?.changedAt };
	let kept: AccountStatus = { ...after, cooldowns: beyond(ended, cooldowns), marks: { ended, changedAt } };
	const settle = <K extends LastWritten | "usage">(key: K) => {
		if (isAlike(before[key], after[key])) return;
		if (stampOf(before, key) >= at) kept = { ...kept, [key]: before[key] };
		else changedAt[key] = at;
	};
	for (const key of LAST_WRITTEN) settle(key);
	if (after.usage?.capturedAt === before.usage?.capturedAt) settle("usage");
	else delete changedAt.usage;
	return kept;
}

/** Replaces cooldowns by longer ones of the same scope from `others`. */
function withLonger(cooldowns: readonly Cooldown[], others: readonly Cooldown[]): readonly Cooldown[] {
	const missing = others.filter(({ scope, until }) => {
		return !cooldowns.some((each) => each.scope === scope && each.until >= until);
	});
	if (missing.length === 0) return cooldowns;
	return [...cooldowns.filter(({ scope }) => !missing.some((each) => each.scope === scope)), ...missing];
}

/** Dates each cooldown after any mark on its scope: what is learnt now is not what was ended. */
function beyond(ended: readonly EndedCooldown[], cooldowns: readonly Cooldown[]): readonly Cooldown[] {
	return cooldowns.map((each) => {
		const end = ended.find(({ scope }) => scope === each.scope);
		return end && each.setAt <= end.setAt ? { ...each, setAt: end.setAt + 1 } : each;
	});
}
