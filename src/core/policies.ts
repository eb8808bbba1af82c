import type { Account } from "./account.ts";
import {
	type Candidate,
	type Crowded,
	createMeasure,
	FRESHNESS,
	type Freshness,
	type Gate,
	gateOf,
	isEligible,
	type Measured,
	type SelectionContext,
	spendsCredits,
} from "./candidate.ts";
import { formatDuration, formatPercent, windowLabel } from "./format.ts";
import type { AccountId } from "./ids.ts";

/** One thing by which accounts are ordered. */
interface Term {
	readonly name: string;
	/** The smaller comes first. Never NaN. */
	readonly key: (measured: Measured) => number;
	/** The same for a person or a program to read; undefined where nothing is known. */
	readonly value: (measured: Measured) => number | undefined;
	readonly text: (measured: Measured, now: number) => string;
}

/** Terms in the order in which they decide; the list's order decides what they leave open. */
export type Policy = readonly Term[];

/** Left of the 5h window, after live sessions, that a new session should find: percent. */
const ROOM_PERCENT = 20;

/** Where nothing is known of an account it stands between those with much and those with little. */
const UNKNOWN_HEADROOM_PERCENT = 50;

const FRESHNESS_TEXTS: Readonly<Record<Freshness, string>> = {
	[FRESHNESS.untouched]: "unused",
	[FRESHNESS.idle]: "its shortest window has not started",
	[FRESHNESS.unknown]: "usage unknown",
	[FRESHNESS.running]: "its windows are running",
};

const pin: Term = {
	name: "pin",
	key: ({ isPinned }) => (isPinned ? 0 : 1),
	value: ({ isPinned }) => (isPinned ? 1 : 0),
	text: ({ isPinned }) => (isPinned ? "pinned" : "not pinned"),
};

const session: Term = {
	name: "session",
	key: ({ isOwn }) => (isOwn ? 0 : 1),
	value: ({ isOwn }) => (isOwn ? 1 : 0),
	text: ({ isOwn }) => (isOwn ? "served this session last" : "new to this session"),
};

const reserve: Term = {
	name: "reserve",
	key: (measured) => (measured.reserve ? 1 : 0),
	value: (measured) => (measured.reserve ? 1 : 0),
	text: (measured) => {
		const held = measured.reserve;
		if (!held) return "not in reserve";
		return `${formatPercent(held.leftPercent)} of ${windowLabel(held.window)} left, ${formatPercent(held.floorPercent)} kept in reserve`;
	},
};

/** How much an account lacks of the room that a session should find. */
const room: Term = {
	name: "room",
	key: ({ roomPercent }) => (roomPercent === undefined ? 0 : Math.max(0, ROOM_PERCENT - roomPercent)),
	value: ({ roomPercent }) => roomPercent,
	text: ({ roomPercent, live, candidate }) => {
		if (roomPercent === undefined) return "no 5h window";
		const left = candidate.usage ? `${formatPercent(Math.max(0, roomPercent))} of 5h left` : "5h unknown";
		const others = live > 0 ? ` after ${sessions(live)}` : "";
		return `${left}${others}${roomPercent < ROOM_PERCENT ? ", too little" : ""}`;
	},
};

/** An account that stands still is begun, so that its windows come back sooner. */
const fresh: Term = {
	name: "fresh",
	key: ({ freshness }) => freshness,
	value: ({ freshness }) => freshness,
	text: ({ freshness, live }) =>
		freshness === FRESHNESS.running && live > 0 ? `${sessions(live)} on it` : FRESHNESS_TEXTS[freshness],
};

/** What would be lost soonest is used first. */
const expires: Term = {
	name: "expires",
	key: ({ longest }) => longest?.resetsAt ?? Number.MAX_SAFE_INTEGER,
	value: ({ longest }) => longest?.resetsAt,
	text: ({ longest, candidate }, now) => {
		if (!longest) return candidate.usage ? "no limit reported" : "no window known";
		const { resetsAt, isUntouched } = longest;
		const name = windowLabel(longest.name);
		if (resetsAt !== undefined) return `${name} resets in ${formatDuration(resetsAt - now)}`;
		return isUntouched ? `${name} not started` : `reset of ${name} unknown`;
	},
};

const headroom: Term = {
	name: "headroom",
	key: ({ headroomPercent }) => -(headroomPercent ?? UNKNOWN_HEADROOM_PERCENT),
	value: ({ headroomPercent }) => headroomPercent,
	text: ({ headroomPercent }) =>
		headroomPercent === undefined ? "usage unknown" : `${formatPercent(headroomPercent)} left`,
};

/** Sessions that start together spread over accounts that are alike. */
const live: Term = {
	name: "live",
	key: (measured) => measured.live,
	value: (measured) => measured.live,
	text: (measured) => sessions(measured.live),
};

const turn: Term = {
	name: "turn",
	key: (measured) => measured.turn,
	value: (measured) => measured.turn + 1,
	text: (measured) => `number ${measured.turn + 1} after the last choice`,
};

const list: Term = {
	name: "list",
	key: ({ position }) => position,
	value: ({ position }) => position + 1,
	text: ({ position }) => `number ${position + 1} of the list`,
};

/** Every selection policy by its name in the settings. The next one is one entry here. */
export const POLICIES = {
	"soonest-reset": [room, fresh, expires, headroom, live],
	"most-headroom": [headroom, live],
	"in-order": [],
	"round-robin": [turn],
} as const satisfies Record<string, Policy>;

