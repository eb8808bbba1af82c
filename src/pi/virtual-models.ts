import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { RouteReason } from "../core/beyond/chain.ts";

/** The api of every virtual model. Its requests never reach a provider. */
const VIRTUAL_API = "pi-virtual";

/** A request that is to be routed. Newer hosts have a type for it, 0.73.1 has none. */
export interface RouteRequest {
	readonly thinkingLevel: string;
	readonly reason: RouteReason;
	/** The model that answered last. */
	readonly previous?: { readonly model: Model<Api> };
	/** Of a retry, the model that failed; absent where the routing itself did. */
	readonly failed?: { readonly model: Model<Api> };
	/** What the router has returned last on this branch. */
	readonly state?: unknown;
	readonly messages: readonly { readonly role: string }[];
	readonly signal?: AbortSignal;
}

/** Where a request goes. */
export interface Route {
	readonly model: Model<Api>;
	readonly thinkingLevel: string;
	readonly state?: object;
}

/** The part of the host's interface that hosts before 0.99 do not have. */
export interface VirtualModels {
	registerVirtualModel(definition: {
		readonly provider: string;
		readonly id: string;
		readonly name: string;
		readonly thinkingLevels: readonly string[];
		/** Shown before the first answer; after it the host has those of the model that gave it. */
		readonly contextWindow?: number;
		readonly maxTokens?: number;
		route(request: RouteRequest, ctx: ExtensionContext): Promise<Route>;
	}): void;
	unregisterVirtualModel(provider: string, id: string): void;
}

/** Can this host have virtual models? */
export function hasVirtualModels(pi: object): pi is VirtualModels {
	return (
		typeof Reflect.get(pi, "registerVirtualModel") === "function" &&
		typeof Reflect.get(pi, "unregisterVirtualModel") === "function"
	);
}

/** Is this model one that routes to others? */
export function isVirtual(model: { readonly api?: string } | undefined): boolean {
	return model?.api === VIRTUAL_API;
}
