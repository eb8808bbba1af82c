import { readFileSync } from "node:fs";
import { readFile, realpath, stat } from "node:fs/promises";
import { z } from "zod";
import type { Credential } from "../domain/account.ts";
import type { LockedPiAuth, PiAuth, PiLogin } from "../pool/ports.ts";
import { type StagedFile, stageFile } from "./atomic-file.ts";
import { tokenSchema } from "./jwt.ts";
import { withLock } from "./lock.ts";
import { signatureOf } from "./shared-document.ts";

/** The provider whose login in `auth.json` is ours to link. */
const ENTRY = "openai-codex";

/** A lock held by a live process for longer than this is not worth a turn's wait. */
const LOCK_WAIT_MS = 3000;

/** pi's own asynchronous lock uses the same figure. */
const STALE_MS = 30_000;

/** Room proven beyond the present size, for a longer token. */
const SPARE_BYTES = 8192;

const fileSchema = z.record(z.string(), z.unknown());
const oauthSchema = z.looseObject({
	type: z.literal("oauth"),
	access: tokenSchema,
	refresh: tokenSchema,
	expires: z.number(),
	accountId: z.string().optional().catch(undefined),
});

/** Opens pi's `auth.json` at `path`. Nothing is read until asked. */
export function openPiAuth(path: string): PiAuth {
	const locked = <T>(signal: AbortSignal | undefined, work: () => Promise<T>) =>
		withLock(path, { waitMs: LOCK_WAIT_MS, staleMs: STALE_MS, signal }, work);

	return {
		signature: () => signatureOf(path),
		peek: () => readLogin(path),
		read: (signal) => locked(signal, async () => readLogin(path)),
		exclusively: async (work, signal) => {
			const staged = await stageBeside(path);
			try {
				return await locked(signal, () => work(lockedFile(path, staged)));
			} finally {
				await staged.discard();
			}
		},
		writeBack: async (replacedRefresh, next, accountId) => {
			const before = await readFile(path, "utf8");
			const after = withCredential(before, replacedRefresh, next, accountId);
			if (after === undefined) return false;
			const staged = await stageBeside(path);
			try {
				await staged.write(after);
				return await locked(undefined, async () => {
					if ((await readFile(path, "utf8")) !== before) return false;
					await staged.commit();
					return true;
				});
			} finally {
				await staged.discard();
			}
		},
	};
}

function lockedFile(path: string, staged: StagedFile): LockedPiAuth {
	return {
		login: () => readLogin(path),
		replaceCredential: async (replacedRefresh, next, accountId) => {
			const after = withCredential(await readFile(path, "utf8"), replacedRefresh, next, accountId);
			if (after === undefined) return false;
			await staged.write(after);
			await staged.commit();
			return true;
		},
	};
}

function readLogin(path: string): PiLogin {
	let bytes: string;
	try {
		bytes = readFileSync(path, "utf8");
	} catch (error) {
		const gone = error instanceof Error && "code" in error && error.code === "ENOENT";
		return { kind: gone ? "none" : "unreadable" };
	}
	return parseLogin(bytes);
}

/** What the content of an `auth.json` says of `openai-codex`. */
export function parseLogin(bytes: string): PiLogin {
	const entries = parseFile(bytes);
	if (!entries) return { kind: "unreadable" };
	const entry = entries[ENTRY];
	if (entry === undefined) return { kind: "none" };
	const { data: login } = oauthSchema.safeParse(entry);
	if (login) {
		const { access, refresh, expires, accountId } = login;
		return { kind: "oauth", credential: { access, refresh, expiresAt: expires }, accountId };
	}
	// Half an OAuth login is damage; any other type is somebody else's.
	const damaged = z.object({ type: z.literal("oauth") }).safeParse(entry).success;
	return { kind: damaged ? "unreadable" : "foreign" };
}

function parseFile(bytes: string): Record<string, unknown> | undefined {
	try {
		return fileSchema.safeParse(JSON.parse(bytes)).data;
	} catch {
		// Torn or damaged; the parser's message quotes content, so it goes nowhere.
		return undefined;
	}
}

/** The file's content with the credential replaced, in pi's own layout; undefined where it does not hold `replacedRefresh`. */
function withCredential(
	bytes: string,
	replacedRefresh: string,
	next: Credential,
	accountId: string,
): string | undefined {
	const entries = parseFile(bytes);
	const { data: entry } = z.record(z.string(), z.unknown()).safeParse(entries?.[ENTRY]);
	if (!entries || !entry || oauthSchema.safeParse(entry).data?.refresh !== replacedRefresh) return undefined;
	const replaced = { ...entry, access: next.access, refresh: next.refresh, expires: next.expiresAt, accountId };
	const text = JSON.stringify({ ...entries, [ENTRY]: replaced }, undefined, 2);
	return bytes.endsWith("\n") ? `${text}\n` : text;
}

/** Stages beside the real file, so that a symlinked `auth.json` stays a link; size and mode are those of the file. */
async function stageBeside(path: string): Promise<StagedFile> {
	const target = await realpath(path);
	const { size, mode } = await stat(target);
	return stageFile(target, { bytes: size + SPARE_BYTES, mode: mode & 0o777 });
}
