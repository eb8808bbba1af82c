import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import { raceAbort } from "../core/abort.ts";
import type { Highlight, Paint, PanelKey } from "../ui-kit/panel.ts";
import type { Pace } from "../ui-kit/typing.ts";

/** The result of a panel that is closed for it, and its purpose. */
interface PanelManner<T> {
	/** The result if the session ends. */
	readonly ended: T;
	/** Set if a turn waits for the answer. Newer hosts report this to the terminal, which can alert the person. */
	readonly question?: string;
}

/** Where a panel is shown, and how long its session lasts. */
interface PanelPlace {
	readonly host: Pick<ExtensionContext, "ui">;
	readonly signal: AbortSignal;
	/** Settles with the command that shows the panel, and that may show another one until then. */
	readonly ended?: Promise<void>;
}

/** What a panel can use of its terminal. */
interface PanelHost<T> {
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that has this meaning in the person's key bindings. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly repaint: () => void;
	/** Stops with the panel: a key that waits then no longer acts. */
	readonly pace: Pace;
	/** Returns the number of lines that a panel may take and still be seen completely. Changes with the terminal. */
	readonly room: () => number;
	/** Returns the same for a panel without a notice above it. */
	readonly wholeRoom: () => number;
	/** Closes the panel. Only the first result counts. */
	readonly close: (result: T) => void;
	/** Registers what to run when the panel has closed, for any reason. */
	readonly onClose: (release: () => void) => void;
}

/**
 * How often a panel checks whether it would look different now: because of times in it, or of what others have stored.
 */
const LOOK_MS = 1000;
/** Lines that pi shows below a panel, and for a notice above it if the terminal is tall enough. */
const FOOTER_LINES = 4;
const NOTICE_LINES = 2;
const LOW = 20;

/** Every open panel until it closes, and every command that has shown one until it or its session ends. */
const open = new Set<Promise<unknown>>();
const held = new WeakSet<Promise<void>>();

/** Resolves when none of our panels is open and none is about to replace one. */
export async function panelsClosed(): Promise<void> {
	while (open.size > 0) await Promise.allSettled(open);
}

/**
 * Shows a panel in place of the editor until it closes itself. If the session ends, it closes with `ended`. Undefined
 * if this pi cannot show panels.
 */
export async function openPanel<T>(
	place: PanelPlace,
	how: PanelManner<T>,
	create: (host: PanelHost<T>) => Component,
): Promise<T | undefined> {
	hold(place);
	const closed = showPanel(place, how, create);
	open.add(closed);
	try {
		return await closed;
	} finally {
		open.delete(closed);
	}
}

/** Makes questions wait for the whole command that shows the panel. */
function hold({ ended, signal }: PanelPlace): void {
	if (!ended || held.has(ended)) return;
	held.add(ended);
	const over = raceAbort(ended, signal);
	open.add(over);
	void Promise.allSettled([over]).then(() => open.delete(over));
}

async function showPanel<T>(
	{ host, signal }: PanelPlace,
	{ ended, question }: PanelManner<T>,
	create: (host: PanelHost<T>) => Component,
): Promise<T | undefined> {
	const releases: (() => void)[] = [];
	// The types of the oldest host do not include this option.
	const blocked = { overlay: false, blocked: { kind: "question", message: question } };
	const options = question === undefined ? undefined : blocked;
	const show = (build: Parameters<typeof host.ui.custom<T>>[0]) => host.ui.custom<T>(build, options);
	try {
		return await show((tui, theme, keys, close) => {
			const repaint = () => tui.requestRender();
			const end = () => close(ended);
			signal.addEventListener("abort", end, { once: true });
			releases.push(() => signal.removeEventListener("abort", end));
			if (signal.aborted) end();
			const timers = new Set<NodeJS.Timeout>();
			const pace: Pace = {
				now: () => performance.now(),
				after: (ms, work) => {
					let isOff = false;
					const timer = setTimeout(() => {
						timers.delete(timer);
						// Node reads input between timers and immediates, so what was typed while pi was busy is handled first.
						setImmediate(() => {
							if (!isOff && !isOver) work();
						});
					}, ms);
					timers.add(timer);
					return () => {
						isOff = true;
						clearTimeout(timer);
						timers.delete(timer);
					};
				},
			};
			let isOver = false;
			releases.push(() => {
				isOver = true;
				for (const timer of timers) clearTimeout(timer);
			});
			const wholeRoom = () => tui.terminal.rows - FOOTER_LINES;
			const panel = create({
				paint: (tone, text) => theme.fg(tone, text),
				highlight: (line) => theme.bg("selectedBg", line),
				isKey: (typed, key) => keys.matches(typed, key),
				repaint,
				pace,
				room: () => wholeRoom() - (tui.terminal.rows < LOW ? 0 : NOTICE_LINES),
				wholeRoom,
				close,
				onClose: (release) => releases.push(release),
			});
			const { render } = panel;
			let drawn: { readonly width: number; readonly lines: string } | undefined;
			const linesAt = (width: number) => render.call(panel, width).join("\n");
			// pi redraws the whole screen, so it is asked to only when something of ours has changed.
			const looking = setInterval(() => {
				if (drawn && linesAt(drawn.width) !== drawn.lines) repaint();
			}, LOOK_MS);
			releases.push(() => clearInterval(looking));
			return Object.assign(panel, {
				render: (width: number) => {
					const lines = render.call(panel, width);
					drawn = { width, lines: lines.join("\n") };
					return lines;
				},
			});
		});
	} finally {
		for (const release of releases) release();
	}
}
