import type { Account, Credential } from "../../core/account.ts";
import { IMPORTED, TOOLS, type ToolName } from "../../core/account-source.ts";
import type { AccountId } from "../../core/ids.ts";

/** A sign-in stored by another tool. */
export interface FoundLogin {
	readonly kind: "login";
	readonly tool: ToolName;
	readonly path: string;
	/** The tool's name for it. */
	readonly name: string | undefined;
	readonly credential: Credential;
	/** The workspace in the file. pi only uses the one in the token. */
	readonly workspaceIdHint: string | undefined;
}

/** Something stored by another tool that is not a usable sign-in. */
export interface LeftOut {
	readonly kind: "left-out";
	readonly tool: ToolName;
	readonly path: string;
	readonly name: string | undefined;
	/** The end of a sentence. Contains no secret. */
	readonly reason: string;
}

/** One thing that was found. */
export type Finding = FoundLogin | LeftOut;

/** The account that a found sign-in belongs to. */
export interface Owner {
	readonly id: AccountId;
	readonly email: string | undefined;
}

/**
 * What to do with a found sign-in: `add` a new account, or `renew` the sign-in of a known one. Nothing is done if the
 * account works already (`have`), if another place has a newer sign-in of it (`older`) or the same one (`same`), or if
 * the sign-in is known to be spent or refused (`spent`).
 */
export type Verdict = "add" | "renew" | "have" | "older" | "same" | "spent";

/** A found sign-in, and what to do with it. */
export interface PlannedImport {
	readonly found: FoundLogin;
	readonly owner: Owner;
	/** The account that it belongs to, if known. */
	readonly account: Account | undefined;
	readonly verdict: Verdict;
	/** True if its tool has signed in or renewed it within the lifetime of a token, and will therefore continue to. */
	readonly isOwnerActive: boolean;
}

/** The result of a search: what can be imported, and what was left out. */
export interface ImportPlan {
	readonly planned: readonly PlannedImport[];
	readonly leftOut: readonly LeftOut[];
}

/** What can be read from a token. The owner has the same id in every sign-in of one account. Times are epoch ms. */
export interface ImportReader {
	identify(found: FoundLogin): Owner | undefined;
	issuedAt(access: string): number | undefined;
	/** True if this refresh token of the account is known to be spent. */
	isSpent(account: Account, refresh: string): boolean;
}

/** True if carrying out the plan stores this sign-in. */
export function isTaken({ verdict }: PlannedImport): boolean {
	return verdict === "add" || verdict === "renew";
}

/** Returns the sign-ins that an import would store, by the names to show. */
export function takeableSignIns({
	planned,
}: ImportPlan): { readonly tool: string; readonly who: string | undefined }[] {
	return planned
		.filter(isTaken)
		.map(({ found, owner }) => ({ tool: TOOLS[found.tool], who: owner.email ?? found.name }));
}

/**
 * Decides what to do with each finding. Takes one sign-in per identity: the newest that may work. `now` is epoch ms.
 */
export function planImport(
	findings: readonly Finding[],
	accounts: readonly Account[],
	reader: ImportReader,
	now: number,
): ImportPlan {
	const logins = findings.filter((finding) => finding.kind === "login");
	const issuedAt = ({ credential }: FoundLogin) => reader.issuedAt(credential.access) ?? credential.expiresAt;
	/** The best one so far for each account, and for each sign-in: a file may be found twice. */
	const newest = new Map<AccountId, FoundLogin>();
	const planned: PlannedImport[] = [];
	const leftOut: LeftOut[] = findings.filter((finding) => finding.kind === "left-out");
	const drafts = logins.flatMap((found) => {
		const owner = reader.identify(found);
		const { credential } = found;
		if (!owner) leftOut.push(withoutWorkspace(found));
		if (!owner) return [];
		const sharing = accounts.find((account) => account.credential.refresh === credential.refresh);
		const account = accounts.find(({ id }) => id === owner.id) ?? sharing;
		return [{ found, owner, account, verdict: verdictOn(found, account, reader) }];
	});
	const grants = new Set<string>();
	for (const { found, owner, verdict } of drafts) {
		if (verdict !== "add" && verdict !== "renew") continue;
		const best = newest.get(owner.id);
		if (!best || issuedAt(found) > issuedAt(best)) newest.set(owner.id, found);
	}
	for (const draft of drafts) {
		const { found, owner, verdict } = draft;
		const isOwnerActive = found.credential.expiresAt > now;
		const isWanted = verdict === "add" || verdict === "renew";
		const best = newest.get(owner.id);
		const isBest = best === found && !grants.has(found.credential.refresh);
		if (isWanted && isBest) grants.add(found.credential.refresh);
		const isSame = best?.credential.refresh === found.credential.refresh || grants.has(found.credential.refresh);
		const spare: Verdict = isSame ? "same" : "older";
		planned.push({ ...draft, isOwnerActive, verdict: isWanted && !isBest ? spare : verdict });
	}
	return { planned, leftOut };
}

function withoutWorkspace({ tool, path, name, workspaceIdHint }: FoundLogin): LeftOut {
	const elsewhere = workspaceIdHint === undefined ? "" : ", and pi looks for one nowhere else";
	return { kind: "left-out", tool, path, name, reason: `its token names no ChatGPT workspace${elsewhere}` };
}

/** Judges a sign-in by itself, before others of its account are compared. */
function verdictOn(found: FoundLogin, account: Account | undefined, reader: ImportReader): Verdict {
	const isOurs = account?.credential.refresh === found.credential.refresh;
	// pi's own login is linked, never copied: two holders of one refresh token would sign each other out.
	if (found.tool === "pi") return account?.needsLogin && isOurs ? "spent" : "have";
	if (!account) return "add";
	if (isOurs) return account.needsLogin ? "spent" : "have";
	// Another sign-in may have replaced it here since it was refused.
	if (reader.isSpent(account, found.credential.refresh)) return "spent";
	// Its tool would continue to spend a token that all machines of the pool hold. Import it only if nothing works there.
	if (account.shared) return account.needsLogin ? "renew" : "have";
	const ours = reader.issuedAt(account.credential.access) ?? 0;
	const theirs = reader.issuedAt(found.credential.access) ?? 0;
	const isFromThere = account.source === `${IMPORTED}${found.tool}`;
	// What was imported from any tool and renewed here since is spent: tools keep copies of one chain of tokens.
	if (account.source.startsWith(IMPORTED) && theirs <= ours) return account.needsLogin ? "spent" : "have";
	// A sign-in of its own is better than a shared one. A shared one that its tool has renewed since is spent here.
	return account.needsLogin || isFromThere ? "renew" : "have";
}
