import { raceAbort } from "../../core/abort.ts";
import type { Asker } from "./types.ts";

/** A look, and the number of callers that wait for it. */
interface NextLook {
	readonly done: Promise<void>;
	waiting: number;
	readonly abandon: () => void;
}

/**
 * Makes one look of those that are asked for at about the same time. Calls that arrive during a look share the next
 * one. The returned function rejects as `lookOnce` does, or with the reason of the asker's signal. The look continues
 * as long as another caller waits for it.
 */
export function createJointLook(
	lookOnce: (asker: Asker | undefined) => Promise<void>,
): (asker?: Asker) => Promise<void> {
	let last: Promise<void> = Promise.resolve();
	let next: NextLook | undefined;
	/** One look at a time. Of two that overlap, the older one would know less. */
	const nextLook = (isAsking: boolean): NextLook => {
		const abandoning = new AbortController();
		const done = last.then(() => {
			next = undefined;
			const running = lookOnce(isAsking ? { signal: abandoning.signal } : undefined);
			last = running.catch(() => undefined);
			return running;
		});
		return { done, waiting: 0, abandon: () => abandoning.abort() };
	};
	return async (asker) => {
		next ??= nextLook(asker !== undefined);
		const mine = next;
		const giveUp = () => {
			mine.waiting -= 1;
			if (mine.waiting === 0) mine.abandon();
		};
		mine.waiting += 1;
		asker?.signal?.addEventListener("abort", giveUp, { once: true });
		try {
			await raceAbort(mine.done, asker?.signal);
		} finally {
			asker?.signal?.removeEventListener("abort", giveUp);
		}
	};
}
