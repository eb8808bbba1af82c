import type { AccountId, SessionId } from "../ids.ts";

/** The cached sockets of sessions. Nothing of one account is used with another. */
export interface SessionSockets {
	/**
	 * Called right before an attempt. Closes the session's cached socket if it belongs to another account: the host keeps
	 * sockets, and the `previous_response_id` that depends on them, by session and not by account. A socket of the
	 * account's reserve model, `wireModel`, also counts as another one.
	 */
	claim(sessionId: SessionId | undefined, account: AccountId, wireModel?: string): SocketClaim;
	/**
	 * Does the same for a request to another provider, `provider`. It never uses a socket of an account, and no request
	 * of an account uses its socket.
	 */
	claimOther(sessionId: SessionId | undefined, provider: string): SocketClaim;
	/** Closes the session's socket if it belongs to one of our accounts. The session continues without us. */
	leave(sessionId: SessionId | undefined): void;
	/** Leaves one session, or all of them, after any answer in progress has finished. */
	leaveSoon(sessionId: SessionId): void;
	leaveAll(): void;
	/** Closes the session's socket, whatever its account. */
	forget(sessionId: SessionId | undefined): void;
	/** Records that the backend refused this session's encrypted reasoning. It is left out from now on. */
	rememberReasoningRefused(sessionId: SessionId | undefined): void;
	refusesReasoning(sessionId: SessionId | undefined): boolean;
}

/** The claim of an attempt to its session's socket. */
interface SocketClaim {
	/** True if an attempt of another account is in progress in this session. Closing its socket would end its answer. */
	readonly mustNotShare: boolean;
	release(): void;
}

/** Tracks sockets by session. `close` is the host's own clean-up. */
export function createSessionSockets(close: (sessionId: SessionId) => void): SessionSockets {
	/** Who owns each socket: an account, an account with its reserve model, or another provider. */
	const owners = new Map<SessionId, string>();
	const underWay = new Map<SessionId, number>();
	const withoutReasoning = new Set<SessionId>();
	/** Sessions to leave as soon as no attempt is in progress in them. */
	const leaving = new Set<SessionId>();

	const forget = (sessionId: SessionId | undefined) => {
		if (sessionId === undefined) return;
		owners.delete(sessionId);
		leaving.delete(sessionId);
		close(sessionId);
	};

	const leaveSoon = (sessionId: SessionId) => {
		if (!owners.has(sessionId)) return;
		if (underWay.has(sessionId)) leaving.add(sessionId);
		else forget(sessionId);
	};

	const claimAs = (sessionId: SessionId | undefined, owner: string): SocketClaim => {
		if (sessionId === undefined) return { mustNotShare: false, release: () => undefined };
		const others = underWay.get(sessionId) ?? 0;
		leaving.delete(sessionId);
		// A socket of unknown origin is foreign too: the host keeps sockets when extensions are reloaded.
		const isForeign = owners.get(sessionId) !== owner;
		if (isForeign && others === 0) forget(sessionId);
		const mustNotShare = isForeign && others > 0;
		if (!mustNotShare) owners.set(sessionId, owner);
		underWay.set(sessionId, others + 1);
		return {
			mustNotShare,
			release: () => {
				const left = (underWay.get(sessionId) ?? 1) - 1;
				if (left > 0) underWay.set(sessionId, left);
				else underWay.delete(sessionId);
				if (left <= 0 && leaving.has(sessionId)) forget(sessionId);
			},
		};
	};

	return {
		claim: (sessionId, account, wireModel) =>
			claimAs(sessionId, wireModel === undefined ? account : `${account} ${wireModel}`),
		// Account ids never contain a colon.
		claimOther: (sessionId, provider) => claimAs(sessionId, `provider: ${provider}`),
		leave: (sessionId) => {
			if (sessionId !== undefined && owners.has(sessionId)) forget(sessionId);
		},
		leaveSoon,
		leaveAll: () => {
			for (const sessionId of [...owners.keys()]) leaveSoon(sessionId);
		},
		forget,
		rememberReasoningRefused: (sessionId) => {
			if (sessionId !== undefined) withoutReasoning.add(sessionId);
		},
		refusesReasoning: (sessionId) => sessionId !== undefined && withoutReasoning.has(sessionId),
	};
}
