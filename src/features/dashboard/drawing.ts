import { visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Amounts } from "../../core/ledger/ledger.ts";
import type { PoolView, ShownAccount } from "../../core/pool/pool-view.ts";
import {
	clampWidth,
	type Highlight,
	type Line,
	type Paint,
	renderLine,
	rowLine,
	span,
	wordsOf,
	wrapParts,
} from "../../ui-kit/panel.ts";
import { accountLines } from "./account-view.ts";
import { helpLines, hintWords, type KeyMoment } from "./keys.ts";
import { noMatch } from "./list-filter.ts";
import { labelIn, type Move } from "./moves.ts";
import { layOut } from "./table.ts";
import {
	type Asking,
	details,
	emptyPool,
	foldLine,
	headline,
	type LastRotation,
	lastsLine,
	poolLine,
	type Rotation,
	rotationLine,
} from "./texts.ts";

/** What keys do: act, show the list of keys, or edit the filter. */
export type Mode = "keys" | "help" | "filter";

/** What the dashboard shows at one moment. */
export interface Scene {
	/** The whole pool. */
	readonly whole: PoolView;
	/** The part of the pool that filter and fold leave. */
	readonly view: PoolView;
	readonly selected: ShownAccount | undefined;
	readonly folded: readonly ShownAccount[];
	readonly mode: Mode;
	readonly filter: string;
	/** The filter's field. */
	readonly field: (width: number) => readonly string[];
	readonly moment: KeyMoment;
	readonly isAsking: (id?: AccountId) => boolean;
	readonly lastRotation: LastRotation | undefined;
	readonly moves: readonly Move[];
	/** Returns what an account was used for today; undefined for nothing, or while unknown. */
	readonly usedToday: (id: AccountId) => Amounts | undefined;
	/** The label of the account that was just removed. */
	readonly undone: string | undefined;
	/** Number of lines that the panel may take. */
	readonly room: number;
	/** Number of lines of the details scrolled past. */
	readonly scrolled: number;
	/** Returns the index of the first account to show, given how many fit. */
	readonly top: (height: number) => number;
	readonly paint: Paint;
	readonly highlight: Highlight;
}

/** The result of drawing. */
export interface Drawing {
	readonly lines: string[];
	/** Maximum number of accounts that fit; undefined if no list was drawn. */
	readonly fitting?: number;
	/** How many lines of the details are visible, and how many there are; undefined if none were drawn. */
	readonly details?: { readonly height: number; readonly total: number };
}

/** Minimum height of the detail block, so that changes in it move nothing. */
const DETAIL_LINES = 2;
/** With fewer accounts than this, the detail block is not shown. */
const FEWEST_ROWS = 3;
/** With a single account, its own line says everything about the pool. */
const FEWEST_IN_POOL = 2;

const FILTER_HINTS = ["type to filter", "enter keep it", "esc end it"];
/** With no match, Enter does nothing. */
const ASTRAY_HINTS = ["type to filter", "esc end it"];

const LEAD = "   ";

/** The parts that every form of the dashboard shares. */
interface Frame {
	readonly rule: string;
	/** Rule, headline, and the pool's line if there are several accounts. */
	readonly head: readonly string[];
	/** The result of the previous key. */
	readonly news: readonly string[];
	line(spans: Line): string;
	/** The same, wrapped into as many lines as needed, within a margin. */
	wrapped(spans: Line): string[];
	hints(isShort: boolean): string[];
	/** The filter, if there is one. */
	readonly field: readonly string[];
}

/** Draws the dashboard `width` columns wide. */
export function drawDashboard(scene: Scene, width: number): Drawing {
	const frame = frameOf(scene, width);
	const { mode, moment, selected } = scene;
	const isDetailed = moment.isDetailed && mode === "keys";
	if (mode === "help") return { lines: clampWidth(drawHelp(scene, frame, width), width) };
	if (!selected) return { lines: clampWidth(drawNone(scene, frame), width) };
	const { lines, ...measured } = isDetailed
		? drawAccount(scene, selected, frame, width)
		: drawList(scene, selected, frame, width);
	return { ...measured, lines: clampWidth(lines, width) };
}

