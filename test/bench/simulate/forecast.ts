import { demandOf, HOUR_MS, type HourlyDemand } from "../../../src/core/forecast/demand.ts";
import { forecastSteps } from "../../../src/core/forecast/forecast.ts";
import {
	type HistorySample,
	isUnchanged,
	joined,
	samplesOf,
	seriesOf,
} from "../../../src/core/forecast/quota-history.ts";
import { createSimulation } from "../../../src/core/forecast/simulation.ts";
import type { Snapshot } from "../../../src/core/request/plan.ts";
import { DEFAULT_POLICY } from "../../../src/core/request/policies.ts";
import { resultOf } from "../../support/fakes.ts";
import { longestOf, ours } from "./choosers.ts";
import { createScenario, type Family, type Scenario } from "./demand.ts";
import type { Meter } from "./meter.ts";
import { DAY_MS, MINUTE_MS, type Model, START, WEEK_MS } from "./model.ts";
import { createDice } from "./random.ts";
import { play as playWeeks, type Watcher } from "./run.ts";

/** What one rule said at one hour: when the pool runs out, epoch ms; undefined for not within a week. */
export type Said = number | undefined;

/** One hour at which the pool was not dry. */
export interface Asked {
	readonly at: number;
	readonly ours: { readonly dryAt: number; readonly from: number; readonly to: number | undefined } | undefined;
	readonly linear: Said;
	readonly lastWeek: Said;
	/** What a forecast says that knows the law of the demand and the load of the user, which no product can. */
	readonly allKnown: Said;
}

/** An hour, and when a request found no account after it; undefined where none did within a week. */
export interface Judged extends Asked {
	/** The weeks that it is one of. */
	readonly seed: number;
	readonly truth: number | undefined;
}

/** `rotation.maxWait` by default. */
const PATIENCE_MS = MINUTE_MS;
/** The first weeks are history alone; then every hour of two weeks; one more week tells what came of it. */
const ASKED_FROM_MS = 2 * WEEK_MS;
const ASKED_TO_MS = 4 * WEEK_MS;
const WEEKS = 5;

/** Asks for a forecast at every hour of two weeks of one seed, and finds out what came of it. */
export function askEveryHour(family: Family, seed: number, model: Model): Judged[] {
	const scenario = createScenario(family, seed, WEEKS, model);
	const history = createHistory();
	const law = lawOf(family, scenario, model);
	const asked: Asked[] = [];
	const dryAt: number[] = [];
	const watcher: Watcher = {
		onNews: (meters) => history.take(meters),
		onDry: (now) => dryAt.push(now),
		onHour: (now, meters, live) => {
			if (now < START + ASKED_FROM_MS || now >= START + ASKED_TO_MS || isDry(meters, now)) return;
			const snapshot: Snapshot = {
				now,
				candidates: meters.map(({ account, cooldowns, usage }) => ({ account, cooldowns, usage })),
				pinned: undefined,
				liveSessions: live(),
				lastChosen: undefined,
				policy: DEFAULT_POLICY,
				reserve: {},
			};
			asked.push({ at: now, ...saidAt(snapshot, { meters, samples: history.read(), futures: law(now) }) });
		},
	};
	playWeeks(scenario, ours(DEFAULT_POLICY, { maxWaitMs: PATIENCE_MS }), model, { watcher });
	return asked.map((each) => {
		const truth = dryAt.find((at) => at >= each.at);
		return { ...each, seed, truth: truth !== undefined && truth - each.at <= WEEK_MS ? truth : undefined };
	});
}

function isDry(meters: readonly Meter[], now: number): boolean {
	return meters.every(({ cooldowns }) => cooldowns.some(({ until }) => until > now));
}

function saidAt(snapshot: Snapshot, { meters, samples, futures }: Known): Omit<Asked, "at"> {
	const demand = demandOf(samples, snapshot.candidates, snapshot.now);
	const input = { snapshot, request: REQUEST, serving: undefined };
	const simulate = createSimulation({ snapshot, request: REQUEST, serving: undefined, ...demand });
	const { pool } = resultOf(forecastSteps(input, demand));
	const times = futures.map((future) => resultOf(simulate(future)).dryAt ?? Infinity).sort((a, b) => a - b);
	const early = times[Math.floor(times.length * LAW_SAID)] ?? Infinity;
	return {
		ours: pool,
		linear: linearPace(meters, snapshot.now),
		lastWeek: resultOf(simulate(asLastWeek(demand))).dryAt,
		allKnown: early === Infinity ? undefined : early,
	};
}

/** What the rules know at one hour. */
interface Known {
	readonly meters: readonly Meter[];
	readonly samples: readonly HistorySample[];
	/** What a user of this kind and with this load may want from now on. */
	readonly futures: readonly Float64Array[];
}

