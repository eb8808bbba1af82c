import { refusalToSendTokens, withoutSlash } from "../../platform/backend/token-url.ts";
import { whyUnreached } from "../../platform/backend/unreached.ts";
import { usageUrl } from "../../platform/backend/usage-api.ts";
import type { EndpointFact } from "./rules.ts";

const PATIENCE_MS = 5000;
/** The time in a cached answer older than this is not used. */
const LONGEST_AGE_S = 366 * 24 * 60 * 60;

/** Checks whether the Codex backend at `baseUrl` answers. Sends no token, since any answer will do. Never rejects. */
export function probeBackend(baseUrl: string, now: () => number): Promise<EndpointFact> {
	const refusal = refusalToSendTokens(baseUrl, "baseUrl of openai-codex in models.json");
	return probe({ name: "backend", url: usageUrl(baseUrl), refusal }, now);
}

/** Checks whether the sign-in service at `issuer` answers. Sends nothing. Never rejects. */
export function probeIssuer(issuer: string, now: () => number): Promise<EndpointFact> {
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	return probe({ name: "issuer", url: `${withoutSlash(issuer)}/`, refusal }, now);
}

interface Endpoint extends Pick<EndpointFact, "name" | "refusal"> {
	readonly url: string;
}

async function probe({ name, url, refusal }: Endpoint, now: () => number): Promise<EndpointFact> {
	const silent = { name, refusal, untrusted: undefined, status: undefined, isChallenge: false, skewMs: undefined };
	if (refusal !== undefined) return silent;
	const askedAt = now();
	try {
		const response = await fetch(url, { redirect: "manual", signal: AbortSignal.timeout(PATIENCE_MS) });
		await response.body?.cancel();
		const { status, headers } = response;
		// The answer is older by the time that a cache kept it.
		const age = Number(headers.get("age") ?? 0);
		const ageMs = age >= 0 && age <= LONGEST_AGE_S ? age * 1000 : Number.NaN;
		const toldAt = Date.parse(headers.get("date") ?? "") + ageMs;
		return {
			name,
			refusal,
			untrusted: undefined,
			status,
			// At the sign-in service only its pages are protected like this, and we need none of them.
			isChallenge: name === "backend" && headers.get("cf-mitigated") === "challenge",
			skewMs: Number.isNaN(toldAt) ? undefined : skew(toldAt, askedAt, now()),
		};
	} catch (error) {
		// Whatever the reason, there is no answer. The message may quote an address with a password.
		const { kind, code } = whyUnreached(error);
		return kind === "certificate" ? { ...silent, untrusted: code } : silent;
	}
}

/** Returns the difference that the time between request and answer does not explain. The header is in whole seconds. */
function skew(toldAt: number, askedAt: number, answeredAt: number): number {
	if (toldAt > answeredAt) return toldAt - answeredAt;
	return Math.min(0, toldAt + 1000 - askedAt);
}
