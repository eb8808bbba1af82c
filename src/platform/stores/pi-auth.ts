import * as z from "zod/mini";
import type { Credential } from "../../core/account.ts";
import { PROVIDER } from "../../core/ids.ts";
import { ownValue } from "../../core/own-value.ts";
import type { LockedPiAuth, PiAuth, PiLogin } from "../../core/ports.ts";
import { fingerprint, tokenSchema, tokenTimes } from "../backend/jwt.ts";
import type { StagedFile } from "../files/atomic-file.ts";
import { signatureOf } from "../files/document-file.ts";
import { isMissing } from "../files/errors.ts";
import { withLockUnlessBusy } from "../files/lock.ts";
import { changePiFile, rewrite, stageBeside } from "../files/pi-file.ts";
import { readTextNow } from "../files/regular-file.ts";
import { workspaceIdSchema } from "../ids.ts";
import { parseJson } from "../json.ts";
import { lenient } from "../lenient.ts";

/** The provider whose login in `auth.json` is linked. */
const ENTRY = PROVIDER;

/** A turn waits no longer than this for the lock. pi's own asynchronous lock treats a holder that is gone alike. */
const LOCK = { waitMs: 3000, staleMs: 30_000 };

const fileSchema = z.record(z.string(), z.unknown());
const oauthSchema = z.looseObject({
	type: z.literal("oauth"),
	access: tokenSchema,
	refresh: tokenSchema,
	// The token contains its expiry too.
	expires: lenient(z.number()),
	accountId: lenient(workspaceIdSchema),
});

/** Opens pi's `auth.json` at `path`. Reads nothing before the first call. */
export function openPiAuth(path: string): PiAuth {
	const locked = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
		withLockUnlessBusy(path, { ...LOCK, signal }, work);

	return {
		signature: () => signatureOf(path),
		peek: () => readLogin(path),
		hasPlanLogin: () => hasPlanLoginIn(readTextIfAny(path)),
		loginMark: (provider) => {
			const stored = parseJson(fileSchema, readTextIfAny(path));
			const entry = stored && ownValue(stored, provider);
			return entry === undefined ? undefined : fingerprint(JSON.stringify(entry));
		},
		read: (signal) => locked(signal, async () => readLogin(path)),
		exclusively: async (work, signal) => {
			const staged = await stageBeside(path);
			try {
				return await locked(signal, () => work(lockedFile(path, staged)));
			} finally {
				await staged.discard();
			}
		},
		writeBack: (replacedRefresh, next, accountId) =>
			changePiFile(path, LOCK, (bytes) => withCredential(bytes, replacedRefresh, next, accountId)),
	};
}

function lockedFile(path: string, staged: StagedFile): LockedPiAuth {
	return {
		login: () => readLogin(path),
		replaceCredential: (replacedRefresh, next, accountId) =>
			rewrite(path, staged, (bytes) => withCredential(bytes, replacedRefresh, next, accountId)),
		deleteLogin: (refresh) => rewrite(path, staged, (bytes) => withEntry(bytes, refresh, () => undefined)),
	};
}

function readLogin(path: string): PiLogin {
	let bytes: string;
	try {
		bytes = readTextNow(path);
	} catch (error) {
		return { kind: isMissing(error) ? "none" : "unreadable" };
	}
	return parseLogin(bytes);
}

/** Reads the login of `openai-codex` from the content of an `auth.json`. */
export function parseLogin(bytes: string): PiLogin {
	const entries = parseJson(fileSchema, bytes);
	if (!entries) return { kind: "unreadable" };
	const entry = entries[ENTRY];
	if (entry === undefined || entry === null) return { kind: "none" };
	const { data: login } = oauthSchema.safeParse(entry);
	if (login) {
		const { access, refresh, expires, accountId } = login;
		const expiresAt = expires ?? tokenTimes(access).expiresAt ?? 0;
		return { kind: "oauth", credential: { access, refresh, expiresAt }, workspaceId: accountId };
	}
	// Half an OAuth login is damage. Any other type is not ours.
	const damaged = z.object({ type: z.literal("oauth") }).safeParse(entry).success;
	return { kind: damaged ? "unreadable" : "foreign" };
}

/** True if the content of an `auth.json` holds a ChatGPT sign-in under pi's provider `openai`. */
export function hasPlanLoginIn(bytes: string): boolean {
	const read = parseJson(z.looseObject({ openai: z.looseObject({ type: z.literal("oauth") }) }), bytes);
	return read !== undefined;
}

function readTextIfAny(path: string): string {
	try {
		return readTextNow(path);
	} catch {
		// Missing, or unreadable: `verify` reports it.
		return "";
	}
}

/** Returns the file's content with the credential replaced; undefined if it does not hold `replacedRefresh`. */
function withCredential(
	bytes: string,
	replacedRefresh: string,
	next: Credential,
	accountId: string,
): string | undefined {
	const { access, refresh, expiresAt: expires } = next;
	return withEntry(bytes, replacedRefresh, (entry) => ({ ...entry, access, refresh, expires, accountId }));
}

/**
 * Returns the file's content, in pi's own layout, with our entry changed; undefined if the entry does not hold
 * `refresh`.
 */
function withEntry(
	bytes: string,
	refresh: string,
	change: (entry: Record<string, unknown>) => Record<string, unknown> | undefined,
): string | undefined {
	const entries = parseJson(fileSchema, bytes);
	const { data: entry } = z.record(z.string(), z.unknown()).safeParse(entries?.[ENTRY]);
	if (!entries || !entry || oauthSchema.safeParse(entry).data?.refresh !== refresh) return undefined;
	// JSON leaves out an undefined entry.
	const text = JSON.stringify({ ...entries, [ENTRY]: change(entry) }, undefined, 2);
	return bytes.endsWith("\n") ? `${text}\n` : text;
}
