import { printable } from "../../core/account.ts";
import type { Plan, Ranked } from "../../core/request/plan.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";

/** Says which account a new session would start on, and what ranks it above the next one. */
export function startsOn({ order, gated }: Plan): string {
	const [first, second] = order;
	if (order.length + gated.length === 0) return noAccountSignedIn();
	if (!first) return "A new session finds no account ready.";
	const nameOf = ({ account }: Ranked) => printable(account.label);
	const start = `A new session starts on ${nameOf(first)}`;
	if (first.gate?.kind === "credits") return `${start}, on its bought credits: its included quota is spent.`;
	if (!second) return `${start}, the only one that is ready.`;
	const textOf = ({ terms }: Ranked) => terms().find(({ name }) => name === second.decidedBy)?.text ?? "";
	return `${start}: ${textOf(first)} (${nameOf(second)}: ${textOf(second)}).`;
}