const REQUEST = { modelId: "simulated", patienceMs: PATIENCE_MS };

/** Weeks of other users of the same kind, made as heavy as this one's: the law by which the demand is made. */
function lawOf(family: Family, scenario: Scenario, model: Model): (now: number) => Float64Array[] {
	// Other programs use the accounts as well.
	const withOutside = 1 + family.outsideShare / scenario.load;
	const others = othersOf(family, model);
	const users = others.map((other) => {
		const scale = (weightOf(scenario) / other.weight / model.windowWork) * 100 * withOutside;
		return other.workByHour.map((work) => work * scale);
	});
	return (now) => {
		const phase = Math.floor((now - START) / HOUR_MS) % WEEK_HOURS;
		return users.map((hours) => hours.subarray(phase, phase + WEEK_HOURS));
	};
}

/** A user of the same kind. */
interface Other {
	readonly weight: number;
	readonly workByHour: Float64Array;
}

/** They are the same for every seed, and to make them takes longer than to forecast. */
const othersMade = new WeakMap<Model, Map<string, readonly Other[]>>();

function othersOf(family: Family, model: Model): readonly Other[] {
	const made = othersMade.get(model) ?? new Map<string, readonly Other[]>();
	othersMade.set(model, made);
	const known = made.get(family.name);
	if (known) return known;
	const others = Array.from({ length: LAW_USERS }, (_, index): Other => {
		const scenario = createScenario(family, LAW_FIRST_SEED + index, LAW_WEEKS, model);
		return { weight: weightOf(scenario), workByHour: workByHour(scenario) };
	});
	made.set(family.name, others);
	return others;
}

/** What it demands in a millisecond. */
function weightOf({ load, accounts }: Scenario): number {
	return load * accounts.reduce((sum, { longWork, longMs }) => sum + longWork / longMs, 0);
}

function workByHour({ sessions }: Scenario): Float64Array {
	const hours = new Float64Array(LAW_WEEKS * WEEK_HOURS);
	for (const { turns } of sessions) {
		for (const { plannedAt, work } of turns) {
			const hour = Math.floor((plannedAt - START) / HOUR_MS);
			hours[hour] = (hours[hour] ?? 0) + work;
		}
	}
	return hours;
}

const WEEK_HOURS = WEEK_MS / HOUR_MS;
const LAW_USERS = 15;
const LAW_WEEKS = 2;
const LAW_FIRST_SEED = 10_001;
/** The time said is as early among the futures of the law as the forecast's among its own. */
const LAW_SAID = 0.35;

/** The same hour last week, once more. */
function asLastWeek({ hours }: HourlyDemand): Float64Array {
	return hours.slice(-WEEK_MS / HOUR_MS);
}

/** The pace of each account since its longer window began goes on, and what each has left is used up by all of them. */
function linearPace(meters: readonly Meter[], now: number): Said {
	let left = 0;
	let perHour = 0;
	const returns: { readonly at: number; readonly work: number }[] = [];
	for (const meter of meters) {
		const { usedPercent, resetsAt, lengthMs } = longestOf(meter);
		const holds = meter.spec.longWork;
		const isRunning = resetsAt > now && usedPercent > 0;
		const elapsedHours = Math.max(1, (now - (resetsAt - lengthMs)) / HOUR_MS);
		left += isRunning ? (holds * (100 - usedPercent)) / 100 : holds;
		if (!isRunning) continue;
		perHour += (holds * usedPercent) / 100 / elapsedHours;
		returns.push({ at: resetsAt, work: (holds * usedPercent) / 100 });
	}
	if (perHour === 0) return undefined;
	for (const { at, work } of returns.sort((a, b) => a.at - b.at)) {
		if (now + (left / perHour) * HOUR_MS <= at) break;
		left += work;
	}
	const dryAt = now + (left / perHour) * HOUR_MS;
	return dryAt - now <= WEEK_MS ? dryAt : undefined;
}

/** The history as the product keeps it: changes only, of each hour the last one. */
function createHistory() {
	const past: HistorySample[] = [];
	const recent = new Map<string, HistorySample>();
	const seenAt = new Map<Meter, number>();
	return {
		take: (meters: readonly Meter[]) => {
			for (const meter of meters) {
				if (meter.seenAt === seenAt.get(meter) || !meter.usage) continue;
				seenAt.set(meter, meter.seenAt);
				for (const sample of samplesOf(meter.account.id, meter.usage)) {
					const series = seriesOf(sample);
					const former = recent.get(series);
					if (former && isUnchanged(former, sample)) continue;
					const isSameHour = former && Math.floor(former.at / HOUR_MS) === Math.floor(sample.at / HOUR_MS);
					if (former && !isSameHour) past.push(former);
					recent.set(series, former && isSameHour ? joined(former, sample) : sample);
				}
			}
		},
		read: () => [...past, ...recent.values()],
	};
}

