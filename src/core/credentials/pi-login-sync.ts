import { raceAbort } from "../abort.ts";
import type { Account, Credential } from "../account.ts";
import type { PoolListener } from "../events.ts";
import { accountOf, accountWith, signedInto, speakForOne, tellsMore, unusedId } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import type { AccountStore, Busy, Clock, Identity, PiAuth, PiLogin, StateStore, TokenReader } from "../ports.ts";
import { whySpent } from "./spent-tokens.ts";

/** Keeps the pool in step with pi's own login. */
export interface PiLoginSync {
	/**
	 * Applies changes of `auth.json` since the last call; costs one stat if there are none. Never throws: a file that
	 * cannot be read is read again at the next call.
	 */
	sync(signal?: AbortSignal): Promise<void>;
	/**
	 * Applies a sign-in that pi is about to store. Saves the account that it replaces with its newest token, then stores
	 * the new one durably. Rejects if it cannot be stored.
	 */
	signedIn(credential: Credential): Promise<void>;
	/** True if pi holds something other than an OAuth login for Codex. Then we serve no requests. */
	isForeign(): boolean;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly piAuth: PiAuth;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	readonly labelFor: (email: string | undefined, id: AccountId) => string;
	/** Called for accounts that were added or removed with pi's login. */
	readonly tell: PoolListener;
	/** Called when pi's login could not be read. */
	readonly onFailure?: (error: unknown) => void;
}

/**
 * Creates the synchronization with pi's login: links it into the pool, unlinks it when pi signs in as another account,
 * and notices a logout.
 */
export function createPiLoginSync(deps: Deps): PiLoginSync {
	const { accounts, piAuth, tokens, onFailure } = deps;
	const links = createLinks(deps);
	let seen: string | undefined | null = null;
	let foreign = false;
	let signedInAs: { readonly identity: Identity; readonly credential: Credential } | undefined;

	const readCarefully = async (): Promise<PiLogin | Busy> => {
		const login = piAuth.peek();
		// pi truncates and rewrites the file in place. Only under the lock is a damaged file known from a torn read.
		return login.kind === "unreadable" ? piAuth.read(undefined) : login;
	};

	const syncNow = async () => {
		const signature = piAuth.signature();
		// An account that has lost its own sign-in may use pi's, which was left alone so far.
		const isLeftAlone = accounts.list().some((account) => {
			if (!signedInAs || !links.isInNeed(account, signedInAs.credential)) return false;
			return speakForOne(account, signedInAs.identity);
		});
		// Two linked accounts: a process with an earlier read of the file may have linked its account later.
		const isWorthALook = isLeftAlone || linked(accounts).length > 1;
		if (signature === seen && !isWorthALook) return;
		const login = await readCarefully();
		// Keep what is known. The next call reads again.
		if (login === "busy" || login.kind === "unreadable") return;
		foreign = login.kind === "foreign";
		const identity = login.kind === "oauth" ? tokens.identify(login.credential.access) : undefined;
		signedInAs = login.kind === "oauth" && identity ? { identity, credential: login.credential } : undefined;
		if (login.kind === "oauth") await links.move(login.credential);
		if (login.kind === "foreign") await links.end();
		if (login.kind === "none") await links.forgetLogin();
		seen = signature;
	};

	/** Runs reads one after the other. If two overlapped, the older one would undo the newer one. */
	let last: Promise<void> = Promise.resolve();
	const inTurn = (work: () => Promise<void>): Promise<void> => {
		const run = last.then(work);
		last = run.catch(() => undefined);
		return run;
	};
	/** A read that has not started yet. All callers share it until it does. */
	let next: Promise<void> | undefined;
	const look = (): Promise<void> => {
		next ??= inTurn(async () => {
			next = undefined;
			await syncNow();
		});
		return next;
	};

	return {
		isForeign: () => foreign,
		sync: async (signal) => {
			// A file could not be written. The next call tries again. If this caller aborts, the work continues for the
			// others.
			await raceAbort(look(), signal).catch((error: unknown) => {
				if (!signal?.aborted) onFailure?.(error);
			});
		},
		signedIn: (credential) =>
			inTurn(async () => {
				seen = null;
				await syncNow();
				const identity = tokens.identify(credential.access);
				if (identity) await links.link(identity, credential);
			}),
	};
}

/** Links between pi's login and accounts. Each method resolves once its changes are durable. */
interface Links {
	/** Links the account of a login, adding it if necessary. Leaves other linked accounts alone. */
	link(identity: Identity, credential: Credential): Promise<void>;
	/** Does the same, and unlinks all other accounts first. */
	move(credential: Credential): Promise<void>;
	/** Unlinks every account. */
	end(): Promise<void>;
	/** Called when pi has no login any more. Removes the linked accounts that came from pi; others must sign in again. */
	forgetLogin(): Promise<void>;
	/** True if this account is not linked to pi's sign-in but could use it. */
	isInNeed(account: Account, login: Credential): boolean;
}

