import { type Component, type Focusable, Input, Key, matchesKey, visibleWidth } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { AccountId } from "../../core/ids.ts";
import type { PoolView, ShownAccount } from "../../core/pool/pool-view.ts";
import { leadOf, stateCell, windowCells } from "../../ui-kit/account-cells.ts";
import { windowLabel } from "../../ui-kit/format.ts";
import { type ListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import {
	clampWidth,
	type Highlight,
	type Line,
	nameCell,
	type Paint,
	type PanelKey,
	padCell,
	renderLine,
	rowLine,
	span,
	WITH_PAGE_KEYS,
	wrapParts,
} from "../../ui-kit/panel.ts";
import { bypassedBy } from "../../ui-kit/state-words.ts";
import { fieldLines, panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace } from "../../ui-kit/typing.ts";
import { filtered, noMatch } from "./list-filter.ts";

/** What was picked: an account by its id, another row, or nothing. */
export type Picked =
	| { readonly kind: "use"; readonly id: AccountId }
	| { readonly kind: "remove"; readonly id: AccountId }
	| { readonly kind: "auto" }
	| { readonly kind: "add" }
	| { readonly kind: "closed" };

/** Dependencies of the picker. */
interface PickerDeps {
	readonly view: () => PoolView;
	readonly cursor: ListCursor;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly pace: Pace;
	readonly onPick: (picked: Picked) => void;
}

type Row =
	| { readonly id: AccountId; readonly shown: ShownAccount }
	| { readonly id: string; readonly name: "auto" | "add"; readonly does: string };

/** Ids of rows that are not accounts. No account has a blank in its id. */
const AUTO = "row auto";
const ADD = "row add";
/** Rows after the accounts. */
const LAST_ROWS = [
	{ id: AUTO, name: "auto", does: "let the policy choose" },
	{ id: ADD, name: "add", does: "sign in to another account" },
] as const;
const LONGEST_DEED = Math.max(...LAST_ROWS.map(({ does }) => does.length));
/** The width of labels, if there is room. */
const LABEL = 24;
const LEAD = 3;
/** Lines for rules, title, field, blanks and hints. */
const LINES_AROUND = 8;

/** Creates the picker: accounts with a filter, followed by rows that are always there. */
export function createPicker(deps: PickerDeps): Component & Focusable {
	const { cursor, paint } = deps;
	const input = new Input();

	/** No account matches, so no row is highlighted until the person moves to one. */
	let isAstray = false;

	const rowsOf = ({ accounts }: PoolView): Row[] => [
		...filtered(accounts, input.getValue()).accounts.map((shown) => ({ id: shown.account.id, shown })),
		...LAST_ROWS,
	];
	/** A typo must neither end a pin nor start a sign-in. Those need the whole word, or the arrows. */
	const highlightBest = () => {
		const typed = input.getValue().trim().toLowerCase();
		const named = typed === "" ? undefined : LAST_ROWS.find(({ name }) => name === typed);
		const { best } = filtered(deps.view().accounts, input.getValue());
		isAstray = typed !== "" && !named && !best;
		if (!isAstray) cursor.put(best?.account.id ?? named?.id);
	};
	const filter = (typed: string) => {
		const before = input.getValue();
		input.handleInput(typed);
		const pasted = printable(input.getValue());
		if (pasted !== input.getValue()) input.setValue(pasted);
		if (input.getValue() !== before) highlightBest();
		deps.repaint();
	};
	const pick = (row: Row) => {
		if ("shown" in row) deps.onPick({ kind: "use", id: row.id });
		else deps.onPick({ kind: row.name });
	};

	const isRemoval = (typed: string) => matchesKey(typed, Key.backspace) && input.getValue() === "";
	const press = (typed: string) => {
		const rows = rowsOf(deps.view());
		const ids = rows.map(({ id }) => id);
		const step = stepOf(typed, deps.isKey, deps.room() - LINES_AROUND);
		const row = isAstray ? undefined : rows[cursor.at(ids)];
		if (step !== undefined) {
			isAstray = false;
			cursor.move(ids, step);
			deps.repaint();
		} else if (deps.isKey(typed, "tui.select.cancel")) deps.onPick({ kind: "closed" });
		else if (deps.isKey(typed, "tui.select.confirm")) {
			if (row) pick(row);
		} else if (isRemoval(typed)) {
			if (row && "shown" in row) deps.onPick({ kind: "remove", id: row.id });
		} else filter(typed);
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: press,
		onText: filter,
		isRisky: (typed) => isRemoval(typed) || deps.isKey(typed, "tui.select.confirm"),
		isInField: () => true,
	});

	const panel = panelAround(input, {
		render: (width) => {
			const view = deps.view();
			const rows = rowsOf(view);
			const ids = rows.map(({ id }) => id);
			const at = cursor.at(ids);
			const line = (spans: Line) => renderLine(spans, width, paint);
			const rule = paint("dim", "─".repeat(width));
			const height = Math.max(1, deps.room() - LINES_AROUND);
			const top = cursor.top(ids, height);
			const lineOf = lineMaker(view, width);
			const selected = isAstray ? undefined : rows[at];
			const hints = [
				...(isAstray ? ["↑↓ move"] : [`(${at + 1}/${rows.length})  enter ${enterDoes(selected, view)}`]),
				...(selected && "shown" in selected && input.getValue() === "" ? ["backspace remove"] : []),
				"esc cancel",
			];
			return clampWidth(
				[
					rule,
					line([span("accent", " Use Codex account")]),
					...fieldLines(input, width),
					isAstray ? line([span("warning", ` ${noMatch(input.getValue())}`)]) : "",
					...rows.slice(top, top + height).map((row, index) => {
						const isSelected = top + index === at && !isAstray;
						return rowLine(lineOf(row, isSelected), isSelected, width, deps);
					}),
					"",
					...wrapParts(hints, "   ", width - LEAD).map((text) => line([span("dim", `   ${text}`)])),
					rule,
				],
				width,
			);
		},
		handleInput: typing.read,
	});
	return Object.assign(panel, WITH_PAGE_KEYS);
}

