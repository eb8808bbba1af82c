import { raceAbort, within } from "./abort.ts";
import type { Account, Credential } from "./account.ts";
import type { AccountId } from "./ids.ts";
import { loginOf } from "./pi-login-sync.ts";
import type {
	AccountStatus,
	AccountStore,
	Clock,
	OAuthClient,
	PiAuth,
	Processes,
	RefreshOutcome,
	StateStore,
	TokenReader,
} from "./ports.ts";
import { allSpent } from "./spent-tokens.ts";

/** What asking for an access token comes to. */
export type TokenResult =
	| { readonly kind: "ready"; readonly access: string }
	/** The sign-in is over; the account is flagged. */
	| { readonly kind: "signed-out"; readonly account: Account; readonly reason: string; readonly closed: boolean }
	/** Not now; nobody is flagged. `lasts`: no second try helps before the person has changed something. */
	| { readonly kind: "unavailable"; readonly reason: string; readonly retryAt: number; readonly lasts?: true };

/** How a token is asked for. */
export interface TokenRequest {
	readonly signal?: AbortSignal | undefined;
	/** A token that the backend has just answered 401 to. */
	readonly refused?: string | undefined;
	/** How long to wait for an exchange, ms; without it, to its end. */
	readonly patienceMs?: number | undefined;
}

/** The one place where access tokens come from and refresh tokens are spent. */
export interface Credentials {
	/**
	 * A token that is good for at least a request. Rejects only with the abort reason; an exchange under way goes on and
	 * is stored.
	 */
	accessToken(id: AccountId, options: TokenRequest): Promise<TokenResult>;
	/** A token that is valid now, without any exchange: for work nobody waits for. */
	currentToken(id: AccountId): string | undefined;
	/** Resolves when no exchange is under way. */
	idle(): Promise<void>;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly piAuth: PiAuth;
	readonly oauth: OAuthClient;
	readonly tokens: TokenReader;
	readonly processes: Processes;
	readonly clock: Clock;
	/** Resolves after `ms`. */
	readonly pause: (ms: number) => Promise<void>;
	/** Hears of every error that kept a token from being renewed or stored. */
	readonly onFailure?: (error: unknown) => void;
}

/** Refreshed this long before expiry, so that pi's own thresholds (0 to 5 min) are rarely reached. */
const REFRESH_AHEAD_MS = 10 * 60_000;
/** A token this close to its end is not sent any more. */
const LAST_MOMENT_MS = 5000;
/** After an exchange without an answer the token may be spent: no second try before this. */
const UNKNOWN_OUTCOME_MS = 60_000;
const FIRST_BACKOFF_MS = 2000;
const LONGEST_BACKOFF_MS = 5 * 60_000;
const BUSY_RETRY_MS = 500;
/** A request whose token is still good waits this long for a newer one. */
const PATIENCE_MS = 1000;
/** A refusal for a reason that is not known is for good once it is repeated this much later. */
const REFUSED_AGAIN_MS = 60_000;
/** Why an account has to sign in again after that. */
const RENEWAL_REFUSED = "renewal_refused";
/** Why it has to where what is stored was exchanged before, as a copy of an older file is. The issuer says the same. */
const EXCHANGED_BEFORE = "refresh_token_reused";
const FIRST_STORE_PAUSE_MS = 100;
const LAST_STORE_PAUSE_MS = 1600;

