import { type Component, type Focusable, Input } from "@mariozechner/pi-tui";
import type { CommandContext } from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { clampWidth, hintsOf, type Paint, type PanelKey, wordsOf } from "../../ui-kit/panel.ts";
import { panelAround } from "../../ui-kit/text-field.ts";
import { createTyping, type Pace } from "../../ui-kit/typing.ts";

/** Dependencies of the panel. */
interface CodeFieldDeps {
	readonly title: string;
	readonly paint: Paint;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly repaint: () => void;
	/** Called with the text; undefined if the person gives none. */
	readonly onEnd: (text: string | undefined) => void;
}

/** Creates a field for a secret. It shows how much was pasted, but nothing of it. */
export function createCodeField({ title, paint, isKey, pace, repaint, onEnd }: CodeFieldDeps): Component & Focusable {
	const input = new Input();
	const edit = (typed: string) => input.handleInput(typed);
	const press = (typed: string) => {
		if (isKey(typed, "tui.select.cancel")) onEnd(undefined);
		else if (isKey(typed, "tui.select.confirm")) onEnd(input.getValue().trim() || undefined);
		else edit(typed);
		repaint();
	};
	const typing = createTyping({
		pace,
		onKey: press,
		onText: (text) => {
			edit(text);
			repaint();
		},
		isRisky: (typed) => isKey(typed, "tui.select.confirm"),
		isInField: () => true,
	});
	return panelAround(input, {
		handleInput: typing.read,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const count = [...input.getValue()].length;
			const shown = count === 0 ? "Paste it here: it is not shown." : `${count} characters, not shown`;
			return clampWidth(
				[
					rule,
					...wordsOf(title, "accent", width, paint),
					...wordsOf(`> ${shown}`, count === 0 ? "muted" : "text", width, paint),
					"",
					...hintsOf(["enter join", "esc cancel"], width, paint),
					rule,
				],
				width,
			);
		},
	});
}

/** Asks for a secret; undefined if the person gives none. */
export async function askForCode(ctx: CommandContext, title: string): Promise<string | undefined> {
	const onPanel =
		modeOf(ctx.host) === "tui"
			? await openPanel<{ readonly text: string | undefined }>(ctx, { ended: { text: undefined } }, (panel) =>
					createCodeField({ ...panel, title, onEnd: (text) => panel.close({ text }) }),
				)
			: undefined;
	return onPanel ? onPanel.text : ctx.host.ui.input(title, undefined, { signal: ctx.signal });
}
