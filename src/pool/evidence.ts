import { z } from "zod";
import type { FailureEvidence } from "../domain/failure.ts";

/** Types that say nothing of the cause. */
const GENERIC_CODES = new Set(["invalid_request_error", "request_forbidden", "error", "api_error"]);

const text = z.string().nullish().catch(undefined);
const number = z.number().nullish().catch(undefined);

const detailSchema = z.object({
	type: text,
	code: text,
	message: text,
	plan_type: text,
	resets_at: number,
	resets_in_seconds: number,
});
type Detail = z.output<typeof detailSchema>;

/** Every shape an error body or frame was seen in: `{error: {…}}`, `{error: "…"}`, `{detail: …}`, or flat. */
const bodySchema = detailSchema.extend({
	error: z.union([detailSchema, z.string()]).nullish().catch(undefined),
	detail: z.union([detailSchema, z.string()]).nullish().catch(undefined),
	status: number,
	status_code: number,
	headers: z.record(z.string(), z.unknown()).nullish().catch(undefined),
});

/** Evidence in the body of a refused response or in an error frame. `now` is epoch ms. */
export function evidenceFromBody(body: string, now: number): FailureEvidence {
	const parsed = parseBody(body);
	if (!parsed) return { words: body, ...(/^\s*</.test(body) && { html: true }) };
	const detail = detailOf(parsed);
	const message = detail.message ?? undefined;
	const code = codeOf(detail);
	const status = parsed.status ?? parsed.status_code ?? undefined;
	const resetsAt = resetOf(detail, now);
	const headers = parsed.headers ? lowerCased(parsed.headers) : undefined;
	return {
		...(status !== undefined && { status }),
		...(code !== undefined && { code }),
		...(message !== undefined && { words: message }),
		...(resetsAt !== undefined && { resetsAt }),
		...(headers !== undefined && { headers }),
		...toldToWait(message),
	};
}

const FRAME_IN_WORDS = /^Codex error: (\{.*\})$/s;

/** Evidence in the words of an error event. 0.73.1 quotes a whole WebSocket frame there. */
export function evidenceFromWords(words: string, now: number): FailureEvidence {
	const frame = FRAME_IN_WORDS.exec(words)?.[1];
	return frame ? evidenceFromBody(frame, now) : { words, ...toldToWait(words) };
}

/** Evidence in headers alone; names must be lower-cased. `now` is epoch ms. */
export function evidenceFromHeaders(headers: Readonly<Record<string, string>>, now: number): FailureEvidence {
	const retryAfterMs = retryAfterOf(headers, now);
	const hidden = headers["x-error-json"];
	const code = hidden && parseBody(Buffer.from(hidden, "base64").toString());
	const found = code && codeOf(detailOf(code));
	return {
		headers,
		html: headers["content-type"]?.includes("text/html") ?? false,
		...(retryAfterMs !== undefined && { retryAfterMs }),
		...(found && { code: found }),
	};
}

/** `retry-after-ms`, else `retry-after` in seconds or as a date. */
function retryAfterOf(headers: Readonly<Record<string, string>>, now: number): number | undefined {
	const inMs = Number(headers["retry-after-ms"] ?? Number.NaN);
	if (inMs >= 0) return inMs;
	const told = headers["retry-after"] ?? "";
	const inSeconds = told.trim() === "" ? Number.NaN : Number(told);
	if (inSeconds >= 0) return inSeconds * 1000;
	// Only a date with a month's name: the parser takes "-5" for a year.
	const until = /[a-z]/i.test(told) ? Date.parse(told) : Number.NaN;
	return Number.isNaN(until) ? undefined : Math.max(0, until - now);
}

function parseBody(body: string): z.output<typeof bodySchema> | undefined {
	try {
		return bodySchema.safeParse(JSON.parse(body)).data;
	} catch {
		// Not JSON: the words are all there is.
		return undefined;
	}
}

function detailOf(body: z.output<typeof bodySchema>): Partial<Detail> {
	if (typeof body.error === "string") return { ...body, message: body.message ?? body.error, code: body.error };
	if (body.error) return body.error;
	if (typeof body.detail === "string") return { message: body.detail };
	return body.detail ?? body;
}

function codeOf(detail: Partial<Detail>): string | undefined {
	return [detail.code, detail.type]
		.map((code) => code?.trim().toLowerCase())
		.find((code) => code !== undefined && code !== "" && !GENERIC_CODES.has(code));
}

function resetOf(detail: Partial<Detail>, now: number): number | undefined {
	if (detail.resets_at) return detail.resets_at * 1000;
	return detail.resets_in_seconds ? now + detail.resets_in_seconds * 1000 : undefined;
}

/** "Please try again in 1.2s", "in 350ms", "in 20 seconds". */
function toldToWait(message: string | undefined): Pick<FailureEvidence, "retryAfterMs"> {
	const told = /try again in (\d{1,9}(?:\.\d{1,9})?) ?(ms|milliseconds?|s|seconds?)\b/i.exec(message ?? "");
	if (!told?.[1] || !told[2]) return {};
	return { retryAfterMs: Number(told[1]) * (told[2].toLowerCase().startsWith("m") ? 1 : 1000) };
}

function lowerCased(headers: Readonly<Record<string, unknown>>): Record<string, string> {
	return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name.toLowerCase(), String(value)]));
}
