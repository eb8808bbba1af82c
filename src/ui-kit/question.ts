import type { Component } from "@mariozechner/pi-tui";
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

/** A question whose answers name what they do. */
export interface Question {
	readonly heading: string;
	/** What is known before the answer; may have several lines. */
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

/**
 * Creates the panel of a question. Only arrows and Enter answer it: text that was meant for the editor does nothing.
 */
export function createQuestionPanel(deps: QuestionPanelDeps): Component {
	const { heading, text, answers } = deps.question;
	const { paint, isKey, pace, repaint, onAnswer } = deps;
	const keys = createAnswerKeys({
		ids: answers,
		page: answers.length,
		isKey,
		pace,
		repaint,
		onAnswer,
		onCancel: () => onAnswer(undefined),
	});

	return {
		invalidate: () => undefined,
		handleInput: keys.handleInput,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const words = (tone: Tone, said: string) => said.split("\n").flatMap((line) => wordsOf(line, tone, width, paint));
			const rows = answers.map((answer) => {
				const isSelected = answer === keys.current();
				return rowLine([span(isSelected ? "accent" : "text", `  ${answer}`)], isSelected, width, deps);
			});
			const hints = hintsOf(["↑↓ choose", "enter answer", "esc cancel"], width, paint);
			const notes = keys.hasText() ? ["", ...words("warning", TYPED)] : [];
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
			return clampWidth(isLow ? low : whole, width);
		},
	};
}

/** A question about one act, with two answers that name what they do. */
export interface ActQuestion {
	readonly heading: string;
	readonly text: string;
	/** The answer that does it, e.g. `Remove`. */
	readonly act: string;
	/** The answer that changes nothing, e.g. `Keep`. */
	readonly keep: string;
	/** The act is what the person came for, and takes nothing away: its answer is the highlighted one. */
	readonly isHarmless?: boolean;
}
