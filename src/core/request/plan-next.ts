import type { Account } from "../account.ts";
import { includedOf } from "../quota.ts";
import {
	type Candidate,
	createMeasure,
	crowdOn,
	type Facts,
	factsOf,
	gateOf,
	type MeasureContext,
} from "./candidate.ts";
import { divide, isRoomWorthWaiting, type Looked, type SelectionRequest, type Snapshot } from "./plan.ts";
import { ranksUnder } from "./policies.ts";

/** Returns `plan(request, snapshot).next`, quickly, for many moments of one pool. */
export interface NextInPlan {
	nextOf(request: SelectionRequest, snapshot: Snapshot): Account | undefined;
}

/** What is known of a candidate, and the times between which that holds. */
interface Remembered extends Looked {
	/** The candidate's own measures; undefined if a gate excludes it. */
	readonly facts: Facts | undefined;
	/** What it is ordered by; undefined if a gate excludes it. */
	readonly ranks: readonly number[] | undefined;
	readonly from: number;
	readonly until: number;
}

/**
 * Creates a function that finds the first account of a plan and nothing else. It uses the same measures and the same
 * order. What is known of a candidate is cached until one of its times passes or the candidate is another object. Every
 * request must ask for the same model, and every snapshot must have the same pin, reserve and policy.
 */
export function createNextInPlan(): NextInPlan {
	const seen: Remembered[] = [];
	let ranksOf: ReturnType<typeof ranksUnder> | undefined;
	let lastChosen: Snapshot["lastChosen"];

	return {
		nextOf: (request, snapshot) => {
			const { candidates, now, liveSessions } = snapshot;
			const { affinity, tried, retries } = request;
			const isTurnKept = lastChosen === snapshot.lastChosen;
			({ lastChosen } = snapshot);
			ranksOf ??= ranksUnder(snapshot.policy);
			let lookAgain: ReturnType<typeof looker> | undefined;
			let isAnyCrowded = false;
			let isAnyOnCredits = false;
			for (let position = 0; position < candidates.length; position += 1) {
				const candidate = candidates[position];
				if (!candidate) continue;
				let looked = seen[position];
				const isKnown = looked?.candidate === candidate && now >= looked.from && now < looked.until;
				if (!looked || !isKnown || !(isTurnKept && isMeasuredFor(looked, affinity, liveSessions))) {
					lookAgain ??= looker(request, snapshot, ranksOf);
					looked = lookAgain(candidate, position, isKnown ? looked : undefined);
					seen[position] = looked;
				}
				if (looked.crowd) isAnyCrowded = true;
				if (looked.gate?.kind === "credits") isAnyOnCredits = true;
			}
			// Otherwise every account is offered that no gate excludes.
			const isDivided = isAnyOnCredits || tried !== undefined || retries !== undefined;
			if (!isDivided && !(isAnyCrowded && isRoomWorthWaiting(seen, request, now))) return firstOf(seen)?.account;
			const { order, lastResort } = divide(request, snapshot, seen);
			const some = order.length > 0 ? order : lastResort;
			return firstOf(some.every(({ ranks }) => ranks) ? some : rankedOf(some, request, snapshot, ranksOf))?.account;
		},
	};
}

/** True if the measures still hold for this session and the sessions that are live now. */
function isMeasuredFor(
	{ measured, account: { id } }: Remembered,
	affinity: SelectionRequest["affinity"],
	liveSessions: Snapshot["liveSessions"],
): boolean {
	if (!measured) return true;
	const live = liveSessions.size === 0 ? 0 : (liveSessions.get(id) ?? 0);
	return measured.live === live && measured.isOwn === (id === affinity);
}

/** Returns a function that measures one candidate for `request`. `former` is what still holds of an earlier look. */
function looker(request: SelectionRequest, snapshot: Snapshot, ranksOf: ReturnType<typeof ranksUnder>) {
	const { now, candidates } = snapshot;
	const context = contextOf(request, snapshot);
	const measure = createMeasure(candidates, context);
	return (candidate: Candidate, position: number, former: Remembered | undefined): Remembered => {
		const gate = former ? former.gate : gateOf(candidate, request.modelId, now);
		const facts = gate ? undefined : (former?.facts ?? factsOf(candidate, context));
		const measured = facts && measure(candidate, position, facts);
		const { from, until } = former ?? holdsAround(candidate, now);
		const { account } = candidate;
		const crowd = measured && crowdOn(measured);
		const ranks = measured && ranksOf(measured);
		return { candidate, account, position, gate, crowd, measured, facts, ranks, from, until };
	};
}

/** Also ranks candidates that a gate excludes: one of them may serve on bought credits. */
function rankedOf(
	some: readonly Looked[],
	request: SelectionRequest,
	snapshot: Snapshot,
	ranksOf: ReturnType<typeof ranksUnder>,
): Pick<Remembered, "account" | "ranks">[] {
	const measure = createMeasure(snapshot.candidates, contextOf(request, snapshot));
	return some.map(({ account, measured, candidate, position }) => {
		return { account, ranks: ranksOf(measured ?? measure(candidate, position)) };
	});
}

/** Returns the context of the measures. Its parts are named one by one: a spread takes as long as a whole choice. */
function contextOf({ affinity }: SelectionRequest, snapshot: Snapshot): MeasureContext {
	const { now, pinned, liveSessions, reserve, lastChosen } = snapshot;
	return { now, pinned, affinity, liveSessions, reserve, lastChosen };
}

/** Returns the one that comes before all others, of those that are ranked. */
function firstOf<T extends Pick<Remembered, "ranks">>(some: readonly T[]): T | undefined {
	let first: T | undefined;
	for (const each of some) {
		if (each.ranks && (!first?.ranks || isBefore(each.ranks, first.ranks))) first = each;
	}
	return first;
}

function isBefore(ranks: readonly number[], others: readonly number[]): boolean {
	for (let term = 0; term < ranks.length; term += 1) {
		const difference = (ranks[term] ?? 0) - (others[term] ?? 0);
		if (difference !== 0) return difference < 0;
	}
	return false;
}

/** Returns the times around `now` between which nothing about a candidate changes by itself. */
function holdsAround({ usage, cooldowns }: Candidate, now: number): { readonly from: number; readonly until: number } {
	let from = -Infinity;
	let until = Infinity;
	const consider = (time: number) => {
		if (time <= now) from = Math.max(from, time);
		else until = Math.min(until, time);
	};
	for (const cooldown of cooldowns) consider(cooldown.until);
	if (usage) for (const { resetsAt } of includedOf(usage)) if (resetsAt !== undefined) consider(resetsAt);
	return { from, until };
}
