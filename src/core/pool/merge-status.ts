import { activeCooldowns, type Cooldown, type CooldownScope } from "../cooldown.ts";
import { allSpent, type SpentToken } from "../credentials/spent-tokens.ts";
import { ownValue } from "../own-value.ts";
import type { AccountStatus } from "../ports.ts";

/** The early end of a cooldown: by a reset, a redeemed credit, or usage that shows room. */
export interface EndedCooldown {
	readonly scope: CooldownScope;
	/** Ends cooldowns set until then, epoch ms. A later refusal starts another one. */
	readonly setAt: number;
	/** When the cooldown would have ended by itself, epoch ms. The mark is useless after that. */
	readonly until: number;
}

/** Shows which of two statuses of a shared account is newer, field by field, if two machines have changed it. */
export interface StatusMarks {
	readonly ended?: readonly EndedCooldown[] | undefined;
	/** When fields without a time of their own were last changed, epoch ms. */
	readonly changedAt?: Readonly<Record<string, number>> | undefined;
	/** The database version that contains all of this status; undefined if this status may have more. */
	readonly stored?: { readonly pool: string; readonly version: number } | undefined;
}

/** Fields of which the later time wins. */
type Latest = "usageAskedAt" | "reserveAskedAt" | "lastUsedAt" | "trialAt";

/** Fields of which the value written last wins, even if it is empty. */
export const LAST_WRITTEN = [
	"usageFailures",
	"lastError",
	"usageError",
	"strikes",
	"refusal",
	"refusedToken",
	"doubtedUntil",
	"resetCredits",
	"redemption",
] as const satisfies readonly (keyof AccountStatus)[];
export type LastWritten = (typeof LAST_WRITTEN)[number];

/**
 * An ended cooldown also ends those set up to this much later: the same refusal may have a slightly different date
 * after it has passed through a machine with another clock.
 */
const SAME_REFUSAL_MS = 1000;
/**
 * Maximum number of spent tokens exchanged per account. More than one machine remembers, so that none drops its own.
 */
const MOST_SPENT = 64;
/** Times in epoch ms have been larger than this since 1973, and no other number in a status is. */
const LEAST_TIME = 1e11;

/**
 * Merges what two machines know of one account, at `now` (epoch ms). The order does not matter, merging a status with
 * itself changes nothing, and no cooldown gets shorter unless a mark has ended it. Exchanges are left out: they belong
 * to their machine. A cooldown that was set again for less time than was left ends by a mark that has seen both. A mark
 * that has seen only the first keeps the longer time, which the next usage call corrects.
 */
export function mergeStatus(one: AccountStatus, other: AccountStatus, now: number): AccountStatus {
	const ended = mergedEnds([...endsOf(one), ...endsOf(other)], now);
	const later = <K extends LastWritten>(key: K): AccountStatus[K] => laterOf(one, other, key)[key];
	const latest = (key: Latest) => latestOf(one[key], other[key]);
	return {
		cooldowns: mergedCooldowns([...one.cooldowns, ...other.cooldowns], ended, now),
		usage: newerUsage(one, other).usage,
		usageAskedAt: latest("usageAskedAt"),
		reserveAskedAt: latest("reserveAskedAt"),
		usageFailures: later("usageFailures"),
		lastUsedAt: latest("lastUsedAt"),
		lastError: later("lastError"),
		usageError: later("usageError"),
		strikes: later("strikes"),
		spent: mergedSpent(one.spent, other.spent),
		refusal: later("refusal"),
		refusedToken: later("refusedToken"),
		doubtedUntil: later("doubtedUntil"),
		trialAt: latest("trialAt"),
		resetCredits: later("resetCredits"),
		redemption: later("redemption"),
		marks: { ended, changedAt: mergedStamps(one, other) },
	};
}

/**
 * Fields by which one process makes others leave a token or a reset credit alone. It relies on the others seeing them.
 */
const NOTES: ReadonlySet<string> = new Set(["exchange", "redemption"]);

/**
 * Applies to the status that another process has written what this process has changed since both knew `base`. A field
 * that only one of them changed keeps that change. Unknown fields are kept.
 */
