import type { AccountId } from "../../core/ids.ts";
import { tokenTimes } from "../backend/jwt.ts";
import type { Connection } from "./connection.ts";
import type { Mirror } from "./mirror.ts";
import { type Keys, openRow } from "./sealed-account.ts";
import type { SharedRow } from "./types.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** Handles a database that was restored from a backup, and so holds refresh tokens that are spent. */
export interface PutBack {
	/**
	 * Notes in the database that such tokens are spent. A machine that joins later has never seen another one, and would
	 * send them. `rows` are those of a look. Rejects with a `PoolProblem`.
	 */
	note(rows: readonly SharedRow[]): Promise<void>;
}

interface Deps {
	readonly mirror: Pick<Mirror, "rows">;
	readonly keys: Keys;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
}

/** Why the token is never sent again. */
const REASON = "exchanged";

/** Creates the handler of restored databases. */
export function createPutBack({ mirror, keys, connection, unsent, newHolder }: Deps): PutBack {
	/** Accounts and hashes that need no other statement. */
	const noted = new Set<string>();

	/**
	 * True if this machine has seen a later version of the row. A sign-in since the restore has a low version too, and an
	 * access token that was issued later than the one that was seen.
	 */
	const isOlder = (row: SharedRow): boolean => {
		const seen = mirror.rows().get(row.id);
		if (!seen || seen.version <= row.version || seen.tokenHash === row.tokenHash) return false;
		const opened = openRow(row, keys);
		if (opened.kind !== "ok") return false;
		const [here, there] = [seen.account, opened.account].map(
			({ credential }) => tokenTimes(credential.access).issuedAt,
		);
		return here !== undefined && there !== undefined && there <= here;
	};
	const noteOne = async (id: AccountId, tokenHash: string): Promise<void> => {
		const holder = newHolder();
		// The claim is refused if the row has another token by now.
		const claiming = await unsent.claim({ id, tokenHash, holder });
		if (claiming.kind === "taken") return;
		if (claiming.kind === "ours") {
			await connection.use((database) => database.settle(id, tokenHash, holder, { reason: REASON }));
		}
		noted.add(keyOf(id, tokenHash));
	};

	return {
		note: async (rows) => {
			for (const row of rows) {
				if (!noted.has(keyOf(row.id, row.tokenHash)) && isOlder(row)) await noteOne(row.id, row.tokenHash);
			}
		},
	};
}

function keyOf(id: AccountId, tokenHash: string): string {
	return `${id} ${tokenHash}`;
}
