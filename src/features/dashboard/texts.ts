import { visibleWidth } from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import { activeCooldowns } from "../../core/cooldown.ts";
import type { PoolEvent } from "../../core/events.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";
import { freshness } from "../../core/quota.ts";
import { gateOf } from "../../core/request/candidate.ts";
import { toneOfLeft } from "../../ui-kit/account-cells.ts";
import { partLabel } from "../../ui-kit/account-details.ts";
import {
	capText,
	errorWords,
	folderName,
	onlyCredits,
	outsideText,
	signedIn,
	whatNow,
} from "../../ui-kit/account-texts.ts";
import { lastsTexts } from "../../ui-kit/forecast-texts.ts";
import {
	about,
	formatClock,
	formatCountdown,
	formatDuration,
	formatPast,
	formatPercent,
	humanize,
	plural,
	windowLabel,
} from "../../ui-kit/format.ts";
import { type Line, span } from "../../ui-kit/panel.ts";
import { poolHeadline, usersText } from "../../ui-kit/shared-texts.ts";
import { bypassedBy, STATE_WORDS, stateWord } from "../../ui-kit/state-words.ts";
import { type NextReset, totalsOf } from "./live.ts";

/** The last time a request of this process left one account for another. */
export interface LastRotation {
	/** Epoch ms. */
	readonly at: number;
	readonly event: Extract<PoolEvent, { type: "rotated" }>;
}

/** The last time a request in any process left one account for another, by label. */
export interface Rotation {
	/** Epoch ms. */
	readonly at: number;
	readonly from: string;
	readonly to: string;
	readonly reason: string;
	readonly window: string | undefined;
}

/** Usage being fetched: of one account, or of several. */
export type Asking = Account | "several" | undefined;

/** Returns the parts of the first line, most important first. */
export function headline(view: PoolView, asking: Asking): string[] {
	const { accounts, pinned, policy } = view;
	const bypassed = bypassedBy(view);
	if (accounts.length === 0) return ["no accounts"];
	const usable = usableIn(view);
	const ready = usable.filter(({ state }) => state === "ready").length;
	const pin = accounts.find(({ account }) => account.id === pinned);
	return [
		...(bypassed === undefined ? [] : [bypassed]),
		`${ready} of ${usable.length} ready`,
		...(view.set ? [`set of ${folderName(view.set.folder)}`] : []),
		...(view.sharedPool ? [poolHeadline(view.sharedPool)] : []),
		pin ? `pinned to ${pin.account.label}` : policy,
		askingWords(asking) ?? usageAge(view),
	];
}

function askingWords(asking: Asking): string | undefined {
	if (asking === undefined) return undefined;
	return asking === "several" ? "asking for usage" : `asking for usage of ${asking.label}`;
}

/** Returns the age of the oldest fresh usage. Stale usage is marked in its row. */
function usageAge({ accounts, now }: PoolView): string {
	const known = accounts.flatMap(({ usage }) => (usage ? [usage] : []));
	const fresh = known.filter((usage) => freshness(usage, now) === "fresh").map(({ capturedAt }) => capturedAt);
	if (fresh.length > 0) return `usage ${formatCountdown(Math.max(0, now - Math.min(...fresh)))} ago`;
	if (known.length === 0) return "usage unknown";
	return `usage ${formatDuration(Math.max(0, now - Math.max(...known.map(({ capturedAt }) => capturedAt))))} old`;
}

/** Maximum length of an error that is shown. */
const LONGEST_ERROR = 200;

/** Returns what does not fit into the table: who an account is, and what is wrong with it. */
export function details(shown: ShownAccount, view: PoolView): Line[] {
	const { account, lastError } = shown;
	const { now } = view;
	const who = [account.email, `account …${account.workspaceId.slice(-4)}`, signedIn(account, now, shown.shared)];
	return [
		[span("text", who.filter((part) => part !== undefined).join(" · "))],
		...notesOf(shown, view),
		...(lastError === undefined ? [] : [[span("warning", lastErrorLine(lastError, now))]]),
	];
}

/** Returns what is wrong with an account, and what to do about it. */
export function notesOf(shown: ShownAccount, { now }: PoolView): Line[] {
	const { account, state, readyAt } = shown;
	const cooldowns = activeCooldowns(shown.cooldowns, now);
	const lines: Line[] = [];
	const users = usersText(shown.shared?.users ?? []);
	if (users !== undefined) lines.push([span("text", `shared, ${users}`)]);
	if (shown.outsideOf !== undefined) lines.push([span("text", outsideText(shown.outsideOf))]);
	if (state === "needs-login" || state === "disabled") lines.push([span("warning", whatNow(account))]);
	if (state === "cooling" && readyAt !== undefined && shown.outsideOf === undefined) {
		const longest = cooldowns.find(({ scope, until }) => scope === "account" && until === readyAt);
		const clock = `${about(longest?.guessed)}${formatClock(readyAt, now)}`;
		const until = `${stateWord(shown, now)} until ${clock} (${formatCountdown(readyAt - now)})`;
		lines.push([span("text", longest ? `${until}: ${humanize(longest.reason)}` : until)]);
	}
	const caps = Object.keys(shown.floors ?? {}).map((window) => capText(window, shown.floors ?? {}, shown.usage, now));
	if (caps.length > 0) lines.push([span("text", `cap: ${caps.join("; ")}`)]);
	const gate = gateOf(shown, undefined, now);
	if (gate?.kind === "credits") lines.push([span("text", onlyCredits(gate.until, now))]);
	for (const { scope, reason, until, guessed } of cooldowns) {
		if (scope === "account") continue;
		const back = `${about(guessed)}${formatClock(until, now)}`;
		lines.push([span("text", `${partLabel(scope, shown.usage)} not before ${back}: ${humanize(reason)}`)]);
	}
	return lines;
}

