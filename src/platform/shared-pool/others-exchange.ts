import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Clock } from "../../core/ports.ts";
import { isGood, type Renewed, ready } from "./renewed.ts";
import type { OpenRow, SharedRows } from "./shared-rows.ts";

/**
 * Pauses between reads of the database while another machine renews a token that a request here needs. An exchange
 * takes less than a second. Under the claim of a crashed machine no token arrives.
 */
const OTHERS_EXCHANGE_MS: readonly number[] = [100, 200, 400, 800, 1500];

interface Deps {
	readonly rows: Pick<SharedRows, "read">;
	readonly clock: Clock;
	readonly pause: (ms: number) => Promise<void>;
	readonly tell: PoolListener;
}

/** The exchange of a token that another machine has claimed. */
interface OthersExchange {
	/**
	 * Waits for the token that the other machine stores when the present one is useless here. Once per token, since a new
	 * one may never arrive. Rejects with a `PoolProblem`.
	 */
	brought(open: OpenRow, refused: string | undefined): Promise<Renewed | undefined>;
}

/** Creates the view of exchanges on other machines. */
export function createOthersExchange({ rows, clock, pause, tell }: Deps): OthersExchange {
	/** By account, the hash of the token for which another machine's exchange was awaited. */
	const awaited = new Map<AccountId, string>();
	return {
		brought: async ({ account, row }, refused) => {
			if (isGood(account.credential, refused, clock.now()) || awaited.get(account.id) === row.tokenHash) {
				return undefined;
			}
			awaited.set(account.id, row.tokenHash);
			for (const ms of OTHERS_EXCHANGE_MS) {
				await pause(ms);
				const now = await rows.read(account.id);
				if (now?.row.tokenHash === row.tokenHash) continue;
				if (!now || !isGood(now.account.credential, refused, clock.now())) return undefined;
				tell({ type: "renewed-elsewhere", account: account.id });
				return ready(now.account.credential);
			}
			return undefined;
		},
	};
}
