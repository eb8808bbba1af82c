import type { Clock } from "../../core/ports.ts";

/** Two measures that differ by no more are of one clock: the way to the database takes a little longer at times. */
const STEADY_MS = 500;
/** A measure is good for so long, unless a look of this machine has made another one. */
const FRESH_MS = 5 * 60_000;

/** How far the clock of this machine is ahead of that of the database, and since when that is known. Both ms. */
export interface ClockMeasure {
	readonly aheadMs: number;
	/** By the clock of this machine, epoch ms. */
	readonly at: number;
}

/**
 * The measure that holds after a new one: the former one as long as that may be true, so that one time of a machine is
 * one time in the database, whichever of its processes writes it.
 */
export function steadyAhead(formerMs: number | undefined, measuredMs: number): number {
	const isSteady = formerMs !== undefined && Math.abs(measuredMs - formerMs) <= STEADY_MS;
	return isSteady ? formerMs : Math.round(measuredMs);
}

interface Deps {
	/** What the last look of this machine has measured, in any process. */
	readonly measured: () => ClockMeasure | undefined;
	readonly clock: Clock;
	/** Goes on evenly while the clock is set, ms. */
	readonly monotonic: () => number;
}

/** The clock of the database, as far as this process knows it. */
export interface DatabaseClock {
	/** How far the clock of this machine is ahead, ms; undefined where it may have been set since that was measured. */
	aheadMs(): number | undefined;
	/**
	 * Takes in the time of the database, and that of this machine at the same moment. Resolves to how far it is ahead.
	 */
	measure(databaseNow: number, localNow: number): number;
}

/** Creates it. */
export function createDatabaseClock({ measured, clock, monotonic }: Deps): DatabaseClock {
	let own: (ClockMeasure & { readonly monotonic: number }) | undefined;

	const wasSet = () => {
		if (!own) return false;
		return Math.abs(clock.now() - own.at - (monotonic() - own.monotonic)) > STEADY_MS;
	};
	const latest = (): ClockMeasure | undefined => {
		const shared = measured();
		if (!own || wasSet()) return shared && (!own || shared.at > own.at) ? shared : undefined;
		// What this machine has measured meanwhile holds for all of its processes.
		return shared && steadyAhead(shared.aheadMs, own.aheadMs) === shared.aheadMs ? { ...own, ...shared } : own;
	};
	return {
		aheadMs: () => {
			const known = latest();
			const sinceMs = known ? Math.abs(clock.now() - Math.max(known.at, own?.at ?? 0)) : FRESH_MS;
			return sinceMs < FRESH_MS ? known?.aheadMs : undefined;
		},
		measure: (databaseNow, localNow) => {
			const aheadMs = steadyAhead(measured()?.aheadMs ?? own?.aheadMs, localNow - databaseNow);
			own = { aheadMs, at: localNow, monotonic: monotonic() - (clock.now() - localNow) };
			return aheadMs;
		},
	};
}
