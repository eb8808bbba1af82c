import type { Account } from "../core/account.ts";
import type { Pool } from "../core/pool.ts";
import type { PoolView, ShownAccount } from "../core/pool-view.ts";
import { hideEmails } from "../core/privacy.ts";
import type { Settings } from "../core/settings.ts";

/** The pool as it is shown now; e-mails only where the person lets them be seen. `next` serves the next request. */
export function viewOf(
	pool: Pool,
	{ enabled, rotation, maskEmails }: Settings,
	now: number,
	next: Account | undefined,
): PoolView {
	const active = next?.id;
	const pinned = pool.pinned();
	const accounts = pool.accounts().map((account): ShownAccount => {
		const memo = pool.status(account.id);
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
