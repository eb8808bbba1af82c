import { type Account, printable } from "../../core/account.ts";
import type { Rung } from "../../core/beyond/ladder.ts";
import type { Outlook } from "../../core/forecast/forecast.ts";
import { untilText } from "../../ui-kit/forecast-texts.ts";
import { about, formatClock, formatDay, formatDuration, formatPercent, windowLabel } from "../../ui-kit/format.ts";
import type { Choice } from "./choices.ts";

/** The heading of the question. */
export const HEADING = "No Codex quota is left. How should this turn continue?";

/** Explains what typing does while the question is open. */
export const TYPED = "Letters do not answer; they go to the editor. Choose with ↑↓, then press enter.";

/** Returns the row of a choice: what it does, and the fact in its favour. */
export function choiceText(choice: Choice, now: number): string {
	if (choice.kind === "stop") return "Stop: this turn ends with an error";
	const { rung } = choice;
	switch (rung.kind) {
		case "credits":
			return `Use bought credits of ${nameOf(rung.account)}${balanceOf(rung)}`;
		case "reserve-model":
			return `Continue with Luna Reserve${modelOf(rung)} of ${nameOf(rung.account)}${leftOf(rung)}`;
		case "reset-credit":
			return `Redeem a reset of ${nameOf(rung.account)}: ${windowLabel(rung.window)} back to 100%${expiryOf(rung)}`;
		case "chain":
			return `Continue with ${printable(rung.model)}${rung.isPaid ? " (paid)" : ""}`;
		case "wait": {
			const guess = about(rung.isGuess);
			const until = `${guess}${formatClock(rung.until, now)}`;
			return `Wait for ${nameOf(rung.account)} until ${until} (${guess}${formatDuration(rung.until - now)})`;
		}
	}
}

/** Returns the consequence of a choice, shown below the list while its row is highlighted. */
export function consequence(choice: Choice, now: number, again?: Outlook): string {
	if (choice.kind === "stop") return "Nothing is spent.";
	const { rung } = choice;
	switch (rung.kind) {
		case "credits":
			return "Spends credits that were paid for, until included quota is back.";
		case "reserve-model":
			return `Only ${printable(rung.model)} has this second allowance. It ends when included quota is back.`;
		case "reset-credit":
			return `Spends one reset credit for good.${resetOf(rung, now)}`;
		case "chain":
			return `${rung.isPaid ? "Each request is charged. " : ""}Codex serves again as soon as an account is back.`;
		case "wait":
			return `Nothing is spent. The turn then continues by itself${lastsText(again, now)}.`;
	}
}

function lastsText(again: Outlook | undefined, now: number): string {
	return again ? `, and at your pace quota lasts until ${untilText(again, now)}` : "";
}

/** Returns how long consent lasts. */
export function periodText(isForToday: boolean): string {
	return isForToday ? "For the rest of today, in every session" : "For this turn only";
}

function nameOf({ label }: Account): string {
	return printable(label);
}

function balanceOf({ balance }: Extract<Rung, { kind: "credits" }>): string {
	return balance === undefined ? "" : ` (balance ${printable(balance)})`;
}

/** Names the model that would answer, if the session changes to it. */
function modelOf({ model, changesModel }: Extract<Rung, { kind: "reserve-model" }>): string {
	return changesModel ? ` (${printable(model)})` : "";
}

function leftOf({ leftPercent }: Extract<Rung, { kind: "reserve-model" }>): string {
	return leftPercent === undefined ? "" : `: about ${formatPercent(leftPercent)} left`;
}

function expiryOf({ credit: { expiresAt } }: Extract<Rung, { kind: "reset-credit" }>): string {
	return expiresAt === undefined ? "" : `, credit expires ${formatDay(expiresAt)}`;
}

function resetOf({ window, resetsAt }: Extract<Rung, { kind: "reset-credit" }>, now: number): string {
	if (resetsAt === undefined || resetsAt <= now) return "";
	const when = `${formatClock(resetsAt, now)} (${formatDuration(resetsAt - now)})`;
	return ` By itself the ${windowLabel(window)} resets ${when}.`;
}
