import { type EventTable, mapEvent, type PoolEvent, type RequestInfo } from "./events.ts";
import type { AccountId, SessionId } from "./ids.ts";
import type { SelectionReason } from "./request/plan.ts";
import type { ServedOn } from "./request/serve.ts";

/** Kinds of lines in the decision log. */
export const DECISION_KINDS = [
	"chosen",
	"rotated",
	"switched",
	"pinned",
	"unpinned",
	"cooling",
	"recovered",
	"signed-out",
	"closed",
	"last-one",
	"pool-low",
	"on-credits",
	"on-reserve-model",
	"on-included",
	"redeemed",
	"not-redeemed",
	"chain-serves",
	"chain-left",
	"link-closed",
	"exhausted",
	"defect",
	"added",
	"signed-in",
	"removed",
	"merged",
	"restored",
	"renamed",
	"enabled",
	"disabled",
	"shared",
	"unshared",
	"setting",
	"backups-deleted",
	"pool-created",
	"pool-joined",
	"pool-left",
	"pool-new-keys",
	"pool-away",
	"pool-back",
	"renewed-elsewhere",
] as const;

/** One of {@link DECISION_KINDS}. */
export type DecisionKind = (typeof DECISION_KINDS)[number];

/** One decision for the log. Contains ids, numbers and our own words; no label, e-mail, token or foreign text. */
export interface Decision {
	readonly kind: DecisionKind;
	/** The account that serves, or that the decision is about. */
	readonly account?: AccountId | undefined;
	/** The account that was left, or the id of the duplicate that was merged into `account`. */
	readonly from?: AccountId | undefined;
	readonly reason?: string | undefined;
	/** `account`, or the limit or model that cools. */
	readonly scope?: string | undefined;
	/** Such as `5h`. */
	readonly window?: string | undefined;
	/** The remaining part of the window. */
	readonly leftPercent?: number | undefined;
	/** When the cooling account, or the first of several, is ready again, epoch ms. */
	readonly until?: number | undefined;
	/** True if that time is a guess. */
	readonly guessed?: boolean | undefined;
	/** Number of accounts in the pool, of cooling ones, and of those that the request did not try. */
	readonly total?: number | undefined;
	readonly cooling?: number | undefined;
	readonly untried?: number | undefined;
	readonly model?: string | undefined;
	/** The link of the chain that serves, was left, or was closed; and the link before it. */
	readonly link?: string | undefined;
	readonly formerLink?: string | undefined;
	/** True if a request on that link costs money. */
	readonly paid?: boolean | undefined;
	/** Class of an error that is our own defect. */
	readonly error?: string | undefined;
	/** Frames of our own code, innermost first. */
	readonly frames?: readonly string[] | undefined;
	/** The full key of a preference that was stored, and its value. */
	readonly setting?: string | undefined;
	readonly value?: string | undefined;
	readonly session?: SessionId | undefined;
	/** The term that ranked `account` above the next one. */
	readonly decidedBy?: string | undefined;
	/** The values of `account` by term. */
	readonly terms?: Readonly<Record<string, number>> | undefined;
}

/** A decision as logged. `session` is a hash. */
export interface LoggedDecision extends Omit<Decision, "session"> {
	readonly session?: string | undefined;
	/** Epoch ms. */
	readonly at: number;
	/** The process that logged it. */
	readonly pid: number;
}

/**
 * Kinds for a change of what a session is served from. A change to a reserve model has an event of its own, with the
 * quota left.
 */
const SOURCE_KINDS: Readonly<Record<ServedOn, DecisionKind | undefined>> = {
	included: "on-included",
	credits: "on-credits",
	"reserve-model": undefined,
};

/** For an event without a decision. */
const nothing = () => undefined;

