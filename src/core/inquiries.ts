import { within } from "./abort.ts";
import type { AccountId } from "./ids.ts";

/** Calls for usage that one request has begun, about accounts whose refusal did not say until when they are out. */
export interface Inquiries {
	/** Asks behind the request. Never rejects. */
	ask(id: AccountId): Promise<unknown>;
	/** Resolves when all are answered, or soon; undefined where none is under way. */
	answered(): Promise<void> | undefined;
}

/** A sentence about an end waits this long for the usage endpoint's word on it. */
const PATIENCE_MS = 2000;

/** Creates the list of one request. `askUsage` never rejects. */
export function createInquiries(askUsage: (id: AccountId) => Promise<unknown>): Inquiries {
	const underWay = new Set<Promise<unknown>>();
	return {
		ask: (id) => {
			const answer = askUsage(id);
			underWay.add(answer);
			void answer.then(() => underWay.delete(answer));
			return answer;
		},
		answered: () => {
			if (underWay.size === 0) return undefined;
			const all = Promise.all(underWay).then(() => undefined);
			return within(all, PATIENCE_MS, () => undefined);
		},
	};
}
