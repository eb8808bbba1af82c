import type { Account, Credential, NeedsLogin } from "./account.ts";
import type { Cooldown } from "./cooldown.ts";
import type { Decision, LoggedDecision } from "./decision.ts";
import type { AccountId, SessionId, WorkspaceId } from "./ids.ts";
import type { Settings, StoredValue } from "./settings.ts";
import type { SpentToken } from "./spent-tokens.ts";
import type { UsageSnapshot } from "./usage.ts";

/** Wall-clock time, epoch ms. */
export interface Clock {
	now(): number;
}

/** What a port answers if another process holds a lock for too long: nothing was done. */
export type Busy = "busy";

/** The fields of an account that change after it was added. */
export type AccountPatch = Partial<Pick<Account, "label" | "plan" | "credential" | "linked" | "enabled" | "claims">> & {
	readonly needsLogin?: NeedsLogin | undefined;
	readonly disabledReason?: string | undefined;
};

/** The accounts file. Every write is durable before it resolves, and rejects where it could not be made so. */
export interface AccountStore {
	list(): readonly Account[];
	/**
	 * Adds an account, or replaces the one with its id unless that works and has a later token; the label is made unique.
	 * Accounts that turn out to be the same one are merged: the id and the name of the oldest stay, and the newest
	 * credential that works; the other one is kept in a backup.
	 */
	put(account: Account): Promise<void>;
	/**
	 * Changes an account if it is still there and `applies` to its newest credential. A credential never replaces one
	 * that was issued later, unless it came in exchange for that one; a label is made unique; claims are added. Merges as
	 * `put` does.
	 */
	patch(
		id: AccountId,
		patch: AccountPatch,
		applies?: (newest: Credential) => boolean,
		isExchanged?: boolean,
	): Promise<void>;
	/** As `patch`, for what a person asked for: nothing has changed where it could not be written. */
	edit(id: AccountId, patch: AccountPatch): Promise<void>;
	/** Takes an account out, once it is kept in a backup. Nothing has changed where that could not be written. */
	remove(id: AccountId): Promise<void>;
	/** Keeps a copy of an account, as `remove` does. */
	backUp(id: AccountId): Promise<void>;
	/**
	 * Puts `next` into the backup of an account that was taken out while its token was exchanged: what the backup has is
	 * spent by then. Changes no backup with another credential than `spentRefresh`.
	 */
	renewBackup(id: AccountId, spentRefresh: string, next: Credential): Promise<void>;
	/** The account that was taken out last and is not back since, as the backup has it. */
	lastRemoved(): Promise<Account | undefined>;
	/** Puts an account back from its backup, whole, as one of ours. */
	restore(id: AccountId): Promise<void>;
	/** Runs `work` as the only process that refreshes this account; busy if another one does so for 3 s. */
	whileRefreshing<T>(id: AccountId, work: () => Promise<T>): Promise<T | Busy>;
	/** Proves that the file can be written, before a single-use token is spent. Throws what the file system says. */
	assertWritable(): Promise<void>;
	flush(): Promise<void>;
}

/** What is remembered of an account and may be lost without harm. */
export interface AccountStatus {
	readonly cooldowns: readonly Cooldown[];
	readonly usage?: UsageSnapshot | undefined;
	/** When some process last began to ask for usage, epoch ms. */
	readonly usageAskedAt?: number | undefined;
	/** Calls for usage that failed in a row. */
	readonly usageFailures?: number | undefined;
	readonly lastUsedAt?: number | undefined;
	readonly lastError?: { readonly text: string; readonly at: number } | undefined;
	/** Why the last call for usage failed; it never takes the place of what a request was refused for. */
	readonly usageError?: { readonly text: string; readonly at: number } | undefined;
	/** 402/403 in a row. */
	readonly strikes: number;
	/**
	 * An exchange that was begun: which refresh token (hash), when (epoch ms), and by which process. Without a process it
	 * has ended, and nobody knows whether the token is spent.
	 */
	readonly exchange?:
		| {
				readonly tokenHash: string;
				readonly at: number;
				readonly holder?: ProcessMark | undefined;
				/** The same moment on the machine's own watch. */
				readonly watch?: WatchTime | undefined;
		  }
		| undefined;
	/** Refresh tokens that must never be sent again, the newest last; they outlive the account, which may be put back. */
	readonly spent?: readonly SpentToken[] | undefined;
	/**
	 * The first refusal of a renewal for a reason that is not known: of which refresh token (hash) and when, epoch ms.
	 */
	readonly refusal?: { readonly tokenHash: string; readonly at: number } | undefined;
	/** Hash of an access token that was refused right after it had been issued: no renewal is spent on it again. */
	readonly refusedToken?: string | undefined;
	/** Until when others are tried first, epoch ms. */
	readonly doubtedUntil?: number | undefined;
	/** When it was last asked although it cooled, epoch ms. */
	readonly trialAt?: number | undefined;
}

