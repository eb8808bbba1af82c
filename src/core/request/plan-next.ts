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
	type Measured,
} from "./candidate.ts";
import { divide, type Looked, type SelectionRequest, type Snapshot } from "./plan.ts";
import { type Ordering, orderingOf } from "./policies.ts";

/** Returns `plan(request, snapshot).next`, quickly, for many moments of one pool. */
export interface NextInPlan {
	nextOf(request: SelectionRequest, snapshot: Snapshot): Account | undefined;
}

/** What is known of a candidate, and the times between which that holds. */
interface Remembered extends Looked {
	/** The candidate's own measures; undefined if a gate excludes it. */
	readonly facts: Facts | undefined;
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
	let known: { readonly ordering: Ordering; readonly isAnyDoubted: boolean } | undefined;
	let lastChosen: Snapshot["lastChosen"];

	return {
		nextOf: (request, snapshot) => {
			const { candidates, now, liveSessions } = snapshot;
			const { affinity } = request;
			const isTurnKept = lastChosen === snapshot.lastChosen;
			({ lastChosen } = snapshot);
			let lookAgain: ReturnType<typeof looker> | undefined;
			let isAnyDoubted = false;
			let isDivided = request.tried !== undefined || request.retries !== undefined;
			for (let position = 0; position < candidates.length; position += 1) {
				const candidate = candidates[position];
				if (!candidate) continue;
				let looked = seen[position];
				const isKnown = looked?.candidate === candidate && now >= looked.from && now < looked.until;
				if (!looked || !isKnown || !(isTurnKept && isMeasuredFor(looked, affinity, liveSessions))) {
					lookAgain ??= looker(request, snapshot);
					looked = lookAgain(candidate, position, isKnown ? looked : undefined);
					seen[position] = looked;
				}
				if (candidate.isDoubted) isAnyDoubted = true;
				if (looked.crowd || looked.gate?.kind === "credits") isDivided = true;
			}
			if (known?.isAnyDoubted !== isAnyDoubted) {
				known = { ordering: orderingOf(snapshot.policy, candidates), isAnyDoubted };
			}
			if (!isDivided) return firstOf(seen, known.ordering)?.candidate.account;
			const { order, lastResort } = divide(request, snapshot, seen);
			const some = order.length > 0 ? order : lastResort;
			const measured = some.every((each) => each.measured) ? some : measuredOf(some, request, snapshot);
			return firstOf(measured, known.ordering)?.candidate.account;
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
function looker(request: SelectionRequest, snapshot: Snapshot) {
	const { now, candidates } = snapshot;
	const context = contextOf(request, snapshot);
	const measure = createMeasure(candidates, context);
	return (candidate: Candidate, position: number, former: Remembered | undefined): Remembered => {
		const gate = former ? former.gate : gateOf(candidate, request.modelId, now);
		const facts = gate ? undefined : (former?.facts ?? factsOf(candidate, context));
		const measured = facts && measure(candidate, position, facts);
		const { from, until } = former ?? holdsAround(candidate, now);
		const { account } = candidate;
		return { candidate, account, position, gate, crowd: measured && crowdOn(measured), measured, facts, from, until };
	};
}

/** Also measures candidates that a gate excludes: one of them may serve on bought credits. */
function measuredOf(
	some: readonly Looked[],
	request: SelectionRequest,
	snapshot: Snapshot,
): Pick<Looked, "measured">[] {
	const measure = createMeasure(snapshot.candidates, contextOf(request, snapshot));
	return some.map(({ measured, candidate, position }) => ({ measured: measured ?? measure(candidate, position) }));
}

/** Returns the context of the measures. Its parts are named one by one: a spread takes as long as a whole choice. */
function contextOf({ affinity }: SelectionRequest, snapshot: Snapshot): MeasureContext {
	const { now, pinned, liveSessions, reserve, lastChosen } = snapshot;
	return { now, pinned, affinity, liveSessions, reserve, lastChosen };
}

/** Returns the measured candidate that comes before all others. */
function firstOf(some: readonly Pick<Looked, "measured">[], { compare }: Ordering): Measured | undefined {
	let first: Measured | undefined;
	for (const { measured } of some) {
		if (measured && (!first || compare(measured, first) < 0)) first = measured;
	}
	return first;
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
