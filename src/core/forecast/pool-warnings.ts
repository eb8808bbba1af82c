import type { Account } from "../account.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock, ForecastSource, StateStore } from "../ports.ts";
import { knownReset, tightest } from "../quota.ts";
import { HIGHEST_THRESHOLD, type Settings } from "../settings.ts";

/** Warns before the whole pool is out. */
interface PoolWarnings {
	/** Checks whether a warning is due, and makes one of all processes send it. */
	look(): Promise<void>;
}

interface Deps {
	readonly pool: Pick<Pool, "accounts" | "emit" | "state" | "status">;
	readonly forecasts: Pick<ForecastSource, "fresh">;
	readonly state: Pick<StateStore, "claimNotice">;
	readonly settings: () => Pick<Settings, "notify">;
	readonly clock: Clock;
}

/** Exhaustion nearer than this needs no warning. */
const SOONEST_MS = 5 * 60_000;

/** Creates the warnings. */
export function createPoolWarnings({ pool, forecasts, state, settings, clock }: Deps): PoolWarnings {
	/** While one account has plenty left, or unknown usage, no forecast is worth computing. */
	const isNearItsEnd = () => {
		const now = clock.now();
		const ready = pool.accounts().filter((account) => pool.state(account) === "ready");
		const isShort = ({ id }: Account) => (tightest(pool.status(id).usage, now)?.percent ?? 100) <= HIGHEST_THRESHOLD;
		return ready.length > 0 && ready.every(isShort);
	};
	/** Finds the account whose spent or fullest window refills first. */
	const firstBack = () => {
		const now = clock.now();
		const resets = pool.accounts().flatMap((account) => {
			const at = account.enabled && !account.needsLogin ? knownReset(pool.status(account.id).usage, now) : undefined;
			return at === undefined ? [] : [{ account, at }];
		});
		return resets.sort((a, b) => a.at - b.at)[0];
	};

	return {
		look: async () => {
			const { aheadMs } = settings().notify;
			if (aheadMs === 0 || !isNearItsEnd()) return;
			const outlook = (await forecasts.fresh())?.pool;
			const now = clock.now();
			// Without an end of the interval, quota may last for more than a week.
			if (outlook?.to === undefined) return;
			const { dryAt, from, to } = outlook;
			if (dryAt - now > aheadMs || dryAt - now < SOONEST_MS) return;
			// A forecast that has moved by less is the same one. A wrong one must not be followed by another at once.
			const claim = { until: Math.max(dryAt, now + aheadMs), slackMs: aheadMs };
			if (await state.claimNotice("pool-low", claim)) {
				pool.emit({ type: "pool-low", dryAt, from, to, first: firstBack() });
			}
		},
	};
}
