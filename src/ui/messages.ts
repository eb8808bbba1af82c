import type { Account } from "../domain/account.ts";
import type { Exhaustion, PoolEvent } from "../domain/events.ts";
import { formatClock, formatCount, formatDuration, formatPercent, plural, spokenWindow } from "./format.ts";

/**
 * The words that end a turn when nobody is left. They carry no label and no number of three digits: pi's own retry
 * looks for "429", "500" and the like anywhere in a text. `now` and `readyAt` are epoch ms.
 */
export function exhausted(why: Exhaustion, now: number): string {
	const { tried, untried, cooling, notOffered, unavailable } = why;
	if (untried > 0) {
		const more = formatCount(untried);
		return `Codex quota exceeded on ${plural(tried, "account")} in a row. Send again to go on with ${more} more.`;
	}
	if (cooling > notOffered) {
		return [quotaExceeded(why), firstReset(why, now), ...othersOf(why), WAYS_ON].filter(Boolean).join(" ");
	}
	if (unavailable > 0) {
		return `The Codex sign-in of ${plural(unavailable, "account")} could not be renewed just now. Send again in a while, or use /model to switch provider.`;
	}
	if (notOffered > 0)
		return `No Codex account may use this model (${plural(notOffered, "account")} asked). /model switches it.`;
	return nobodySignedIn();
}

/** Nobody is there, or nobody that could be used without signing in again. */
export function nobodySignedIn(): string {
	return "No Codex account is signed in. Run /login.";
}

const WAYS_ON = "/multicodex shows all, /model switches provider.";

function quotaExceeded({ cooling, notOffered, total }: Exhaustion): string {
	const spent = cooling - notOffered;
	if (total === 1) return "Codex quota exceeded.";
	return `Codex quota exceeded on ${spent === total ? "all " : ""}${plural(spent, "account")}.`;
}

function firstReset({ readyAt, total }: Exhaustion, now: number): string {
	if (readyAt === undefined) return "";
	const subject = total === 1 ? "It" : "First one";
	return `${subject} resets in ${formatDuration(readyAt - now)} (${formatClock(readyAt, now)}).`;
}

function othersOf({ needsLogin, notOffered, unavailable }: Exhaustion): string[] {
	return [
		notOffered > 0 ? `${plural(notOffered, "account")} may not use this model.` : "",
		needsLogin > 0 ? `${plural(needsLogin, "account")} must sign in again.` : "",
		unavailable > 0 ? `${plural(unavailable, "account")} could not be reached.` : "",
	];
}

/** Two accounts in a row had lost their sign-in. */
export function signedOutInARow(): string {
	return "Two Codex accounts in a row were signed out, so no more were tried. /multicodex shows which; /login signs in again.";
}

/** Quota ran out in mid-answer. Ends in the words on which every host's own retry asks again, after two seconds. */
export function continuesElsewhere(): string {
	return "The Codex usage limit was reached while answering. Another account takes over after the retry delay.";
}

/** The host's stream ended without a final event; pi's own retry asks again on "ended without". */
export function brokenOff(): string {
	return "The Codex stream ended without a final event.";
}

/** A defect of ours. */
export function unexpected(): string {
	return "pi-multicodex could not handle this request. PI_MULTICODEX_DISABLE=1 starts pi without it.";
}

/** What a person hears of a pool event; undefined where the footer is enough. */
export function noticeOf(
	event: PoolEvent,
	now: number,
): { readonly level: "info" | "warning"; readonly text: string } | undefined {
	switch (event.type) {
		case "rotated":
			return { level: "info", text: rotated(event, now) };
		case "signed-out":
			return {
				level: "warning",
				text: `Codex account ${event.account.label} was signed out. Sign in again with /login.`,
			};
		case "closed":
			return {
				level: "warning",
				text: `Codex account ${event.account.label} is switched off: ${event.reason.replaceAll("_", " ")}.`,
			};
		case "warning":
			return { level: "warning", text: `Codex: ${event.text}` };
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
	workspace_disabled: "is switched off in its workspace",
	unauthorized: "was refused",
	unavailable: "cannot be used just now",
} as const;

function rotated(event: Extract<PoolEvent, { type: "rotated" }>, now: number): string {
	const { from, to, reason, window, readyAt, remainingPercent } = event;
	const what = reason === "usage_limit" && window ? `reached its ${spokenWindow(window)} limit` : REASON_WORDS[reason];
	const resets = reason === "usage_limit" && readyAt !== undefined ? ` (resets ${formatClock(readyAt, now)})` : "";
	const rest = remainingPercent === undefined ? "" : `, ${formatPercent(remainingPercent)} left`;
	return `Codex: ${from.label} ${what}${resets}. Continued on ${to.label}${rest}.`;
}

/** After `use <account>`. `readyAt` (epoch ms) where the account cools. */
export function pinned(account: Account, readyAt: number | undefined, now: number): string {
	const when =
		readyAt !== undefined && readyAt > now
			? ` It is cooling and takes over in ${formatDuration(readyAt - now)} (${formatClock(readyAt, now)}).`
			: "";
	return `Codex: using ${account.label} in all sessions until you choose another.${when} /multicodex use auto to undo.`;
}