/** Returns what Enter does on a row. */
function enterDoes(selected: Row | undefined, view: PoolView): string {
	if (selected && "name" in selected) return selected.name === "add" ? "sign in" : "use";
	return bypassedBy(view) === undefined ? "use" : "use later";
}

/** Returns what draws a row at this width: with what is left of the windows, if that fits. */
function lineMaker(view: PoolView, width: number): (row: Row, isSelected: boolean) => Line {
	const { now } = view;
	const longest = view.accounts.reduce(
		(most, { account }) => Math.max(most, visibleWidth(printable(account.label))),
		8,
	);
	const rests = view.accounts.map((shown) => restOf(shown, now));
	const room = (most: number) => width - LEAD - 2 - most;
	const withWindows = room(Math.max(0, ...rests.map(({ whole }) => whole)));
	const isWide = withWindows >= Math.min(longest, LABEL / 2);
	// The texts of the last rows fit beside a label of the comfortable width.
	const comfortable = Math.min(LABEL, room(LONGEST_DEED));
	const label = isWide
		? Math.min(withWindows, Math.max(longest, comfortable))
		: Math.max(1, Math.min(longest, room(Math.max(0, ...rests.map(({ state }) => state)))));
	return (row, isSelected) => {
		const lead = leadOf("shown" in row && row.shown.isActive);
		const name = "shown" in row ? row.shown.account.label : row.name;
		const tone = isSelected ? "accent" : "text";
		if (!("shown" in row)) {
			const policy = row.name === "auto" ? ` (${view.policy})` : "";
			const hasRoom = visibleWidth(row.does + policy) <= room(label);
			return [lead, span(tone, `${padCell(name, label)}  `), span("muted", hasRoom ? row.does + policy : row.does)];
		}
		const state = stateCell(row.shown, now, true);
		// An account that cannot serve now is muted completely.
		const isReady = row.shown.state === "ready" && row.shown.outsideOf === undefined;
		const windows = isWide
			? windowCells(row.shown, now).map(({ name: window, left, tone: ofLeft }) =>
					span(isReady ? ofLeft : "muted", `${windowLabel(window)} ${left.padStart(4)}   `),
				)
			: [];
		const cell = isWide ? padCell(name, label) : nameCell(name, label, room(visibleWidth(state.text)));
		return [
			lead,
			span(isReady || isSelected ? tone : "muted", `${cell}  `),
			...windows,
			isReady ? state : span("muted", state.text),
		];
	};
}

/** Returns the columns that a row needs besides its label, with and without windows. */
function restOf(shown: ShownAccount, now: number): { readonly whole: number; readonly state: number } {
	const state = stateCell(shown, now, true).text.length;
	const windows = windowCells(shown, now).reduce(
		(sum, { name, left }) => sum + windowLabel(name).length + 1 + Math.max(4, left.length) + 3,
		0,
	);
	return { whole: windows + state, state };
}
