import {
	type Component,
	type Focusable,
	fuzzyFilter,
	Input,
	type KeyId,
	matchesKey,
	visibleWidth,
} from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { ShownLink } from "../../pi/chain-links.ts";
import { createListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import {
	clampWidth,
	type Highlight,
	hintsOf,
	type Line,
	type Paint,
	type PanelKey,
	padCell,
	rowLine,
	type Span,
	span,
	WITH_PAGE_KEYS,
	wordsOf,
} from "../../ui-kit/panel.ts";
import { fieldLines, panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { type ChainView, costOf, shortCostOf, stateOf } from "./view.ts";

/** Dependencies of the panel. A change resolves to why it was not made. */
export interface ChainPanelDeps {
	readonly view: () => ChainView;
	/** Returns the names of models that could be added. */
	readonly candidates: () => readonly string[];
	readonly look: (name: string) => ShownLink;
	readonly add: (name: string) => Promise<string | undefined>;
	readonly remove: (name: string) => Promise<string | undefined>;
	readonly move: (name: string, step: number) => Promise<string | undefined>;
	readonly close: () => void;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly pace: Pace;
}

/** Id of the row that adds. No model has a blank in its name. */
const ADD = "row add";
const TITLE = "Chain: who answers while no Codex account can";
const ADD_TITLE = "Add to the chain";
const ABOUT = "For sessions on openai-codex/pool (/model). Saved at each change.";
const NO_VIRTUAL = "This pi has no virtual models: while no Codex account can serve, use /model by hand.";
const GAP = 2;
/** Marks a paid link if its cost does not fit. */
const PAID_MARK = "$";

/** Letters that move the cursor, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];

/** Creates the panel of the chain: its links in order, and a list of models to add, with a filter. */
export function createChainPanel(deps: ChainPanelDeps): Component & Focusable {
	const { view, paint, isKey, repaint } = deps;
	const input = new Input();
	const links = createListCursor(view().links[0]?.name ?? ADD);
	const found = createListCursor(undefined);
	let isAdding = false;
	let problem: string | undefined;

	const rowIds = () => [...view().links.map(({ name }) => name), ADD];
	const selected = () => rowIds()[links.at(rowIds())] ?? ADD;
	const matches = () => {
		const filter = input.getValue().trim();
		const names = deps.candidates();
		return filter === "" ? names : fuzzyFilter([...names], filter, (name) => name);
	};
	const make = (change: Promise<string | undefined>) => {
		problem = undefined;
		void change.then((why) => {
			problem = why;
			repaint();
		});
	};
	const beginAdding = () => {
		isAdding = true;
		input.setValue("");
		found.put(matches()[0]);
	};
	const filter = (typed: string) => {
		input.handleInput(typed);
		const value = printable(input.getValue());
		if (value !== input.getValue()) input.setValue(value);
		found.put(matches()[0]);
	};
	const pressInField = (typed: string) => {
		const names = matches();
		const step = stepOf(typed, isKey, deps.room());
		if (step !== undefined) found.move(names, step);
		else if (isKey(typed, "tui.select.cancel")) isAdding = false;
		else if (isKey(typed, "tui.select.confirm")) {
			const name = names[found.at(names)];
			if (name === undefined) return;
			isAdding = false;
			links.put(name);
			make(deps.add(name));
		} else filter(typed);
	};
	const pressInList = (typed: string) => {
		const step = LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1] ?? stepOf(typed, isKey, deps.room());
		const name = selected();
		if (step !== undefined) links.move(rowIds(), step);
		else if (isKey(typed, "tui.select.cancel")) deps.close();
		else if (textIn(typed) === "a" || (name === ADD && isKey(typed, "tui.select.confirm"))) beginAdding();
		else if (name !== ADD) pressOnLink(typed, name);
	};
	const pressOnLink = (typed: string, name: string) => {
		const key = textIn(typed);
		if (key === "x") make(deps.remove(name));
		else if (key === "u") make(deps.move(name, -1));
		else if (key === "d") make(deps.move(name, 1));
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: (typed) => {
			if (isAdding) pressInField(typed);
			else pressInList(typed);
			repaint();
		},
		onText: (text) => {
			if (isAdding) filter(text);
			repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isMove: (typed) => !isAdding && LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
		isInField: () => isAdding,
	});

	const words = (tone: "accent" | "error" | "muted", text: string, width: number) => wordsOf(text, tone, width, paint);
	const listLines = (width: number): string[] => {
		const { links: all, isAvailable, now } = view();
		const name = selected();
		const link = all.find((each) => each.name === name);
		const general = isAvailable ? ABOUT : NO_VIRTUAL;
		const about = link ? `${costOf(link)} · ${stateOf(link, now)}` : general;
		const note = problem === undefined ? words("muted", about, width) : words("error", problem, width);
		const hints = link
			? ["↑↓ choose", "u up", "d down", "x remove", "a add", "esc close"]
			: ["↑↓ choose", "enter add", "esc close"];
		const foot = ["", ...note, "", ...hintsOf(hints, width, paint)];
		const head = [...words("accent", TITLE, width), ""];
		const rows = linkRows(all, now, width);
		const height = Math.max(1, deps.room() - head.length - foot.length - 2);
		const top = links.top(rowIds(), height);
		const shown = [...rows, [span("text", "   add a model")]].slice(top, top + height);
		return [...head, ...shown.map((line, at) => rowLine(line, rowIds()[top + at] === name, width, deps)), ...foot];
	};
	const addLines = (width: number): string[] => {
		const names = matches();
		const at = found.at(names);
		const head = [...words("accent", ADD_TITLE, width), ...fieldLines(input, width), ""];
		const count = names.length === 0 ? "" : `(${at + 1}/${names.length})`;
		const hints = [...(count === "" ? [] : [count, "enter add"]), "esc back"];
		const none = names.length === 0 ? words("muted", noMatch(input.getValue()), width) : [];
		const foot = [...none, "", ...hintsOf(hints, width, paint)];
		const height = Math.max(1, deps.room() - head.length - foot.length - 2);
		const top = found.top(names, height);
		const shown = names.slice(top, top + height);
		const rows = candidateRows(shown.map(deps.look), width);
		return [...head, ...rows.map((line, index) => rowLine(line, top + index === at, width, deps)), ...foot];
	};

	const panel = panelAround(input, {
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			return clampWidth([rule, ...(isAdding ? addLines(width) : listLines(width)), rule], width);
		},
		handleInput: typing.read,
	});
	return Object.assign(panel, WITH_PAGE_KEYS);
}