const DECISIONS: EventTable<Decision | undefined> = {
	chosen: (event) => ({ kind: "chosen", account: event.account.id, ...madeFor(event) }),
	rotated: (event) => ({
		kind: "rotated",
		from: event.from.id,
		account: event.to.id,
		reason: event.reason,
		window: event.window,
		until: event.readyAt,
		...(event.guessed && { guessed: true }),
		...madeFor(event),
	}),
	switched: (event) => ({
		kind: "switched",
		from: event.from.id,
		account: event.to.id,
		reason: event.cause,
		...madeFor(event),
	}),
	pinned: ({ account }) => (account === undefined ? { kind: "unpinned" } : { kind: "pinned", account }),
	membership: ({ change, account, source, former }) => ({
		kind: change,
		account,
		...(former !== undefined && { from: former }),
		reason: source?.replace(":", " "),
	}),
	setting: ({ name, value }) => ({ kind: "setting", setting: name, value }),
	"shared-pool": ({ change, role }) => ({ kind: `pool-${change}`, reason: role }),
	"pool-away": ({ type: kind, problem }) => ({ kind, reason: problem.replaceAll("-", "_") }),
	"pool-back": ({ type: kind }) => ({ kind }),
	"renewed-elsewhere": ({ type: kind, account }) => ({ kind, account }),
	"backups-deleted": ({ total }) => ({ kind: "backups-deleted", total }),
	cooling: ({ account, reason, scope, until, guessed, cause }) => {
		// Only the process that sets a cooldown logs it.
		if (cause === "elsewhere") return undefined;
		return { kind: "cooling", account: account.id, reason, scope, until, ...(guessed && { guessed: true }) };
	},
	recovered: ({ account, scope, cause }) => {
		// The end was logged with the cooldown. Otherwise each process would log it again.
		if (cause === "elsewhere" || cause === "time") return undefined;
		return { kind: "recovered", account: account.id, reason: cause, scope };
	},
	"signed-out": ({ type: kind, account, reason }) => ({ kind, account: account.id, reason }),
	closed: ({ type: kind, account, reason }) => ({ kind, account: account.id, reason }),
	"last-one": ({ account, left }) => {
		const { window, percent, resetsAt } = left;
		return { kind: "last-one", account: account.id, window, leftPercent: percent, until: resetsAt };
	},
	"pool-low": ({ type: kind, dryAt, first }) => ({ kind, account: first?.account.id, until: dryAt }),
	// The event below logs each change.
	"on-credits": nothing,
	"source-changed": ({ on, account, until, asked }) => {
		const { modelId, sessionId } = asked;
		const kind = SOURCE_KINDS[on];
		return kind && { kind, account: account.id, until, model: modelId, session: sessionId };
	},
	"on-reserve-model": ({ account, leftPercent, model, asked }) => {
		return { kind: "on-reserve-model", account: account.id, leftPercent, model, session: asked.sessionId };
	},
	redeemed: ({ account, outcome }) => {
		const isReset = outcome === "redeemed" || outcome === "already";
		return isReset
			? { kind: "redeemed", account: account.id }
			: { kind: "not-redeemed", account: account.id, reason: outcome.replaceAll("-", "_") };
	},
	"chain-serves": ({ type: kind, link, from, isPaid, back, asked }) => ({
		kind,
		link,
		formerLink: from,
		...(isPaid && { paid: true }),
		account: back?.account,
		until: back?.at,
		...(back?.isGuess && { guessed: true }),
		model: asked.modelId,
		session: asked.sessionId,
	}),
	"chain-left": ({ type: kind, link, asked }) => ({ kind, link, model: asked.modelId, session: asked.sessionId }),
	"link-closed": ({ type: kind, link, reason, until }) => ({ kind, link, reason, until }),
	exhausted: ({ why, asked }) => {
		const { total, cooling, untried, readyAt, guessed } = why;
		const { modelId, sessionId } = asked;
		return {
			kind: "exhausted",
			total,
			cooling,
			untried,
			until: readyAt,
			...(guessed && { guessed }),
			model: modelId,
			session: sessionId,
		};
	},
	defect: ({ where, trace }) => ({ kind: "defect", reason: where, error: trace.error, frames: trace.frames }),
	continued: nothing,
	served: nothing,
	waiting: nothing,
	asking: nothing,
	changed: nothing,
	warning: nothing,
};

/** Returns the decision in an event; undefined if it contains none, or if another process logs it. */
export function decisionOf(event: PoolEvent): Decision | undefined {
	return mapEvent(DECISIONS, event, undefined);
}

function madeFor(event: { readonly asked: RequestInfo; readonly grounds: SelectionReason }) {
	const { asked, grounds } = event;
	const known = grounds.terms.flatMap(({ name, value }) => (value === undefined ? [] : [[name, value] as const]));
	return {
		model: asked.modelId,
		session: asked.sessionId,
		decidedBy: grounds.decidedBy,
		terms: Object.fromEntries(known),
	};
}
