import { plausibleLength, plausibleReset } from "../cooldown.ts";
import { dateOf, numberOf, timeOf } from "../told-time.ts";
import { tellingCode } from "./classify.ts";
import type { FailureEvidence } from "./failure-rules.ts";

/** Error bodies are nested three deep at most; deeper levels are ignored. */
const DEEPEST = 4;
/** Of a list of errors only the first ones count. */
const MOST_LISTED = 5;
/** A code is looked for at the beginning of a message only. */
const LONGEST_CODE = 120;

/** Types that do not name the cause. */
const GENERIC_CODES: ReadonlySet<string> = new Set([
	"invalid_request_error",
	"request_forbidden",
	"error",
	"api_error",
	"unknown",
]);

/** Every member that was seen in an error body or frame, at any depth. */
type Member =
	| "error"
	| "detail"
	| "details"
	| "errors"
	| "response"
	| "code"
	| "type"
	| "message"
	| "msg"
	| "status"
	| "status_code"
	| "headers"
	| "resets_at"
	| "reset_at"
	| "resets_in_seconds"
	| "reset_after_seconds";

/** One object of an error body. Each member is read by itself, so that an odd one loses only itself. */
type Layer = Readonly<Partial<Record<Member, unknown>>>;

/** Reads evidence from the body of a refused response or from an error frame. `now` is epoch ms. */
export function evidenceFromBody(body: string, now: number): FailureEvidence {
	const parsed = parseBody(body);
	if (parsed === undefined) return { message: body, ...(/^\s*</.test(body) && { html: true }) };
	const layers = layersOf(parsed);
	const message = firstOf(layers.map(({ message, msg }) => textOf(message) ?? textOf(msg)));
	const code = codeOf(layers);
	const status = firstOf(layers.map((layer) => statusOf(layer.status) ?? statusOf(layer.status_code)));
	const resetsAt = firstOf(layers.map((layer) => resetOf(layer, now)));
	const headers = firstOf(layers.map((layer) => headersOf(layer.headers)));
	return {
		...(status !== undefined && { status }),
		...(code !== undefined && { code }),
		...(message !== undefined && { message }),
		...(resetsAt !== undefined && { resetsAt }),
		...(headers !== undefined && { headers }),
		...waitIn(message),
	};
}

/** The code that some hosts put into the message of a frame that has none: "Codex error: rate_limit_exceeded". */
const CODE_IN_MESSAGE = /^(?:Codex error: |Error Code )?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:: |\.?$)/i;

/** Reads evidence from the message of an error event. 0.73.1 quotes a whole WebSocket frame, or a body, there. */
export function evidenceFromMessage(message: string, now: number): FailureEvidence {
	const frame = jsonIn(message);
	if (frame !== undefined && parseBody(frame) !== undefined) return { message, ...evidenceFromBody(frame, now) };
	const code = CODE_IN_MESSAGE.exec(message.slice(0, LONGEST_CODE))?.[1];
	return { ...(code !== undefined && { code: code.toLowerCase() }), message, ...waitIn(message) };
}

const HOST_PREFIX = "Codex error:";

/** The JSON text of a message, without the host's own prefix; undefined for a sentence. */
function jsonIn(message: string): string | undefined {
	const text = (message.startsWith(HOST_PREFIX) ? message.slice(HOST_PREFIX.length) : message).trim();
	return text.startsWith("{") && text.endsWith("}") ? text : undefined;
}

/** Reads evidence from headers alone; names must be lower-cased. `now` is epoch ms. */
export function evidenceFromHeaders(headers: Readonly<Record<string, string>>, now: number): FailureEvidence {
	const retryAfterMs = retryAfterOf(headers, now);
	const { code, message } = authorizationErrorIn(headers);
	return {
		headers,
		html: headers["content-type"]?.includes("text/html") ?? false,
		...(retryAfterMs !== undefined && { retryAfterMs }),
		...(code !== undefined && { code }),
		...(message !== undefined && { message }),
	};
}

/** Code and message that a 401 has in its headers: JSON, mostly in base64, and a code or a sentence. */
function authorizationErrorIn(headers: Readonly<Record<string, string>>): Pick<FailureEvidence, "code" | "message"> {
	const encoded = headers["x-error-json"] ?? "";
	const json = encoded.trim().startsWith("{") ? encoded : fromBase64(encoded);
	const error = parseBody(json) === undefined ? {} : evidenceFromBody(json, 0);
	const text = textOf(headers["x-openai-authorization-error"])?.trim();
	const isCode = text !== undefined && /^[\w.-]+$/.test(text);
	const code = tellingCode([error.code, isCode ? text.toLowerCase() : undefined].filter((each) => each !== undefined));
	const message = error.message ?? (isCode ? undefined : text);
	return { ...(code !== undefined && { code }), ...(message !== undefined && { message }) };
}

/** The UTF-8 text that is encoded in `base64`; empty if it is not base64. */
function fromBase64(base64: string): string {
	try {
		const bytes = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
		return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
	} catch {
		// Not base64: the header says nothing.
		return "";
	}
}

