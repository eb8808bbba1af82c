import type { Account, Credential } from "../account.ts";
import type { PoolListener } from "../events.ts";
import { accountWith } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import type {
	AccountStatus,
	AccountStore,
	Busy,
	Clock,
	LockedPiAuth,
	OAuthClient,
	PiAuth,
	Processes,
	RefreshOutcome,
	SharedTokens,
	StateStore,
	TokenReader,
} from "../ports.ts";
import type { TokenResult } from "./credentials.ts";
import { createOtherAccounts } from "./other-account.ts";
import { loginOf } from "./pi-login-sync.ts";
import { createRenewalBackoff } from "./renewal-backoff.ts";
import { BUSY_RETRY_MS, createTokenClaims, UNKNOWN_OUTCOME_MS } from "./token-claims.ts";
import { createTokenExchange, type Exchanged, type Keeper } from "./token-exchange.ts";

/** Dependencies of token renewal. */
export interface RenewalDeps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly piAuth: PiAuth;
	readonly oauth: OAuthClient;
	readonly tokens: TokenReader;
	readonly processes: Processes;
	readonly clock: Clock;
	/** Resolves after `ms`. */
	readonly pause: (ms: number) => Promise<void>;
	readonly labelFor: (email: string | undefined, id: AccountId) => string;
	/** Called when a renewal returned a token of another account, which was added or signed in. */
	readonly tell?: PoolListener;
	/** Called with every error that kept a token from being renewed or stored. */
	readonly onFailure?: (error: unknown) => void;
	/** Renews the tokens of a shared pool; undefined if this machine has joined none. */
	readonly shared?: () => SharedTokens | undefined;
}

/**
 * Renews an account's token where its credential is stored: in our file, in pi's file, or in the database of a pool.
 */
export interface Renewal {
	/** Renews the token. `refused` is a token that the backend has just answered with 401. Never rejects. */
	renew(account: Account, refused: string | undefined): Promise<TokenResult>;
	/** Writes our newer credential to `auth.json` if an earlier write failed. */
	catchUp(account: Account): Promise<void>;
	/** True if the access token is valid for `ms` more and is not the refused one. */
	lastsFor(credential: Credential, ms: number, refused: string | undefined): boolean;
}

/** A token this close to its expiry is no longer sent. */
export const LAST_MOMENT_MS = 5000;
/** How soon another machine's claim is checked again. */
const LONGEST_CLAIM_MS = 2 * 60_000;
/** A refusal for an unknown reason is final if it is repeated this much later. */
const REFUSED_AGAIN_MS = 60_000;
/** Why we do not renew a token that belongs to the `auth.json` of another agent directory. */
const HELD_ELSEWHERE =
	"the pi of another agent directory is signed in with it, and renews it when it runs; /multicodex login signs in here";
/** Reason for a new sign-in after a final refusal. */
const RENEWAL_REFUSED = "renewal_refused";
/** Reason for a new sign-in after the renewal returned a token of another account. */
const RENEWED_AS_ANOTHER = "renewed_as_another";

/**
 * Returns the account with exactly this id. An account that it was merged into does not count, since it has another
 * lock.
 */
export function accountIn(accounts: Pick<AccountStore, "list">, id: AccountId): Account | undefined {
	return accounts.list().find((account) => account.id === id);
}

/** Returns the result for a valid credential. */
export function ready({ access }: Credential): TokenResult {
	return { kind: "ready", access };
}

