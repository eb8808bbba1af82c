import type { Component } from "@mariozechner/pi-tui";
import { createListCursor, stepOf } from "./list-cursor.ts";
import {
	fitted,
	type Highlight,
	hintsOf,
	type Paint,
	type PanelKey,
	rowLine,
	span,
	type Tone,
	wordsOf,
} from "./panel.ts";
import { createTyping, type Pace } from "./typing.ts";

/** A question whose answers name what they do. */
export interface Question {
	readonly heading: string;
	/** What is known before the answer. */
	readonly text: string;
	/** The first is highlighted: what a careless Enter does. */
	readonly answers: readonly string[];
}

/** What the panel of a question needs. */
export interface QuestionPanelDeps {
	readonly question: Question;
	readonly paint: Paint;
	readonly highlight: Highlight;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Lines that the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	/** The answer; undefined where there is none. */
	readonly onAnswer: (answer: string | undefined) => void;
}

const TYPED = "Letters do not answer. Choose with ↑↓, then press enter.";

/** Creates the panel of a question. Only arrows and Enter answer it: text that was meant for the editor does nothing. */
export function createQuestionPanel(deps: QuestionPanelDeps): Component {
	const { question, paint, isKey } = deps;
	const { heading, text, answers } = question;
	const cursor = createListCursor(answers[0]);
	/** Text came in since the last move: an Enter may be its end. */
	let hasText = false;

	const press = (typed: string) => {
		const step = stepOf(typed, isKey, answers.length);
		if (step !== undefined) {
			hasText = false;
			cursor.move(answers, step);
		} else if (isKey(typed, "tui.select.cancel")) deps.onAnswer(undefined);
		else if (isKey(typed, "tui.select.confirm") && !hasText) deps.onAnswer(answers[cursor.at(answers)]);
		deps.repaint();
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: press,
		onText: () => {
			hasText = true;
			deps.repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isInField: () => true,
	});

	return {
		invalidate: () => undefined,
		handleInput: typing.read,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const words = (tone: Tone, said: string) => wordsOf(said, tone, width, paint);
			const at = cursor.at(answers);
			const rows = answers.map((answer, index) => {
				const isSelected = index === at;
				return rowLine([span(isSelected ? "accent" : "text", `  ${answer}`)], isSelected, width, deps);
			});
			const hints = hintsOf(["↑↓ choose", "enter answer", "esc cancel"], width, paint);
			const notes = hasText ? ["", ...words("warning", TYPED)] : [];
			const whole = [
				rule,
				...words("accent", heading),
				"",
				...words("text", text),
				"",
				...rows,
				...notes,
				"",
				...hints,
				rule,
			];
			const isLow = whole.length > deps.room();
			// Of a low terminal the answers are worth more than the words above them.
			const low = [rule, ...words("accent", heading), ...rows, ...notes, rule];
			return fitted(isLow ? low : whole, width);
		},
	};
}

/** A question about one act, with two answers that name what they do. */
export interface ActQuestion {
	readonly heading: string;
	readonly text: string;
	/** The same for a dialog that is answered by yes or no, where it differs. */
	readonly dialogText?: string;
	/** The answer that does it, e.g. `Remove`. */
	readonly act: string;
	/** The answer that changes nothing, e.g. `Keep`. */
	readonly keep: string;
	/** The act is what the person came for, and takes nothing away: its answer is the highlighted one. */
	readonly isHarmless?: boolean;
}
