import {
	type Answer,
	answers,
	type TokenAnswer,
	tokenAnswers,
	type UsageAnswer,
	usageAnswers,
} from "../../support/fake-codex/index.ts";
import type { Dice } from "./dice.ts";

/**
 * What has to follow an answer, as far as the request that got it goes. `answered`: it is one. `moves`: another account
 * is asked, while there is one. `again`: the same account is asked once more, and a second one of the kind ends the
 * turn. `ends`: pi may hear of it. `stays`: pi hears of it, and no other account is asked. `once`: one other account is
 * asked, to learn whose fault it is. `open`: any of these, by transport and host; nothing is concluded from it.
 */
export type Sequel = "answered" | "moves" | "again" | "ends" | "stays" | "once" | "open";

/** One way to answer a request for a response. */
export interface Fault {
	readonly name: string;
	readonly weight: number;
	readonly sequel: Sequel;
	/** The same over a WebSocket, where hosts show the words alone; default: as over HTTP. */
	readonly overSocket?: Sequel;
	/**
	 * How long the account rests after it, ms. `told`: the answer says when it is back. `person`: until a user resets it.
	 * Absent: no account is blamed.
	 */
	readonly rests?: "told" | "person";
	/** The whole workspace is meant, with all its seats. */
	readonly isOfWorkspace?: true;
	/** Two in a row end the turn: a burst of invalidations must not take the whole pool along. */
	readonly isSignInGone?: true;
	/** Never ends by itself. */
	readonly hangs?: true;
	/** `text`: what a good answer says; `restMs`: how long a told rest is. */
	readonly answer: (text: readonly string[], restMs: number, dice: Dice) => Answer;
}

/** A fault of a table whose rows have the same sequel. */
type Trouble = Omit<Fault, "sequel"> & { readonly sequel?: Sequel };

const refused = (status: number, code: string, message: string): Answer =>
	answers.refuse(status, { error: { code, message, type: "invalid_request_error", param: null } });

const LIMIT = "The usage limit has been reached";
const joined = (text: readonly string[]) => text.join("");

/** Good answers, as they come. */
export const GOOD: readonly Fault[] = [
	{ name: "text", weight: 46, sequel: "answered", answer: (tokens) => answers.text(joined(tokens), { tokens }) },
	{
		name: "reasoning",
		weight: 14,
		sequel: "answered",
		answer: (tokens) => answers.text(joined(tokens), { tokens, reasoning: { summary: joined(tokens) } }),
	},
	{
		name: "tool call",
		weight: 6,
		sequel: "answered",
		answer: (tokens) => {
			const functionCalls = [{ name: "look", arguments: { at: "here" } }];
			return answers.text(joined(tokens), { tokens, functionCalls });
		},
	},
	{
		name: "slow",
		weight: 10,
		sequel: "answered",
		answer: (tokens, _, dice) => answers.text(joined(tokens), { tokens, delayMs: dice.between(5, 40) }),
	},
	{
		name: "late headers",
		weight: 4,
		sequel: "answered",
		answer: (tokens, _, dice) => answers.text(joined(tokens), { tokens, beforeHeadersMs: dice.between(50, 600) }),
	},
];

