import type { OAuthClient, RefreshOutcome } from "../../core/ports.ts";
import { codesIn, endOfGrant, type Grant, grantIn, isSpoken, isUsable } from "./grant.ts";
import { readBody } from "./read-body.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";
import { unreachedWords, whyUnreached } from "./unreached.ts";

/** The public OAuth client of pi and Codex. */
export const CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann";

/** The issuer, unless `PI_MULTICODEX_AUTH_URL` names another. */
export const DEFAULT_ISSUER = "https://auth.openai.com";

/** Codes after which trying again is useless (from Codex, codex-lb and public reports). */
const SIGN_IN_AGAIN = new Set([
	"refresh_token_expired",
	"refresh_token_reused",
	"refresh_token_invalidated",
	"refresh_token_exhausted",
	"refresh_token_revoked",
	"refresh_token_invalid",
	"refresh_token_not_found",
	"invalid_grant",
	"invalid_refresh_token",
	"revoked",
	"token_expired",
	"token_invalidated",
	"token_revoked",
	"app_session_terminated",
	"session_expired",
	"session_terminated",
	"account_session_expired",
	"account_auth_invalidated",
]);
const ACCOUNT_CLOSED = new Set(["account_deactivated", "account_suspended", "account_deleted"]);

/** Codes that say nothing about the token, whatever the status. */
const PASSING = new Set([
	"unsupported_country_region_territory",
	"temporarily_unavailable",
	"server_error",
	"rate_limit_exceeded",
	"slow_down",
	"invalid_client",
	"unauthorized_client",
	"unsupported_grant_type",
]);

/** Time-out of an exchange, counted in ticks of the running process, so that a sleep of the machine does not count. */
const TICK_MS = 250;
const EXCHANGE_TICKS = 120;

/** Tokens and error pages are far shorter. Only this much of a longer answer is read. */
const LONGEST_ANSWER_BYTES = 262_144;

const WITHOUT_TOKEN = "the sign-in service gave an answer without a token";

const NO_ANSWER = "the sign-in service did not answer";

/** Creates the client of the OAuth issuer at `issuer`. Throws if tokens must not be sent there. */
export function createOAuthClient(issuer: string, now: () => number): OAuthClient {
	return {
		refresh: async (refreshToken) => {
			const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
			if (refusal) return { kind: "unavailable", reason: refusal, lasts: true };
			const timeout = tickingTimeout();
			try {
				const response = await fetch(`${withoutSlash(issuer)}/oauth/token`, {
					method: "POST",
					headers: { "content-type": "application/x-www-form-urlencoded" },
					body: new URLSearchParams({
						grant_type: "refresh_token",
						refresh_token: refreshToken,
						client_id: CLIENT_ID,
					}),
					redirect: "error",
					signal: timeout.signal,
				});
				const came = await readBody(response, LONGEST_ANSWER_BYTES, timeout.signal);
				// An answer cut off after its access token is good enough.
				const grant = grantIn(came.text);
				const tokens = grant && tokensOf(grant, response.ok, refreshToken, now());
				if (tokens) return tokens;
				// An answer has begun, so the token was sent, however the connection broke.
				if (came.broken) return { kind: "unknown", reason: NO_ANSWER };
				timeout.signal.throwIfAborted();
				return outcomeOf(response, came.isWhole ? came.text : "");
			} catch (error) {
				return connectionFailure(error);
			} finally {
				timeout.stop();
			}
		},
	};
}

/**
 * Reads the tokens of an answer; undefined without any. Such an answer has spent the former refresh token, so neither
 * the status nor another field decides whether a usable access token counts.
 */
function tokensOf(grant: Grant, isOk: boolean, refreshToken: string, now: number): RefreshOutcome | undefined {
	const { access, refresh } = grant;
	if (isUsable(access)) {
		const credential = { access, refresh: refresh ?? refreshToken, expiresAt: endOfGrant(access, grant, now) };
		return { kind: "granted", credential };
	}
	// In a refusal this may be a message about the token that was sent.
	if (!isOk) return undefined;
	const reason =
		access === undefined ? WITHOUT_TOKEN : "the sign-in service gave a token that names no ChatGPT workspace";
	if (refresh !== undefined && refresh !== refreshToken) return { kind: "unknown", reason, next: () => refresh };
	return access === undefined ? undefined : { kind: "unknown", reason };
}

function outcomeOf({ ok, status }: Response, body: string): RefreshOutcome {
	const reason = ok ? WITHOUT_TOKEN : `the sign-in service answered ${status}`;
	const codes = codesIn(body);
	const isPassing = !ok && (status >= 500 || status === 429 || codes.some((code) => PASSING.has(code)));
	if (isPassing) return { kind: "unavailable", reason };
	const closed = codes.find((code) => ACCOUNT_CLOSED.has(code));
	if (closed) return { kind: "refused", code: closed, closed: true };
	const over = codes.find((code) => SIGN_IN_AGAIN.has(code));
	if (over) return { kind: "refused", code: over, closed: false };
	if (ok) return { kind: "unknown", reason };
	// An unknown code may quote anything, even the token, so it is not passed on. It may come from a gateway in between.
	const mayBeFinal = (status === 400 || status === 401) && isSpoken(body);
	return { kind: "unavailable", reason, ...(mayBeFinal ? { mayBeFinal } : {}) };
}

function connectionFailure(error: unknown): RefreshOutcome {
	const why = whyUnreached(error);
	const reason = unreachedWords(why, "the sign-in service");
	if (why.maybeSent) return { kind: "unknown", reason };
	return why.kind === "certificate" ? { kind: "unavailable", reason, lasts: true } : { kind: "unavailable", reason };
}

function tickingTimeout(): { signal: AbortSignal; stop: () => void } {
	const controller = new AbortController();
	let ticks = 0;
	const timer = setInterval(() => {
		ticks += 1;
		if (ticks >= EXCHANGE_TICKS) controller.abort();
	}, TICK_MS);
	return { signal: controller.signal, stop: () => clearInterval(timer) };
}
