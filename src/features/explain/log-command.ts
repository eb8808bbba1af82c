import { jsonChoice, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { logAsJson, logAsText } from "./log.ts";

const USUAL = 20;
const COUNT = /^[1-9]\d{0,5}$/;

/** `/multicodex log`: the last decisions of all processes. */
export const log: Subcommand = {
	name: "log",
	usage: "log [n] [--json]",
	summary: "the last decisions: who served, and why it changed",
	complete: (_deps, before) => jsonChoice(before),
	run: async (words, _ctx, { eventLog, pool, membership, clock }) => {
		const given = parseOptions(words, ["--json"], log);
		if ("failure" in given) return given;
		const [count = String(USUAL), ...others] = given.rest;
		if (others.length > 0 || !COUNT.test(count)) return usageError(log);
		// What this process has just decided belongs there too.
		await eventLog.flush();
		const decisions = await eventLog.read(Number(count));
		const gone = await membership.lastRemoved();
		const text = logAsText(decisions, [...pool.accounts(), ...(gone ? [gone] : [])], clock.now(), columnsNow());
		return { text, json: logAsJson(decisions), asJson: given.options.has("--json") };
	},
};