/** Refusals for which another account is asked. */
const ACCOUNTS_FAULTS: readonly Trouble[] = [
	{ name: "quota", weight: 5, rests: "told", answer: (_, resetsInMs) => answers.usageLimit({ resetsInMs }) },
	{
		name: "quota in the body",
		weight: 2,
		rests: "told",
		answer: (_, resetsInMs) => answers.usageLimit({ resetsInMs, headers: false }),
	},
	{
		name: "quota in headers",
		weight: 2,
		// A frame without a body has no words to tell it by.
		overSocket: "open",
		rests: "told",
		answer: (_, resetsInMs) => answers.usageLimit({ resetsInMs, body: false }),
	},
	{
		name: "quota without a reset",
		weight: 2,
		rests: "person",
		answer: (_, resetsInMs) => answers.usageLimit({ resetsInMs, headers: false, body: "no-reset" }),
	},
	{
		name: "quota in a stream",
		weight: 2,
		rests: "person",
		answer: () => answers.failedBeforeOutput("usage_limit_reached", LIMIT),
	},
	{
		name: "quota in an event",
		weight: 2,
		rests: "person",
		answer: () => answers.errorEvent("usage_limit_reached", LIMIT),
	},
	{
		name: "limit of a model",
		weight: 2,
		rests: "person",
		answer: (_, resetsInMs) => answers.perModelLimit({ resetsInMs }),
	},
	{
		name: "workspace limit",
		weight: 1,
		rests: "person",
		isOfWorkspace: true,
		answer: () => answers.workspaceLimit("workspace_member_usage_limit_reached"),
	},
	{ name: "bare 429", weight: 2, rests: "person", answer: () => answers.bare429() },
	// The same account after a second, then another one.
	{ name: "429 for a moment", weight: 1, rests: "person", answer: () => answers.rateLimit({ retryAfterSeconds: 1 }) },
	{
		name: "429 for a long time",
		weight: 1,
		rests: "person",
		answer: () => answers.rateLimit({ retryAfterSeconds: 30 }),
	},
	{ name: "402", weight: 1, overSocket: "once", rests: "person", answer: () => answers.deactivatedWorkspace() },
	{
		name: "403 workspace",
		weight: 1,
		overSocket: "once",
		rests: "person",
		answer: () => answers.forbidden("workspace_disabled"),
	},
	{
		name: "403 account",
		weight: 1,
		overSocket: "once",
		rests: "person",
		answer: () => answers.forbidden("account_disabled"),
	},
	{ name: "not included", weight: 1, rests: "person", answer: () => answers.usageNotIncluded() },
	{ name: "model not found", weight: 1, rests: "person", answer: () => answers.modelNotFound("gpt-5.5") },
	{ name: "model not supported", weight: 1, rests: "person", answer: () => answers.modelNotSupported("gpt-5.5") },
];

/** Refused tokens: the same account is asked with a new one, then another account. */
const REFUSED_TOKENS: readonly Trouble[] = [
	{ name: "401 expired", weight: 2, answer: () => answers.unauthorized("token_expired") },
	{ name: "401 invalidated", weight: 1, isSignInGone: true, answer: () => answers.unauthorized("token_invalidated") },
	{ name: "401 revoked", weight: 1, isSignInGone: true, answer: () => answers.unauthorized("token_revoked") },
	{
		name: "401 session ended",
		weight: 0.5,
		isSignInGone: true,
		answer: () => answers.unauthorized("app_session_terminated"),
	},
	{ name: "401 hidden", weight: 1, overSocket: "open", answer: () => answers.unauthorized("detail") },
	{
		name: "401 closed",
		weight: 0.3,
		overSocket: "once",
		isSignInGone: true,
		answer: () => answers.unauthorized("account_deactivated"),
	},
];

/** What changes the request, once. */
const ONCE_MORE: readonly Trouble[] = [
	{ name: "reasoning refused", weight: 2, answer: () => answers.invalidEncryptedContent() },
	{ name: "unknown response", weight: 1, answer: () => answers.previousResponseNotFound() },
];