/** Name of a selection policy. */
export type PolicyName = keyof typeof POLICIES;

/** The policy that holds unless the person says otherwise. */
export const DEFAULT_POLICY: PolicyName = "soonest-reset";

/** What comes before any policy. */
const ALWAYS: Policy = [pin, session, reserve];

/** A term of one account, to be read. */
export interface TermShown {
	readonly name: string;
	readonly value: number | undefined;
	readonly text: string;
}

/** Why an account stands where it does. */
export interface Verdict {
	readonly account: Account;
	/** 1 is tried first; undefined where a gate keeps the account out. */
	readonly rank: number | undefined;
	/** What keeps the account out, or with a rank at the end: `reserve`, or `credits` where there is no other. */
	readonly gate: Gate | undefined;
	/** What it is ordered by, the first to decide first; empty without a rank. */
	readonly terms: readonly TermShown[];
	/** The term that put it behind the one before it; undefined for the first and without a rank. */
	readonly decidedBy: string | undefined;
}

/** Why an account was the one to be tried. */
export interface SelectionReason {
	/** The term that put the next account behind it; undefined where there was no other. */
	readonly decidedBy: string | undefined;
	/** What it is ordered by. */
	readonly terms: readonly TermShown[];
}

const NOBODY: ReadonlySet<AccountId> = new Set();

/**
 * The candidate to try next: the first of {@link rank}, without those that are excluded. `candidates` is the whole pool
 * in the list's order; undefined where nobody is left.
 */
export function firstChoice(
	candidates: readonly Candidate[],
	context: SelectionContext,
	policy: PolicyName = DEFAULT_POLICY,
	excluded: ReadonlySet<AccountId> = NOBODY,
): Candidate | undefined {
	const before = orderOf(policy);
	let first: Measured | undefined;
	for (const measured of eligibleOf(candidates, context, excluded)) {
		if (!first || before(measured, first) < 0) first = measured;
	}
	return first?.candidate;
}

/**
 * The eligible candidates in the order in which to try them: pin, then affinity, then the policy's order, and last
 * those that are kept in reserve. `candidates` is the whole pool in the list's order.
 */
export function rank(
	candidates: readonly Candidate[],
	context: SelectionContext,
	policy: PolicyName = DEFAULT_POLICY,
): Candidate[] {
	return eligibleOf(candidates, context)
		.sort(orderOf(policy))
		.map(({ candidate }) => candidate);
}

/**
 * What {@link rank} does with every account of the pool, and why; those without a rank last, as listed. Those in
 * `excluded` are left out, those in `crowded` (of {@link crowdedOf}) have no rank.
 */
export function explain(
	candidates: readonly Candidate[],
	context: SelectionContext,
	policy: PolicyName = DEFAULT_POLICY,
	excluded: ReadonlySet<AccountId> = NOBODY,
	crowded: ReadonlyMap<AccountId, Crowded> = new Map(),
): Verdict[] {
	const { modelId, now } = context;
	const terms = termsOf(policy);
	const placed = eligibleOf(candidates, context, new Set([...excluded, ...crowded.keys()])).sort(orderOf(policy));
	const ranked = placed.map((measured, at): Verdict => {
		const before = placed[at - 1];
		const decisive = before && terms.find(({ key }) => key(before) !== key(measured));
		return {
			account: measured.candidate.account,
			rank: at + 1,
			gate: gateOf(measured.candidate, modelId, now) ?? measured.reserve,
			terms: terms.map(({ name, value, text }) => ({ name, value: value(measured), text: text(measured, now) })),
			decidedBy: decisive?.name,
		};
	});
	const isPlaced = new Set(placed.map(({ candidate }) => candidate.account.id));
	const out = candidates.flatMap((candidate): Verdict[] => {
		const { account } = candidate;
		const gate = gateOf(candidate, modelId, now) ?? crowded.get(account.id);
		return gate && !excluded.has(account.id) && !isPlaced.has(account.id)
			? [{ account, rank: undefined, gate, terms: [], decidedBy: undefined }]
			: [];
	});
	return [...ranked, ...out];
}

/** Why the first of `verdicts` is the first. */
export function selectionReasonOf([first, second]: readonly Verdict[]): SelectionReason {
	return { decidedBy: second?.decidedBy, terms: first?.terms ?? [] };
}

function termsOf(policy: PolicyName): Policy {
	return [...ALWAYS, ...POLICIES[policy], list];
}

function eligibleOf(
	candidates: readonly Candidate[],
	context: SelectionContext,
	excluded: ReadonlySet<AccountId> = NOBODY,
): Measured[] {
	const { modelId, now } = context;
	const measure = createMeasure(candidates, context);
	const onCredits = spendsCredits(candidates, context, excluded);
	const eligible: Measured[] = [];
	candidates.forEach((candidate, position) => {
		const isReady = isEligible(candidate, modelId, now) || candidate === onCredits;
		const isOffered = isReady && !excluded.has(candidate.account.id);
		if (isOffered) eligible.push(measure(candidate, position));
	});
	return eligible;
}

/** Compares two accounts, term by term; never 0 for two of one list, as its order is the last term. */
function orderOf(policy: PolicyName): (a: Measured, b: Measured) => number {
	const terms = termsOf(policy);
	return (a, b) => {
		for (const { key } of terms) {
			const difference = key(a) - key(b);
			if (difference !== 0) return difference;
		}
		return 0;
	};
}

function sessions(count: number): string {
	return `${count} live ${count === 1 ? "session" : "sessions"}`;
}
