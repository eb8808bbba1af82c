import { createHash } from "node:crypto";
import * as z from "zod/mini";
import { printable } from "../../core/account.ts";
import { type UserClaim, userClaim } from "../../core/identity.ts";
import { type AccountId, asAccountId, type WorkspaceId } from "../../core/ids.ts";
import { HEADER_VALUE, workspaceIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lazily } from "../lazily.ts";
import { lenient } from "../lenient.ts";

/** The user and workspace of an access token, from its claims. Nothing is verified, since the backend does that. */
export interface Identity {
	/** The id of an account that was first identified by this token. */
	readonly id: AccountId;
	readonly workspaceId: WorkspaceId;
	readonly userId: string | undefined;
	readonly email: string | undefined;
	readonly plan: string | undefined;
	/** The user claims of the token. */
	readonly claims: readonly UserClaim[];
	/** The ids of an account that was first identified by any one of these claims. */
	readonly ids: readonly AccountId[];
}

/** When a token was issued and when it expires, epoch ms. */
interface TokenTimes {
	readonly issuedAt: number | undefined;
	readonly expiresAt: number | undefined;
}

/** A token that may be put into a header. The runtime would quote any other value in an error message. */
export const tokenSchema = z.string().check(z.regex(HEADER_VALUE));

/** A token as services and other programs write it, sometimes surrounded by blanks. */
export const writtenTokenSchema = z.pipe(z.string().check(z.trim()), tokenSchema);

const text = lenient(z.string().check(z.minLength(1)));
/** Text for display only. */
const shown = lenient(z.pipe(z.string().check(z.minLength(1)), z.transform(printable)));
/** Larger values are milliseconds, or another mistake. */
const LAST_SECOND = 100_000_000_000;
const seconds = lenient(
	z.pipe(
		z.union([z.number(), z.pipe(z.string().check(z.trim(), z.minLength(1)), z.transform(Number))]),
		z.number().check(z.positive(), z.maximum(LAST_SECOND)),
	),
);

const claimsSchema = z.object({
	sub: text,
	email: shown,
	iat: seconds,
	exp: seconds,
	"https://api.openai.com/auth": lenient(
		z.object({
			chatgpt_account_id: lenient(workspaceIdSchema),
			chatgpt_user_id: text,
			user_id: text,
			chatgpt_account_user_id: text,
			chatgpt_plan_type: shown,
		}),
	),
	"https://api.openai.com/profile": lenient(z.object({ email: shown })),
});

type Claims = z.output<typeof claimsSchema>;

/**
 * Reads the identity in an access token. Undefined if the token is not a JWT or has no workspace, since pi reads the
 * workspace there and cannot use such a token. `workspaceIdHint` is the workspace stored beside it, which still shows
 * whose token it is.
 */
export function identityOf(accessToken: string, workspaceIdHint?: string): Identity | undefined {
	const claims = claimsOf(accessToken);
	const auth = claims?.["https://api.openai.com/auth"];
	const workspaceId = auth?.chatgpt_account_id ?? workspaceIdSchema.safeParse(workspaceIdHint).data;
	if (!claims || !workspaceId) return undefined;
	return knownIdentities.get(`${workspaceId}\n${accessToken}`, () => identityIn(claims, workspaceId));
}

function identityIn(claims: Claims, workspaceId: WorkspaceId): Identity {
	const auth = claims["https://api.openai.com/auth"];
	const email = claims.email ?? claims["https://api.openai.com/profile"]?.email;
	const userId = auth?.chatgpt_user_id ?? auth?.user_id;
	const users = [auth?.chatgpt_account_user_id, userId, claims.sub].filter((value) => value !== undefined);
	const named = users.length === 0 && email ? [email.toLowerCase()] : users;
	// Few readers need an id, whose hash takes longer than everything else here.
	const idsOf = lazily(() => named.map((user) => idOf(user, workspaceId)));
	return {
		get id() {
			return idsOf()[0] ?? idOf("", workspaceId);
		},
		get ids() {
			return idsOf();
		},
		workspaceId,
		userId: userId ?? claims.sub,
		email,
		plan: auth?.chatgpt_plan_type,
		claims: [
			...(auth?.chatgpt_account_user_id ? [userClaim("chatgpt_account_user_id", auth.chatgpt_account_user_id)] : []),
			...(userId ? [userClaim("chatgpt_user_id", userId)] : []),
			...(claims.sub ? [userClaim("sub", claims.sub)] : []),
		],
	};
}

function idOf(user: string, workspaceId: WorkspaceId): AccountId {
	return asAccountId(createHash("sha256").update(`${user}\n${workspaceId}`).digest("hex").slice(0, 12));
}

/** Returns the issue and expiry times of an access token. */
export function tokenTimes(accessToken: string): TokenTimes {
	const claims = claimsOf(accessToken);
	return {
		issuedAt: claims?.iat === undefined ? undefined : claims.iat * 1000,
		expiresAt: claims?.exp === undefined ? undefined : claims.exp * 1000,
	};
}

/** Returns the first 16 hex digits of a token's sha256. They distinguish two tokens and reveal neither. */
export function fingerprint(token: string): string {
	return createHash("sha256").update(token).digest("hex").slice(0, 16);
}

/** Matches the payload of a signed JWT: the second of three parts. pi accepts no token with more or fewer parts. */
const PAYLOAD = /^[^.]*\.([\w+/-]+={0,2})\.[^.]*$/;

function claimsOf(accessToken: string): Claims | undefined {
	return knownClaims.get(accessToken, () => {
		const payload = PAYLOAD.exec(accessToken)?.[1];
		return payload === undefined ? undefined : parseJson(claimsSchema, Buffer.from(payload, "base64url").toString());
	});
}

/** Maximum number of tokens whose contents are remembered. The oldest are forgotten first. */
const MOST_TOKENS = 200;

/** Remembers what tokens contain. Each is read many times: with the accounts, and for every request. */
interface Contents<T> {
	get(key: string, read: () => T): T;
}

function createContents<T>(): Contents<T> {
	const known = new Map<string, { readonly value: T }>();
	return {
		get: (key, read) => {
			const found = known.get(key);
			if (found) return found.value;
			const value = read();
			known.set(key, { value });
			const [oldest] = known.keys();
			if (known.size > MOST_TOKENS && oldest !== undefined) known.delete(oldest);
			return value;
		},
	};
}

const knownClaims = createContents<Claims | undefined>();
const knownIdentities = createContents<Identity>();