export function mergeSince(
	base: AccountStatus,
	mine: AccountStatus,
	theirs: AccountStatus,
	now: number,
): AccountStatus {
	const [before, ours, stored] = [membersOf(base), membersOf(mine), membersOf(theirs)];
	const joined = membersOf(mergeStatus(withEnds(base, mine, now), withEnds(base, theirs, now), now));
	const isStamped = (key: string) => [mine, theirs].some(({ marks }) => marks?.changedAt?.[key] !== undefined);
	const decided = (key: string) => {
		if (NOTES.has(key)) return stored.get(key);
		if (key === "spent") return allSpent(theirs.spent, mine.spent);
		const isJoined = joined.has(key) && (!LAST_WRITTEN_KEYS.has(key) || isStamped(key));
		// Without a time the last write wins, which is ours.
		return isJoined ? joined.get(key) : ours.get(key);
	};
	const changes = [...new Set([...before.keys(), ...ours.keys()])].flatMap((key) => {
		if (isAlike(before.get(key), ours.get(key))) return [];
		return [[key, isAlike(before.get(key), stored.get(key)) ? ours.get(key) : decided(key)] as const];
	});
	return { ...theirs, ...Object.fromEntries(changes) };
}

const LAST_WRITTEN_KEYS: ReadonlySet<string> = new Set(LAST_WRITTEN);

function membersOf(status: AccountStatus): ReadonlyMap<string, unknown> {
	return new Map(Object.entries(status));
}

/** Returns the status with marks for what has ended since `base`. */
function withEnds(base: AccountStatus, status: AccountStatus, now: number): AccountStatus {
	const ended = mergedEnds([...endsOf(status), ...endsIn(base, status)], now);
	return { ...status, marks: { ...status.marks, ended } };
}

/** True if both have the same content. Times may differ by `toleranceMs`, and an undefined field counts as missing. */
export function isAlike(one: unknown, other: unknown, toleranceMs = 0, depth = 0): boolean {
	if (Object.is(one, other)) return true;
	if (typeof one === "number" && typeof other === "number") {
		return Math.min(one, other) >= LEAST_TIME && Math.abs(one - other) <= toleranceMs;
	}
	// No value of ours is nested this deeply. It came from a file, and is not compared.
	if (depth > DEEPEST) return true;
	if (Array.isArray(one) && Array.isArray(other)) {
		return one.length === other.length && one.every((each, at) => isAlike(each, other[at], toleranceMs, depth + 1));
	}
	if (!isGroup(one) || !isGroup(other)) return false;
	return Object.keys({ ...one, ...other }).every((key) => {
		return isAlike(ownValue(one, key), ownValue(other, key), toleranceMs, depth + 1);
	});
}

/** Deeper levels than this are not compared. */
const DEEPEST = 20;

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** Returns the same text for equal values. Decides between equal times, so that all machines decide alike. */
function textOf(value: unknown): string {
	const sorted = (_key: string, each: unknown) => {
		return isGroup(each) ? Object.fromEntries(Object.entries(each).sort(([a], [b]) => compare(a, b))) : each;
	};
	return JSON.stringify(value, sorted) ?? "";
}

/** Compares texts by code units, independent of the language. */
function compare(one: string, other: string): number {
	if (one === other) return 0;
	return one < other ? -1 : 1;
}

/** Orders values by their texts, which are made only where they may differ. */
function compareValues(one: unknown, other: unknown): number {
	return one === other ? 0 : compare(textOf(one), textOf(other));
}

export function stampOf({ marks }: AccountStatus, key: string): number {
	return ownValue(marks?.changedAt ?? {}, key) ?? 0;
}

/** Returns the status whose field was written last. Without times, the one whose value sorts last. */
function laterOf(one: AccountStatus, other: AccountStatus, key: LastWritten): AccountStatus {
	const difference = stampOf(one, key) - stampOf(other, key);
	if (difference !== 0) return difference > 0 ? one : other;
	return compareValues(one[key], other[key]) >= 0 ? one : other;
}

/** Returns the status with the newer usage. What was learnt about a snapshot later is newer than the snapshot. */
function newerUsage(one: AccountStatus, other: AccountStatus): AccountStatus {
	const difference =
		(one.usage?.capturedAt ?? 0) - (other.usage?.capturedAt ?? 0) ||
		stampOf(one, "usage") - stampOf(other, "usage") ||
		compareValues(one.usage, other.usage);
	return difference >= 0 ? one : other;
}

