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

/** A question whose answers say what they do. */
export interface Question {
	readonly heading: string;
	/** What the person should know first. May have several lines. */
	readonly text: string;
	/** The first one is highlighted, so it is what a careless Enter chooses. */
	readonly answers: readonly string[];
}

/** Dependencies of the panel. */
interface QuestionPanelDeps {
	readonly question: Question;
	readonly paint: Paint;
	readonly highlight: Highlight;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	/** Called with the answer; undefined without one. */
	readonly onAnswer: (answer: string | undefined) => void;
}

const TYPED = "Letters do not answer. Choose with ↑↓, then press enter.";

/** Creates the panel of a question. Only arrows and Enter answer it; text meant for the editor does nothing. */
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
			// On a low terminal, the answers matter more than the words above them.
			const low = [rule, ...words("accent", heading), ...rows, ...notes, rule];
			return clampWidth(isLow ? low : whole, width);
		},
	};
}

/** A question about one action, with two answers that say what they do. */
export interface ActQuestion {
	readonly heading: string;
	readonly text: string;
	/** The answer that does it, such as `Remove`. */
	readonly act: string;
	/** The answer that changes nothing, such as `Keep`. */
	readonly keep: string;
	/** True if the action is what the person came for and removes nothing. Its answer is then highlighted. */
	readonly isHarmless?: boolean;
}
