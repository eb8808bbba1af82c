import { modelRefOf } from "../../core/beyond/chain.ts";
import type { ShownLink } from "../../pi/chain-links.ts";
import type { Failure } from "../../pi/command.ts";
import { nearest } from "../../ui-kit/nearest.ts";
import * as texts from "./texts.ts";
import { costOf } from "./view.ts";

/** The chain after a change, and the text about it. */
export interface Changed {
	readonly chain: readonly string[];
	readonly text: string;
}

/** What is known of models that could be added. */
export interface Catalogue {
	/** False on hosts without virtual models. */
	readonly isAvailable: boolean;
	/** Describes a link as if it were in the chain now. */
	look(name: string): ShownLink;
	/** Returns models that may have been meant. */
	like(typed: string): readonly string[];
}

/** Adds a model at the end. */
export function addTo(
	chain: readonly string[],
	name: string,
	{ isAvailable, look, like }: Catalogue,
): Changed | Failure {
	const ref = modelRefOf(name);
	if (!ref) return { failure: texts.noName(name, like(name)) };
	if (chain.includes(name)) return { failure: texts.isListed(name) };
	const link = look(name);
	const failure = texts.refusal(name, ref.provider, link.obstacle, link.model ? [] : like(name));
	if (failure !== undefined) return { failure };
	return { chain: [...chain, name], text: texts.added(name, costOf(link), isAvailable) };
}

/** Removes a model. */
export function removeFrom(chain: readonly string[], name: string): Changed | Failure {
	if (!chain.includes(name)) return { failure: texts.isNotListed(name, nearest(name, chain)) };
	const rest = chain.filter((each) => each !== name);
	return { chain: rest, text: texts.removed(name, rest.length === 0) };
}

/** Moves a model to a position. Positions are typed from 1. */
export function moveIn(chain: readonly string[], name: string, place: string): Changed | Failure {
	if (!chain.includes(name)) return { failure: texts.isNotListed(name, nearest(name, chain)) };
	const to = /^\d{1,3}$/.test(place) ? Number(place) : 0;
	if (to < 1 || to > chain.length) return { failure: texts.noPlace(place, chain.length) };
	const rest = chain.filter((each) => each !== name);
	const next = [...rest.slice(0, to - 1), name, ...rest.slice(to - 1)];
	return { chain: next, text: next.map((each, at) => `${at + 1} ${each}`).join("\n") };
}

/** Applies a change for every name, or for none if one of them is invalid. */
export function forEach(
	chain: readonly string[],
	names: readonly string[],
	change: (chain: readonly string[], name: string) => Changed | Failure,
): Changed | Failure {
	let next = chain;
	const lines: string[] = [];
	for (const name of names) {
		const changed = change(next, name);
		if ("failure" in changed) return changed;
		next = changed.chain;
		lines.push(changed.text);
	}
	return { chain: next, text: lines.join("\n") };
}

/** Maximum number of suggested models. */
const MOST_MEANT = 3;

/** Returns models that may have been meant by `typed`: of its provider if it names one, else by whole names or ids. */
export function modelsLike(typed: string, names: readonly string[]): readonly string[] {
	const provider = modelRefOf(typed)?.provider;
	const ofProvider = names.filter((name) => modelRefOf(name)?.provider === provider);
	if (ofProvider.length > 0) return nearest(typed, ofProvider);
	const byName = nearest(typed, names);
	if (byName.length > 0) return byName;
	const idOf = (name: string) => modelRefOf(name)?.id ?? name;
	const ids = nearest(idOf(typed), [...new Set(names.map(idOf))]);
	const meant = names.filter((name) => ids.includes(idOf(name)));
	return meant.length > MOST_MEANT ? [] : meant;
}
