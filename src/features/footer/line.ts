import { visibleWidth } from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import type { Floors } from "../../core/caps.ts";
import type { Outlook } from "../../core/forecast/forecast.ts";
import { ownValue } from "../../core/own-value.ts";
import { budgetsOf, byLength, freshness, remaining, windowName, windowsOf } from "../../core/quota.ts";
import type { FooterSettings } from "../../core/settings.ts";
import type { UsageSnapshot, UsageWindow } from "../../core/usage.ts";
import { meter, toneOfLeft } from "../../ui-kit/account-cells.ts";
import { folderName } from "../../ui-kit/account-texts.ts";
import { outText, untilText } from "../../ui-kit/forecast-texts.ts";
import {
	about,
	formatClock,
	formatCountdown,
	formatDuration,
	formatPercent,
	truncate,
	windowLabel,
} from "../../ui-kit/format.ts";
import { type Line, type Paint, type Span, span } from "../../ui-kit/panel.ts";

/** What the footer shows at one moment. */
export interface FooterModel {
	/** False while the extension is switched off. */
	readonly isEnabled: boolean;
	/** True if pi holds its own API key for Codex, which it uses directly. */
	readonly isForeign: boolean;
	readonly settings: FooterSettings;
	readonly active: ActiveAccount | undefined;
	readonly isPinned: boolean;
	readonly ready: number;
	readonly total: number;
	/** The account that is back first, if none is ready. */
	readonly first:
		| {
				readonly label: string;
				readonly readyAt: number;
				readonly isGuess?: boolean | undefined;
				/** True if a cap excludes it although quota is left. */
				readonly isCapped?: boolean | undefined;
		  }
		| undefined;
	/** The folder whose account set applies to the session. */
	readonly setFolder?: string | undefined;
	/** True if the database of the shared pool cannot be used. */
	readonly isPoolAway?: boolean;
	/** Set while a request waits for an account, epoch ms. */
	readonly waitingUntil: number | undefined;
	/** True if the person is at a terminal, where Esc ends the wait. */
	readonly hasKeys: boolean;
	/** True if it waits although others could serve, because their own sessions need their quota. */
	readonly waitsForRoom: boolean;
	/** True while a turn waits for the person to decide how to continue. */
	readonly isAsking?: boolean;
	/** The link of the chain that serves in place of the pool. */
	readonly link?: string | undefined;
	/** When the pool runs out. */
	readonly lasts?: Outlook | undefined;
	readonly now: number;
}

/** The account that serves. */
export interface ActiveAccount {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	readonly isReady: boolean;
	/** The caps on it. */
	readonly floors?: Floors | undefined;
	/** True if its included quota is spent and the session continues on bought credits. */
	readonly isOnCredits?: boolean;
	/** True if its included quota is spent and the session continues on its reserve model. */
	readonly isOnReserveModel?: boolean;
}

/**
 * What the line adds while there is room, most important first: every segment in its short form, then its words, then
 * extras. If one does not fit, nothing after it is added.
 */
const STEPS = [
	"account",
	"tightest window",
	"pool away",
	"set",
	"lasts",
	"other windows",
	"ready",
	"words of account",
	"words of tightest window",
	"words of other windows",
	"words of ready",
	"words of lasts",
	"caps",
	"resets",
	"age",
	"meters",
	"plan",
	"sentence of ready",
] as const;
type Step = (typeof STEPS)[number];
type Has = (step: Step) => boolean;

const SHORT_FORMS = STEPS.indexOf("words of account");

/** pi shows the status of all extensions on one line. Longer forms leave this many columns to the others. */
const LEFT_TO_OTHERS = 10;

/** Draws a segment in parts, with what the line has room for; nothing if it was not added. */
type Segment = (model: FooterModel, has: Has) => readonly Line[];

/** A new segment is one entry here, its place in {@link ORDERS}, and what it adds in {@link STEPS}. */
const SEGMENTS = {
	account: drawAccount,
	windows: drawWindows,
	source: drawSource,
	pool: drawPool,
	set: drawSet,
	lasts: drawLasts,
	ready: drawReady,
} satisfies Record<string, Segment>;