/** What no other account would do better, or must not be replayed. */
const ENDS: readonly Trouble[] = [
	...[500, 502, 503, 504].map((status) => ({
		name: `${status}`,
		weight: 0.7,
		answer: () => answers.serverError(status),
	})),
	{ name: "overloaded", weight: 1, overSocket: "open", answer: () => answers.overloaded() },
	{
		name: "overloaded in a stream",
		weight: 1,
		answer: () =>
			answers.failedBeforeOutput(
				"server_is_overloaded",
				"Our servers are currently overloaded. Please try again later.",
			),
	},
	{
		name: "at capacity",
		weight: 1,
		answer: () =>
			answers.failedBeforeOutput("server_error", "Selected model is at capacity. Please try a different model."),
	},
	{ name: "cloudflare", weight: 1, overSocket: "open", answer: () => answers.cloudflare() },
	{
		name: "gateway page",
		weight: 1,
		answer: () =>
			answers.refuse(502, "<!DOCTYPE html><html><title>Bad gateway</title></html>", { "content-type": "text/html" }),
	},
	{ name: "region", weight: 0.5, overSocket: "open", answer: () => answers.regionBlocked() },
	{ name: "context too long", weight: 1, sequel: "stays", answer: () => answers.contextTooLong() },
	{
		name: "policy",
		weight: 1,
		sequel: "stays",
		overSocket: "open",
		answer: () => refused(400, "cyber_policy", "This request was flagged."),
	},
	{
		name: "403 unknown",
		weight: 1,
		overSocket: "open",
		sequel: "once",
		rests: "person",
		answer: () => answers.refuse(403, { detail: { code: "brand_new" } }),
	},
	{
		name: "401 with a reason",
		weight: 1,
		sequel: "once",
		rests: "person",
		answer: () => answers.refuse(401, { detail: "Workspace is not authorized in this region." }),
	},
	{ name: "reset", weight: 1, answer: () => answers.resetBeforeHeaders() },
	{ name: "hang", weight: 0.7, hangs: true, answer: () => answers.hang() },
	{ name: "hang after start", weight: 0.7, hangs: true, answer: () => answers.hangAfterStart() },
	{ name: "hang in mid-answer", weight: 0.7, hangs: true, answer: (tokens) => answers.hangAfterStart(joined(tokens)) },
	{ name: "no end", weight: 1, answer: (tokens) => answers.noTerminalEvent(joined(tokens)) },
	{ name: "no end nor text", weight: 1, answer: () => answers.noTerminalEvent() },
	{ name: "reset in mid-answer", weight: 1, answer: (tokens) => answers.resetMidStream(joined(tokens)) },
	{
		name: "closed in mid-answer",
		weight: 1,
		answer: (tokens) => answers.wsClose(1011, "", { afterText: joined(tokens) }),
	},
	{ name: "closed at once", weight: 1, answer: () => answers.wsClose(1006) },
	{
		name: "garbage",
		weight: 1,
		answer: () => answers.refuse(200, "}garbage{", { "content-type": "text/event-stream" }),
	},
	{
		name: "quota in mid-answer",
		weight: 2,
		rests: "person",
		answer: (tokens) => answers.failedAfterOutput("usage_limit_reached", LIMIT, joined(tokens)),
	},
	{
		name: "refused in mid-answer",
		weight: 1,
		rests: "person",
		answer: (tokens) =>
			answers.errorEvent("token_invalidated", "Your session has ended. Please log in again.", {
				afterText: joined(tokens),
			}),
	},
];

/** Every way to answer a request badly. */
export const BAD: readonly Fault[] = [
	...ACCOUNTS_FAULTS.map((fault): Fault => ({ sequel: "moves", ...fault })),
	...REFUSED_TOKENS.map((fault): Fault => ({ sequel: "moves", rests: "person", ...fault })),
	...ONCE_MORE.map((fault): Fault => ({ sequel: "again", ...fault })),
	...ENDS.map((fault): Fault => ({ sequel: "ends", ...fault })),
];

/** Whether a token may be spent after an answer of the token endpoint. */
export type Spending = "granted" | "unspent" | "unknown" | "refused";

/** One way to answer a token request. */
export interface TokenFault {
	readonly name: string;
	readonly weight: number;
	/** What the sender may conclude. */
	readonly spending: Spending;
	readonly answer: (dice: Dice) => TokenAnswer;
}

