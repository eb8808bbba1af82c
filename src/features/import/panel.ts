import type { Component } from "@mariozechner/pi-tui";
import type { AccountId } from "../../core/ids.ts";
import { createAnswerKeys } from "../../ui-kit/answer-keys.ts";
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
} from "../../ui-kit/panel.ts";
import type { Pace } from "../../ui-kit/typing.ts";
import { IMPORT_COPIES, IMPORT_NOTHING, type ImportRow, importAnswer, importChoice } from "./view.ts";

/** What the panel needs. */
export interface ImportPanelDeps {
	readonly heading: string;
	readonly rows: readonly ImportRow[];
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that this person's key bindings give that meaning. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Lines that the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	/** The accounts to import, none where the answer was no; undefined without an answer. */
	readonly onAnswer: (chosen: ReadonlySet<AccountId> | undefined) => void;
}

/** Ids of the answers; no account has a blank in its id. */
const YES = "answer yes";
const NO = "answer no";
const SWITCH = "enter or space switches it";

/**
 * Creates the panel that chooses accounts to import: all are chosen at first, and the answer that imports them is
 * highlighted. Only arrows, Enter and a blank by itself do something.
 */
export function createImportPanel(deps: ImportPanelDeps): Component {
	const { heading, rows, paint, isKey, pace, repaint, onAnswer } = deps;
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
		const answer = id === YES ? importAnswer(chosen.size, rows.length) : IMPORT_NOTHING;
		const text = row ? importChoice(row, chosen.has(id)) : answer;
		return rowLine([span(tone, `  ${text}`)], isSelected, width, deps);
	};

	return {
		invalidate: () => undefined,
		handleInput: keys.handleInput,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const words = (tone: Tone, said: string) => wordsOf(said, tone, width, paint);
			const selected = rows.find(({ id }) => id === current());
			const about = selected ? [selected.name, selected.place, selected.warning].filter(Boolean) : [IMPORT_COPIES];
			const notes = keys.hasText()
				? words("warning", "Text does not answer. Choose with ↑↓, then press enter.")
				: words("muted", about.join(" · "));
			const hints = hintsOf(["↑↓ move", SWITCH, "esc import nothing"], width, paint);
			const answers = [YES, NO].map((id) => lineOf(id, width));
			const head = [rule, ...words("accent", heading)];
			const around = [...head, "", ...answers, "", "", ...notes, "", ...hints, rule].length;
			const isLow = around + Math.min(rows.length, 3) > deps.room();
			const lowAround = [...head, ...answers, rule].length;
			const height = Math.max(1, Math.min(rows.length, deps.room() - (isLow ? lowAround : around)));
			const shown = shownRows(height).map(({ id }) => lineOf(id, width));
			const whole = [...head, "", ...answers, "", ...shown, "", ...notes, "", ...hints, rule];
			// Of a low terminal what can be answered is worth more than the words around it.
			return clampWidth(isLow ? [...head, ...answers, ...shown, rule] : whole, width);
		},
	};

	function shownRows(height: number): readonly ImportRow[] {
		const rowIds = rows.map(({ id }) => id);
		const at = rowIds.indexOf(current() ?? "");
		const top = Math.max(0, Math.min(at - Math.floor(height / 2), rows.length - height));
		return rows.slice(top, top + height);
	}
}
