import type { Account, Credential, NeedsLogin } from "./account.ts";
import type { ChainRung, DryAnswer, Offer, Rung } from "./beyond/ladder.ts";
import type { Cooldown } from "./cooldown.ts";
import type { TokenResult } from "./credentials/credentials.ts";
import type { SpentToken } from "./credentials/spent-tokens.ts";
import type { Decision, LoggedDecision } from "./decision.ts";
import type { RequestInfo } from "./events.ts";
import type { Forecast } from "./forecast/forecast.ts";
import type { HistorySample } from "./forecast/quota-history.ts";
import type { AccountId, SessionId, WorkspaceId } from "./ids.ts";
import type { StatusMarks } from "./pool/merge-status.ts";
import type { ListedResetCredits, RedemptionNote, ResetCredit } from "./reset-credits/reset-credits.ts";
import type { Settings, StoredValue } from "./settings.ts";
import type { JoinCodes, SharedPoolStatus } from "./shared-pool.ts";
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

/** The accounts file. Every write is durable when it resolves, and rejects if it could not be made durable. */
export interface AccountStore {
	list(): readonly Account[];
	/**
	 * Adds an account, or replaces the one with its id unless that works and has a later token; makes the label unique.
	 * Accounts that turn out to be the same one are merged: the oldest keeps its id and label and gets the newest
	 * credential that works; a backup keeps the other one.
	 */
	put(account: Account): Promise<void>;
	/**
	 * Changes an account if it still exists and `applies` to its newest credential. A credential never replaces one that
	 * was issued later, unless it was exchanged for that one; a label is made unique; claims are added. Merges as `put`
	 * does.
	 */
	patch(
		id: AccountId,
		patch: AccountPatch,
		applies?: (newest: Credential) => boolean,
		isExchanged?: boolean,
	): Promise<void>;
	/** Works as `patch` does, for a change whose outcome a person sees: one that cannot be written is undone. */
	edit(id: AccountId, patch: AccountPatch): Promise<void>;
	/** Removes an account after a backup was written; changes nothing if one of the two cannot be written. */
	remove(id: AccountId): Promise<void>;
	/** Writes the backup that `remove` writes. */
	backUp(id: AccountId): Promise<void>;
	/**
	 * Puts `next` into the backup of an account that was removed while its token was exchanged, since the token in the
	 * backup is spent by then. Changes no backup with another credential than `spentRefresh`. Resolves to whether one was
	 * changed.
	 */
	renewBackup(id: AccountId, spentRefresh: string, next: Credential): Promise<boolean>;
	/**
	 * Writes a backup of an account whose row was lost, for `restore`. An account whose backup has a later sign-in keeps
	 * that one.
	 */
	keepAside(account: Account): Promise<void>;
	/** The account that was removed last and has not come back since, from its backup; with `id` only that one. */
	lastRemoved(id?: AccountId): Promise<Account | undefined>;
	/** Restores an account from its backup, as an owned one. */
	restore(id: AccountId): Promise<void>;
	/** Runs `work` as the only process that refreshes this account; busy if another one does so for 3 s. */
	whileRefreshing<T>(id: AccountId, work: () => Promise<T>): Promise<T | Busy>;
	/** Proves that the file can be written, before a single-use token is spent. Throws the error of the file system. */
	assertWritable(): Promise<void>;
	flush(): Promise<void>;
}

/** What is remembered of an account, and may be lost without harm. */
export interface AccountStatus {
	readonly cooldowns: readonly Cooldown[];
	readonly usage?: UsageSnapshot | undefined;
	/** When some process last began to ask for usage, epoch ms. */
	readonly usageAskedAt?: number | undefined;
	/** When some process last asked for its reserve model with the usage, epoch ms. */
	readonly reserveAskedAt?: number | undefined;
	/** Number of usage calls that failed in a row. */
	readonly usageFailures?: number | undefined;
	readonly lastUsedAt?: number | undefined;
	readonly lastError?: { readonly text: string; readonly at: number } | undefined;
	/** Why the last usage call failed; kept apart from the reason for which a request was refused. */
	readonly usageError?: { readonly text: string; readonly at: number } | undefined;
	/** 402/403 in a row. */
	readonly strikes: number;
	/**
	 * An exchange that was begun: which refresh token (hash), when (epoch ms), and by which process. Without a process it
	 * has ended, and whether the token is spent is unknown.
	 */
	readonly exchange?:
		| {
				readonly tokenHash: string;
				readonly at: number;
				readonly holder?: ProcessMark | undefined;
				/** The same moment by the running time of the machine. */
				readonly uptime?: Uptime | undefined;
		  }
		| undefined;
	/** Refresh tokens that must never be sent again, the newest last. Kept after a removal, which may be undone. */
	readonly spent?: readonly SpentToken[] | undefined;
	/**
	 * The first refusal of a renewal for an unknown reason: of which refresh token (hash) and when, epoch ms.
	 */
	readonly refusal?: { readonly tokenHash: string; readonly at: number } | undefined;
	/** Hash of an access token that was refused right after it had been issued: no renewal is spent on it again. */
	readonly refusedToken?: string | undefined;
	/** Until when other accounts are tried first, epoch ms. */
	readonly doubtedUntil?: number | undefined;
	/** When it was last asked although it cooled, epoch ms. */
	readonly trialAt?: number | undefined;
	/** Its reset credits; undefined where the usage endpoint has never reported one. */
	readonly resetCredits?: ListedResetCredits | undefined;
	/** The last redemption of one of them, begun or ended. */
	readonly redemption?: RedemptionNote | undefined;
	/** Of an account that machines share: what tells the newer of two statuses. */
	readonly marks?: StatusMarks | undefined;
}

