import type { Account, Credential } from "../../core/account.ts";
import type { OtherAccounts } from "../../core/credentials/other-account.ts";
import { BUSY_RETRY_MS, type Claiming, UNKNOWN_OUTCOME_MS } from "../../core/credentials/token-claims.ts";
import { createTokenExchange, type Exchanged } from "../../core/credentials/token-exchange.ts";
import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountStore, Clock, OAuthClient, SharedTokens, TokenReader } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { Journal } from "./journal.ts";
import type { Mirror } from "./mirror.ts";
import type { Replay } from "./replay.ts";
import type { OpenRow, SharedRows } from "./shared-rows.ts";
import { PoolProblem, type Role } from "./types.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** Dependencies of renewing shared accounts. */
export interface RenewingDeps {
	readonly role: Role;
	readonly mirror: Mirror;
	readonly rows: SharedRows;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	readonly journal: Journal;
	readonly replay: Replay;
	/** Reads the database, which brings newer tokens into the mirror. Never rejects. */
	readonly look: () => Promise<void>;
	/** Runs work as the only process of this machine that renews the account. */
	readonly alone: AccountStore["whileRefreshing"];
	readonly others: OtherAccounts;
	readonly oauth: OAuthClient;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	/** Returns a time that changes of the clock do not affect, ms. */
	readonly monotonic: () => number;
	readonly pause: (ms: number) => Promise<void>;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
	readonly tell: PoolListener;
	readonly onFailure: (error: unknown) => void;
}

type Renewed = Awaited<ReturnType<SharedTokens["renew"]>>;

/** How long a claim is valid. After that, another machine may assume that this one has ended. */
export const CLAIM_MS = 20_000;
/**
 * Pauses between reads of the database while another machine renews a token that a request here needs. An exchange
 * takes less than a second. Under the claim of a crashed machine no token arrives.
 */
const OTHERS_EXCHANGE_MS: readonly number[] = [100, 200, 400, 800, 1500];
/** A token this close to its expiry is no longer sent. */
const LAST_MOMENT_MS = 5000;
/** A token is renewed when this part of its lifetime is left. */
const EARLY = 1 / 5;
/** How early a token of unknown lifetime is renewed. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** How long a runner waits before it checks for a newer token again. */
const RUNNERS_RETRY_MS = 30_000;
/** A refusal for an unknown reason is final if it is repeated this much later. */
const REFUSED_AGAIN_MS = 60_000;