const ORDERS: Readonly<Record<FooterSettings["order"], readonly (keyof typeof SEGMENTS)[]>> = {
	"account-first": ["account", "pool", "set", "source", "windows", "lasts", "ready"],
	"usage-first": ["windows", "lasts", "source", "account", "pool", "set", "ready"],
};

/** Draws the footer in one line of at most `columns`, in the fullest form that fits, most important first. */
export function footerLine(model: FooterModel, columns: number, paint: Paint): string {
	const lines = specialLines(model) ?? usualLines(model);
	const fitting = lines.filter(({ parts, spare }) => visibleWidth(plain(parts)) + spare <= columns).at(-1);
	const [shortest] = lines;
	if (!fitting) return paint("text", truncate(shortest ? plain(shortest.parts) : "", columns));
	const painted = fitting.parts.map((part) => part.map(({ tone, text }) => paint(tone, text)).join(""));
	return painted.join(paint("dim", SEPARATOR));
}

const SEPARATOR = " · ";

function plain(parts: readonly Line[]): string {
	return parts.map((part) => part.map(({ text }) => text).join("")).join(SEPARATOR);
}

/** One form of the footer, and the columns to leave beside it. */
interface Form {
	readonly parts: readonly Line[];
	readonly spare: number;
}

/** Returns the forms from the shortest to the fullest. */
function usualLines(model: FooterModel): Form[] {
	const lines = STEPS.map((_step, last): Form => {
		const has = (step: Step) => STEPS.indexOf(step) <= last;
		const [first = [], ...others] = ORDERS[model.settings.order].flatMap((id) => SEGMENTS[id](model, has));
		const name = has("words of account") ? dim(first.length > 0 ? "codex " : "codex") : [];
		return { parts: [[...name, ...first], ...others], spare: last < SHORT_FORMS ? 0 : LEFT_TO_OTHERS };
	});
	return lines.filter(({ parts }) => plain(parts) !== "");
}

function drawAccount({ active, isPinned, settings }: FooterModel, has: Has): Line[] {
	if (!active || !has("account")) return [];
	const pinned = isPinned ? "pinned" : "";
	if (!settings.account) return isPinned ? [dim(pinned)] : [];
	const { account, usage } = active;
	const plan = usage?.plan ?? account.plan;
	return [
		[
			span("text", printable(account.label)),
			...dim(isPinned ? ` ${pinned}` : ""),
			...dim(plan && has("plan") ? ` (${printable(plan)})` : ""),
		],
	];
}

/** Shows what serves the session, if that is not its included quota. */
function drawSource({ active }: FooterModel, has: Has): Line[] {
	if (!active || !has("account")) return [];
	if (active.isOnReserveModel) return [[span("warning", "Luna Reserve")]];
	return active.isOnCredits ? [[span("warning", "credits")]] : [];
}

/**
 * Shows that the database of the shared pool cannot be used. No sign-in is renewed, and other machines are not updated.
 */
function drawPool({ active, isPoolAway }: FooterModel, has: Has): Line[] {
	return active && isPoolAway && has("pool away") ? [[span("warning", "pool away")]] : [];
}

/** Longer folder names are cut here. */
const LONGEST_FOLDER = 16;

function setName(folder: string): string {
	return `set of ${truncate(folderName(folder), LONGEST_FOLDER)}`;
}

function drawSet({ active, setFolder }: FooterModel, has: Has): Line[] {
	return active && setFolder !== undefined && has("set") ? [dim(setName(setFolder))] : [];
}