/** How often an interval contained the truth. Percents. */
export interface Coverage {
	readonly percent: number;
	/** 95 % interval of it, from whole seeds: hours of one seed have much in common, seeds nothing. */
	readonly least: number;
	readonly most: number;
	/** Hours at which there was an interval. */
	readonly hours: number;
	/** How many hours with nothing in common would tell as much. */
	readonly worth: number;
}

/** How well one rule did. Percents. */
export interface Score {
	readonly name: string;
	/** Median error of the time until dry, where that was under two days; Infinity where it said nothing. */
	readonly medianError: number;
	/** Two of three times the median error of as many other seeds would be between these two. */
	readonly likelyError: readonly [least: number, most: number];
	/** In how many of a hundred draws of as many seeds the forecast errs less; NaN for the forecast itself. */
	readonly behindForecast: number;
	/** Of times at which it said that the pool runs out within a day, how often that did not happen within two. */
	readonly falseAlarms: number;
	/** How often what it said was between the two ends of its interval; undefined for a rule without one. */
	readonly coverage: Coverage | undefined;
	/** The same for the hours at which the interval had an end, and for those at which it had none. */
	readonly withEnd: Coverage | undefined;
	readonly withoutEnd: Coverage | undefined;
	/** Hours on which each is based. */
	readonly hours: number;
	readonly alarms: number;
}

/** No rule, but the limit of all. */
const ALL_KNOWN = "the law of the demand known";
const SOON_MS = 2 * DAY_MS;
const ALARM_MS = DAY_MS;

/** The scores of the forecast and of both naive rules. */
export function scoresOf(judged: readonly Judged[]): Score[] {
	const rules: readonly (readonly [name: string, said: (each: Judged) => Said])[] = [
		["forecast", ({ ours: own }) => own?.dryAt],
		["linear pace", ({ linear }) => linear],
		["same hour last week", ({ lastWeek }) => lastWeek],
		[ALL_KNOWN, ({ allKnown }) => allKnown],
	];
	const isOpen = ({ ours: own }: Judged) => own !== undefined && own.to === undefined;
	const covered = {
		coverage: coverageOf(judged),
		withEnd: coverageOf(judged.filter((each) => !isOpen(each))),
		withoutEnd: coverageOf(judged.filter(isOpen)),
	};
	const errorsOf = (said: (typeof rules)[number][1]) => {
		const bySeed = new Map<number, number[]>();
		for (const each of judged) {
			const { at, truth, seed } = each;
			if (truth === undefined || truth - at > SOON_MS) continue;
			const answer = said(each);
			const error =
				answer === undefined ? Infinity : (Math.abs(answer - truth) / Math.max(truth - at, MINUTE_MS)) * 100;
			bySeed.set(seed, [...(bySeed.get(seed) ?? []), error]);
		}
		return [...bySeed.values()];
	};
	const drawn = rules.map(([, said]) => drawnMedians(errorsOf(said)));
	return rules.map(([name, said], index) => {
		const errors = errorsOf(said).flat();
		const medians = drawn[index] ?? [];
		const isBehind = (error: number, draw: number) => error > (drawn[0]?.[draw] ?? Infinity);
		const alarms = judged.filter((each) => {
			const answer = said(each);
			return answer !== undefined && answer - each.at <= ALARM_MS;
		});
		const isFalse = ({ at, truth }: Judged) => truth === undefined || truth - at > 2 * ALARM_MS;
		return {
			name,
			medianError: median(errors),
			likelyError: [quantile(medians, 1 / 6), quantile(medians, 5 / 6)],
			behindForecast: index === 0 ? Number.NaN : (medians.filter(isBehind).length / medians.length) * 100,
			falseAlarms: (alarms.filter(isFalse).length / Math.max(1, alarms.length)) * 100,
			...(index === 0 ? covered : { coverage: undefined, withEnd: undefined, withoutEnd: undefined }),
			hours: errors.length,
			alarms: alarms.length,
		};
	});
}

/** How often the truth was inside the interval, and how sure that is by the seeds; undefined without any interval. */
function coverageOf(judged: readonly Judged[]): Coverage | undefined {
	const bySeed = new Map<number, { told: number; inside: number }>();
	for (const { seed, ours: own, truth = Infinity } of judged) {
		if (!own) continue;
		const { from, to = Infinity } = own;
		const counted = bySeed.get(seed) ?? { told: 0, inside: 0 };
		bySeed.set(seed, counted);
		counted.told += 1;
		if (truth >= from && truth <= to) counted.inside += 1;
	}
	const all = [...bySeed.values()];
	const hours = all.reduce((sum, each) => sum + each.told, 0);
	if (hours === 0) return undefined;
	const share = all.reduce((sum, each) => sum + each.inside, 0) / hours;
	const squares = all.reduce((sum, each) => sum + (each.inside - each.told * share) ** 2, 0);
	const others = all.length - 1;
	const error = others > 0 ? Math.sqrt((squares * all.length) / others) / hours : Infinity;
	const reach = others > 0 ? studentsT(others) * error : Infinity;
	return {
		percent: share * 100,
		least: Math.max(0, share - reach) * 100,
		most: Math.min(1, share + reach) * 100,
		hours,
		worth: error > 0 ? (share * (1 - share)) / error ** 2 : hours,
	};
}

