import type { Account, Credential } from "../account.ts";
import type { PoolListener } from "../events.ts";
import { accountIn } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import type {
	AccountStore,
	Busy,
	Clock,
	OAuthClient,
	PiAuth,
	Processes,
	SharedTokens,
	StateStore,
	TokenReader,
} from "../ports.ts";
import type { TokenResult } from "./credentials.ts";
import { createKeepers, ignoreWriteFailure } from "./keepers.ts";
import { createOtherAccounts } from "./other-account.ts";
import { loginOf } from "./pi-login-sync.ts";
import { createRenewalBackoff } from "./renewal-backoff.ts";
import { BUSY_RETRY_MS, createTokenClaims } from "./token-claims.ts";
import { createTokenExchange, type Keeper } from "./token-exchange.ts";
import { createTokenResults, ready } from "./token-results.ts";

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
interface Renewal {
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
/** Why we do not renew a token that belongs to the `auth.json` of another agent directory. */
const HELD_ELSEWHERE =
	"the pi of another agent directory is signed in with it, and renews it when it runs; /multicodex login signs in here";

/** Creates the renewal. */
export function createRenewal(deps: RenewalDeps): Renewal {
	const { accounts, state, piAuth, tokens, clock, onFailure } = deps;
	const find = (id: AccountId) => accountIn(accounts.list(), id);
	const lastsFor = (credential: Credential, ms: number, refused: string | undefined) =>
		credential.access !== refused && credential.expiresAt - clock.now() > ms;
	const isUsable = (credential: Credential, refused: string | undefined) =>
		lastsFor(credential, LAST_MOMENT_MS, refused);

	const claims = createTokenClaims(deps);
	const exchange = createTokenExchange({ claims, oauth: deps.oauth, pause: deps.pause });
	const backoff = createRenewalBackoff(clock);
	const others = createOtherAccounts(deps);
	const keepers = createKeepers({ accounts, tokens, claims, others });
	const resultOf = createTokenResults({ accounts, state, tokens, clock, claims, others, backoff, isUsable });

	const exchanged = async (account: Account, keeper: Keeper): Promise<TokenResult> => {
		const result = await exchange(account, keeper);
		return resultOf(account, keeper, result);
	};

	/**
	 * True if `one` is newer. A credential with a spent refresh token is always the older one, even if both were issued
	 * in the same second.
	 */
	const isNewer = (account: Account, one: Credential, other: Credential) => {
		const [isOneOver, isOtherOver] = [one, other].map((each) => claims.endedBy(account, each) !== undefined);
		if (isOneOver !== isOtherOver) return isOtherOver === true;
		return (tokens.issuedAt(one.access) ?? 0) > (tokens.issuedAt(other.access) ?? 0);
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
			if (credential.access !== had.access && isUsable(credential, refused)) return ready(credential);
			// Another process had it refused while this one waited for the lock. Do not send it again.
			if (account.needsLogin) return backoff.until(id, "its sign-in is over", clock.now());
			return exchanged(account, keepers.owned(account));
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
			if (spend.access !== had.access && isUsable(spend, refused)) {
				const patch = { credential: spend, needsLogin: undefined };
				if (spend === stored) await accounts.patch(id, patch).catch(ignoreWriteFailure);
				return ready(spend);
			}
			return exchanged(account, keepers.linked(account, file, { stored, spend }));
		}, undefined);

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
			if (account.needsLogin || !stored || stored.refresh === account.credential.refresh) return;
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
