import type { Api, AssistantMessage, Model } from "@mariozechner/pi-ai";
import * as ai from "@mariozechner/pi-ai";
import type { ExtensionAPI, ExtensionContext } from "@mariozechner/pi-coding-agent";
import { raceAbort } from "../core/abort.ts";
import type { Beyond } from "../core/beyond/beyond.ts";
import { type Link, linkFor, modelName } from "../core/beyond/chain.ts";
import { createLinkFailures, failureIn } from "../core/beyond/link-failures.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { guarded, tellDefect } from "../core/defect-reports.ts";
import type { RequestInfo } from "../core/events.ts";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import type { ChainRoute, Clock } from "../core/ports.ts";
import type { Affinity } from "../core/request/affinity.ts";
import { firstBack, type Plan } from "../core/request/plan.ts";
import { chainByHand, chainTakesOver, linkFailed } from "../core/request/turn-texts.ts";
import type { Settings } from "../core/settings.ts";
import { createChainLinks, isAskable, isOpen, type ShownLink } from "./chain-links.ts";
import { codexOnBranch, latestState, type RouteState, stateIn } from "./route-state.ts";
import { sessionIdOf } from "./session-id.ts";
import { hasVirtualModels, isVirtual, type Route, type RouteRequest } from "./virtual-models.ts";

/** Its full name. */
export const POOL_MODEL = `${PROVIDER}/${POOL_MODEL_ID}`;

