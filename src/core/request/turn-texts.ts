import { printable } from "../account.ts";
import type { LinkFailure } from "../beyond/link-failures.ts";
import type { Exhaustion } from "../events.ts";
import { about, formatClock, formatCount, formatDuration, plural } from "../format.ts";
import type { WayOn } from "../ports.ts";
import type { PoolConnection } from "../shared-pool.ts";

/**
 * Returns the text for a turn that no account could serve. It contains no label and no three-digit number: pi's own
 * retry looks for "429", "500" and the like anywhere in a text. `now` and `readyAt` are epoch ms.
 */
export function exhausted(why: Exhaustion, now: number): string {
	if (!why.isInSet) return noneServes(why, now);
	if (why.areSetsUnreadable) return setsUnreadable();
	return why.total === 0 ? setIsEmpty() : `${noneServes(why, now)} ${BOUND_TO_SET}`;
}

/** Returns the text for unreadable account sets or caps: no account may serve, and no command can change them. */
export function setsUnreadable(): string {
	return (
		"The account sets or caps in settings.json cannot be read, and no account serves until that is corrected: " +
		"/multicodex verify says what is wrong."
	);
}

/** Returns the text for an account set whose accounts have all left the pool. */
export function setIsEmpty(): string {
	return (
		"No account of this folder's account set is in the pool, and no other may serve here. " +
		"/multicodex only shows the set, /multicodex only all ends it."
	);
}

const BOUND_TO_SET = "This folder's account set allows no other account: /multicodex only all ends it.";

function noneServes(why: Exhaustion, now: number): string {
	const { untried, cooling, notOffered, unavailable, refused = 0, capped = 0 } = why;
	if (untried > 0) return [...triedInVain(why), `Send again to try ${formatCount(untried)} more.`].join(" ");
	if (cooling > notOffered || capped > 0) {
		const spent = cooling > notOffered ? quotaExceeded(why) : "";
		const parts = [
			spent,
			areCapped(why),
			firstReset(why, now),
			...othersOf(why),
			...leftIn(why),
			waysPastCaps(capped),
			WAYS_ON,
		];
		return parts.filter(Boolean).join(" ");
	}
	if (unavailable > 0 && unavailable === refused) {
		return [...triedInVain(why), ...othersOf({ ...why, refused: 0, unavailable: 0 }), WAYS_ON].join(" ");
	}
	if (unavailable > 0) {
		const unrenewed = `The Codex sign-in of ${plural(unavailable, "account")} could not be renewed`;
		const others = why.needsLogin > 0 ? ` ${areSignedOut(why.needsLogin)}` : "";
		if (why.obstacle !== undefined) {
			return `${unrenewed}: ${why.obstacle}.${others} /model switches provider.`;
		}
		return `${unrenewed} just now.${others} Send again later, or use /model to switch provider.`;
	}
	if (notOffered > 0)
		return `No Codex account may use this model (${plural(notOffered, "account")} asked). /model switches it.`;
	return noneUsable(why);
}

/** Every account is disabled or signed out, or the pool is empty. */
function noneUsable({ off = 0, needsLogin }: Exhaustion): string {
	if (off === 0) {
		return needsLogin > 0 ? "No Codex account is signed in. /multicodex login signs in again." : noAccountSignedIn();
	}
	const parts = [`${plural(off, "account")} ${off === 1 ? "is" : "are"} off`];
	if (needsLogin > 0) parts.push(`${plural(needsLogin, "account")} ${needsLogin === 1 ? "is" : "are"} signed out`);
	return `No Codex account is ready: ${parts.join(", ")}. /multicodex shows all.`;
}

/** Describes how the accounts that were tried ended. One may have no token right now, for instance behind a lock. */
function triedInVain({ tried, notOffered, unavailable, refused = 0 }: Exhaustion): string[] {
	const unrenewed = unavailable - refused;
	return [
		tried > 0 ? `Codex quota exceeded on ${plural(tried, "account")} in a row.` : "",
		refused > 0 ? wereRefused(refused, "Codex account") : "",
		unrenewed > 0 ? `The Codex sign-in of ${plural(unrenewed, "account")} could not be renewed just now.` : "",
		tried === 0 && unavailable === 0 && notOffered > 0 ? mayNotUseModel(notOffered) : "",
	].filter(Boolean);
}

function wereRefused(count: number, what: string): string {
	return `${plural(count, what)} ${count === 1 ? "was" : "were"} refused.`;
}

function areSignedOut(count: number): string {
	return `${plural(count, "account")} ${count === 1 ? "is" : "are"} signed out.`;
}

function mayNotUseModel(count: number): string {
	return `${plural(count, "account")} may not use this model.`;
}

/** Returns the text for a pool in which no account can be used before a new sign-in. */
export function noAccountSignedIn(): string {
	return "No Codex account is signed in. Run /multicodex add.";
}

/**
 * Returns the text for a machine that knows no account of its shared pool. Until the database was reached, it is not
 * known whether the pool has any.
 */
export function noSharedAccount({ kind }: PoolConnection): string {
	return kind === "away" || kind === "unknown"
		? "The shared pool cannot be reached, and this machine knows none of its accounts yet. /multicodex share says why."
		: "The shared pool has no account yet. /multicodex share, on a machine with accounts, moves them in.";
}

const WAYS_ON = "/multicodex shows all, /model switches provider.";