/** `last error 14:02: usage limit`, in words even if only a code is known. */
function lastErrorLine({ text, at }: { readonly text: string; readonly at: number }, now: number): string {
	return `last error ${formatPast(at, now)}: ${errorWords(text).slice(0, LONGEST_ERROR)}`;
}

/** `last rotation 14:02  side to work  (5h limit)`. */
export function rotationLine({ at, from, to, reason, window }: Rotation, now: number): Line {
	const why = `(${causeOf(reason, window)})`;
	return [span("dim", `last rotation ${formatClock(at, now)}  ${from} to ${to}  ${why}`)];
}

/** `5h limit`, or the other reason for which a session left its account. */
export function causeOf(reason: string, window: string | undefined): string {
	if (reason === "usage_limit" && window !== undefined) return `${windowLabel(window)} limit`;
	if (reason === "capped" && window !== undefined) return `${windowLabel(window)} cap`;
	return reason === "user" ? "by hand" : humanize(reason);
}

/** Each row of the head starts with its own word. What follows is aligned. */
const POOL = " Pool        ";

/** Returns how long quota lasts, in the longest wording that fits; no line without a forecast. */
export function lastsLine(view: PoolView, width: number): readonly Line[] {
	const text = lastsTexts(view).find((each) => visibleWidth(each) < width);
	return text === undefined ? [] : [[span("dim", ` ${printable(text)}`)]];
}

/** Returns what the pool has left in total, and what it gets back first, in the fullest form that fits. */
export function poolLine(view: PoolView, width: number): Line {
	const { windows, nextReset } = totalsOf(view);
	if (windows.length === 0) return [span("dim", `${POOL}usage unknown`)];
	const { now } = view;
	const leftOf = (word: string, nameOf: (name: string) => string): Line =>
		windows.flatMap(({ name, leftPercent, isStale }, at) => [
			span("dim", `${at === 0 ? "" : " · "}${nameOf(name)} `),
			span(toneOfLeft(leftPercent), `${isStale ? "~" : ""}${formatPercent(leftPercent)}`),
			span("dim", word),
		]);
	const short = (name: string) => (name === "7d" ? "wk" : windowLabel(name));
	const reset = (text: (reset: NextReset, wait: string) => string): Line =>
		nextReset ? [span("dim", ` · ${text(nextReset, formatCountdown(nextReset.at - now))}`)] : [];
	const forms: readonly Line[] = [
		[
			span("dim", POOL),
			...leftOf(" left", windowLabel),
			...reset(({ account, at }, wait) => `next reset ${formatClock(at, now)} (${wait}) on ${account.label}`),
		],
		[
			span("dim", POOL),
			...leftOf(" left", windowLabel),
			...reset(({ account }, wait) => `reset in ${wait} on ${account.label}`),
		],
		[
			span("dim", POOL),
			...leftOf("", windowLabel),
			...reset(({ account }, wait) => `reset in ${wait} on ${account.label}`),
		],
		[span("dim", " "), ...leftOf("", short), ...reset(({ account }, wait) => `reset ${wait} ${account.label}`)],
		[span("dim", " "), ...leftOf("", short), ...reset(({ account }, wait) => `${wait} ${account.label}`)],
	];
	const bare = [span("dim", " "), ...leftOf("", short)];
	const fits = (line: Line) => visibleWidth(printable(line.map(({ text }) => text).join(""))) <= width;
	return forms.find(fits) ?? bare;
}

/** `3 more, m shows them: 2 out of quota, 1 off`, or fewer words if that does not fit. */
export function foldLine(folded: readonly ShownAccount[], now: number, room: number): Line {
	const words = folded.map((shown) => stateWord(shown, now));
	const counts = STATE_WORDS.flatMap((word) => {
		const count = words.filter((each) => each === word).length;
		return count > 0 ? [`${count} ${word}`] : [];
	});
	const forms = [
		`${folded.length} more, m shows them: ${counts.join(", ")}`,
		`${folded.length} more (m): ${counts.join(", ")}`,
		`${folded.length} more, m shows them`,
	];
	const bare = `${folded.length} more (m)`;
	return [span("dim", forms.find((form) => visibleWidth(form) <= room) ?? bare)];
}

/** Returns the text for a pool without accounts. */
export function emptyPool(): Line[] {
	return [
		[span("text", "No Codex account is signed in.")],
		[span("dim", "n signs in to one. i imports accounts from other tools.")],
	];
}

/** Returns the heading of a menu of commands, where the table does not fit. */
export function menuTitle(view: PoolView): string {
	const accounts = usableIn(view);
	const ready = accounts.filter(({ state }) => state === "ready").length;
	return accounts.length === 0
		? "MultiCodex: no accounts"
		: `MultiCodex: ${ready} of ${plural(accounts.length, "account")} ready`;
}
