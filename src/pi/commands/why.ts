import { whyAsJson, whyAsText } from "../../ui/why.ts";
import { columnsNow } from "../output.ts";
import { PROVIDER } from "../provider.ts";
import { jsonChoice, misused, type Subcommand, sorted } from "./subcommand.ts";

/** `/multicodex why`: the account that the next request of this session takes, by the rules that choose it. */
export const why: Subcommand = {
	name: "why",
	usage: "why [--json]",
	summary: "the account that serves next, and why",
	complete: (_deps, before) => jsonChoice(before),
	run: async (words, ctx, { affinity, pool, link, settings, savedModel, clock }) => {
		const given = sorted(words, ["--json"], why);
		if ("failure" in given) return given;
		if (given.rest.length > 0) return misused(why);
		const model = ctx.model?.provider === PROVIDER ? ctx.model.id : savedModel();
		const sessionId = ctx.sessionManager.getSessionId();
		const { enabled: isEnabled, rotation } = settings.read();
		const { maxWaitMs: patienceMs } = rotation;
		const served = affinity.lastServed();
		const question = { modelId: model, affinity: affinity.account(), served, patienceMs, sessionId };
		const crowded = pool.crowded(question, served, patienceMs);
		const verdicts = pool.explain(question, undefined, crowded);
		const view = { verdicts, isEnabled, isForeign: link.isForeign(), policy: rotation.policy, model, now: clock.now() };
		return { text: whyAsText(view, columnsNow()), json: whyAsJson(view), asJson: given.options.has("--json") };
	},
};