/** A process, as another one can find out whether it still runs. */
export interface ProcessMark {
	readonly pid: number;
	/** When it was started, as its system tells it; undefined where that cannot be known. */
	readonly started?: string | undefined;
	/** Where its id means something. */
	readonly machine: string;
}

/** A moment on a watch that nobody sets: how long a machine has been running. */
export interface WatchTime {
	readonly machine: string;
	readonly ms: number;
}

/** The processes of this machine. */
export interface Processes {
	own(): ProcessMark;
	watch(): WatchTime;
	/**
	 * What has become of a process that was there at `since`, epoch ms. `unknown`: it belongs to another machine, another
	 * container, or a time before the last restart, or it cannot be told from a later one with its id.
	 */
	fateOf(mark: ProcessMark, since: number): "running" | "gone" | "unknown";
}

/** The state file: cooldowns, usage, pin. Disposable. */
export interface StateStore {
	pin(): AccountId | undefined;
	setPin(id: AccountId | undefined): Promise<void>;
	status(id: AccountId): AccountStatus;
	/** The memo of every account, with one look at the file for all of them. */
	snapshot(): (id: AccountId) => AccountStatus;
	/** Written at once; resolves when durable, never rejects (the change then lives in memory). */
	update(id: AccountId, change: (memo: AccountStatus) => AccountStatus): Promise<void>;
	/**
	 * Changes the memo if `applies` to the newest one, in whatever process that was written. True where it did: of
	 * several processes that try at once, one. A file that cannot be written lets everybody through, and `onUnwritten`
	 * hears why.
	 */
	updateIf(
		id: AccountId,
		applies: (memo: AccountStatus) => boolean,
		change: (memo: AccountStatus) => AccountStatus,
		onUnwritten?: (error: unknown) => void,
	): Promise<boolean>;
	/** Written behind, with others. */
	updateSoon(id: AccountId, change: (memo: AccountStatus) => AccountStatus): void;
	/** How many sessions are at work on each account, in any process; `except` is not counted. */
	liveSessions(except: SessionId | undefined): ReadonlyMap<AccountId, number>;
	/** The account that was chosen last, for whatever session. */
	lastChosen(): AccountId | undefined;
	/**
	 * A session is at work on an account from now on; `isChoice`: it was with none, or with another, before. Told to
	 * other processes at once where that is news, and never waited for: a lease that is late costs a little spread,
	 * nothing else.
	 */
	acquireLease(session: SessionId, account: AccountId, isChoice: boolean): void;
	/** The session is over. Written with the next flush. */
	releaseLease(session: SessionId): void;
	/** Ends every cooldown of every account. */
	clearCooldowns(): Promise<void>;
	forget(id: AccountId): Promise<void>;
	/** True for the one process that is to say how to begin, in a home where none has said so yet. */
	claimWelcome(): Promise<boolean>;
	/** There is an account: should the last one leave, it may be said again. Writes only where it was said. */
	endWelcome(): void;
	flush(): Promise<void>;
}

/** What pi's own `auth.json` says of `openai-codex`. */
export type PiLogin =
	| { readonly kind: "oauth"; readonly credential: Credential; readonly workspaceId: WorkspaceId | undefined }
	/** An API key, or anything else that is not an OAuth login: not ours. */
	| { readonly kind: "foreign" }
	| { readonly kind: "none" }
	/** Does not parse: torn or damaged. Never taken for a logout. */
	| { readonly kind: "unreadable" };

