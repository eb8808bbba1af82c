import { formatDuration, formatPercent, windowLabel } from "../format.ts";
import { type Candidate, FRESHNESS, type Freshness, type Measured } from "./candidate.ts";

/** One criterion by which accounts are ordered. */
interface Term {
	readonly name: string;
	/** Sort key; the smallest comes first. Never NaN. */
	readonly key: (measured: Measured) => number;
	/** The same, as a number for people and programs; undefined if unknown. */
	readonly value: (measured: Measured) => number | undefined;
	readonly text: (measured: Measured, now: number) => string;
}

/** Terms, most significant first. The list's order decides ties. */
export type Policy = readonly Term[];

/** What should be left of the 5h window, after the live sessions, for a new session: percent. */
const ROOM_PERCENT = 20;

/** An account without known usage ranks between those with much and those with little left. */
const UNKNOWN_HEADROOM_PERCENT = 50;

const FRESHNESS_TEXTS: Readonly<Record<Freshness, string>> = {
	[FRESHNESS.untouched]: "unused",
	[FRESHNESS.idle]: "its shortest window has not started",
	[FRESHNESS.unknown]: "usage unknown",
	[FRESHNESS.running]: "its windows are running",
};

const doubt: Term = {
	name: "doubt",
	key: ({ candidate }) => (candidate.isDoubted ? 1 : 0),
	value: ({ candidate }) => (candidate.isDoubted ? 1 : 0),
	text: ({ candidate }) => (candidate.isDoubted ? "refused requests lately" : "refused no request lately"),
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

/** How much room an account lacks for a new session. */
const room: Term = {
	name: "room",
	key: ({ roomPercent }) => (roomPercent === undefined ? 0 : Math.max(0, ROOM_PERCENT - roomPercent)),
	value: ({ roomPercent }) => roomPercent,
	text: ({ roomPercent, live, candidate }) => {
		if (roomPercent === undefined) return "no 5h window";
		const left = candidate.usage ? `${formatPercent(Math.max(0, roomPercent))} of 5h left` : "5h unknown";
		const others = live > 0 ? ` after ${sessions(live)}` : "";
		return `${left}${others}${roomPercent < ROOM_PERCENT ? `, below ${ROOM_PERCENT}%` : ""}`;
	},
};

/** Starts idle accounts first, so that their windows reset sooner. */
const fresh: Term = {
	name: "fresh",
	key: ({ freshness }) => freshness,
	value: ({ freshness }) => freshness,
	text: ({ freshness, live }) =>
		freshness === FRESHNESS.running && live > 0 ? `${sessions(live)} on it` : FRESHNESS_TEXTS[freshness],
};

/** Uses first what would be lost soonest. */
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

/** Spreads sessions that start together over similar accounts. */
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

/** Every selection policy by its name in the settings. A new policy is one entry here. */
export const POLICIES = {
	"soonest-reset": [room, fresh, expires, headroom, live],
	"most-headroom": [headroom, live],
	"in-order": [],
	"round-robin": [turn],
} as const satisfies Record<string, Policy>;

/** Name of a selection policy. */
export type PolicyName = keyof typeof POLICIES;

/** The policy used unless the person chooses another. */
export const DEFAULT_POLICY: PolicyName = "soonest-reset";

/** Terms that precede every policy. */
const ALWAYS: Policy = [doubt, pin, session, reserve];

/** A term of one account, for display. */
export interface TermShown {
	readonly name: string;
	readonly value: number | undefined;
	readonly text: string;
}

/** Orders accounts under a policy. */
export interface Ordering {
	/** Compares two accounts, term by term. Never 0 for two accounts of one list, since list order is the last term. */
	compare(a: Measured, b: Measured): number;
	/** Returns the term that puts `b` behind `a`. */
	decisive(a: Measured, b: Measured): string | undefined;
	/** Returns the terms of an account, most significant first. */
	show(measured: Measured, now: number): readonly TermShown[];
}

/**
 * Creates the ordering of a policy, with the terms that precede every policy. Doubt is a term only if one of `all` is
 * doubted.
 */
export function orderingOf(policy: PolicyName, all: readonly Candidate[]): Ordering {
	const isAnyDoubted = all.some(({ isDoubted }) => isDoubted);
	const terms = [...ALWAYS, ...POLICIES[policy], list].filter((term) => term !== doubt || isAnyDoubted);
	return {
		compare: (a, b) => {
			for (const { key } of terms) {
				const difference = key(a) - key(b);
				if (difference !== 0) return difference;
			}
			return 0;
		},
		decisive: (a, b) => terms.find(({ key }) => key(a) !== key(b))?.name,
		show: (measured, now) =>
			terms.map(({ name, value, text }) => ({ name, value: value(measured), text: text(measured, now) })),
	};
}

/**
 * Returns a function that gives what an account is ordered by under a policy, most significant first. Of two accounts
 * the one with the smaller number comes first, as in {@link orderingOf}: a doubt that no account has decides nothing.
 */
export function ranksUnder(policy: PolicyName): (measured: Measured) => readonly number[] {
	const terms = [...ALWAYS, ...POLICIES[policy], list];
	return (measured) => terms.map(({ key }) => key(measured));
}

function sessions(count: number): string {
	return `${count} live ${count === 1 ? "session" : "sessions"}`;
}
