import type { Verdict } from "../domain/selection.ts";
import { nobodySignedIn } from "./messages.ts";

/** Which account a new session would start on, and what puts it before the next one. */
export function startsOn(verdicts: readonly Verdict[]): string {
	const [first, second] = verdicts.filter(({ rank }) => rank !== undefined);
	if (verdicts.length === 0) return nobodySignedIn();
	if (!first) return "A new session finds no account ready.";
	const start = `A new session starts on ${first.account.label}`;
	if (!second) return `${start}, the only one that is ready.`;
	const textOf = ({ terms }: Verdict) => terms.find(({ name }) => name === second.decidedBy)?.text ?? "";
	return `${start}: ${textOf(first)} (${second.account.label}: ${textOf(second)}).`;
}