function frameOf(scene: Scene, width: number): Frame {
	const { whole, mode, filter, moment, selected, undone, paint } = scene;
	const line = (spans: Line) => renderLine(spans, width, paint);
	const rule = paint("dim", "─".repeat(width));
	const pool = whole.accounts.length < FEWEST_IN_POOL ? [] : [line(poolLine(whole, width))];
	const filterHints = selected ? FILTER_HINTS : ASTRAY_HINTS;
	const fieldNow = () => (mode === "filter" ? scene.field(width) : [line([span("dim", ` filter: ${filter}`)])]);
	return {
		rule,
		line,
		head: [rule, line(headerSpans(scene, width)), ...pool, ...lastsLine(whole, width).map(line)],
		news: undone === undefined ? [] : wordsOf(`Removed ${undone}. u puts it back.`, "text", width, paint),
		wrapped: (spans) =>
			spans.flatMap(({ tone, text }) =>
				wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - LEAD.length)).map((each) => LEAD + each),
			),
		hints: (isShort) => {
			const words = mode === "filter" ? filterHints : hintWords(moment, isShort);
			return wrapParts(words, "  ", width - 2).map((text) => line([span("dim", ` ${text}`)]));
		},
		field: mode === "filter" || filter !== "" ? fieldNow() : [],
	};
}

function drawHelp({ moment, room }: Scene, { head, line, rule }: Frame, width: number): string[] {
	const keys = helpLines(moment, width, room - head.length - 2).map(line);
	return [...head, "", ...keys, rule];
}

function drawNone({ whole, filter }: Scene, { head, field, wrapped, news, hints, rule }: Frame): string[] {
	const none = whole.accounts.length === 0 ? emptyPool() : [[span("warning", noMatch(filter))]];
	const under = field.length > 0 ? field : [""];
	return [...head, ...under, ...none.flatMap(wrapped), "", ...news, ...hints(false), rule];
}

function drawList(scene: Scene, selected: ShownAccount, frame: Frame, width: number): Drawing {
	const { whole, view, folded, room } = scene;
	const { rule, head, line, wrapped, hints, field, news } = frame;
	const { accounts, now } = view;
	// Measure the whole pool, so that columns do not move while a filter is typed.
	const table = layOut(whole, width);
	const rotation = lastRotationOf(scene);
	const detail = [...details(selected, view), ...(rotation ? [rotationLine(rotation, now)] : [])];
	const block = table.isNarrow ? [] : filledUp(detail.flatMap(wrapped));
	const heading = table.heading.map(line);
	const under = field.length > 0 ? field : [""];
	const [rules = "", headlines = ""] = head;
	// From the fullest on: a terminal may be too low for the details, for the pool's line, and even for every hint.
	const forms = [
		{ above: [...head, ...under, ...heading], below: [...block, ...news, ...hints(table.isNarrow), rule] },
		{ above: [...head, ...under, ...heading], below: [...news, ...hints(table.isNarrow), rule] },
		{ above: [rules, headlines, ...field, ...heading], below: [...news, ...hints(true), rule] },
	];
	const rowsIn = ({ above, below }: (typeof forms)[number]) =>
		Math.floor((room - above.length - 1 - below.length) / table.height);
	const form = forms.find((each) => rowsIn(each) >= Math.min(accounts.length, FEWEST_ROWS)) ?? forms.at(-1);
	if (!form) return { lines: [] };
	const fitting = Math.max(1, rowsIn(form));
	const page = Math.min(accounts.length, fitting);
	const top = scene.top(page);
	const rows = accounts.slice(top, top + page).flatMap((shown) => {
		const isSelected = shown === selected;
		return table.row(shown, isSelected).map((spans) => rowLine(spans, isSelected, width, scene));
	});
	const place = page < accounts.length ? `(${accounts.indexOf(selected) + 1}/${accounts.length})` : "";
	const before = `${LEAD}${place}${place !== "" && folded.length > 0 ? "  " : ""}`;
	const rest = folded.length > 0 ? foldLine(folded, now, width - before.length) : [];
	const count = place === "" && rest.length === 0 ? "" : line([span("dim", before), ...rest]);
	return { lines: [...form.above, ...rows, count, ...form.below], fitting };
}

