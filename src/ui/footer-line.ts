import { visibleWidth } from "@mariozechner/pi-tui";
import type { Account } from "../domain/account.ts";
import { byLength, freshness, headroom, remaining, type UsageSnapshot, windowName } from "../domain/usage.ts";
import { cut, formatClock, formatCountdown, formatDuration, formatPercent, spokenWindow } from "./format.ts";

/** What the footer shows, at one moment. */
export interface FooterModel {
	readonly active:
		| { readonly account: Account; readonly usage: UsageSnapshot | undefined; readonly isReady: boolean }
		| undefined;
	readonly isPinned: boolean;
	readonly ready: number;
	readonly total: number;
	/** The account that is back first, when none is ready. */
	readonly first: { readonly label: string; readonly readyAt: number } | undefined;
	/** Set while a request waits for an account, epoch ms. */
	readonly waitingUntil: number | undefined;
	readonly now: number;
}

/** How urgent the line is; also said in words, never by colour alone. */
export type FooterTone = "dim" | "warning" | "error";

/** The footer in `columns`: the richest form that fits, most important first. */
export function footerLine(model: FooterModel, columns: number): { readonly text: string; readonly tone: FooterTone } {
	const { now, ready, total, active, first, waitingUntil } = model;
	if (total === 0)
		return { text: widest(["codex no accounts · /multicodex add", "no accounts"], columns), tone: "dim" };
	if (waitingUntil !== undefined) {
		const left = formatCountdown(waitingUntil - now);
		return {
			text: widest([`codex waiting · first account back in ${left}`, `codex back in ${left}`], columns),
			tone: "warning",
		};
	}
	if (ready === 0) {
		const back = first && `${first.label} back ${formatClock(first.readyAt, now)}`;
		const long = first && `${back} (${formatDuration(first.readyAt - now)})`;
		return { text: widest(joined(`codex 0/${total} ready`, [long, back]), columns), tone: "error" };
	}
	if (!active)
		return { text: widest([`codex · ${ready} of ${total} ready`, `${ready}/${total}`], columns), tone: "dim" };
	return { text: widest(activeForms(model, active), columns), tone: toneOf(model, active) };
}

function joined(head: string, tails: readonly (string | undefined)[]): string[] {
	return [...tails.filter((tail) => tail !== undefined).map((tail) => `${head} · ${tail}`), head];
}

/** From the richest to the shortest. */
function activeForms(model: FooterModel, { account, usage }: NonNullable<FooterModel["active"]>): string[] {
	const { isPinned, ready, total, now } = model;
	const plan = usage?.plan ?? account.plan;
	const name = `${account.label}${isPinned ? " pinned" : ""}`;
	const isLast = isLastReady(model);
	const long = isLast ? "last ready" : `${ready} of ${total} ready`;
	const short = isLast ? "last ready" : `${ready}/${total} ready`;
	const withPlan = plan ? `codex ${name} (${plan})` : `codex ${name}`;
	return [
		[withPlan, ...windows(usage, now, "resets"), long],
		[`codex ${name}`, ...windows(usage, now, "resets"), short],
		[`codex ${name}`, ...windows(usage, now, "left"), short],
		[name, ...windows(usage, now, "short"), `${ready}/${total}`],
		[name, `${ready}/${total}`],
		[name],
	].map((parts) => parts.join(" · "));
}

function windows(usage: UsageSnapshot | undefined, now: number, form: "resets" | "left" | "short"): string[] {
	if (!usage || usage.windows.length === 0) return [form === "short" ? "unknown" : "usage unknown"];
	const isStale = freshness(usage, now) === "stale";
	const parts = byLength(usage.windows).map((window) => {
		const name = spokenWindow(windowName(window.windowMinutes));
		const left = `${isStale ? "~" : ""}${formatPercent(remaining(window, now))}`;
		if (form === "short") return `${name === "week" ? "wk" : name} ${left}`;
		const isRunning = window.resetsAt !== undefined && window.resetsAt > now;
		const resets = form === "resets" && isRunning ? ` (${formatDuration((window.resetsAt ?? now) - now)})` : "";
		return `${name} ${left} left${resets}`;
	});
	const last = parts.pop() ?? "";
	const age = isStale && form === "resets" ? ` (${formatDuration(now - usage.capturedAt)} old)` : "";
	return [...parts, `${last}${age}`];
}

/** As pi's own context meter: warning at 30 % left or less, error at 10; the last account that is ready is a warning. */
function toneOf(model: FooterModel, { usage }: NonNullable<FooterModel["active"]>): FooterTone {
	const left = usage ? headroom(usage, model.now) : 100;
	if (left <= 10) return "error";
	return left <= 30 || isLastReady(model) ? "warning" : "dim";
}

function isLastReady({ ready, total, active }: FooterModel): boolean {
	return ready === 1 && total > 1 && active?.isReady === true;
}

function widest(forms: readonly string[], columns: number): string {
	const fitting = forms.find((form) => visibleWidth(form) <= columns);
	return fitting ?? cut(forms.at(-1) ?? "", columns);
}
