import { z } from "zod";
import { FURTHEST_RESET_MS } from "./cooldown.ts";
import { type FailureEvidence, tellingCode } from "./failure-rules.ts";

/** Types that say nothing of the cause. */
const GENERIC_CODES = new Set(["invalid_request_error", "request_forbidden", "error", "api_error", "unknown"]);

const anything = z.unknown();

/** Every member that was seen in an error body or frame, at any depth. Each is read by itself: an odd one loses itself only. */
const layerSchema = z.object({
	error: anything,
	detail: anything,
	details: anything,
	errors: anything,
	response: anything,
	code: anything,
	type: anything,
	message: anything,
	msg: anything,
	status: anything,
	status_code: anything,
	headers: anything,
	resets_at: anything,
	reset_at: anything,
	resets_in_seconds: anything,
	reset_after_seconds: anything,
});
type Layer = Partial<z.output<typeof layerSchema>>;

/** Bodies are nested three deep at most; one that is nested deeper holds nothing that would be of use. */
const DEEPEST = 4;
/** Of a list of errors the first ones count. */
const MOST_LISTED = 5;

/** Evidence in the body of a refused response or in an error frame. `now` is epoch ms. */
export function evidenceFromBody(body: string, now: number): FailureEvidence {
	const parsed = parseBody(body);
	if (parsed === undefined) return { words: body, ...(/^\s*</.test(body) && { html: true }) };
	const layers = layersOf(parsed);
	const message = firstOf(layers.map(({ message, msg }) => textOf(message) ?? textOf(msg)));
	const code = codeOf(layers);
	const status = firstOf(layers.map((layer) => statusOf(layer.status) ?? statusOf(layer.status_code)));
	const resetsAt = firstOf(layers.map((layer) => resetOf(layer, now)));
	const headers = firstOf(layers.map((layer) => headersOf(layer.headers)));
	return {
		...(status !== undefined && { status }),
		...(code !== undefined && { code }),
		...(message !== undefined && { words: message }),
		...(resetsAt !== undefined && { resetsAt }),
		...(headers !== undefined && { headers }),
		...toldToWait(message),
	};
}

/** "Codex error: rate_limit_exceeded", "invalid_prompt: ...": what hosts make of a frame without a message. */
const CODE_IN_WORDS = /^(?:Codex error: |Error Code )?([a-z][a-z0-9]*(?:_[a-z0-9]+)+)(?:: |\.?$)/i;

/** Evidence in the words of an error event. 0.73.1 quotes a whole WebSocket frame, or a body, there. */
export function evidenceFromWords(words: string, now: number): FailureEvidence {
	const frame = quotedIn(words);
	if (frame !== undefined && parseBody(frame) !== undefined) return { words, ...evidenceFromBody(frame, now) };
	const code = CODE_IN_WORDS.exec(words.slice(0, LONGEST_CODE))?.[1];
	return { ...(code !== undefined && { code: code.toLowerCase() }), words, ...toldToWait(words) };
}

const LONGEST_CODE = 120;

const QUOTE = "Codex error:";

/** The JSON that a text is, alone or after the host's own prefix. */
function quotedIn(words: string): string | undefined {
	const text = (words.startsWith(QUOTE) ? words.slice(QUOTE.length) : words).trim();
	return text.startsWith("{") && text.endsWith("}") ? text : undefined;
}

/** Evidence in headers alone; names must be lower-cased. `now` is epoch ms. */
export function evidenceFromHeaders(headers: Readonly<Record<string, string>>, now: number): FailureEvidence {
	const retryAfterMs = retryAfterOf(headers, now);
	const { code, words } = hiddenIn(headers);
	return {
		headers,
		html: headers["content-type"]?.includes("text/html") ?? false,
		...(retryAfterMs !== undefined && { retryAfterMs }),
		...(code !== undefined && { code }),
		...(words !== undefined && { words }),
	};
}

/** What a 401 tells in its headers: JSON, mostly in base64, and a code or a sentence. */
function hiddenIn(headers: Readonly<Record<string, string>>): { readonly code?: string; readonly words?: string } {
	const hidden = headers["x-error-json"] ?? "";
	const json = hidden.trim().startsWith("{") ? hidden : Buffer.from(hidden, "base64").toString();
	const told = parseBody(json) === undefined ? {} : evidenceFromBody(json, 0);
	const spoken = textOf(headers["x-openai-authorization-error"])?.trim();
	const isCode = spoken !== undefined && /^[\w.-]+$/.test(spoken);
	const code = tellingCode([told.code, isCode ? spoken.toLowerCase() : undefined].filter((each) => each !== undefined));
	const words = told.words ?? (isCode ? undefined : spoken);
	return { ...(code !== undefined && { code }), ...(words !== undefined && { words }) };
}

/** Words that name a status and nothing else. */
const MERE_STATUS = /^(unauthorized|forbidden|payment required|too many requests)\.?$/i;

