import { parseArgs } from "node:util";
import { z } from "zod";
import { hold } from "./contest.ts";
import { FAMILIES } from "./demand.ts";
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
	},
});

const count = z.coerce.number().int().min(1);
const { seeds, first, weeks, family, window, ratio, cached, headers, wait } = z
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
const contests = families.flatMap((each) => {
	const held = Array.from({ length: seeds }, (_, index) =>
		hold(each, first + index, weeks ?? each.weeks, model, wait * MINUTE_MS),
	);
	say(tableOf(each, held));
	return held;
});
const goals = goalsOf(contests);
say(
	`${goalsAsText(goals)}\n(with rotation.maxWait=${wait}m: without a wait of 5 hours or more sessions crowd accounts)`,
);
say(rankTime());
if (goals.some(({ isReached }) => !isReached)) process.exitCode = 1;
