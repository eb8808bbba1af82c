import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Beyond } from "../core/beyond/beyond.ts";
import { modelName } from "../core/beyond/chain.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { PROVIDER } from "../core/ids.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { Plan } from "../core/request/plan.ts";
import type { Settings } from "../core/settings.ts";
import { type ChainLinks, isOpen, type ShownLink } from "./chain-links.ts";
import { codexOnBranch } from "./route-state.ts";
import { isVirtual } from "./virtual-models.ts";

/** Decides whether the pool or the chain serves the next request of a session. */
export interface PoolOrChain {
	/** Returns the session's Codex model: the one on its branch, else the saved default, else the newest that pi has. */
	codexModel(ctx: ExtensionContext): Model<Api> | undefined;
	/** True if the pool serves a request to this Codex model, or something else that precedes the chain. */
	isPoolOpen(codexId: string, ctx: ExtensionContext): boolean;
	/**
	 * Describes the links for a session on this Codex model. The pool handles that model, even if it is listed in the
	 * chain.
	 */
	linksBeside(codex: Model<Api>, ctx: ExtensionContext): readonly ShownLink[];
}

interface Deps {
	readonly links: Pick<ChainLinks, "planFor" | "shown">;
	readonly affinity: Pick<Affinity, "lastServed">;
	readonly link: Pick<PiLoginSync, "isForeign">;
	readonly settings: () => Settings;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	/** What may serve a session beyond included quota. The chain is one step of it. */
	readonly beyond: Pick<Beyond, "mayAsk" | "offers">;
}

/** Creates the decision between pool and chain. */
export function createPoolOrChain({ links, affinity, link, settings, savedModel, beyond }: Deps): PoolOrChain {
	/** True if everything that precedes the chain is out as well, or needs consent for which no person can be asked. */
	const isChainNext = (plan: Plan, ctx: ExtensionContext): boolean => {
		const patienceMs = settings().rotation.maxWaitMs;
		const isNextTurn = ctx.isIdle();
		const offers = beyond.offers(plan, { request: undefined, served: affinity.lastServed(), patienceMs, isNextTurn });
		for (const { rung, consent } of offers) {
			if (rung.kind === "chain") return true;
			if (consent === "given" || (beyond.mayAsk(isNextTurn) && ctx.hasUI)) return false;
		}
		return false;
	};
	return {
		codexModel: (ctx) => {
			const models = codexModels(ctx);
			const find = (id: string | undefined) => models.find((model) => model.id === id);
			const onBranch = codexOnBranch(ctx.sessionManager.getBranch(), settings().beyond.chain);
			return find(onBranch) ?? find(savedModel()) ?? models.at(-1);
		},
		isPoolOpen: (codexId, ctx) => {
			// What plain pi would do is not routed by us.
			if (!settings().enabled || link.isForeign()) return true;
			const plan = links.planFor(codexId, ctx);
			return isOpen(plan) || !isChainNext(plan, ctx);
		},
		linksBeside: (codex, ctx) => links.shown(ctx).filter(({ name }) => name !== modelName(codex)),
	};
}

/** Returns pi's Codex models, without virtual ones. */
function codexModels({ modelRegistry }: Pick<ExtensionContext, "modelRegistry">): Model<Api>[] {
	return modelRegistry.getAll().filter((model) => model.provider === PROVIDER && !isVirtual(model));
}
