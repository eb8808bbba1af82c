import type { Account, Credential } from "../account.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, Processes, StateStore, TokenReader } from "../ports.ts";
import { allSpent, whySpent } from "./spent-tokens.ts";

/** The right to send one refresh token once. It is recorded where every process sees it. */
interface Claim {
	/** Gives the claim back. With `reason`, no process may send this token again. */
	release(reason?: string): Promise<void>;
	/** Records that the exchange has ended without an answer. The token may be spent, and only time will tell. */
	leaveUnanswered(): Promise<void>;
}

/** The result of asking for a claim. */
export type Claiming =
	| { readonly kind: "ours"; readonly claim: Claim }
	/** The token was exchanged before, or refused for good. */
	| { readonly kind: "spent"; readonly reason: string }
	/** Another exchange of the account has started, and its answer may be on its way. */
	| { readonly kind: "taken"; readonly retryAt: number }
	/** The claim cannot be written for now, so no other process would see it. */
	| { readonly kind: "unnoted" }
	/** Another token is stored by now, or none. */
	| { readonly kind: "moved" };

/** Claims on the refresh tokens of all accounts, across all processes. */
export interface TokenClaims {
	/** Claims the refresh token of `spend`. The caller holds the lock of the account's credential. */
	claim(account: Pick<Account, "id" | "formerIds">, spend: Pick<Credential, "refresh">): Promise<Claiming>;
	/** Returns why the sign-in of a refresh token has ended, as far as that is remembered. */
	endedBy(account: Pick<Account, "id" | "formerIds">, credential: Pick<Credential, "refresh">): string | undefined;
	/** Records that a refresh token was refused for good. */
	end(id: AccountId, credential: Pick<Credential, "refresh">, reason: string): Promise<void>;
}

interface Deps {
	readonly state: StateStore;
	readonly tokens: Pick<TokenReader, "fingerprint">;
	readonly processes: Processes;
	readonly clock: Clock;
}

type Exchange = NonNullable<AccountStatus["exchange"]>;

/** How long no process sends a token again after an exchange without an answer. The token may be spent. */
export const UNKNOWN_OUTCOME_MS = 60_000;
export const BUSY_RETRY_MS = 500;

/** Creates the claims, stored in the state file. */
export function createTokenClaims({ state, tokens, processes, clock }: Deps): TokenClaims {
	/**
	 * Returns the time since an exchange started. Uses the machine's uptime if possible, since clocks may be set and may
	 * differ.
	 */
	const elapsedMs = ({ at, uptime }: Exchange) => {
		const { machine, ms } = processes.uptime();
		const ranMs = uptime?.machine === machine ? ms - uptime.ms : -1;
		return ranMs >= 0 ? ranMs : Math.abs(clock.now() - at);
	};
	const fateOf = ({ holder, at }: Exchange) => (holder ? processes.fateOf(holder, at) : "gone");
	/** True if the answer may still arrive. A running process may be waiting for it, whatever the clock says. */
	const mayBeAnswered = (exchange: Exchange) =>
		fateOf(exchange) === "running" || elapsedMs(exchange) < UNKNOWN_OUTCOME_MS;
	/**
	 * True if an exchange of the account is in progress, with any of its tokens. There is room for one claim: overwriting
	 * that of a running exchange would let the next process send the same token again.
	 */
	const isUnderWay = (exchange: Exchange) => fateOf(exchange) !== "gone" && elapsedMs(exchange) < UNKNOWN_OUTCOME_MS;

	const endedBy: TokenClaims["endedBy"] = (account, { refresh }) =>
		whySpent(state, account, tokens.fingerprint(refresh));
	const withSpent = (
		status: AccountStatus,
		{ refresh }: Pick<Credential, "refresh">,
		reason: string,
	): AccountStatus => {
		return { ...status, spent: allSpent(status.spent, [{ tokenHash: tokens.fingerprint(refresh), reason }]) };
	};

	return {
		endedBy,
		end: (id, credential, reason) => state.update(id, (status) => withSpent(status, credential, reason)),
		claim: async (account, spend) => {
			const { id, formerIds = [] } = account;
			const tokenHash = tokens.fingerprint(spend.refresh);
			const note = { tokenHash, at: clock.now(), holder: processes.own(), uptime: processes.uptime() };
			const isFree = ({ exchange, spent = [] }: AccountStatus) => {
				// A token that was exchanged or refused for good is never sent again, however it came back.
				if (spent.some((token) => token.tokenHash === tokenHash)) return false;
				if (!exchange) return true;
				return !(exchange.tokenHash === tokenHash ? mayBeAnswered(exchange) : isUnderWay(exchange));
			};
			const isOurs = ({ exchange }: AccountStatus) =>
				exchange?.at === note.at &&
				exchange.tokenHash === tokenHash &&
				exchange.holder?.pid === note.holder.pid &&
				exchange.holder.machine === note.holder.machine;
			const refused = (): Claiming => {
				const reason = endedBy(account, spend);
				if (reason !== undefined) return { kind: "spent", reason };
				const { exchange } = state.status(id);
				const leftMs = exchange?.tokenHash === tokenHash ? UNKNOWN_OUTCOME_MS - elapsedMs(exchange) : 0;
				return { kind: "taken", retryAt: clock.now() + (leftMs > 0 ? leftMs : BUSY_RETRY_MS) };
			};
			const removeNote = (status: AccountStatus) => (isOurs(status) ? { ...status, exchange: undefined } : status);

			// Another process may have started an exchange while this was still two accounts.
			if (formerIds.some((former) => !isFree(state.status(former)))) return refused();
			// Decides on the file as it is, under its lock. If two processes race, the second sees the first one's claim.
			let trouble: unknown;
			const isNoted = await state.updateIf(
				id,
				isFree,
				(status) => ({ ...status, exchange: note }),
				(error) => {
					trouble = error;
				},
			);
			if (!isNoted) return refused();
			// A clock jump may have made that lock look stale, so that both processes got in.
			if (!isOurs(state.status(id))) return refused();
			// A file that can never be written must not keep every account from being renewed.
			if (trouble !== undefined && !isLasting(trouble)) {
				state.updateSoon(id, removeNote);
				return { kind: "unnoted" };
			}
			const claim: Claim = {
				release: async (reason) => {
					if (reason === undefined) await state.updateIf(id, isOurs, removeNote);
					// Applies even if the claim was overwritten: no other process may send a spent token.
					else await state.update(id, (status) => withSpent(removeNote(status), spend, reason));
				},
				leaveUnanswered: async () => {
					// The minute starts now. An answer that never came may have taken long.
					const exchange = { tokenHash, at: clock.now(), uptime: processes.uptime() };
					await state.updateIf(id, isOurs, (status) => ({ ...status, exchange }));
				},
			};
			return { kind: "ours", claim };
		},
	};
}

/**
 * Errors that keep a file from ever being written: rights, a path that leads elsewhere, an unsuitable file system. All
 * other system errors may pass: no space, a missing disk, a lock that is held or was lost.
 */
const LASTING_TROUBLE = new Set([
	"EACCES",
	"EPERM",
	"ENOTDIR",
	"EISDIR",
	"EEXIST",
	"ELOOP",
	"ENAMETOOLONG",
	"EINVAL",
	"ENOSYS",
	"ENOTSUP",
	"EOPNOTSUPP",
	"ENEWER",
]);

function isLasting(error: unknown): boolean {
	// An error without a code is a defect of ours and would recur.
	return !(error instanceof Error && "code" in error) || LASTING_TROUBLE.has(String(error.code));
}
