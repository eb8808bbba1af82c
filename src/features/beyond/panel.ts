import { type Component, Key, matchesKey, visibleWidth, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { DryAnswer, Offer } from "../../core/beyond/ladder.ts";
import type { Outlook } from "../../core/forecast/forecast.ts";
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
import { type Pace, textIn } from "../../ui-kit/typing.ts";
import { answerOf, type Choice, choicesOf } from "./choices.ts";
import { createDraft } from "./draft.ts";
import { choiceText, consequence, HEADING, periodText, TYPED } from "./texts.ts";

/** Dependencies of the panel. */
interface BeyondPanelDeps {
	readonly offers: readonly Offer[];
	/** Returns how long the pool lasts once its first account is back, if known. */
	readonly again?: () => Outlook | undefined;
	/** Returns epoch ms. */
	readonly now: () => number;
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	/** Returns how many lines the panel may take now. */
	readonly room: () => number;
	readonly repaint: () => void;
	readonly onAnswer: (answer: DryAnswer) => void;
}

/** The panel, and what was typed into it for the editor. */
export interface BeyondPanel {
	readonly component: Component;
	readonly draft: () => string;
}

/**
 * The panel may appear while a person is typing. For this long after it is first drawn, and after the last letter, keys
 * count as part of that text.
 */
export const SETTLING_MS = 600;
/** Columns for the cursor's sign and the indent after it. */
const INDENT = 3;
/** Further indent of a row's continuation lines. */
const FURTHER = 2;
const ONCE_OR_TODAY = "←→ once or today";

/**
 * Creates the panel that asks how to continue a turn. Only arrows and Enter answer it, and only once they are meant for
 * it.
 */
export function createBeyondPanel(deps: BeyondPanelDeps): BeyondPanel {
	const { now, paint, isKey, pace, repaint, onAnswer } = deps;
	const choices = choicesOf(deps.offers);
	const draft = createDraft();
	/** Rows for which consent covers the whole day. */
	const today = new Set<string>();
	/** By the clock of `pace`; undefined until it is drawn. */
	let settledAt: number | undefined;
	const at = (id: string | undefined): Choice => choices[Number(id)] ?? { kind: "stop" };
	const keys = createAnswerKeys({
		ids: choices.map((_choice, index) => String(index)),
		page: choices.length,
		isKey,
		pace,
		repaint,
		onAnswer: (id) => onAnswer(answerOf(at(id), today.has(id ?? ""))),
		onCancel: () => onAnswer({ kind: "stop" }),
	});
	const switchPeriod = () => {
		const id = keys.current();
		if (id === undefined || !canBeRemembered(at(id))) return;
		if (!today.delete(id)) today.add(id);
		repaint();
	};
	const handleInput = (typed: string) => {
		const isSettling = settledAt === undefined || pace.now() < settledAt;
		const isText = textIn(typed) !== undefined;
		if (isSettling || keys.hasText() || isText) draft.read(typed);
		// Esc means the turn, both here and in the editor.
		if (isKey(typed, "tui.select.cancel")) return keys.handleInput(typed);
		if (isSettling) {
			const isTyping = isText || typed === "\r" || typed === "\x7f";
			if (isTyping && settledAt !== undefined) settledAt = pace.now() + SETTLING_MS;
			// Text is never an answer, and neither is an Enter after it.
			return isText ? keys.handleInput(typed) : undefined;
		}
		if (matchesKey(typed, Key.left) || matchesKey(typed, Key.right)) return switchPeriod();
		keys.handleInput(typed);
	};

	/** Formats one choice in as many lines as needed, or in one. */
	const rowsOf = (id: string, width: number, isWhole: boolean): string[] => {
		const isSelected = id === keys.current();
		const choice = at(id);
		const suffix = today.has(id) ? " (today)" : "";
		const text = printable(`${choiceText(choice, now())}${suffix}`);
		const lines = isWhole || isSelected ? wrapped(text, width - INDENT) : [text];
		const tone: Tone = isSelected ? "accent" : "text";
		return lines.map((line) => rowLine([span(tone, `  ${line}`)], isSelected, width, deps));
	};
	const ids = choices.map((_choice, index) => String(index));

	return {
		draft: draft.text,
		component: {
			invalidate: () => undefined,
			handleInput,
			render: (width) => {
				settledAt ??= pace.now() + SETTLING_MS;
				const rule = paint("dim", "─".repeat(width));
				const words = (tone: Tone, said: string) => wordsOf(said, tone, width, paint);
				const current = keys.current();
				const choice = at(current);
				const isOpen = canBeRemembered(choice);
				const period = isOpen ? words("text", `${periodText(today.has(current ?? ""))}.`) : [];
				const notes = keys.hasText()
					? words("warning", TYPED)
					: words("muted", consequence(choice, now(), deps.again?.()));
				const hints = ["↑↓ choose", ...(isOpen ? [ONCE_OR_TODAY] : []), "enter answer", "esc stop"];
				const head = [rule, ...words("accent", HEADING)];
				const foot = ["", ...notes, ...period, "", ...hintsOf(hints, width, paint), rule];
				const all = (isWhole: boolean) => ids.flatMap((id) => rowsOf(id, width, isWhole));
				const drawings = [
					[...head, "", ...all(true), ...foot],
					[...head, "", ...all(false), ...foot],
					[...head, ...all(false), ...notes, rule],
				];
				const whole = drawings.find((lines) => lines.length <= deps.room());
				return clampWidth(whole ?? lowDrawing(width, rule), width);
			},
		},
	};

	/** On a very low terminal, the highlighted choice matters more than everything around it. */
	function lowDrawing(width: number, rule: string): string[] {
		const room = Math.max(1, deps.room() - 2);
		const rows = ids.flatMap((id) => rowsOf(id, width, false).map((line) => ({ id, line })));
		const selected = rows.findIndex(({ id }) => id === keys.current());
		const top = Math.max(0, Math.min(selected, rows.length - room));
		return [rule, ...rows.slice(top, top + room).map(({ line }) => line), rule];
	}
}

/** Wraps a text into lines of `columns`, indenting all but the first. */
function wrapped(text: string, columns: number): string[] {
	if (visibleWidth(text) <= columns) return [text];
	const [first = "", ...others] = wrapTextWithAnsi(text, Math.max(1, columns - FURTHER));
	return [first, ...others.map((line) => " ".repeat(FURTHER) + line)];
}

function canBeRemembered(choice: Choice): boolean {
	return choice.kind === "take" && choice.canBeRemembered;
}
