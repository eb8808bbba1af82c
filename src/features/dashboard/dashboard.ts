import {
	type Component,
	type Focusable,
	Input,
	type KeyId,
	matchesKey,
	visibleWidth,
	wrapTextWithAnsi,
} from "@mariozechner/pi-tui";
import { type Account, printable } from "../../core/account.ts";
import type { PoolView } from "../../core/pool-view.ts";
import { type ListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import {
	fitted,
	flow,
	type Highlight,
	type Line,
	type Paint,
	type PanelKey,
	painted,
	rowLine,
	span,
	wordsOf,
} from "../../ui-kit/panel.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { filtered, noMatch } from "./list-filter.ts";
import { layOut } from "./table.ts";
import { details, emptyPool, headline, type LastRotation, rotationLine } from "./texts.ts";

/** What a key of the dashboard asks for. */
export type DashboardAction =
	| "use"
	| "auto"
	| "add"
	| "login"
	| "remove"
	| "enable"
	| "disable"
	| "rename"
	| "refresh"
	| "undo"
	| "close";

/** What the dashboard asks of the rest. */
export interface DashboardDeps {
	readonly view: () => PoolView;
	readonly cursor: ListCursor;
	/** Usage is on its way. */
	readonly isAsking: () => boolean;
	readonly lastRotation: () => LastRotation | undefined;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that this person's key bindings give that meaning. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Lines that the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly pace: Pace;
	/** The label of the account that was just removed, while it can be put back. */
	readonly undoable: () => string | undefined;
	/** `account` is the one that was highlighted when the key was pressed; undefined in an empty pool. */
	readonly onAction: (action: DashboardAction, account: Account | undefined) => void;
}

/** Where the hint line names a key: also on a narrow terminal, where there is room, or not at all; `off`: it does nothing. */
type Naming = "always" | "room" | "never" | "off";

interface Key {
	readonly typed: { readonly binding: PanelKey } | { readonly letter: KeyId };
	/** As the hint line names it. */
	readonly name: string;
	readonly does: string;
	/** The same where there is room for a few words. */
	readonly help: string;
	readonly action: DashboardAction | "help";
	/** For the highlighted account; `room` unless told otherwise. */
	readonly naming?: (account: Account) => Naming;
	/** There is something to do in an empty pool, too. */
	readonly isForAll?: boolean;
	/** There is something to do only after a removal. */
	readonly isAfterRemoval?: boolean;
}

const confirm = { binding: "tui.select.confirm" } as const;
const cancel = { binding: "tui.select.cancel" } as const;
const always = (): Naming => "always";
const canServe = ({ enabled, needsLogin }: Account) => enabled && !needsLogin;

/** Every key but those that move or filter: what is pressed, what is hinted at, and what is done. */
const KEYS: readonly Key[] = [
	// Pressed on an account that cannot serve it tells why.
	{
		typed: confirm,
		name: "enter",
		does: "use",
		help: "use in all sessions",
		action: "use",
		naming: (each) => (canServe(each) ? "always" : "never"),
	},
	{
		typed: { letter: "a" },
		name: "a",
		does: "auto",
		help: "choose by policy",
		action: "auto",
		naming: always,
	},
	{ typed: { letter: "n" }, name: "n", does: "add", help: "sign in to one more", action: "add", isForAll: true },
	{
		typed: { letter: "s" },
		name: "s",
		does: "sign in",
		help: "sign in to it again",
		action: "login",
		naming: ({ needsLogin }) => (needsLogin ? "always" : "room"),
	},
	{ typed: { letter: "x" }, name: "x", does: "remove", help: "remove, asks first", action: "remove" },
	{
		typed: { letter: "u" },
		name: "u",
		does: "undo",
		help: "undo the removal",
		action: "undo",
		naming: always,
		isForAll: true,
		isAfterRemoval: true,
	},
	{
		typed: { letter: "e" },
		name: "e",
		does: "disable",
		help: "take out of use",
		action: "disable",
		naming: ({ enabled }) => (enabled ? "room" : "off"),
	},
	{
		typed: { letter: "e" },
		name: "e",
		does: "enable",
		help: "use it again",
		action: "enable",
		naming: ({ enabled }) => (enabled ? "off" : "always"),
	},
	{ typed: { letter: "v" }, name: "v", does: "rename", help: "give another label", action: "rename" },
	{ typed: { letter: "r" }, name: "r", does: "refresh", help: "ask for usage now", action: "refresh" },
	{ typed: { letter: "?" }, name: "?", does: "keys", help: "show or hide keys", action: "help", naming: always },
	{ typed: cancel, name: "esc", does: "close", help: "close", action: "close", naming: always, isForAll: true },
];

/** Keys that stand in no list of what is done: they only move, or filter. */
const MOVES_HELP: readonly (readonly [string, string])[] = [
	["↑↓ j k", "move"],
	["home end", "first, last"],
	["/", "filter by typing"],
];
const MOVE = "↑↓ move";
/** The detail block is as high as this at least, so that news in it move nothing. */
const DETAIL_LINES = 2;
/** Fewer accounts than this are not worth the detail block. */
const FEWEST_ROWS = 3;

/** How the rows are looked at: with the keys, with the keys listed, or with letters going into the filter. */
type Mode = "keys" | "help" | "filter";

/** Creates the dashboard. It draws what it is told and does nothing by itself; text is never taken for its keys. */
export function createDashboard(deps: DashboardDeps): Component & Focusable {
	const { cursor, paint } = deps;
	const input = new Input();
	let mode: Mode = "keys";
	/** Accounts that fitted the last time: the step of the page keys. */
	let page = 1;
	/** The account that was highlighted when the key was pressed that waits for what follows it. */
	let pressedOn: Account | undefined;

	const shownIn = (view: PoolView): PoolView => ({ ...view, ...filtered(view.accounts, input.getValue()) });
	const idsOf = (view: PoolView) => view.accounts.map(({ account }) => account.id);
	const selectedIn = (view: PoolView) => view.accounts[cursor.at(idsOf(view))];
	const keysNow = (account: Account | undefined) =>
		KEYS.filter((key) => namingOf(key, account, deps.undoable() !== undefined) !== "off");

	const render = (width: number): string[] => {
		const whole = deps.view();
		const view = shownIn(whole);
		const ids = idsOf(view);
		const at = cursor.at(ids);
		const selected = view.accounts[at];
		const line = (spans: Line) => painted(spans, width, paint);
		const wrapped = (spans: Line) =>
			spans.flatMap(({ tone, text }) =>
				wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - LEAD.length)).map((each) => LEAD + each),
			);
		const rule = paint("dim", "─".repeat(width));
		const head = [rule, line(headerSpans(whole, deps.isAsking(), width))];
		if (mode === "help") {
			const keys = keysNow(selected?.account);
			return fitted([...head, "", ...helpLines(keys, width, deps.room() - 4).map(line), rule], width);
		}
		const hasFilter = mode === "filter" || input.getValue() !== "";
		const filterHints = selected ? FILTER_HINTS : ASTRAY_HINTS;
		const hintsOf = (isShort: boolean) => {
			const words = mode === "filter" ? filterHints : hintWords(keysNow(selected?.account), selected?.account, isShort);
			return flow(words, "  ", width - 2).map((text) => line([span("dim", ` ${text}`)]));
		};
		const undone = deps.undoable();
		const news = undone === undefined ? [] : wordsOf(`Removed ${undone}. u puts it back.`, "text", width, paint);
		const field = hasFilter ? filterLines(width) : [];
		const under = hasFilter ? field : [""];
		if (!selected) {
			const none = whole.accounts.length === 0 ? emptyPool() : [[span("warning", noMatch(input.getValue()))]];
			return fitted([...head, ...under, ...none.flatMap(wrapped), "", ...news, ...hintsOf(false), rule], width);
		}

		// Columns do not move while a filter is typed.
		const table = layOut(whole, width);
		const rotation = deps.lastRotation();
		const detail = [...details(selected, view), ...(rotation ? [rotationLine(rotation, view.now)] : [])];
		const block = table.isNarrow ? [] : filledUp(detail.flatMap(wrapped));
		const heading = table.heading.map(line);
		const hints = hintsOf(table.isNarrow);
		// From the richest on: a terminal may be too low for the details, and even for every hint.
		const forms = [
			{ above: [...head, ...under, ...heading], below: [...block, ...news, ...hints, rule] },
			{ above: [...head, ...under, ...heading], below: [...news, ...hints, rule] },
			{ above: [...head, ...field, ...heading], below: [...news, ...hintsOf(true), rule] },
		];
		const rowsIn = ({ above, below }: (typeof forms)[number]) =>
			Math.floor((deps.room() - above.length - 1 - below.length) / table.height);
		const form = forms.find((each) => rowsIn(each) >= Math.min(ids.length, FEWEST_ROWS)) ?? forms.at(-1);
		if (!form) return [];
		page = Math.max(1, Math.min(ids.length, rowsIn(form)));
		const top = cursor.top(ids, page);
		const rows = view.accounts.slice(top, top + page).flatMap((shown, index) => {
			const isSelected = top + index === at;
			return table.row(shown, isSelected).map((spans) => rowLine(spans, isSelected, width, deps));
		});
		const count = page < ids.length ? line([span("dim", `${LEAD}(${at + 1}/${ids.length})`)]) : "";
		return fitted([...form.above, ...rows, count, ...form.below], width);
	};
	const filterLines = (width: number) =>
		mode === "filter"
			? input.render(Math.max(1, width - 1)).map((text) => ` ${text}`)
			: [painted([span("dim", ` filter: ${input.getValue()}`)], width, paint)];

	const filter = (typed: string) => {
		const before = input.getValue();
		input.handleInput(typed);
		const value = printable(input.getValue());
		if (value !== input.getValue()) input.setValue(value);
		if (value === before) return;
		const { best } = filtered(deps.view().accounts, value);
		if (best) cursor.put(best.account.id);
	};
	const endFilter = () => {
		input.setValue("");
		mode = "keys";
	};
	const move = (typed: string): boolean => {
		const ids = idsOf(shownIn(deps.view()));
		const letter = mode === "filter" ? undefined : LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1];
		const step = letter ?? stepOf(typed, deps.isKey, page);
		if (step !== undefined) cursor.move(ids, step);
		return step !== undefined;
	};
	const isBound = (typed: string, key: PanelKey) => deps.isKey(typed, key);
	const pressInFilter = (typed: string) => {
		if (isBound(typed, "tui.select.cancel")) endFilter();
		else if (isBound(typed, "tui.select.confirm")) {
			// A filter that leaves nothing is a slip: the field stays.
			if (selectedIn(shownIn(deps.view()))) mode = "keys";
		} else if (!move(typed)) filter(typed);
	};
	/** True where the key asks for something of the rest. */
	const pressKey = (typed: string): boolean => {
		if (mode === "help") mode = "keys";
		else if (mode === "filter") pressInFilter(typed);
		else if (!move(typed)) return pressCommand(typed);
		return false;
	};
	const pressCommand = (typed: string): boolean => {
		// The first Esc takes the filter away.
		if (isBound(typed, "tui.select.cancel") && input.getValue() !== "") {
			endFilter();
			return false;
		}
		const account = deps.view().accounts.find((each) => each.account.id === pressedOn?.id)?.account;
		// The row may have gone while its key waited.
		if (pressedOn && !account) return false;
		const isPressed = ({ typed: wanted }: Key) =>
			"binding" in wanted ? deps.isKey(typed, wanted.binding) : matchesKey(typed, wanted.letter);
		const key = keysNow(account).find(isPressed);
		if (!key && textIn(typed) !== undefined) takeText(typed);
		if (key?.action === "help") mode = "help";
		if (!key || key.action === "help") return false;
		deps.onAction(key.action, account);
		return true;
	};
	/** Letters that are no key of the dashboard are text as well: they may be the beginning of more. */
	const takeText = (text: string) => {
		// Where there is nothing to filter, text goes nowhere.
		if (deps.view().accounts.length === 0) return;
		mode = "filter";
		// What begins with a slash begins a filter; a command that was meant for the editor matches nothing.
		const begun = input.getValue() === "" ? text.replace(/^\//, "") : text;
		if (begun !== "") filter(begun);
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: (typed) => {
			// What was asked for draws by itself, and may have closed this.
			if (!pressKey(typed)) deps.repaint();
		},
		onText: (text) => {
			takeText(text);
			deps.repaint();
		},
		isRisky: (typed) => isBound(typed, "tui.select.confirm"),
		isMove: (typed) => LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
		isInField: () => mode === "filter",
	});

	return {
		get focused() {
			return input.focused;
		},
		// Passed on, so that input methods find the cursor.
		set focused(isFocused) {
			input.focused = isFocused;
		},
		render,
		invalidate: () => input.invalidate(),
		handleInput: (typed) => {
			if (!typing.isWaiting()) pressedOn = selectedIn(shownIn(deps.view()))?.account;
			const isSlash = mode === "keys" && textIn(typed) === "/" && !typing.isWaiting();
			if (!isSlash) return typing.read(typed);
			takeText("/");
			deps.repaint();
		},
	};
}