/** Identifies a process, so that another one can find out whether it still runs. */
export interface ProcessMark {
	readonly pid: number;
	/** When it was started, as the system reports it; undefined if that is unknown. */
	readonly started?: string | undefined;
	/** The scope in which its id is unique. */
	readonly machine: string;
}

/** A time that no clock change moves: how long a machine has been running. */
export interface Uptime {
	readonly machine: string;
	readonly ms: number;
}

/** The processes of this machine. */
export interface Processes {
	own(): ProcessMark;
	uptime(): Uptime;
	/**
	 * The fate of a process that ran at `since`, epoch ms. `unknown`: it belongs to another machine, another container,
	 * or a time before the last restart, or it cannot be told from a later one with its id.
	 */
	fateOf(mark: ProcessMark, since: number): "running" | "gone" | "unknown";
}

/** How long something is no news after it was told. */
export interface NoticeClaim {
	/** Epoch ms, such as the reset of a window. */
	readonly until: number;
	/** A later end than the remembered one is another occasion only if it is later by more than this. */
	readonly slackMs: number;
	/** A lower level than before is news within the same time. 0 by default. */
	readonly level?: number;
}

/** The state file: cooldowns, usage, pin. Disposable. */
export interface StateStore {
	pin(): AccountId | undefined;
	/** With `belowCapUntil`, epoch ms, the pinned account is used below its caps until then. */
	setPin(id: AccountId | undefined, belowCapUntil?: number): Promise<void>;
	/** Until when the pinned account is used below its caps, epoch ms; undefined where it is not. */
	pinnedBelowCapUntil(): number | undefined;
	status(id: AccountId): AccountStatus;
	/** the status of every account, with one look at the file for all of them. */
	snapshot(): (id: AccountId) => AccountStatus;
	/** Writes at once. Resolves when durable, or when the change could only be kept in memory; never rejects. */
	update(id: AccountId, change: (status: AccountStatus) => AccountStatus): Promise<void>;
	/**
	 * Changes the status if `applies` holds for the newest one, of any process. True if it did: of several processes that
	 * try at once, one gets true. If the file cannot be written, memory decides, and `onUnwritten` gets the error.
	 */
	updateIf(
		id: AccountId,
		applies: (status: AccountStatus) => boolean,
		change: (status: AccountStatus) => AccountStatus,
		onUnwritten?: (error: unknown) => void,
	): Promise<boolean>;
	/** Writes later, with other changes. */
	updateSoon(id: AccountId, change: (status: AccountStatus) => AccountStatus): void;
	/** How many sessions are at work on each account, in any process; `except` is not counted. */
	liveSessions(except: SessionId | undefined): ReadonlyMap<AccountId, number>;
	/** The account that was chosen last, for any session. */
	lastChosen(): AccountId | undefined;
	/**
	 * Puts a session to work on an account; `isChoice`: it had none, or another one, before. A new lease is written at
	 * once for other processes, and never waited for: a late one only spreads sessions a little worse.
	 */
	acquireLease(session: SessionId, account: AccountId, isChoice: boolean): void;
	/** Ends the lease of a session. Written with the next flush. */
	releaseLease(session: SessionId): void;
	/** Ends every cooldown of every account. */
	clearCooldowns(): Promise<void>;
	forget(id: AccountId): Promise<void>;
	/** True for the one process that shows the welcome, in a home where it was not shown yet. */
	claimWelcome(): Promise<boolean>;
	/**
	 * Called when there is an account: the welcome may be shown again once there is none. Writes only if it was shown.
	 */
	endWelcome(): void;
	/**
	 * True for the one process, of all that try, that may pass on `what`: none has in the time that the last claim was
	 * for. Remembered over restarts. If the file cannot be written, each process decides by itself.
	 */
	claimNotice(what: string, claim: NoticeClaim): Promise<boolean>;
	/** Makes `what` news again. True for the one process, of all that try, that does so. */
	endNotice(what: string): Promise<boolean>;
	/** What the person has said yes to beforehand, for all processes: to what, and until when, epoch ms. */
	consents(): ReadonlyMap<string, number>;
	/** Keeps a yes until `until`. Resolves as `update` does. */
	giveConsent(what: string, until: number): Promise<void>;
	/** Ends every yes. */
	endConsents(): Promise<void>;
	flush(): Promise<void>;
}

