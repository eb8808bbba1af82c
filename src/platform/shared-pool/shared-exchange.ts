import type { OtherAccounts } from "../../core/credentials/other-account.ts";
import { BUSY_RETRY_MS, UNKNOWN_OUTCOME_MS } from "../../core/credentials/token-claims.ts";
import { createTokenExchange, type Exchanged } from "../../core/credentials/token-exchange.ts";
import type { PoolListener } from "../../core/events.ts";
import type { Clock, OAuthClient } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { Mirror } from "./mirror.ts";
import { createOthersExchange } from "./others-exchange.ts";
import { isGood, later, type Renewed, ready } from "./renewed.ts";
import type { Replay } from "./replay.ts";
import { createSharedClaims, type SharedClaim } from "./shared-claim.ts";
import type { OpenRow, SharedRows } from "./shared-rows.ts";
import type { Stopwatch } from "./stopwatch.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** Dependencies of an exchange. */
export interface ExchangeDeps {
	readonly mirror: Mirror;
	readonly rows: SharedRows;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	readonly replay: Replay;
	readonly others: OtherAccounts;
	readonly oauth: OAuthClient;
	readonly clock: Clock;
	/** Returns a time that changes of the clock do not affect, ms. */
	readonly monotonic: () => number;
	readonly startWatch: Stopwatch;
	readonly pause: (ms: number) => Promise<void>;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
	readonly tell: PoolListener;
	readonly onFailure: (error: unknown) => void;
}

/** Exchanges the refresh token of a row. `refused` is an access token that the backend has just answered with 401. */
type SharedExchange = (open: OpenRow, refused: string | undefined) => Promise<Renewed>;

/** A refusal for an unknown reason is final if it is repeated this much later. */
const REFUSED_AGAIN_MS = 60_000;

/** Creates the exchange of a token, under a claim that all machines see. Others of this machine must be kept out. */
export function createSharedExchange(deps: ExchangeDeps): SharedExchange {
	const { mirror, rows, replay, others, oauth, clock, monotonic, pause, onFailure } = deps;
	const claimOn = createSharedClaims(deps);
	const othersExchange = createOthersExchange(deps);
	/** First refusals for an unknown reason, by the hash of the token. */
	const refusals = new Map<string, number>();

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
			if (
				now &&
				now.row.tokenHash !== row.tokenHash &&
				isGood(now.account.credential, credential.access, clock.now())
			) {
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
				if (isStored) return { kind: "failed", reason: outcome.reason };
				return later(outcome.reason, clock.now(), UNKNOWN_OUTCOME_MS);
			case "unavailable":
				if (outcome.lasts) {
					return { kind: "unavailable", reason: outcome.reason, retryAt: clock.now() + BUSY_RETRY_MS, lasts: true };
				}
				if (!outcome.mayBeFinal || !isRefusedAgain(row.tokenHash)) return { kind: "failed", reason: outcome.reason };
				return endOf(open, { code: "renewal_refused", closed: false });
		}
	};

	/** Spends the token under its claim, and stores what came for it. */
	const spend = ({ account, row }: OpenRow, claim: SharedClaim): Promise<Exchanged> => {
		const { credential } = account;
		const noting: OAuthClient = {
			refresh: async (refresh) => {
				const outcome = await oauth.refresh(refresh);
				if (outcome.kind === "refused") claim.noteEnd();
				return outcome;
			},
		};
		const exchange = createTokenExchange({ claims: claim, oauth: noting, pause });
		return exchange(account, {
			spend: credential,
			seen: credential,
			reread: () => (claim.isValid() ? credential : undefined),
			store: async (next) => {
				if (!others.isOther(account, credential, next)) {
					return replay.keep({ account: { ...account, credential: next }, spentHash: row.tokenHash });
				}
				claim.noteEnd();
				return others.keep(account, next, false);
			},
		});
	};

	return async (open, refused) => {
		const result = await spend(open, claimOn(open.row.tokenHash));
		switch (result.kind) {
			case "spent":
				return endOf(open, { code: result.reason, closed: false });
			case "taken": {
				const brought = await othersExchange.brought(open, refused);
				if (brought) return brought;
				const leftMs = Math.max(result.retryAt - clock.now(), BUSY_RETRY_MS);
				return later("another machine is renewing it", clock.now(), leftMs);
			}
			case "unnoted":
				return { kind: "failed", reason: "its renewal could not be noted" };
			case "moved": {
				const { id, credential } = open.account;
				const now = mirror.rows().get(id)?.account;
				return now && isGood(now.credential, credential.access, clock.now())
					? ready(now.credential)
					: later("its sign-in has moved", clock.now());
			}
			case "answered":
				return answered(open, result);
		}
	};
}
