import * as z from "zod/mini";
import type { Credential } from "../../core/account.ts";
import { codesIn } from "../../platform/backend/grant.ts";
import { CLIENT_ID } from "../../platform/backend/openai-oauth.ts";
import { refusalToSendTokens, withoutSlash } from "../../platform/backend/token-url.ts";
import { parseJson } from "../../platform/json.ts";
import { lenient } from "../../platform/lenient.ts";
import { type AuthorizationCode, askIssuer, exchangeCode, refusalAtTheDoor } from "./code-grant.ts";
import type { DeviceDialog } from "./ports.ts";
import { LOGIN_CANCELLED, SignInError } from "./rules.ts";

/** The issuer's own maximum. */
const EXPIRES_IN_SECONDS = 15 * 60;
const CALL_TIMEOUT_MS = 15_000;
/** Added to the interval whenever the issuer asks to slow down. */
const SLOWER_SECONDS = 5;

const PENDING = new Set(["deviceauth_authorization_pending", "authorization_pending"]);

const text = lenient(z.union([z.string().check(z.trim(), z.minLength(1)), z.pipe(z.number(), z.transform(String))]));
/** Shown unchanged. */
const userCode = lenient(z.string().check(z.trim(), z.regex(/^[\w-]+$/)));

const startSchema = z.object({
	device_auth_id: text,
	device_code: text,
	user_code: userCode,
	usercode: userCode,
	userCode,
	// Arrives as a string.
	interval: z.catch(z.pipe(z.transform(Number), z.number().check(z.minimum(1), z.maximum(60))), 5),
});
const codeSchema = z.object({ authorization_code: text, code_verifier: text });

/** Waits for `ms`; rejects as soon as `signal` fires. */
type Pause = (ms: number, signal: AbortSignal | undefined) => Promise<void>;

/** Signs in with a code that is typed on another device. Throws a {@link SignInError}. */
export async function loginOnDevice(
	issuer: string,
	dialog: DeviceDialog,
	now: () => number,
	pause: Pause,
): Promise<Credential> {
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	if (refusal) throw new SignInError(refusal);
	const { signal } = dialog;
	const base = withoutSlash(issuer);
	const begun = { client_id: CLIENT_ID };
	const started = await askIssuer(`${base}/api/accounts/deviceauth/usercode`, begun, timed(signal));
	if (started.status === 404) {
		throw new SignInError(
			"Device codes are switched off for this account. Switch them on in ChatGPT under Settings, Security, or sign in with a browser.",
		);
	}
	const atTheDoor = refusalAtTheDoor(started);
	if (atTheDoor) throw atTheDoor;
	const device = parseJson(startSchema, started.text);
	const userCode = device?.user_code ?? device?.usercode ?? device?.userCode;
	const deviceId = device?.device_auth_id ?? device?.device_code;
	if (!device || !userCode || !deviceId)
		throw new SignInError(`The sign-in service gave no device code (${started.status}).`);
	const shown = { userCode, verificationUri: new URL(`${base}/codex/device`).href, intervalSeconds: device.interval };
	dialog.showCode({ ...shown, expiresInSeconds: EXPIRES_IN_SECONDS });
	const waiting = { device_auth_id: deviceId, user_code: userCode };
	const granted = await poll(`${base}/api/accounts/deviceauth/token`, waiting, device.interval, { signal, now, pause });
	return exchangeCode(issuer, { ...granted, redirectUri: `${base}/deviceauth/callback` }, now(), signal);
}

/** Polls until the code was typed. 403 and 404 mean "not yet". Temporary failures are waited out. */
async function poll(
	url: string,
	waiting: Readonly<Record<string, string>>,
	interval: number,
	{
		signal,
		now,
		pause,
	}: { readonly signal: AbortSignal | undefined; readonly now: () => number; readonly pause: Pause },
): Promise<Pick<AuthorizationCode, "code" | "verifier">> {
	const expiresAt = now() + EXPIRES_IN_SECONDS * 1000;
	let seconds = interval;
	while (now() < expiresAt) {
		await pause(seconds * 1000, signal).catch(() => {
			throw new SignInError(LOGIN_CANCELLED);
		});
		const answer = await askIssuer(url, waiting, timed(signal)).catch((error) => {
			if (signal?.aborted) throw error;
			return undefined;
		});
		if (!answer) continue;
		const { authorization_code: code, code_verifier: verifier } = parseJson(codeSchema, answer.text) ?? {};
		const isGood = answer.status >= 200 && answer.status < 300;
		if (isGood && code && verifier) return { code, verifier };
		const codes = codesIn(answer.text);
		const isSlowDown = codes.includes("slow_down");
		if (isSlowDown) seconds += SLOWER_SECONDS;
		if (codes.includes("access_denied")) throw new SignInError("The sign-in was refused on the other device.");
		if (codes.includes("expired_token")) break;
		const isPending = answer.status === 403 || answer.status === 404 || answer.status === 429 || answer.status >= 500;
		// An answer with neither a code nor a refusal is not final.
		const isNoAnswer = isGood && !code && codes.length === 0;
		const isAskedToWait = isNoAnswer || isSlowDown || codes.some((each) => PENDING.has(each));
		if (isPending || isAskedToWait) continue;
		throw new SignInError(`The sign-in service refused the device code (${answer.status}). Start again.`);
	}
	throw new SignInError("The device code was not used within 15 minutes. Start again.");
}

function timed(signal: AbortSignal | undefined): { signal: AbortSignal | undefined; timeoutMs: number } {
	return { signal, timeoutMs: CALL_TIMEOUT_MS };
}
