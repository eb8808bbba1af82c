import type { AccountId, SessionId } from "./ids.ts";
import type { Clock } from "./ports.ts";

/** Which account a session stays on. */
export interface Affinity {
	/** A session begins or is resumed; `account` is what it remembers, `lastServedAt` when (epoch ms). */
	begin(sessionId: SessionId | undefined, account?: AccountId, lastServedAt?: number): void;
	/** Is a request with this id the session's own, or that of a host that has announced none? */
	isOwn(sessionId: SessionId | undefined): boolean;
	/** The session's context was compacted: no cache knows what it will ask next. */
	compacted(): void;
	/** The account to stay on; undefined where a choice is due. */
	account(): AccountId | undefined;
	/** The account that served the session last, however long ago. */
	lastServed(): AccountId | undefined;
	/** The person moves the session: it stays on this account as if that had just served it. */
	moveTo(account: AccountId): void;
	/** Records who answered. True when the session has moved to another account and should remember it. */
	served(sessionId: SessionId | undefined, account: AccountId): boolean;
}

/** A prompt cache is gone after about this long without a request, so a new choice costs nothing. */
const CACHE_LIFE_MS = 60 * 60_000;

/**
 * Keeps the session of this process on its account. Requests without the session's id, or with one of their own
 * (compaction, summaries), follow it but leave no trace.
 */
export function createAffinity(clock: Clock): Affinity {
	let session: SessionId | undefined;
	let stay: { account: AccountId; at: number } | undefined;
	let isCompacted = false;
	/** What the session remembers by itself. */
	let remembered: AccountId | undefined;
	return {
		begin: (sessionId, account, lastServedAt) => {
			session = sessionId;
			remembered = account;
			isCompacted = false;
			stay = account === undefined ? undefined : { account, at: lastServedAt ?? clock.now() };
		},
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
			// A host that announces no session (the SDK) has one by its first request.
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
