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
import type { JoinCodes, Left, SharedPoolStatus } from "./shared-pool.ts";
import type { UsageSnapshot } from "./usage.ts";

/** Wall-clock time, epoch ms. */
export interface Clock {
	now(): number;
}

/** Returned by a port if another process held a lock for too long. Nothing was done. */
export type Busy = "busy";

/** The fields of an account that may change after it was added. */
export type AccountPatch = Partial<Pick<Account, "label" | "plan" | "credential" | "linked" | "enabled" | "claims">> & {
	readonly needsLogin?: NeedsLogin | undefined;
	readonly disabledReason?: string | undefined;
};

/** The accounts file. A write resolves once it is durable, and rejects if it could not be made durable. */
export interface AccountStore {
	list(): readonly Account[];
	/**
	 * Adds an account under a unique label, or replaces the one with its id unless that one works and has a later token.
	 * Accounts that turn out to be the same are merged: the oldest keeps its id and label and gets the newest working
	 * credential. A backup keeps the other credential.
	 */
	put(account: Account): Promise<void>;
	/**
	 * Changes an account if it still exists and `applies` to its newest credential. A credential never replaces one that
	 * was issued later, unless it was exchanged for it or the patch ends a refused sign-in. Labels stay unique, and
	 * claims are added. Merges accounts as `put` does.
	 */
	patch(
		id: AccountId,
		patch: AccountPatch,
		applies?: (newest: Credential) => boolean,
		isExchanged?: boolean,
	): Promise<void>;
	/**
	 * Does the same as `patch`, for a change whose outcome is shown to a person: if it cannot be written, it is undone.
	 */
	edit(id: AccountId, patch: AccountPatch): Promise<void>;
	/** Writes a backup, then removes the account. Changes nothing if either cannot be written. */
	remove(id: AccountId): Promise<void>;
	/** Writes the backup that `remove` writes. */
	backUp(id: AccountId): Promise<void>;
	/**
	 * Puts `next` into the backup of an account that was removed during a token exchange, because the token in the backup
	 * is spent by then. Leaves a backup with a credential other than `spentRefresh` alone. Resolves to true if a backup
	 * was changed.
	 */
	renewBackup(id: AccountId, spentRefresh: string, next: Credential): Promise<boolean>;
	/** Writes a backup of an account whose row was lost, for `restore`. A backup with a later sign-in is kept instead. */
	keepAside(account: Account): Promise<void>;
	/** Returns the account that was removed last and has not come back, from its backup; with `id`, only that account. */
	lastRemoved(id?: AccountId): Promise<Account | undefined>;
	/** Restores an account from its backup, as an owned account. */
	restore(id: AccountId): Promise<void>;
	/**
	 * Runs `work` as the only process that refreshes this account. Returns busy if another process is still refreshing
	 * after 3 s.
	 */
	whileRefreshing<T>(id: AccountId, work: () => Promise<T>): Promise<T | Busy>;
	/** Proves that the file can be written before a single-use token is spent. Throws the file system's error. */
	assertWritable(): Promise<void>;
	flush(): Promise<void>;
}

