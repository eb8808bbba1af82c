import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import { reserveClosedBy, reserveLeft, reserveModelIn } from "../core/beyond/reserve-model.ts";
import { type CooldownScope, isOfQuota } from "../core/cooldown.ts";
import type { ShownAccount } from "../core/pool/pool-view.ts";
import { freshness, type Quota, quotasOf, refillsAt, remaining, windowName } from "../core/quota.ts";
import type { Budget, Credits, ReserveModel, UsageSnapshot, UsageWindow } from "../core/usage.ts";
import { capText, errorWords, resetCreditsText, signedIn } from "./account-texts.ts";
import { untilText } from "./forecast-texts.ts";
import {
	about,
	formatClock,
	formatCountdown,
	formatPast,
	formatPercent,
	hanging,
	humanize,
	scopeLabel,
	windowLabel,
} from "./format.ts";
import { sharedText } from "./shared-texts.ts";
import { restFor, restUntil, stateWord } from "./state-words.ts";

/** OpenAI's name for the reserve model. */
const RESERVE_MODEL = "Luna Reserve";

/** One fact about an account: its name and its text. */
export type Fact = readonly [name: string, text: string];

/** Returns all that is known of an account, most important first. */
export function factsOf(shown: ShownAccount, now: number): Fact[] {
	const { account, usage, lastError, lastUsedAt, outlook } = shown;
	const until = restUntil(shown, now);
	const state = [stateWord(shown, now), ...(until === undefined ? [] : [`until ${until} (${restFor(shown, now)})`])];
	const plan = usage?.plan ?? account.plan;
	return [
		["state", `${state.join(" ")}${shown.isPinned ? ", pinned" : ""}${shown.isActive ? ", serves next" : ""}`],
		["who", [account.email, plan, `id ${account.id}`].filter((part) => part !== undefined).join(" · ")],
		...(shown.shared ? [["shared", sharedText(shown.shared)] as const] : []),
		...quotasOf(usage).map((quota) => quotaFact(quota, shown, now)),
		...capFacts(shown, now),
		...(outlook ? [["lasts", `until ${untilText(outlook, now)}`] as const] : []),
		["usage", usage ? ageOf(usage, now) : "unknown"],
		["sign-in", signedIn(account, now, shown.shared) ?? "over"],
		...(lastUsedAt === undefined ? [] : [["last used", formatPast(lastUsedAt, now)] as const]),
		...(lastError ? [["last error", `${formatPast(lastError.at, now)}, ${errorWords(lastError.text)}`] as const] : []),
	];
}

/** Formats facts as lines of at most `columns`, with aligned texts and nothing cut. */
export function factLines(facts: readonly Fact[], columns: number): string[] {
	const texts = facts.map(([name, text]) => [printable(name), printable(text)] as const);
	const names = Math.max(0, ...texts.map(([name]) => visibleWidth(name)));
	return texts.flatMap(([name, text]) => {
		return hanging(`${name}${" ".repeat(names - visibleWidth(name))}  `, text, columns);
	});
}

function ageOf(usage: UsageSnapshot, now: number): string {
	const isStale = freshness(usage, now) === "stale";
	return `${formatCountdown(Math.max(0, now - usage.capturedAt))} old${isStale ? ", stale" : ""}`;
}

/** `5h  73% left, resets 16:16 (1h07m)`, or whatever is known of a quota. */
function quotaFact(quota: Quota, shown: ShownAccount, now: number): Fact {
	switch (quota.kind) {
		case "window": {
			const { limit } = quota;
			if (!limit) return [nameOf(quota), quotaText(quota, now)];
			return [`limit ${humanize(limit.name ?? limit.id)}`, `${nameOf(quota)} ${quotaText(quota, now)}`];
		}
		case "budget":
			return [`${nameOf(quota)} budget`, `${quotaText(quota, now)}${amountText(quota)}`];
		case "credits":
			return ["credits", creditsText(quota)];
		case "reserve-model":
			return [RESERVE_MODEL, reserveModelText(quota, shown, now)];
		case "reset-credit":
			return ["reset credits", resetCreditsText(quota.count, shown.resetCredits, now)];
	}
}

/** How much of what amount is used, if the server reports it. */
function amountText({ used, limit }: Budget): string {
	return used === undefined || limit === undefined ? "" : `, ${used} of ${limit} used`;
}

function nameOf({ windowMinutes }: UsageWindow): string {
	return windowLabel(windowName(windowMinutes));
}

function quotaText(window: UsageWindow, now: number): string {
	const { resetsAt } = window;
	const left = `${formatPercent(remaining(window, now))} left`;
	if (resetsAt === undefined || resetsAt <= now) return left;
	return `${left}, resets ${formatClock(resetsAt, now)} (${formatCountdown(resetsAt - now)})`;
}

function creditsText({ hasCredits, unlimited, balance, overageReached }: Credits): string {
	if (overageReached) {
		return `the limit on spending them is reached${balance === undefined ? "" : `, ${balance} left`}`;
	}
	if (unlimited) return "without a limit";
	if (!hasCredits) return "none";
	return balance === undefined ? "some are left" : `${balance} left`;
}

/** `20% of the week is kept, 18% left`: what each cap keeps, and what is left. */
function capFacts({ floors = {}, usage }: ShownAccount, now: number): Fact[] {
	return Object.keys(floors).map((window, at) => [at === 0 ? "cap" : "", capText(window, floors, usage, now)]);
}

/** `40% left, resets 30 Nov 12:00 (3d04h), answers as gpt-6-luna`, or until when it is closed. */
function reserveModelText(reserveModel: ReserveModel, { usage, cooldowns }: ShownAccount, now: number): string {
	const closed = reserveClosedBy({ cooldowns, usage }, now);
	if (closed) {
		const until = `${about(closed.guessed)}${formatClock(closed.until, now)}`;
		return isOfQuota(closed) ? `used up until ${until}` : `was refused, not asked again before ${until}`;
	}
	const left = reserveLeft(reserveModel, now);
	const resetsAt = refillsAt({ kind: "reserve-model", ...reserveModel }, now);
	const resets =
		resetsAt === undefined ? [] : [`resets ${formatClock(resetsAt, now)} (${formatCountdown(resetsAt - now)})`];
	const known = left === undefined ? "there is some" : `${formatPercent(left)} left`;
	return [known, ...resets, `answers as ${reserveModel.visibleModel}`].join(", ");
}

/** Names a part of an account's quota: a limit, a model, or the reserve model. */
export function partLabel(scope: CooldownScope, usage: UsageSnapshot | undefined): string {
	return reserveModelIn(scope, usage) ? RESERVE_MODEL : scopeLabel(scope);
}
