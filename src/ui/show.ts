import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../domain/account.ts";
import { gateOf } from "../domain/candidate.ts";
import { isReadyAtGuessed } from "../domain/cooldown.ts";
import { iso } from "../domain/moment.ts";
import {
	byLength,
	freshness,
	quotasOf,
	remaining,
	type UsageSnapshot,
	type UsageWindow,
	windowName,
} from "../domain/usage.ts";
import { about, aligned, cut, formatClock, formatDuration, formatPercent, spoken, spokenWindow } from "./format.ts";
import type { ShowDocument } from "./json-schemas.ts";
import { nobodySignedIn, onlyCredits, whatNow } from "./messages.ts";
import type { PoolView, ShownAccount } from "./pool-view.ts";

/** The pool as the JSON document of `show --json`, version 1. Holds no secret; times are ISO 8601. */
export function poolAsJson(view: PoolView): ShowDocument {
	return {
		version: 1,
		enabled: view.isEnabled,
		policy: view.policy,
		active: view.active ?? null,
		pinned: view.pinned ?? null,
		accounts: view.accounts.map((shown) => accountAsJson(shown, view.now)),
	};
}

function accountAsJson({ account, usage, ...shown }: ShownAccount, now: number): ShowDocument["accounts"][number] {
	return {
		id: account.id,
		label: account.label,
		email: account.email ?? null,
		plan: usage?.plan ?? account.plan ?? null,
		source: account.source,
		linked: account.linked,
		state: shown.state,
		active: shown.isActive,
		pinned: shown.isPinned,
		readyAt: iso(shown.readyAt),
		cooldowns: shown.cooldowns.map(({ scope, reason, until, guessed }) => ({
			scope,
			reason,
			until: iso(until),
			...(guessed && { guessed }),
		})),
		token: { expiresAt: iso(account.credential.expiresAt) },
		usage: usage
			? {
					capturedAt: iso(usage.capturedAt),
					source: usage.source,
					stale: freshness(usage, now) === "stale",
					windows: byLength(usage.windows).map(quotaAsJson),
					...(usage.budgets && {
						budgets: usage.budgets.map((budget) => ({
							...quotaAsJson(budget),
							reached: budget.isReached,
							used: budget.used ?? null,
							limit: budget.limit ?? null,
						})),
					}),
					credits: usage.credits
						? {
								hasCredits: usage.credits.hasCredits,
								unlimited: usage.credits.unlimited,
								balance: usage.credits.balance ?? null,
							}
						: null,
				}
			: null,
		lastUsedAt: iso(shown.lastUsedAt),
		lastError: shown.lastError?.text ?? null,
	};
}

function quotaAsJson({ windowMinutes, usedPercent, resetsAt }: UsageWindow) {
	return { name: windowName(windowMinutes), minutes: windowMinutes, usedPercent, resetsAt: iso(resetsAt) };
}

/** The pool as aligned text, `columns` wide at most; two lines an account where that is too narrow for one. */
export function poolAsText(view: PoolView, columns: number): string {
	if (view.accounts.length === 0) return nobodySignedIn();
	const ready = view.accounts.filter(({ state }) => state === "ready").length;
	const head = `${ready} of ${view.accounts.length} ready · ${view.policy}`;
	const wide = aligned(view.accounts.map((shown) => wideRow(shown, view.now)));
	const isTooWide = wide.some((line) => visibleWidth(line) > columns);
	const body = isTooWide ? view.accounts.flatMap((shown) => narrowRows(shown, columns, view.now)) : wide;
	// Notes end in what to type: they are left to wrap.
	const notes = view.accounts.flatMap((shown) => noteOf(shown, view.now)).map(printable);
	return [...[head, ...body].map((line) => cut(line, columns)), ...notes].join("\n");
}

/** Columns for windows: most accounts have a short and a long one. */
const WINDOW_COLUMNS = 2;

function wideRow(shown: ShownAccount, now: number): string[] {
	const { account, usage } = shown;
	const windows = windowTexts(usage, now, " left");
	while (windows.length < WINDOW_COLUMNS) windows.push("");
	const [label, plan] = [account.label, usage?.plan ?? account.plan ?? ""].map(printable);
	return [markOf(shown), label ?? "", plan ?? "", ...windows, stateText(shown, now)];
}

/** The mark, and what parts label and state. */
const NARROW_MARGIN = 4;

/** Percentages are of what is left, as in the footer. */
function narrowRows(shown: ShownAccount, columns: number, now: number): string[] {
	const { account, usage } = shown;
	const windows = windowTexts(usage, now, "");
	const state = stateText(shown, now);
	const label = cut(printable(account.label), columns - visibleWidth(state) - NARROW_MARGIN);
	return [`${markOf(shown)} ${label}  ${state}`, `${" ".repeat(NARROW_MARGIN)}${windows.join("   ").trimStart()}`];
}

function markOf({ isActive }: ShownAccount): string {
	return isActive ? "→" : " ";
}

function windowTexts(usage: UsageSnapshot | undefined, now: number, left: string): string[] {
	if (!usage) return ["usage unknown"];
	return byLength(quotasOf(usage)).map((quota) => windowText(quota, now, left));
}

function windowText(window: UsageWindow, now: number, left: string): string {
	const name = spokenWindow(windowName(window.windowMinutes)).padStart(4);
	const percent = formatPercent(remaining(window, now)).padStart(4);
	const isRunning = window.resetsAt !== undefined && window.resetsAt > now;
	return `${name} ${percent}${left}${isRunning ? `  ${formatDuration((window.resetsAt ?? now) - now)}` : ""}`;
}

function stateText({ state, readyAt, cooldowns, isPinned, isActive }: ShownAccount, now: number): string {
	const words: string[] = [];
	if (state === "cooling" && readyAt !== undefined) {
		const isGuess = isReadyAtGuessed(cooldowns, undefined, now);
		words.push(`cooling ${about(isGuess)}${formatDuration(readyAt - now)}`);
	} else if (state === "needs-login") words.push("sign in again");
	else if (state === "ready" && isActive) words.push("active");
	else words.push(state);
	if (isPinned) words.push("pinned");
	return words.join(", ");
}

/** What the table has no room for: why an account cannot be used, and what is refused in part. */
function noteOf(shown: ShownAccount, now: number): string[] {
	const { account, state, cooldowns, lastError } = shown;
	if (state === "needs-login" || state === "disabled") return [`  ${account.label}: ${whatNow(account)}`];
	const isRefused = cooldowns.some(({ reason }) => reason === "unauthorized" || reason === "refused");
	if (isRefused && lastError) return [`  ${account.label}: was refused, "${lastError.text}"`];
	const gate = gateOf(shown, undefined, now);
	const credits = gate?.kind === "credits" ? [`  ${account.label}: ${onlyCredits(gate.until, now)}`] : [];
	const parts = cooldowns
		.filter(({ scope }) => scope !== "account")
		.map(
			({ scope, reason, until, guessed }) =>
				`  ${account.label}: ${scope.replace(":", " ")}, ${spoken(reason)} until ${about(guessed)}${formatClock(until, now)}`,
		);
	return [...credits, ...parts];
}
