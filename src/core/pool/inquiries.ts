import { within } from "../abort.ts";
import type { AccountId } from "../ids.ts";

/** Calls of the usage endpoint that one request began, about accounts whose refusal named no reset. */
export interface Inquiries {
	/** Begins a call in the background. Never rejects. */
	ask(id: AccountId): Promise<unknown>;
	/** Resolves when all calls are answered, or soon; undefined if none is under way. */
	answered(): Promise<void> | undefined;
}

/** A message with a reset waits this long for the usage endpoint. */
const PATIENCE_MS = 2000;

/** Creates the calls of one request. `askUsage` never rejects. */
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
			// What was waited for so long is not waited for again.
			return within(all, PATIENCE_MS, () => underWay.clear());
		},
	};
}
