import type { Api, Model } from "@mariozechner/pi-ai";
import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { RouteReason } from "../core/beyond/chain.ts";
import { POOL_MODEL_ID, PROVIDER } from "../core/ids.ts";

/** The full name of our own virtual model. */
export const POOL_MODEL = `${PROVIDER}/${POOL_MODEL_ID}`;

/** The api of every virtual model. Its requests never reach a provider. */
const VIRTUAL_API = "pi-virtual";

/** A request to be routed. Newer hosts have a type for it, which 0.73.1 lacks. */
export interface RouteRequest {
	readonly thinkingLevel: string;
	readonly reason: RouteReason;
	/** The model that answered last. */
	readonly previous?: { readonly model: Model<Api> };
	/** For a retry, the model that failed; absent if the routing itself did. */
	readonly failed?: { readonly model: Model<Api> };
	/** What the router last returned on this branch. */
	readonly state?: unknown;
	readonly messages: readonly { readonly role: string }[];
	readonly signal?: AbortSignal;
}

/** Where a request is routed. */
export interface Route {
	readonly model: Model<Api>;
	readonly thinkingLevel: string;
	readonly state?: object;
}

/** A model that routes to others, as a host gets it. */
export interface VirtualModel {
	readonly provider: string;
	readonly id: string;
	readonly name: string;
	readonly thinkingLevels: readonly string[];
	/** Shown before the first answer. Afterwards the host uses the limits of the model that gave it. */
	readonly contextWindow?: number;
	readonly maxTokens?: number;
	route(request: RouteRequest, ctx: ExtensionContext): Promise<Route>;
}

/** The part of the host's interface that hosts before 0.99 lack. */
export interface VirtualModels {
	registerVirtualModel(definition: VirtualModel): void;
	unregisterVirtualModel(provider: string, id: string): void;
}

/** True if this host supports virtual models. */
export function hasVirtualModels(pi: object): pi is VirtualModels {
	return (
		typeof Reflect.get(pi, "registerVirtualModel") === "function" &&
		typeof Reflect.get(pi, "unregisterVirtualModel") === "function"
	);
}

/** True if this model routes to others. */
export function isVirtual(model: { readonly api?: string } | undefined): boolean {
	return model?.api === VIRTUAL_API;
}

/** True if the session has selected our own virtual model. */
export function isPoolModel(model: ExtensionContext["model"]): boolean {
	return isVirtual(model) && model?.provider === PROVIDER && model.id === POOL_MODEL_ID;
}
