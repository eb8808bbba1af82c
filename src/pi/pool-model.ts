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
import { hasVirtualModels, isVirtual, type Route, type RouteRequest } from "./virtual-models.ts";

/** Its whole name. */
export const POOL_MODEL = `${PROVIDER}/${POOL_MODEL_ID}`;

/** Offered for selection; the host clamps the level to the model that it routes to. */
const THINKING_LEVELS = ["off", "minimal", "low", "medium", "high", "xhigh", "max"] as const;

/** Has the session our virtual model selected? */
export function isPoolModel(model: ExtensionContext["model"]): boolean {
	return isVirtual(model) && model?.provider === PROVIDER && model.id === POOL_MODEL_ID;
}

/** The Codex models that pi knows, without virtual ones. */
export function codexModels({ modelRegistry }: Pick<ExtensionContext, "modelRegistry">): Model<Api>[] {
	return modelRegistry.getAll().filter((model) => model.provider === PROVIDER && !isVirtual(model));
}

/** The virtual model `openai-codex/pool`: the pool first, the links of the chain while no account can serve. */
export interface PoolModel extends ChainRoute {
	/** False on hosts without virtual models. */
	readonly isAvailable: boolean;
	/**
	 * Registers it once a chain is set, and takes it away with the chain's end, or while the person has switched us off:
	 * a session that is on it then goes on with its Codex model. Never rejects: where the host throws, that is reported,
	 * and tried again in the next session.
	 */
	keep(ctx: ExtensionContext | undefined): Promise<void>;
	/** Begins a session. */
	begin(ctx: ExtensionContext): void;
	/** The Codex model of a session that is on Codex, or on the virtual model; undefined for any other. */
	codexId(ctx: ExtensionContext): string | undefined;
	/** Every link of the chain as it stands now. */
	shown(ctx: ExtensionContext): readonly ShownLink[];
	/** A link as it would stand. */
	look(name: string, ctx: ExtensionContext): ShownLink;
	/**
	 * The link that the session is on: the one that would serve next while no account can, or the one that a turn began
	 * with. Undefined while the pool serves it.
	 */
	serving(ctx: ExtensionContext): string | undefined;
}

interface Deps {
	readonly pool: Pool;
	readonly affinity: Affinity;
	readonly link: PiLoginSync;
	readonly settings: () => Settings;
	/** The Codex model that the person has saved as the default. */
	readonly savedModel: () => string | undefined;
	/** Tells the stored credentials of a provider from later ones. */
	readonly loginMark: (provider: string) => string | undefined;
	/** Asks, beside the request, whether an account that cools is back early. */
	readonly recheckCooling: () => void;
	/** What may serve a session beyond the included quota of accounts, for which the chain is one step. */
	readonly beyond: Pick<Beyond, "mayAsk" | "offers">;
	/** Has looked up what is not known of that, by calls beside `baseUrl`. Never rejects. */
	readonly lookUp: (plan: Plan, baseUrl: string, signal: AbortSignal | undefined) => Promise<unknown>;
	/** Does this host's own retry ask again after an error with these words? */
	readonly isRepeatedByHost: (words: string) => boolean;
	readonly clock: Clock;
}

