import type { Account, Credential } from "../domain/account.ts";
import type { AccountStore, Clock, PiAuth, PiLogin, TokenReader } from "./ports.ts";

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

type Identity = NonNullable<ReturnType<TokenReader["identify"]>>;

interface Deps {
	readonly accounts: AccountStore;
	readonly piAuth: PiAuth;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	readonly labelFor: (email: string | undefined, id: string) => string;
}

/** Links pi's login into the pool, unlinks it when pi signs in as someone else, and notices a logout. */
export function createPiLink({ accounts, piAuth, tokens, clock, labelFor }: Deps): PiLink {
	let seen: string | undefined | null = null;
	let foreign = false;

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
		// A token that names no workspace cannot be used by Codex; pi says so itself.
		foreign = identity === undefined;
		await unlink(identity?.id);
		if (identity) await take(identity, login.credential);
	};

	const take = async (identity: Identity, credential: Credential) => {
		const known = accounts.list().find(({ id }) => id === identity.id);
		if (!known) {
			await accounts.put({
				...identity,
				label: labelFor(identity.email, identity.id),
				credential,
				source: "pi",
				linked: true,
				enabled: true,
				disabledReason: undefined,
				needsLogin: undefined,
				addedAt: clock.now(),
			});
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
			if (account.source === "pi") await accounts.remove(account.id);
			else {
				const needsLogin = { reason: "signed out of pi", at: clock.now() };
				await accounts.patch(account.id, { linked: false, needsLogin });
			}
		}
	};

	const takeOver = async (signal: AbortSignal | undefined) => {
		const signature = piAuth.signature();
		if (signature === seen) return;
		const login = await readCarefully(signal);
		if (login.kind === "unreadable") return;
		foreign = login.kind === "foreign";
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

function linked(accounts: AccountStore): Account[] {
	return accounts.list().filter((account) => account.linked);
}