function drawAccount(scene: Scene, selected: ShownAccount, frame: Frame, width: number): Drawing {
	const { view, room, scrolled, isAsking, moves, usedToday } = scene;
	const { account } = selected;
	const { rule, head, line, wrapped, hints, news } = frame;
	const asked = { shown: selected, view, isAsking: isAsking(account.id), moves, today: usedToday(account.id) };
	const body = accountLines(asked, Math.max(1, width - LEAD.length)).flatMap(wrapped);
	const place = `  (${view.accounts.indexOf(selected) + 1}/${view.accounts.length})`;
	const title = line([span("accent", ` ${account.label}`), span("dim", place)]);
	const [rules = "", headlines = ""] = head;
	const forms = [
		{ above: [...head, "", title], below: ["", ...news, ...hints(width < NARROW), rule] },
		{ above: [rules, headlines, title], below: [...news, ...hints(true), rule] },
	];
	const roomIn = ({ above, below }: (typeof forms)[number]) => room - above.length - below.length;
	const form = forms.find((each) => roomIn(each) >= Math.min(body.length, FEWEST_LINES)) ?? forms.at(-1);
	if (!form) return { lines: [] };
	const height = Math.max(1, roomIn(form));
	if (body.length <= height)
		return { lines: [...form.above, ...body, ...form.below], details: { height, total: body.length } };
	// One line says how many more there are.
	const shown = Math.max(1, height - 1);
	const from = Math.min(scrolled, body.length - shown);
	const more = line([span("dim", `${LEAD}${body.length - shown} more lines  pgup pgdn`)]);
	const lines = [...form.above, ...body.slice(from, from + shown), more, ...form.below];
	return { lines, details: { height: shown, total: body.length } };
}

/** In fewer columns than this, only the most important keys are shown. */
const NARROW = 60;
/** With fewer lines of an account than this, the frame around them is dropped. */
const FEWEST_LINES = 6;

/** Fills up to the usual height, plus a line to separate what follows. */
function filledUp(detail: readonly string[]): string[] {
	return [...detail, ...Array<string>(Math.max(0, DETAIL_LINES - detail.length)).fill(""), ""];
}

/** The last rotation of this process is known before it is in the log. */
function lastRotationOf({ whole, lastRotation, moves }: Scene): Rotation | undefined {
	const labels = whole.accounts.map(({ account }) => account);
	const logged = moves.find(({ isRotation }) => isRotation);
	const own = lastRotation && {
		at: lastRotation.at,
		from: lastRotation.event.from.id,
		to: lastRotation.event.to.id,
		reason: lastRotation.event.reason,
		window: lastRotation.event.window,
	};
	const last = own && own.at >= (logged?.at ?? 0) ? own : logged;
	return last && { ...last, from: labelIn(labels, last.from), to: labelIn(labels, last.to) };
}

/** Shows as many parts as fit, most important first. */
function headerSpans({ whole, isAsking }: Scene, width: number): Line {
	const title = " MultiCodex";
	const asking = askingIn(whole, isAsking);
	const parts = headline(whole, asking).map(printable);
	const fits = (some: readonly string[]) => visibleWidth(`${title}  ${some.join(" · ")}`) <= width;
	const all = parts.length;
	while (parts.length > 1 && !fits(parts)) parts.pop();
	if (asking && parts.length < all && fits([...parts, "asking"])) parts.push("asking");
	return [span("accent", title), span("dim", "  "), span(whole.isEnabled ? "text" : "warning", parts.join(" · "))];
}

function askingIn({ accounts }: PoolView, isAsking: Scene["isAsking"]): Asking {
	const asked = accounts.filter(({ account }) => isAsking(account.id));
	if (asked.length === 1) return asked[0]?.account;
	return asked.length > 1 || isAsking() ? "several" : undefined;
}