function drawWindows({ active, settings, now }: FooterModel, has: Has): Line[] {
	if (!active) return [];
	const { usage, floors = {} } = active;
	const windows = chosenWindows(usage, settings, now);
	if (!usage || windows.length === 0) {
		if (!has("tightest window")) return [];
		const isLong = has("words of tightest window");
		if (usage) return [dim(isLong ? "no limit reported" : "no limit")];
		return [dim(isLong ? "usage unknown" : "unknown")];
	}
	const isStale = freshness(usage, now) === "stale";
	const tightest = windows.reduce((least, next) => (remaining(next, now) < remaining(least, now) ? next : least));
	const parts = windows.flatMap((window): Line[] => {
		const which = window === tightest ? "tightest window" : "other windows";
		if (!has(which)) return [];
		const hasWords = has(`words of ${which}`);
		const left = remaining(window, now);
		const percent = settings.usage === "left" ? left : 100 - left;
		const name = windowLabel(windowName(window.windowMinutes));
		const bar = settings.meters && has("meters") ? `${meter(percent, METER_CELLS, "line")} ` : "";
		const word = hasWords ? ` ${settings.usage}` : "";
		const isResetTold = settings.reset && has("resets");
		const floor = ownValue(floors, windowName(window.windowMinutes));
		const cap = floor !== undefined && has("caps") ? `, cap ${formatPercent(floor)}` : "";
		return [
			[
				...dim(`${name === "week" && !hasWords ? "wk" : name} `),
				span(toneOfLeft(left), `${bar}${isStale ? "~" : ""}${formatPercent(percent)}${word}`),
				...dim(cap),
				...dim(isResetTold ? resetOf(window, now) : ""),
			],
		];
	});
	// The reset of a window stays right, however old its figure is.
	const age = isStale && has("age") ? dim(`${formatDuration(now - usage.capturedAt)} old`) : [];
	return [...parts, age].filter((part) => part.length > 0);
}

/**
 * Returns the windows that the person wants, shortest first. An account without them shows what it has. A budget is
 * shown if it is the tightest, or the only quota.
 */
function chosenWindows(usage: UsageSnapshot | undefined, { windows }: FooterSettings, now: number): UsageWindow[] {
	const all = byLength(usage ? windowsOf(usage) : []);
	const wanted = all.filter(({ windowMinutes }) => windows === "both" || windowName(windowMinutes) === windows);
	const chosen = wanted.length > 0 ? wanted : all;
	const [budget] = [...(usage ? budgetsOf(usage) : [])].sort((a, b) => remaining(a, now) - remaining(b, now));
	const isTightest = budget && all.every((window) => remaining(budget, now) < remaining(window, now));
	return isTightest ? [...chosen, budget] : chosen;
}

function resetOf({ resetsAt }: UsageWindow, now: number): string {
	return resetsAt !== undefined && resetsAt > now ? ` (${formatDuration(resetsAt - now)})` : "";
}

const METER_CELLS = 10;

function drawReady({ active, ready, total, settings }: FooterModel, has: Has): Line[] {
	// Before the first request there is nothing else to show.
	if (!has("ready") || (active && !settings.ready)) return [];
	if (ready === 1 && total > 1 && active?.isReady) return [[span("warning", "last ready")]];
	if (has("sentence of ready")) return [dim(`${ready} of ${total} ready`)];
	return [dim(`${ready}/${total}${has("words of ready") ? " ready" : ""}`)];
}

function drawLasts({ active, settings, lasts, total, now }: FooterModel, has: Has): Line[] {
	if (!active || !settings.lasts || !lasts || !has("lasts")) return [];
	const whole = total > 1 ? "pool" : "quota";
	return [dim(`${whole} ${has("words of lasts") ? `lasts until ${untilText(lasts, now)}` : outText(lasts, now)}`)];
}

/**
 * Draws the line while no account serves: off, no account, waiting, none ready. From the shortest form to the fullest.
 */
