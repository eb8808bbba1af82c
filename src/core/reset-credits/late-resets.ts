import { tellDefect } from "../defect-reports.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock, Redeemer } from "../ports.ts";
import { resetCreditsOf } from "../quota.ts";
import type { ResetCreditList } from "./reset-credit-list.ts";

/** Everything about reset credits that calls the backend. */
export interface Resets {
	readonly list: ResetCreditList;
	readonly redeemer: Redeemer;
}

interface Deps {
	readonly pool: Pick<Pool, "accounts" | "status" | "statuses" | "emit">;
	readonly load: () => Promise<Resets>;
	readonly clock: Clock;
}

/** How long a request waits before it retries a failed load. */
const CLOSED_MS = 60_000;

/**
 * Loads the code for reset credits once an account has some, which few people have. An update may have replaced its
 * file under a running pi. Then no list is fetched and nothing is redeemed.
 */
export function createLateResets({ pool, load, clock }: Deps): Resets {
	const hasCredits = () => {
		const statusOf = pool.statuses();
		return pool.accounts().some(({ id }) => resetCreditsOf(statusOf(id).usage) > 0);
	};
	const loaded = async (): Promise<Resets | undefined> => {
		try {
			return await load();
		} catch (error) {
			tellDefect(error, "redemption", pool.emit);
			return undefined;
		}
	};
	return {
		list: {
			refreshStale: async (signal) => {
				if (hasCredits()) await (await loaded())?.list.refreshStale(signal);
			},
			ask: async (id, signal) => {
				if (resetCreditsOf(pool.status(id).usage) === 0) return false;
				return (await (await loaded())?.list.ask(id, signal)) ?? false;
			},
		},
		redeemer: {
			redeem: async (account, credit, signal) => {
				const resets = await loaded();
				if (resets) return resets.redeemer.redeem(account, credit, signal);
				const reason = "a file of pi-multicodex is missing, as after an update: restart pi";
				return { kind: "failed", reason, until: clock.now() + CLOSED_MS };
			},
		},
	};
}