/** Every way to answer a token request. */
export const TOKEN_FAULTS: readonly TokenFault[] = [
	{ name: "normal", weight: 40, spending: "granted", answer: () => tokenAnswers.normal() },
	{
		name: "late",
		weight: 10,
		spending: "granted",
		answer: (dice) => tokenAnswers.delay(dice.between(5, 400), { rotate: "before" }),
	},
	{
		name: "very late",
		weight: 1,
		spending: "granted",
		answer: (dice) => tokenAnswers.delay(dice.between(1500, 4000), { rotate: "before" }),
	},
	{ name: "late to spend", weight: 4, spending: "granted", answer: (dice) => tokenAnswers.delay(dice.between(5, 400)) },
	{ name: "same refresh token", weight: 5, spending: "granted", answer: () => tokenAnswers.withoutRefreshToken() },
	{ name: "500", weight: 4, spending: "unspent", answer: () => answers.serverError(500) },
	{
		name: "503 late",
		weight: 2,
		spending: "unspent",
		answer: (dice) => answers.delayed(dice.between(50, 1500), answers.serverError(503)),
	},
	{ name: "429", weight: 3, spending: "unspent", answer: () => answers.bare429() },
	{ name: "page", weight: 3, spending: "unspent", answer: () => answers.cloudflare() },
	{ name: "lost answer", weight: 1, spending: "unknown", answer: () => tokenAnswers.resetAfterRotation() },
	{ name: "reset", weight: 2, spending: "unknown", answer: () => answers.resetBeforeHeaders() },
	{
		name: "late reset",
		weight: 1,
		spending: "unknown",
		answer: () => answers.delayed(700, answers.resetBeforeHeaders()),
	},
	{
		name: "garbage",
		weight: 1,
		spending: "unknown",
		answer: () => answers.refuse(200, "<html>welcome</html>", { "content-type": "text/html" }),
	},
	{
		name: "no token",
		weight: 0.5,
		spending: "unknown",
		answer: () => tokenAnswers.change(() => ({ token_type: "Bearer" })),
	},
	{ name: "refused", weight: 1, spending: "refused", answer: () => tokenAnswers.permanent("refresh_token_expired") },
	{ name: "hang", weight: 0.15, spending: "unknown", answer: () => answers.hang() },
];

/** One way to answer a usage request. */
export interface UsageFault {
	readonly name: string;
	readonly weight: number;
	/** It tells a spent window, which is back after this time. */
	readonly restMs?: number;
	readonly answer: (dice: Dice) => UsageAnswer;
}

const SPENT_FOR_MS = 3000;

/** Every way to answer a usage request. */
export const USAGE_FAULTS: readonly UsageFault[] = [
	{ name: "modelled", weight: 30, answer: () => usageAnswers.modelled() },
	{ name: "late", weight: 5, answer: (dice) => usageAnswers.modelled({ delayMs: dice.between(10, 800) }) },
	{
		name: "spent",
		weight: 2,
		restMs: SPENT_FOR_MS,
		answer: () => usageAnswers.windows(["fiveHour", { usedPercent: 100, resetsInMs: SPENT_FOR_MS }]),
	},
	{
		name: "half",
		weight: 5,
		answer: (dice) =>
			usageAnswers.windows(
				["fiveHour", { usedPercent: dice.between(0, 95) }],
				["week", { usedPercent: dice.between(0, 95) }],
			),
	},
	{ name: "no windows", weight: 2, answer: () => usageAnswers.nullWindows() },
	{ name: "no limits", weight: 2, answer: () => usageAnswers.noRateLimit() },
	{ name: "wrong shape", weight: 2, answer: () => usageAnswers.malformed() },
	{ name: "500", weight: 3, answer: () => answers.serverError(500) },
	{ name: "401", weight: 1, answer: () => answers.unauthorized("token_expired") },
	{ name: "429", weight: 2, answer: () => answers.bare429() },
	{ name: "page", weight: 2, answer: () => answers.cloudflare() },
	{ name: "garbage", weight: 2, answer: () => answers.refuse(200, "}garbage{") },
	{ name: "reset", weight: 2, answer: () => answers.resetBeforeHeaders() },
	{ name: "hang", weight: 1, answer: () => answers.hang() },
];
