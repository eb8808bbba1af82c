import { printable } from "../../core/account.ts";
import { iso } from "../../core/iso-time.ts";
import type { ShownLink } from "../../pi/chain-links.ts";
import type { ChainDocument } from "../../pi/json-schemas.ts";
import { POOL_MODEL } from "../../pi/virtual-models.ts";
import { alignColumns, formatClock, hanging } from "../../ui-kit/format.ts";
import { EMPTY, heading, linkState } from "./texts.ts";

/** The chain at one moment. */
export interface ChainView {
	/** False on hosts without virtual models. */
	readonly isAvailable: boolean;
	/** True if the person's session is on the virtual model. */
	readonly isSelected: boolean;
	readonly links: readonly ShownLink[];
	/** Epoch ms. */
	readonly now: number;
}

/** Returns the document of `chain --json`, version 1. */
export function chainAsJson({ isAvailable, isSelected, links }: ChainView): ChainDocument {
	return {
		version: 1,
		virtualModel: isAvailable ? POOL_MODEL : null,
		selected: isSelected,
		links: links.map(({ name, obstacle, isPaid, isSubscription, model, closure }) => ({
			model: name,
			state: obstacle ?? "ready",
			paid: isPaid,
			subscription: isSubscription,
			price: model && !isSubscription ? { input: model.cost.input, output: model.cost.output } : null,
			reason: closure?.kind ?? null,
			until: closure?.until === undefined ? null : iso(closure.until),
		})),
	};
}

/** Returns what a request on a link costs. */
export function costOf({ isPaid, isSubscription, model }: ShownLink): string {
	if (!model) return "price unknown";
	if (isSubscription) return "subscription";
	const { input, output } = model.cost;
	return isPaid ? `paid: ${dollars(input)} in, ${dollars(output)} out per million tokens` : "no price listed";
}

/** Returns the same in fewer words. */
export function shortCostOf({ isPaid, isSubscription, model }: ShownLink): string {
	if (!model) return "";
	if (isSubscription) return "subscription";
	return isPaid ? `paid ${dollars(model.cost.input)}/${dollars(model.cost.output)}` : "no price";
}

/** Returns the state of a link. */
export function stateOf({ obstacle, closure }: ShownLink, now: number): string {
	return linkState(obstacle, closure?.until === undefined ? undefined : formatClock(closure.until, now));
}

/** Formats the chain in lines of `columns`. */
export function chainAsText({ isAvailable, links, now }: ChainView, columns: number): string {
	if (links.length === 0) return EMPTY;
	const names = alignColumns(links.map(({ name }, at) => [String(at + 1), printable(name)]));
	const widest = Math.max(...names.map(({ length }) => length));
	return [
		heading(isAvailable),
		...links.flatMap((link, at) =>
			hanging(`${(names[at] ?? "").padEnd(widest)}  `, `${costOf(link)}; ${stateOf(link, now)}`, columns),
		),
	].join("\n");
}

function dollars(amount: number): string {
	return `$${Number(amount.toFixed(2))}`;
}
