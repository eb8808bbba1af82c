import { within } from "../abort.ts";
import type { AccountId } from "../ids.ts";

/** Usage calls that one request has started, for accounts whose refusal named no reset. */
export interface Inquiries {
	/** Starts a call in the background. Never rejects. */
	ask(id: AccountId): Promise<unknown>;
	/** Resolves when all calls are answered, or soon; undefined if none is in progress. */
	answered(): Promise<void> | undefined;
}

/** How long a message with a reset waits for the usage endpoint. */
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
			// After waiting that long once, do not wait for the same calls again.
			return within(all, PATIENCE_MS, () => underWay.clear());
		},
	};
}
