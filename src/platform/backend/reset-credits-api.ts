import * as z from "zod/mini";
import type { ConsumeAnswer, ResetCreditsApi } from "../../core/ports.ts";
import { retryAfterOf } from "../../core/request/evidence.ts";
import type { ResetCredit } from "../../core/reset-credits/reset-credits.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";
import { callBackend, UnansweredError } from "./backend-call.ts";
import { readText } from "./read-body.ts";

const LIST = { path: "wham/rate-limit-reset-credits", service: "the service of reset credits" };
const CONSUME = { ...LIST, path: `${LIST.path}/consume` };
const LIST_TIMEOUT_MS = 15_000;
/** After a time-out it is unknown whether the credit is spent. */
const CONSUME_TIMEOUT_MS = 30_000;
/** An answer of the backend is a few KiB. */
const LONGEST_ANSWER_BYTES = 1_048_576;
/** Maximum number of credits read from a list. An account has a handful. */
const MOST_CREDITS = 100;
const ID = /^[\x21-\x7e]{1,200}$/;
/** Times further ahead are implausible. */
const FURTHEST_MS = 10 * 366 * 24 * 60 * 60_000;
/** The only kind of credit that resets an account's windows. */
const RESET_TYPE = "codex_rate_limits";
const AVAILABLE = "available";

const CODES = ["reset", "already_redeemed", "nothing_to_reset", "no_credit"] as const;

/** Creates the client for the reset credit endpoints next to a model's base URL. `now` returns epoch ms. */
export function createResetCreditsApi(now: () => number): ResetCreditsApi {
	return {
		list: async (call, signal) => {
			const bounded = AbortSignal.any([signal, AbortSignal.timeout(LIST_TIMEOUT_MS)]);
			const response = await callBackend(call, LIST, bounded);
			if (!response.ok) {
				await response.body?.cancel();
				throw new Error(`${LIST.service} answered ${response.status}`);
			}
			const text = await readText(response, bounded, LONGEST_ANSWER_BYTES).catch(() => "");
			const credits = creditsIn(text, now());
			if (!credits) throw new Error(`${LIST.service} gave an unexpected answer`);
			return credits;
		},
		consume: async (call, { creditId, key }) => {
			const bounded = AbortSignal.timeout(CONSUME_TIMEOUT_MS);
			try {
				const body = { redeem_request_id: key, credit_id: creditId };
				const response = await callBackend(call, { ...CONSUME, body }, bounded);
				return answerOf(response, await readText(response, bounded, LONGEST_ANSWER_BYTES).catch(() => ""), now());
			} catch (error) {
				// Anything else would be a defect after the call was made.
				const isUnsent = error instanceof UnansweredError && !error.maybeSent;
				const reason = error instanceof UnansweredError ? error.message : `${CONSUME.service} did not answer`;
				return { kind: isUnsent ? "unsent" : "unknown", reason };
			}
		},
	};
}

/**
 * Reads a list of credits, each by itself, so that a malformed one spoils only itself; undefined if it is not a list.
 */
export function creditsIn(text: string, now: number): readonly ResetCredit[] | undefined {
	const schemas = schemasOf();
	const entries = parseJson(schemas.list, text)?.credits.slice(0, MOST_CREDITS);
	return entries?.flatMap((entry): readonly ResetCredit[] => {
		const credit = schemas.credit.safeParse(entry).data;
		if (!credit) return [];
		const { id, status = AVAILABLE, reset_type: type = RESET_TYPE } = credit;
		if (status.toLowerCase() !== AVAILABLE || type.toLowerCase() !== RESET_TYPE) return [];
		const grantedAt = timeIn(credit.granted_at, now);
		return [{ id, expiresAt: timeIn(credit.expires_at, now), ...(grantedAt !== undefined && { grantedAt }) }];
	});
}

function answerOf({ ok, status, headers }: Response, text: string, now: number): ConsumeAnswer {
	const codes = parseJson(schemasOf().answer, text);
	const code = codes?.code ?? codes?.error?.code ?? codes?.detail?.code;
	const known = CODES.find((each) => each === code);
	if (known) return { kind: known };
	if (ok) return { kind: "unknown", reason: `${CONSUME.service} gave an unexpected answer` };
	const reason = `${CONSUME.service} ${refusalWords(status)}`;
	// A failing server may still have carried out the call.
	if (status >= 500 || status === 408) return { kind: "unknown", reason };
	const retryAfterMs = retryAfterOf(Object.fromEntries(headers), now);
	return { kind: "refused", status, reason, ...(retryAfterMs !== undefined && { retryAfterMs }) };
}

/** Contains no status number: the text may end a turn, where the host looks for numbers. */
function refusalWords(status: number): string {
	if (status === 401) return "refused the sign-in of the account";
	if (status === 429) return "asks to slow down";
	return status >= 500 || status === 408 ? "has an error of its own" : "refused the call";
}

/** Reads an ISO time, or seconds or milliseconds since 1970, as epoch ms; undefined if implausible. */
function timeIn(value: unknown, now: number): number | undefined {
	const at = typeof value === "string" && value.includes("-") ? Date.parse(value) : epochMs(value);
	return Number.isFinite(at) && Math.abs(at - now) <= FURTHEST_MS ? at : undefined;
}

/** Seconds since 1970 stay below this until the year 5138, and milliseconds have been above it since 1973. */
const LEAST_MS = 100_000_000_000;

function epochMs(value: unknown): number {
	const isNumber = typeof value === "number" || (typeof value === "string" && value.trim() !== "");
	const number = isNumber ? Number(value) : Number.NaN;
	return number >= LEAST_MS ? number : number * 1000;
}

const schemasOf = lazily(() => {
	const code = lenient(z.object({ code: lenient(z.string()) }));
	return {
		list: z.object({ credits: z.array(z.unknown()) }),
		credit: z.object({
			id: z.string().check(z.regex(ID)),
			reset_type: lenient(z.string()),
			status: lenient(z.string()),
			granted_at: z.optional(z.unknown()),
			expires_at: z.optional(z.unknown()),
		}),
		answer: z.object({ code: lenient(z.string()), error: code, detail: code }),
	};
});
