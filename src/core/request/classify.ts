import { type CooldownReason, type CooldownScope, isOfQuota, plausibleLength, plausibleReset } from "../cooldown.ts";
import { exhaustedUntil, includedOf, isExhausted, knownReset, knownResetOfLimit } from "../quota.ts";
import type { UsageSnapshot } from "../usage.ts";
import {
	type CoolingRule,
	type FailureEvidence,
	OVERLOAD_CODE,
	OVERLOAD_CODES,
	OVERLOAD_MESSAGE,
	POLICY_CODE,
	POLICY_CODES,
	type Remedy,
	RULES,
	type Rule,
	SERVER_STATUSES,
	SIGN_IN_GONE_CODES,
	type Sign,
} from "./failure-rules.ts";

/**
 * Patterns read at most this much of a message: a server may quote the whole request, and matching time must stay
 * bounded.
 */
const LONGEST_MESSAGE = 2000;
const LONGEST_CODE = 200;
/** A workspace cooldown covers the other seats for at most this long, unless the server says when it ends. */
const SEATS_COOL_MS = 15 * 60_000;

/** A cooldown to set, and the accounts that it covers. */
export interface Cooling {
	readonly covers: "account" | "workspace";
	readonly scope: CooldownScope;
	readonly reason: CooldownReason;
	/** Epoch ms. */
	readonly until: number;
	/** For a workspace: when the cooldown of its other seats ends, epoch ms. */
	readonly seatsUntil?: number | undefined;
	/** True if the refusal named no reset. The usage endpoint knows better. */
	readonly guessed: boolean;
	/** No window proves what was spent. The limit may be that of one model. */
	readonly isUnproved?: true;
	/** Set the cooldown only after another account has served the same request. */
	readonly ifAnotherServes?: true;
}

/** A classified failure. */
export interface Failure {
	/** Name of the matching row, or `other`. */
	readonly kind: string;
	readonly remedy: Remedy;
	readonly cooling: Cooling | undefined;
	/** How long the server asks us to wait, ms. */
	readonly retryAfterMs: number | undefined;
	/** True for a 401 whose code says that the sign-in itself has ended. */
	readonly isSignInGone: boolean;
	/** True if the failure is surfaced because the host repeats the request by itself. */
	readonly isLeftToHost: boolean;
}

/** Finds the row for `given`. A failure without a row is surfaced unchanged. `now` is epoch ms. */
export function classify(
	given: FailureEvidence,
	context: { readonly now: number; readonly modelId: string; readonly cooldownMs: number },
): Failure {
	const evidence = {
		...given,
		...(given.message !== undefined && { message: given.message.slice(0, LONGEST_MESSAGE) }),
		...(given.code !== undefined && { code: given.code.slice(0, LONGEST_CODE) }),
	};
	const rule = findRule(evidence);
	return {
		kind: rule?.name ?? "other",
		remedy: rule?.remedy ?? "surface",
		cooling: rule?.cools && coolingOf(rule.cools, evidence, context),
		retryAfterMs: plausibleLength(evidence.retryAfterMs),
		isSignInGone: evidence.code !== undefined && SIGN_IN_GONE_CODES.includes(evidence.code),
		isLeftToHost: rule?.leftToHost === true && !isMereServerError(evidence),
	};
}

const KNOWN_CODES: ReadonlySet<string> = new Set(
	RULES.flatMap(({ signs }) => signs.flatMap(({ codes }) => codes ?? [])),
);

/** Picks the most specific code of one refusal: a policy's, else one that a row lists, else the first. */
export function tellingCode(codes: readonly string[]): string | undefined {
	const isPolicy = (code: string) => POLICY_CODES.includes(code) || POLICY_CODE.test(code.slice(0, LONGEST_CODE));
	return codes.find(isPolicy) ?? codes.find((code) => KNOWN_CODES.has(code)) ?? codes[0];
}

/** Replaces a guessed end of a quota cooldown by the reset that usage reports, if it does. */
export function withKnownReset(cooling: Cooling, usage: UsageSnapshot | undefined, now: number): Cooling {
	if (!cooling.guessed || !isOfQuota(cooling) || !usage) return cooling;
	const limitId = cooling.scope.startsWith("limit:") ? cooling.scope.slice("limit:".length) : undefined;
	const until = limitId === undefined ? resetBehind(cooling, usage, now) : knownResetOfLimit(usage, limitId, now);
	return until === undefined ? cooling : { ...cooling, until, guessed: false };
}

/** Returns the reset that ends a quota cooldown of the account. A workspace's limit is no window with quota left. */
function resetBehind({ reason }: Cooling, usage: UsageSnapshot, now: number): number | undefined {
	return reason === "workspace_limit" ? exhaustedUntil(includedOf(usage), now) : knownReset(usage, now);
}

