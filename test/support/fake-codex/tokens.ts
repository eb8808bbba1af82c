import { createHash, randomBytes } from "node:crypto";
import type { JsonRecord } from "./json.ts";

/** Part of every token and code the fake issues, so that an output can be searched for any of them at once. */
export const SECRET_MARK = "fakesecret";

/** Client id of Codex and pi (codex-backend.md 1.1). */
export const CLIENT_ID = "app_EMoamEEZ73f0CkXaXp7hrann";

const TEN_DAYS_MS = 10 * 24 * 3_600_000;

/** Who a grant belongs to. `claims` go into the `https://api.openai.com/auth` claim. */
export interface TokenIdentity {
	readonly name: string;
	readonly userId: string;
	readonly email: string;
	readonly claims: JsonRecord;
	/** Life of a new access token in milliseconds. */
	readonly tokenLifetimeMs?: number | undefined;
	/** How long ago a new access token seems to have been issued: with that a part of its life is over at once. */
	readonly tokenAgeMs?: number | undefined;
}

/** Tokens as pi stores them; `expires` in epoch milliseconds. */
export interface Grant {
	readonly access: string;
	readonly refresh: string;
	readonly expires: number;
}

interface Family {
	readonly identity: TokenIdentity;
	revoked: boolean;
}

interface AccessToken {
	readonly family: Family;
	expiresAt: number;
}

interface RefreshToken {
	readonly family: Family;
	spent: boolean;
}

interface AuthorizationCode {
	readonly identity: TokenIdentity;
	readonly challenge: string;
	readonly redirectUri: string;
	readonly scope: string;
	spent: boolean;
}

/** What an access token is worth now. */
export type AccessState = "valid" | "expired" | "revoked" | "unknown";

/** Result of spending a refresh token; every reuse has already revoked the family. */
export type RefreshOutcome = Grant | "reused" | "revoked" | "unknown";

/** Every token and code of the fake: who owns it and whether it still works. */
export class TokenLedger {
	#now: () => number;
	#access = new Map<string, AccessToken>();
	#refresh = new Map<string, RefreshToken>();
	#codes = new Map<string, AuthorizationCode>();
	#secrets: string[] = [];
	#serial = 0;

	constructor(now: () => number) {
		this.#now = now;
	}

