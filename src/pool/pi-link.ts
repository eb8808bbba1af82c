import type { Account, AccountId, Credential } from "../domain/account.ts";
import type { AccountStore, Clock, Identity, PiAuth, PiLogin, StateStore, TokenReader } from "./ports.ts";

/** Keeps the pool in step with pi's own login. */
export interface PiLink {
	/**
	 * Takes over what changed in `auth.json` since the last call; a stat when nothing did. Never throws: a file that
	 * cannot be read is looked at again next time.
	 */
	sync(signal?: AbortSignal): Promise<void>;
	/**
	 * Takes in a sign-in that pi is about to store: the identity it replaces is kept with its newest token, then the new
	 * one is stored durably. Rejects when it cannot be.
	 */
	signedIn(credential: Credential): Promise<void>;
	/** True while pi holds something else than an OAuth login for Codex: requests are then not ours. */
	isForeign(): boolean;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly piAuth: PiAuth;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	readonly labelFor: (email: string | undefined, id: string) => string;
}

/** Links pi's login into the pool, unlinks it when pi signs in as someone else, and notices a logout. */
export function createPiLink({ accounts, state, piAuth, tokens, clock, labelFor }: Deps): PiLink {
	let seen: string | undefined | null = null;
	let foreign = false;
	let signedInAs: AccountId | undefined;

	const readCarefully = async (signal: AbortSignal | undefined): Promise<PiLogin> => {
		const login = piAuth.peek();
		// pi truncates and rewrites in place: only the lock tells a torn read from a damaged file.
		return login.kind === "unreadable" ? piAuth.read(signal) : login;
	};

	const unlink = async (except?: string) => {
		for (const account of linked(accounts)) {
			if (account.id !== except) await accounts.patch(account.id, { linked: false });
		}
	};

	const adopt = async (login: Extract<PiLogin, { kind: "oauth" }>) => {
		const identity = tokens.identify(login.credential.access, login.accountId);
		// A token that names no workspace cannot be used with Codex: it is nobody of ours.
		await unlink(identity?.id);
		if (identity) await take(identity, login.credential);
	};

	const take = async (identity: Identity, credential: Credential) => {
		const known = accounts.list().find(({ id }) => id === identity.id);
		if (!known) {
			// A refreshed token may tell more of who it is for: the same grant is then the same account under a new id.
			const former = accounts.list().find((account) => account.credential.refresh === credential.refresh);
			const added: Account = {
				...identity,
				label: former?.label ?? labelFor(identity.email, identity.id),
				credential,
				source: "pi",
				linked: true,
				enabled: former?.enabled ?? true,
				disabledReason: former?.disabledReason,
				needsLogin: undefined,
				addedAt: former?.addedAt ?? clock.now(),
			};
			await accounts.put(added, { replaces: former?.id });
			return;
		}
		const isSameGrant = known.credential.refresh === credential.refresh;
		const isUpToDate = known.credential.access === credential.access;
		if (isUpToDate && known.linked) return;
		// A grant that both hold is pi's to refresh. A working one of our own stays ours, and pi keeps its own.
		if (isSameGrant || known.linked || known.needsLogin) {
			await accounts.patch(known.id, { credential, linked: true, needsLogin: undefined });
		}
	};

	const forgetLogin = async () => {
		for (const account of linked(accounts)) {
			if (account.source === "pi") {
				await accounts.remove(account.id);
				await state.forget(account.id);
			} else {
				const needsLogin = { reason: "signed out of pi", at: clock.now() };
				await accounts.patch(account.id, { linked: false, needsLogin });
			}
		}
	};

	const takeOver = async (signal: AbortSignal | undefined) => {
		const signature = piAuth.signature();
		// An account whose own sign-in was lost may have another one here that was left alone so far.
		const isWorthALook = accounts
			.list()
			.some(({ id, linked, needsLogin }) => id === signedInAs && needsLogin && !linked);
		if (signature === seen && !isWorthALook) return;
		const login = await readCarefully(signal);
		if (login.kind === "unreadable") return;
		foreign = login.kind === "foreign";
		signedInAs = login.kind === "oauth" ? tokens.identify(login.credential.access, login.accountId)?.id : undefined;
		if (login.kind === "oauth") await adopt(login);
		if (login.kind === "foreign") await unlink();
		if (login.kind === "none") await forgetLogin();
		seen = signature;
	};

	return {
		isForeign: () => foreign,
		sync: async (signal) => {
			// The lock was busy or a file could not be written: what is known stays, and the next call looks again.
			await takeOver(signal).catch(() => undefined);
		},
		signedIn: async (credential) => {
			seen = null;
			await takeOver(undefined);
			const identity = tokens.identify(credential.access);
			if (identity) await take(identity, credential);
		},
	};
}

/** pi's login, if it is the one of account `id`. */
export function loginOf(id: AccountId, login: PiLogin, tokens: TokenReader): Credential | undefined {
	const isIts = login.kind === "oauth" && tokens.identify(login.credential.access, login.accountId)?.id === id;
	return isIts ? login.credential : undefined;
}

function linked(accounts: AccountStore): Account[] {
	return accounts.list().filter((account) => account.linked);
}
