import { jsonChoice, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import { askerIn } from "../accounts/successor.ts";
import { whyAsJson, whyAsText } from "./why.ts";

/** `/multicodex why`: the account that the next request of this session takes, by the rules that choose it. */
export const why: Subcommand = {
	name: "why",
	usage: "why [--json]",
	summary: "the account that serves next, and why",
	complete: (_deps, before) => jsonChoice(before),
	run: async (words, ctx, deps) => {
		const { affinity, pool, link, settings, clock } = deps;
		const given = parseOptions(words, ["--json"], why);
		if ("failure" in given) return given;
		if (given.rest.length > 0) return usageError(why);
		const { enabled: isEnabled, rotation } = settings.read();
		const served = affinity.lastServed();
		const question = { ...askerIn(ctx, deps), affinity: affinity.account(), served };
		const { modelId: model, patienceMs } = question;
		const crowded = pool.crowded(question, served, patienceMs);
		const verdicts = pool.explain(question, undefined, crowded);
		const view = { verdicts, isEnabled, isForeign: link.isForeign(), policy: rotation.policy, model, now: clock.now() };
		return { text: whyAsText(view, columnsNow()), json: whyAsJson(view), asJson: given.options.has("--json") };
	},
};
