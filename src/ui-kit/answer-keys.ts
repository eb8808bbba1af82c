import { createListCursor, stepOf } from "./list-cursor.ts";
import type { PanelKey } from "./panel.ts";
import { createTyping, type Pace, textIn } from "./typing.ts";

/** The keys of a panel that asks. Arrows move and Enter answers; text meant for the editor does nothing. */
interface AnswerKeys {
	readonly handleInput: (typed: string) => void;
	/** Returns the highlighted row. */
	current(): string | undefined;
	/** True if text was typed since the last move. An Enter may then belong to it. */
	hasText(): boolean;
}

interface Deps {
	/** Ids of the rows. The first one is highlighted, so it is what a careless Enter chooses. */
	readonly ids: readonly string[];
	/** Number of rows that page up and page down move by. */
	readonly page: number;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly repaint: () => void;
	readonly onAnswer: (id: string | undefined) => void;
	readonly onCancel: () => void;
	/** Called for a blank pressed by itself, which is a key too. */
	readonly onBlank?: (id: string | undefined) => void;
}

/** Creates the keys. */
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