/** Creates the refresher: one exchange an account at a time, in this process and across all others. */
export function createCredentials(deps: Deps): Credentials {
	const { accounts, state, piAuth, oauth, tokens, processes, clock, pause, onFailure } = deps;
	const flights = new Map<AccountId, Promise<TokenResult>>();
	const backoffs = new Map<AccountId, { until: number; lengthMs: number; lasting?: string }>();

	const find = (id: AccountId) => accounts.list().find((account) => account.id === id);
	const ready = (credential: Credential): TokenResult => ({ kind: "ready", access: credential.access });
	const lastsFor = (credential: Credential, ms: number, refused: string | undefined) =>
		credential.access !== refused && credential.expiresAt - clock.now() > ms;

	const unavailable = (id: AccountId, reason: string, retryAt: number): TokenResult => {
		backoffs.set(id, { until: retryAt, lengthMs: backoffs.get(id)?.lengthMs ?? 0 });
		return { kind: "unavailable", reason, retryAt };
	};

	const backOff = (id: AccountId, reason: string): TokenResult => {
		const lengthMs = Math.min(Math.max((backoffs.get(id)?.lengthMs ?? 0) * 2, FIRST_BACKOFF_MS), LONGEST_BACKOFF_MS);
		const retryAt = clock.now() + lengthMs;
		backoffs.set(id, { until: retryAt, lengthMs });
		return { kind: "unavailable", reason, retryAt };
	};

	/**
	 * The end of a grant. Whoever signed in, or exchanged, while it was being refused has stored another one: then that
	 * is taken, and nobody is flagged.
	 */
	const endOf = async (
		account: Account,
		spent: Credential,
		{ code, closed }: Extract<RefreshOutcome, { kind: "refused" }>,
		reread: () => Credential | undefined,
	): Promise<TokenResult> => {
		const newest = reread();
		if (newest && newest.refresh !== spent.refresh && lastsFor(newest, LAST_MOMENT_MS, spent.access)) {
			await accounts.patch(account.id, { credential: newest, needsLogin: undefined }).catch(ignoreWriteFailure);
			return ready(newest);
		}
		const patch = closed ? { enabled: false, disabledReason: code } : { needsLogin: { reason: code, at: clock.now() } };
		// The row of pi's own login may not have what was found in pi's file yet.
		const isMeant = ({ refresh }: Credential) => refresh === spent.refresh || refresh === account.credential.refresh;
		await accounts.patch(account.id, { ...patch, credential: spent }, isMeant).catch(ignoreWriteFailure);
		return { kind: "signed-out", account, reason: code, closed };
	};

	/** A token that is stored nowhere is lost with this process: a moment's trouble with the disk is waited out. */
	const storeSurely = async (store: () => Promise<void>): Promise<boolean> => {
		for (let pauseMs = FIRST_STORE_PAUSE_MS; ; pauseMs *= 2) {
			try {
				await store();
				return true;
			} catch {
				if (pauseMs > LAST_STORE_PAUSE_MS) return false;
				await pause(pauseMs);
			}
		}
	};

	/** Why the sign-in of a refresh token is over, as far as that is remembered. */
	const endedBy = ({ id, formerIds = [] }: Account, { refresh }: Credential): string | undefined => {
		const tokenHash = tokens.fingerprint(refresh);
		const all = [id, ...formerIds].flatMap((each) => state.status(each).spent ?? []);
		return all.find((spent) => spent.tokenHash === tokenHash)?.reason;
	};

	/** Spends `spend.refresh`. The caller holds the lock under which nobody else does. */
	const exchange = async (
		account: Account,
		spend: Credential,
		store: (next: Credential) => Promise<void>,
		reread: () => Credential | undefined,
	): Promise<TokenResult> => {
		const { id } = account;
		const tokenHash = tokens.fingerprint(spend.refresh);
		const before = reread()?.refresh;
		const claim = { tokenHash, at: clock.now(), holder: processes.own(), watch: processes.watch() };
		/** Since an exchange began, by the machine's own watch where that tells: clocks may be set, and differ. */
		const elapsedMs = ({ at, watch }: NonNullable<AccountStatus["exchange"]>) => {
			const { machine, ms } = processes.watch();
			const ranMs = watch?.machine === machine ? ms - watch.ms : -1;
			return ranMs >= 0 ? ranMs : Math.abs(clock.now() - at);
		};
		const isFree = ({ exchange, spent = [] }: AccountStatus) => {
			// Whatever has brought it back since: no token is sent again that was exchanged, or refused for good.
			if (spent.some((token) => token.tokenHash === tokenHash)) return false;
			if (exchange?.tokenHash !== tokenHash) return true;
			// Clocks jump: whatever they say, a process that runs may be waiting for the answer.
			if (exchange.holder && processes.fateOf(exchange.holder, exchange.at) === "running") return false;
			return elapsedMs(exchange) >= UNKNOWN_OUTCOME_MS;
		};
		const claimed = () => {
			const reason = endedBy(account, spend);
			if (reason !== undefined) return endOf(account, spend, { kind: "refused", code: reason, closed: false }, reread);
			const leftMs = (state.status(id).exchange?.at ?? 0) + UNKNOWN_OUTCOME_MS - clock.now();
			const isTelling = leftMs > 0 && leftMs <= UNKNOWN_OUTCOME_MS;
			const retryAt = clock.now() + (isTelling ? leftMs : BUSY_RETRY_MS);
			return unavailable(id, "an exchange of its token has not been answered yet", retryAt);
		};
		// Somebody may have begun while this was still two accounts.
		if ((account.formerIds ?? []).some((former) => !isFree(state.status(former)))) return claimed();
		// Decided on the file as it is then, under its lock: if two processes race, the second sees the first one's claim.
		let trouble: unknown;
		const isClaimed = await state.updateIf(
			id,
			isFree,
			(memo) => ({ ...memo, exchange: claim }),
			(error) => {
				trouble = error;
			},
		);
		if (!isClaimed) return claimed();
		const isOurs = ({ exchange }: AccountStatus) =>
			exchange?.at === claim.at &&
			exchange.tokenHash === tokenHash &&
			exchange.holder?.pid === claim.holder.pid &&
			exchange.holder.machine === claim.holder.machine;
		// A clock that jumped may have made that lock look old, and then both were let in.
		if (!isOurs(state.status(id))) return claimed();
		/** Lets others go on; `reason`: none of them may send this token again. */
		const release = (reason?: string) =>
			state.updateIf(id, isOurs, (memo) => {
				const spent = reason === undefined ? memo.spent : allSpent(memo.spent, [{ tokenHash, reason }]);
				return { ...memo, exchange: undefined, spent };
			});
		// No other process can see it. A file that can never be written must not keep every account from being renewed.
		if (isPassing(trouble)) {
			state.updateSoon(id, (memo) => (isOurs(memo) ? { ...memo, exchange: undefined } : memo));
			return backOff(id, "its renewal could not be noted");
		}
		/** It has ended, and the token may be spent: from here on only time tells. */
		const leaveUnanswered = () =>
			state.updateIf(id, isOurs, (memo) => {
				const { at, watch } = claim;
				return { ...memo, exchange: { tokenHash, at, watch } };
			});
		// A process that was stopped has lost its lock, and somebody else may be through with this token by now.
		const newest = reread();
		if (newest?.refresh !== before) {
			await release();
			// Taken out, or merged into another account, whose own lock is another one.
			if (!newest) return unavailable(id, "its sign-in has moved", clock.now());
			if (lastsFor(newest, LAST_MOMENT_MS, undefined)) return ready(newest);
			return unavailable(id, "another process has just renewed it", clock.now());
		}
		const outcome: RefreshOutcome = await oauth.refresh(spend.refresh).catch(async (error) => {
			await leaveUnanswered();
			throw error;
		});
		const came = cameOf(outcome, spend);
		const isStored = came !== undefined && (await storeSurely(() => store(came)));
		// While the note stays it tells every process that the token on the disk may be spent.
		const mayBeSpent = (outcome.kind === "unknown" || outcome.kind === "granted") && !isStored;
		if (!mayBeSpent) await release(came?.refresh === spend.refresh ? undefined : endReasonOf(outcome));
		// One that came and could not be stored is in this process alone: the claim holds while that runs.
		else if (outcome.kind === "unknown" && came === undefined) await leaveUnanswered();
		switch (outcome.kind) {
			case "granted":
				backoffs.delete(id);
				if (state.status(id).refusal) state.updateSoon(id, (memo) => ({ ...memo, refusal: undefined }));
				return ready(outcome.credential);
			case "refused":
				return endOf(account, spend, outcome, reread);
			case "unknown":
				// With the next token in hand nothing is at stake, but each further try would spend one.
				return isStored
					? backOff(id, outcome.reason)
					: unavailable(id, outcome.reason, clock.now() + UNKNOWN_OUTCOME_MS);
			case "unavailable": {
				const isFinal = outcome.mayBeFinal === true && (await isRefusedAgain(id, tokenHash));
				if (outcome.lasts) {
					const until = clock.now() + LONGEST_BACKOFF_MS;
					backoffs.set(id, { until, lengthMs: 0, lasting: outcome.reason });
					return { kind: "unavailable", reason: outcome.reason, retryAt: until, lasts: true };
				}
				if (!isFinal) return backOff(id, outcome.reason);
				const spent = [{ tokenHash, reason: RENEWAL_REFUSED }];
				await state.update(id, (memo) => ({ ...memo, spent: allSpent(memo.spent, spent) }));
				return endOf(account, spend, { kind: "refused", code: RENEWAL_REFUSED, closed: false }, reread);
			}
		}
	};

	/**
	 * Notes a refusal for a reason that is not known, where every process sees it. True where the same token was refused
	 * so before, long enough ago to be no passing trouble.
	 */
	const isRefusedAgain = async (id: AccountId, tokenHash: string): Promise<boolean> => {
		const now = clock.now();
		const isKnown = ({ refusal }: AccountStatus) => refusal?.tokenHash === tokenHash && refusal.at <= now;
		await state.update(id, (memo) => (isKnown(memo) ? memo : { ...memo, refusal: { tokenHash, at: now } }));
		return now - (state.status(id).refusal?.at ?? now) >= REFUSED_AGAIN_MS;
	};

	/**
	 * Stores what came for `spent`, where the row still holds that or what it held when we looked. Somebody who signed in
	 * anew meanwhile has stored a grant of its own: this one is then not ours any more.
	 */
	const keep = ({ id, credential }: Account, spent: Credential, next: Credential): Promise<void> =>
		accounts.patch(
			id,
			{ credential: next, needsLogin: undefined },
			({ refresh }) => refresh === credential.refresh || refresh === spent.refresh,
			true,
		);

	const refreshOwned = (id: AccountId, had: Credential, refused: string | undefined): Promise<TokenResult> =>
		accounts.whileRefreshing(id, async () => {
			// A full or read-only disk is found before the token is spent, not after; and before the look at what is stored,
			// since a process that is stopped in between would go on with what it had seen.
			await accounts.assertWritable();
			const account = find(id);
			if (!account || account.linked) return unavailable(id, "its sign-in has moved", clock.now());
			if (account.credential.access !== had.access && lastsFor(account.credential, LAST_MOMENT_MS, refused)) {
				return ready(account.credential);
			}
			// Refused to another process while this one waited for the lock: it is not sent once more.
			if (account.needsLogin) return unavailable(id, "its sign-in is over", clock.now());
			return exchange(
				account,
				account.credential,
				(next) => keep(account, account.credential, next),
				() => find(id)?.credential,
			);
		});

	const refreshLinked = (id: AccountId, had: Credential, refused: string | undefined): Promise<TokenResult> =>
		piAuth.exclusively(async (file) => {
			const account = find(id);
			const stored = account && loginOf(account, file.login(), tokens);
			if (!account?.linked || !stored) {
				return unavailable(id, "pi is no longer signed in with it", clock.now());
			}
			const ours = account.credential;
			// Refused to another process while this one waited for the lock: what is stored is no news against that.
			if (account.needsLogin && stored.refresh === ours.refresh) {
				return unavailable(id, "its sign-in is over", clock.now());
			}
			if (stored.access !== had.access && lastsFor(stored, LAST_MOMENT_MS, refused)) {
				await accounts.patch(id, { credential: stored, needsLogin: undefined }).catch(ignoreWriteFailure);
				return ready(stored);
			}
			const isOursNewer = (tokens.issuedAt(ours.access) ?? 0) > (tokens.issuedAt(stored.access) ?? 0);
			const [spend = ours] = (isOursNewer ? [ours, stored] : [stored, ours]).sort(
				(a, b) => Number(endedBy(account, a) !== undefined) - Number(endedBy(account, b) !== undefined),
			);
			const store = async (next: Credential) => {
				const isInFile = await file.replaceCredential(stored.refresh, next, account.workspaceId).catch(() => false);
				const inPool = keep(account, spend, next);
				// Either place is enough: what is only in ours is written to pi's at the next request.
				await (isInFile ? inPool.catch(ignoreWriteFailure) : inPool);
			};
			return exchange(account, spend, store, () => loginOf(account, file.login(), tokens) ?? find(id)?.credential);
		}, undefined);

	/** Brings `auth.json` up to date after a write to it had failed. */
	const catchUp = async (account: Account): Promise<void> => {
		const stored = loginOf(account, piAuth.peek(), tokens);
		if (!stored || stored.refresh === account.credential.refresh) return;
		const isOursNewer = (tokens.issuedAt(account.credential.access) ?? 0) > (tokens.issuedAt(stored.access) ?? 0);
		if (!isOursNewer) return;
		await piAuth.writeBack(stored.refresh, account.credential, account.workspaceId).catch(ignoreWriteFailure);
	};

	const obtain = async (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const account = find(id);
		if (!account) return { kind: "unavailable", reason: "it is gone", retryAt: clock.now() };
		const had = account.credential;
		if (account.linked) await catchUp(account);
		if (lastsFor(had, REFRESH_AHEAD_MS, refused)) return ready(had);
		const result = await refresh(account, refused);
		// Ahead of time nothing is lost: the old token serves until its end.
		const isStillValid = lastsFor(had, LAST_MOMENT_MS, refused);
		return result.kind === "unavailable" && isStillValid ? ready(had) : result;
	};

	/** The one flight an account; whoever comes later joins it. */
	const flightFor = (id: AccountId, refused: string | undefined): Promise<TokenResult> => {
		const flight = flights.get(id) ?? obtain(id, refused).finally(() => flights.delete(id));
		flights.set(id, flight);
		return flight;
	};

	const refresh = async (account: Account, refused: string | undefined): Promise<TokenResult> => {
		const { id, credential } = account;
		const backoff = backoffs.get(id);
		// One that is further away than any is long comes from a clock that was set back since.
		const leftMs = backoff ? backoff.until - clock.now() : 0;
		if (backoff && leftMs > 0 && leftMs <= LONGEST_BACKOFF_MS) {
			const { until: retryAt, lasting } = backoff;
			if (lasting !== undefined) return { kind: "unavailable", reason: lasting, retryAt, lasts: true };
			return { kind: "unavailable", reason: "its last refresh failed a moment ago", retryAt };
		}
		try {
			return await (account.linked ? refreshLinked(id, credential, refused) : refreshOwned(id, credential, refused));
		} catch (error) {
			if (error instanceof Error && error.name === "LockBusyError") {
				return {
					kind: "unavailable",
					reason: "another process is refreshing it",
					retryAt: clock.now() + BUSY_RETRY_MS,
				};
			}
			onFailure?.(error);
			const code = error instanceof Error && "code" in error ? ` (${String(error.code)})` : "";
			return backOff(id, `its new token could not be stored${code}`);
		}
	};

	/** A token that is still good is not held up by a slow exchange, nor is a caller who has somewhere else to go. */
	const impatiently = (id: AccountId, { refused, patienceMs }: TokenRequest): Promise<TokenResult> => {
		const had = find(id)?.credential;
		const flight = flightFor(id, refused);
		if (had && lastsFor(had, LAST_MOMENT_MS, refused)) {
			return within(flight, PATIENCE_MS, () => ready(had));
		}
		if (patienceMs === undefined) return flight;
		const tooSlow = (): TokenResult => {
			return { kind: "unavailable", reason: "its token is being renewed", retryAt: clock.now() + BUSY_RETRY_MS };
		};
		return within(flight, patienceMs, tooSlow);
	};

	return {
		accessToken: async (id, request) => {
			const { signal, refused } = request;
			const result = await raceAbort(impatiently(id, request), signal);
			// Joined a flight that did not know of the refusal: it has landed, so the next one is our own.
			const isRefused = result.kind === "ready" && result.access === refused;
			return isRefused ? raceAbort(impatiently(id, request), signal) : result;
		},
		currentToken: (id) => {
			const credential = find(id)?.credential;
			return credential && lastsFor(credential, LAST_MOMENT_MS, undefined) ? credential.access : undefined;
		},
		idle: async () => {
			while (flights.size > 0) await Promise.allSettled(flights.values());
		},
	};
}

