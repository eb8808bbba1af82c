import type { Account } from "../../core/account.ts";
import type { Source } from "../../core/beyond/beyond.ts";
import type { Floors } from "../../core/caps.ts";
import { type FirstBack, firstBack, gatedIn, type Plan, readyCount } from "../../core/request/plan.ts";
import type { Settings } from "../../core/settings.ts";
import type { ActiveAccount, FooterModel } from "./line.ts";

/** Returns what the footer shows of a plan: the account that serves the next request, and how many could. */
export function footerModel(
	plan: Plan,
	settings: Settings,
	{
		isForeign,
		source,
		waiting,
		isAsking = false,
		link,
		hasKeys = false,
		floorsOf,
		lasts,
		isPoolAway = false,
	}: Surroundings,
): FooterModel {
	const { total, now, next, pinned } = plan;
	return {
		isEnabled: settings.enabled,
		isForeign,
		settings: settings.footer,
		active: activeIn(plan, source, floorsOf),
		setFolder: plan.set?.folder,
		isPoolAway,
		isPinned: next !== undefined && next.id === pinned,
		ready: readyCount(plan),
		total,
		first: labelled(firstBack(plan)),
		waitingUntil: waiting?.until,
		waitsForRoom: waiting?.forRoom ?? false,
		isAsking,
		link,
		hasKeys,
		lasts,
		now,
	};
}

/**
 * Returns the account that serves next; if there is none, the one that serves the session beyond its included quota.
 */
function activeIn(
	plan: Plan,
	source: Source | undefined,
	floorsOf: Surroundings["floorsOf"],
): ActiveAccount | undefined {
	const { order, lastResort, next } = plan;
	const [ranked] = [...order, ...lastResort].filter(({ account }) => account === next);
	if (ranked) {
		const gate = ranked.gate?.kind === "reserve" ? undefined : ranked.gate;
		const { account, usage } = ranked;
		return {
			account,
			usage,
			isReady: gate === undefined,
			isOnCredits: gate?.kind === "credits",
			floors: floorsOf?.(account),
		};
	}
	const gated = source && source.on !== "included" ? gatedIn(plan, source.account) : undefined;
	return (
		gated && {
			account: gated.account,
			usage: gated.usage,
			isReady: false,
			isOnCredits: source?.on === "credits",
			isOnReserveModel: source?.on === "reserve-model",
			floors: floorsOf?.(gated.account),
		}
	);
}

function labelled(first: FirstBack | undefined): FooterModel["first"] {
	if (!first) return undefined;
	const { account, readyAt, isGuess, isCapped } = first;
	return { label: account.label, readyAt, isGuess, isCapped };
}

/** What the plan does not contain. */
export interface Surroundings extends Pick<FooterModel, "isForeign" | "lasts"> {
	/** What the session was last served from. */
	readonly source?: Source | undefined;
	/** The waiting request that ends first. */
	readonly waiting?: Waiting | undefined;
	/** True while the question of how to continue a turn is open. */
	readonly isAsking?: boolean;
	readonly link?: string | undefined;
	readonly hasKeys?: boolean;
	readonly isPoolAway?: boolean;
	/** Returns the caps on an account. */
	readonly floorsOf?: ((account: Account) => Floors | undefined) | undefined;
}

/** A request's wait for an account. */
export interface Waiting {
	/** Epoch ms. */
	readonly until: number;
	/** See {@link FooterModel}. */
	readonly forRoom: boolean;
}
