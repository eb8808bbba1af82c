import { type Account, createUniqueLabels, uniqueLabel } from "../../core/account.ts";
import { speakForOne } from "../../core/identity.ts";
import type { AccountId } from "../../core/ids.ts";
import type { AccountStore } from "../../core/ports.ts";
import { beforeMove } from "./half-moved.ts";
import type { Crossing, Mirror } from "./mirror.ts";
import { asShared } from "./sealed-account.ts";
import type { SharedAccounts } from "./shared-accounts.ts";

interface Deps {
	readonly local: AccountStore;
	readonly shared: SharedAccounts;
	readonly mirror: Pick<Mirror, "crossings">;
}

/**
 * Combines the accounts of this machine and of its pool. An account in both is the shared one. An account on its way
 * from one to the other counts as shared, so that no process here spends its token before it is clear who holds it.
 */
export function composeAccounts({ local, shared, mirror }: Deps): AccountStore {
	let composedOf: readonly unknown[] = [];
	let composed: readonly Account[] = [];

	const list = () => {
		const [own, pooled, crossings] = [local.list(), shared.list(), mirror.crossings()];
		const parts = [own, pooled, crossings];
		if (parts.some((part, index) => part !== composedOf[index])) {
			composed = composedList(own, pooled, crossings);
			composedOf = parts;
		}
		return composed;
	};
	const labelsBeside = (id: AccountId) => new Set(list().flatMap((each) => (each.id === id ? [] : [each.label])));
	const storeOf = (id: AccountId) => (shared.has(id) ? shared : local);

	return {
		...local,
		list,
		put: async (account) => {
			const pooled = shared.list().find((each) => each.id === account.id || speakForOne(each, account));
			if (pooled) return shared.put({ ...account, id: pooled.id });
			return local.put({ ...account, label: uniqueLabel(account.label, labelsBeside(account.id)) });
		},
		patch: (id, patch, ...rest) => storeOf(id).patch(id, patch, ...rest),
		edit: (id, patch) => {
			const { label } = patch;
			const unique = label === undefined ? patch : { ...patch, label: uniqueLabel(label, labelsBeside(id)) };
			return storeOf(id).edit(id, unique);
		},
		remove: (id) => storeOf(id).remove(id),
		// No file here holds the row of a shared account. Its removal writes the backup.
		backUp: async (id) => (shared.has(id) ? undefined : local.backUp(id)),
		lastRemoved: async (wanted) => {
			const account = await local.lastRemoved(wanted);
			// The account may be back in the pool, where the token in the backup was renewed since.
			return account && shared.list().some((each) => isOne(each, account)) ? undefined : account;
		},
		restore: async (id) => (shared.has(id) ? undefined : local.restore(id)),
		flush: async () => {
			await Promise.all([local.flush(), shared.flush()]);
		},
	};
}

function isOne(a: Account, b: Account): boolean {
	return a.id === b.id || speakForOne(a, b);
}

/** Returns the accounts of both under different labels. An account on its way counts as shared. */
export function composedList(
	own: readonly Account[],
	pooled: readonly Account[],
	crossings: readonly Pick<Crossing, "id" | "tokenHash">[],
): readonly Account[] {
	const crossing = new Map(crossings.map(({ id, tokenHash }) => [id, tokenHash]));
	const labelFor = createUniqueLabels();
	const shared = pooled.map((account) => ({ ...account, label: labelFor(account.label) }));
	const kept = own.filter((account) => !pooled.some((each) => isOne(each, account)));
	const ours = kept.map((account) => {
		const tokenHash = crossing.get(account.id);
		const each = tokenHash === undefined ? account : asShared(beforeMove(account), tokenHash);
		return { ...each, label: labelFor(account.label) };
	});
	return [...ours, ...shared];
}
