import { type Component, type Focusable, type KeyId, matchesKey } from "@mariozechner/pi-tui";
import type { ShownLink } from "../../pi/chain-links.ts";
import { createListCursor, stepOf } from "../../ui-kit/list-cursor.ts";
import {
	clampWidth,
	type Highlight,
	hintsOf,
	type Paint,
	type PanelKey,
	rowLine,
	span,
	WITH_PAGE_KEYS,
	wordsOf,
} from "../../ui-kit/panel.ts";
import { panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace, textIn } from "../../ui-kit/typing.ts";
import { createCandidates } from "./candidates.ts";
import { linkRows } from "./rows.ts";
import { type ChainView, costOf, stateOf } from "./view.ts";

/** Dependencies of the panel. A change resolves to why it was not made. */
interface ChainPanelDeps {
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
const ABOUT = "For sessions on openai-codex/pool (/model). Saved at each change.";
const NO_VIRTUAL = "This pi has no virtual models: while no Codex account can serve, use /model by hand.";

/** Letters that move the cursor, as in many terminal programs. */
const LETTER_STEPS: readonly (readonly [KeyId, number])[] = [
	["j", 1],
	["k", -1],
];

/** Creates the panel of the chain: its links in order, and a list of models to add, with a filter. */
export function createChainPanel(deps: ChainPanelDeps): Component & Focusable {
	const { view, paint, isKey, repaint } = deps;
	const links = createListCursor(view().links[0]?.name ?? ADD);
	const candidates = createCandidates(deps);
	let isAdding = false;
	let problem: string | undefined;

	const rowIds = () => [...view().links.map(({ name }) => name), ADD];
	const selected = () => rowIds()[links.at(rowIds())] ?? ADD;
	const make = (change: Promise<string | undefined>) => {
		problem = undefined;
		void change.then((why) => {
			problem = why;
			repaint();
		});
	};
	const pressInField = (typed: string) => {
		const step = stepOf(typed, isKey, deps.room());
		if (step !== undefined) candidates.move(step);
		else if (isKey(typed, "tui.select.cancel")) isAdding = false;
		else if (isKey(typed, "tui.select.confirm")) {
			const name = candidates.selected();
			if (name === undefined) return;
			isAdding = false;
			links.put(name);
			make(deps.add(name));
		} else candidates.filter(typed);
	};
	const pressInList = (typed: string) => {
		const step = LETTER_STEPS.find(([key]) => matchesKey(typed, key))?.[1] ?? stepOf(typed, isKey, deps.room());
		const name = selected();
		if (step !== undefined) links.move(rowIds(), step);
		else if (isKey(typed, "tui.select.cancel")) deps.close();
		else if (textIn(typed) === "a" || (name === ADD && isKey(typed, "tui.select.confirm"))) {
			isAdding = true;
			candidates.begin();
		} else if (name !== ADD) pressOnLink(typed, name);
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
			if (isAdding) candidates.filter(text);
			repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isMove: (typed) => !isAdding && LETTER_STEPS.some(([key]) => matchesKey(typed, key)),
		isInField: () => isAdding,
	});

	const listLines = (width: number): string[] => {
		const { links: all, isAvailable, now } = view();
		const name = selected();
		const link = all.find((each) => each.name === name);
		const general = isAvailable ? ABOUT : NO_VIRTUAL;
		const about = link ? `${costOf(link)} · ${stateOf(link, now)}` : general;
		const note = wordsOf(problem ?? about, problem === undefined ? "muted" : "error", width, paint);
		const hints = link
			? ["↑↓ choose", "u up", "d down", "x remove", "a add", "esc close"]
			: ["↑↓ choose", "enter add", "esc close"];
		const foot = ["", ...note, "", ...hintsOf(hints, width, paint)];
		const head = [...wordsOf(TITLE, "accent", width, paint), ""];
		const rows = linkRows(all, now, width);
		const height = Math.max(1, deps.room() - head.length - foot.length - 2);
		const top = links.top(rowIds(), height);
		const shown = [...rows, [span("text", "   add a model")]].slice(top, top + height);
		return [...head, ...shown.map((line, at) => rowLine(line, rowIds()[top + at] === name, width, deps)), ...foot];
	};

	const panel = panelAround(candidates.input, {
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const lines = isAdding ? candidates.lines(width, deps.room()) : listLines(width);
			return clampWidth([rule, ...lines, rule], width);
		},
		handleInput: typing.read,
	});
	return Object.assign(panel, WITH_PAGE_KEYS);
}
