import { type Account, printable } from "../../core/account.ts";
import { remaining, windowName } from "../../core/quota.ts";
import { obstacleWords } from "../../core/reset-credits/redeem-texts.ts";
import type { Redeemable, RedeemObstacle, ResetCredit } from "../../core/reset-credits/reset-credits.ts";
import type { UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { leftUntil } from "../../ui-kit/account-texts.ts";
import { asWord, formatClock, formatDuration, formatPercent, plural, windowLabel } from "../../ui-kit/format.ts";
import type { ActQuestion } from "../../ui-kit/question.ts";

/** An account with reset credits, and whether one may be redeemed now. */
export interface Offer {
	readonly account: Account;
	/** Credits that have not expired, the first to expire first. */
	readonly credits: readonly ResetCredit[];
	readonly found: Redeemable | RedeemObstacle;
}

/** The text if nothing was spent. */
export const NOTHING = "Nothing was redeemed.";
/** The answer that spends nothing. */
export const KEEP = "Keep the credit";

/** `week back to 100% now instead of Fri 14:32 (in 4d02h)`. */
function gainOf({ window, resetsAt }: Redeemable, now: number): string {
	const sooner =
		resetsAt === undefined ? "" : ` instead of ${formatClock(resetsAt, now)} (in ${formatDuration(resetsAt - now)})`;
	return `${windowLabel(window)} back to 100% now${sooner}`;
}

/** `credit expires 3 Dec`, or `the first of 2 credits expires 3 Dec`. */
function expiryOf({ expiresAt }: ResetCredit, count: number, now: number): string {
	if (expiresAt === undefined) return "credit without an end";
	return `${count > 1 ? `the first of ${plural(count, "credit")}` : "credit"} expires ${formatClock(expiresAt, now)}`;
}

/** Returns one line of the list: what is gained, or why nothing is. */
function offerLine({ account, credits, found }: Offer, now: number): string {
	const [first] = credits;
	const fact = found.kind === "redeemable" ? gainOf(found, now) : `kept: ${obstacleWords(found, now)}`;
	return `${account.label}: ${fact}${first ? `; ${expiryOf(first, credits.length, now)}` : ""}`;
}

/** Asks before a credit is spent. */
export function redeemQuestion(offer: Redeemable, credits: readonly ResetCredit[], now: number): ActQuestion {
	const { account, credit, windows } = offer;
	const others = credits.length - 1;
	const rest = others > 0 ? `, ${plural(others, "other")} ${others === 1 ? "is" : "are"} left` : ", it is the last one";
	return {
		heading: `Redeem a reset of ${account.label}?`,
		text: [
			`Gains: ${gainOf(offer, now)}${alsoFilled(windows, offer.window, now)}.`,
			`Costs: one reset credit (${expiryOf(credit, 1, now).replace("credit ", "")}${rest}). This cannot be undone.`,
		].join("\n"),
		act: "Redeem it",
		keep: KEEP,
	};
}

/** Lists the windows that are refilled besides the spent one. */
function alsoFilled(windows: readonly UsageWindow[], spent: string, now: number): string {
	const others = windows.filter(({ windowMinutes }) => windowName(windowMinutes) !== spent);
	const words = others.map((window) => {
		return `${windowLabel(windowName(window.windowMinutes))} (${formatPercent(remaining(window, now))} left)`;
	});
	return words.length > 0 ? `; also ${words.join(", ")}` : "";
}

/** Asks which credit to spend, if there are several. */
export function choiceQuestion(offers: readonly Offer[], now: number) {
	return {
		heading: "Redeem a reset credit?",
		text: [...offers.map((offer) => offerLine(offer, now)), "This cannot be undone."].join("\n"),
	};
}

/** Returns the answer that spends a credit of this account. */
export function redeemAnswer({ label }: Account): string {
	return `Redeem a reset of ${label}`;
}

/** Returns the text if no account has a credit. */
export function noCredits(account: Account | undefined): string {
	return account
		? `${account.label} has no reset credit. ${NOTHING}`
		: "No Codex account has a reset credit, so there is nothing to redeem.";
}

/** Returns the text if there are credits but none may be spent. */
export function noneRedeemable(offers: readonly Offer[], now: number): string {
	return [NOTHING, ...offers.map((offer) => offerLine(offer, now))].join("\n");
}

/** Returns the text if the named account has no credit that may be spent. */
export function cannotRedeem({ label }: Account, obstacle: RedeemObstacle, now: number): string {
	return `Nothing was redeemed for ${label}: ${obstacleWords(obstacle, now)}.`;
}

/** Returns the text for a mode without a person: a credit is only spent if the command says so. */
export function needsYes(best: Redeemable, now: number): string {
	const { account, credit } = best;
	const typed = `/multicodex redeem ${asWord(account.label)} --yes`;
	return `${NOTHING} To spend a credit: ${typed} (${gainOf(best, now)}; ${expiryOf(credit, 1, now)}).`;
}

/** Returns the text after a redemption. */
export function redeemed(
	{ label }: Account,
	how: { readonly isAlready: boolean; readonly usage: UsageSnapshot | undefined; readonly left: number },
	now: number,
): string {
	const { isAlready, usage, left } = how;
	const what = isAlready ? `${label} was reset already` : `redeemed a reset of ${label}`;
	const has = usage && leftUntil(usage, now);
	const rest = left > 0 ? `${plural(left, "reset credit")} ${left === 1 ? "is" : "are"} left.` : "It was the last one.";
	return `Codex: ${what}${has ? `: ${printable(has)}` : ""}. ${rest}`;
}

/** Returns the text after a failed redemption. `isOpen`: the backend may have carried it out. */
export function notRedeemed({ label }: Account, reason: string, isOpen: boolean): string {
	if (!isOpen) return `Nothing was redeemed for ${label}: ${reason}.`;
	return `The reset of ${label} is not confirmed: ${reason}. The next try repeats this one, and spends no other credit.`;
}
