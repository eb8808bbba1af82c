import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import { raceAbort } from "../core/abort.ts";
import { type Link, linkFor, modelName } from "../core/beyond/chain.ts";
import type { PiLoginSync } from "../core/credentials/pi-login-sync.ts";
import { PROVIDER } from "../core/ids.ts";
import type { Pool } from "../core/pool/pool.ts";
import { firstBack, type Plan } from "../core/request/plan.ts";
import { type ChainLinks, isAskable, isOpen } from "./chain-links.ts";
import type { PoolOrChain } from "./pool-or-chain.ts";
import { type RouteState, stateIn } from "./route-state.ts";
import { sessionIdOf } from "./session-id.ts";
import type { Route, RouteRequest } from "./virtual-models.ts";

/** Routes the requests of a session on the virtual model to the pool or to a link of the chain. */
export interface PoolRoute {
	route(request: RouteRequest, ctx: ExtensionContext): Promise<Route>;
	/** Makes a link serve the request that the host is about to repeat. Undefined takes that back. */
	handOver(link: string | undefined): void;
}

interface Deps {
	readonly pool: Pick<Pool, "detectChanges" | "emit">;
	readonly link: Pick<PiLoginSync, "sync">;
	readonly planFor: ChainLinks["planFor"];
	readonly poolOrChain: PoolOrChain;
	/** Checks in the background whether a cooling account is back early. */
	readonly recheckCooling: () => void;
	/** Looks up what is unknown about what precedes the chain, through calls next to `baseUrl`. Never rejects. */
	readonly lookUp: (plan: Plan, baseUrl: string, signal: AbortSignal | undefined) => Promise<unknown>;
}

/** Creates the router. */
export function createPoolRoute({ pool, link, planFor, poolOrChain, recheckCooling, lookUp }: Deps): PoolRoute {
	/** The link that the person has chosen for the request that is about to be repeated. */
	let handedTo: string | undefined;

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
	/** Chooses the link that serves a request; undefined for the pool. */
	const choose = (request: RouteRequest, codex: Model<Api>, ctx: ExtensionContext) => {
		const { reason, previous, failed } = request;
		const current = failed ?? previous;
		const isPoolOpen = poolOrChain.isPoolOpen(codex.id, ctx);
		if (!isPoolOpen) recheckCooling();
		const links = poolOrChain.linksBeside(codex, ctx);
		const wanted = reason === "retry" ? links.find((each) => each.name === handedTo && isAskable(each)) : undefined;
		if (reason !== "direct") handedTo = undefined;
		const chosen =
			wanted ??
			linkFor({
				reason,
				isMidTurn: request.messages.at(-1)?.role === "toolResult",
				current: current && modelName(current.model),
				isPoolOpen,
				links,
			});
		return links.find(({ name }) => name === chosen?.name);
	};
	return {
		route: async (request, ctx) => {
			const { reason, thinkingLevel, signal } = request;
			await raceAbort(link.sync(signal), signal);
			pool.detectChanges();
			const codex = poolOrChain.codexModel(ctx);
			if (!codex) throw new Error(`pi knows no model of ${PROVIDER}.`);
			// What precedes the chain may still be unknown. A check without a request fetches nothing.
			if (reason !== "direct") await raceAbort(lookUp(planFor(codex.id, ctx), codex.baseUrl, signal), signal);
			const chosen = choose(request, codex, ctx);
			const model = chosen?.model ?? codex;
			if (reason === "direct") return { model, thinkingLevel };
			return { model, thinkingLevel, state: told(request.state, codex.id, chosen, ctx) };
		},
		handOver: (name) => {
			handedTo = name;
		},
	};
}