	/** Starts a new family, as a fresh login does. */
	grant(identity: TokenIdentity, expiresInMs?: number): Grant {
		const family: Family = { identity, revoked: false };
		return { ...this.#issueAccess(family, expiresInMs), refresh: this.#issueRefresh(family) };
	}

	/** Spends a refresh token; `rotate: false` keeps it usable and returns it again. */
	refresh(token: string, rotate = true): RefreshOutcome {
		const known = this.#refresh.get(token);
		if (known === undefined) return "unknown";
		if (known.spent) {
			known.family.revoked = true;
			return "reused";
		}
		if (known.family.revoked) return "revoked";
		known.spent = rotate;
		return { ...this.#issueAccess(known.family), refresh: rotate ? this.#issueRefresh(known.family) : token };
	}

	/** An authorization code bound to its PKCE challenge and redirect. */
	issueCode(identity: TokenIdentity, bound: { challenge: string; redirectUri: string; scope: string }): string {
		const code = this.#secret("ac", identity.name);
		this.#codes.set(code, { identity, ...bound, spent: false });
		return code;
	}

	/** Spends an authorization code, or says why not. */
	redeemCode(code: string, verifier: string, redirectUri: string): (Grant & { scope: string }) | { problem: string } {
		const known = this.#codes.get(code);
		if (known === undefined) return { problem: "unknown authorization code" };
		if (known.spent) return { problem: "the authorization code was already used" };
		if (known.redirectUri !== redirectUri) return { problem: "redirect_uri differs from the authorization request" };
		if (pkceChallenge(verifier) !== known.challenge) return { problem: "code_verifier does not match" };
		known.spent = true;
		return { ...this.grant(known.identity), scope: known.scope };
	}

	/** State of an access token, and the account it was issued to. */
	access(token: string): { state: AccessState; account: string | undefined } {
		const known = this.#access.get(token);
		if (known === undefined) return { state: "unknown", account: undefined };
		const account = known.family.identity.name;
		if (known.family.revoked) return { state: "revoked", account };
		return { state: this.#now() >= known.expiresAt ? "expired" : "valid", account };
	}

	/** State of a refresh token. */
	refreshState(token: string): "valid" | "spent" | "revoked" | "unknown" {
		const known = this.#refresh.get(token);
		if (known === undefined) return "unknown";
		if (known.family.revoked) return "revoked";
		return known.spent ? "spent" : "valid";
	}

	/** The account a refresh token or code was issued to. */
	ownerOf(refreshOrCode: string): string | undefined {
		const refresh = this.#refresh.get(refreshOrCode);
		return refresh?.family.identity.name ?? this.#codes.get(refreshOrCode)?.identity.name;
	}

	/** Revokes every family of an account. */
	revoke(name: string): void {
		for (const { family } of [...this.#access.values(), ...this.#refresh.values()]) {
			if (family.identity.name === name) family.revoked = true;
		}
	}

	/** Lets every access token of an account expire now, whatever its `exp` says. */
	expire(name: string): void {
		for (const token of this.#access.values()) {
			if (token.family.identity.name === name) token.expiresAt = Math.min(token.expiresAt, this.#now());
		}
	}

	/** A new secret string that shows up in `secrets()`. */
	newSecret(prefix: string): string {
		return this.#secret(prefix, "");
	}

	/** An ID token for the account; carried by token answers only. */
	issueIdToken(identity: TokenIdentity, expiresAt: number): string {
		return this.#jwt("id", identity, expiresAt, { email: identity.email });
	}

	secrets(): string[] {
		return [...this.#secrets];
	}

	#issueAccess(family: Family, expiresInMs?: number): { access: string; expires: number } {
		const expires = this.#now() + (expiresInMs ?? family.identity.tokenLifetimeMs ?? TEN_DAYS_MS);
		const access = this.#jwt("access", family.identity, expires, {
			"https://api.openai.com/profile": { email: family.identity.email, email_verified: true },
		});
		this.#access.set(access, { family, expiresAt: expires });
		return { access, expires };
	}

	#issueRefresh(family: Family): string {
		const token = this.#secret("rt", family.identity.name);
		this.#refresh.set(token, { family, spent: false });
		return token;
	}

	#jwt(use: string, identity: TokenIdentity, expiresAt: number, extra: JsonRecord): string {
		const jti = this.#serialName(use, identity.name);
		const payload = {
			iss: "https://auth.openai.com",
			aud: [use === "id" ? CLIENT_ID : "https://api.openai.com/v1"],
			sub: identity.userId,
			iat: Math.floor((this.#now() - (identity.tokenAgeMs ?? 0)) / 1_000),
			exp: Math.floor(expiresAt / 1_000),
			jti,
			...extra,
			"https://api.openai.com/auth": identity.claims,
		};
		const token = `${plainBase64({ alg: "none", typ: "JWT" })}.${plainBase64(payload)}.${jti}`;
		this.#secrets.push(token);
		return token;
	}

	#secret(prefix: string, owner: string): string {
		const secret = `${prefix}_${this.#serialName(prefix, owner)}_${randomBytes(9).toString("hex")}`;
		this.#secrets.push(secret);
		return secret;
	}

	#serialName(use: string, owner: string): string {
		this.#serial += 1;
		return `${SECRET_MARK}_${use}_${owner.replace(/[^A-Za-z0-9]+/g, "-")}_${this.#serial}`;
	}
}

/** The S256 challenge of a PKCE verifier. */
export function pkceChallenge(verifier: string): string {
	return createHash("sha256").update(verifier).digest("base64url");
}

/**
 * JSON in an encoding that is base64 and base64url at once, since pi reads tokens with a bare `atob`: sextets 62 and 63
 * come only from `>`, `?`, `~` and non-ASCII characters, which JSON can escape, and trailing spaces avoid the padding.
 */
function plainBase64(value: JsonRecord): string {
	const escaped = JSON.stringify(value).replace(
		/[>?~\u007f-\uffff]/g,
		(character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`,
	);
	return Buffer.from(escaped.padEnd(Math.ceil(escaped.length / 3) * 3)).toString("base64");
}