/** Creates the renewal, with one exchange of a refresh token across all machines of the pool. */
export function createRenewing(deps: RenewingDeps): SharedTokens {
	const { role, mirror, rows, connection, unsent, journal, replay, look, alone, others } = deps;
	const { oauth, tokens, clock, monotonic, pause, newHolder, tell, onFailure } = deps;
	/** First refusals for an unknown reason, by the hash of the token. */
	const refusals = new Map<string, number>();
	/** By account, the hash of the token for which another machine's exchange was awaited. */
	const awaited = new Map<AccountId, string>();

	const isGood = ({ access, expiresAt }: Credential, refused: string | undefined) =>
		access !== refused && expiresAt - clock.now() > LAST_MOMENT_MS;
	const ready = ({ access }: Credential): Renewed => ({ kind: "ready", access });
	const later = (reason: string, ms = BUSY_RETRY_MS): Renewed => {
		return { kind: "unavailable", reason, retryAt: clock.now() + ms };
	};

	const renewAsRunner = async ({ id }: Account, refused: string | undefined): Promise<Renewed> => {
		await look();
		const known = mirror.rows().get(id)?.account;
		if (!known) return later("it was taken out of the pool");
		if (isGood(known.credential, refused)) return ready(known.credential);
		const reason = connection.away()
			? "its pool cannot be reached"
			: "no keeper of its pool has renewed it; a pi on a machine with a keeper's code does";
		return later(reason, RUNNERS_RETRY_MS);
	};

	/**
	 * Claims the right to send a token from the database. The time of the claim counts from before the call, since its
	 * answer takes time. `isOver`: the token ended without another one for the row.
	 */
	const claimIn = (tokenHash: string, onBegun: (at: number) => void, isOver: () => boolean) => ({
		claim: async ({ id }: Pick<Account, "id">): Promise<Claiming> => {
			const holder = newHolder();
			const claimed = { id, tokenHash, holder };
			onBegun(monotonic());
			const claiming = await unsent.claim(claimed);
			if (claiming.kind === "taken") return { kind: "taken", retryAt: clock.now() + claiming.retryAfterMs };
			if (claiming.kind !== "ours") return claiming;
			const end = (reason: string) =>
				connection.use((database) => database.settle(id, tokenHash, holder, { reason })).catch(onFailure);
			const isSame = await rows.read(id).then(
				(open) => open?.row.tokenHash === tokenHash,
				async (error: unknown) => {
					await unsent.free(claimed);
					throw error;
				},
			);
			if (!isSame) {
				await unsent.free(claimed);
				return { kind: "moved" };
			}
			return {
				kind: "ours",
				claim: {
					release: async (reason) => {
						if (reason === undefined) await unsent.free(claimed);
						// Otherwise the new token is stored or in the journal, which ends the claim.
						else if (isOver()) await end(reason);
					},
					// A claim without an outcome is what the other machines go by.
					leaveUnanswered: async () => undefined,
				},
			};
		},
	});
	const store = async ({ account }: OpenRow, spentHash: string, next: Credential): Promise<void> => {
		const entry = { account: { ...account, credential: next }, spentHash };
		const isNoted = await journal.write(entry).then(
			() => true,
			(error: unknown) => {
				onFailure(error);
				return false;
			},
		);
		await mirror.renewed(account.id, spentHash, next, tokens.fingerprint(next.refresh));
		try {
			await replay.store(entry);
		} catch (error) {
			if (!isNoted) throw error;
			// The journal keeps it until the next look.
			onFailure(error);
			return;
		}
		if (isNoted) await journal.drop(entry);
	};

	/** Handles the end of a grant, unless the database has another one by now. */
	const endOf = async (
		{ account, row }: OpenRow,
		{ code, closed }: { readonly code: string; readonly closed: boolean },
	): Promise<Renewed> => {
		const { id, credential } = account;
		const over = closed ? { enabled: false, disabledReason: code } : { needsLogin: { reason: code, at: clock.now() } };
		const flag = (open: OpenRow) => (open.row.tokenHash === row.tokenHash ? { ...open.account, ...over } : undefined);
		try {
			const now = await rows.change(id, flag);
			if (now && now.row.tokenHash !== row.tokenHash && isGood(now.account.credential, credential.access)) {
				return ready(now.account.credential);
			}
		} catch (error) {
			onFailure(error);
			// The other machines find out for themselves: from the outcome of the claim, or from the issuer.
			await mirror.patch(id, over);
		}
		return { kind: "signed-out", account: mirror.rows().get(id)?.account ?? account, reason: code, closed };
	};

	const isRefusedAgain = (tokenHash: string): boolean => {
		const since = refusals.get(tokenHash) ?? monotonic();
		refusals.set(tokenHash, since);
		return monotonic() - since >= REFUSED_AGAIN_MS;
	};

	const answered = async (
		open: OpenRow,
		{ outcome, isStored }: Extract<Exchanged, { kind: "answered" }>,
	): Promise<Renewed> => {
		const { account, row } = open;
		switch (outcome.kind) {
			case "granted":
				refusals.delete(row.tokenHash);
				if (!others.isOther(account, account.credential, outcome.credential)) return ready(outcome.credential);
				return endOf(open, { code: "renewed_as_another", closed: false });
			case "refused":
				return endOf(open, outcome);
			case "unknown":
				return isStored ? { kind: "failed", reason: outcome.reason } : later(outcome.reason, UNKNOWN_OUTCOME_MS);
			case "unavailable":
				if (outcome.lasts) {
					return { kind: "unavailable", reason: outcome.reason, retryAt: clock.now() + BUSY_RETRY_MS, lasts: true };
				}
				if (!outcome.mayBeFinal || !isRefusedAgain(row.tokenHash)) return { kind: "failed", reason: outcome.reason };
				return endOf(open, { code: "renewal_refused", closed: false });
		}
	};

	/**
	 * True if the row is older than what this machine has seen: a backup of the database was restored, or a lagging
	 * server answered. Another token has replaced the one in the row, so this one is spent.
	 */
	const isPutBack = ({ account: { id }, row }: OpenRow): boolean => {
		const seen = mirror.rows().get(id);
		return seen !== undefined && seen.version > row.version && seen.tokenHash !== row.tokenHash;
	};

	/**
	 * Waits for the token that another machine stores when the present one is useless here. Once per token, since a new
	 * one may never arrive.
	 */
	const broughtByOther = async (
		{ account, row }: OpenRow,
		refused: string | undefined,
	): Promise<Renewed | undefined> => {
		if (isGood(account.credential, refused) || awaited.get(account.id) === row.tokenHash) return undefined;
		awaited.set(account.id, row.tokenHash);
		for (const ms of OTHERS_EXCHANGE_MS) {
			await pause(ms);
			const now = await rows.read(account.id);
			if (now?.row.tokenHash === row.tokenHash) continue;
			if (!now || !isGood(now.account.credential, refused)) return undefined;
			tell({ type: "renewed-elsewhere", account: account.id });
			return ready(now.account.credential);
		}
		return undefined;
	};

	const exchanged = async (open: OpenRow, refused: string | undefined): Promise<Renewed> => {
		const { account, row } = open;
		const { credential } = account;
		const { tokenHash } = row;
		let claimedAt = Number.NEGATIVE_INFINITY;
		let isOver = false;
		const onClaim = (at: number) => {
			claimedAt = at;
		};
		const claims = claimIn(tokenHash, onClaim, () => isOver);
		const noting: OAuthClient = {
			refresh: async (refresh) => {
				const outcome = await oauth.refresh(refresh);
				isOver = outcome.kind === "refused";
				return outcome;
			},
		};
		const exchange = createTokenExchange({ claims, oauth: noting, pause });
		const result = await exchange(account, {
			spend: credential,
			seen: credential,
			// The machine may have slept since the claim.
			reread: () => (monotonic() - claimedAt <= CLAIM_MS ? credential : undefined),
			store: async (next) => {
				isOver = others.isOther(account, credential, next);
				await (isOver ? others.keep(account, next, false) : store(open, tokenHash, next));
			},
		});
		switch (result.kind) {
			case "spent":
				return endOf(open, { code: result.reason, closed: false });
			case "taken": {
				const brought = await broughtByOther(open, refused);
				if (brought) return brought;
				return later("another machine is renewing it", Math.max(result.retryAt - clock.now(), BUSY_RETRY_MS));
			}
			case "unnoted":
				return { kind: "failed", reason: "its renewal could not be noted" };
			case "moved": {
				const now = mirror.rows().get(account.id)?.account;
				return now && isGood(now.credential, credential.access)
					? ready(now.credential)
					: later("its sign-in has moved");
			}
			case "answered":
				return answered(open, result);
		}
	};

	const renewAsKeeper = async (had: Account, refused: string | undefined): Promise<Renewed> => {
		const { id } = had;
		const isNews = ({ credential }: Account) =>
			credential.access !== had.credential.access && isGood(credential, refused);
		const outcome = await alone(id, async () => {
			// Another process of this machine may have renewed it while this one waited.
			const known = mirror.rows().get(id)?.account;
			if (known && isNews(known)) return ready(known.credential);
			// Detect a full or read-only disk before the token is spent.
			await journal.prove(id);
			await replay.all();
			const open = await rows.read(id);
			if (!open) return later("it was taken out of the pool");
			if (isNews(open.account)) {
				tell({ type: "renewed-elsewhere", account: id });
				return ready(open.account.credential);
			}
			if (open.account.needsLogin) return later("its sign-in is over");
			if (isPutBack(open)) return later("its database was put back to an older state; sign in to it again");
			return exchanged(open, refused);
		});
		return outcome === "busy" ? later("another process is refreshing it") : outcome;
	};

	return {
		renew: async (account, refused) => {
			try {
				return await (role === "runner" ? renewAsRunner(account, refused) : renewAsKeeper(account, refused));
			} catch (error) {
				// The connection has reported this problem, and it is no defect.
				if (error instanceof PoolProblem) return { kind: "failed", reason: "its shared pool cannot be used just now" };
				throw error;
			}
		},
		isDue: ({ credential, needsLogin, enabled }) => {
			if (role === "runner" || needsLogin || !enabled || connection.away()) return false;
			const { access, expiresAt } = credential;
			const lifeMs = expiresAt - (tokens.issuedAt(access) ?? expiresAt);
			return expiresAt - clock.now() <= Math.max(lifeMs * EARLY, REFRESH_AHEAD_MS);
		},
	};
}
