import { type Component, type Focusable, Input } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { clampWidth, hintsOf, type Paint, type PanelKey, wordsOf } from "../../ui-kit/panel.ts";
import { fieldLines, panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace } from "../../ui-kit/typing.ts";

/** What the panel of a field needs. */
export interface NameFieldDeps {
	readonly title: string;
	/** What stands in the field at first. */
	readonly value: string;
	readonly paint: Paint;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly repaint: () => void;
	/** Why a value will not do; undefined where it will. */
	readonly problemOf: (value: string) => string | undefined;
	/** The value; undefined where the person wants none. */
	readonly onEnd: (value: string | undefined) => void;
}

/**
 * Creates a field for a new value. It holds the old one, and stays, with the reason, until it holds a value that will
 * do.
 */
export function createNameField(deps: NameFieldDeps): Component & Focusable {
	const { paint, isKey } = deps;
	const input = new Input();
	// Typed, so that the cursor is at its end.
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