/** 97.5 % of Student's t distribution, by its expansion around the normal distribution: to 1 % from 4 degrees on. */
function studentsT(degrees: number): number {
	return 1.96 + 2.372 / degrees + 2.823 / degrees ** 2 + 2.556 / degrees ** 3;
}

function median(values: readonly number[]): number {
	return quantile(values, 0.5);
}

function quantile(values: readonly number[], level: number): number {
	const sorted = [...values].sort((a, b) => a - b);
	return sorted[Math.floor(sorted.length * level)] ?? Number.NaN;
}

const DRAWS = 300;

/** The median over the hours of as many seeds as there are, drawn from them again and again; the same for each rule. */
function drawnMedians(bySeed: readonly (readonly number[])[]): number[] {
	const dice = createDice(1, "seeds drawn");
	return Array.from({ length: bySeed.length > 0 ? DRAWS : 0 }, () => median(bySeed.flatMap(() => dice.pick(bySeed))));
}

/** What the design asks of the forecast. */
const MOST_ERROR = 15;
const COVERAGE = [75, 85] as const;

/** An error in words: without any hour to judge by, or where most of the time nothing was said. */
function figure(error: number): string {
	if (Number.isNaN(error)) return "-";
	return error === Infinity ? "none said" : error.toFixed(1);
}

function asText({ percent, least, most }: Coverage): string {
	return `${percent.toFixed(0)} (${least.toFixed(0)} to ${most.toFixed(0)})`;
}

/** Whether the goal is reached: it is missed only where chance does not explain it. */
function judgedBy({ percent, least, most }: Coverage): string {
	const [low, high] = COVERAGE;
	if (percent >= low && percent <= high) return "reached";
	return most < low || least > high ? "MISSED" : "within chance of it";
}

/** The scores of a family as a table, and whether each goal is reached. */
export function forecastTable({ name, title }: Family, judged: readonly Judged[], seeds: number): string {
	const scores = scoresOf(judged);
	const [own, linear, lastWeek] = scores;
	const soonDry = own?.hours ?? 0;
	const rows = scores.map((score) => {
		const { name: rule, medianError, likelyError, behindForecast, coverage, falseAlarms, alarms } = score;
		return [
			rule.padEnd(28),
			figure(medianError).padStart(10),
			likelyError.map(figure).join(" to ").padStart(26),
			(Number.isNaN(behindForecast) ? "" : behindForecast.toFixed(0)).padStart(10),
			(coverage ? asText(coverage) : "").padStart(16),
			(alarms === 0 ? "-" : falseAlarms.toFixed(0)).padStart(8),
			String(alarms).padStart(8),
		].join("");
	});
	const error = own?.medianError ?? Number.NaN;
	const told = (goal: string, isReached: boolean) => `${goal}: ${isReached ? "reached" : "MISSED"}`;
	const goals = [
		...(Number.isNaN(error) ? [] : [told(`error <= ${MOST_ERROR}`, error <= MOST_ERROR)]),
		...(own?.coverage ? [`coverage ${COVERAGE.join(" to ")}: ${judgedBy(own.coverage)}`] : []),
		...(Number.isNaN(error) ? [] : [told("better than linear pace", error < (linear?.medianError ?? 0))]),
		...(Number.isNaN(error) ? [] : [told("better than last week", error < (lastWeek?.medianError ?? 0))]),
	];
	const intervals = own?.coverage?.hours ?? 0;
	const parts = [
		["an end", own?.withEnd],
		["no end", own?.withoutEnd],
	].flatMap(([what, part]) => (typeof part === "object" ? `${part.hours} with ${what}: ${asText(part)}` : []));
	const dry = new Set(judged.flatMap(({ at, truth = Infinity, seed }) => (truth - at <= SOON_MS ? seed : []))).size;
	return [
		`${name} ${title}: ${seeds} seeds, ${dry} of which run dry, ${judged.length} hours, ` +
			`${soonDry} of them within two days of a dry pool, ${intervals} with a forecast`,
		`${"".padEnd(28)}   error %     of other seeds (2/3)   worse, %  coverage % (95)  false % of alarms`,
		...rows,
		`${intervals} intervals, worth ${(own?.coverage?.worth ?? 0).toFixed(0)} independent ones; ${parts.join(", ")}`,
		goals.join(" · "),
	].join("\n");
}