function createLinks({ accounts, state, tokens, clock, labelFor, tell }: Deps): Links {
	/** Unlinks in one write: the store joins all changes of one tick. */
	const unlink = async (except?: AccountId) => {
		const others = linked(accounts).filter(({ id }) => id !== except);
		await Promise.all(others.map(({ id }) => accounts.patch(id, { linked: false })));
	};

	/** An account with the same grant is the same account, whatever its claims. */
	const knownAs = (identity: Identity, { refresh }: Credential) =>
		accountOf(accounts.list(), identity) ?? accounts.list().find(({ credential }) => credential.refresh === refresh);

	/**
	 * True if the account belongs to the pi of another directory, which has not run since the token expired. Only a later
	 * sign-in replaces it: with an earlier one we would hold that pi's token, which is not ours to spend.
	 */
	const isOverElsewhere = ({ linkedElsewhere, credential }: Account, { access }: Credential) =>
		linkedElsewhere === true &&
		credential.expiresAt <= clock.now() &&
		(tokens.issuedAt(access) ?? 0) > (tokens.issuedAt(credential.access) ?? 0);

	const link = async (identity: Identity, credential: Credential) => {
		const former = knownAs(identity, credential);
		if (!former) {
			const id = unusedId(identity.id, accounts.list());
			const signIn = { id, label: labelFor(identity.email, id), credential, source: "pi", linked: true };
			const added = signedInto(undefined, identity, signIn, clock.now());
			await accounts.put(added);
			tell({ type: "membership", change: "added", account: added.id, source: added.source });
			return;
		}
		// Several machines share the account under its own grant. pi keeps its grant.
		if (former.shared) return;
		// The claims may prove that two accounts are one, so read the merged account again.
		if (tellsMore(accounts.list(), former, identity)) await accounts.patch(former.id, { claims: identity.claims });
		const known = accountWith(accounts.list(), former.id) ?? former;
		const isSameGrant = known.credential.refresh === credential.refresh;
		const isUpToDate = known.credential.access === credential.access;
		if (isUpToDate && known.linked) return;
		const isAvailable = isSameGrant || known.linked || known.needsLogin || isOverElsewhere(known, credential);
		// If both hold the same grant, pi refreshes it. A working grant of our own stays ours, and pi keeps its own.
		if (isAvailable) {
			// Another process may have stored this token since and seen it refused. That is newer than what was read here.
			const isNews = ({ refresh }: Credential) => isSameGrant || refresh !== credential.refresh;
			const isOver = whySpent(state, known, tokens.fingerprint(credential.refresh)) !== undefined;
			// A spent token never replaces its successor. Both may have been issued in the same second, and writing the file
			// may have failed.
			const patch = { linked: true, ...(!isOver && { credential, needsLogin: undefined }) };
			await accounts.patch(known.id, patch, isNews);
		}
	};

	return {
		link,
		move: async (credential) => {
			const identity = tokens.identify(credential.access);
			// A token without a workspace is useless for Codex, so it belongs to no account.
			await unlink(identity && knownAs(identity, credential)?.id);
			if (identity) await link(identity, credential);
		},
		end: () => unlink(),
		forgetLogin: async () => {
			for (const account of linked(accounts)) {
				const left = withoutLogin(account, clock.now());
				if (left) {
					await accounts.patch(account.id, { linked: left.linked, needsLogin: left.needsLogin });
					continue;
				}
				await accounts.remove(account.id);
				await state.forget(account.id);
				tell({ type: "membership", change: "removed", account: account.id, source: "pi logout" });
			}
		},
		isInNeed: (account, login) => {
			if (account.linked || account.shared) return false;
			const isTheSame = account.linkedElsewhere && account.credential.refresh === login.refresh;
			return account.needsLogin !== undefined || isTheSame || isOverElsewhere(account, login);
		},
	};
}

/** Returns what remains of a linked account once pi has no login; undefined if it is removed with the login. */
export function withoutLogin(account: Account, now: number): Account | undefined {
	if (account.source === "pi") return undefined;
	return { ...account, linked: false, needsLogin: { reason: "signed out of pi", at: now } };
}

/** Returns pi's login if it belongs to the account. */
export function loginOf(account: Account, login: PiLogin, tokens: TokenReader): Credential | undefined {
	const identity = login.kind === "oauth" ? tokens.identify(login.credential.access) : undefined;
	return login.kind === "oauth" && identity && speakForOne(account, identity) ? login.credential : undefined;
}

function linked(accounts: AccountStore): Account[] {
	return accounts.list().filter((account) => account.linked);
}
