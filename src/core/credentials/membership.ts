import type { Account, Credential } from "../account.ts";
import { withoutRefusal } from "../cooldown.ts";
import type { MembershipChange } from "../events.ts";
import { accountOf, accountWith, signedInto, tellsMore, unusedId } from "../identity.ts";
import type { AccountId } from "../ids.ts";
import type { Pool } from "../pool/pool.ts";
import type { AccountStore, Busy, Clock, Identity, PiAuth, StateStore, TokenReader } from "../ports.ts";
import { loginOf } from "./pi-login-sync.ts";

/** How the removal of an account ended. Unless it is `removed`, nothing has changed. */
type Removal =
	| { readonly kind: "removed"; readonly isPiSignedOut: boolean }
	/** A process is renewing its token. */
	| { readonly kind: "busy" }
	/** pi's own file is damaged, so pi cannot be signed out. */
	| { readonly kind: "pi-unreadable" };

/** Where a new credential came from, and the label that the person wants for a new account. */
interface Joining {
	/** `login` or `import:<tool>`. */
	readonly source: string;
	readonly label?: string | undefined;
}

/** Adds, removes, restores and renames accounts of the pool. Each method resolves once the change is durable. */
export interface Membership {
	/** Identifies a credential, and finds its account if there is one. */
	whose(credential: Credential): { readonly identity: Identity; readonly account: Account | undefined } | undefined;
	/**
	 * Stores a credential as an owned one. It either becomes a new account, or replaces the credential of a known one,
	 * which keeps its label and stays enabled or disabled. Undefined if the token names no workspace.
	 */
	join(credential: Credential, joining: Joining): Promise<Account | undefined>;
	/** Adds the claims of a token to its account, so that duplicates are merged. Does not store the credential. */
	recognise(credential: Credential): Promise<void>;
	/** True if pi itself is signed in as this account. Removing it then signs pi out. */
	isPis(account: Account): boolean;
	/** Removes an account and its pin. Signs pi out if pi is signed in as this account. */
	remove(id: AccountId): Promise<Removal>;
	/** Restores the account that was removed last, or the one with this id; undefined if none can be restored. */
	restore(id?: AccountId): Promise<Account | undefined>;
	/** Gives an account another label. Resolves to the label that it got. */
	rename(id: AccountId, label: string): Promise<string>;
	/** Returns the account that was removed last and has not come back. */
	lastRemoved(): Promise<Account | undefined>;
	/** Enables or disables an account. */
	setEnabled(id: AccountId, enabled: boolean): Promise<void>;
}

interface Deps {
	readonly accounts: AccountStore;
	readonly state: StateStore;
	readonly piAuth: PiAuth;
	readonly pool: Pool;
	readonly tokens: TokenReader;
	readonly clock: Clock;
	readonly labelFor: (email: string | undefined, id: AccountId) => string;
}

/** Creates the membership over the stores. */
export function createMembership({ accounts, state, piAuth, pool, tokens, clock, labelFor }: Deps): Membership {
	const find = (id: AccountId) => accountWith(accounts.list(), id);
	const changed = (change: MembershipChange, account: AccountId, source?: string) => {
		pool.emit({ type: "membership", change, account, source });
		pool.emit({ type: "changed" });
	};

	const whose = (credential: Credential) => {
		const identity = tokens.identify(credential.access);
		if (!identity) return undefined;
		const account = accountOf(accounts.list(), identity);
		return { identity: { ...identity, id: account?.id ?? unusedId(identity.id, accounts.list()) }, account };
	};
	/** A shared account has its own grant. What pi stores is left alone. */
	const isPis = (account: Account) =>
		!account.shared && (account.linked || loginOf(account, piAuth.peek(), tokens) !== undefined);

	/**
	 * Removes an account under the lock of `auth.json`. Whatever fails, the login remains in one of the files or in the
	 * backup.
	 */
	const removeWithPisLogin = (id: AccountId): Promise<Removal | Busy> =>
		piAuth.exclusively(async (file): Promise<Removal> => {
			const login = file.login();
			if (login.kind === "unreadable") return { kind: "pi-unreadable" };
			const account = find(id);
			const newest = account && loginOf(account, login, tokens);
			// The backup copies our row. Only the newest token is worth restoring.
			if (newest && account.linked) await accounts.patch(id, { credential: newest });
			await accounts.backUp(id);
			const isPiSignedOut = newest !== undefined && (await file.deleteLogin(newest.refresh));
			await accounts.remove(id);
			return { kind: "removed", isPiSignedOut };
		}, undefined);

	return {
		whose,
		join: async (credential, { source, label }) => {
			const owner = whose(credential);
			if (!owner) return undefined;
			const { identity } = owner;
			// An account with the same grant is the same account, whatever its claims.
			const sharing = accounts.list().find((account) => account.credential.refresh === credential.refresh);
			// pi refreshes a linked account. A copy would be a second holder of one refresh token.
			if (sharing?.linked || sharing?.linkedElsewhere) return sharing;
			const known = owner.account ?? sharing;
			const id = known?.id ?? identity.id;
			const signIn = { id, label: label ?? labelFor(identity.email, identity.id), credential, source, linked: false };
			const joined = signedInto(known, identity, signIn, clock.now());
			// A new sign-in ends the cooldown of the refused one.
			await state.update(id, (status) => ({ ...status, cooldowns: withoutRefusal(status.cooldowns) }));
			await accounts.put(joined);
			changed(known ? "signed-in" : "added", id, known ? undefined : source);
			return find(id);
		},
		recognise: async (credential) => {
			const owner = whose(credential);
			if (!owner?.account || !tellsMore(accounts.list(), owner.account, owner.identity)) return;
			await accounts.patch(owner.account.id, { claims: owner.identity.claims });
			pool.emit({ type: "changed" });
		},
		isPis,
		remove: async (id) => {
			const account = find(id);
			if (!account) return { kind: "removed", isPiSignedOut: false };
			const outcome = await accounts.whileRefreshing(id, async (): Promise<Removal | Busy> => {
				if (isPis(find(id) ?? account)) return removeWithPisLogin(id);
				await accounts.remove(id);
				return { kind: "removed", isPiSignedOut: false };
			});
			if (outcome === "busy") return { kind: "busy" };
			if (outcome.kind !== "removed") return outcome;
			await state.forget(id);
			changed("removed", id);
			return outcome;
		},
		restore: async (id) => {
			const account = await accounts.lastRemoved(id);
			if (!account) return undefined;
			await accounts.restore(account.id);
			changed("restored", account.id);
			return find(account.id);
		},
		lastRemoved: () => accounts.lastRemoved(),
		rename: async (id, label) => {
			await accounts.edit(id, { label });
			changed("renamed", id);
			return find(id)?.label ?? label;
		},
		setEnabled: async (id, enabled) => {
			await accounts.edit(id, { enabled, disabledReason: undefined });
			if (enabled) await state.update(id, (status) => ({ ...status, strikes: 0 }));
			changed(enabled ? "enabled" : "disabled", id);
		},
	};
}
