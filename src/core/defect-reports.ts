import { type DefectPlace, isDefect, traceOf } from "./defect.ts";
import type { PoolEvent } from "./events.ts";

/** The same defect is news again after so long. */
const NEWS_MS = 3_600_000;
/** A process with so many different ones in that time has told enough. */
const MOST_KINDS = 50;

/** Tells of an error that was caught and that nothing else tells of, if a change of ours alone can mend it. */
export function tellDefect(error: unknown, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	if (isDefect(error)) emit({ type: "defect", where, trace: traceOf(error) });
}

/**
 * Runs `work` where nothing of ours catches what it throws: in a timer, and beside steps of which each must be taken. An
 * error there would end pi.
 */
export function guarded(work: () => void, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	try {
		work();
	} catch (error) {
		tellDefect(error, where, emit);
	}
}

/** Says of a defect whether it is news, so that a loop that meets one again and again fills no log. */
export function createDefectNews(now: () => number): (event: Extract<PoolEvent, { type: "defect" }>) => boolean {
	const toldAt = new Map<string, number>();
	return ({ where, trace: { error, frames } }) => {
		for (const [key, at] of toldAt) if (Math.abs(now() - at) >= NEWS_MS) toldAt.delete(key);
		const key = [where, error, frames[0]].join();
		if (toldAt.has(key) || toldAt.size >= MOST_KINDS) return false;
		toldAt.set(key, now());
		return true;
	};
}
