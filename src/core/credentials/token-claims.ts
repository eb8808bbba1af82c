import type { Account, Credential } from "../account.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, Processes, StateStore, TokenReader } from "../ports.ts";
import { allSpent } from "./spent-tokens.ts";

/** The right to send one refresh token, once. It is noted where every process sees it. */
export interface Claim {
	/** Lets other processes go on. With `reason` none of them may send this token again. */
	release(reason?: string): Promise<void>;
	/** The exchange has ended and the token may be spent: from here on only time tells. */
	leaveUnanswered(): Promise<void>;
}

/** The outcome of asking for a claim. */
export type Claiming =
	| { readonly kind: "ours"; readonly claim: Claim }
	/** The token was exchanged before, or refused for good. */
	| { readonly kind: "spent"; readonly reason: string }
	/** Another exchange of the account has begun, and its answer may be under way. */
	| { readonly kind: "taken"; readonly retryAt: number }
	/** The note cannot be written for now, so that no other process would see it. */
	| { readonly kind: "unnoted" }
	/** Another token is stored by now, or none. */
	| { readonly kind: "moved" };

/** The claims on the refresh tokens of all accounts, in all processes. */
export interface TokenClaims {
	/** Asks for the right to send the refresh token of `spend`. The caller holds the lock of the account's credential. */
	claim(account: Pick<Account, "id" | "formerIds">, spend: Pick<Credential, "refresh">): Promise<Claiming>;
	/** Why the sign-in of a refresh token is over, as far as that is remembered. */
	endedBy(account: Pick<Account, "id" | "formerIds">, credential: Pick<Credential, "refresh">): string | undefined;
	/** Remembers that a refresh token was refused for good. */
	end(id: AccountId, credential: Pick<Credential, "refresh">, reason: string): Promise<void>;
}

interface Deps {
	readonly state: StateStore;
	readonly tokens: Pick<TokenReader, "fingerprint">;
	readonly processes: Processes;
	readonly clock: Clock;
}

type Exchange = NonNullable<AccountStatus["exchange"]>;

/** After an exchange without an answer the token may be spent: no process sends it again before this. */
export const UNKNOWN_OUTCOME_MS = 60_000;
export const BUSY_RETRY_MS = 500;

/** Creates it over the state file. */
export function createTokenClaims({ state, tokens, processes, clock }: Deps): TokenClaims {
	/** Since an exchange began, by how long the machine has run where that tells: clocks may be set, and differ. */
	const elapsedMs = ({ at, uptime }: Exchange) => {
		const { machine, ms } = processes.uptime();
		const ranMs = uptime?.machine === machine ? ms - uptime.ms : -1;
		return ranMs >= 0 ? ranMs : Math.abs(clock.now() - at);
	};
	const fateOf = ({ holder, at }: Exchange) => (holder ? processes.fateOf(holder, at) : "gone");
	/** Clocks jump: whatever they say, a process that runs may be waiting for the answer. */
	const mayBeAnswered = (exchange: Exchange) =>
		fateOf(exchange) === "running" || elapsedMs(exchange) < UNKNOWN_OUTCOME_MS;
	/**
	 * One exchange of an account at a time, of whichever of its tokens: there is room for one note, and who writes over
	 * that of a running exchange lets the next process send the same token again.
	 */
	const isUnderWay = (exchange: Exchange) => fateOf(exchange) !== "gone" && elapsedMs(exchange) < UNKNOWN_OUTCOME_MS;

	const endedBy: TokenClaims["endedBy"] = ({ id, formerIds = [] }, { refresh }) => {
		const tokenHash = tokens.fingerprint(refresh);
		const all = [id, ...formerIds].flatMap((each) => state.status(each).spent ?? []);
		return all.find((spent) => spent.tokenHash === tokenHash)?.reason;
	};
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
				// However it has come back: no token is sent again that was exchanged, or refused for good.
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

			// Another process may have begun while this was still two accounts.
			if (formerIds.some((former) => !isFree(state.status(former)))) return refused();
			// Decided on the file as it is then, under its lock: if two processes race, the second sees the first one's note.
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
			// A clock that jumped may have made that lock look old, and then both were let in.
			if (!isOurs(state.status(id))) return refused();
			// A file that can never be written must not keep every account from being renewed.
			if (trouble !== undefined && !isLasting(trouble)) {
				state.updateSoon(id, removeNote);
				return { kind: "unnoted" };
			}
			const claim: Claim = {
				release: async (reason) => {
					if (reason === undefined) await state.updateIf(id, isOurs, removeNote);
					// Also where the note was written over: no other process may send what is spent.
					else await state.update(id, (status) => withSpent(removeNote(status), spend, reason));
				},
				leaveUnanswered: async () => {
					// The minute begins now: an answer that never came may have been waited for.
					const exchange = { tokenHash, at: clock.now(), uptime: processes.uptime() };
					await state.updateIf(id, isOurs, (status) => ({ ...status, exchange }));
				},
			};
			return { kind: "ours", claim };
		},
	};
}

/**
 * What keeps a file from ever being written: rights, a path that leads elsewhere, a file system that cannot do it. All
 * other errors of the system may pass: no room, a disk that is away, a lock that is held or was taken away.
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
	// One that is none of the system would come again.
	return !(error instanceof Error && "code" in error) || LASTING_TROUBLE.has(String(error.code));
}
