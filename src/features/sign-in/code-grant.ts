import type { Credential } from "../../core/account.ts";
import { endOfGrant, grantIn, isSpoken, isUsable } from "../../platform/backend/grant.ts";
import { CLIENT_ID } from "../../platform/backend/openai-oauth.ts";
import { readBody } from "../../platform/backend/read-body.ts";
import { withoutSlash } from "../../platform/backend/token-url.ts";
import { type Unreached, unreachedWords, whyUnreached } from "../../platform/backend/unreached.ts";
import { CodeRefusedError, LOGIN_CANCELLED, SignInError } from "./rules.ts";

const EXCHANGE_TIMEOUT_MS = 30_000;
/** Tokens and error pages are far shorter. Only this much of a longer answer is read. */
const LONGEST_ANSWER_BYTES = 262_144;

/** The result of a sign-in, to be exchanged once. */
export interface AuthorizationCode {
	readonly code: string;
	/** The PKCE verifier that belongs to it. */
	readonly verifier: string;
	readonly redirectUri: string;
}

/** The answer of the sign-in service. */
interface IssuerAnswer {
	readonly status: number;
	readonly headers: Headers;
	readonly text: string;
}

/**
 * Calls the sign-in service once. Throws a {@link SignInError}: cancelled if `signal` fires, otherwise that the service
 * cannot be reached.
 */
export async function askIssuer(
	url: string,
	body: URLSearchParams | object,
	{ signal, timeoutMs }: { readonly signal: AbortSignal | undefined; readonly timeoutMs: number },
): Promise<IssuerAnswer> {
	const timeout = AbortSignal.timeout(timeoutMs);
	const either = signal ? AbortSignal.any([signal, timeout]) : timeout;
	const isForm = body instanceof URLSearchParams;
	try {
		const response = await fetch(url, {
			method: "POST",
			headers: { "content-type": isForm ? "application/x-www-form-urlencoded" : "application/json" },
			body: isForm ? body : JSON.stringify(body),
			redirect: "error",
			signal: either,
		});
		const came = await readBody(response, LONGEST_ANSWER_BYTES, either);
		signal?.throwIfAborted();
		// An answer that was cut off after its last member is complete, and so is one with both tokens.
		const isAllThere = came.isWhole || isSpoken(came.text) || hasBothTokens(came.text);
		if (!isAllThere && came.broken) throw came.broken.by;
		if (!isAllThere) timeout.throwIfAborted();
		return { status: response.status, headers: response.headers, text: isAllThere ? came.text : "" };
	} catch (error) {
		// Errors of fetch may quote what was sent.
		if (signal?.aborted) throw new SignInError(LOGIN_CANCELLED);
		throw new SignInError(unreachedSentence(whyUnreached(error)));
	}
}

function hasBothTokens(text: string): boolean {
	const grant = grantIn(text);
	return grant?.refresh !== undefined && isUsable(grant.access);
}

/** What to do about an unreachable sign-in service depends on the reason. */
function unreachedSentence(why: Unreached): string {
	if (why.kind === "unanswered" || why.kind === "unconnected") {
		return "The sign-in service cannot be reached. Check the network, or the proxy that Node uses.";
	}
	const words = unreachedWords(why, "the sign-in service");
	return `${words.slice(0, 1).toUpperCase()}${words.slice(1)}.`;
}

/** Returns refusals that are unrelated to this sign-in and may occur at any step; undefined for all others. */
export function refusalAtTheDoor({ status, headers, text }: IssuerAnswer): SignInError | undefined {
	if (text.includes("unsupported_country_region_territory")) {
		return new SignInError(
			"OpenAI does not offer Codex in the region that this connection comes from. Check the proxy that Node uses.",
		);
	}
	const isChallenge = headers.get("cf-mitigated") === "challenge" || (status === 403 && /<html/i.test(text));
	if (isChallenge) {
		return new SignInError(
			"Cloudflare blocked this machine from the sign-in service. Try again later, or from another network.",
		);
	}
	if (status === 429) {
		return new SignInError("The sign-in service got too many sign-ins from here. Try again in a few minutes.");
	}
	return status >= 500
		? new SignInError(`The sign-in service is not working (${status}). Try again later.`)
		: undefined;
}

/** Exchanges an authorization code for a credential. Throws a {@link SignInError}. `now` is epoch ms. */
export async function exchangeCode(
	issuer: string,
	{ code, verifier, redirectUri }: AuthorizationCode,
	now: number,
	signal: AbortSignal | undefined,
): Promise<Credential> {
	const form = new URLSearchParams({
		grant_type: "authorization_code",
		code,
		redirect_uri: redirectUri,
		client_id: CLIENT_ID,
		code_verifier: verifier,
	});
	const url = `${withoutSlash(issuer)}/oauth/token`;
	const answer = await askIssuer(url, form, { signal, timeoutMs: EXCHANGE_TIMEOUT_MS });
	const grant = grantIn(answer.text);
	const { access, refresh } = grant ?? {};
	// The code is spent, so tokens that are there count whatever the status.
	if (grant && refresh !== undefined && isUsable(access)) {
		return { access, refresh, expiresAt: endOfGrant(access, grant, now) };
	}
	const refusal = refusalAtTheDoor(answer);
	if (refusal) throw refusal;
	if (answer.status < 200 || answer.status >= 300) {
		throw new CodeRefusedError(`The sign-in service did not accept the code (${answer.status}). Start again.`);
	}
	if (access === undefined) throw new SignInError("The sign-in returned no account that Codex accepts.");
	if (!isUsable(access)) {
		throw new SignInError("The sign-in returned no account that Codex accepts: its token names no ChatGPT workspace.");
	}
	throw new SignInError("The sign-in came without a refresh token, so it would not last. Start again.");
}