function latestOf(one: number | undefined, other: number | undefined): number | undefined {
	return one === undefined || other === undefined ? (one ?? other) : Math.max(one, other);
}

function mergedStamps(one: AccountStatus, other: AccountStatus): Readonly<Record<string, number>> {
	const stamps = LAST_WRITTEN.map((key) => [key, Math.max(stampOf(one, key), stampOf(other, key))] as const);
	const ofUsage = stampOf(newerUsage(one, other), "usage");
	return Object.fromEntries([...stamps, ["usage", ofUsage] as const].filter(([, at]) => at > 0));
}

/** Merges spent tokens, in an order that does not depend on the machine. */
function mergedSpent(
	one: readonly SpentToken[] | undefined,
	other: readonly SpentToken[] | undefined,
): readonly SpentToken[] | undefined {
	const byHash = new Map<string, SpentToken>();
	for (const each of [...(one ?? []), ...(other ?? [])]) {
		const known = byHash.get(each.tokenHash);
		if (!known || compare(each.reason, known.reason) > 0) byHash.set(each.tokenHash, each);
	}
	if (byHash.size === 0) return undefined;
	return [...byHash.values()].sort((a, b) => compare(a.tokenHash, b.tokenHash)).slice(-MOST_SPENT);
}

export function endsOf({ marks }: AccountStatus): readonly EndedCooldown[] {
	return marks?.ended ?? [];
}

/** Returns the cooldowns of `before` that `after` has ended or shortened. */
export function endsIn(before: AccountStatus, after: AccountStatus): readonly EndedCooldown[] {
	return before.cooldowns.flatMap(({ scope, setAt, until }) => {
		const isKept = after.cooldowns.some((each) => each.scope === scope && each.until >= until);
		return isKept ? [] : [{ scope, setAt: setAt + SAME_REFUSAL_MS, until }];
	});
}

/** Keeps one mark per scope, and only those still useful at `now`. */
export function mergedEnds(ends: readonly EndedCooldown[], now: number): readonly EndedCooldown[] {
	const byScope = new Map<CooldownScope, EndedCooldown>();
	for (const end of ends) {
		const { scope, setAt, until } = byScope.get(end.scope) ?? end;
		byScope.set(scope, { scope, setAt: Math.max(setAt, end.setAt), until: Math.max(until, end.until) });
	}
	return inOrder([...byScope.values()].filter(({ until }) => until > now));
}

function mergedCooldowns(
	cooldowns: readonly Cooldown[],
	ended: readonly EndedCooldown[],
	now: number,
): readonly Cooldown[] {
	const byScope = new Map<CooldownScope, Cooldown>();
	for (const each of activeCooldowns(cooldowns, now)) {
		const end = ended.find(({ scope }) => scope === each.scope);
		if (end && each.setAt <= end.setAt) continue;
		byScope.set(each.scope, joinedCooldown(byScope.get(each.scope) ?? each, each));
	}
	return inOrder([...byScope.values()]);
}

/** Merges two cooldowns of one scope: the longer one, with the models of the one that was set later. */
function joinedCooldown(one: Cooldown, other: Cooldown): Cooldown {
	const { scope, reason, until, guessed, shared } = longerOf(one, other);
	const latest = [one, other].filter(({ setAt }) => setAt === Math.max(one.setAt, other.setAt));
	const except = allOf(latest.map((each) => each.except ?? []));
	return {
		scope,
		reason,
		until,
		setAt: Math.max(one.setAt, other.setAt),
		models: allOf(latest.map(({ models }) => models)),
		...(except.length > 0 && { except }),
		...(guessed && { guessed }),
		...(shared && { shared }),
	};
}

function longerOf(one: Cooldown, other: Cooldown): Cooldown {
	if (one.until !== other.until) return one.until > other.until ? one : other;
	const nameOf = ({ reason, guessed, shared }: Cooldown) => textOf([reason, guessed ?? false, shared ?? false]);
	return compare(nameOf(one), nameOf(other)) >= 0 ? one : other;
}

function allOf(lists: readonly (readonly string[])[]): readonly string[] {
	return [...new Set(lists.flat())].sort(compare);
}

function inOrder<T extends { readonly scope: CooldownScope }>(rows: readonly T[]): readonly T[] {
	return [...rows].sort((a, b) => compare(a.scope, b.scope));
}
