import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { demandFutures } from "../../../src/core/forecast/demand-paths.ts";
import { forecastSteps, futuresOf, HORIZON_HOURS, knownDemand } from "../../../src/core/forecast/forecast.ts";
import type { HistorySample } from "../../../src/core/forecast/quota-history.ts";
import { createSimulation } from "../../../src/core/forecast/simulation.ts";
import type { AccountId } from "../../../src/core/ids.ts";
import type { Candidate } from "../../../src/core/request/candidate.ts";
import type { Snapshot } from "../../../src/core/request/plan.ts";
import { DEFAULT_POLICY } from "../../../src/core/request/policies.ts";
import { openQuotaHistory } from "../../../src/platform/stores/quota-history-store.ts";
import { resultOf } from "../../support/fakes.ts";
import { DAY_MS, HOUR_MS, START } from "./model.ts";
import { createDice } from "./random.ts";
import { accountAt } from "./rank-time.ts";

const ACCOUNTS = 20;
const ROUNDS = 31;
/** Forecasts and readings of one round: processor time is not told exactly enough for a single one. */
const AT_ONCE = 4;

/**
 * What a forecast over twenty accounts costs that are used every day: in all, its longest step, to a fixed computation
 * of the same round, and in choices of an account, which no load changes.
 */
export async function forecastTime(): Promise<string> {
	const dice = createDice(1, "forecast");
	const ids = Array.from({ length: ACCOUNTS }, (_, index) => accountAt(index));
	const history = ids.flatMap(({ id }) => daysOf(id));
	const candidates = ids.map((account): Candidate => {
		const window = (windowMinutes: number) => ({
			usedPercent: Math.floor(dice.between(0, 90)),
			windowMinutes,
			resetsAt: START + dice.unit() * windowMinutes * 60_000,
		});
		const windows = [window(300), window(10_080)];
		return {
			account,
			cooldowns: [],
			usage: { capturedAt: START, source: "api", windows, limits: {}, limitReached: false },
		};
	});
	const snapshot: Snapshot = {
		now: START,
		candidates,
		pinned: undefined,
		liveSessions: new Map(),
		lastChosen: undefined,
		policy: DEFAULT_POLICY,
		reserve: {},
	};
	const request = { modelId: undefined };
	const input = { snapshot, request, serving: undefined };
	const first = timed(1, () => stepsOf(input, knownDemand(history, snapshot)));
	const costs: { whole: number; longest: number; read: number; ratio: number }[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		const demand = knownDemand(history, snapshot);
		const whole = timed(AT_ONCE, () => stepsOf(input, demand));
		const read = timed(AT_ONCE, () => knownDemand(history, snapshot));
		const longest = Math.max(...stepsOf(input, demand));
		costs.push({ whole, longest, read, ratio: whole / timed(AT_ONCE, fixedWork) });
	}
	const looks = await looksAt(history);
	const demand = knownDemand(history, snapshot);
	const simulate = demand && createSimulation({ ...input, ...demand });
	const futures = demand ? demandFutures(demand, futuresOf(snapshot), HORIZON_HOURS) : [];
	const choices = futures.reduce((sum, future) => sum + (simulate ? resultOf(simulate(future)).choices : 0), 0);
	const middle = (key: keyof (typeof costs)[number]) => medianOf(costs.map((each) => each[key]));
	return [
		`A forecast over ${ACCOUNTS} accounts and ${history.length} samples, median of ${ROUNDS}:`,
		`${middle("whole").toFixed(1)} ms in all, ${middle("longest").toFixed(1)} ms at once,`,
		`${middle("ratio").toFixed(1)} times as much as a fixed computation, ${choices} choices of an account;`,
		`a look through the history, every ten minutes: ${looks.toFixed(1)} ms for the file in steps,`,
		`${middle("read").toFixed(1)} ms for what was wanted;`,
		`the first of a process with both: ${first.toFixed(1)} ms`,
	].join(" ");
}

/** Four weeks in which an account is used from nine to seven. */
function daysOf(accountId: AccountId): HistorySample[] {
	const samples: HistorySample[] = [];
	for (let at = START - 28 * DAY_MS; at < START; at += HOUR_MS) {
		const hour = new Date(at).getUTCHours() - 9;
		if (hour < 0 || hour >= 10) continue;
		const part = hour % 5;
		const resetsAt = at + (5 - part) * HOUR_MS;
		samples.push({ accountId, windowMinutes: 300, at, usedPercent: 7 * (part + 1), resetsAt });
		samples.push({ accountId, windowMinutes: 10_080, at, usedPercent: (at / HOUR_MS) % 100, resetsAt: at + DAY_MS });
	}
	return samples;
}

/** What a look through the file costs that holds these samples, median, ms. */
async function looksAt(history: readonly HistorySample[]): Promise<number> {
	const folder = mkdtempSync(join(tmpdir(), "pi-multicodex-bench-"));
	try {
		const file = openQuotaHistory(join(folder, "history.jsonl"), () => START);
		await file.append(history);
		const costs: number[] = [];
		for (let round = 0; round < ROUNDS; round += 1) {
			const began = process.cpuUsage();
			await file.read();
			const { user, system } = process.cpuUsage(began);
			costs.push((user + system) / 1000);
		}
		return medianOf(costs);
	} finally {
		rmSync(folder, { recursive: true });
	}
}

/** Milliseconds of each step. */
function stepsOf(...given: Parameters<typeof forecastSteps>): number[] {
	const steps = forecastSteps(...given);
	const times: number[] = [];
	for (;;) {
		const began = performance.now();
		const { done } = steps.next();
		times.push(performance.now() - began);
		if (done) return times;
	}
}

/** Looks up and makes small objects, as a forecast does. */
function fixedWork(): number {
	const kept = new Map<number, readonly [number, number]>();
	let sum = 0;
	for (let index = 0; index < 20_000; index += 1) {
		kept.set(index % 97, [index, sum]);
		sum += kept.get((index * 7) % 97)?.[0] ?? 1;
	}
	return sum;
}

/** The time that this process computes at it, ms: what else runs on the machine counts less. */
function timed(times: number, work: () => unknown): number {
	const began = process.cpuUsage();
	for (let time = 0; time < times; time += 1) work();
	const { user, system } = process.cpuUsage(began);
	return (user + system) / 1000 / times;
}

function medianOf(values: readonly number[]): number {
	return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}