/** What is remembered of an account. Losing it does no harm. */
export interface AccountStatus {
	readonly cooldowns: readonly Cooldown[];
	readonly usage?: UsageSnapshot | undefined;
	/** When any process last started to fetch usage, epoch ms. */
	readonly usageAskedAt?: number | undefined;
	/** When any process last asked for the reserve model together with usage, epoch ms. */
	readonly reserveAskedAt?: number | undefined;
	/** Number of usage calls that have failed in a row. */
	readonly usageFailures?: number | undefined;
	readonly lastUsedAt?: number | undefined;
	readonly lastError?: { readonly text: string; readonly at: number } | undefined;
	/** Why the last usage call failed. Kept apart from the reason of the last refused request. */
	readonly usageError?: { readonly text: string; readonly at: number } | undefined;
	/** Number of 402 or 403 answers in a row. */
	readonly strikes: number;
	/**
	 * An exchange that was begun: of which refresh token (hash), when (epoch ms), and by which process. Without a process
	 * the exchange has ended, but whether the token is spent is unknown.
	 */
	readonly exchange?:
		| {
				readonly tokenHash: string;
				readonly at: number;
				readonly holder?: ProcessMark | undefined;
				/** The same moment as the machine's uptime. */
				readonly uptime?: Uptime | undefined;
		  }
		| undefined;
	/** Refresh tokens that must never be sent again, newest last. Kept after a removal, which may be undone. */
	readonly spent?: readonly SpentToken[] | undefined;
	/** The first time a renewal was refused for an unknown reason: which refresh token (hash), and when, epoch ms. */
	readonly refusal?: { readonly tokenHash: string; readonly at: number } | undefined;
	/** Hash of an access token that was refused right after it was issued. No further renewal is spent on it. */
	readonly refusedToken?: string | undefined;
	/** Until when other accounts are tried before this one, epoch ms. */
	readonly doubtedUntil?: number | undefined;
	/** When it was last asked while in a cooldown, epoch ms. */
	readonly trialAt?: number | undefined;
	/** Its reset credits; undefined if the usage endpoint has never reported any. */
	readonly resetCredits?: ListedResetCredits | undefined;
	/** The last redemption of a reset credit, in progress or ended. */
	readonly redemption?: RedemptionNote | undefined;
	/** For an account that machines share: what shows which of two statuses is newer. */
	readonly marks?: StatusMarks | undefined;
}

/** Identifies a process, so that another process can find out whether it still runs. */
export interface ProcessMark {
	readonly pid: number;
	/** When it was started, as reported by the system; undefined if unknown. */
	readonly started?: string | undefined;
	/** The scope in which its pid is unique. */
	readonly machine: string;
}

/** A time that changes of the clock do not affect: how long a machine has been running. */
export interface Uptime {
	readonly machine: string;
	readonly ms: number;
}

/** The processes of this machine. */
export interface Processes {
	own(): ProcessMark;
	uptime(): Uptime;
	/**
	 * Returns the fate of a process that ran at `since`, epoch ms. `unknown`: it belongs to another machine, another
	 * container or a time before the last restart, or a later process may have its pid.
	 */
	fateOf(mark: ProcessMark, since: number): "running" | "gone" | "unknown";
}

/** For how long a notice that was sent is not repeated. */
export interface NoticeClaim {
	/** Epoch ms, such as the reset of a window. */
	readonly until: number;
	/** An end counts as a new occasion only if it is later than the stored one by more than this. */
	readonly slackMs: number;
	/** Within that time, a lower level than before is a new occasion. 0 by default. */
	readonly level?: number;
}

