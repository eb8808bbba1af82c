import type { Affinity } from "../../core/affinity.ts";
import type { PiLoginSync } from "../../core/pi-login-sync.ts";
import type { Pool } from "../../core/pool.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import { jsonChoice, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { whyAsJson, whyAsText } from "./why.ts";

interface Args {
	readonly asJson: boolean;
}

interface Ports {
	readonly affinity: Pick<Affinity, "account" | "lastServed">;
	readonly pool: Pick<Pool, "crowded" | "explain">;
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly session: Pick<SessionView, "asker">;
	readonly clock: Clock;
}

/** `/multicodex why`: the account that the next request of this session takes, by the rules that choose it. */
export function createWhy({ affinity, pool, link, settings, session, clock }: Ports): Subcommand<Args> {
	const usage = "why [--json]";
	return {
		name: "why",
		usage,
		summary: "the account that serves next, and why",
		complete: jsonChoice,
		parse: (words) => {
			const given = parseOptions(words, ["--json"], usage);
			if ("failure" in given) return given;
			return given.rest.length > 0 ? usageError(usage) : { asJson: given.options.has("--json") };
		},
		run: async ({ asJson }, { host }) => {
			const { enabled: isEnabled, rotation } = settings.read();
			const served = affinity.lastServed();
			const question = { ...session.asker(host), affinity: affinity.account(), served };
			const { modelId: model, patienceMs } = question;
			const crowded = pool.crowded(question, served, patienceMs);
			const verdicts = pool.explain(question, undefined, crowded);
			const { policy } = rotation;
			const view = { verdicts, isEnabled, isForeign: link.isForeign(), policy, model, now: clock.now() };
			return { text: whyAsText(view, columnsNow()), json: whyAsJson(view), asJson };
		},
	};
}
