import type { Component } from "@mariozechner/pi-tui";
import type { CommandContext } from "../../pi/command.ts";
import { modeOf } from "../../pi/output.ts";
import { openPanel } from "../../pi/panel.ts";
import { clampWidth, hintsOf, type Paint, type PanelKey, wordsOf } from "../../ui-kit/panel.ts";
import { createTyping, type Pace } from "../../ui-kit/typing.ts";
import { ASKING } from "./texts.ts";

/** A longer wait is announced: it takes seconds to give up on a database that cannot be reached. */
export const ANNOUNCED_AFTER_MS = 1000;

/**
 * Waits for the database, and tells the person if that takes a while. In a terminal, Esc stops the wait: it aborts the
 * signal that `work` gets. The error of `work` says what was done by then.
 */
export async function withPatience<T>(ctx: CommandContext, work: (signal: AbortSignal) => Promise<T>): Promise<T> {
	const { host } = ctx;
	const stopping = new AbortController();
	const running = work(AbortSignal.any([ctx.signal, stopping.signal]));
	if (!host.hasUI) return running;
	let panel: Promise<void> | undefined;
	const timer = setTimeout(() => {
		// A context throws after the end of its session.
		if (ctx.signal.aborted) return;
		if (modeOf(host) === "tui") panel = showWait(ctx, running, () => stopping.abort());
		else host.ui.notify(ASKING, "info");
	}, ANNOUNCED_AFTER_MS);
	try {
		return await running;
	} finally {
		clearTimeout(timer);
		await panel;
	}
}

async function showWait(ctx: CommandContext, running: Promise<unknown>, stop: () => void): Promise<void> {
	await openPanel<undefined>(ctx, { ended: undefined }, (panel) => {
		const close = () => panel.close(undefined);
		running.then(close, close);
		return createWaitPanel({ ...panel, onStop: stop });
	});
}

/** Dependencies of the wait panel. */
interface WaitPanelDeps {
	readonly paint: Paint;
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly pace: Pace;
	readonly onStop: () => void;
}

/** Creates the panel that is shown until the database answers. */
export function createWaitPanel({ paint, isKey, pace, onStop }: WaitPanelDeps): Component {
	const ignore = () => undefined;
	const typing = createTyping({
		pace,
		onKey: (typed) => {
			if (isKey(typed, "tui.select.cancel")) onStop();
		},
		onText: ignore,
		isRisky: () => false,
	});
	return {
		handleInput: typing.read,
		invalidate: ignore,
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const hints = hintsOf(["esc stop waiting"], width, paint);
			return clampWidth([rule, ...wordsOf(ASKING, "accent", width, paint), "", ...hints, rule], width);
		},
	};
}
