import type { AccountId, SessionId } from "../ids.ts";
import type { Clock } from "../ports.ts";

/** Keeps a session on one account. */
export interface Affinity {
	/**
	 * Begins or resumes a session. `account` is the one that served it last, at `lastServedAt` (epoch ms), as recorded in
	 * the session.
	 */
	begin(sessionId: SessionId | undefined, account?: AccountId, lastServedAt?: number): void;
	/** The session of this process; undefined before it is announced. */
	session(): SessionId | undefined;
	/** True for a request of this session, and for every request while the host has announced no session. */
	isOwn(sessionId: SessionId | undefined): boolean;
	/** Records that the session continues on a branch which was last served by `account`, as recorded there. */
	branched(account: AccountId | undefined): void;
	/** Records that the session's context was compacted: no prompt cache holds the next request. */
	compacted(): void;
	/** The account to stay on; undefined when a new account should be chosen. */
	account(): AccountId | undefined;
	/** The account that served the session last, however long ago. */
	lastServed(): AccountId | undefined;
	/** Moves the session to an account by hand. It stays there as if that account had just served it. */
	moveTo(account: AccountId): void;
	/** Records which account answered. True if the session has moved to another account and should record it. */
	served(sessionId: SessionId | undefined, account: AccountId): boolean;
}

/** Prompt caches expire after about this long without a request. Changing accounts costs nothing after that. */
const CACHE_LIFE_MS = 60 * 60_000;

/**
 * Keeps the session of this process on its account. A request without the session's id, or with an id of its own
 * (compaction, summaries), uses that account but changes nothing here.
 */
export function createAffinity(clock: Clock): Affinity {
	let session: SessionId | undefined;
	let stay: { account: AccountId; at: number } | undefined;
	let isCompacted = false;
	/** The account as the session itself recorded it. */
	let remembered: AccountId | undefined;
	return {
		begin: (sessionId, account, lastServedAt) => {
			session = sessionId;
			remembered = account;
			isCompacted = false;
			stay = account === undefined ? undefined : { account, at: lastServedAt ?? clock.now() };
		},
		branched: (account) => {
			remembered = account;
		},
		session: () => session,
		isOwn: (sessionId) => session === undefined || sessionId === session,
		compacted: () => {
			isCompacted = true;
		},
		account: () => {
			const age = stay ? clock.now() - stay.at : 0;
			return stay && !isCompacted && age < CACHE_LIFE_MS ? stay.account : undefined;
		},
		lastServed: () => stay?.account,
		moveTo: (account) => {
			stay = { account, at: clock.now() };
			isCompacted = false;
		},
		served: (sessionId, account) => {
			// The SDK announces no session, so its first request begins one.
			session ??= sessionId;
			const isOwn = sessionId !== undefined && sessionId === session;
			if (isOwn || stay === undefined) stay = { account, at: clock.now() };
			if (isOwn) isCompacted = false;
			const hasMoved = isOwn && remembered !== account;
			if (isOwn) remembered = account;
			return hasMoved;
		},
	};
}