/** Letters that move, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];
const FILTER_HINTS = ["type to filter", "enter keep it", "esc end it"];
/** Where nothing fits Enter does nothing. */
const ASTRAY_HINTS = ["type to filter", "esc end it"];

const LEAD = "   ";

/** As high as usual at least, and parted from what follows. */
function filledUp(detail: readonly string[]): string[] {
	return [...detail, ...Array<string>(Math.max(0, DETAIL_LINES - detail.length)).fill(""), ""];
}

/** As many parts as fit, in the order of what matters. */
function headerSpans(view: PoolView, isAsking: boolean, width: number): Line {
	const title = " MultiCodex";
	const parts = headline(view, isAsking).map(printable);
	while (parts.length > 1 && visibleWidth(`${title}  ${parts.join(" · ")}`) > width) parts.pop();
	return [span("accent", title), span("dim", "  "), span(view.isEnabled ? "text" : "warning", parts.join(" · "))];
}

function namingOf(
	{ naming, isForAll = false, isAfterRemoval = false }: Key,
	account: Account | undefined,
	isUndoable: boolean,
): Naming {
	if (isAfterRemoval && !isUndoable) return "off";
	if (!account) return isForAll ? "always" : "off";
	return naming?.(account) ?? "room";
}

/** `isShort`: only the few keys that matter most. */
function hintWords(keys: readonly Key[], account: Account | undefined, isShort: boolean): string[] {
	const named = isShort ? ["always"] : ["always", "room"];
	const words = keys
		.filter((key) => named.includes(namingOf(key, account, true)))
		.map(({ name, does }) => `${name} ${does}`);
	return account && !isShort ? [MOVE, ...words] : words;
}

/** Every key and what it does: one on a line, or in fewer words where the terminal is too low for that. */
function helpLines(keys: readonly Key[], width: number, room: number): Line[] {
	const all = [...MOVES_HELP, ...keys.map(({ name, help }) => [name, help] as const)];
	if (all.length <= room) {
		return all.map(([name, does]) => [span("accent", ` ${name.padEnd(9)}`), span("text", does)]);
	}
	const short = [MOVE, "/ filter", ...keys.map(({ name, does }) => `${name} ${does}`)];
	return flow(short, "  ", width - 2).map((text) => [span("text", ` ${text}`)]);
}
