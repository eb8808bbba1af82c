import { type DefectPlace, isDefect, traceOf } from "./defect.ts";
import type { PoolEvent } from "./events.ts";

/** How long before the same defect is reported again. */
const NEWS_MS = 3_600_000;
/** Maximum number of different defects that a process reports in that time. */
const MOST_KINDS = 50;

/** Reports a caught error that is not shown anywhere else, if it is a defect of ours. */
export function tellDefect(error: unknown, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	if (isDefect(error)) emit({ type: "defect", where, trace: traceOf(error) });
}

/** Reports an unexpected error of a command. An error with a code comes from the system and is expected. */
export function tellUnexpected(error: unknown, emit: (event: PoolEvent) => void): void {
	const isForeseen = error instanceof Error && "code" in error && !isDefect(error);
	if (!isForeseen) emit({ type: "defect", where: "command", trace: traceOf(error) });
}

/**
 * Runs `work` and reports what it throws. For timers, where an error would end pi, and for steps that must not stop the
 * ones after them.
 */
export function guarded(work: () => void, where: DefectPlace, emit: (event: PoolEvent) => void): void {
	try {
		work();
	} catch (error) {
		tellDefect(error, where, emit);
	}
}

/** Creates a function that decides whether a defect is reported. A loop that repeats a defect must not fill the log. */
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
