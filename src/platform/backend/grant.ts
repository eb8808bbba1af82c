import * as z from "zod/mini";
import { parseJson, withoutMark } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";
import { identityOf, tokenTimes, writtenTokenSchema } from "./jwt.ts";

/** The fields of a token answer. Each is read by itself, so that a malformed one spoils only itself. */
export interface Grant {
	readonly access: string | undefined;
	readonly refresh: string | undefined;
	/** Lifetime as stated by the answer, ms; undefined if it makes no sense. */
	readonly lifetimeMs: number | undefined;
}

/** Lifetime of an access token if neither the token nor the answer states one. */
const DEFAULT_LIFETIME_MS = 60 * 60_000;
/** A longer lifetime is a mistake, such as a point in time instead of a length. */
const LONGEST_LIFETIME_S = 366 * 24 * 60 * 60;

const grantSchema = lazily(() => {
	const token = lenient(writtenTokenSchema);
	const seconds = lenient(
		z.pipe(
			z.union([z.number(), z.pipe(z.string().check(z.trim(), z.minLength(1)), z.transform(Number))]),
			z.number().check(z.positive(), z.maximum(LONGEST_LIFETIME_S)),
		),
	);
	return z.object({ access_token: token, refresh_token: token, expires_in: seconds });
});
const recordSchema = lazily(() => z.record(z.string(), z.unknown()));
const contentSchema = lazily(() => z.union([recordSchema(), z.array(z.unknown()), z.string()]));

/** Gateways wrap the service's answer in objects, lists and texts. Nothing deeper than this is read. */
const DEEPEST = 4;
/** Maximum number of objects of an answer that are read. */
const MOST_OBJECTS = 100;

/** Reads the body of a token answer, even one that was cut off; undefined if it is not JSON. */
export function grantIn(body: string): Grant | undefined {
	const content = parseJson(contentSchema(), body);
	const places = content === undefined ? wholeMembersOf(body) : objectsIn(content, DEEPEST).slice(0, MOST_OBJECTS);
	if (places.length === 0) return undefined;
	const read = places.map((place) => {
		const told = grantSchema().parse(place);
		const renamed = grantSchema().parse(inSnakeCase(place));
		return {
			access_token: told.access_token ?? renamed.access_token,
			refresh_token: told.refresh_token ?? renamed.refresh_token,
			expires_in: told.expires_in ?? renamed.expires_in,
		};
	});
	const best = read.find((grant) => isUsable(grant.access_token)) ?? read.find((grant) => grant.access_token);
	const { access_token, refresh_token, expires_in } = best ?? read[0] ?? {};
	return {
		access: access_token,
		refresh: refresh_token ?? read.find((grant) => grant.refresh_token)?.refresh_token,
		lifetimeMs: expires_in === undefined ? undefined : expires_in * 1000,
	};
}

/** Returns the fields under the names that an answer has once a gateway has renamed them. */
function inSnakeCase({ accessToken, refreshToken, expiresIn }: Readonly<Record<string, unknown>>) {
	return { access_token: accessToken, refresh_token: refreshToken, expires_in: expiresIn };
}

/** Returns the objects in it, outer ones before inner ones. */
function objectsIn(content: unknown, depth: number): Readonly<Record<string, unknown>>[] {
	if (typeof content === "string") {
		return /^\s*[{[]/.test(content) ? objectsIn(parseJson(contentSchema(), content), depth - 1) : [];
	}
	if (typeof content !== "object" || content === null || depth < 0) return [];
	const record = Array.isArray(content) ? undefined : recordSchema().safeParse(content).data;
	const within = Object.values(content).slice(0, MOST_OBJECTS);
	return [...(record ? [record] : []), ...within.flatMap((each) => objectsIn(each, depth - 1))];
}

/** Matches a token that is complete within its quotes. A token at which an answer was cut off is not. */
const WHOLE_TOKEN = /"(access_token|refresh_token)"\s{0,9}:\s{0,9}("(?:[^"\\]|\\.)*")/g;

/**
 * Reads complete tokens from JSON that was cut off, or that some characters stand before: the exchange has spent the
 * former ones.
 */
function wholeMembersOf(body: string): Readonly<Record<string, unknown>>[] {
	if (!/^[^<]{0,20}?[{[]/.test(withoutMark(body))) return [];
	return [...body.matchAll(WHOLE_TOKEN)].map(([, name = "", quoted = ""]) => ({
		[name]: parseJson(contentSchema(), quoted),
	}));
}

/** Returns the expiry of an access token, epoch ms: from its own claims, else from the answer, else by default. */
export function endOfGrant(access: string, { lifetimeMs }: Grant, now: number): number {
	return tokenTimes(access).expiresAt ?? now + (lifetimeMs ?? DEFAULT_LIFETIME_MS);
}

/** True if Codex can be used with this access token. pi reads the workspace from it. */
export function isUsable(access: string | undefined): access is string {
	return access !== undefined && identityOf(access) !== undefined;
}

const codeSchema = lazily(() => z.string().check(z.trim(), z.toLowerCase(), z.regex(/^[\w.-]{1,80}$/)));

/**
 * Returns every code in a refusal, lower-cased, the most specific place first; none if the body is not a JSON object.
 */
export function codesIn(body: string): string[] {
	const content = parseJson(recordSchema(), body) ?? {};
	const { error, detail, code } = content;
	const [inError, inDetail] = [error, detail].map((part) => recordSchema().safeParse(part).data ?? {});
	const places = [
		inError?.code,
		error,
		code,
		inDetail?.code,
		detail,
		content.error_code,
		inError?.type,
		inDetail?.type,
	];
	return places.flatMap((each) => codeSchema().safeParse(each).data ?? []);
}

/** True if the body is a JSON object. Then the service itself answered, and not a proxy. */
export function isSpoken(body: string): boolean {
	return parseJson(recordSchema(), body) !== undefined;
}
