import { printable } from "../../core/account.ts";
import { type EventTable, mapEvent, type PoolEvent } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import { LINK_FAILURES } from "../../core/request/turn-texts.ts";
import type { Notice } from "../../pi/output.ts";
import { leftOf, signInAgain, whySignedOut } from "../../ui-kit/account-texts.ts";
import { about, formatClock, formatDuration, formatPercent, windowLabel } from "../../ui-kit/format.ts";

/** No notice: the footer is enough, or the event is only for the log. */
const silent = () => undefined;

/** What a notice depends on besides its event. */
interface Context {
	/** Epoch ms. */
	readonly now: number;
	/** True if the person has already read that this account can no longer serve. */
	readonly isKnownLost: (id: AccountId) => boolean;
}

const NOTICES: EventTable<Notice | undefined, Context> = {
	continued: (event, context) => ({ level: "info", text: continued(event, context) }),
	"last-one": (event, { now }) => ({ level: "warning", text: lastOne(event, now) }),
	"pool-low": (event, { now }) => ({ level: "warning", text: poolLow(event, now) }),
	"on-credits": ({ account, until }, { now }) => ({
		level: "warning",
		text: `Codex: no account has included quota left. This session continues on the bought credits of ${account.label} until ${formatClock(until, now)}.`,
	}),
	"on-reserve-model": (event) => ({ level: "warning", text: onReserveModel(event) }),
	"chain-serves": (event, { now }) => ({ level: event.isPaid ? "warning" : "info", text: chainServes(event, now) }),
	"chain-left": ({ link }) => ({
		level: "info",
		text: `Codex: an account is back. It serves in place of ${printable(link)}.`,
	}),
	"link-closed": (event, { now }) => ({ level: "warning", text: linkClosed(event, now) }),
	"signed-out": ({ account, reason }) => ({
		level: "warning",
		text: `Codex account ${account.label} was signed out: ${printable(whySignedOut(account, reason))}. ${signInAgain(account)}`,
	}),
	closed: (event) => ({ level: "warning", text: closed(event) }),
	warning: ({ text }) => ({ level: "warning", text: `Codex: ${printable(text)}` }),
	chosen: silent,
	rotated: silent,
	switched: silent,
	"source-changed": silent,
	cooling: (event, { now }) => reserveModelClosed(event, now),
	recovered: silent,
	redeemed: silent,
	exhausted: silent,
	membership: silent,
	setting: silent,
	"pool-away": (event) => ({ level: "warning", text: poolAway(event) }),
	"pool-back": () => ({ level: "info", text: "Codex: the shared pool is back." }),
	"shared-pool": silent,
	"renewed-elsewhere": silent,
	"backups-deleted": silent,
	pinned: silent,
	served: silent,
	waiting: silent,
	asking: silent,
	defect: silent,
	changed: silent,
};

/**
 * Returns the notice for a pool event; undefined if the footer is enough. `now` is epoch ms. `isKnownLost` is true for
 * accounts that a warning has already reported as unable to serve.
 */
export function noticeOf(
	event: PoolEvent,
	now: number,
	isKnownLost: (id: AccountId) => boolean = () => false,
): Notice | undefined {
	return mapEvent(NOTICES, event, { now, isKnownLost });
}

const REASON_WORDS = {
	usage_limit: "reached its usage limit",
	workspace_limit: "reached its workspace's limit",
	rate_limit: "was asked to slow down",
	not_included: "has no access to this model",
	model_not_supported: "may not use this model",
	workspace_disabled: "was turned off by its workspace",
	unauthorized: "was refused",
	signed_out: "was signed out",
	closed: "is off",
	refused: "was refused",
	unavailable: "cannot be used right now",
	overloaded: "hit an overloaded server",
	capped: "is at its cap",
	not_in_set: "is not in this folder's account set",
} as const;