/** The login of `openai-codex` in pi's own `auth.json`. */
export type PiLogin =
	| { readonly kind: "oauth"; readonly credential: Credential; readonly workspaceId: WorkspaceId | undefined }
	/** An API key, or anything else that is not an OAuth login: not ours. */
	| { readonly kind: "foreign" }
	| { readonly kind: "none" }
	/** Does not parse: torn or damaged. Never taken for a logout. */
	| { readonly kind: "unreadable" };

/** Access to `auth.json` by pi's own rules: its lock, writes in place, torn reads. */
export interface PiAuth {
	/** Cheap identity of the content of the file; undefined without a file. */
	signature(): string | undefined;
	/** One read without the lock. */
	peek(): PiLogin;
	/** Is pi signed in with ChatGPT under its provider `openai`? That is another grant, which is never ours. */
	hasPlanLogin(): boolean;
	/** A hash that tells what pi has stored for a provider from what is stored there later; undefined for nothing. */
	loginMark(provider: string): string | undefined;
	/** A read under the lock, for when `peek` does not parse. */
	read(signal: AbortSignal | undefined): Promise<PiLogin | Busy>;
	/**
	 * Holds the lock over `work`, having proved first that a write can succeed; busy if another process holds it for 3 s.
	 * Throws the error of the file system if the directory cannot be written.
	 */
	exclusively<T>(work: (file: LockedPiAuth) => Promise<T>, signal: AbortSignal | undefined): Promise<T | Busy>;
	/** Replaces the credential as {@link LockedPiAuth.replaceCredential} does, holding the lock only for a rename. */
	writeBack(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
}

/** `auth.json` while its lock is held. */
export interface LockedPiAuth {
	login(): PiLogin;
	/** Replaces the credential if the entry still holds `replacedRefresh`, else resolves to false. All else stays. */
	replaceCredential(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
	/** Deletes the entry if it still holds `refresh`, else resolves to false. All else stays. */
	deleteLogin(refresh: string): Promise<boolean>;
}

/** How an exchange of a refresh token ended. */
export type RefreshOutcome =
	| { readonly kind: "granted"; readonly credential: Credential }
	/** The sign-in has ended for good. */
	| { readonly kind: "refused"; readonly code: string; readonly closed: boolean }
	/**
	 * Not now: nothing was spent. `mayBeFinal`: the service refused for an unknown reason, perhaps for good. `lasts`: no
	 * second try helps before the person has changed something.
	 */
	| { readonly kind: "unavailable"; readonly reason: string; readonly mayBeFinal?: true; readonly lasts?: true }
	/**
	 * No usable answer: the token may be spent. `next` returns the next refresh token if the answer had nothing else. It
	 * is a function so that a printed outcome holds no token.
	 */
	| { readonly kind: "unknown"; readonly reason: string; readonly next?: () => string };

/** The OAuth issuer. */
export interface OAuthClient {
	/** Exchanges a refresh token once; own time-out, never aborted from outside. */
	refresh(refreshToken: string): Promise<RefreshOutcome>;
}

/** The account whose usage is asked for. */
export interface UsageRequest {
	readonly baseUrl: string;
	readonly access: string;
	readonly workspaceId: WorkspaceId;
	/** Ask for its reserve model as well. */
	readonly withReserveModel?: boolean | undefined;
}

/** The usage endpoint. */
export interface UsageApi {
	/** Fetches the usage of an account. Throws on any failure, with a reason that holds no secret. */
	fetch(request: UsageRequest, signal: AbortSignal): Promise<UsageSnapshot>;
}

/** Whose reset credits are meant, and beside which base URL of the model they are asked for. */
export interface ResetCreditsCall {
	readonly baseUrl: string;
	readonly access: string;
	readonly workspaceId: WorkspaceId;
}

/** What the backend says to a redemption. `reason` is the end of a sentence, and holds no secret. */
export type ConsumeAnswer =
	| { readonly kind: "reset" | "already_redeemed" | "nothing_to_reset" | "no_credit" }
	/** Refused: nothing was spent. */
	| {
			readonly kind: "refused";
			readonly status: number;
			readonly reason: string;
			readonly retryAfterMs?: number | undefined;
	  }
	/** No usable answer: the credit may be spent. */
	| { readonly kind: "unknown"; readonly reason: string }
	/** The call has not left this machine. */
	| { readonly kind: "unsent"; readonly reason: string };

/** The endpoints of reset credits. */
export interface ResetCreditsApi {
	/** Lists the credits that can be redeemed. Throws on any failure, with a reason that holds no secret. */
	list(call: ResetCreditsCall, signal: AbortSignal): Promise<readonly ResetCredit[]>;
	/**
	 * Redeems a credit under an idempotency key, in one call with its own time-out, never aborted from outside. Never
	 * rejects.
	 */
	consume(
		call: ResetCreditsCall,
		redemption: { readonly creditId: string; readonly key: string },
	): Promise<ConsumeAnswer>;
}

/** How the redemption of a reset credit ended. `reason` is the end of a sentence, and holds no secret. */
export type Redemption =
	/** The windows are full again, the usage is known anew, and no cooldown of quota is left. */
	| { readonly kind: "redeemed" | "already" }
	/** No credit was spent, as far as is known; not to be offered again before `until`, epoch ms. */
	| { readonly kind: "nothing-to-reset" | "no-credit" | "failed"; readonly reason: string; readonly until: number }
	/** Another process is redeeming a credit of this account, and has no answer yet. */
	| { readonly kind: "busy"; readonly reason: string; readonly until: number };

/** Redeems reset credits. */
export interface Redeemer {
	/**
	 * Redeems a credit, to which a person has said yes. Of all processes that do so at once one makes the call, and the
	 * others get its outcome. The idempotency key is on the disk before the call: one that was cut off is made again with
	 * the same key. Never rejects. `signal` ends the wait; the call itself may still be carried out.
	 */
	redeem(account: Account, credit: ResetCredit, signal: AbortSignal | undefined): Promise<Redemption>;
}

/** The person's preferences. */
export interface SettingsStore {
	/** The settings as they are now. */
	read(): Settings;
	/** Stores values by their full key, such as `rotation.policy`. All else in the file stays. */
	set(values: Readonly<Record<string, StoredValue>>): Promise<void>;
	/** Stores values at their places, for keys that may hold anything. A group that loses its last value goes with it. */
	change(edits: readonly SettingEdit[]): Promise<void>;
	/**
	 * Changes the chain that is in the file at that moment; undefined leaves it. `change` may run more than once. Entries
	 * that only another version can read stay behind the others.
	 */
	changeChain(change: (chain: readonly string[]) => readonly string[] | undefined): Promise<void>;
}

/** A value for one place among the settings; undefined takes away what is there. */
export interface SettingEdit {
	readonly path: readonly string[];
	readonly value: StoredValue | readonly string[] | undefined;
}

/** The question that a person gets when all included quota is out. */
export interface DryQuestion {
	/**
	 * Asks which of `offers` is to serve; `unavailable` at once where no person could answer. The question closes when
	 * `signal` aborts; how the promise settles then does not matter. Called once at a time.
	 */
	ask(offers: readonly Offer[], signal: AbortSignal | undefined): Promise<DryAnswer>;
}

/** The person's own list of models for a pool that is out. */
export interface ChainRoute {
	/**
	 * The links that could serve `asked` now, in the person's order; none where this pi can route it to none. Without
	 * `asked` those for the session's next request.
	 */
	links(asked: RequestInfo | undefined): readonly ChainRung[];
	/** The model to choose by hand for a session that the chain does not serve, and the link that then answers. */
	wayOn(asked: RequestInfo | undefined): WayOn | undefined;
	/**
	 * Has a link serve from the next request on. Resolves to the words to end this one with, after which pi's own retry
	 * asks again. Never rejects.
	 */
	handOver(rung: ChainRung, asked: RequestInfo): Promise<string>;
}

/** A way on that a person takes with `/model`. */
export interface WayOn {
	readonly model: string;
	readonly link: string;
}

/** What the person has said yes to for the whole day. */
export interface RememberedConsents {
	/** Does a yes of today cover this rung? */
	holds(rung: Rung): boolean;
}

/** The user and workspace of a token. */
export interface Identity extends Pick<Account, "id" | "workspaceId" | "userId" | "email" | "plan" | "claims"> {
	/** The ids of an account that was first seen with any one of its claims. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** Reads the claims of a token. */
export interface TokenReader {
	/** When the token was issued, epoch ms. */
	issuedAt(access: string): number | undefined;
	/** A short hash that tells two tokens apart without holding either. */
	fingerprint(token: string): string;
	/** The user and workspace of the token; undefined without a workspace, since pi cannot use such a token. */
	identify(access: string): Identity | undefined;
}

/** What every account had used of its quota at which time, of all processes. Disposable; written behind. */
export interface QuotaHistory {
	/** Takes in what an account reports now. */
	record(id: AccountId, usage: UsageSnapshot): void;
	/** The history of the last weeks, in order. Rejects where it cannot be read. */
	read(): Promise<readonly HistorySample[]>;
	/** Writes what is not written yet. Never rejects. */
	flush(): Promise<void>;
}

/** How long quota lasts. Nothing is read or made before it is asked for. */
export interface ForecastSource {
	/** The forecast that was made last. One that is a minute old is made again behind, and listeners hear of it. */
	current(): Forecast | undefined;
	/** A forecast that is no older than a minute; undefined where none can be made. Never rejects. */
	fresh(): Promise<Forecast | undefined>;
	/** A forecast of now, for when the pool has just run out. Never rejects. */
	renew(): Promise<Forecast | undefined>;
	/** Has `listener` called after a forecast was made, until the function that it gives is called. */
	subscribe(listener: () => void): () => void;
}

/** The database of a new pool, and what goes into it. */
export interface NewSharedPool {
	/** A Postgres URL, with the password. */
	readonly url: string;
	readonly name: string;
	/** The name of this machine; undefined for that of its host. */
	readonly machine: string | undefined;
	readonly accounts: readonly AccountId[];
}

/**
 * The pool that several machines share. Whatever asks the database is bounded, and rejects with a `PoolProblem` whose
 * message is for a person; after that nothing has changed. A pool event follows what was done.
 */
export interface SharedPools {
	/** The pool of this machine; undefined where it has joined none. From memory: asks nothing. */
	status(): SharedPoolStatus | undefined;
	/** Looks at the database now. What keeps it away is in the status; never rejects. */
	look(signal: AbortSignal | undefined): Promise<SharedPoolStatus | undefined>;
	/** Makes the tables and the pool, joins it as its first keeper, and moves the accounts in. */
	create(pool: NewSharedPool, signal: AbortSignal | undefined): Promise<JoinCodes>;
	/**
	 * Joins the pool of a code, by the name `machine` or that of the host. A newer code of the pool that was joined
	 * already takes the place of the old one; while another pool is joined it rejects.
	 */
	join(code: string, machine: string | undefined, signal: AbortSignal | undefined): Promise<SharedPoolStatus>;
	/** Moves accounts of this machine into its pool. Keepers only. */
	add(accounts: readonly AccountId[], signal: AbortSignal | undefined): Promise<void>;
	/**
	 * Leaves the pool. `take`: shared accounts that leave it, too, and are this machine's own from then on; keepers only.
	 */
	leave(take: readonly AccountId[], signal: AbortSignal | undefined): Promise<void>;
	/** The codes that hold now; undefined for a runner, who cannot make that of a keeper. */
	codes(): JoinCodes | undefined;
	/**
	 * Makes new keys and seals every account anew: codes that were printed before stop working. Keepers only. `url`:
	 * where the same database is from now on, with another password say; undefined where that stays.
	 */
	rotate(url: string | undefined, signal: AbortSignal | undefined): Promise<JoinCodes>;
}

/** The tokens of the accounts that several machines share. */
export interface SharedTokens {
	/**
	 * Renews the token by a claim that all machines see, or takes the one that another of them has stored. `refused`: a
	 * token that the backend has just answered 401 to. `failed`: not now, and ever more seldom. Rejects where the disk
	 * keeps it from that; nothing is spent then.
	 */
	renew(
		account: Account,
		refused: string | undefined,
	): Promise<TokenResult | { readonly kind: "failed"; readonly reason: string }>;
	/** Is it time to renew a token that is still good? Days before its end, so that there is time for what goes wrong. */
	isDue(account: Account): boolean;
}

/** The log of decisions, which may be lost without harm. Nothing here throws. */
export interface EventLog {
	/** Logs a decision in the background. */
	append(decision: Decision): void;
	/** The last `count` decisions of all processes, the newest last. */
	read(count: number): Promise<LoggedDecision[]>;
	/** Writes all pending lines. */
	flush(): Promise<void>;
}
