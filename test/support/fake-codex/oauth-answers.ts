import type { PlainAnswer } from "./answer.ts";
import { refuse } from "./answers-refused.ts";
import type { JsonRecord } from "./json.ts";

/** A token request that is processed, with a fault around it. */
export interface TokenGrantAnswer {
	readonly kind: "grant";
	readonly name: string;
	/** Pause before the token is looked at; a client gone by then has not spent it. */
	readonly delayBeforeMs: number;
	/** Pause after the token was rotated. */
	readonly delayAfterMs: number;
	/** What the answer waits for, after the token was rotated. */
	readonly released?: Promise<void>;
	/** false: the refresh token stays valid and the answer has none. */
	readonly rotates: boolean;
	/** Resets the connection instead of answering, after the rotation. */
	readonly lost: boolean;
	/** Changes the answer, e.g. drops a field. */
	readonly change: (body: JsonRecord) => JsonRecord;
}

/** How the token endpoint answers: normally with a fault, or with any answer of `answers` that is not a stream. */
export type TokenAnswer = PlainAnswer | TokenGrantAnswer;

/** Where a refusal of the token endpoint carries its code (codex-backend.md 1.3). */
export type ErrorCodePlace = "error.code" | "error" | "code";

const NORMAL: TokenGrantAnswer = {
	kind: "grant",
	name: "normal",
	delayBeforeMs: 0,
	delayAfterMs: 0,
	rotates: true,
	lost: false,
	change: (body) => body,
};

/**
 * Constructors of the token endpoint's answers; `answers.hang()`, `.serverError(503)`, `.cloudflare()`,
 * `.regionBlocked()`, `.bare429()` and `.resetBeforeHeaders()` work there too.
 */
export const tokenAnswers = {
	/** The healthy answer. */
	normal: (): TokenGrantAnswer => NORMAL,
	/**
	 * The healthy answer, late; `rotate: "before"` spends the token at arrival, so a client that gives up has lost it.
	 */
	delay: (ms: number, options: { rotate?: "before" | "after" } = {}): TokenGrantAnswer => {
		const pause = options.rotate === "before" ? { delayAfterMs: ms } : { delayBeforeMs: ms };
		return { ...NORMAL, ...pause, name: "delay" };
	},
	/** The healthy answer, as late as `released`; the token is spent at arrival. */
	hold: (released: Promise<void>): TokenGrantAnswer => ({ ...NORMAL, name: "hold", released }),
	/** Keeps the refresh token and leaves it out of the answer. */
	withoutRefreshToken: (): TokenGrantAnswer => ({ ...NORMAL, name: "withoutRefreshToken", rotates: false }),
	/** Rotates the token, then resets the connection: the answer is lost. */
	resetAfterRotation: (): TokenGrantAnswer => ({ ...NORMAL, name: "resetAfterRotation", lost: true }),
	/** Changes a healthy answer. */
	change: (edit: (body: JsonRecord) => JsonRecord): TokenGrantAnswer => ({ ...NORMAL, name: "change", change: edit }),
	/** A permanent (or any other) error code, 401 unless told otherwise; the token is not spent. */
	permanent: (code: string, options: { status?: number; place?: ErrorCodePlace } = {}): PlainAnswer => ({
		...refuse(options.status ?? 401, tokenError(code, options.place)),
		name: `permanent:${code}`,
	}),
};

const MESSAGES: Readonly<Record<string, string>> = {
	refresh_token_reused:
		"Your refresh token has already been used to generate a new access token. Please try signing in again.",
	refresh_token_expired: "Your refresh token has expired. Please try signing in again.",
	refresh_token_invalidated: "Your refresh token has been invalidated. Please try signing in again.",
	app_session_terminated: "Your session has ended. Please log in again.",
	account_deactivated: "Your OpenAI account has been deactivated.",
};

/** Error body of the token endpoint in one of its three shapes. */
export function tokenError(
	code: string,
	place: ErrorCodePlace = "error.code",
	message = MESSAGES[code] ?? `Refused: ${code}.`,
): JsonRecord {
	if (place === "error") return { error: code, error_description: message };
	if (place === "code") return { code, message };
	return { error: { message, type: "invalid_request_error", param: null, code } };
}
