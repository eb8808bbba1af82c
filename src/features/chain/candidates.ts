import { fuzzyFilter, Input } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { ShownLink } from "../../pi/chain-links.ts";
import { createListCursor } from "../../ui-kit/list-cursor.ts";
import { type Highlight, hintsOf, type Paint, rowLine, wordsOf } from "../../ui-kit/panel.ts";
import { fieldLines } from "../../ui-kit/text-field.ts";
import { candidateRows } from "./rows.ts";

/** The models that could be added to the chain, with a filter. */
interface Candidates {
	/** The field of the filter. */
	readonly input: Input;
	/** Starts with an empty filter. */
	begin(): void;
	/** Gives the filter a key. The best match is then highlighted. */
	filter(typed: string): void;
	/** Moves by `step` rows. */
	move(step: number): void;
	/** Returns the highlighted model; undefined if none matches. */
	selected(): string | undefined;
	/** Draws the list on `room` lines. */
	lines(width: number, room: number): string[];
}

interface Deps {
	/** Returns the names of models that could be added. */
	readonly candidates: () => readonly string[];
	readonly look: (name: string) => ShownLink;
	readonly paint: Paint;
	readonly highlight: Highlight;
}

const TITLE = "Add to the chain";

/** Creates the list of candidates. */
export function createCandidates(deps: Deps): Candidates {
	const { candidates, look, paint } = deps;
	const input = new Input();
	const cursor = createListCursor(undefined);
	const matches = () => {
		const filter = input.getValue().trim();
		const names = candidates();
		return filter === "" ? names : fuzzyFilter([...names], filter, (name) => name);
	};
	return {
		input,
		begin: () => {
			input.setValue("");
			cursor.put(matches()[0]);
		},
		filter: (typed) => {
			input.handleInput(typed);
			const value = printable(input.getValue());
			if (value !== input.getValue()) input.setValue(value);
			cursor.put(matches()[0]);
		},
		move: (step) => cursor.move(matches(), step),
		selected: () => {
			const names = matches();
			return names[cursor.at(names)];
		},
		lines: (width, room) => {
			const names = matches();
			const at = cursor.at(names);
			const head = [...wordsOf(TITLE, "accent", width, paint), ...fieldLines(input, width), ""];
			const count = names.length === 0 ? "" : `(${at + 1}/${names.length})`;
			const hints = [...(count === "" ? [] : [count, "enter add"]), "esc back"];
			const none = names.length === 0 ? wordsOf(noMatch(input.getValue()), "muted", width, paint) : [];
			const foot = [...none, "", ...hintsOf(hints, width, paint)];
			const height = Math.max(1, room - head.length - foot.length - 2);
			const top = cursor.top(names, height);
			const rows = candidateRows(names.slice(top, top + height).map(look), width);
			return [...head, ...rows.map((line, index) => rowLine(line, top + index === at, width, deps)), ...foot];
		},
	};
}

function noMatch(filter: string): string {
	return filter.trim() === ""
		? "No other model has a sign-in or a key. /login adds one."
		: `No model matches "${filter.trim()}".`;
}
