import type { Account } from "../account.ts";
import { includedOf } from "../quota.ts";
import { type Candidate, createMeasure, crowdOn, type Facts, factsOf, gateOf, type Measured } from "./candidate.ts";
import { divide, type Looked, type SelectionRequest, type Snapshot } from "./plan.ts";
import { type Ordering, orderingOf } from "./policies.ts";

/** Returns `plan(request, snapshot).next`, quickly, for many moments of one pool. */
export interface NextInPlan {
	nextOf(request: SelectionRequest, snapshot: Snapshot): Account | undefined;
}

/** What is known of a candidate, and the times between which that holds. */
interface Remembered {
	readonly looked: Looked;
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
	const remembered: Remembered[] = [];
	const seen: Looked[] = [];
	let known: { readonly ordering: Ordering; readonly isAnyDoubted: boolean } | undefined;
	let lastChosen: Snapshot["lastChosen"];

	return {
		nextOf: (request, snapshot) => {
			const { candidates, now, liveSessions } = snapshot;
			const measure = createMeasure(candidates, { ...snapshot, affinity: request.affinity });
			const isTurnKept = lastChosen === snapshot.lastChosen;
			({ lastChosen } = snapshot);
			const isMeasuredSame = ({ candidate: { account }, isOwn, live }: Measured) =>
				isTurnKept && isOwn === (account.id === request.affinity) && live === (liveSessions.get(account.id) ?? 0);
			const lookAt = (candidate: Candidate, position: number): Looked => {
				const { account } = candidate;
				const former = remembered[position];
				const isKnown = former?.looked.candidate === candidate && now >= former.from && now < former.until;
				if (isKnown) {
					const { gate, measured } = former.looked;
					if (gate || (measured && isMeasuredSame(measured))) return former.looked;
				}
				const gate = isKnown ? undefined : gateOf(candidate, request.modelId, now);
				const known = isKnown ? former.facts : undefined;
				const facts = gate ? undefined : (known ?? factsOf(candidate, snapshot));
				const measured = facts && measure(candidate, position, facts);
				const looked = { candidate, account, position, gate, crowd: measured && crowdOn(measured), measured };
				const { from, until } = isKnown ? former : holdsAround(candidate, now);
				remembered[position] = { looked, facts, from, until };
				return looked;
			};
			for (let position = 0; position < candidates.length; position += 1) {
				const candidate = candidates[position];
				if (candidate) seen[position] = lookAt(candidate, position);
			}
			const isAnyDoubted = candidates.some(({ isDoubted }) => isDoubted);
			if (known?.isAnyDoubted !== isAnyDoubted) {
				known = { ordering: orderingOf(snapshot.policy, candidates), isAnyDoubted };
			}
			const { compare } = known.ordering;
			const { order, lastResort } = divide(request, snapshot, seen);
			let first: Measured | undefined;
			for (const { measured, candidate, position } of order.length > 0 ? order : lastResort) {
				const each = measured ?? measure(candidate, position);
				if (!first || compare(each, first) < 0) first = each;
			}
			return first?.candidate.account;
		},
	};
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
