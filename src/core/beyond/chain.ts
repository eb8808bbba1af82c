/**
 * The chain: models from the person's own list that serve, in order, while no account of the pool can. Pure; what a
 * host knows of a model is passed in.
 */

/** A model as a host knows it. */
interface ModelRef {
	readonly provider: string;
	readonly id: string;
}

/** Reads `provider/model`. The id may contain more slashes. Undefined for anything else. */
export function modelRefOf(name: string): ModelRef | undefined {
	const slash = name.indexOf("/");
	const [provider, id] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)];
	return provider !== "" && id !== "" && !/\s/.test(name) ? { provider, id } : undefined;
}

/** Returns the name under which a model is listed. */
export function modelName({ provider, id }: ModelRef): string {
	return `${provider}/${id}`;
}

/** Why a link cannot be asked. */
export type LinkObstacle =
	/** The host knows no such model. */
	| "unknown-model"
	/** A virtual model. It routes by itself, and hosts do not let one virtual model route to another. */
	| "virtual"
	/** Its provider has neither a sign-in nor a key. */
	| "no-credentials"
	/** A Codex model that no account of the pool may use. */
	| "not-offered"
	/** A Codex model that no account of the pool can serve now. */
	| "no-account"
	/** It was asked and failed. */
	| "failed";

/** A link of the chain at one moment. */
export interface Link {
	readonly name: string;
	/** Why it cannot be asked; undefined if it can. */
	readonly obstacle: LinkObstacle | undefined;
	/** True if a request costs money: an API key, and a price above 0. */
	readonly isPaid: boolean;
}

/** Why a request is made, in the host's terms. */
export type RouteReason = "user" | "continuation" | "retry" | "direct";

/** What the choice between pool and chain depends on. */
export interface RouteFacts {
	readonly reason: RouteReason;
	/** True if the request follows a tool result. */
	readonly isMidTurn: boolean;
	/** The model of this turn: for a retry the one that failed, else the one that answered last. */
	readonly current: string | undefined;
	/** True if an account can serve now, or something that precedes the chain. */
	readonly isPoolOpen: boolean;
	/** In the person's order. */
	readonly links: readonly Link[];
}

/**
 * Returns the link that serves a request; undefined for the pool. The pool also gets what no link can serve, since its
 * loop has the message for that. A turn continues where it is. Between two turns the pool comes first, except for a
 * turn that no person started and whose prompt cache is at a free link.
 */
export function linkFor({ reason, isMidTurn, current, isPoolOpen, links }: RouteFacts): Link | undefined {
	const open = links.filter(({ obstacle }) => obstacle === undefined);
	const own = open.find(({ name }) => name === current);
	const isInTurn = reason === "retry" || (reason === "continuation" && isMidTurn);
	if (own && (isInTurn || (reason === "continuation" && !own.isPaid))) return own;
	return isPoolOpen ? undefined : open[0];
}