/** What the headers and the body of one refusal tell together: the body is more exact, unless it says nothing. */
export function together(headers: FailureEvidence, body: FailureEvidence): FailureEvidence {
	const code = tellingCode([body.code, headers.code].filter((each) => each !== undefined));
	const isMute = MERE_STATUS.test(body.words?.trim() ?? "") || body.words === "";
	const words = isMute ? (headers.words ?? body.words) : (body.words ?? headers.words);
	return {
		...headers,
		...body,
		...(code !== undefined && { code }),
		...(words !== undefined && { words }),
	};
}

/** `retry-after-ms`, else `retry-after` in seconds or as a date. What is no length that can be true is no data. */
function retryAfterOf(headers: Readonly<Record<string, string>>, now: number): number | undefined {
	const inMs = numberOf(headers["retry-after-ms"]);
	const told = headers["retry-after"] ?? "";
	const inSeconds = numberOf(told);
	const until = dateOf(told);
	const untilMs = until === undefined ? undefined : Math.max(0, until - now);
	return firstOf([lengthOf(inMs), lengthOf((inSeconds ?? Number.NaN) * 1000), lengthOf(untilMs)]);
}

/** A length in ms that can be true. */
function lengthOf(ms: number | undefined): number | undefined {
	return ms !== undefined && ms >= 0 && ms <= FURTHEST_RESET_MS ? ms : undefined;
}

function parseBody(body: string): unknown {
	try {
		const parsed: unknown = JSON.parse(body);
		return typeof parsed === "object" && parsed !== null ? parsed : undefined;
	} catch {
		// Not JSON: the words are all there is.
		return undefined;
	}
}

/** Everything in a body that may tell of an error, the innermost first: what is nested is more exact. */
function layersOf(value: unknown, depth = 0): Layer[] {
	if (depth > DEEPEST) return [];
	if (Array.isArray(value)) return value.slice(0, MOST_LISTED).flatMap((each) => layersOf(each, depth + 1));
	const layer = layerSchema.partial().safeParse(value).data;
	if (!layer) return [];
	const { response, error, detail, details, errors } = layer;
	const inner = [response, error, detail, errors, details].flatMap((each) => layersOf(each, depth + 1));
	const spoken = [error, detail].map(textOf).find((each) => each !== undefined);
	if (spoken === undefined) return [...inner, layer];
	const isCode = textOf(error) === spoken && /^[\w.-]+$/.test(spoken);
	return [...inner, { ...layer, message: textOf(layer.message) ?? spoken, ...(isCode && { code: spoken }) }];
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

function numberOf(value: unknown): number | undefined {
	const number = typeof value === "string" && value.trim() !== "" ? Number(value) : value;
	return typeof number === "number" && Number.isFinite(number) ? number : undefined;
}

function statusOf(value: unknown): number | undefined {
	const status = numberOf(value);
	return status !== undefined && Number.isInteger(status) && status >= 100 && status <= 599 ? status : undefined;
}

const headersSchema = z.record(z.string(), z.unknown());

function headersOf(value: unknown): Record<string, string> | undefined {
	const headers = headersSchema.safeParse(value).data;
	return headers && lowerCased(headers);
}

/** When the quota is back. A time that is past, or too far ahead to be true, is no data. */
function resetOf(layer: Layer, now: number): number | undefined {
	const at = firstOf(
		[layer.resets_at, layer.reset_at].map((told) => {
			const time = timeOf(told);
			return time !== undefined && time > now && time - now <= FURTHEST_RESET_MS ? time : undefined;
		}),
	);
	if (at !== undefined) return at;
	const inSeconds = firstOf([layer.resets_in_seconds, layer.reset_after_seconds].map(numberOf)) ?? 0;
	const inMs = lengthOf(inSeconds * 1000) ?? 0;
	return inMs > 0 ? now + inMs : undefined;
}

/** No number of seconds is as large for thousands of years, and no number of ms was as small since 1973. */
const LEAST_MS = 1e11;

/** A time in seconds, in ms, or as a date with its year; epoch ms. */
function timeOf(value: unknown): number | undefined {
	const number = numberOf(value);
	if (number !== undefined) return number >= LEAST_MS ? number : number * 1000;
	return dateOf(textOf(value) ?? "");
}

/** A date as HTTP or ISO 8601 write it; the parser of the runtime takes "-5" for a year. */
function dateOf(text: string): number | undefined {
	const at = /[a-z]{3}|^\d{4}-\d{2}-\d{2}/i.test(text) ? Date.parse(text) : Number.NaN;
	return Number.isNaN(at) ? undefined : at;
}

/** "Please try again in 1.2s", "in 350ms", "in 20 seconds". */
function toldToWait(message: string | undefined): Pick<FailureEvidence, "retryAfterMs"> {
	const told = /try again in (\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?)\b/i.exec(message ?? "");
	if (!told?.[1] || !told[2]) return {};
	const ms = lengthOf(Number(told[1]) * (told[2].toLowerCase().startsWith("m") ? 1 : 1000));
	return ms === undefined ? {} : { retryAfterMs: ms };
}

function lowerCased(headers: Readonly<Record<string, unknown>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
