import type { AccountId } from "../../core/ids.ts";
import type { Connection } from "./connection.ts";
import { type Asker, PoolProblem, type SharedClaiming } from "./types.ts";

/** A claim that this process may have in the database without having sent anything. */
interface Unsent {
	readonly id: AccountId;
	readonly tokenHash: string;
	readonly holder: string;
}

/** Makes claims, and remembers those that could not be given back yet. */
export interface UnsentClaims {
	/** Claims a token. If the answer was lost, the claim is given back later. */
	claim(unsent: Unsent, asker?: Asker): Promise<SharedClaiming>;
	/** Gives a claim back, now or later. Never rejects. */
	free(unsent: Unsent): Promise<void>;
	/** Gives back the remaining claims. Rejects with a `PoolProblem`. */
	catchUp(): Promise<void>;
}

/** Creates the claims of this process, none of them unsent. */
export function createUnsentClaims(connection: Connection): UnsentClaims {
	const waiting = new Set<Unsent>();
	const settle = async (unsent: Unsent) => {
		const { id, tokenHash, holder } = unsent;
		waiting.add(unsent);
		await connection.use((database) => database.settle(id, tokenHash, holder, "unsent"));
		waiting.delete(unsent);
	};
	return {
		claim: async (unsent, asker) => {
			const { id, tokenHash, holder } = unsent;
			try {
				return await connection.use((database) => database.claim(id, tokenHash, holder), asker);
			} catch (error) {
				waiting.add(unsent);
				throw error;
			}
		},
		free: async (unsent) => {
			await settle(unsent).catch((error: unknown) => {
				if (!(error instanceof PoolProblem)) throw error;
			});
		},
		catchUp: async () => {
			for (const unsent of waiting) await settle(unsent);
		},
	};
}