/** Creates it, and registers it where a chain is set already. */
export function createPoolModel(pi: ExtensionAPI, deps: Deps): PoolModel {
	const { pool, affinity, link: sync, settings, savedModel, loginMark, recheckCooling, clock } = deps;
	const { beyond, lookUp, isRepeatedByHost } = deps;
	const failures = createLinkFailures(clock);
	const host: object = pi;
	let isRegistered = false;
	let isHooked = false;
	/** What the host has refused in this session: to have the model, or to be without it. */
	let refused: boolean | undefined;
	/** The session of this process. */
	let session: ExtensionContext | undefined;
	/** The link that the person has chosen for the request that is asked again. */
	let handedTo: string | undefined;

	const { planFor, look, shown } = createChainLinks({ ...deps, failures });
	const chain = () => settings().beyond.chain;
	const wants = () => settings().enabled && chain().length > 0;

	/** The session's own Codex model is the pool's business, also where it is listed. */
	const linksBeside = (codex: Model<Api>, ctx: ExtensionContext) =>
		shown(ctx).filter(({ name }) => name !== modelName(codex));

	/** The session's Codex model: as its branch has it, else the saved default, else the newest that pi knows. */
	const codexModel = (ctx: ExtensionContext): Model<Api> | undefined => {
		const models = codexModels(ctx);
		const find = (id: string | undefined) => models.find((model) => model.id === id);
		return find(codexOnBranch(ctx.sessionManager.getBranch(), chain())) ?? find(savedModel()) ?? models.at(-1);
	};
	const isPoolOpen = (codexId: string, ctx: ExtensionContext): boolean => {
		// What plain pi would do is not ours to route.
		if (!settings().enabled || sync.isForeign()) return true;
		const plan = planFor(codexId, ctx);
		return isOpen(plan) || !isChainNext(plan, ctx);
	};
	/** Whether all that comes before the chain is out as well, or lacks a yes for which no person can be asked. */
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
		// What comes before the chain may not be known yet. A look without a request asks for nothing.
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
	/** Tells of a move between pool and chain; the state as the host is to keep it. */
	const told = (before: unknown, codex: string, chosen: Link | undefined, ctx: ExtensionContext): RouteState => {
		const known = stateIn(before);
		const link = chosen?.name ?? null;
		if (known?.codex === codex && known.link === link) return known;
		const from = known?.link ?? undefined;
		const asked = { modelId: codex, sessionId: ctx.sessionManager.getSessionId() };
		if (chosen && chosen.name !== from) {
			const first = firstBack(planFor(codex, ctx));
			const back = first && { account: first.account.id, at: first.readyAt, isGuess: first.isGuess };
			pool.emit({ type: "chain-serves", link: chosen.name, isPaid: chosen.isPaid, from, back, asked });
		}
		// The pool is also asked while none is back, where something else comes before the chain, perhaps with a question.
		if (!chosen && from !== undefined && isOpen(planFor(codex, ctx)))
			pool.emit({ type: "chain-left", link: from, asked });
		return { codex, link };
	};

	/** A link has answered, or failed. Before any output the host is brought to ask again, which is routed elsewhere. */
	const ended = (message: AssistantMessage, ctx: ExtensionContext): AssistantMessage | undefined => {
		const name = modelName({ provider: message.provider, id: message.model });
		if (!isPoolModel(ctx.model) || !chain().includes(name)) return undefined;
		if (message.stopReason !== "error") {
			if (message.stopReason !== "aborted") failures.answered(name);
			return undefined;
		}
		// Its accounts are the pool's business, and a context that is too long is no fault of the link.
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

	/** The session of this process, where the request is its own. The context of one that was replaced throws. */
	const sessionOf = (asked: RequestInfo | undefined): ExtensionContext | undefined => {
		if (!settings().enabled || chain().length === 0 || (asked && !affinity.isOwn(asked.sessionId))) return undefined;
		try {
			return session?.model ? session : undefined;
		} catch {
			// Its last request ends as one without a chain.
			return undefined;
		}
	};
	const askable = (asked: RequestInfo | undefined, ctx: ExtensionContext) => {
		const own = asked && modelName({ provider: PROVIDER, id: asked.modelId });
		return shown(ctx).filter((each) => isAskable(each) && each.name !== own);
	};

	/** Its limits are those of the session's Codex model, for as long as no model has answered. */
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
			// The chain may have come back meanwhile, and the model with it.
			if (!isRegistered) host.unregisterVirtualModel(PROVIDER, POOL_MODEL_ID);
		}
	};
	const keep = async (ctx: ExtensionContext | undefined) => {
		const wanted = wants();
		// Each event of the pool comes here, and so does the one about a failure.
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
			// An old host repeats a turn for a number anywhere in its error.
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

/** A host compacts and asks the same model again. */
function isOverflow(message: AssistantMessage, model: Model<Api> | undefined): boolean {
	const ask: unknown = Reflect.get(ai, "isContextOverflow");
	return typeof ask === "function" && ask(message, model?.contextWindow ?? 0) === true;
}