function specialLines(model: FooterModel): Form[] | undefined {
	const { isEnabled, isForeign, active, total, ready, waitingUntil, link, first, setFolder, now } = model;
	const off: Line = [span("warning", "off")];
	if (!isEnabled) return forms([off], [named(off)], [named(off), dim("/multicodex on")]);
	if (isForeign) {
		return forms([dim("API key")], [dim("codex API key")], [dim("codex pi's own API key"), dim("no rotation")]);
	}
	if (link !== undefined) return linkLines(model, link);
	if (total === 0 && setFolder !== undefined) {
		const none = "no account of this set";
		return forms(
			[dim("set is empty")],
			[dim(none)],
			[named(dim(none)), dim(setName(setFolder)), dim("/multicodex only")],
		);
	}
	if (total === 0) {
		return forms([dim("no accounts")], [dim("codex no accounts")], [dim("codex no accounts"), dim("/multicodex add")]);
	}
	if (model.isAsking) return askingLines();
	if (waitingUntil !== undefined) {
		return waitingLines(model, waitingUntil);
	}
	if (ready > 0 || active?.isOnCredits || active?.isOnReserveModel) return undefined;
	const none: Line = [span("error", `0/${total} ready`)];
	if (!first) return forms([none], [named(none)], [named(none), dim("/multicodex show")]);
	const clock = `${about(first.isGuess)}${formatClock(first.readyAt, now)}`;
	const capped = first.isCapped ? " capped," : "";
	const back: Line = [span("text", printable(first.label)), ...dim(`${capped} back ${clock}`)];
	const long: Line = [...back, ...dim(` (${formatDuration(first.readyAt - now)})`)];
	const set = setFolder === undefined ? [] : [dim(setName(setFolder))];
	const usual = [[none], [none, dim(`back ${clock}`)], [named(none), back], [named(none), long]];
	return forms(...usual, ...(set.length > 0 ? [[named(none), ...set, long]] : []));
}

/** Shows which link of the chain serves, and when the first account is back. */
function linkLines({ ready, total, first, now }: FooterModel, link: string): Form[] {
	const name = printable(link);
	const short: Line = [span("warning", name.slice(name.lastIndexOf("/") + 1))];
	const serves: Line = [span("warning", name), ...dim(" serves")];
	const count: Line = [span(ready > 0 ? "dim" : "error", `${ready}/${total} ready`)];
	const lines: (readonly Line[])[] = [[short], [count, short], [named(count), serves]];
	if (!first || ready > 0) return forms(...lines);
	const back: Line = [
		span("text", printable(first.label)),
		...dim(` back ${about(first.isGuess)}${formatClock(first.readyAt, now)}`),
	];
	return forms(...lines, [named(count), serves, back]);
}

/** Shows what the request waits for: which account, until when, and how to end the wait. */
function waitingLines({ waitsForRoom, hasKeys, first, now }: FooterModel, waitingUntil: number): Form[] {
	const awaited = first?.readyAt === waitingUntil ? first : undefined;
	const left = `${about(awaited?.isGuess)}${formatCountdown(waitingUntil - now)}`;
	const short: Line = [span("warning", `back in ${left}`)];
	const waiting = named([span("warning", waitsForRoom ? "waiting for room" : "waiting")]);
	const who = awaited ? printable(awaited.label) : "first account";
	const usual: Line = [span("warning", `${who} back in ${left}`)];
	const long: Line = [
		span("warning", `${who} back ${about(awaited?.isGuess)}${formatClock(waitingUntil, now)} (${left})`),
	];
	const wayOut = hasKeys ? [dim("esc ends the wait")] : [];
	return forms([short], [named(short)], [waiting, usual], [waiting, usual, ...wayOut], [waiting, long, ...wayOut]);
}

/** Shows that a turn waits for an answer in the panel or dialog above. */
function askingLines(): Form[] {
	return forms([[span("warning", "your answer?")]], [named([span("warning", "waiting for your answer")])]);
}

function named(part: Line): Line {
	return [...dim("codex "), ...part];
}

function forms(...lines: readonly (readonly Line[])[]): Form[] {
	return lines.map((parts) => ({ parts, spare: 0 }));
}

function dim(text: string): Span[] {
	return text === "" ? [] : [{ tone: "dim", text }];
}
