import type { Status } from "./status.ts";

/** Where the status is shown repeatedly. */
interface Display {
	/** True if it can be painted over; otherwise one status follows the other. */
	readonly isScreen: boolean;
	write(text: string): void;
	/** Returns the present rows and columns. */
	size(): { readonly rows: number; readonly columns: number };
	/** Wraps a text into lines of `columns`. */
	wrap(text: string, columns: number): readonly string[];
}

interface Deps {
	readonly look: (columns: number) => Status;
	readonly display: Display;
	/** Calls `listener` after each write of a file, until the returned function is called. */
	readonly follow: (listener: () => void) => () => void;
	/** Milliseconds since the epoch. */
	readonly now: () => number;
	readonly tellProblem: (text: string) => void;
	/** Called if the status cannot be shown. The watch has then ended. */
	readonly onFailure: (error: unknown) => void;
}

/** A running watch. */
export interface Watch {
	/** Draws again, even what is already on the screen: its size has changed, or another program has painted over it. */
	redraw(): void;
	/** Ends the watch and restores the screen. May be called again. */
	end(): void;
}

const SECOND_MS = 1000;
const MINUTE_MS = 60_000;
/** Countdowns are rounded to whole seconds. A time has safely passed this much later. */
const MARGIN_MS = 20;

/** Enter the terminal's alternate screen and hide the cursor, and leave it again. */
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";
const HOME = "\x1b[H";
const CLEAR_LINE = "\x1b[K";
const CLEAR_BELOW = "\x1b[J";

/** Shows the status until it is ended: after each change of the files, as times count down, and once a minute. */
export function startWatch({ look, display, follow, now, tellProblem, onFailure }: Deps): Watch {
	let shown: string | undefined;
	let writtenAt = 0;
	let timer: NodeJS.Timeout | undefined;
	let isOver = false;
	const told = new Set<string>();

	const paint = (text: string) => {
		const { rows, columns } = display.size();
		const lines = display.wrap(text.trimEnd(), columns).slice(0, rows);
		display.write(`${HOME}${lines.map((line) => `${line}${CLEAR_LINE}`).join("\r\n")}${CLEAR_BELOW}`);
	};
	const draw = () => {
		if (isOver) return;
		clearTimeout(timer);
		const { text, problems, returns, resets } = look(display.size().columns);
		const whole = display.isScreen ? [text, ...problems].join("\n") : text;
		// Only a write shows that a reader has gone.
		const isDue = !display.isScreen && now() - writtenAt >= MINUTE_MS;
		if (whole !== shown || isDue) {
			shown = whole;
			writtenAt = now();
			if (display.isScreen) paint(whole);
			else if (whole !== "") display.write(whole);
		}
		for (const problem of display.isScreen ? [] : problems) {
			if (!told.has(problem)) tellProblem(problem);
			told.add(problem);
		}
		timer = setTimeout(guarded, untilNext(returns, resets, now()));
	};

	if (display.isScreen) display.write(ENTER);
	const unfollow = follow(() => guarded());
	const end = () => {
		if (isOver) return;
		isOver = true;
		clearTimeout(timer);
		unfollow();
		if (display.isScreen) display.write(LEAVE);
	};
	const guarded = () => {
		try {
			draw();
		} catch (error) {
			end();
			onFailure(error);
		}
	};
	guarded();
	return {
		redraw: () => {
			shown = undefined;
			if (display.isScreen && !isOver) display.write(ENTER);
			guarded();
		},
		end,
	};
}

/** Returns how long what is shown stays true. Returns within a minute count down by the second. */
function untilNext(returns: readonly number[], resets: readonly number[], now: number): number {
	const [back = Number.POSITIVE_INFINITY] = [...returns].sort((a, b) => a - b);
	if (back - now <= MINUTE_MS) return SECOND_MS;
	const next = Math.min(back - MINUTE_MS, ...resets) - now + MARGIN_MS;
	return Math.max(MARGIN_MS, Math.min(MINUTE_MS, next));
}
