import { printable } from "../../core/account.ts";
import type { LinkObstacle } from "../../core/beyond/chain.ts";
import { POOL_MODEL } from "../../pi/virtual-models.ts";
import { plural } from "../../ui-kit/format.ts";
import { didYouMean } from "../../ui-kit/nearest.ts";

/** Shown while the chain has no link. */
export const EMPTY =
	"The chain is empty: while no Codex account can serve, a turn ends with its error. " +
	"/multicodex chain add provider/model lists a model that answers instead.";

/** Returns the text above the links. */
export function heading(isAvailable: boolean): string {
	return isAvailable
		? `While no Codex account can serve, the first of these that can be asked answers in sessions on ${POOL_MODEL} (/model):`
		: "This pi has no virtual models (0.99 and later have them). While no Codex account can serve, /model switches to one of these by hand:";
}

/** Returns the text for a name that is not `provider/model`. */
export function noName(typed: string, meant: readonly string[]): string {
	return `"${printable(typed)}" is not of the form provider/model.${didYouMean(meant)}`;
}

/** Returns why a model cannot be added; undefined if it can. `provider` is the one in its name. */
export function refusal(
	name: string,
	provider: string,
	obstacle: LinkObstacle | undefined,
	meant: readonly string[],
): string | undefined {
	const shown = printable(name);
	switch (obstacle) {
		case "virtual":
			return name === POOL_MODEL
				? `${shown} is the pool with its chain, and cannot be a link of it.`
				: `${shown} is a virtual model, which cannot be a link of the chain.`;
		case "unknown-model":
			return `pi knows no model ${shown}.${didYouMean(meant)}`;
		case "no-credentials":
			return `${shown} cannot answer: ${printable(provider)} has neither a sign-in nor a key. /login adds one.`;
		case "not-offered":
			return `${shown} cannot answer: none of your Codex accounts may use it.`;
		case "no-account":
		case "failed":
		case undefined:
			return undefined;
	}
}

/** Returns the text for a model that is already on the chain. */
export function isListed(name: string): string {
	return `${printable(name)} is already on the chain.`;
}

/** Returns the text for a model that is not on the chain. */
export function isNotListed(name: string, meant: readonly string[]): string {
	return `${printable(name)} is not on the chain.${didYouMean(meant)}`;
}

/** Returns the text for an invalid position. */
export function noPlace(typed: string, total: number): string {
	return `"${printable(typed)}" is not a place on the chain, which has ${plural(total, "model")}.`;
}

/** Returns the text after a model was added. `cost` says what it costs. */
export function added(name: string, cost: string, isAvailable: boolean): string {
	const how = isAvailable ? ` Choose ${POOL_MODEL} in /model for sessions that use the chain.` : "";
	return `${name} is on the chain (${cost}).${how}`;
}

/** Returns the text after a model was removed. */
export function removed(name: string, isLast: boolean): string {
	const what = `${printable(name)} was removed from the chain`;
	return isLast ? `${what}, which is empty now: ${POOL_MODEL} is gone from /model.` : `${what}.`;
}

/** Returns the text after the list was emptied. */
export function cleared(total: number): string {
	return total === 0 ? "The chain was already empty." : `The chain is empty: ${POOL_MODEL} is gone from /model.`;
}

/** Returns the state of a link. `until`: when a failed link is asked again. */
export function linkState(obstacle: LinkObstacle | undefined, until: string | undefined): string {
	switch (obstacle) {
		case undefined:
			return "ready";
		case "virtual":
			return "a virtual model";
		case "unknown-model":
			return "pi knows no such model";
		case "no-credentials":
			return "not signed in";
		case "not-offered":
			return "no account may use it";
		case "no-account":
			return "no account can serve it now";
		case "failed":
			return until === undefined ? "failed recently" : `failed, asked again ${until}`;
	}
}
