import type { Component, Focusable, Input } from "@mariozechner/pi-tui";

/** Makes a panel around pi's input line. Focus is passed on, so that input methods find the cursor. */
export function panelAround(
	input: Input,
	{ render, handleInput }: Required<Pick<Component, "handleInput" | "render">>,
): Component & Focusable {
	return {
		get focused() {
			return input.focused;
		},
		set focused(isFocused) {
			input.focused = isFocused;
		},
		invalidate: () => input.invalidate(),
		render,
		handleInput,
	};
}

/** Draws the input line within a panel's margin. */
export function fieldLines(input: Input, width: number): string[] {
	return input.render(Math.max(1, width - 1)).map((line) => ` ${line}`);
}
