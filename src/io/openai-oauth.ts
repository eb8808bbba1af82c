import { z } from "zod";
import type { OAuthClient, RefreshOutcome } from "../pool/ports.ts";
import { textOf } from "./body.ts";
import { parseJson } from "./json.ts";
import { tokenSchema, tokenTimes } from "./jwt.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";

/** pi's and Codex's public OAuth client. */
export const CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann";

/** The issuer, unless `PI_MULTICODEX_AUTH_URL` names another. */
export const DEFAULT_ISSUER = "https://auth.openai.com";

/** Codes that no second try mends (Codex's and codex-lb's lists). */
const SIGN_IN_AGAIN = new Set([
	"refresh_token_expired",
	"refresh_token_reused",
	"refresh_token_invalidated",
	"invalid_grant",
	"invalid_refresh_token",
	"revoked",
	"token_expired",
	"token_invalidated",
	"token_revoked",
	"app_session_terminated",
	"account_session_expired",
	"account_auth_invalidated",
]);
const ACCOUNT_CLOSED = new Set(["account_deactivated", "account_suspended", "account_deleted"]);

/** Failures of the connection before anything was sent: the token cannot be spent. */
const NEVER_SENT = new Set([
	"ECONNREFUSED",
	"ENOTFOUND",
	"EAI_AGAIN",
	"EHOSTUNREACH",
	"ENETUNREACH",
	"UND_ERR_CONNECT_TIMEOUT",
]);

/** Time-out of an exchange, counted in ticks of the running process: a machine that slept has not timed out. */
const TICK_MS = 250;
const EXCHANGE_TICKS = 120;

/** Tokens and error pages are far shorter. A longer grant counts as one that cannot be read: the token may be spent. */
const LONGEST_ANSWER_BYTES = 262_144;

const grantSchema = z.object({
	access_token: tokenSchema,
	refresh_token: tokenSchema.optional(),
	expires_in: z.number().positive().optional(),
});

const errorSchema = z.object({
	error: z.union([z.string(), z.object({ code: z.string().nullish(), type: z.string().nullish() })]).optional(),
	code: z.string().optional(),
});

/** Talks to the OAuth issuer at `issuer`; throws where tokens must not be sent there. */
export function createOAuthClient(issuer: string, now: () => number): OAuthClient {
	return {
		refresh: async (refreshToken) => {
			const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
			if (refusal) return { kind: "unavailable", reason: refusal };
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
				const body = await textOf(response, timeout.signal, LONGEST_ANSWER_BYTES);
				return outcomeOf(response.status, body, refreshToken, now());
			} catch (error) {
				return connectionFailure(error);
			} finally {
				timeout.stop();
			}
		},
	};
}

function outcomeOf(status: number, body: string, refreshToken: string, now: number): RefreshOutcome {
	if (status >= 200 && status < 300) return grantOf(body, refreshToken, now);
	const error = parseJson(errorSchema, body);
	const code = error && codeOf(error);
	if (status >= 500) return { kind: "unavailable", reason: `the sign-in service answered ${status}` };
	if (code && ACCOUNT_CLOSED.has(code)) return { kind: "refused", code, closed: true };
	if (code && SIGN_IN_AGAIN.has(code)) return { kind: "refused", code, closed: false };
	// A code that we do not know may quote anything, the token included: it goes no further.
	if (error && status === 401) return { kind: "refused", code: "unauthorized", closed: false };
	return { kind: "unavailable", reason: `the sign-in service answered ${status}` };
}

function grantOf(body: string, refreshToken: string, now: number): RefreshOutcome {
	const grant = parseJson(grantSchema, body);
	if (!grant) return { kind: "unknown", reason: "the sign-in service gave an answer without a token" };
	const { expiresAt } = tokenTimes(grant.access_token);
	return {
		kind: "granted",
		credential: {
			access: grant.access_token,
			refresh: grant.refresh_token ?? refreshToken,
			expiresAt: expiresAt ?? now + (grant.expires_in ?? 3600) * 1000,
		},
	};
}

function codeOf(error: z.output<typeof errorSchema>): string | undefined {
	if (typeof error.error === "string") return error.error.toLowerCase();
	return (error.error?.code ?? error.code ?? error.error?.type ?? undefined)?.toLowerCase();
}

function connectionFailure(error: unknown): RefreshOutcome {
	const cause = error instanceof Error ? error.cause : undefined;
	const code = cause instanceof Error && "code" in cause ? String(cause.code) : "";
	if (NEVER_SENT.has(code)) return { kind: "unavailable", reason: "the sign-in service cannot be reached" };
	return { kind: "unknown", reason: "the sign-in service did not answer" };
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