/** The state file: cooldowns, usage, pin. Losing it does no harm. */
export interface StateStore {
	pin(): AccountId | undefined;
	/**
	 * Pins an account, or removes the pin. Until `belowCapUntil`, epoch ms, the pinned account may be used below its
	 * caps.
	 */
	setPin(id: AccountId | undefined, belowCapUntil?: number): Promise<void>;
	/** Until when the pinned account may be used below its caps, epoch ms; undefined if it may not. */
	pinnedBelowCapUntil(): number | undefined;
	status(id: AccountId): AccountStatus;
	/** Reads the file once and returns the status of every account as of then. */
	snapshot(): (id: AccountId) => AccountStatus;
	/** Writes at once. Resolves when the change is durable, or could only be kept in memory. Never rejects. */
	update(id: AccountId, change: (status: AccountStatus) => AccountStatus): Promise<void>;
	/**
	 * Changes the status if `applies` holds for the newest one of any process. Resolves to true if it did: of several
	 * processes that try at once, only one gets true. If the file cannot be written, memory decides and `onUnwritten`
	 * gets the error.
	 */
	updateIf(
		id: AccountId,
		applies: (status: AccountStatus) => boolean,
		change: (status: AccountStatus) => AccountStatus,
		onUnwritten?: (error: unknown) => void,
	): Promise<boolean>;
	/** Writes later, together with other changes. */
	updateSoon(id: AccountId, change: (status: AccountStatus) => AccountStatus): void;
	/** Returns how many sessions are at work on each account, in any process. `except` is not counted. */
	liveSessions(except: SessionId | undefined): ReadonlyMap<AccountId, number>;
	/** The account that was chosen last, for any session. */
	lastChosen(): AccountId | undefined;
	/**
	 * Records that a session works on an account. `isChoice`: the session had no account, or another one. A new lease is
	 * written at once for other processes, but never awaited: if it is late, sessions only spread a little less evenly.
	 */
	acquireLease(session: SessionId, account: AccountId, isChoice: boolean): void;
	/** Ends the lease of a session. Written at the next flush. */
	releaseLease(session: SessionId): void;
	/** Ends every cooldown of every account. */
	clearCooldowns(): Promise<void>;
	forget(id: AccountId): Promise<void>;
	/** Resolves to true for the one process that may show the welcome, if it was not shown yet in this home. */
	claimWelcome(): Promise<boolean>;
	/**
	 * Called when there is an account, so that the welcome may be shown again once there is none. Writes only if the
	 * welcome was shown.
	 */
	endWelcome(): void;
	/**
	 * Resolves to true for the one process of all that may send the notice `what`. False while an earlier claim is still
	 * valid. Remembered over restarts. If the file cannot be written, each process decides by itself.
	 */
	claimNotice(what: string, claim: NoticeClaim): Promise<boolean>;
	/** Allows the notice `what` to be sent again. Resolves to true for the one process of all that changed this. */
	endNotice(what: string): Promise<boolean>;
	/** Returns what the person has agreed to in advance, in all processes, and until when, epoch ms. */
	consents(): ReadonlyMap<string, number>;
	/** Stores a consent until `until`. Resolves as `update` does. */
	giveConsent(what: string, until: number): Promise<void>;
	/** Ends every stored consent. */
	endConsents(): Promise<void>;
	flush(): Promise<void>;
}

/** The `openai-codex` login in pi's own `auth.json`. */
export type PiLogin =
	| { readonly kind: "oauth"; readonly credential: Credential; readonly workspaceId: WorkspaceId | undefined }
	/** An API key, or anything else that is not an OAuth login. Never ours. */
	| { readonly kind: "foreign" }
	| { readonly kind: "none" }
	/** The file does not parse: it is torn or damaged. Never taken for a logout. */
	| { readonly kind: "unreadable" };