/**
 * True for a server error without a sign of overload. The host has already repeated such a request before it reports
 * the error.
 */
function isMereServerError({ status, code = "", message = "" }: FailureEvidence): boolean {
	if (status === undefined || !SERVER_STATUSES.includes(status)) return false;
	return !OVERLOAD_CODES.includes(code) && !OVERLOAD_CODE.test(code) && !OVERLOAD_MESSAGE.test(message);
}

/** The order in which signs are tried: structured ones, then patterns over text, then the bare status. */
const STRENGTHS: readonly ((sign: Sign) => boolean)[] = [
	(sign) => !isTextual(sign) && !isBareStatus(sign),
	isTextual,
	isBareStatus,
];

function findRule(evidence: FailureEvidence): Rule | undefined {
	for (const hasStrength of STRENGTHS) {
		const found = RULES.find((rule) => rule.signs.some((sign) => hasStrength(sign) && holds(sign, evidence)));
		if (found) return found;
	}
	return undefined;
}

function isTextual(sign: Sign): boolean {
	return sign.message !== undefined || sign.codeLike !== undefined;
}

function isBareStatus(sign: Sign): boolean {
	return !isTextual(sign) && !sign.codes && !sign.header && !sign.html && !sign.exhausted && !sign.uncoded;
}

function holds(sign: Sign, evidence: FailureEvidence): boolean {
	const { status, code, message } = evidence;
	if (sign.status && !(status !== undefined && sign.status.includes(status))) return false;
	if (sign.statusNot && status !== undefined && sign.statusNot.includes(status)) return false;
	if (sign.unanswered && status !== undefined) return false;
	if (sign.codes && !(code !== undefined && sign.codes.includes(code))) return false;
	if (sign.codeLike && !sign.codeLike.test(code ?? "")) return false;
	if (sign.header && !sign.header[1].test((evidence.headers?.[sign.header[0]] ?? "").trim().toLowerCase()))
		return false;
	if (sign.html && !evidence.html) return false;
	if (sign.unsent && !evidence.unsent) return false;
	if (sign.uncoded && code !== undefined) return false;
	if (sign.unexplained && (code !== undefined || (message ?? "") !== "")) return false;
	if (sign.exhausted && !isExhausted(evidence.windows ?? [], Number.NEGATIVE_INFINITY)) return false;
	return !sign.message || sign.message.test(message ?? "");
}

function coolingOf(
	rule: CoolingRule,
	evidence: FailureEvidence,
	{ now, modelId, cooldownMs }: { now: number; modelId: string; cooldownMs: number },
): Cooling {
	const fallback = now + (rule.otherwiseMs === "cooldown" ? cooldownMs : rule.otherwiseMs);
	const stated = rule.covers === "model" ? undefined : statedEnd(rule, evidence, now);
	return {
		covers: rule.covers === "workspace" ? "workspace" : "account",
		scope: scopeOf(rule, evidence, modelId),
		reason: rule.reason,
		until: stated ?? fallback,
		...(rule.covers === "workspace" && { seatsUntil: seatsUntil(evidence, now) }),
		guessed: stated === undefined && rule.covers !== "model",
		...(rule.covers === "limit" && !isExhausted(evidence.windows ?? [], now) && { isUnproved: true }),
		...(rule.ifAnotherServes && { ifAnotherServes: true }),
	};
}

/**
 * When the cooldown of the other seats ends, epoch ms. A spent window, and any reset reported with it, belongs to the
 * refused seat alone.
 */
function seatsUntil({ windows = [], resetsAt }: FailureEvidence, now: number): number {
	const isOwn = isExhausted(windows, now);
	return (isOwn ? undefined : plausibleReset(resetsAt, now)) ?? now + SEATS_COOL_MS;
}

function scopeOf(rule: CoolingRule, evidence: FailureEvidence, modelId: string): CooldownScope {
	if (rule.covers === "model") return `model:${modelId}`;
	if (rule.covers === "limit" && evidence.limitId !== undefined) return `limit:${evidence.limitId}`;
	return "account";
}

/** Returns the end of a cooldown as stated in the refusal, epoch ms. */
function statedEnd(rule: CoolingRule, evidence: FailureEvidence, now: number): number | undefined {
	// A refusal of the account itself says nothing about quota, whatever windows its headers list.
	if (rule.ifAnotherServes) return undefined;
	const retryAfterMs = plausibleLength(evidence.retryAfterMs);
	// For quota, `retry-after` is no reset. It only says how long to hold back.
	if (rule.reason === "rate_limit" && retryAfterMs !== undefined) return now + retryAfterMs;
	return plausibleReset(evidence.resetsAt, now) ?? exhaustedUntil(evidence.windows ?? [], now);
}
