import { z } from "zod";
import type { Credential } from "../domain/account.ts";
import { LOGIN_CANCELLED } from "../domain/sign-in.ts";
import type { DeviceDialog } from "../pool/ports.ts";
import { exchangeCode } from "./code-grant.ts";
import { pauseFor } from "./lock.ts";
import { CLIENT_ID } from "./openai-oauth.ts";
import { refusalToSendTokens, withoutSlash } from "./token-url.ts";

/** The issuer's own ceiling. */
const EXPIRES_IN_SECONDS = 15 * 60;
const CALL_TIMEOUT_MS = 15_000;
/** Added to the interval whenever the issuer asks to slow down. */
const SLOWER_SECONDS = 5;

const startSchema = z.object({
	device_auth_id: z.string().min(1),
	user_code: z.string().optional(),
	usercode: z.string().optional(),
	// Arrives as a string.
	interval: z.coerce.number().min(1).max(60).catch(5),
});
const codeSchema = z.object({ authorization_code: z.string().min(1), code_verifier: z.string().min(1) });
const errorSchema = z.object({ error: z.union([z.string(), z.object({ code: z.string().nullish() })]) });

/**
 * Signs in with a code that is typed on another device. Throws {@link LOGIN_CANCELLED} on cancel, else one sentence that
 * holds no secret.
 */
export async function loginOnDevice(issuer: string, dialog: DeviceDialog, now: () => number): Promise<Credential> {
	const refusal = refusalToSendTokens(issuer, "PI_MULTICODEX_AUTH_URL");
	if (refusal) throw new Error(refusal);
	const base = withoutSlash(issuer);
	try {
		const started = await call(`${base}/api/accounts/deviceauth/usercode`, { client_id: CLIENT_ID }, dialog.signal);
		if (started.status === 404)
			throw new Error("Signing in with a device code is not enabled for this ChatGPT account.");
		const { data: device } = startSchema.safeParse(started.body);
		const userCode = device?.user_code ?? device?.usercode;
		if (!device || !userCode) throw new Error(`The sign-in service gave no device code (${started.status}).`);
		const shown = { userCode, verificationUri: `${base}/codex/device`, intervalSeconds: device.interval };
		dialog.showCode({ ...shown, expiresInSeconds: EXPIRES_IN_SECONDS });
		const waiting = { device_auth_id: device.device_auth_id, user_code: userCode };
		const granted = await poll(`${base}/api/accounts/deviceauth/token`, waiting, device.interval, dialog.signal, now);
		const { authorization_code: code, code_verifier: verifier } = granted;
		return await exchangeCode(issuer, { code, verifier, redirectUri: `${base}/deviceauth/callback` }, now());
	} catch (error) {
		if (dialog.signal?.aborted) throw new Error(LOGIN_CANCELLED);
		throw error;
	}
}

/** Asks until the code was typed. 403 and 404 mean "not yet". */
async function poll(
	url: string,
	waiting: Readonly<Record<string, string>>,
	interval: number,
	signal: AbortSignal | undefined,
	now: () => number,
): Promise<z.output<typeof codeSchema>> {
	const expiresAt = now() + EXPIRES_IN_SECONDS * 1000;
	let seconds = interval;
	while (now() < expiresAt) {
		await pauseFor(seconds * 1000, signal);
		const { status, body } = await call(url, waiting, signal);
		const { data: granted } = codeSchema.safeParse(body);
		if (status === 200 && granted) return granted;
		const code = codeIn(body);
		if (code === "slow_down") seconds += SLOWER_SECONDS;
		const isPending = status === 403 || status === 404 || status === 429 || status >= 500;
		if (!isPending && code !== "deviceauth_authorization_pending" && code !== "slow_down") {
			throw new Error(`The sign-in service refused the device code (${status}).`);
		}
	}
	throw new Error("The device code was not used within 15 minutes.");
}

async function call(
	url: string,
	body: Readonly<Record<string, string>>,
	signal: AbortSignal | undefined,
): Promise<{ readonly status: number; readonly body: unknown }> {
	const timeout = AbortSignal.timeout(CALL_TIMEOUT_MS);
	try {
		const response = await fetch(url, {
			method: "POST",
			headers: { "content-type": "application/json" },
			body: JSON.stringify(body),
			redirect: "error",
			signal: signal ? AbortSignal.any([signal, timeout]) : timeout,
		});
		return { status: response.status, body: await response.json().catch(() => undefined) };
	} catch {
		throw new Error("The sign-in service cannot be reached.");
	}
}

function codeIn(body: unknown): string | undefined {
	const { data } = errorSchema.safeParse(body);
	return typeof data?.error === "string" ? data.error : (data?.error.code ?? undefined);
}
