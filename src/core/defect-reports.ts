import { type DefectPlace, isDefect, traceOf } from "./defect.ts";
import type { PoolEvent } from "./events.ts";

/** The same defect is reported again after this long. */
const NEWS_MS = 3_600_000;
/** A process reports no more than this many different defects in that time. */
const MOST_KINDS = 50;

/** Reports an error that was caught and is not shown anywhere else, if it is a defect of ours. */
export function tellDefect(error: unknown, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	if (isDefect(error)) emit({ type: "defect", where, trace: traceOf(error) });
}

/** Leaves a trace of an error of a command that no words foresee: one without a code is none of the system's. */
export function tellUnexpected(error: unknown, emit: (event: PoolEvent) => void): void {
	const isForeseen = error instanceof Error && "code" in error && !isDefect(error);
	if (!isForeseen) emit({ type: "defect", where: "command", trace: traceOf(error) });
}

/**
 * Runs `work` and reports what it throws: in a timer, where an error would end pi, and between steps each of which must
 * be taken.
 */
export function guarded(work: () => void, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	try {
		work();
	} catch (error) {
		tellDefect(error, where, emit);
	}
}

/** Decides whether a defect is reported, so that a loop that repeats it does not fill the log. */
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
