import type { Candidate } from "../../../src/core/candidate.ts";
import { forecastSteps, knownDemand } from "../../../src/core/forecast.ts";
import { plan, type Snapshot } from "../../../src/core/plan.ts";
import { DEFAULT_POLICY } from "../../../src/core/policies.ts";
import type { HistorySample } from "../../../src/core/quota-history.ts";
import { DAY_MS, HOUR_MS, START } from "./model.ts";
import { createDice } from "./random.ts";
import { accountAt } from "./rank-time.ts";

const ACCOUNTS = 20;
const ROUNDS = 15;

/** What a forecast over twenty accounts costs that are used every day: in all, its longest step, and in plans. */
export function forecastTime(): string {
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
	const whole: number[] = [];
	const longest: number[] = [];
	const plans: number[] = [];
	const reads: number[] = [];
	for (let round = 0; round < ROUNDS; round += 1) {
		const began = cpuMs();
		const demand = knownDemand(history, snapshot);
		reads.push(cpuMs() - began);
		const steps = stepsOf({ snapshot, request, serving: undefined }, demand);
		whole.push(steps.reduce((sum, ms) => sum + ms, 0));
		longest.push(Math.max(...steps));
		plans.push(timed(() => plan({ modelId: undefined, sessionId: undefined, affinity: undefined }, snapshot)));
	}
	const [all, step, one, read] = [whole, longest, plans, reads].map(medianOf);
	const figure = (ms = 0) => `${ms.toFixed(1)} ms`;
	return [
		`A forecast over ${ACCOUNTS} accounts and ${history.length} samples, median of ${ROUNDS}:`,
		`${figure(all)} in all, ${figure(step)} at once, as much as ${((all ?? 0) / (one ?? 1)).toFixed(0)} plans;`,
		`what was wanted, every ten minutes: ${figure(read)}`,
	].join(" ");
}

/** Four weeks in which an account is used from nine to seven. */
function daysOf(accountId: string): HistorySample[] {
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

function stepsOf(...given: Parameters<typeof forecastSteps>): number[] {
	const steps = forecastSteps(...given);
	const times: number[] = [];
	for (;;) {
		const began = cpuMs();
		const { done } = steps.next();
		times.push(cpuMs() - began);
		if (done) return times;
	}
}

function timed(work: () => void): number {
	const began = cpuMs();
	for (let time = 0; time < 100; time += 1) work();
	return (cpuMs() - began) / 100;
}

function medianOf(values: readonly number[]): number | undefined {
	return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];
}

/** The time that this process has computed, ms: what else runs on the machine does not count. */
function cpuMs(): number {
	const { user, system } = process.cpuUsage();
	return (user + system) / 1000;
}
