import type { AccountId } from "../domain/account.ts";
import { hideEmails } from "../domain/privacy.ts";
import type { Settings } from "../domain/settings.ts";
import type { Pool } from "../pool/pool.ts";
import type { PoolView, ShownAccount } from "../ui/pool-view.ts";

/** The pool as it is shown now; e-mails only where the person lets them be seen. */
export function viewOf(pool: Pool, { enabled, rotation, maskEmails }: Settings, now: number): PoolView {
	const active = pool.active() ?? lastUsed(pool);
	const pinned = pool.pinned();
	const accounts = pool.accounts().map((account): ShownAccount => {
		const memo = pool.memo(account.id);
		const readyAt = pool.readyAt(account, now);
		return {
			account: maskEmails ? { ...account, label: hideEmails(account.label), email: undefined } : account,
			state: pool.state(account),
			isActive: account.id === active,
			isPinned: account.id === pinned,
			readyAt: readyAt !== undefined && readyAt > now ? readyAt : undefined,
			cooldowns: memo.cooldowns,
			usage: memo.usage,
			lastUsedAt: memo.lastUsedAt,
			lastError: memo.lastError ?? memo.usageError,
			isUsageFailing: (memo.usageFailures ?? 0) > 0,
		};
	});
	return { isEnabled: enabled, policy: rotation.policy, active, pinned, accounts, now };
}

/** A process that has sent nothing yet shows the account that answered last, in any process. */
function lastUsed(pool: Pool): AccountId | undefined {
	const used = pool.accounts().map(({ id }) => ({ id, at: pool.memo(id).lastUsedAt ?? 0 }));
	const latest = used.reduce((last, next) => (next.at > last.at ? next : last), { id: "", at: 0 });
	return latest.at > 0 ? latest.id : undefined;
}
