import { createClaimStatements } from "./claims.ts";
import { type Client, createClient } from "./client.ts";
import type { ClientTimes } from "./driver.ts";
import { type Listening, listen } from "./listening.ts";
import { createLookStatements } from "./looks.ts";
import { migrate } from "./migrate.ts";
import { parsePoolUrl } from "./pool-url.ts";
import { createRowStatements } from "./rows.ts";
import { createStatements, type KeyIds } from "./statements.ts";
import type { JoinCode, PoolDatabase } from "./types.ts";

export interface PoolDatabaseOptions {
	/**
	 * The key ids in the join code. Every statement refuses a pool under other keys as `revoked`, so that a machine with
	 * an old code never renews a token whose successor it could not store.
	 */
	readonly keyIds?: KeyIds | undefined;
	/** Time limits that differ from the defaults below. */
	readonly times?: Partial<ClientTimes> | undefined;
	/** The clock of this machine, epoch ms. */
	readonly now?: (() => number) | undefined;
}

const TIMES: ClientTimes = { connectMs: 8000, statementMs: 15_000, idleMs: 20_000 };

/**
 * Creates the statements on the pool that `code` names. Loads and connects nothing before the first of them.
 * @throws a `PoolProblem` if the URL is invalid
 */
export function createPoolDatabase(
	code: Pick<JoinCode, "url" | "poolId">,
	{ keyIds, times, now = Date.now }: PoolDatabaseOptions = {},
): PoolDatabase {
	const url = parsePoolUrl(code.url);
	const allTimes = { ...TIMES, ...times };
	const client = createClient(url, allTimes);
	const listeners = new Set<Listening>();
	const createAllStatements = (runner: Pick<Client, "run">): Omit<PoolDatabase, "until" | "listen" | "end"> => {
		const statements = createStatements(runner, code.poolId, url.place, keyIds);
		return {
			migrate: () => migrate(runner, url.place),
			head: statements.head,
			create: (head) =>
				runner.run(async (sql) => {
					const rows = await sql`
						insert into pi_multicodex.pool (id, name, keeper_key_id, runner_key_id)
						values (${head.id}, ${head.name}, ${head.keeperKeyId}, ${head.runnerKeyId})
						on conflict do nothing returning 1`;
					return rows.length === 1;
				}),
			...createLookStatements(statements, now),
			...createRowStatements(statements),
			...createClaimStatements(statements),
		};
	};
	const database: PoolDatabase = {
		...createAllStatements(client),
		until: (signal) => ({ ...database, ...createAllStatements({ run: (act) => client.run(act, signal) }) }),
		listen: async (own, onNews) => {
			const listening = await listen({ client, times: allTimes }, own, onNews);
			if (!listening) return undefined;
			listeners.add(listening);
			return async () => {
				listeners.delete(listening);
				await listening.end();
			};
		},
		end: async () => {
			await Promise.all([client, ...listeners].map((each) => each.end()));
		},
	};
	return database;
}