/** Levels offered for selection. The host clamps the level to the model that it routes to. */
const THINKING_LEVELS = ["off", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

/** True if the session has selected our virtual model. */
export function isPoolModel(model: ExtensionContext["model"]): boolean {
	return isVirtual(model) && model?.provider === PROVIDER && model.id === POOL_MODEL_ID;
}

/** Returns pi's Codex models, without virtual ones. */
export function codexModels({ modelRegistry }: Pick<ExtensionContext, "modelRegistry">): Model<Api>[] {
	return modelRegistry.getAll().filter((model) => model.provider === PROVIDER && !isVirtual(model));
}

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
	const { pool, affinity, link: sync, settings, savedModel, loginMark, recheckCooling, clock } = deps;
	const { beyond, lookUp, isRepeatedByHost } = deps;
	const failures = createLinkFailures(clock);
	const host: object = pi;
	let isRegistered = false;
	let isHooked = false;
	/** What the host has refused in this session: registering the model (true) or removing it (false). */
	let refused: boolean | undefined;
	/** The session of this process. */
	let session: ExtensionContext | undefined;
	/** The link that the person has chosen for the request that is about to be repeated. */
	let handedTo: string | undefined;

	const { planFor, look, shown } = createChainLinks({ ...deps, failures });
	const chain = () => settings().beyond.chain;
	const wants = () => settings().enabled && chain().length > 0;

	/** The pool handles the session's own Codex model, even if it is listed in the chain. */
	const linksBeside = (codex: Model<Api>, ctx: ExtensionContext) =>
		shown(ctx).filter(({ name }) => name !== modelName(codex));

	/** Returns the session's Codex model: the one on its branch, else the saved default, else the newest that pi has. */
	const codexModel = (ctx: ExtensionContext): Model<Api> | undefined => {
		const models = codexModels(ctx);
		const find = (id: string | undefined) => models.find((model) => model.id === id);
		return find(codexOnBranch(ctx.sessionManager.getBranch(), chain())) ?? find(savedModel()) ?? models.at(-1);
	};
	const isPoolOpen = (codexId: string, ctx: ExtensionContext): boolean => {
		// What plain pi would do is not routed by us.
		if (!settings().enabled || sync.isForeign()) return true;
		const plan = planFor(codexId, ctx);
		return isOpen(plan) || !isChainNext(plan, ctx);
	};
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

	const route = async (request: RouteRequest, ctx: ExtensionContext): Promise<Route> => {
		const { reason, previous, failed, thinkingLevel, signal } = request;
		session = ctx;
		await raceAbort(sync.sync(signal), signal);
		pool.detectChanges();
		const codex = codexModel(ctx);
		if (!codex) throw new Error(`pi knows no model of ${PROVIDER}.`);
		const current = failed ?? previous;
		// What precedes the chain may still be unknown. A check without a request fetches nothing.
		if (reason !== "direct") await raceAbort(lookUp(planFor(codex.id, ctx), codex.baseUrl, signal), signal);
		const isOpenNow = isPoolOpen(codex.id, ctx);
		if (!isOpenNow) recheckCooling();
		const beside = linksBeside(codex, ctx);
		const wanted = reason === "retry" ? beside.find((each) => each.name === handedTo && isAskable(each)) : undefined;
		if (reason !== "direct") handedTo = undefined;
		const chosen =
			wanted ??
			linkFor({
				reason,
				isMidTurn: request.messages.at(-1)?.role === "toolResult",
				current: current && modelName(current.model),
				isPoolOpen: isOpenNow,
				links: beside,
			});
		const model = beside.find(({ name }) => name === chosen?.name)?.model ?? codex;
		if (reason === "direct") return { model, thinkingLevel };
		return { model, thinkingLevel, state: told(request.state, codex.id, chosen, ctx) };
	};
	/** Emits a move between pool and chain. Returns the state for the host to keep. */
	const told = (before: unknown, codex: string, chosen: Link | undefined, ctx: ExtensionContext): RouteState => {
		const known = stateIn(before);
		const link = chosen?.name ?? null;
		if (known?.codex === codex && known.link === link) return known;
		const from = known?.link ?? undefined;
		const asked = { modelId: codex, sessionId: sessionIdOf(ctx) };
		if (chosen && chosen.name !== from) {
			const first = firstBack(planFor(codex, ctx));
			const back = first && { account: first.account.id, at: first.readyAt, isGuess: first.isGuess };
			pool.emit({ type: "chain-serves", link: chosen.name, isPaid: chosen.isPaid, from, back, asked });
		}
		// The pool is also asked while no account is back, if something else precedes the chain, perhaps with a question.
		if (!chosen && from !== undefined && isOpen(planFor(codex, ctx)))
			pool.emit({ type: "chain-left", link: from, asked });
		return { codex, link };
	};

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
		const isNext = codex !== undefined && !isPoolOpen(codex.id, ctx);
		const next = isNext ? linksBeside(codex, ctx).find(isAskable)?.name : undefined;
		return { ...message, errorMessage: linkFailed(name, closure.kind, next) };
	};

	/** Returns the session of this process if the request belongs to it. The context of a replaced session throws. */
	const sessionOf = (asked: RequestInfo | undefined): ExtensionContext | undefined => {
		if (!settings().enabled || chain().length === 0 || (asked && !affinity.isOwn(asked.sessionId))) return undefined;
		try {
			return session?.model ? session : undefined;
		} catch {
			// Its last request ends as it would without a chain.
			return undefined;
		}
	};
	const askable = (asked: RequestInfo | undefined, ctx: ExtensionContext) => {
		const own = asked && modelName({ provider: PROVIDER, id: asked.modelId });
		return shown(ctx).filter((each) => isAskable(each) && each.name !== own);
	};

	/** Registers the model with the limits of the session's Codex model. They apply until a model has answered. */
	const register = (ctx: ExtensionContext | undefined) => {
		if (!hasVirtualModels(host)) return;
		const { contextWindow, maxTokens } = (ctx && codexModel(ctx)) ?? {};
		host.registerVirtualModel({
			provider: PROVIDER,
			id: POOL_MODEL_ID,
			name: "Codex pool, then the chain",
			thinkingLevels: THINKING_LEVELS,
			...(contextWindow !== undefined && { contextWindow }),
			...(maxTokens !== undefined && { maxTokens }),
			route,
		});
	};
	const change = async (ctx: ExtensionContext | undefined) => {
		if (!hasVirtualModels(host)) return;
		if (wants()) {
			register(ctx);
			isRegistered = true;
			if (isHooked) return;
			isHooked = true;
			pi.on("message_end", ({ message }, given) => {
				const replacement = message.role === "assistant" ? ended(message, given) : undefined;
				return replacement && { message: replacement };
			});
			return;
		}
		isRegistered = false;
		try {
			const codex = ctx && isPoolModel(ctx.model) ? codexModel(ctx) : undefined;
			if (codex) await pi.setModel(codex);
		} finally {
			// The chain, and with it the model, may have come back meanwhile.
			if (!isRegistered) host.unregisterVirtualModel(PROVIDER, POOL_MODEL_ID);
		}
	};
	const keep = async (ctx: ExtensionContext | undefined) => {
		const wanted = wants();
		// Runs on every event of the pool, also on the one that reports its failure.
		if (!hasVirtualModels(host) || wanted === isRegistered || wanted === refused) return;
		try {
			await change(ctx);
			refused = undefined;
		} catch (error) {
			refused = wanted;
			tellDefect(error, "session", pool.emit);
		}
	};
	void keep(undefined);

	return {
		isAvailable: hasVirtualModels(host),
		keep,
		begin: (ctx) => {
			session = ctx;
			handedTo = undefined;
			refused = undefined;
			failures.beginSession();
			if (isRegistered) guarded(() => register(ctx), "session", pool.emit);
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
			return now ?? (isPoolOpen(codex.id, ctx) ? undefined : linksBeside(codex, ctx).find(isAskable)?.name);
		},
		links: (asked) => {
			const ctx = sessionOf(asked);
			if (!ctx || !isRegistered) return [];
			const needsYes = !isPoolModel(ctx.model);
			return askable(asked, ctx).map(({ name, isPaid }) => ({ kind: "chain", model: name, isPaid, needsYes }));
		},
		wayOn: (asked) => {
			const ctx = sessionOf(asked);
			const link = ctx && !isPoolModel(ctx.model) ? askable(asked, ctx)[0]?.name : undefined;
			// An old host repeats a turn because of a number anywhere in its error.
			if (link === undefined || isRepeatedByHost(link)) return undefined;
			return { model: isRegistered ? POOL_MODEL : link, link };
		},
		handOver: async ({ model }) => {
			handedTo = model;
			const virtual = session && !isPoolModel(session.model) && session.modelRegistry.find(PROVIDER, POOL_MODEL_ID);
			try {
				if (virtual && !(await pi.setModel(virtual))) return chainByHand(POOL_MODEL, model);
			} catch (error) {
				tellDefect(error, "request", pool.emit);
				return chainByHand(POOL_MODEL, model);
			}
			return chainTakesOver(model);
		},
	};
}

/** True if the host will compact the context and ask the same model again. */
function isOverflow(message: AssistantMessage, model: Model<Api> | undefined): boolean {
	const ask: unknown = Reflect.get(ai, "isContextOverflow");
	return typeof ask === "function" && ask(message, model?.contextWindow ?? 0) === true;
}
