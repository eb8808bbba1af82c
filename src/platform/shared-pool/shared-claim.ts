import type { Claiming, TokenClaims } from "../../core/credentials/token-claims.ts";
import type { Clock } from "../../core/ports.ts";
import type { Connection } from "./connection.ts";
import type { SharedRows } from "./shared-rows.ts";
import type { Stopwatch } from "./stopwatch.ts";
import type { UnsentClaims } from "./unsent-claims.ts";

/** How long a claim is valid. After that, another machine may assume that this one has ended. */
export const CLAIM_MS = 20_000;

/** The right to send one token once, as the database records it for all machines. */
export interface SharedClaim extends Pick<TokenClaims, "claim"> {
	/** True if the token may still be sent. The machine may have slept since the claim. */
	isValid(): boolean;
	/** Records that the token has ended without another one for the row. */
	noteEnd(): void;
}

interface Deps {
	readonly rows: Pick<SharedRows, "read">;
	readonly connection: Connection;
	readonly unsent: UnsentClaims;
	/** Creates a name for a claim that no other claim has. */
	readonly newHolder: () => string;
	readonly clock: Clock;
	readonly startWatch: Stopwatch;
	readonly onFailure: (error: unknown) => void;
}

/** Prepares claims in the database. The returned function takes the hash of a token that is about to be exchanged. */
export function createSharedClaims(deps: Deps): (tokenHash: string) => SharedClaim {
	const { rows, connection, unsent, newHolder, clock, startWatch, onFailure } = deps;
	return (tokenHash) => {
		/** Counts from before the call, since its answer takes time. */
		let ageMs = () => Number.POSITIVE_INFINITY;
		let isOver = false;
		return {
			isValid: () => ageMs() <= CLAIM_MS,
			noteEnd: () => {
				isOver = true;
			},
			claim: async ({ id }): Promise<Claiming> => {
				const holder = newHolder();
				const claimed = { id, tokenHash, holder };
				ageMs = startWatch();
				const claiming = await unsent.claim(claimed);
				if (claiming.kind === "taken") return { kind: "taken", retryAt: clock.now() + claiming.retryAfterMs };
				if (claiming.kind !== "ours") return claiming;
				const end = (reason: string) =>
					connection.use((database) => database.settle(id, tokenHash, holder, { reason })).catch(onFailure);
				const isSame = await rows.read(id).then(
					(open) => open?.row.tokenHash === tokenHash,
					async (error: unknown) => {
						await unsent.free(claimed);
						throw error;
					},
				);
				if (!isSame) {
					await unsent.free(claimed);
					return { kind: "moved" };
				}
				return {
					kind: "ours",
					claim: {
						release: async (reason) => {
							if (reason === undefined) await unsent.free(claimed);
							// Otherwise the new token is stored or in the journal, which ends the claim.
							else if (isOver) await end(reason);
						},
						// A claim without an outcome is what the other machines go by.
						leaveUnanswered: async () => undefined,
					},
				};
			},
		};
	};
}
