import { z } from "zod";
import type { Credential } from "../domain/account.ts";
import { identityOf, tokenTimes } from "./jwt.ts";
import { CLIENT_ID } from "./openai-oauth.ts";
import { withoutSlash } from "./token-url.ts";

const EXCHANGE_TIMEOUT_MS = 30_000;

const grantSchema = z.object({
	access_token: z.string().min(1),
	refresh_token: z.string().min(1),
	expires_in: z.number().positive(),
});

/** What a sign-in ends with, to be exchanged once. */
export interface AuthorizationCode {
	readonly code: string;
	/** The PKCE verifier that belongs to it. */
	readonly verifier: string;
	readonly redirectUri: string;
}

/** Exchanges an authorization code for a credential. Throws one sentence that holds no secret. `now` is epoch ms. */
export async function exchangeCode(
	issuer: string,
	{ code, verifier, redirectUri }: AuthorizationCode,
	now: number,
): Promise<Credential> {
	const response = await fetch(`${withoutSlash(issuer)}/oauth/token`, {
		method: "POST",
		headers: { "content-type": "application/x-www-form-urlencoded" },
		body: new URLSearchParams({
			grant_type: "authorization_code",
			code,
			redirect_uri: redirectUri,
			client_id: CLIENT_ID,
			code_verifier: verifier,
		}),
		redirect: "error",
		signal: AbortSignal.timeout(EXCHANGE_TIMEOUT_MS),
	}).catch(() => {
		throw new Error("The sign-in service cannot be reached.");
	});
	const body = await response.text();
	if (body.includes("unsupported_country_region_territory"))
		throw new Error("OpenAI does not offer Codex in this region.");
	if (!response.ok) throw new Error(`The sign-in service refused the code (${response.status}).`);
	const grant = parseGrant(body);
	if (!grant || !identityOf(grant.access_token)) throw new Error("The sign-in gave no usable Codex account.");
	return {
		access: grant.access_token,
		refresh: grant.refresh_token,
		expiresAt: tokenTimes(grant.access_token).expiresAt ?? now + grant.expires_in * 1000,
	};
}

function parseGrant(body: string): z.output<typeof grantSchema> | undefined {
	try {
		return grantSchema.safeParse(JSON.parse(body)).data;
	} catch {
		// The parser's message quotes the body.
		return undefined;
	}
}