/** What is worth storing of an answer: a refresh token alone, too, since the former one is spent. */
function cameOf(outcome: RefreshOutcome, spent: Credential): Credential | undefined {
	if (outcome.kind === "granted") return outcome.credential;
	return outcome.kind === "unknown" && outcome.next ? { ...spent, refresh: outcome.next() } : undefined;
}

/** What keeps a file from being written for a while: no room, a disk that is away, a lock that is held. */
const PASSING_TROUBLE = new Set(["ENOSPC", "EDQUOT", "EROFS", "EIO", "EBUSY", "EAGAIN", "EMFILE", "ENFILE", "ELOCKED"]);

function isPassing(error: unknown): boolean {
	return error instanceof Error && "code" in error && PASSING_TROUBLE.has(String(error.code));
}

/** Why a token must not be sent again after this answer, once that is dealt with; undefined where it may be. */
function endReasonOf(outcome: RefreshOutcome): string | undefined {
	if (outcome.kind === "unavailable") return undefined;
	if (outcome.kind !== "refused") return EXCHANGED_BEFORE;
	// A closed account is switched off; a person who switches it on again wants another try.
	return outcome.closed ? undefined : outcome.code;
}

/** The store keeps what it could not write in memory, has reported it, and tries again by itself. */
function ignoreWriteFailure(): undefined {
	return undefined;
}
