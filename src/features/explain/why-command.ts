import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Beyond } from "../../core/beyond/beyond.ts";
import type { PiLoginSync } from "../../core/credentials/pi-login-sync.ts";
import type { SettingsStore, SharedPools } from "../../core/ports.ts";
import type { Plan } from "../../core/request/plan.ts";
import { jsonChoice, parseOptions, type Subcommand, usageError } from "../../pi/command.ts";
import { columnsNow } from "../../pi/output.ts";
import type { PoolModel } from "../../pi/pool-model.ts";
import type { SessionView } from "../../pi/session-view.ts";
import { whyAsJson, whyAsText } from "./why.ts";

interface Args {
	readonly asJson: boolean;
}

interface Ports {
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: Pick<SettingsStore, "read">;
	readonly session: Pick<SessionView, "plan" | "request">;
	readonly poolModel: Pick<PoolModel, "serving">;
	/** What may serve a request beyond included quota. */
	readonly offersFor: Beyond["offers"];
	readonly sharedPools: Pick<SharedPools, "status">;
}

/** `/multicodex why`: shows the account that would serve this session's next request, by the rules that choose it. */
export function createWhy({ link, settings, session, poolModel, offersFor, sharedPools }: Ports): Subcommand<Args> {
	/** Returns what would serve if no account could; for an account on bought credits, what would serve after it. */
	const offersAfter = (plan: Plan, host: ExtensionContext) => {
		const [first] = plan.order;
		if (first && first.gate?.kind !== "credits") return [];
		const { served, patienceMs = 0 } = session.request(host);
		const asked = { request: undefined, served, patienceMs, isNextTurn: host.isIdle() };
		return offersFor(first ? session.plan(host, first.account.id) : plan, asked);
	};
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
			const { modelId: model } = session.request(host);
			const { policy } = rotation;
			const plan = session.plan(host);
			const view = {
				plan,
				isEnabled,
				isForeign: link.isForeign(),
				policy,
				model,
				link: poolModel.serving(host),
				sharedPool: sharedPools.status(),
				offers: offersAfter(plan, host),
			};
			return { text: whyAsText(view, columnsNow()), json: whyAsJson(view), asJson };
		},
	};
}
