import { printable } from "../../core/account.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { Notice } from "../../pi/output.ts";
import { leftOf, signInAgain, whySignedOut } from "../../ui-kit/account-texts.ts";
import { about, formatClock, formatDuration, formatPercent, windowLabel } from "../../ui-kit/format.ts";

/** What a person hears of a pool event; undefined where the footer is enough. */
export function noticeOf(event: PoolEvent, now: number): Notice | undefined {
	switch (event.type) {
		case "continued":
			return { level: "info", text: continued(event, now) };
		case "last-one":
			return { level: "warning", text: lastOne(event, now) };
		case "on-credits":
			return {
				level: "warning",
				text: `Codex: no account has included quota left. This session goes on with ${event.account.label} on its bought credits until ${formatClock(event.until, now)}.`,
			};
		case "signed-out":
			return {
				level: "warning",
				text: `Codex account ${event.account.label} was signed out: ${printable(whySignedOut(event.account, event.reason))}. ${signInAgain(event.account)}`,
			};
		case "closed":
			return {
				level: "warning",
				text: closed(event),
			};
		case "warning":
			return { level: "warning", text: `Codex: ${printable(event.text)}` };
		default:
			return undefined;
	}
}

const REASON_WORDS = {
	usage_limit: "reached its usage limit",
	workspace_limit: "reached its workspace's limit",
	rate_limit: "is asked to slow down",
	not_included: "has no Codex use for this model",
	model_not_supported: "may not use this model",
	workspace_disabled: "was turned off by its workspace",
	unauthorized: "was refused",
	signed_out: "was signed out",
	closed: "is off",
	refused: "was refused",
	unavailable: "cannot be used just now",
	overloaded: "met a server at its limit",
} as const;

/** First cause and last account, however many were tried between them. */
function continued(event: Extract<PoolEvent, { type: "continued" }>, now: number): string {
	const { first, to, remainingPercent, remainingWindow } = event;
	if (first.type === "switched") {
		const { from, left } = first;
		const why = left ? `; ${from.label} has ${left.isStale ? "~" : ""}${leftOf(left)}` : "";
		return `Codex: now on ${to.label}${why}.`;
	}
	const { from, reason, window, readyAt, guessed } = first;
	const what = reason === "usage_limit" && window ? `reached its ${windowLabel(window)} limit` : REASON_WORDS[reason];
	const resets =
		reason === "usage_limit" && readyAt !== undefined ? ` (resets ${about(guessed)}${formatClock(readyAt, now)})` : "";
	const of = remainingWindow === undefined ? "" : ` of its ${windowLabel(remainingWindow)} limit`;
	const rest = remainingPercent === undefined ? "" : `, ${formatPercent(remainingPercent)}${of} left`;
	return `Codex: ${from.label} ${what}${resets}. Continued on ${to.label}${rest}.`;
}

function lastOne({ account, left }: Extract<PoolEvent, { type: "last-one" }>, now: number): string {
	const resets = left.resetsAt === undefined ? "" : `, resets in ${formatDuration(left.resetsAt - now)}`;
	return `${account.label} is the last Codex account with quota: ${leftOf(left)}${resets}.`;
}

/** A workspace that stays disabled is not OpenAI's word on the account. */
export function closed({ account, reason }: Extract<PoolEvent, { type: "closed" }>): string {
	if (reason.includes("workspace")) return `Codex account ${account.label} is off: ${printable(reason)}.`;
	return `Codex account ${account.label} was deactivated by OpenAI and is off.`;
}