/** A message that names a status and nothing else. */
const MERE_STATUS = /^(unauthorized|forbidden|payment required|too many requests)\.?$/i;

/** Joins the evidence of headers and body of one refusal. The body is more exact, unless it only names the status. */
export function together(headers: FailureEvidence, body: FailureEvidence): FailureEvidence {
	const code = tellingCode([body.code, headers.code].filter((each) => each !== undefined));
	const isEmpty = MERE_STATUS.test(body.message?.trim() ?? "") || body.message === "";
	const message = isEmpty ? (headers.message ?? body.message) : (body.message ?? headers.message);
	return {
		...headers,
		...body,
		...(code !== undefined && { code }),
		...(message !== undefined && { message }),
	};
}

/** Reads `retry-after-ms`, else `retry-after` in seconds or as a date. A length that cannot be true is ignored. */
export function retryAfterOf(headers: Readonly<Record<string, string>>, now: number): number | undefined {
	const inMs = numberOf(headers["retry-after-ms"]);
	const text = headers["retry-after"] ?? "";
	const inSeconds = numberOf(text);
	const until = dateOf(text);
	const untilMs = until === undefined ? undefined : Math.max(0, until - now);
	return firstOf([plausibleLength(inMs), plausibleLength((inSeconds ?? Number.NaN) * 1000), plausibleLength(untilMs)]);
}

function parseBody(body: string): unknown {
	try {
		const parsed: unknown = JSON.parse(body);
		return typeof parsed === "object" && parsed !== null ? parsed : undefined;
	} catch {
		// Not JSON: the text is all the evidence.
		return undefined;
	}
}

/** Every object of a body that may describe the error, the innermost first: nested objects are more exact. */
function layersOf(value: unknown, depth = 0): Layer[] {
	if (depth > DEEPEST) return [];
	if (Array.isArray(value)) return value.slice(0, MOST_LISTED).flatMap((each) => layersOf(each, depth + 1));
	if (!isGroup(value)) return [];
	const { response, error, detail, details, errors } = value;
	const inner = [response, error, detail, errors, details].flatMap((each) => layersOf(each, depth + 1));
	const sentence = [error, detail].map(textOf).find((each) => each !== undefined);
	if (sentence === undefined) return [...inner, value];
	const isCode = textOf(error) === sentence && /^[\w.-]+$/.test(sentence);
	return [...inner, { ...value, message: textOf(value.message) ?? sentence, ...(isCode && { code: sentence }) }];
}

function codeOf(layers: readonly Layer[]): string | undefined {
	const codes = layers
		.flatMap(({ code, type }) => [textOf(code), textOf(type)])
		.map((code) => code?.trim().toLowerCase())
		.filter((code) => code !== undefined)
		.filter((code) => code !== "" && !code.startsWith("response.") && !GENERIC_CODES.has(code));
	return tellingCode(codes);
}

function firstOf<T>(values: readonly (T | undefined)[]): T | undefined {
	return values.find((value) => value !== undefined);
}

function textOf(value: unknown): string | undefined {
	return typeof value === "string" && value.trim() !== "" ? value : undefined;
}

function statusOf(value: unknown): number | undefined {
	const status = numberOf(value);
	return status !== undefined && Number.isInteger(status) && status >= 100 && status <= 599 ? status : undefined;
}

function headersOf(value: unknown): Record<string, string> | undefined {
	return isGroup(value) ? lowerCased(value) : undefined;
}

function isGroup(value: unknown): value is Readonly<Record<string, unknown>> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** When the quota is back, epoch ms. A time that is over, or too far ahead to be true, is ignored. */
function resetOf(layer: Layer, now: number): number | undefined {
	const at = firstOf([layer.resets_at, layer.reset_at].map((time) => plausibleReset(timeOf(time), now)));
	if (at !== undefined) return at;
	const inSeconds = firstOf([layer.resets_in_seconds, layer.reset_after_seconds].map(numberOf)) ?? 0;
	const inMs = plausibleLength(inSeconds * 1000) ?? 0;
	return inMs > 0 ? now + inMs : undefined;
}

/** The wait that a message asks for: "Please try again in 1.2s", "in 350ms", "in 20 seconds". */
function waitIn(message: string | undefined): Pick<FailureEvidence, "retryAfterMs"> {
	const asked = /try again in (\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?)\b/i.exec(message ?? "");
	if (!asked?.[1] || !asked[2]) return {};
	const ms = plausibleLength(Number(asked[1]) * (asked[2].toLowerCase().startsWith("m") ? 1 : 1000));
	return ms === undefined ? {} : { retryAfterMs: ms };
}

function lowerCased(headers: Readonly<Record<string, unknown>>): Record<string, string> {
	const readable = Object.entries(headers).filter(([, value]) => typeof value !== "object");
	return Object.fromEntries(readable.map(([name, value]) => [name.toLowerCase(), String(value)]));
}
