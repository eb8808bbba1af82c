import { type Component, type Focusable, Input } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { clampWidth, hintsOf, type Paint, type PanelKey, wordsOf } from "../../ui-kit/panel.ts";
import { fieldLines, panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace } from "../../ui-kit/typing.ts";

/** Dependencies of the panel. */
interface NameFieldDeps {
	readonly title: string;
	/** What the field contains at first. */
	readonly value: string;
	readonly paint: Paint;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly repaint: () => void;
	/** Returns why a value is invalid; undefined if it is valid. */
	readonly problemOf: (value: string) => string | undefined;
	/** Called with the value; undefined if the person cancels. */
	readonly onEnd: (value: string | undefined) => void;
}

/**
 * Creates a field for a new value. It contains the old one at first. It stays open, with the reason, until the value is
 * valid.
 */
export function createNameField(deps: NameFieldDeps): Component & Focusable {
	const { paint, isKey } = deps;
	const input = new Input();
	// Typed in, so that the cursor is at the end.
	input.handleInput(printable(deps.value));
	let problem: string | undefined;

	const press = (typed: string) => {
		if (isKey(typed, "tui.select.cancel")) deps.onEnd(undefined);
		else if (isKey(typed, "tui.select.confirm")) {
			const value = input.getValue().trim();
			problem = deps.problemOf(value);
			if (problem === undefined) deps.onEnd(value);
		} else edit(typed);
		deps.repaint();
	};
	const edit = (typed: string) => {
		problem = undefined;
		input.handleInput(typed);
	};
	const typing = createTyping({
		pace: deps.pace,
		onKey: press,
		onText: (text) => {
			edit(text);
			deps.repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isInField: () => true,
	});

	return panelAround(input, {
		handleInput: typing.read,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const hints = hintsOf(["enter save", "esc cancel"], width, paint);
			const field = fieldLines(input, width);
			const notes = problem === undefined ? [] : wordsOf(problem, "error", width, paint);
			return clampWidth(
				[rule, ...wordsOf(deps.title, "accent", width, paint), ...field, ...notes, "", ...hints, rule],
				width,
			);
		},
	});
}