/** Access to `auth.json` under pi's own rules: its lock, writes in place, torn reads. */
export interface PiAuth {
	/** Returns a cheap signature of the file's content; undefined without a file. */
	signature(): string | undefined;
	/** Reads once, without the lock. */
	peek(): PiLogin;
	/** True if pi is signed in with ChatGPT under its provider `openai`. That is another grant, which we never use. */
	hasPlanLogin(): boolean;
	/** Returns a hash of what pi has stored for a provider, to detect a change; undefined if nothing is stored. */
	loginMark(provider: string): string | undefined;
	/** Reads under the lock, for when `peek` cannot parse the file. */
	read(signal: AbortSignal | undefined): Promise<PiLogin | Busy>;
	/**
	 * Holds the lock while `work` runs, after proving that a write can succeed. Returns busy if another process holds the
	 * lock for 3 s. Throws the file system's error if the directory cannot be written.
	 */
	exclusively<T>(work: (file: LockedPiAuth) => Promise<T>, signal: AbortSignal | undefined): Promise<T | Busy>;
	/** Replaces the credential as {@link LockedPiAuth.replaceCredential} does, but holds the lock only for a rename. */
	writeBack(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
}

/** `auth.json` while its lock is held. */
export interface LockedPiAuth {
	login(): PiLogin;
	/**
	 * Replaces the credential if the entry still holds `replacedRefresh`; otherwise resolves to false. Keeps everything
	 * else.
	 */
	replaceCredential(replacedRefresh: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean>;
	/** Deletes the entry if it still holds `refresh`; otherwise resolves to false. Keeps everything else. */
	deleteLogin(refresh: string): Promise<boolean>;
}

/** How an exchange of a refresh token ended. */
export type RefreshOutcome =
	| { readonly kind: "granted"; readonly credential: Credential }
	/** The sign-in has ended for good. */
	| { readonly kind: "refused"; readonly code: string; readonly closed: boolean }
	/**
	 * No token now, but nothing was spent. `mayBeFinal`: the service refused for an unknown reason, perhaps for good.
	 * `lasts`: trying again is useless before the person has changed something.
	 */
	| { readonly kind: "unavailable"; readonly reason: string; readonly mayBeFinal?: true; readonly lasts?: true }
	/**
	 * No usable answer, so the token may be spent. `next` returns the next refresh token if the answer contained nothing
	 * else; a function, so that a printed outcome shows no token.
	 */
	| { readonly kind: "unknown"; readonly reason: string; readonly next?: () => string };

/** The OAuth issuer. */
export interface OAuthClient {
	/** Exchanges a refresh token once. Has its own time-out and cannot be aborted. */
	refresh(refreshToken: string): Promise<RefreshOutcome>;
}

/** The account to fetch usage for. */
export interface UsageRequest {
	readonly baseUrl: string;
	readonly access: string;
	readonly workspaceId: WorkspaceId;
	/** Ask for the reserve model as well. */
	readonly withReserveModel?: boolean | undefined;
}

/** The usage endpoint. */
export interface UsageApi {
	/** Fetches the usage of an account. Throws on any failure, with a reason that contains no secret. */
	fetch(request: UsageRequest, signal: AbortSignal): Promise<UsageSnapshot>;
}

/** Whose reset credits are meant. Their endpoint is next to the model's base URL. */
export interface ResetCreditsCall {
	readonly baseUrl: string;
	readonly access: string;
	readonly workspaceId: WorkspaceId;
}

/** The backend's answer to a redemption. `reason` ends a sentence and contains no secret. */
export type ConsumeAnswer =
	| { readonly kind: "reset" | "already_redeemed" | "nothing_to_reset" | "no_credit" }
	/** Refused. Nothing was spent. */
	| {
			readonly kind: "refused";
			readonly status: number;
			readonly reason: string;
			readonly retryAfterMs?: number | undefined;
	  }
	/** No usable answer. The credit may be spent. */
	| { readonly kind: "unknown"; readonly reason: string }
	/** The call never left this machine. */
	| { readonly kind: "unsent"; readonly reason: string };

/** The endpoints of reset credits. */
export interface ResetCreditsApi {
	/** Lists the credits that can be redeemed. Throws on any failure, with a reason that contains no secret. */
	list(call: ResetCreditsCall, signal: AbortSignal): Promise<readonly ResetCredit[]>;
	/**
	 * Redeems a credit under an idempotency key, in one call with its own time-out. Cannot be aborted, and never rejects.
	 */
	consume(
		call: ResetCreditsCall,
		redemption: { readonly creditId: string; readonly key: string },
	): Promise<ConsumeAnswer>;
}

/** How the redemption of a reset credit ended. `reason` ends a sentence and contains no secret. */
export type Redemption =
	/** The windows are full again, usage was fetched again, and no quota cooldown is left. */
	| { readonly kind: "redeemed" | "already" }
	/** As far as is known no credit was spent. Do not offer it again before `until`, epoch ms. */
	| { readonly kind: "nothing-to-reset" | "no-credit" | "failed"; readonly reason: string; readonly until: number }
	/** Another process is redeeming a credit of this account and has no answer yet. */
	| { readonly kind: "busy"; readonly reason: string; readonly until: number };

/** Redeems reset credits. */
export interface Redeemer {
	/**
	 * Redeems a credit that a person has agreed to spend. If several processes do so at once, one makes the call and the
	 * others get its outcome. The idempotency key is written to disk before the call, so an interrupted call is repeated
	 * under the same key. Never rejects. `signal` ends the wait, but the call itself may still go through.
	 */
	redeem(account: Account, credit: ResetCredit, signal: AbortSignal | undefined): Promise<Redemption>;
}

/** The person's preferences. */
export interface SettingsStore {
	/** Returns the present settings. */
	read(): Settings;
	/** Stores values by their full key, such as `rotation.policy`. Keeps everything else in the file. */
	set(values: Readonly<Record<string, StoredValue>>): Promise<void>;
	/** Stores values by path, for keys that may contain any character. Removes a group that has lost its last value. */
	change(edits: readonly SettingEdit[]): Promise<void>;
	/**
	 * Changes the chain as stored at that moment; undefined leaves it alone. `change` may run more than once. Entries
	 * that only another version can read are kept, after the others.
	 */
	changeChain(change: (chain: readonly string[]) => readonly string[] | undefined): Promise<void>;
}

/** A value for one path in the settings; undefined removes what is stored there. */
export interface SettingEdit {
	readonly path: readonly string[];
	readonly value: StoredValue | readonly string[] | undefined;
}

/** Asks the person how to continue when all included quota is out. */
export interface DryQuestion {
	/**
	 * Asks which of `offers` should serve. Returns `unavailable` at once if no person could answer. The question closes
	 * when `signal` aborts, and the promise may then settle in any way. Only one call runs at a time.
	 */
	ask(offers: readonly Offer[], signal: AbortSignal | undefined): Promise<DryAnswer>;
}

/** The person's own list of models that serve while the pool is out. */
export interface ChainRoute {
	/**
	 * Returns the links that could serve `asked` now, in the person's order; none if this pi can route it to none.
	 * Without `asked`, for the session's next request.
	 */
	links(asked: RequestInfo | undefined): readonly ChainRung[];
	/**
	 * Returns the model to choose by hand for a session that the chain does not serve, and the link that would then
	 * answer.
	 */
	wayOn(asked: RequestInfo | undefined): WayOn | undefined;
	/**
	 * Makes a link serve from the next request on. Resolves to the text that ends this request, after which pi's own
	 * retry asks again. Never rejects.
	 */
	handOver(rung: ChainRung, asked: RequestInfo): Promise<string>;
}

/** A way to continue that a person takes with `/model`. */
export interface WayOn {
	readonly model: string;
	readonly link: string;
}

/** What the person has agreed to for the whole day. */
export interface RememberedConsents {
	/** True if a consent of today covers this rung. */
	holds(rung: Rung): boolean;
}

/** The user and workspace of a token. */
export interface Identity extends Pick<Account, "id" | "workspaceId" | "userId" | "email" | "plan" | "claims"> {
	/** The ids of an account that was first identified by any one of its claims. */
	readonly ids?: readonly AccountId[] | undefined;
}

/** Reads the claims of a token. */
export interface TokenReader {
	/** Returns when the token was issued, epoch ms. */
	issuedAt(access: string): number | undefined;
	/** Returns a short hash that distinguishes two tokens without revealing either. */
	fingerprint(token: string): string;
	/** Returns the user and workspace of the token. Undefined without a workspace, since pi cannot use such a token. */
	identify(access: string): Identity | undefined;
}

/** Used quota of every account over time, from all processes. Disposable; written in the background. */
export interface QuotaHistory {
	/** Records what an account reports now. */
	record(id: AccountId, usage: UsageSnapshot): void;
	/** Returns the history of the last weeks, in order. Rejects if it cannot be read. */
	read(): Promise<readonly HistorySample[]>;
	/** Writes what is pending. Never rejects. */
	flush(): Promise<void>;
}

/** Forecasts how long quota lasts. Reads and computes nothing before it is asked. */
export interface ForecastSource {
	/**
	 * Returns the latest forecast. If it is a minute old, a new one is made in the background and listeners are called.
	 */
	current(): Forecast | undefined;
	/** Resolves to a forecast at most a minute old; undefined if none can be made. Never rejects. */
	fresh(): Promise<Forecast | undefined>;
	/** Makes a new forecast, for when the pool has just run out. Never rejects. */
	renew(): Promise<Forecast | undefined>;
	/** Calls `listener` after each new forecast, until the returned function is called. */
	subscribe(listener: () => void): () => void;
}

/** The database of a new pool, and the accounts to move into it. */
interface NewSharedPool {
	/** A Postgres URL, including the password. */
	readonly url: string;
	readonly name: string;
	/** The name of this machine; undefined for the name of its host. */
	readonly machine: string | undefined;
	readonly accounts: readonly AccountId[];
}

/**
 * The pool that several machines share. Every call that uses the database is bounded, and rejects with a `PoolProblem`
 * whose message is for a person: nothing has changed then, or the message says what has. A `signal` ends every wait at
 * once. A pool event follows each change.
 */
export interface SharedPools {
	/** Returns the pool of this machine; undefined if it has joined none. Reads memory only. */
	status(): SharedPoolStatus | undefined;
	/** Checks the database now. The status says what is wrong with it; never rejects. */
	look(signal: AbortSignal | undefined): Promise<SharedPoolStatus | undefined>;
	/** Creates the tables and the pool, joins it as its first keeper, and moves the accounts in. */
	create(pool: NewSharedPool, signal: AbortSignal | undefined): Promise<JoinCodes>;
	/**
	 * Joins the pool of a code, as `machine` or under the host's name. A newer code of the pool that is already joined
	 * replaces the old one. Rejects while another pool is joined.
	 */
	join(code: string, machine: string | undefined, signal: AbortSignal | undefined): Promise<SharedPoolStatus>;
	/** Moves accounts of this machine into its pool. Only a keeper may. */
	add(accounts: readonly AccountId[], signal: AbortSignal | undefined): Promise<void>;
	/**
	 * Leaves the pool. `take` names shared accounts that leave with this machine and belong to it alone from then on;
	 * only a keeper may take any. `isForced` leaves although sign-ins of this machine are not in the database yet. Those
	 * that were renewed here then stay here. Those that were being moved need a new sign-in, so that no two machines send
	 * their tokens.
	 */
	leave(
		take: readonly AccountId[],
		how: { readonly isForced: boolean },
		signal: AbortSignal | undefined,
	): Promise<Left>;
	/** Returns the valid codes; undefined for a runner, who cannot make a keeper's code. */
	codes(): JoinCodes | undefined;
	/**
	 * Makes new keys and seals every account again, so that codes printed before stop working. Only a keeper may. `url`
	 * is the new address of the same database, for instance with another password; undefined keeps the present one.
	 */
	rotate(url: string | undefined, signal: AbortSignal | undefined): Promise<JoinCodes>;
}

/** The tokens of the accounts that several machines share. */
export interface SharedTokens {
	/**
	 * Renews the token under a claim that all machines see, or uses the token that another machine has stored. `refused`
	 * is a token that the backend has just answered with 401. `failed`: not now, with growing pauses. Rejects if the disk
	 * prevents it; nothing is spent then.
	 */
	renew(
		account: Account,
		refused: string | undefined,
	): Promise<TokenResult | { readonly kind: "failed"; readonly reason: string }>;
	/** True if a token that still works should be renewed. That is days before it expires, to leave time for failures. */
	isDue(account: Account): boolean;
}

/** The log of decisions. Losing it does no harm. Nothing here throws. */
export interface EventLog {
	/** Logs a decision in the background. */
	append(decision: Decision): void;
	/** Returns the last `count` decisions of all processes, newest last. */
	read(count: number): Promise<LoggedDecision[]>;
	/** Writes all pending lines. */
	flush(): Promise<void>;
}
