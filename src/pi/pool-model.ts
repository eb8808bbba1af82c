import type { Api, AssistantMessage, Model } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Beyond } from "../core/beyond/beyond.ts";
import { modelName } from "../core/beyond/chain.ts";
import { createLinkFailures, failureIn } from "../core/beyond/link-failures.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { ChainRoute, Clock } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import type { Plan } from "../core/request/plan.ts";
import { linkFailed } from "../core/request/turn-texts.ts";
import type { Settings } from "../core/settings.ts";
import { createChainLinks, isAskable, type ShownLink } from "./chain-links.ts";
import { createChainRoute } from "./chain-route.ts";
import { createPoolOrChain } from "./pool-or-chain.ts";
import { createPoolRegistration } from "./pool-registration.ts";
import { createPoolRoute } from "./pool-route.ts";
import { latestState } from "./route-state.ts";
import { isPoolModel } from "./virtual-models.ts";

/** Levels offered for selection. The host clamps the level to the model that it routes to. */
const THINKING_LEVELS = ["off", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

/** The virtual model `openai-codex/pool`: the pool first, and the links of the chain while no account can serve. */
export interface PoolModel extends ChainRoute {
	/** False on hosts without virtual models. */
	readonly isAvailable: boolean;
	/**
	 * Registers the model while there is a chain. Removes it when the chain is emptied or the extension is switched off;
	 * a session on it then continues with its Codex model. Never rejects: an error of the host is reported, and the next
	 * session tries again.
	 */
	keep(ctx: ExtensionContext | undefined): Promise<void>;
	/** Starts a session. */
	begin(ctx: ExtensionContext): void;
	/** Returns the Codex model of a session that is on Codex or on the virtual model; undefined for any other session. */
	codexId(ctx: ExtensionContext): string | undefined;
	/** Describes every link of the chain as it is now. */
	shown(ctx: ExtensionContext): readonly ShownLink[];
	/** Describes a link as if it were in the chain now. */
	look(name: string, ctx: ExtensionContext): ShownLink;
	/**
	 * Returns the link that the session is on: the one that would serve next while no account can, or the one that a turn
	 * started with. Undefined while the pool serves it.
	 */
	serving(ctx: ExtensionContext): string | undefined;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly link: PiLoginSync;
	readonly settings: () => Settings;
	/** Returns the Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	/** Returns a mark that distinguishes the stored credentials of a provider from later ones. */
	readonly loginMark: (provider: string) => string | undefined;
	/** Checks in the background whether a cooling account is back early. */
	readonly recheckCooling: () => void;
	/** What may serve a session beyond included quota. The chain is one step of it. */
	readonly beyond: Pick<Beyond, "mayAsk" | "offers">;
	/** Looks up what is unknown about that, through calls next to `baseUrl`. Never rejects. */
	readonly lookUp: (plan: Plan, baseUrl: string, signal: AbortSignal | undefined) => Promise<unknown>;
	/** True if this host's own retry repeats a request after an error with this text. */
	readonly isRepeatedByHost: (words: string) => boolean;
	readonly clock: Clock;
}

/** Creates the model, and registers it if a chain is already set. */
export function createPoolModel(pi: ExtensionAPI, deps: Deps): PoolModel {
	const { pool, affinity, settings, loginMark, isRepeatedByHost, clock } = deps;
	const failures = createLinkFailures(clock);
	/** The session of this process. */
	let session: ExtensionContext | undefined;

	const links = createChainLinks({ ...deps, failures });
	const { look, shown } = links;
	const poolOrChain = createPoolOrChain({ ...deps, links });
	const { codexModel, isPoolOpen, linksBeside } = poolOrChain;
	const routes = createPoolRoute({ ...deps, planFor: links.planFor, poolOrChain });
	const chain = () => settings().beyond.chain;

	/** Returns the link that serves next while the pool cannot. */
	const nextLink = (codex: Model<Api>, ctx: ExtensionContext) =>
		isPoolOpen(codex.id, ctx) ? undefined : linksBeside(codex, ctx).find(isAskable)?.name;

	/**
	 * Handles an answer or failure of a link. Before any output, makes the host repeat the request, which is then routed
	 * elsewhere.
	 */
	const ended = (message: AssistantMessage, ctx: ExtensionContext): AssistantMessage | undefined => {
		const name = modelName({ provider: message.provider, id: message.model });
		if (!isPoolModel(ctx.model) || !chain().includes(name)) return undefined;
		if (message.stopReason !== "error") {
			if (message.stopReason !== "aborted") failures.answered(name);
			return undefined;
		}
		// The pool handles its own accounts, and a context that is too long is not the link's fault.
		const { model } = look(name, ctx);
		if (message.provider === PROVIDER || isOverflow(message, model)) return undefined;
		const closure = failures.failed(name, failureIn(message.errorMessage ?? ""), () => loginMark(message.provider));
		if (!closure) return undefined;
		pool.emit({ type: "link-closed", link: name, reason: closure.kind, until: closure.until });
		if (message.content.length > 0) return undefined;
		const codex = codexModel(ctx);
		return { ...message, errorMessage: linkFailed(name, closure.kind, codex && nextLink(codex, ctx)) };
	};

	const registration = createPoolRegistration(pi, {
		isWanted: () => settings().enabled && chain().length > 0,
		define: (ctx) => {
			// The limits of the session's Codex model. They apply until a model has answered.
			const { contextWindow, maxTokens } = (ctx && codexModel(ctx)) ?? {};
			return {
				provider: PROVIDER,
				id: POOL_MODEL_ID,
				name: "Codex pool, then the chain",
				thinkingLevels: THINKING_LEVELS,
				...(contextWindow !== undefined && { contextWindow }),
				...(maxTokens !== undefined && { maxTokens }),
				route: (request, given) => {
					session = given;
					return routes.route(request, given);
				},
			};
		},
		onFirst: () =>
			pi.on("message_end", ({ message }, ctx) => {
				const replacement = message.role === "assistant" ? ended(message, ctx) : undefined;
				return replacement && { message: replacement };
			}),
		leave: async (ctx) => {
			const codex = ctx && isPoolModel(ctx.model) ? codexModel(ctx) : undefined;
			if (codex) await pi.setModel(codex);
		},
		emit: pool.emit,
	});
	void registration.keep(undefined);

	const chainRoute = createChainRoute(pi, {
		session: () => session,
		affinity,
		settings,
		shown,
		registration,
		routes,
		isRepeatedByHost,
		emit: pool.emit,
	});

	return {
		...chainRoute,
		isAvailable: registration.isAvailable,
		keep: registration.keep,
		begin: (ctx) => {
			session = ctx;
			routes.handOver(undefined);
			failures.beginSession();
			registration.begin(ctx);
		},
		codexId: (ctx) => {
			const { model } = ctx;
			if (model?.provider !== PROVIDER) return undefined;
			return isPoolModel(model) ? codexModel(ctx)?.id : model.id;
		},
		shown,
		look,
		serving: (ctx) => {
			const codex = isPoolModel(ctx.model) ? codexModel(ctx) : undefined;
			if (!codex) return undefined;
			const now = ctx.isIdle() ? undefined : latestState(ctx.sessionManager.getBranch())?.link;
			return now ?? nextLink(codex, ctx);
		},
	};
}

/** True if the host will compact the context and ask the same model again. */
function isOverflow(message: AssistantMessage, model: Model<Api> | undefined): boolean {
	const ask: unknown = Reflect.get(ai, "isContextOverflow");
	return typeof ask === "function" && ask(message, model?.contextWindow ?? 0) === true;
}
