import { plausibleLength, plausibleReset } from "../cooldown.ts";
import { dateOf, numberOf, timeOf } from "../told-time.ts";
import { tellingCode } from "./classify.ts";
import type { FailureEvidence } from "./failure-rules.ts";

/** How deep error bodies are read. Real ones are nested three deep at most. */
const DEEPEST = 4;
/** How many errors of a list are read. */
const MOST_LISTED = 5;
/** A code is looked for only in this many characters at the beginning of a message. */
const LONGEST_CODE = 120;

/** Codes that do not name a cause. */
const GENERIC_CODES: ReadonlySet<string> = new Set([
	"invalid_request_error",
	"request_forbidden",
	"error",
	"api_error",
	"unknown",
]);

/** Every field seen in an error body or frame, at any depth. */
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

/** One object of an error body. Each field is read by itself, so that a malformed one spoils only itself. */
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

/**
 * Matches the code that some hosts put into the message of a frame without a code: "Codex error: rate_limit_exceeded".
 */
const CODE_IN_MESSAGE = /^(?:Codex error: |Error Code )?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:: |\.?$)/i;

/** Reads evidence from the message of an error event. 0.73.1 quotes a whole WebSocket frame or body in it. */
export function evidenceFromMessage(message: string, now: number): FailureEvidence {
	const frame = jsonIn(message);
	if (frame !== undefined && parseBody(frame) !== undefined) return { message, ...evidenceFromBody(frame, now) };
	const code = CODE_IN_MESSAGE.exec(message.slice(0, LONGEST_CODE))?.[1];
	return { ...(code !== undefined && { code: code.toLowerCase() }), message, ...waitIn(message) };
}

const HOST_PREFIX = "Codex error:";

/** Returns the JSON part of a message, without the host's prefix; undefined for a sentence. */
function jsonIn(message: string): string | undefined {
	const text = (message.startsWith(HOST_PREFIX) ? message.slice(HOST_PREFIX.length) : message).trim();
	return text.startsWith("{") && text.endsWith("}") ? text : undefined;
}

/** Reads evidence from headers alone. Names must be lower-cased. `now` is epoch ms. */
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

/** Reads the code and message that a 401 carries in its headers: JSON, mostly in base64, and a code or a sentence. */
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

/** Decodes UTF-8 text from `base64`; empty if it is not base64. */
function fromBase64(base64: string): string {
	try {
		const bytes = atob(base64.replaceAll("-", "+").replaceAll("_", "/"));
		return new TextDecoder().decode(Uint8Array.from(bytes, (byte) => byte.charCodeAt(0)));
	} catch {
		// Not base64: the header says nothing.
		return "";
	}
}

/** Matches a message that names a status and nothing else. */
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

/**
 * Reads `retry-after-ms`, or else `retry-after` in seconds or as a date. Implausible lengths are ignored. Returns ms.
 */
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

/** Returns every object of a body that may describe the error, innermost first: nested objects are more exact. */
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

/** When quota is back, epoch ms. Times in the past or implausibly far ahead are ignored. */
function resetOf(layer: Layer, now: number): number | undefined {
	const at = firstOf([layer.resets_at, layer.reset_at].map((time) => plausibleReset(timeOf(time), now)));
	if (at !== undefined) return at;
	const inSeconds = firstOf([layer.resets_in_seconds, layer.reset_after_seconds].map(numberOf)) ?? 0;
	const inMs = plausibleLength(inSeconds * 1000) ?? 0;
	return inMs > 0 ? now + inMs : undefined;
}

const UNIT = "ms|milliseconds?|[smhd]|secs?|mins?|hrs?|seconds?|minutes?|hours?|days?";
/** A number and its unit, such as `2 minutes`. */
const AMOUNT = String.raw`(\d{1,9}(?:\.\d{1,15})?) ?(${UNIT})(?![a-z])`;
const ASKED_WAIT = new RegExp(`(?:try again|retry) (?:in|after) ((?:${AMOUNT} ?){1,4})`, "i");

/** Reads the wait that a message asks for: "Please try again in 1.2s", "in 350ms", "in 1m30s", "in 2 minutes". */
function waitIn(message: string | undefined): Pick<FailureEvidence, "retryAfterMs"> {
	const amounts = [...(ASKED_WAIT.exec(message ?? "")?.[1] ?? "").matchAll(new RegExp(AMOUNT, "gi"))];
	const lengths = amounts.map(([, count, unit = ""]) => Number(count) * unitMs(unit.toLowerCase()));
	const ms = plausibleLength(lengths.reduce((sum, each) => sum + each, 0));
	return ms === undefined || lengths.length === 0 ? {} : { retryAfterMs: ms };
}

function unitMs(unit: string): number {
	if (unit.startsWith("ms") || unit.startsWith("mil")) return 1;
	if (unit.startsWith("s")) return 1000;
	if (unit.startsWith("m")) return 60_000;
	return unit.startsWith("h") ? 3_600_000 : 86_400_000;
}

function lowerCased(headers: Readonly<Record<string, unknown>>): Record<string, string> {
	const readable = Object.entries(headers).filter(([, value]) => typeof value !== "object");
	return Object.fromEntries(readable.map(([name, value]) => [name.toLowerCase(), String(value)]));
}
