import { gateOf } from "../../core/candidate.ts";
import { activeCooldowns } from "../../core/cooldown.ts";
import type { PoolEvent } from "../../core/events.ts";
import type { PoolView, ShownAccount } from "../../core/pool-view.ts";
import { freshness } from "../../core/usage.ts";
import { errorWords, onlyCredits, signedIn, whatNow } from "../../ui-kit/account-texts.ts";
import {
	about,
	formatClock,
	formatCountdown,
	formatDuration,
	formatPast,
	humanize,
	plural,
	spokenScope,
	windowLabel,
} from "../../ui-kit/format.ts";
import { type Line, span } from "../../ui-kit/panel.ts";
import { stateWord } from "../../ui-kit/state-words.ts";

/** The last time a request of this process left one account for another. */
export interface LastRotation {
	/** Epoch ms. */
	readonly at: number;
	readonly event: Extract<PoolEvent, { type: "rotated" }>;
}

/** What the first line says of the pool, most important first. `isAsking`: usage is on its way. */
export function headline(view: PoolView, isAsking: boolean): string[] {
	const { accounts, isEnabled, pinned, policy } = view;
	if (accounts.length === 0) return ["no accounts"];
	const ready = accounts.filter(({ state }) => state === "ready").length;
	const pin = accounts.find(({ account }) => account.id === pinned);
	return [
		...(isEnabled ? [] : ["off, /multicodex on resumes"]),
		`${ready} of ${accounts.length} ready`,
		pin ? `pinned to ${pin.account.label}` : policy,
		isAsking ? "asking for usage" : usageAge(view),
	];
}

/** How old the oldest of what is fresh is; what is stale has a mark of its own in its row. */
function usageAge({ accounts, now }: PoolView): string {
	const known = accounts.flatMap(({ usage }) => (usage ? [usage] : []));
	const fresh = known.filter((usage) => freshness(usage, now) === "fresh").map(({ capturedAt }) => capturedAt);
	if (fresh.length > 0) return `usage ${formatCountdown(Math.max(0, now - Math.min(...fresh)))} ago`;
	if (known.length === 0) return "usage unknown";
	return `usage ${formatDuration(Math.max(0, now - Math.max(...known.map(({ capturedAt }) => capturedAt))))} old`;
}

/** An error is told this far. */
const LONGEST_ERROR = 200;

/** What the table has no room for: who an account is, and what is the matter with it. */
export function details(shown: ShownAccount, { now }: PoolView): Line[] {
	const { account, state, readyAt, lastError } = shown;
	const cooldowns = activeCooldowns(shown.cooldowns, now);
	const who = [account.email, `account …${account.workspaceId.slice(-4)}`, signedIn(account, now)];
	const lines: Line[] = [[span("text", who.filter((part) => part !== undefined).join(" · "))]];
	if (state === "needs-login" || state === "disabled") lines.push([span("warning", whatNow(account))]);
	if (state === "cooling" && readyAt !== undefined) {
		const longest = cooldowns.find(({ scope, until }) => scope === "account" && until === readyAt);
		const clock = `${about(longest?.guessed)}${formatClock(readyAt, now)}`;
		const until = `${stateWord(shown, now)} until ${clock} (${formatDuration(readyAt - now)})`;
		lines.push([span("text", longest ? `${until}: ${humanize(longest.reason)}` : until)]);
	}
	const gate = gateOf(shown, undefined, now);
	if (gate?.kind === "credits") lines.push([span("text", onlyCredits(gate.until, now))]);
	for (const { scope, reason, until, guessed } of cooldowns) {
		if (scope === "account") continue;
		const back = `${about(guessed)}${formatClock(until, now)}`;
		lines.push([span("text", `${spokenScope(scope)} not before ${back}: ${humanize(reason)}`)]);
	}
	if (lastError !== undefined) {
		lines.push([span("warning", lastErrorLine(lastError, now))]);
	}
	return lines;
}

/** `last error 14:02: usage limit`: in words, also where a code of ours is all that is known. */
export function lastErrorLine({ text, at }: { readonly text: string; readonly at: number }, now: number): string {
	return `last error ${formatPast(at, now)}: ${errorWords(text).slice(0, LONGEST_ERROR)}`;
}

/** `last rotation 14:02  side → work  (5h limit)`. */
export function rotationLine({ at, event }: LastRotation, now: number): Line {
	const { from, to, reason, window } = event;
	const why = reason === "usage_limit" && window !== undefined ? `${windowLabel(window)} limit` : humanize(reason);
	return [span("dim", `last rotation ${formatClock(at, now)}  ${from.label} → ${to.label}  (${why})`)];
}

/** Where there is no account yet. */
export function emptyPool(): Line[] {
	return [
		[span("text", "No Codex account is signed in.")],
		[span("dim", "n signs in to one. /multicodex import takes accounts over from other tools.")],
	];
}

/** What is asked before a menu of commands, where there is no room for the table. */
export function menuTitle({ accounts }: PoolView): string {
	const ready = accounts.filter(({ state }) => state === "ready").length;
	return accounts.length === 0
		? "MultiCodex: no accounts"
		: `MultiCodex: ${ready} of ${plural(accounts.length, "account")} ready`;
}
