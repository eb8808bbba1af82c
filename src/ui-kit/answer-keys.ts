import { createListCursor, stepOf } from "./list-cursor.ts";
import type { PanelKey } from "./panel.ts";
import { createTyping, type Pace, textIn } from "./typing.ts";

/** The keys of a panel that asks: arrows move, Enter answers, text that was meant for the editor does nothing. */
export interface AnswerKeys {
	readonly handleInput: (typed: string) => void;
	/** The highlighted row. */
	current(): string | undefined;
	/** True when text came in since the last move: an Enter may be its end. */
	hasText(): boolean;
}

interface Deps {
	/** Ids of the rows. The first one is highlighted: what a careless Enter does. */
	readonly ids: readonly string[];
	/** Rows that page up and page down move by. */
	readonly page: number;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly repaint: () => void;
	readonly onAnswer: (id: string | undefined) => void;
	readonly onCancel: () => void;
	/** A blank by itself is a key, too. */
	readonly onBlank?: (id: string | undefined) => void;
}

/** Creates them. */
export function createAnswerKeys(deps: Deps): AnswerKeys {
	const { ids, page, isKey, repaint, onAnswer, onCancel, onBlank } = deps;
	const cursor = createListCursor(ids[0]);
	let hasText = false;
	const current = () => ids[cursor.at(ids)];
	const press = (typed: string) => {
		const step = stepOf(typed, isKey, page);
		if (step !== undefined) {
			hasText = false;
			cursor.move(ids, step);
		} else if (isKey(typed, "tui.select.cancel")) onCancel();
		else if (isKey(typed, "tui.select.confirm")) {
			if (!hasText) onAnswer(current());
		} else if (textIn(typed) === " " && !hasText) onBlank?.(current());
		else if (textIn(typed) !== undefined) hasText = true;
		repaint();
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: press,
		onText: () => {
			hasText = true;
			repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isInField: () => onBlank === undefined,
	});
	return { handleInput: typing.read, current, hasText: () => hasText };
}
