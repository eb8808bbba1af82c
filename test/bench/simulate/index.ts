import { parseArgs } from "node:util";
import { z } from "zod";
import { asBundled } from "./as-bundled.ts";
import { beyondTable, duel, duelTable, holdBeyond } from "./beyond-report.ts";
import { hold } from "./contest.ts";
import { FAMILIES } from "./demand.ts";
import { askEveryHour, forecastTable } from "./forecast.ts";
import type * as ForecastTime from "./forecast-time.ts";
import { MINUTE_MS, MODEL, type Model, NIGHT_MS } from "./model.ts";
import { rankTime } from "./rank-time.ts";
import { goalsAsText, goalsOf, tableOf } from "./report.ts";

/**
 * Which policy serves how much of what is wanted: weeks of made-up users, played through the product's own plan
 * against a made-up backend. Nothing in it is measured on real accounts. Ends with 1 where a goal is missed.
 */

const { values } = parseArgs({
	options: {
		seeds: { type: "string", default: "6" },
		/** The first seed: others than those that the model was made with. */
		first: { type: "string", default: "1" },
		weeks: { type: "string" },
		family: { type: "string", multiple: true },
		window: { type: "string", default: String(MODEL.windowWork) },
		ratio: { type: "string", default: String(MODEL.windowsPerWeek) },
		cached: { type: "string", default: String(MODEL.cachedAfterSwitch) },
		headers: { type: "string", default: MODEL.headersTell },
		/** `rotation.maxWait`, in minutes. */
		wait: { type: "string", default: String(NIGHT_MS / MINUTE_MS) },
		/** What an account's reserve model holds a week, in its 5h windows: nothing public says. */
		reserve: { type: "string", default: "1" },
		/** Plays no policies, but what there is beyond included quota. */
		beyond: { type: "boolean", default: false },
		/** Plays no policies, but asks for a forecast at every hour of two weeks. */
		forecast: { type: "boolean", default: false },
	},
});

const count = z.coerce.number().int().min(1);
const { seeds, first, weeks, family, window, ratio, cached, headers, wait, reserve, beyond, forecast } = z
	.object({
		seeds: count,
		first: count,
		weeks: count.optional(),
		family: z.array(z.enum(FAMILIES.map(({ name }) => name))).optional(),
		window: z.coerce.number().min(100_000),
		ratio: z.coerce.number().min(1),
		cached: z.coerce.number().min(0).max(MODEL.cachedWhenWarm),
		headers: z.enum(["before", "after"]),
		wait: z.coerce.number().min(0),
		reserve: z.coerce.number().min(0),
		beyond: z.boolean(),
		forecast: z.boolean(),
	})
	.parse(values);
const model: Model = {
	...MODEL,
	windowWork: window,
	windowsPerWeek: ratio,
	cachedAfterSwitch: cached,
	headersTell: headers,
};
const families = FAMILIES.filter(({ name }) => family?.includes(name) ?? true);

const say = (text: string) => process.stdout.write(`${text}\n\n`);
const seedsPlayed = Array.from({ length: seeds }, (_, index) => first + index);

function playPolicies(): void {
	const contests = families.flatMap((each) => {
		const held = seedsPlayed.map((seed) => hold(each, seed, weeks ?? each.weeks, model, wait * MINUTE_MS));
		say(tableOf(each, held));
		return held;
	});
	const goals = goalsOf(contests);
	say(
		`${goalsAsText(goals)}\n(with rotation.maxWait=${wait}m: without a wait of 5 hours or more sessions crowd accounts)`,
	);
	say(rankTime());
	if (goals.some(({ isReached }) => !isReached)) process.exitCode = 1;
}

/** A search plays no more schedules than this for one seed. */
const MOST_SCHEDULES = 150;

function playBeyond(): void {
	const held = families.flatMap((each) =>
		seedsPlayed.map((seed) => holdBeyond(each, seed, weeks ?? each.weeks, model, reserve)),
	);
	say(`${beyondTable(held, model)}\n(a reserve holds ${reserve} of its account's 5h windows a week: a guess)`);
	const duels = families.flatMap((each) =>
		seedsPlayed.flatMap((seed) => duel(each, seed, model, MOST_SCHEDULES) ?? []),
	);
	say(duelTable(duels));
}

async function playForecasts(): Promise<void> {
	for (const each of families) {
		const judged = seedsPlayed.flatMap((seed) => askEveryHour(each, seed, model));
		say(forecastTable(each, judged, seeds));
	}
	const { forecastTime } = (await asBundled("forecast-time.ts")) as typeof ForecastTime;
	say(await forecastTime());
}

if (forecast) await playForecasts();
else {
	if (!beyond) playPolicies();
	playBeyond();
}
