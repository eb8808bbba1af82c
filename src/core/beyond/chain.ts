/**
 * The chain: models of the person's own list, asked one after the other while no account of the pool can serve. Pure;
 * what a host knows of a model is handed in.
 */

/** A model as a host knows it. */
export interface ModelRef {
	readonly provider: string;
	readonly id: string;
}

/** Reads `provider/model`; the id may have more slashes. Undefined for anything else. */
export function modelRefOf(name: string): ModelRef | undefined {
	const slash = name.indexOf("/");
	const [provider, id] = [name.slice(0, Math.max(0, slash)), name.slice(slash + 1)];
	return provider !== "" && id !== "" && !/\s/.test(name) ? { provider, id } : undefined;
}

/** The name under which a model is listed. */
export function modelName({ provider, id }: ModelRef): string {
	return `${provider}/${id}`;
}

/** Why a link cannot be asked. */
export type LinkObstacle =
	/** The host knows no such model. */
	| "unknown-model"
	/** A virtual model: it routes by itself, and a host lets none route to another. */
	| "virtual"
	/** Its provider has neither sign-in nor key. */
	| "no-credentials"
	/** A Codex model that no account of the pool may use. */
	| "not-offered"
	/** A Codex model that no account of the pool can serve now. */
	| "no-account"
	/** It was asked, and failed. */
	| "failed";

/** A link of the chain as it stands at one moment. */
export interface Link {
	readonly name: string;
	/** Undefined where it can be asked. */
	readonly obstacle: LinkObstacle | undefined;
	/** A request costs money: an API key, and a price above 0. */
	readonly isPaid: boolean;
}

/** Why a request is made, by the words of the host. */
export type RouteReason = "user" | "continuation" | "retry" | "direct";

/** What the choice between pool and chain depends on. */
export interface RouteFacts {
	readonly reason: RouteReason;
	/** The request follows a tool's result. */
	readonly isMidTurn: boolean;
	/** The model that the turn is on: of a retry the one that failed, else the one that answered last. */
	readonly current: string | undefined;
	/** An account can serve now, or something that comes before the chain. */
	readonly isPoolOpen: boolean;
	/** In the person's order. */
	readonly links: readonly Link[];
}

/**
 * The link that serves a request; undefined for the pool, which also gets what no link can serve: its loop has the
 * words for that. A turn goes on where it is. Between two turns the pool comes first, except for one that no person has
 * begun and whose cache is at a link that costs nothing.
 */
export function linkFor({ reason, isMidTurn, current, isPoolOpen, links }: RouteFacts): Link | undefined {
	const open = links.filter(({ obstacle }) => obstacle === undefined);
	const own = open.find(({ name }) => name === current);
	const isInTurn = reason === "retry" || (reason === "continuation" && isMidTurn);
	if (own && (isInTurn || (reason === "continuation" && !own.isPaid))) return own;
	return isPoolOpen ? undefined : open[0];
}
