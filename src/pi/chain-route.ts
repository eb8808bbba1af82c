import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { modelName } from "../core/beyond/chain.ts";
import { tellDefect } from "../core/defect-reports.ts";
import type { PoolListener, RequestInfo } from "../core/events.ts";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";
import type { ChainRoute } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import { chainByHand, chainTakesOver } from "../core/request/turn-texts.ts";
import type { Settings } from "../core/settings.ts";
import { type ChainLinks, isAskable } from "./chain-links.ts";
import type { PoolRegistration } from "./pool-registration.ts";
import type { PoolRoute } from "./pool-route.ts";
import { isPoolModel, POOL_MODEL } from "./virtual-models.ts";

interface Deps {
	/** Returns the session of this process. */
	readonly session: () => ExtensionContext | undefined;
	readonly affinity: Pick<Affinity, "isOwn">;
	readonly settings: () => Settings;
	readonly shown: ChainLinks["shown"];
	readonly registration: Pick<PoolRegistration, "isRegistered">;
	readonly routes: Pick<PoolRoute, "handOver">;
	/** True if this host's own retry repeats a request after an error with this text. */
	readonly isRepeatedByHost: (words: string) => boolean;
	readonly emit: PoolListener;
}

/** Creates the chain as a request without an account finds it. */
export function createChainRoute(pi: Pick<ExtensionAPI, "setModel">, deps: Deps): ChainRoute {
	const { session, affinity, settings, shown, registration, routes, isRepeatedByHost, emit } = deps;

	/** Returns the session of this process if the request belongs to it. The context of a replaced session throws. */
	const sessionOf = (asked: RequestInfo | undefined): ExtensionContext | undefined => {
		const { enabled, beyond } = settings();
		if (!enabled || beyond.chain.length === 0 || (asked && !affinity.isOwn(asked.sessionId))) return undefined;
		const ctx = session();
		try {
			return ctx?.model ? ctx : undefined;
		} catch {
			// Its last request ends as it would without a chain.
			return undefined;
		}
	};
	const askable = (asked: RequestInfo | undefined, ctx: ExtensionContext) => {
		const own = asked && modelName({ provider: PROVIDER, id: asked.modelId });
		return shown(ctx).filter((each) => isAskable(each) && each.name !== own);
	};
	return {
		links: (asked) => {
			const ctx = sessionOf(asked);
			if (!ctx || !registration.isRegistered()) return [];
			const needsYes = !isPoolModel(ctx.model);
			return askable(asked, ctx).map(({ name, isPaid }) => ({ kind: "chain", model: name, isPaid, needsYes }));
		},
		wayOn: (asked) => {
			const ctx = sessionOf(asked);
			const link = ctx && !isPoolModel(ctx.model) ? askable(asked, ctx)[0]?.name : undefined;
			// An old host repeats a turn because of a number anywhere in its error.
			if (link === undefined || isRepeatedByHost(link)) return undefined;
			return { model: registration.isRegistered() ? POOL_MODEL : link, link };
		},
		handOver: async ({ model }) => {
			routes.handOver(model);
			const ctx = session();
			const virtual = ctx && !isPoolModel(ctx.model) && ctx.modelRegistry.find(PROVIDER, POOL_MODEL_ID);
			try {
				if (virtual && !(await pi.setModel(virtual))) return chainByHand(POOL_MODEL, model);
			} catch (error) {
				tellDefect(error, "request", emit);
				return chainByHand(POOL_MODEL, model);
			}
			return chainTakesOver(model);
		},
	};
}
