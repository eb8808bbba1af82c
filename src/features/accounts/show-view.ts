import { visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { type AccountSet, EVERYWHERE } from "../../core/account-sets.ts";
import { type Floors, reachedCap } from "../../core/caps.ts";
import type { Forecast, Outlook } from "../../core/forecast/forecast.ts";
import { iso } from "../../core/iso-time.ts";
import { type PoolView, type ShownAccount, usableIn } from "../../core/pool/pool-view.ts";
import {
	budgetsOf,
	byLength,
	creditsOf,
	freshness,
	includedOf,
	remaining,
	reserveModelOf,
	resetCreditsOf,
	windowName,
	windowsOf,
} from "../../core/quota.ts";
import { gateOf } from "../../core/request/candidate.ts";
import { noAccountSignedIn } from "../../core/request/turn-texts.ts";
import type { SharedPoolStatus } from "../../core/shared-pool.ts";
import type { Budget, Credits, ReserveModel, UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import type { ShowDocument } from "../../pi/json-schemas.ts";
import { type WindowCell, windowCells } from "../../ui-kit/account-cells.ts";
import { factLines, factsOf, partLabel } from "../../ui-kit/account-details.ts";
import { capText, errorWords, firstExpiry, folderName, onlyCredits, whatNow } from "../../ui-kit/account-texts.ts";
import {
	about,
	alignColumns,
	asWord,
	formatClock,
	formatDuration,
	formatPercent,
	humanize,
	plural,
	truncate,
	windowLabel,
} from "../../ui-kit/format.ts";
import { padCell, wrapParts } from "../../ui-kit/panel.ts";
import { poolHeadline, sharedUseAsJson, signedLabel, usersText } from "../../ui-kit/shared-texts.ts";
import { bypassedBy, restFor, stateWord } from "../../ui-kit/state-words.ts";

/** Returns the pool as the document of `show --json`, version 1. Contains no secret. Times are ISO 8601. */
export function poolAsJson(view: PoolView): ShowDocument {
	return {
		version: 1,
		enabled: view.isEnabled,
		policy: view.policy,
		active: view.active ?? null,
		pinned: view.pinned ?? null,
		...(view.sharedPool && { pool: sharedAsJson(view.sharedPool) }),
		...(view.set && { set: { folder: folderOf(view.set), accounts: [...view.set.accounts] } }),
		accounts: view.accounts.map((shown) => accountAsJson(shown, view.now)),
		...forecastAsJson(view.forecast),
	};
}

function sharedAsJson({ name, role, machine, connection, others }: SharedPoolStatus) {
	const machines = others.map((other) => other.name);
	return { name, role, machine, state: connection.kind, machines };
}

/** Returns nothing if there is no forecast. */
function forecastAsJson(forecast: Forecast | undefined): Pick<ShowDocument, "forecast"> {
	if (!forecast) return {};
	const { madeAt, pool, serving } = forecast;
	const accounts = forecast.accounts.flatMap(({ id, outlook }) => (outlook ? [{ id, ...outlookAsJson(outlook) }] : []));
	if (!pool && accounts.length === 0) return {};
	const orNull = (outlook: Outlook | undefined) => (outlook ? outlookAsJson(outlook) : null);
	return { forecast: { madeAt: iso(madeAt), pool: orNull(pool), serving: orNull(serving), accounts } };
}

function outlookAsJson({ dryAt, from, to, comesBack }: Outlook) {
	return {
		dryAt: iso(dryAt),
		from: iso(from),
		to: iso(to),
		comesBack: comesBack.map(({ at, accountId, percent }) => ({
			at: iso(at),
			account: accountId,
			percent: Math.round(percent * 10) / 10,
		})),
	};
}

/** Null if the sets cannot be read, so that an empty one applies everywhere. */
function folderOf({ folder }: AccountSet): string | null {
	return folder === EVERYWHERE ? null : folder;
}

function accountAsJson({ account, usage, ...shown }: ShownAccount, now: number): ShowDocument["accounts"][number] {
	return {
		id: account.id,
		label: account.label,
		email: account.email ?? null,
		plan: usage?.plan ?? account.plan ?? null,
		source: account.source,
		linked: account.linked,
		...(shown.shared && { shared: sharedUseAsJson(shown.shared) }),
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
		usage: usage ? usageAsJson(usage, now) : null,
		...(shown.outsideOf !== undefined && { inSet: false }),
		...(shown.floors && { caps: capsAsJson(shown.floors, usage, now) }),
		...(shown.resetCredits && {
			resetCredits: shown.resetCredits.map(({ expiresAt }) => ({ expiresAt: iso(expiresAt) })),
		}),
		lastUsedAt: iso(shown.lastUsedAt),
		lastError: shown.lastError?.text ?? null,
	};
}

function usageAsJson(usage: UsageSnapshot, now: number): NonNullable<ShowDocument["accounts"][number]["usage"]> {
	const [budgets, credits, reserveModel] = [budgetsOf(usage), creditsOf(usage), reserveModelOf(usage)];
	const resetCredits = resetCreditsOf(usage);
	return {
		capturedAt: iso(usage.capturedAt),
		source: usage.source,
		stale: freshness(usage, now) === "stale",
		windows: byLength(windowsOf(usage)).map(quotaAsJson),
		...(budgets.length > 0 && { budgets: budgets.map(budgetAsJson) }),
		credits: credits ? creditsAsJson(credits) : null,
		...(reserveModel && { reserveModel: reserveModelAsJson(reserveModel) }),
		...(resetCredits > 0 && { resetCredits }),
	};
}

function budgetAsJson(budget: Budget) {
	const { isReached, used = null, limit = null } = budget;
	return { ...quotaAsJson(budget), reached: isReached, used, limit };
}

function reserveModelAsJson({ visibleModel, windows, isReached }: ReserveModel) {
	return { model: visibleModel, windows: byLength(windows).map(quotaAsJson), reached: isReached === true };
}

function creditsAsJson({ hasCredits, unlimited, balance, overageReached }: Credits) {
	return { hasCredits, unlimited, balance: balance ?? null, ...(overageReached && { overageReached }) };
}

function capsAsJson(floors: Floors, usage: UsageSnapshot | undefined, now: number) {
	return Object.entries(floors).map(([window, floorPercent]) => ({
		window,
		floorPercent,
		reached: reachedCap({ [window]: floorPercent }, usage, now) !== undefined,
	}));
}

function quotaAsJson({ windowMinutes, usedPercent, resetsAt }: UsageWindow) {
	return { name: windowName(windowMinutes), minutes: windowMinutes, usedPercent, resetsAt: iso(resetsAt) };
}

/** Formats the pool as aligned text of at most `columns`, with two lines per account if one is too wide. */
export function poolAsText(view: PoolView, columns: number): string {
	if (view.accounts.length === 0) return noAccountSignedIn();
	const usable = usableIn(view);
	const ready = usable.filter(({ state }) => state === "ready").length;
	const bypassed = bypassedBy(view);
	const head = `${bypassed === undefined ? "" : `${bypassed} · `}${ready} of ${usable.length} ready · ${view.policy}${setNote(view)}${poolNote(view)}`;
	// With a word beside each percentage, if it fits.
	const forms = [" left", ""].map((left) => alignColumns(view.accounts.map((shown) => wideRow(shown, view.now, left))));
	const wide = forms.find((lines) => lines.every((line) => visibleWidth(line) <= columns));
	const body = wide ?? view.accounts.flatMap((shown) => narrowRows(shown, columns, view.now));
	// Notes end in a command to type, so they are left to wrap.
	const notes = view.accounts
		.flatMap((shown) => [...noteOf(shown, view.now), ...resetCreditNote(shown, view.now)])
		.map(printable);
	return [...[head, ...body].map((line) => truncate(line, columns)), ...notes].join("\n");
}

/** The account set that applies, at the end of the first line. */
function setNote({ set }: PoolView): string {
	return set ? ` · set of ${folderName(set.folder)}` : "";
}

/** The shared pool, after the account set. */
function poolNote({ sharedPool }: PoolView): string {
	return sharedPool ? ` · ${poolHeadline(sharedPool)}` : "";
}

/** Number of columns for windows. Most accounts have a short and a long one. */
const WINDOW_COLUMNS = 2;

function wideRow(shown: ShownAccount, now: number, left: string): string[] {
	const { account, usage } = shown;
	const windows = windowTexts(usage, now, left);
	while (windows.length < WINDOW_COLUMNS) windows.push("");
	const [label, plan] = [signedLabel(account), usage?.plan ?? account.plan ?? ""].map(printable);
	return [markOf(shown), label ?? "", plan ?? "", ...windows, stateText(shown, now)];
}

/** The width of the mark, and of the gap between label and state. */
const NARROW_MARGIN = 4;

/** Percentages show what is left, as in the footer. */
function narrowRows(shown: ShownAccount, columns: number, now: number): string[] {
	const { account, usage } = shown;
	const windows = windowTexts(usage, now, "");
	const state = stateText(shown, now);
	const label = truncate(printable(signedLabel(account)), columns - visibleWidth(state) - NARROW_MARGIN);
	const margin = " ".repeat(NARROW_MARGIN);
	const lines = wrapParts(windows, "   ", columns - NARROW_MARGIN).map((line) => `${margin}${line.trimStart()}`);
	return [`${markOf(shown)} ${label}  ${state}`, ...lines];
}

function markOf({ isActive }: ShownAccount): string {
	return isActive ? "→" : " ";
}

function windowTexts(usage: UsageSnapshot | undefined, now: number, left: string): string[] {
	if (!usage) return ["usage unknown"];
	return byLength(includedOf(usage)).map((quota) => windowText(quota, now, left));
}

function windowText(window: UsageWindow, now: number, left: string): string {
	const name = windowLabel(windowName(window.windowMinutes)).padStart(4);
	const percent = formatPercent(remaining(window, now)).padStart(4);
	const isRunning = window.resetsAt !== undefined && window.resetsAt > now;
	return `${name} ${percent}${left}${isRunning ? `  ${formatDuration((window.resetsAt ?? now) - now)}` : ""}`;
}

function stateText(shown: ShownAccount, now: number): string {
	const rest = restFor(shown, now);
	const word = stateWord(shown, now);
	const state = rest === undefined ? word : `${word} ${rest}`;
	return shown.isPinned ? `${state}, pinned` : state;
}

/** Returns what does not fit into the table: why an account cannot be used, and which part of it is closed. */
function noteOf(shown: ShownAccount, now: number): string[] {
	const { account, state, cooldowns, lastError, usage } = shown;
	const users = usersText(shown.shared?.users ?? []);
	const used = users === undefined ? [] : [`  ${account.label}: ${users}`];
	if (state === "needs-login" || state === "disabled") return [`  ${account.label}: ${whatNow(account)}`];
	if (shown.outsideOf !== undefined) return used;
	const isRefused = cooldowns.some(({ reason }) => reason === "unauthorized" || reason === "refused");
	if (isRefused && lastError) return [`  ${account.label}: was refused, "${errorWords(lastError.text)}"`];
	const gate = gateOf(shown, undefined, now);
	const credits = gate?.kind === "credits" ? [`  ${account.label}: ${onlyCredits(gate.until, now)}`] : [];
	const parts = cooldowns
		.filter(({ scope }) => scope !== "account")
		.map(
			({ scope, reason, until, guessed }) =>
				`  ${account.label}: ${partLabel(scope, usage)}, ${humanize(reason)} until ${about(guessed)}${formatClock(until, now)}`,
		);
	const caps = Object.keys(shown.floors ?? {}).map(
		(window) => `  ${account.label}: ${capText(window, shown.floors ?? {}, shown.usage, now)}`,
	);
	return [...used, ...caps, ...credits, ...parts];
}

/** `work: 2 reset credits, the first expires 3 Dec. /multicodex redeem work`; empty without reset credits. */
function resetCreditNote({ account, usage, resetCredits }: ShownAccount, now: number): string[] {
	const count = resetCreditsOf(usage);
	if (count === 0) return [];
	const has = `${plural(count, "reset credit")}${firstExpiry(count, resetCredits, now)}`;
	return [`  ${account.label}: ${has}. /multicodex redeem ${asWord(account.label)}`];
}

/** The widths of the columns of {@link poolAsLines}. */
const LINE = { label: 16, state: 12, rest: 6, window: 5, left: 4, resets: 6 };
const ABSENT = "-";

/**
 * Formats exactly one line per account, for `watch` and scripts, in fixed columns of 78 in total: a mark for the
 * account that serves next, label, state, time to the end of a cooldown, and for two windows the name, what is left and
 * the time to the reset. `-` stands for a missing value.
 */
export function poolAsLines(view: PoolView): string {
	if (view.accounts.length === 0) return noAccountSignedIn();
	return view.accounts.map((shown) => accountAsLine(shown, view.now)).join("\n");
}

function accountAsLine(shown: ShownAccount, now: number): string {
	const { account, readyAt } = shown;
	const rest = readyAt !== undefined && shown.state === "cooling" ? formatDuration(readyAt - now) : ABSENT;
	const [first, second] = windowCells(shown, now);
	const cells = [
		padCell(account.label, LINE.label),
		padCell(stateWord(shown, now), LINE.state),
		padCell(rest, LINE.rest),
		compactWindow(first),
		compactWindow(second),
	];
	return `${markOf(shown)} ${cells.join("  ")}`.trimEnd();
}

function compactWindow(window: WindowCell | undefined): string {
	const { name = ABSENT, left = ABSENT, resetsIn = "" } = window ?? {};
	const parts = [
		padCell(windowLabel(name), LINE.window),
		left.padStart(LINE.left),
		padCell(resetsIn || ABSENT, LINE.resets),
	];
	return parts.join(" ");
}

/** Formats everything known of each account in lines of `columns`, without cutting. */
export function poolInDetail(view: PoolView, columns: number): string {
	if (view.accounts.length === 0) return noAccountSignedIn();
	return view.accounts.map((shown) => accountInDetail(shown, view, columns).join("\n")).join("\n\n");
}

function accountInDetail(shown: ShownAccount, { now }: PoolView, columns: number): string[] {
	const lines = factLines(factsOf(shown, now), columns - 2).map((line) => `  ${line}`);
	// Notes end in a command to type, so they are left to wrap. The facts already say what shares the account.
	return [
		truncate(`${markOf(shown)} ${printable(signedLabel(shown.account))}`, columns),
		...lines,
		...noteOf({ ...shown, shared: undefined }, now).map(printable),
	];
}