function noMatch(filter: string): string {
	return filter.trim() === ""
		? "No other model has a sign-in or a key. /login adds one."
		: `No model matches "${filter.trim()}".`;
}

/** Shows position and name, and if they fit, cost and state. */
function linkRows(links: readonly ShownLink[], now: number, width: number): Line[] {
	const costs = links.map(shortCostOf);
	const states = links.map((link) => stateOf(link, now));
	const digits = String(links.length).length;
	const layout = layoutOf(links, [costs, states], width - digits - 1);
	return links.map((link, at) => [
		span("dim", ` ${String(at + 1).padStart(digits)} `),
		span(link.obstacle ? "warning" : "text", padCell(link.name, layout.name)),
		costSpan(link, costs[at] ?? "", layout),
		...(layout.columns > 1 ? [span(link.obstacle ? "warning" : "muted", `  ${states[at] ?? ""}`)] : []),
	]);
}

function candidateRows(links: readonly ShownLink[], width: number): Line[] {
	const costs = links.map(shortCostOf);
	const layout = layoutOf(links, [costs], width);
	return links.map((link, at) => [
		span("text", `  ${padCell(link.name, layout.name)}`),
		costSpan(link, costs[at] ?? "", layout),
	]);
}

function costSpan({ isPaid }: ShownLink, cost: string, { columns, widths: [width = 0] }: Layout): Span {
	if (columns === 0) return span("warning", isPaid ? ` ${PAID_MARK}` : "");
	return span(isPaid ? "warning" : "muted", `  ${padCell(cost, width)}`);
}

interface Layout {
	/** Number of columns beside the names. */
	readonly columns: number;
	readonly widths: readonly number[];
	/** Width of the names. */
	readonly name: number;
}

/** Names come first: two models may differ only at their ends. */
function layoutOf(links: readonly ShownLink[], columns: readonly (readonly string[])[], width: number): Layout {
	const widest = (texts: readonly string[]) => Math.max(0, ...texts.map(visibleWidth));
	const names = widest(links.map(({ name }) => printable(name)));
	const widths = columns.map(widest);
	const room = width - 4;
	const fitting = (count: number) => room - widths.slice(0, count).reduce((sum, each) => sum + each + GAP, 0);
	const most = columns.length;
	const count = Array.from({ length: most }, (_, less) => most - less).find((each) => fitting(each) >= names) ?? 0;
	const left = count === 0 ? room - GAP : fitting(count);
	return { columns: count, widths, name: Math.max(1, Math.min(names, left)) };
}
