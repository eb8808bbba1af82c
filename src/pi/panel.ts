import type { ExtensionContext } from "@mariozechner/pi-coding-agent";
import type { Component } from "@mariozechner/pi-tui";
import { raceAbort } from "../core/abort.ts";
import type { Highlight, Paint, PanelKey } from "../ui-kit/panel.ts";
import type { Pace } from "../ui-kit/typing.ts";

/** What a panel closes with, and what it is for. */
interface PanelManner<T> {
	/** The result when the session ends. */
	readonly ended: T;
	/** What a turn waits for. Newer hosts tell the terminal of it, which can call the person. */
	readonly question?: string;
}

/** Where a panel is shown, and how long its session lasts. */
interface PanelPlace {
	readonly host: Pick<ExtensionContext, "ui">;
	readonly signal: AbortSignal;
	/** Settles with the command that shows it, and that may show another one until then. */
	readonly ended?: Promise<void>;
}

/** What a panel has of the terminal it is drawn on. */
export interface PanelHost<T> {
	readonly paint: Paint;
	readonly highlight: Highlight;
	/** True for a key that this person's key bindings give that meaning. */
	readonly isKey: (typed: string, key: PanelKey) => boolean;
	readonly repaint: () => void;
	/** Ends with the panel: a key that waits then does nothing any more. */
	readonly pace: Pace;
	/** Lines that a panel may take, so that all of it is seen; changes with the terminal. */
	readonly room: () => number;
	/** The same for a panel with no notice above it. */
	readonly wholeRoom: () => number;
	/** Ends the panel; the first result counts. */
	readonly close: (result: T) => void;
	/** Runs when the panel has ended, in whatever way. */
	readonly onClose: (release: () => void) => void;
}

/** How often it is looked whether a panel would be drawn otherwise by now: times in it, and what others have stored. */
const LOOK_MS = 1000;
/** What pi shows below a panel; and above it a notice, where the terminal is not too low for that. */
const FOOTER_LINES = 4;
const NOTICE_LINES = 2;
const LOW = 20;

/** Every panel that is open, until it closes, and every command that has shown one, until it or its session ends. */
const open = new Set<Promise<unknown>>();
const held = new WeakSet<Promise<void>>();

/** Resolves when no panel of ours is open, and none comes in the place of one that was. */
export async function panelsClosed(): Promise<void> {
	while (open.size > 0) await Promise.allSettled(open);
}

/**
 * Shows a panel in place of the editor until it closes itself. When the session ends it closes with `ended`. Undefined
 * where this pi shows no panels.
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

/** Has questions wait for the whole command that shows the panel. */
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
	// The oldest host's types know nothing of it.
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
						// Between timers and immediates Node reads: what lay in the terminal while pi was busy comes first.
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
			// pi draws the whole screen, and is only asked to where something of ours is not the same any more.
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
