import type { ShownAccount } from "../core/pool/pool-view.ts";
import { byLength, freshness, includedOf, remaining, windowName } from "../core/quota.ts";
import { gateOf } from "../core/request/candidate.ts";
import type { UsageWindow } from "../core/usage.ts";
import { formatCountdown, formatPercent } from "./format.ts";
import { type Span, span, type Tone } from "./panel.ts";
import { restFor, stateWord } from "./state-words.ts";

/** What is left of one window, ready for display. */
export interface WindowCell {
	/** Such as `5h` or `7d`. */
	readonly name: string;
	readonly minutes: number;
	readonly leftPercent: number;
	/** `73%`; with a `~` if the figure is old. */
	readonly left: string;
	/** `1h07m`; empty if the window has not started. */
	readonly resetsIn: string;
	readonly tone: Tone;
}

/**
 * Returns what is left of each window and budget of an account, shortest first. Of two with the same name, the one with
 * less.
 */
export function windowCells({ usage }: ShownAccount, now: number): WindowCell[] {
	const mark = freshness(usage, now) === "stale" ? "~" : "";
	const tightest = new Map<string, UsageWindow>();
	for (const quota of usage ? includedOf(usage) : []) {
		const name = windowName(quota.windowMinutes);
		const known = tightest.get(name);
		if (!known || remaining(quota, now) < remaining(known, now)) tightest.set(name, quota);
	}
	return byLength([...tightest.values()]).map((window) => {
		const { windowMinutes: minutes, resetsAt } = window;
		const leftPercent = remaining(window, now);
		return {
			name: windowName(minutes),
			minutes,
			leftPercent,
			left: `${mark}${formatPercent(leftPercent)}`,
			resetsIn: resetsAt !== undefined && resetsAt > now ? formatCountdown(resetsAt - now) : "",
			tone: toneOfLeft(leftPercent),
		};
	});
}

/** Uses the thresholds of pi's own context meter: a warning at 30 % left or less, an error at 10. */
export function toneOfLeft(percent: number): Tone {
	if (percent <= 10) return "error";
	return percent <= 30 ? "warning" : "dim";
}

/** The characters of a meter: a filled cell and an empty one. */
const METER_LOOKS = { bar: ["█", "░"], line: ["━", "─"] } as const;

/** Draws a meter of `percent` with this many cells. Neither part is rounded away. */
export function meter(percent: number, cells: number, look: keyof typeof METER_LOOKS): string {
	const rounded = Math.round((percent / 100) * cells);
	const atLeast = percent > 0 ? Math.max(1, rounded) : 0;
	const filled = percent < 100 ? Math.min(cells - 1, atLeast) : cells;
	const [full, empty] = METER_LOOKS[look];
	return full.repeat(filled) + empty.repeat(cells - filled);
}

/** Returns what precedes a label: an arrow marks the account that serves the next request. */
export function leadOf(servesNext: boolean): Span {
	return span("accent", servesNext ? "→ " : "  ");
}

/** The state of a ready account that a session is using. */
const IN_USE = "ready, in use";

/** Returns the state of an account in a word or two. With `withTime`, also for how long it cools. */
export function stateCell(
	shown: ShownAccount,
	now: number,
	withTime: boolean,
): { readonly tone: Tone; readonly text: string } {
	const { state } = shown;
	const word = stateWord(shown, now);
	if (state === "needs-login") return { tone: "warning", text: word };
	if (state === "disabled" || word === "not in set") return { tone: "muted", text: word };
	if (shown.isActive && gateOf(shown, undefined, now)?.kind === "credits")
		return { tone: "warning", text: "on credits" };
	if (state === "cooling") {
		const time = withTime ? restFor(shown, now) : undefined;
		return { tone: "muted", text: time === undefined ? word : `${word} ${time}` };
	}
	// These words only replace "ready", so the column keeps its width.
	if (shown.isPinned) return { tone: "text", text: "pinned" };
	if (shown.isUsageFailing) return { tone: "warning", text: "fetch failed" };
	return { tone: "text", text: shown.sessions > 0 ? IN_USE : word };
}
