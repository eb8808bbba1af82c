import { printable } from "../../core/account.ts";
import { type Cooldown, type CooldownScope, FURTHEST_RESET_MS } from "../../core/cooldown.ts";
import { ownValue } from "../../core/own-value.ts";
import type { AccountStatus, ProcessMark } from "../../core/ports.ts";
import { hideEmails, hideTokens } from "../../core/privacy.ts";
import type { UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { STATUS_SCHEMA } from "../stores/state-file.ts";
import { CLOCK_TOLERANCE_MS } from "../stores/state-store.ts";

/** Maximum number of cooldowns read per account, and of marks on ended ones. */
const MOST_SCOPES = 100;
const MOST_MODELS = 50;
const MOST_CREDITS = 50;
const MOST_SPENT = 64;
const MOST_STRIKES = 100;
const LONGEST_NAME = 200;
const LONGEST_TEXT = 200;
/** What a newer version has added is kept up to this length, as JSON. */
const LONGEST_REST = 16_384;

/** Fields that stay on their machine. Claims in the database replace the exchange. */
const LOCAL: ReadonlySet<string> = new Set(["exchange", "marks"]);

/** Converts a time from one clock to another. 0 and below count as no time. */
type Move = (at: number) => number;

/**
 * Reads the database's status of an account, in the form that this machine would have written. `aheadMs`: how far this
 * machine's clock is ahead of the database's. Undefined if nothing can be read; otherwise each part falls back by
 * itself. Leaves out what is implausible: times in the future, ends more than a year ahead, texts that do not fit on a
 * line.
 */
export function readSharedStatus(raw: unknown, aheadMs: number, now: number): AccountStatus | undefined {
	const read = STATUS_SCHEMA.safeParse(raw).data;
	if (!read) return undefined;
	const moved = moveTimes(read, (at) => (at > 0 ? at + aheadMs : at));
	return believable(moved, now);
}

/**
 * Returns the form in which a status is stored in the database, with times by the database's clock. Keeps members of
 * `former` that this version does not know.
 */
export function writeSharedStatus(status: AccountStatus, aheadMs: number, former: unknown): unknown {
	const {
		lastError,
		usageError,
		marks,
		exchange: _ofThisMachine,
		...told
	} = moveTimes(status, (at) => (at > 0 ? at - aheadMs : at));
	return {
		...unknownOf(former),
		...told,
		lastError: lastError && { ...lastError, text: withoutNames(lastError.text) },
		usageError: usageError && { ...usageError, text: withoutNames(usageError.text) },
		marks: { ended: marks?.ended ?? [], changedAt: marks?.changedAt ?? {} },
	};
}

const KNOWN: ReadonlySet<string> = new Set(Object.keys(STATUS_SCHEMA.shape));

function unknownOf(former: unknown): Readonly<Record<string, unknown>> {
	if (typeof former !== "object" || former === null) return {};
	const rest = Object.fromEntries(Object.entries(former).filter(([key]) => !KNOWN.has(key)));
	return JSON.stringify(rest).length > LONGEST_REST ? {} : rest;
}

function withoutNames(text: string): string {
	return hideEmails(hideTokens(text)).slice(0, LONGEST_TEXT);
}

/**
 * Moves every time of a status by the same amount, except those that no machine compares with its own clock:
 *
 * | member | whose clock | moved |
 * |---|---|---|
 * | `setAt`, `capturedAt`, `at`, `askedAt`, `listedAt`, `...At` of the status, `changedAt` | the writer's | yes |
 * | `until` of cooldowns and marks, `doubtedUntil`, `closedUntil` | the writer's, which waits until then | yes |
 * | `resetsAt` of windows and budgets | the backend's, or the writer's if it gave seconds | yes |
 * | `expiresAt`, `grantedAt` of reset credits | the backend's | no |
 * | `uptime` of a redemption | the running time of one machine | no |
 *
 * It is unknown whether an `until` or `resetsAt` was a date of the backend or a number of seconds. In both cases its
 * writer compares it with its own clock, so moving it like the rest gives the same moment on every machine.
 */
function moveTimes(status: AccountStatus, move: Move): AccountStatus {
	const { usage, lastError, usageError, refusal, resetCredits, redemption, marks } = status;
	const moved = (at: number | undefined) => (at === undefined ? undefined : move(at));
	const inTime = <T extends { readonly at: number }>(each: T): T => ({ ...each, at: move(each.at) });
	return {
		...status,
		cooldowns: status.cooldowns.map((each) => ({ ...each, setAt: move(each.setAt), until: move(each.until) })),
		usage: usage && moveUsage(usage, move),
		usageAskedAt: moved(status.usageAskedAt),
		reserveAskedAt: moved(status.reserveAskedAt),
		lastUsedAt: moved(status.lastUsedAt),
		trialAt: moved(status.trialAt),
		doubtedUntil: moved(status.doubtedUntil),
		lastError: lastError && inTime(lastError),
		usageError: usageError && inTime(usageError),
		refusal: refusal && inTime(refusal),
		resetCredits: resetCredits && {
			...resetCredits,
			askedAt: move(resetCredits.askedAt),
			listedAt: moved(resetCredits.listedAt),
		},
		redemption: redemption && { ...inTime(redemption), closedUntil: moved(redemption.closedUntil) },
		marks: marks && {
			...marks,
			ended: marks.ended?.map((each) => ({ ...each, setAt: move(each.setAt), until: move(each.until) })),
			changedAt: marks.changedAt && mapValues(marks.changedAt, move),
		},
	};
}

function moveUsage(usage: UsageSnapshot, move: Move): UsageSnapshot {
	const { budgets, reserveModel } = usage;
	const inTime = <T extends UsageWindow>(window: T): T =>
		window.resetsAt === undefined ? window : { ...window, resetsAt: move(window.resetsAt) };
	return {
		...usage,
		capturedAt: move(usage.capturedAt),
		windows: usage.windows.map(inTime),
		...(budgets && { budgets: budgets.map(inTime) }),
		limits: mapValues(usage.limits, (limit) => ({ ...limit, windows: limit.windows.map(inTime) })),
		...(reserveModel && { reserveModel: { ...reserveModel, windows: reserveModel.windows.map(inTime) } }),
	};
}

function mapValues<T, R>(record: Readonly<Record<string, T>>, map: (value: T) => R): Readonly<Record<string, R>> {
	return Object.fromEntries(Object.entries(record).map(([key, value]) => [key, map(value)]));
}

/** Returns the status without what is implausible at `now`. Its schema bounds the usage. */
function believable(status: AccountStatus, now: number): AccountStatus {
	const isPast = (at: number) => at <= now + CLOCK_TOLERANCE_MS;
	const isNear = (at: number) => at <= now + FURTHEST_RESET_MS;
	const past = (at: number | undefined) => (at !== undefined && isPast(at) ? at : undefined);
	const near = (at: number | undefined) => (at !== undefined && isNear(at) ? at : undefined);
	const told = <T extends { readonly text: string; readonly at: number }>(error: T | undefined) =>
		error && isPast(error.at) ? { text: line(error.text, LONGEST_TEXT), at: error.at } : undefined;
	const isScoped = ({ scope, setAt, until }: { scope: CooldownScope; setAt: number; until: number }) =>
		isName(scope) && isPast(setAt) && isNear(until);
	const { usage, spent, refusal, refusedToken, resetCredits, redemption, marks } = status;
	return {
		cooldowns: status.cooldowns.filter(isScoped).slice(0, MOST_SCOPES).map(boundedCooldown),
		usage: usage && isPast(usage.capturedAt) ? usage : undefined,
		usageAskedAt: past(status.usageAskedAt),
		reserveAskedAt: past(status.reserveAskedAt),
		usageFailures: status.usageFailures === undefined ? undefined : Math.min(status.usageFailures, MOST_STRIKES),
		lastUsedAt: past(status.lastUsedAt),
		lastError: told(status.lastError),
		usageError: told(status.usageError),
		strikes: Math.min(status.strikes, MOST_STRIKES),
		spent: spent?.filter(({ tokenHash, reason }) => isName(tokenHash) && isName(reason)).slice(-MOST_SPENT),
		refusal: refusal && isName(refusal.tokenHash) && isPast(refusal.at) ? refusal : undefined,
		refusedToken: refusedToken !== undefined && isName(refusedToken) ? refusedToken : undefined,
		doubtedUntil: near(status.doubtedUntil),
		trialAt: past(status.trialAt),
		resetCredits: resetCredits && {
			askedAt: past(resetCredits.askedAt) ?? 0,
			listedAt: past(resetCredits.listedAt),
			credits: resetCredits.credits.filter(({ id }) => isName(id)).slice(0, MOST_CREDITS),
		},
		redemption:
			redemption && isName(redemption.creditId) && isName(redemption.key) && isPast(redemption.at)
				? { ...redemption, holder: holderIn(redemption.holder), closedUntil: near(redemption.closedUntil) }
				: undefined,
		marks: marks && {
			ended: (marks.ended ?? []).filter(isScoped).slice(0, MOST_SCOPES),
			changedAt: stampsIn(marks.changedAt, isPast),
		},
	};
}

function holderIn(holder: ProcessMark | undefined): ProcessMark | undefined {
	return holder && [holder.machine, holder.started ?? holder.machine].every(isName) ? holder : undefined;
}

/** Returns the times of known fields. A time in the future would reject every later change. */
function stampsIn(
	changedAt: Readonly<Record<string, number>> = {},
	isPast: (at: number) => boolean,
): Readonly<Record<string, number>> {
	const stamps = [...KNOWN].flatMap((key) => {
		const at = ownValue(changedAt, key);
		return at !== undefined && isPast(at) && !LOCAL.has(key) ? [[key, at] as const] : [];
	});
	return Object.fromEntries(stamps);
}

function boundedCooldown(cooldown: Cooldown): Cooldown {
	const { except } = cooldown;
	const names = (models: readonly string[]) => models.filter(isName).slice(0, MOST_MODELS);
	return { ...cooldown, models: names(cooldown.models), ...(except && { except: names(except) }) };
}

/** True if the text can be a name from us or from the backend. A longer or unprintable text cannot. */
function isName(text: string): boolean {
	return text !== "" && text.length <= LONGEST_NAME && printable(text) === text;
}

function line(text: string, longest: number): string {
	return printable(text.slice(0, longest));
}
