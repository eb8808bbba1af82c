import type { SessionId } from "../ids.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock, ForecastSource, QuotaHistory } from "../ports.ts";
import type { SelectionRequest, Snapshot } from "../request/plan.ts";
import type { HourlyDemand } from "./demand.ts";
import type { Forecast, ForecastInput } from "./forecast.ts";
import type { HistorySample } from "./quota-history.ts";

/** What the session's next request asks for. */
interface ForecastAsked extends Pick<SelectionRequest, "modelId" | "patienceMs"> {
	readonly sessionId: SessionId | undefined;
	/** The account that serves it. */
	readonly serving: ForecastInput["serving"];
}

/** The functions that make a forecast. */
export interface ForecastMaker {
	knownDemand(history: readonly HistorySample[], snapshot: Snapshot): HourlyDemand | undefined;
	forecastSteps(input: ForecastInput, demand: HourlyDemand | undefined): Generator<undefined, Forecast>;
}

interface Deps {
	readonly pool: Pick<Pool, "snapshot">;
	readonly history: Pick<QuotaHistory, "read">;
	/** Loads the code that makes a forecast. */
	readonly load: () => Promise<ForecastMaker>;
	/** Lets all other work go first. */
	readonly giveWay: () => Promise<void>;
	readonly asked: () => ForecastAsked;
	readonly clock: Clock;
	readonly onFailure: (error: unknown) => void;
}

/** Minimum time between two forecasts. */
const RENEW_MS = 60_000;
/** How often the history of other processes is read. */
const READ_MS = 10 * 60_000;

/**
 * Creates the source of forecasts. It reads and computes nothing before a forecast is requested, and then in the
 * background.
 */
export function createForecastSource({ pool, history, load, giveWay, asked, clock, onFailure }: Deps): ForecastSource {
	const listeners = new Set<() => void>();
	let made: Forecast | undefined;
	let triedAt: number | undefined;
	let read: { readonly demand: HourlyDemand | undefined; readonly at: number } | undefined;
	let making: Promise<Forecast | undefined> | undefined;

	const isOld = (at: number | undefined, ageMs: number) => at === undefined || Math.abs(clock.now() - at) >= ageMs;

	const make = async (): Promise<Forecast | undefined> => {
		triedAt = clock.now();
		try {
			const { knownDemand, forecastSteps } = await load();
			const { sessionId, ...request } = asked();
			if (!read || isOld(read.at, READ_MS)) {
				const samples = await history.read();
				read = { demand: knownDemand(samples, pool.snapshot(sessionId)), at: clock.now() };
			}
			const steps = forecastSteps({ ...request, request, snapshot: pool.snapshot(sessionId) }, read.demand);
			let step = steps.next();
			while (!step.done) {
				await giveWay();
				step = steps.next();
			}
			made = step.value;
			for (const listener of listeners) listener();
		} catch (error) {
			onFailure(error);
		}
		return made;
	};
	const renew = () => {
		making ??= make().finally(() => {
			making = undefined;
		});
		return making;
	};

	return {
		current: () => {
			if (isOld(triedAt, RENEW_MS)) void renew();
			return made;
		},
		fresh: async () => (isOld(made?.madeAt, RENEW_MS) ? renew() : made),
		renew,
		subscribe: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
}
