import type { Component } from "@mariozechner/pi-tui";
import { printable } from "../core/account.ts";
import type { AccountId } from "../core/ids.ts";
import { createAnswerKeys } from "./answer-keys.ts";
import {
	clampWidth,
	type Highlight,
	hintsOf,
	type Paint,
	type PanelKey,
	rowLine,
	span,
	type Tone,
	wordsOf,
} from "./panel.ts";
import type { Pace } from "./typing.ts";

/** Rows to choose from, and two answers. */
export interface Checklist {
	readonly heading: string;
	readonly rows: readonly ChecklistRow[];
	/** Returns the answer that continues with this many rows. With none it does nothing. */
	readonly answer: (chosen: number) => string;
	/** The answer that changes nothing. */
	readonly nothing: string;
	/** Shown below the rows while an answer is highlighted. */
	readonly note: string;
	/** What Esc does, for the line of keys. */
	readonly cancelHint: string;
}

/** One row. All rows are chosen at first. */
interface ChecklistRow {
	readonly id: AccountId;
	readonly text: string;
	/** Shown while the row is highlighted. */
	readonly about: string;
}

/** Dependencies of the panel. */
interface ChecklistPanelDeps {
	readonly checklist: Checklist;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	/** Called with the ids of the chosen rows; none if the answer was no, undefined without an answer. */
	readonly onAnswer: (chosen: ReadonlySet<AccountId> | undefined) => void;
}

/** Ids of the answers. No row has a blank in its id. */
const YES = "answer yes";
const NO = "answer no";
const SWITCH = "enter or space switches it";

/** Formats a row as a choice in a dialog or on a panel. */
export function checklistChoice({ text }: ChecklistRow, isChosen: boolean): string {
	return printable(`${isChosen ? "[x]" : "[ ]"} ${text}`);
}

/**
 * Creates the panel of a checklist. All rows are chosen at first, and the answer that continues with them is
 * highlighted. Only arrows, Enter and a blank pressed by itself do anything.
 */
export function createChecklistPanel(deps: ChecklistPanelDeps): Component {
	const { paint, isKey, pace, repaint, onAnswer } = deps;
	const { heading, rows, answer, nothing, note, cancelHint } = deps.checklist;
	const ids = [YES, NO, ...rows.map(({ id }) => id)];
	const chosen = new Set(rows.map(({ id }) => id));
	const switchRow = (id: string | undefined) => {
		const row = rows.find((each) => each.id === id);
		if (row && !chosen.delete(row.id)) chosen.add(row.id);
	};
	const keys = createAnswerKeys({
		ids,
		page: rows.length,
		isKey,
		pace,
		repaint,
		onAnswer: (id) => {
			if (id === NO) onAnswer(new Set());
			else if (id !== YES) switchRow(id);
			else if (chosen.size > 0) onAnswer(chosen);
		},
		onCancel: () => onAnswer(undefined),
		onBlank: switchRow,
	});
	const { current } = keys;

	const lineOf = (id: string, width: number): string => {
		const isSelected = id === current();
		const tone: Tone = isSelected ? "accent" : "text";
		const row = rows.find((each) => each.id === id);
		const answered = id === YES ? answer(chosen.size) : nothing;
		const text = row ? checklistChoice(row, chosen.has(row.id)) : answered;
		return rowLine([span(tone, `  ${text}`)], isSelected, width, deps);
	};

	return {
		invalidate: () => undefined,
		handleInput: keys.handleInput,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const words = (tone: Tone, said: string) => wordsOf(said, tone, width, paint);
			const selected = rows.find(({ id }) => id === current());
			const notes = keys.hasText()
				? words("warning", "Text does not answer. Choose with ↑↓, then press enter.")
				: words("muted", selected?.about ?? note);
			const hints = hintsOf(["↑↓ move", SWITCH, cancelHint], width, paint);
			const answers = [YES, NO].map((id) => lineOf(id, width));
			const head = [rule, ...words("accent", heading)];
			const around = [...head, "", ...answers, "", "", ...notes, "", ...hints, rule].length;
			const isLow = around + Math.min(rows.length, 3) > deps.room();
			const lowAround = [...head, ...answers, rule].length;
			const height = Math.max(1, Math.min(rows.length, deps.room() - (isLow ? lowAround : around)));
			const shown = shownRows(height).map(({ id }) => lineOf(id, width));
			const whole = [...head, "", ...answers, "", ...shown, "", ...notes, "", ...hints, rule];
			// On a low terminal, the answers matter more than the words around them.
			return clampWidth(isLow ? [...head, ...answers, ...shown, rule] : whole, width);
		},
	};

	function shownRows(height: number): readonly ChecklistRow[] {
		const selected = current();
		const at = rows.findIndex(({ id }) => id === selected);
		const top = Math.max(0, Math.min(at - Math.floor(height / 2), rows.length - height));
		return rows.slice(top, top + height);
	}
}