/** Names the first cause and the last account, however many were tried in between. */
function continued(event: Extract<PoolEvent, { type: "continued" }>, { now, isKnownLost }: Context): string {
	const { first, to, remainingPercent, remainingWindow } = event;
	if (first.type === "switched") {
		const { from, left } = first;
		const why = left ? `; ${from.label} has ${left.isStale ? "~" : ""}${leftOf(left)}` : "";
		return `Codex: now on ${to.label}${why}.`;
	}
	const { from, reason, window, readyAt, guessed } = first;
	const of = remainingWindow === undefined ? "" : ` of its ${windowLabel(remainingWindow)} limit`;
	const rest = remainingPercent === undefined ? "" : `, ${formatPercent(remainingPercent)}${of} left`;
	const isTold = (reason === "signed_out" || reason === "closed") && isKnownLost(from.id);
	if (isTold) return `Codex: continued on ${to.label}${rest}.`;
	const isOfQuota = reason === "usage_limit" || reason === "capped";
	const kind = reason === "capped" ? "cap" : "limit";
	const what = isOfQuota && window ? `reached its ${windowLabel(window)} ${kind}` : REASON_WORDS[reason];
	const resets = isOfQuota && readyAt !== undefined ? ` (resets ${about(guessed)}${formatClock(readyAt, now)})` : "";
	return `Codex: ${from.label} ${what}${resets}. Continued on ${to.label}${rest}.`;
}

function onReserveModel({ account, model, leftPercent }: Extract<PoolEvent, { type: "on-reserve-model" }>): string {
	const left = leftPercent === undefined ? "" : `, ${formatPercent(leftPercent)} left`;
	return `Codex: no account has included quota left. This session continues with Luna Reserve (${printable(model)}) of ${account.label}${left}.`;
}

/** Says why a reserve model no longer serves, where that happened. */
function reserveModelClosed(event: Extract<PoolEvent, { type: "cooling" }>, now: number): Notice | undefined {
	const { account, reason, until, guessed, cause, isOfReserveModel } = event;
	if (!isOfReserveModel || cause !== "refusal" || reason === "rate_limit") return undefined;
	const clock = `${about(guessed)}${formatClock(until, now)}`;
	const text =
		reason === "usage_limit" || reason === "workspace_limit"
			? `Luna Reserve of ${account.label} is used up until ${clock}.`
			: `${account.label} may not use Luna Reserve. It is not asked for there again before ${clock}.`;
	return { level: "warning", text: `Codex: ${text}` };
}

function chainServes({ link, isPaid, back }: Extract<PoolEvent, { type: "chain-serves" }>, now: number): string {
	const until = back ? ` until ${about(back.isGuess)}${formatClock(back.at, now)}` : "";
	return `Codex: no account can serve${until}. ${printable(link)} answers${isPaid ? ", charged by the token" : ""}.`;
}

function linkClosed({ link, reason, until }: Extract<PoolEvent, { type: "link-closed" }>, now: number): string {
	const inTime = until === undefined ? "in this session" : `before ${formatClock(until, now)}`;
	const when = reason === "sign-in" ? "until that changes" : inTime;
	return `Codex: ${printable(link)} ${LINK_FAILURES[reason]}. It is not asked again ${when}.`;
}

function lastOne({ account, left }: Extract<PoolEvent, { type: "last-one" }>, now: number): string {
	const resets = left.resetsAt === undefined ? "" : `, resets in ${formatDuration(left.resetsAt - now)}`;
	return `${account.label} is the last Codex account with quota: ${leftOf(left)}${resets}.`;
}

function poolLow({ dryAt, from, to, first }: Extract<PoolEvent, { type: "pool-low" }>, now: number): string {
	const reset = first ? `; first reset ${formatClock(first.at, now)} on ${first.account.label}` : "";
	const interval = `${formatClock(from, now)} to ${formatClock(to, now)}`;
	return `Codex: the pool will be out in about ${formatDuration(dryAt - now)} (${interval})${reset}.`;
}

/** The sentence of the problem says what to do. Nothing is urgent. */
function poolAway({ problem, text }: Extract<PoolEvent, { type: "pool-away" }>): string {
	const state = problem === "away" ? "is away" : "cannot be used";
	return `Codex: the shared pool ${state}. ${printable(text)} Shared accounts keep serving with their current tokens.`;
}

/** A workspace that stays disabled does not mean that OpenAI has closed the account. */
export function closed({ account, reason }: Extract<PoolEvent, { type: "closed" }>): string {
	if (reason.includes("workspace")) return `Codex account ${account.label} is off: ${printable(reason)}.`;
	return `Codex account ${account.label} was deactivated by OpenAI and is off.`;
}
