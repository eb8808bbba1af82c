import type { Clock } from "../../core/ports.ts";

/** Two measurements that differ by at most this show the same clock: the round trip sometimes takes a little longer. */
const STEADY_MS = 500;
/** How long a measurement is valid, unless a look at the database by this machine has made another one. */
const FRESH_MS = 5 * 60_000;

/** How far this machine's clock is ahead of the database's, and since when that is known. Both ms. */
export interface ClockMeasure {
	readonly aheadMs: number;
	/** By this machine's clock, epoch ms. */
	readonly at: number;
}

/**
 * Chooses the measurement to use after a new one. Keeps the former one as long as it may still be right, so that every
 * process of a machine writes the same time to the database.
 */
export function steadyAhead(formerMs: number | undefined, measuredMs: number): number {
	const isSteady = formerMs !== undefined && Math.abs(measuredMs - formerMs) <= STEADY_MS;
	return isSteady ? formerMs : Math.round(measuredMs);
}

interface Deps {
	/** Returns what this machine's last look at the database measured, in any process. */
	readonly measured: () => ClockMeasure | undefined;
	readonly clock: Clock;
	/** Returns a time that continues evenly when the clock is set, ms. */
	readonly monotonic: () => number;
}

/** The database's clock, as far as this process knows it. */
export interface DatabaseClock {
	/** Returns how far this machine's clock is ahead, ms; undefined if it may have been set since that was measured. */
	aheadMs(): number | undefined;
	/** Records the database's time, and this machine's time at the same moment. Returns how far the latter is ahead. */
	measure(databaseNow: number, localNow: number): number;
}

/** Creates the clock. */
export function createDatabaseClock({ measured, clock, monotonic }: Deps): DatabaseClock {
	let own: (ClockMeasure & { readonly monotonic: number }) | undefined;

	const wasSet = () => {
		if (!own) return false;
		return Math.abs(clock.now() - own.at - (monotonic() - own.monotonic)) > STEADY_MS;
	};
	const latest = (): ClockMeasure | undefined => {
		const shared = measured();
		if (!own || wasSet()) return shared && (!own || shared.at > own.at) ? shared : undefined;
		// What this machine has measured meanwhile applies to all of its processes.
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