/** Creates it. */
export function createRenewal(deps: RenewalDeps): Renewal {
	const { accounts, state, piAuth, tokens, clock, onFailure } = deps;
	const find = (id: AccountId) => accountIn(accounts, id);
	const claims = createTokenClaims(deps);
	const exchange = createTokenExchange({ claims, oauth: deps.oauth, pause: deps.pause });
	const backoff = createRenewalBackoff(clock);
	const others = createOtherAccounts(deps);

	const lastsFor = (credential: Credential, ms: number, refused: string | undefined) =>
		credential.access !== refused && credential.expiresAt - clock.now() > ms;
	/**
	 * True if `one` is newer. A credential with a spent refresh token is always the older one, even if both were issued
	 * in the same second.
	 */
	const isNewer = (account: Account, one: Credential, other: Credential) => {
		const [isOneOver, isOtherOver] = [one, other].map((each) => claims.endedBy(account, each) !== undefined);
		if (isOneOver !== isOtherOver) return isOtherOver === true;
		return (tokens.issuedAt(one.access) ?? 0) > (tokens.issuedAt(other.access) ?? 0);
	};

	/**
	 * Handles the end of a grant. If a process stored another working credential in the meantime, by a sign-in or an
	 * exchange, uses that one and does not flag the account.
	 */
	const endOf = async (
		account: Account,
		{ spend, reread }: Keeper,
		{ code, closed }: Pick<Extract<RefreshOutcome, { kind: "refused" }>, "code" | "closed">,
	): Promise<TokenResult> => {
		const newest = reread();
		if (newest && newest.refresh !== spend.refresh && lastsFor(newest, LAST_MOMENT_MS, spend.access)) {
			await accounts.patch(account.id, { credential: newest, needsLogin: undefined }).catch(ignoreWriteFailure);
			return ready(newest);
		}
		const patch = closed ? { enabled: false, disabledReason: code } : { needsLogin: { reason: code, at: clock.now() } };
		// The row of pi's own login may not have the token from pi's file yet.
		const isMeant = ({ refresh }: Credential) => refresh === spend.refresh || refresh === account.credential.refresh;
		await accounts.patch(account.id, { ...patch, credential: spend }, isMeant).catch(ignoreWriteFailure);
		return { kind: "signed-out", account, reason: code, closed };
	};

	const answered = async (
		account: Account,
		keeper: Keeper,
		{ outcome, isStored }: Extract<Exchanged, { kind: "answered" }>,
	): Promise<TokenResult> => {
		const { id } = account;
		switch (outcome.kind) {
			case "granted":
				backoff.end(id);
				if (state.status(id).refusal) state.updateSoon(id, (status) => ({ ...status, refusal: undefined }));
				if (others.isOther(account, keeper.spend, outcome.credential)) {
					return endOf(account, keeper, { code: RENEWED_AS_ANOTHER, closed: false });
				}
				return ready(outcome.credential);
			case "refused":
				return endOf(account, keeper, outcome);
			case "unknown":
				// With the next refresh token stored nothing is lost, but every further try would spend another token.
				return isStored
					? backoff.longer(id, outcome.reason)
					: backoff.until(id, outcome.reason, clock.now() + UNKNOWN_OUTCOME_MS);
			case "unavailable": {
				const isFinal = outcome.mayBeFinal === true && (await isRefusedAgain(id, keeper.spend));
				if (outcome.lasts) return backoff.lasting(id, outcome.reason);
				if (!isFinal) return backoff.longer(id, outcome.reason);
				await claims.end(id, keeper.spend, RENEWAL_REFUSED);
				return endOf(account, keeper, { code: RENEWAL_REFUSED, closed: false });
			}
		}
	};

	const exchanged = async (account: Account, keeper: Keeper): Promise<TokenResult> => {
		const { id } = account;
		const result = await exchange(account, keeper);
		switch (result.kind) {
			case "spent":
				return endOf(account, keeper, { code: result.reason, closed: false });
			case "taken":
				return backoff.until(id, "an exchange of its token has not been answered yet", result.retryAt);
			case "unnoted":
				return backoff.longer(id, "its renewal could not be noted");
			case "moved":
				// The account was removed, or merged into another account with another lock.
				if (!result.newest) return backoff.until(id, "its sign-in has moved", clock.now());
				if (lastsFor(result.newest, LAST_MOMENT_MS, undefined)) return ready(result.newest);
				return backoff.until(id, "another process has just renewed it", clock.now());
			case "answered":
				return answered(account, keeper, result);
		}
	};

	/**
	 * Records a refusal for an unknown reason where every process sees it. True if the same token was refused before,
	 * long enough ago to rule out a passing problem.
	 */
	const isRefusedAgain = async (id: AccountId, { refresh }: Credential): Promise<boolean> => {
		const [tokenHash, now] = [tokens.fingerprint(refresh), clock.now()];
		const isKnown = ({ refusal }: AccountStatus) => refusal?.tokenHash === tokenHash && refusal.at <= now;
		await state.update(id, (status) => (isKnown(status) ? status : { ...status, refusal: { tokenHash, at: now } }));
		return now - (state.status(id).refusal?.at ?? now) >= REFUSED_AGAIN_MS;
	};

	/**
	 * Stores the successor of `spend` in our file. If the row holds another working grant, from a sign-in in the
	 * meantime, that one stays. If the account was removed meanwhile, or lost with a damaged file, the token goes to its
	 * backup, which can be restored. `isInPiFile`: the token is in pi's file, and a new backup would be a second place to
	 * spend it from.
	 */
	const keep = async (account: Account, spend: Credential, next: Credential, isInPiFile = false): Promise<void> => {
		if (others.isOther(account, spend, next)) return others.keep(account, next, isInPiFile);
		const { id, credential } = account;
		const isReplaced = ({ refresh }: Credential) =>
			refresh === credential.refresh || refresh === spend.refresh || claims.endedBy(account, { refresh }) !== undefined;
		await accounts.patch(id, { credential: next, needsLogin: undefined }, isReplaced, true);
		if (!accountWith(accounts.list(), id)) {
			const isInBackup = await accounts.renewBackup(id, spend.refresh, next);
			if (!isInBackup && !isInPiFile) await accounts.keepAside({ ...account, credential: next, needsLogin: undefined });
		}
		// Between these steps the account may have been restored, with the old token of its backup.
		const stored = accountWith(accounts.list(), id)?.credential;
		if (stored && stored.refresh !== next.refresh && isReplaced(stored)) throw new SpentTokenStored();
	};

	const renewOwned = (id: AccountId, had: Credential, refused: string | undefined): Promise<TokenResult | Busy> =>
		accounts.whileRefreshing(id, async () => {
			// Detect a full or read-only disk before spending the token. Do so before reading what is stored: a process that
			// is suspended in between would continue with stale state.
			await accounts.assertWritable();
			const account = find(id);
			if (!account || account.linked || account.linkedElsewhere || account.shared)
				return backoff.until(id, "its sign-in has moved", clock.now());
			const { credential } = account;
			if (credential.access !== had.access && lastsFor(credential, LAST_MOMENT_MS, refused)) return ready(credential);
			// Another process had it refused while this one waited for the lock. Do not send it again.
			if (account.needsLogin) return backoff.until(id, "its sign-in is over", clock.now());
			return exchanged(account, {
				spend: credential,
				seen: credential,
				store: (next) => keep(account, credential, next),
				reread: () => find(id)?.credential,
			});
		});

	const renewLinked = (id: AccountId, had: Credential, refused: string | undefined): Promise<TokenResult | Busy> =>
		piAuth.exclusively(async (file) => {
			const account = find(id);
			const stored = account && loginOf(account, file.login(), tokens);
			if (!account?.linked || !stored) return backoff.until(id, "pi is no longer signed in with it", clock.now());
			const ours = account.credential;
			// Another process had it refused while this one waited for the lock, and pi's file has nothing newer.
			if (account.needsLogin && stored.refresh === ours.refresh) {
				return backoff.until(id, "its sign-in is over", clock.now());
			}
			const spend = isNewer(account, ours, stored) ? ours : stored;
			if (spend.access !== had.access && lastsFor(spend, LAST_MOMENT_MS, refused)) {
				const patch = { credential: spend, needsLogin: undefined };
				if (spend === stored) await accounts.patch(id, patch).catch(ignoreWriteFailure);
				return ready(spend);
			}
			return exchanged(account, {
				spend,
				seen: stored,
				store: (next) => storeLinked(account, file, { stored, spend, next }),
				reread: () => loginOf(account, file.login(), tokens) ?? find(id)?.credential,
			});
		}, undefined);

	const storeLinked = async (
		account: Account,
		file: LockedPiAuth,
		{ stored, spend, next }: Record<"stored" | "spend" | "next", Credential>,
	): Promise<void> => {
		const workspaceId = tokens.identify(next.access)?.workspaceId ?? account.workspaceId;
		const isInFile = await file.replaceCredential(stored.refresh, next, workspaceId).catch(() => false);
		const inPool = keep(account, spend, next, isInFile);
		// One of the two places is enough. What is only in our file is written to pi's at the next request.
		await (isInFile ? inPool.catch(ignoreWriteFailure) : inPool);
	};

	/** Renews a shared account. Its refresh token exists only in the database; the local placeholder is never sent. */
	const renewShared = async (account: Account, refused: string | undefined): Promise<TokenResult> => {
		const { id } = account;
		const result = await deps.shared?.()?.renew(account, refused);
		if (!result) return backoff.until(id, "its pool was left", clock.now() + BUSY_RETRY_MS);
		switch (result.kind) {
			case "failed":
				return backoff.longer(id, result.reason);
			case "unavailable":
				if (result.lasts) return backoff.lasting(id, result.reason);
				// A claim of a crashed machine may last for days, but the machine may be back much sooner.
				return backoff.until(id, result.reason, Math.min(result.retryAt, clock.now() + LONGEST_CLAIM_MS));
			case "ready":
				backoff.end(id);
				return result;
			case "signed-out":
				return result;
		}
	};

	return {
		lastsFor,
		catchUp: async (account) => {
			const stored = loginOf(account, piAuth.peek(), tokens);
			if (!stored || stored.refresh === account.credential.refresh) return;
			if (!isNewer(account, account.credential, stored)) return;
			await piAuth.writeBack(stored.refresh, account.credential, account.workspaceId).catch(ignoreWriteFailure);
		},
		renew: async (account, refused) => {
			const { id, credential, linked, linkedElsewhere } = account;
			// An exchange would spend a token that the other pi holds, and only that pi's processes write its file.
			if (linkedElsewhere) {
				return { kind: "unavailable", reason: HELD_ELSEWHERE, retryAt: clock.now() + BUSY_RETRY_MS, lasts: true };
			}
			const tooEarly = backoff.current(id);
			if (tooEarly) return tooEarly;
			try {
				if (account.shared) return await renewShared(account, refused);
				const result = await (linked ? renewLinked(id, credential, refused) : renewOwned(id, credential, refused));
				if (result !== "busy") return result;
				const retryAt = clock.now() + BUSY_RETRY_MS;
				return { kind: "unavailable", reason: "another process is refreshing it", retryAt };
			} catch (error) {
				onFailure?.(error);
				const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
				return backoff.longer(id, `its token could not be renewed${code}`);
			}
		},
	};
}

/** The account was restored with a spent token, so its successor must be stored again. */
class SpentTokenStored extends Error {
	constructor() {
		super("the account holds a token that is spent");
		this.name = "SpentTokenStored";
	}
}

/** Ignores a failed write: the store has reported it, keeps the change in memory and retries. */
function ignoreWriteFailure(): undefined {
	return undefined;
}
