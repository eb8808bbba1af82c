import * as z from "zod/mini";
import { parseJson } from "./json.ts";
import { identityOf, tokenTimes, writtenTokenSchema } from "./jwt.ts";
import { lenient } from "./lenient.ts";

/** What an answer of the token endpoint holds. Each part is read by itself: an odd one never costs another one. */
export interface Grant {
	readonly access: string | undefined;
	readonly refresh: string | undefined;
	/** Lifetime that the answer tells, ms; undefined where it makes no sense. */
	readonly lifetimeMs: number | undefined;
}

/** Lifetime of an access token that tells none, in an answer that tells none either. */
const DEFAULT_LIFETIME_MS = 60 * 60_000;
/** A longer lifetime is a mistake, such as a point in time in its place. */
const LONGEST_LIFETIME_S = 366 * 24 * 60 * 60;

const token = lenient(writtenTokenSchema);
const seconds = lenient(
	z.pipe(
		z.union([z.number(), z.pipe(z.string().check(z.trim(), z.minLength(1)), z.transform(Number))]),
		z.number().check(z.positive(), z.maximum(LONGEST_LIFETIME_S)),
	),
);
const grantSchema = z.object({ access_token: token, refresh_token: token, expires_in: seconds });
const recordSchema = z.record(z.string(), z.unknown());

/** Members that gateways put around the answer of the service behind them. */
const AROUND = ["data", "result", "tokens", "token"];

/** Reads the body of a token answer; undefined where it is no JSON object. */
export function grantIn(body: string): Grant | undefined {
	const content = parseJson(recordSchema, body);
	if (!content) return undefined;
	const places = [content, ...AROUND.map((name) => recordSchema.safeParse(content[name]).data ?? {})];
	const read = places.map((place) => grantSchema.parse(place));
	const best = read.find((grant) => isUsable(grant.access_token)) ?? read.find((grant) => grant.access_token);
	const { access_token, refresh_token, expires_in } = best ?? read[0] ?? {};
	return {
		access: access_token,
		refresh: refresh_token ?? read.find((grant) => grant.refresh_token)?.refresh_token,
		lifetimeMs: expires_in === undefined ? undefined : expires_in * 1000,
	};
}

/** When an access token of a grant ends, epoch ms: by itself, else by the answer that it came with, else by default. */
export function endOfGrant(access: string, { lifetimeMs }: Grant, now: number): number {
	return tokenTimes(access).expiresAt ?? now + (lifetimeMs ?? DEFAULT_LIFETIME_MS);
}

/** True where Codex can be used with an access token: pi takes the workspace from it. */
export function isUsable(access: string | undefined): access is string {
	return access !== undefined && identityOf(access) !== undefined;
}

const codeSchema = z.string().check(z.trim(), z.toLowerCase(), z.regex(/^[\w.-]{1,80}$/));

/** Every code that a refusal carries, lower-cased, the most telling place first; none where it is no JSON object. */
export function codesIn(body: string): string[] {
	const content = parseJson(recordSchema, body) ?? {};
	const { error, detail, code } = content;
	const [inError, inDetail] = [error, detail].map((part) => recordSchema.safeParse(part).data ?? {});
	const told = [inError?.code, error, code, inDetail?.code, detail, content.error_code, inError?.type, inDetail?.type];
	return told.flatMap((each) => codeSchema.safeParse(each).data ?? []);
}

/** True where the body is a JSON object: an answer of the service itself, and of nothing in between. */
export function isSpoken(body: string): boolean {
	return parseJson(recordSchema, body) !== undefined;
}
