import type { Answer, AnswerContext, Refusal, RefusalAnswer } from "./answer.ts";
import { asRecord, type JsonRecord } from "./json.ts";

const UNAUTHORIZED = {
	token_invalidated: "Your authentication token has been invalidated. Please try signing in again.",
	token_expired: "Provided authentication token is expired. Please try signing in again.",
	token_revoked: "Encountered invalidated oauth token for user, failing request",
	app_session_terminated: "Your session has ended. Please log in again.",
	account_deactivated: "Your OpenAI account has been deactivated, please check your email for more information.",
} as const;

/** The forms of 401; `detail` is the body `{"detail":"Unauthorized"}` with the code in `x-error-json`. */
export type UnauthorizedVariant = keyof typeof UNAUTHORIZED | "detail";

/** Any of the 401 answers. */
export function unauthorized(variant: UnauthorizedVariant = "token_invalidated"): RefusalAnswer {
	if (variant === "detail") {
		const hidden = Buffer.from(JSON.stringify({ error: { code: "token_expired" } })).toString("base64");
		return fixed("unauthorized", 401, { detail: "Unauthorized" }, { "x-error-json": hidden });
	}
	return fixed("unauthorized", 401, { ...errorBody(variant, UNAUTHORIZED[variant]), status: 401 });
}

/** 402 of a deactivated workspace. */
export function deactivatedWorkspace(): RefusalAnswer {
	return fixed("deactivatedWorkspace", 402, { detail: { code: "deactivated_workspace" } });
}

const FORBIDDEN = {
	workspace_disabled: "This workspace has been disabled.",
	account_disabled: "This account has been disabled.",
	organization_disabled: "This organization has been disabled.",
	usage_not_included: "To use Codex with your ChatGPT plan, upgrade to Plus.",
} as const;

/** The JSON forms of 403. */
export type ForbiddenVariant = keyof typeof FORBIDDEN;

/** Any of the JSON 403 answers. */
export function forbidden(variant: ForbiddenVariant): RefusalAnswer {
	return refusal("forbidden", ({ plan }) => {
		const { error } = errorBody(variant, FORBIDDEN[variant]);
		return { status: 403, headers: {}, body: { error: { ...error, plan_type: plan } } };
	});
}

/** The HTML 403 of Cloudflare, which stands in front of WebSocket handshakes too. */
export function cloudflare(): RefusalAnswer {
	const headers = {
		"content-type": "text/html; charset=UTF-8",
		"cf-mitigated": "challenge",
		"cf-ray": "8f00000000000000-FRA",
		server: "cloudflare",
	};
	const page =
		"<!DOCTYPE html><html><head><title>Just a moment...</title></head><body>Enable JavaScript and cookies to continue</body></html>";
	return { ...fixed("cloudflare", 403, page, headers), atEdge: true };
}

/** 403 unsupported_country_region_territory. */
export function regionBlocked(): RefusalAnswer {
	const error = {
		code: "unsupported_country_region_territory",
		message: "Country, region, or territory not supported",
		param: null,
		type: "request_forbidden",
	};
	return { ...fixed("regionBlocked", 403, { error }), atEdge: true };
}

/** A 5xx (or any other status) with a JSON error. */
export function serverError(
	status = 500,
	message = "The server had an error while processing your request.",
): RefusalAnswer {
	return fixed("serverError", status, { error: { message, type: "server_error", param: null, code: null } });
}

/** 503 server_is_overloaded. */
export function overloaded(code: "server_is_overloaded" | "slow_down" = "server_is_overloaded"): RefusalAnswer {
	return fixed("overloaded", 503, {
		error: {
			code,
			message: "Our servers are currently overloaded. Please try again later.",
			type: "service_unavailable_error",
		},
	});
}

/** 400: the reasoning blob is not accepted. */
export function invalidEncryptedContent(): RefusalAnswer {
	const message =
		"The encrypted content gAAA...= could not be verified. Reason: Encrypted content could not be decrypted or parsed.";
	return fixed("invalidEncryptedContent", 400, errorBody("invalid_encrypted_content", message));
}

/** 400: the continuation does not exist here. */
export function previousResponseNotFound(id = "resp_unknown"): RefusalAnswer {
	const { error } = errorBody("previous_response_not_found", `Previous response with id '${id}' not found.`);
	return fixed("previousResponseNotFound", 400, { error: { ...error, param: "previous_response_id" } });
}

/** 400: the account may not use this model. */
export function modelNotSupported(model: string): RefusalAnswer {
	return fixed("modelNotSupported", 400, {
		detail: `The '${model}' model is not supported when using Codex with a ChatGPT account.`,
	});
}

/** 400: the client is too old for this model. */
export function clientTooOld(model: string): RefusalAnswer {
	return fixed("clientTooOld", 400, {
		detail: `The '${model}' model requires a newer version of Codex. Please upgrade to the latest app or CLI and try again.`,
	});
}

/** 404: the model has not been rolled out to this account. */
export function modelNotFound(model: string): RefusalAnswer {
	return fixed("modelNotFound", 404, {
		error: {
			message: `Model not found ${model}`,
			type: "invalid_request_error",
			param: "model",
			code: "model_not_found",
		},
	});
}

/** 400 context_length_exceeded. */
export function contextTooLong(): RefusalAnswer {
	const message = "Your input exceeds the context window of this model. Please adjust your input and try again.";
	return fixed("contextTooLong", 400, errorBody("context_length_exceeded", message));
}

/** A WebSocket error frame with these very parts; over HTTP the same as a status, headers and body. */
export function wsErrorFrame(frame: {
	status: number;
	error: JsonRecord;
	headers?: Record<string, string>;
}): RefusalAnswer {
	return fixed("wsErrorFrame", frame.status, { error: frame.error }, frame.headers);
}

/** Any refusal that has no constructor of its own. */
export function refuse(status: number, body: JsonRecord | string, headers: Record<string, string> = {}): RefusalAnswer {
	return fixed("refuse", status, body, headers);
}

/** Refuses the WebSocket handshake with a status; over HTTP it stands for the default answer. */
export function wsRefuseUpgrade(status = 426): Answer {
	return { kind: "upgrade-refusal", name: "wsRefuseUpgrade", status };
}

/** The frame a refusal becomes on a WebSocket (codex-backend.md 3.5), header names written as there. */
export function errorFrame(refused: Refusal): JsonRecord {
	const body = typeof refused.body === "string" ? {} : refused.body;
	const detail = asRecord(body.detail) ?? {
		message: body.detail ?? (String(refused.body) || `HTTP ${refused.status}`),
	};
	const headers = Object.entries(refused.headers).map(([name, value]) => [
		name.replace(/(^|-)[a-z]/g, (letter) => letter.toUpperCase()),
		value,
	]);
	return {
		type: "error",
		status: refused.status,
		error: asRecord(body.error) ?? detail,
		headers: Object.fromEntries(headers),
	};
}

/** The usual error body. */
export function errorBody(code: string, message: string): { error: JsonRecord } {
	return { error: { message, type: "invalid_request_error", param: null, code } };
}

/** A refusal that is always the same. */
export function fixed(
	name: string,
	status: number,
	body: JsonRecord | string,
	headers: Record<string, string> = {},
): RefusalAnswer {
	return refusal(name, () => ({ status, headers, body }));
}

/** A refusal made per request. */
export function refusal(name: string, refuseWith: (context: AnswerContext) => Refusal): RefusalAnswer {
	return { kind: "refusal", name, refuse: refuseWith };
}