/** Access to `auth.json`, by pi's own rules: its lock, in-place neighbours, torn reads. */
export interface PiAuth {
	/** Cheap identity of the file's content; undefined where there is no file. */
	signature(): string | undefined;
	/** One read without the lock. */
	peek(): PiLogin;
	/** True where pi is signed in with ChatGPT under its provider `openai`: another grant, which is never ours. */
	hasPlanLogin(): boolean;
	/** A read under the lock, for when `peek` does not parse. */
	read(signal: AbortSignal | undefined): Promise<PiLogin | Busy>;
	/**
	 * Holds the lock over `work`, having proved first that a write can succeed; busy if another process holds it for 3 s.
	 * Throws what the file system says when the directory cannot be written.
	 */
	exclusively<T>(work: (file: LockedPiAuth) => Promise<T>, signal: AbortSignal | undefined): Promise<T | Busy>;
	/** Replaces the credential as {@link LockedPiAuth.replaceCredential} does, holding the lock only for a rename. */
	writeBack(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
}

/** `auth.json` while its lock is held. */
export interface LockedPiAuth {
	login(): PiLogin;
	/** Replaces the credential if the entry still holds `replacedRefresh`; false where it does not. All else stays. */
	replaceCredential(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
	/** Deletes the entry if it still holds `refresh`; false where it does not. All else stays. */
	deleteLogin(refresh: string): Promise<boolean>;
}

/** How an exchange of a refresh token ended. */
export type RefreshOutcome =
	| { readonly kind: "granted"; readonly credential: Credential }
	/** The sign-in is over for good. */
	| { readonly kind: "refused"; readonly code: string; readonly closed: boolean }
	/**
	 * Not now: nothing was spent. `mayBeFinal`: the service refused for a reason that is not known; it may be for good.
	 * `lasts`: no second try helps before the person has changed something.
	 */
	| { readonly kind: "unavailable"; readonly reason: string; readonly mayBeFinal?: true; readonly lasts?: true }
	/**
	 * No usable answer: the token may be spent. `next` gives the next refresh token where the answer held nothing else; a
	 * function, so that nothing that prints an outcome prints a token.
	 */
	| { readonly kind: "unknown"; readonly reason: string; readonly next?: () => string };

/** The OAuth issuer. */
export interface OAuthClient {
	/** Exchanges a refresh token once; own time-out, never aborted from outside. */
	refresh(refreshToken: string): Promise<RefreshOutcome>;
}

/** The usage endpoint. */
export interface UsageApi {
	/** Throws on any failure, with a reason that holds no secret. */
	fetch(
		request: { baseUrl: string; access: string; workspaceId: WorkspaceId },
		signal: AbortSignal,
	): Promise<UsageSnapshot>;
}

/** The person's preferences. */
export interface SettingsStore {
	/** As they are now. */
	read(): Settings;
	/** Stores values by their whole key, e.g. `rotation.policy`. All else in the file stays. */
	set(values: Readonly<Record<string, StoredValue>>): Promise<void>;
}

/** Who a token speaks for. */
export interface Identity extends Pick<Account, "id" | "workspaceId" | "userId" | "email" | "plan" | "claims"> {
	/** Ids of an account that was first seen with any one of its claims. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** Reads what a token says of itself. */
export interface TokenReader {
	/** When the token was issued, epoch ms. */
	issuedAt(access: string): number | undefined;
	/** A short hash that tells two tokens apart without holding either. */
	fingerprint(token: string): string;
	/** Who the token speaks for; undefined where it names no workspace, so that pi cannot use it. */
	identify(access: string): Identity | undefined;
}

/** The log of decisions. Losing it loses nothing else: nothing here throws. */
export interface EventLog {
	/** Logs a decision, behind the caller's back. */
	append(decision: Decision): void;
	/** The last `count` decisions of all processes, the newest last. */
	read(count: number): Promise<LoggedDecision[]>;
	/** Writes what is not written yet. */
	flush(): Promise<void>;
}
