import type { Clock } from "../../core/ports.ts";
import { steadyAhead } from "./database-clock.ts";
import { type LastLook, type Mirror, seenBy } from "./mirror.ts";
import { type Keys, openRow } from "./sealed-account.ts";
import { doesNotOpen, mirroredOf } from "./shared-rows.ts";
import type { Look } from "./types.ts";

interface Deps {
	readonly mirror: Pick<Mirror, "take" | "lastLook" | "noteLook">;
	readonly keys: Keys;
	readonly clock: Clock;
	/** Returns whether notifications arrive at this process; undefined until that was tried. */
	readonly listens: () => boolean | undefined;
	readonly onWarning: (text: string) => void;
}

/** Minimum time between two records of a look that brought nothing. */
const NOTE_EACH_MS = 50_000;

/**
 * Creates what puts a look into the mirror. It resolves to true if the look brought or removed an account. Rows that do
 * not open are left out, with one warning for each reason.
 */
export function createMirroring(deps: Deps): (look: Look) => Promise<boolean> {
	const { mirror, keys, clock, listens, onWarning } = deps;
	const unreadable = new Set<string>();
	return async (look) => {
		const rows = look.rows.flatMap((row) => {
			const opened = openRow(row, keys);
			if (opened.kind === "ok") return [mirroredOf({ row, account: opened.account })];
			const { message } = doesNotOpen(opened.kind);
			if (!unreadable.has(message)) onWarning(message);
			unreadable.add(message);
			return [];
		});
		await mirror.take(rows, look.gone);
		const before = mirror.lastLook();
		const isNews = rows.length + look.gone.length > 0;
		const aheadMs = steadyAhead(before?.aheadMs, look.localNow - look.now);
		const presences = seenBy(look.presences, aheadMs);
		const isHeard = listens() ?? before?.listens ?? false;
		const isAsBefore =
			before !== undefined &&
			before.aheadMs === aheadMs &&
			before.listens === isHeard &&
			atWork(before.presences) === atWork(presences) &&
			Math.abs(clock.now() - before.at) < NOTE_EACH_MS;
		if (isNews || !isAsBefore) {
			mirror.noteLook({ at: clock.now(), aheadMs, listens: isHeard, presences }, look.head.name);
		}
		return isNews;
	};
}

/** Returns which processes work on what, regardless of when that was seen. */
function atWork(presences: LastLook["presences"]): string {
	return JSON.stringify(presences.map(({ process, machine, sessions }) => [process, machine, sessions]).sort());
}