function quotaExceeded({ cooling, notOffered, total }: Exhaustion): string {
	const spent = cooling - notOffered;
	if (total === 1) return "Codex quota exceeded.";
	return `Codex quota exceeded on ${spent === total ? "all " : ""}${plural(spent, "account")}.`;
}

function areCapped({ capped = 0, total }: Exhaustion): string {
	if (capped === 0) return "";
	if (total === 1) return "A cap applies to the Codex account.";
	return `A cap applies to ${capped === total ? "all " : ""}${plural(capped, "account")}.`;
}

function waysPastCaps(capped: number): string {
	if (capped === 0) return "";
	return capped === 1
		? "/multicodex cap shows it, /multicodex cap off lifts every cap."
		: "/multicodex cap shows them, /multicodex cap off lifts every cap.";
}

function firstReset({ readyAt, total, guessed }: Exhaustion, now: number): string {
	if (readyAt === undefined) return "";
	const subject = total === 1 ? "It" : "The first";
	return `${subject} resets in ${about(guessed)}${formatDuration(readyAt - now)} (${formatClock(readyAt, now)}).`;
}

function othersOf({ needsLogin, notOffered, unavailable, refused = 0 }: Exhaustion): string[] {
	const unreached = unavailable - refused;
	return [
		notOffered > 0 ? mayNotUseModel(notOffered) : "",
		needsLogin > 0 ? areSignedOut(needsLogin) : "",
		refused > 0 ? wereRefused(refused, "account") : "",
		unreached > 0 ? `${plural(unreached, "account")} could not be reached.` : "",
	].filter(Boolean);
}

/** Lists what could have served but was not allowed to, with the command that allows it. */
function leftIn({ left }: Exhaustion): string[] {
	if (!left) return [];
	const { credits, reserveModel, resetCredits, chain } = left;
	const serving = [credits ? "bought credits" : "", reserveModel ? "Luna Reserve" : ""].filter(Boolean).join(" and ");
	const those = credits
		? "are left: /multicodex beyond lets them serve."
		: "is left: /multicodex beyond lets it serve.";
	return [
		serving === "" ? "" : `${serving.charAt(0).toUpperCase()}${serving.slice(1)} ${those}`,
		resetCredits > 0 ? `${plural(resetCredits, "reset credit")} could refill an account: /multicodex redeem.` : "",
		chain ? goesOn(chain) : "",
	].filter(Boolean);
}

function goesOn({ model, link }: WayOn): string {
	return model === link ? `/model ${model} switches to it, from your chain.` : `/model ${model} switches to ${link}.`;
}

/** Returns the text for a turn in which two accounts in a row had lost their sign-in. */
export function signedOutInARow(): string {
	return (
		"Two Codex accounts in a row were signed out, so no more were tried. " +
		"/multicodex shows which; /multicodex login signs in again."
	);
}

/**
 * Returns the text if quota ran out mid-answer. Its last words make the retry of every host repeat the turn, in two
 * seconds.
 */
export function continuesElsewhere(): string {
	return "The Codex usage limit was reached while answering. Another account takes over after the retry delay.";
}

/**
 * Returns the text for a reset credit that the person agreed to but that was not redeemed. `reason` ends a sentence.
 */
export function notRedeemed(label: string, reason: string): string {
	return `${printable(label)} was not reset: ${reason}.`;
}

/**
 * Returns the text if no account can serve and the session is on the virtual model: its retry is routed to `link`. It
 * avoids words that keep some hosts from retrying, such as those of an exceeded quota.
 */
export function chainTakesOver(link: string): string {
	return `No Codex account can serve this now. ${link} takes over after the retry delay.`;
}

/** Returns the text if the person chose a link, but the host did not change to the model that uses the chain. */
export function chainByHand(model: string, link: string): string {
	return `This session could not change to ${model}. /model ${model} changes it by hand, and ${link} then answers.`;
}

/**
 * Why a link of the chain is no longer asked, as the end of a sentence. Contains no number, and no words of its
 * provider.
 */
export const LINK_FAILURES: Readonly<Record<LinkFailure, string>> = {
	quota: "has no quota left",
	"sign-in": "did not accept its sign-in or key",
	model: "is not offered by its provider",
	unreached: "could not be reached",
};

/**
 * Returns the text if a link of the chain failed before any output. `next` is the link that takes over; without one the
 * pool serves.
 */
export function linkFailed(link: string, failure: LinkFailure, next: string | undefined): string {
	const what = `${link} ${LINK_FAILURES[failure]}.`;
	return `${what} ${next ?? "The Codex pool"} takes over after the retry delay.`;
}

/**
 * Returns the text if the host's stream ended without a final event. pi's own retry repeats the turn on "ended
 * without".
 */
export function brokenOff(): string {
	return "The Codex stream ended without a final event.";
}

/** Returns the text if the extension is switched off and pi itself has no login. */
export function switchedOffHere(): string {
	return "pi-multicodex is off, and pi itself has no Codex login. /multicodex on, or /login.";
}

/** Returns the text if the extension was switched off before any account had served the request. */
export function switchedOffMeanwhile(): string {
	return "pi-multicodex was turned off before an account could serve this request. Send again to continue without it.";
}

/** Returns the text for a defect of ours. */
export function unexpected(): string {
	return "pi-multicodex could not handle this request. PI_MULTICODEX_DISABLE=1 starts pi without it.";
}
