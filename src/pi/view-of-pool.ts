import { stateOf } from "../core/account.ts";
import { isInSet } from "../core/account-sets.ts";
import type { Forecast } from "../core/forecast/forecast.ts";
import type { AccountId, SessionId } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { PoolView, ShownAccount } from "../core/pool/pool-view.ts";
import { hideEmails } from "../core/privacy.ts";
import { gatedIn } from "../core/request/plan.ts";
import { knownCredits, unexpired } from "../core/reset-credits/reset-credits.ts";
import type { Settings } from "../core/settings.ts";
import { type SharedPoolStatus, sharedUseOf } from "../core/shared-pool.ts";
import type { NextRequest } from "../ui-kit/account-texts.ts";

const NONE: ReadonlyMap<AccountId, number> = new Map();

/**
 * Returns the pool as it is shown now, with e-mails only if the person allows that. `next` serves the next request.
 * `sessions`: how many work on each account. `sessionId`: the session whose account set applies. `sharedPool`: the one
 * that this machine has joined.
 */
export function viewOf(
	pool: Pool,
	{ enabled, rotation, caps, maskEmails }: Settings,
	now: number,
	{ account: next, isForeign }: Pick<NextRequest, "account" | "isForeign">,
	sessions = NONE,
	sessionId?: SessionId,
	sharedPool?: SharedPoolStatus,
): PoolView {
	const active = enabled && !isForeign ? next?.id : undefined;
	const pinned = pool.pinned();
	const plan = pool.plan({ modelId: undefined, sessionId: undefined, affinity: undefined, inSetOf: sessionId });
	const { set } = plan;
	// Without caps, skip reading the settings for each account.
	const hasCaps = Object.keys(caps).length > 0;
	const statusOf = pool.statuses();
	const accounts = pool.accounts().map((account): ShownAccount => {
		const status = statusOf(account.id);
		const resetCredits = unexpired(knownCredits(status), now);
		const floors = hasCaps ? pool.floors(account) : undefined;
		return {
			account: maskEmails ? { ...account, label: hideEmails(account.label), email: undefined } : account,
			state: stateOf(account, status.cooldowns, now, status.usage, floors),
			isActive: account.id === active,
			isPinned: account.id === pinned,
			readyAt: gatedIn(plan, account.id)?.readyAt,
			cooldowns: status.cooldowns,
			usage: status.usage,
			...(resetCredits.length > 0 && { resetCredits }),
			lastUsedAt: status.lastUsedAt,
			lastError: status.lastError ?? status.usageError,
			sessions: sessions.get(account.id) ?? 0,
			isUsageFailing: (status.usageFailures ?? 0) > 0,
			floors,
			outsideOf: set && !isInSet(set, account) ? set.folder : undefined,
			...(account.shared && sharedPool && { shared: sharedUseOf(account.id, sharedPool) }),
		};
	});
	const view = { isEnabled: enabled, isForeign, policy: rotation.policy, active, pinned, set, accounts, now };
	return sharedPool ? { ...view, sharedPool } : view;
}

/** Adds the forecast, if there is one. */
export function withForecast(view: PoolView, forecast: Forecast | undefined): PoolView {
	if (!forecast) return view;
	const outlooks = new Map(forecast.accounts.map(({ id, outlook }) => [id, outlook]));
	const accounts = view.accounts.map((shown) => ({ ...shown, outlook: outlooks.get(shown.account.id) }));
	return { ...view, accounts, forecast };
}
