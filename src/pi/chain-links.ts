import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { type Link, type LinkObstacle, modelRefOf } from "../core/beyond/chain.ts";
import type { Closure, LinkFailures } from "../core/beyond/link-failures.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { Gated, Plan } from "../core/request/plan.ts";
import type { Settings } from "../core/settings.ts";
import { PROVIDER } from "./provider.ts";
import { sessionIdOf } from "./session-id.ts";
import { isVirtual } from "./virtual-models.ts";

/** A link, ready to be shown. */
export interface ShownLink extends Link {
	/** Undefined if the host has no such model. */
	readonly model: Model<Api> | undefined;
	readonly isSubscription: boolean;
	/** Why it has failed, and until when it is not asked; undefined if it has not. */
	readonly closure: Closure | undefined;
}

/** What the host and the pool know about the links of the chain. */
export interface ChainLinks {
	/** Plans who serves the session's next request to a Codex model. */
	planFor(modelId: string, ctx: ExtensionContext): Plan;
	/** Describes a link as if it were in the chain now. */
	look(name: string, ctx: ExtensionContext): ShownLink;
	/** Describes every link of the chain as it is now. */
	shown(ctx: ExtensionContext): readonly ShownLink[];
}

interface Deps {
	readonly pool: Pick<Pool, "plan">;
	readonly affinity: Affinity;
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: () => Settings;
	/** Returns a mark that distinguishes the stored credentials of a provider from later ones. */
	readonly loginMark: (provider: string) => string | undefined;
	readonly failures: Pick<LinkFailures, "closure">;
}

/** Creates the view of the chain's links. */
export function createChainLinks({ pool, affinity, link, settings, loginMark, failures }: Deps): ChainLinks {
	const planFor = (modelId: string, ctx: ExtensionContext): Plan =>
		pool.plan({
			modelId,
			sessionId: sessionIdOf(ctx),
			affinity: affinity.account(),
			served: affinity.lastServed(),
			patienceMs: settings().rotation.maxWaitMs,
		});
	const look = (name: string, ctx: ExtensionContext): ShownLink => {
		const { modelRegistry } = ctx;
		const ref = modelRefOf(name);
		const model = ref && modelRegistry.find(ref.provider, ref.id);
		if (!ref || !model) {
			return {
				name,
				model: undefined,
				obstacle: "unknown-model",
				isPaid: false,
				isSubscription: false,
				closure: undefined,
			};
		}
		const isCodex = ref.provider === PROVIDER;
		const isSubscription = (isCodex && !link.isForeign()) || modelRegistry.isUsingOAuth(model);
		const isPaid = !isSubscription && (model.cost.input > 0 || model.cost.output > 0);
		const closure = failures.closure(name, () => loginMark(ref.provider));
		const obstacle = (): LinkObstacle | undefined => {
			if (isVirtual(model)) return "virtual";
			if (!modelRegistry.hasConfiguredAuth(model)) return "no-credentials";
			const plan = isCodex ? planFor(model.id, ctx) : undefined;
			if (plan && isRefusedByAll(plan)) return "not-offered";
			if (plan && !isOpen(plan)) return "no-account";
			return closure && "failed";
		};
		return { name, model, obstacle: obstacle(), isPaid, isSubscription, closure };
	};
	return { planFor, look, shown: (ctx) => settings().beyond.chain.map((name) => look(name, ctx)) };
}

/** True if an account can be tried now. One on weak evidence is not tried while the chain can answer. */
export function isOpen({ order, lastResort }: Plan): boolean {
	return order.length + lastResort.length > 0;
}

/** True if every present account has refused the model itself. */
function isRefusedByAll({ order, lastResort, gated }: Plan): boolean {
	const usable = gated.filter(({ gate }) => gate.kind !== "disabled" && gate.kind !== "needs-login");
	const isOfModel = ({ gate, blocking }: Gated) =>
		gate.kind === "cooling" && blocking().every(({ scope }) => scope.startsWith("model:"));
	return order.length + lastResort.length === 0 && usable.length > 0 && usable.every(isOfModel);
}

/** True if the link can be asked now. */
export function isAskable({ obstacle }: Link): boolean {
	return obstacle === undefined;
}
