import { type IPty, spawn } from "@lydell/node-pty";
import xterm from "@xterm/headless";
import type { AgentDir } from "./agent-dir.ts";
import type { Host } from "./hosts.ts";
import { killAtExit, type LaunchOptions, launchCommand, signalProcess } from "./launch.ts";

const keySequences = {
	enter: "\r",
	escape: "\x1b",
	tab: "\t",
	"shift+tab": "\x1b[Z",
	backspace: "\x7f",
	delete: "\x1b[3~",
	up: "\x1b[A",
	down: "\x1b[B",
	right: "\x1b[C",
	left: "\x1b[D",
	home: "\x1b[H",
	end: "\x1b[F",
	pageUp: "\x1b[5~",
	pageDown: "\x1b[6~",
	space: " ",
	"ctrl+a": "\x01",
	"ctrl+c": "\x03",
	"ctrl+d": "\x04",
	"ctrl+l": "\x0c",
	"ctrl+n": "\x0e",
	"ctrl+p": "\x10",
	"ctrl+r": "\x12",
	"ctrl+t": "\x14",
	"ctrl+u": "\x15",
	"ctrl+y": "\x19",
} as const;

/** A key {@link Terminal.press} knows. */
export type KeyName = keyof typeof keySequences;

/** Options of {@link startTerminal}. */
export interface TerminalOptions extends LaunchOptions {
	/** Default 80. */
	readonly cols?: number;
	/** Default 24. */
	readonly rows?: number;
}

/** How a pi in a terminal ended. */
export interface TerminalExit {
	readonly code: number;
	/** Number of the signal that ended it; 0 or undefined when none did. */
	readonly signal: number | undefined;
}

/** One character of the screen, as it looks. Colours are `#rrggbb`, or undefined for the terminal's own. */
export interface Cell {
	readonly text: string;
	/** Columns that it takes: 1 or 2. */
	readonly width: number;
	readonly color: string | undefined;
	readonly background: string | undefined;
	readonly isBold: boolean;
	readonly isDim: boolean;
	readonly isInverse: boolean;
}

/** A pi in a real pseudo terminal, with an emulator that knows what a person would see. */
export interface Terminal {
	readonly pid: number;
	/**
	 * Waits until pi takes prompts. Its screen is complete earlier than that: 0.87.1 and later refuse an early Enter
	 * ("Startup is still in progress"), 0.73.1 loses it. Not for an extension that asks something at start-up. Default 15
	 * s.
	 */
	ready(timeoutMs?: number): Promise<void>;
	/** Types a text; resolves after a pause in which pi reads it. */
	type(text: string): Promise<void>;
	/** Types a prompt or a complete slash command and sends it. */
	submit(text: string): Promise<void>;
	/**
	 * Presses keys one after the other, no sooner after the last output than a person could, and each followed by a pause:
	 * an Esc directly before another key would be Alt.
	 */
	press(...keys: readonly KeyName[]): Promise<void>;
	/** The visible screen as lines of plain text, trailing spaces and empty lines at the end taken away. */
	screen(): string;
	/** The visible screen, row by row, with its colours. */
	cells(): readonly (readonly Cell[])[];
	/** Everything since the start that did not get overwritten, scrolled out lines included. */
	transcript(): string;
	/** Everything that pi wrote, byte for byte, what was overwritten included. */
	output(): string;
	/** What the terminal was asked to show outside of its screen: OSC 9, the parts of OSC 777, and `bell`, in order. */
	notices(): readonly string[];
	/** Everything that was typed, without keys. */
	typed(): string;
	/** Waits until the visible screen contains a text or matches a pattern, and returns it. Default 15 s. */
	waitForText(text: string | RegExp, timeoutMs?: number): Promise<string>;
	/** Waits until the visible screen satisfies a predicate, and returns it. Default 15 s. */
	waitForScreen(predicate: (screen: string) => boolean, timeoutMs?: number): Promise<string>;
	/** Changes the size; pi redraws by itself. */
	resize(cols: number, rows?: number): void;
	/** Waits for the end of pi, after `/quit` for example. Default 15 s. */
	waitForExit(timeoutMs?: number): Promise<TerminalExit>;
	/** Hangs up, as closing a terminal window does; kills pi when it takes longer than 3 s. */
	stop(): Promise<TerminalExit>;
}

/** The terminal mode that brackets a frame. */
const SYNCHRONIZED_OUTPUT = 2026;

const keyPauseMs = 30;
// A person needs longer than this from what is on the screen to a key.
const reactionMs = 50;
// pi takes an Esc for a key of its own only when nothing follows it for a moment.
const escapePauseMs = 120;
// 0.73.1 drops a prompt that comes in the moment between the end of a turn (or of its start) and its next read.
const promptPauseMs = 150;

function pause(durationMs: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, durationMs));
}

function linesOf(emulator: xterm.Terminal, from: number, to: number): string {
	const lines: string[] = [];
	for (let row = from; row < to; row += 1) {
		lines.push(emulator.buffer.active.getLine(row)?.translateToString(true).trimEnd() ?? "");
	}
	return lines.join("\n").trimEnd();
}

/** The 16 named colours of a terminal; the rest of the 256 are computed. */
const NAMED_COLORS = [
	["#000000", "#cd3131", "#0dbc79", "#e5e510", "#2472c8", "#bc3fbc", "#11a8cd", "#e5e5e5"],
	["#666666", "#f14c4c", "#23d18b", "#f5f543", "#3b8eea", "#d670d6", "#29b8db", "#ffffff"],
].flat();

function hex(rgb: number): string {
	return `#${rgb.toString(16).padStart(6, "0")}`;
}

function paletteColor(index: number): string {
	const named = NAMED_COLORS[index];
	if (named !== undefined) return named;
	if (index >= 232) return hex((8 + (index - 232) * 10) * 0x010101);
	const level = (step: number) => (step === 0 ? 0 : 55 + step * 40);
	const [red, green, blue] = [Math.floor((index - 16) / 36), Math.floor((index - 16) / 6) % 6, (index - 16) % 6];
	return hex(level(red ?? 0) * 0x10000 + level(green ?? 0) * 0x100 + level(blue ?? 0));
}

function cellsOf(line: xterm.IBufferLine | undefined, columns: number): Cell[] {
	const cells: Cell[] = [];
	for (let column = 0; column < columns; column += 1) {
		const cell = line?.getCell(column);
		// The second half of a wide character.
		if (!cell || cell.getWidth() === 0) continue;
		const color = cell.isFgRGB() ? hex(cell.getFgColor()) : undefined;
		const background = cell.isBgRGB() ? hex(cell.getBgColor()) : undefined;
		cells.push({
			text: cell.getChars() || " ",
			width: cell.getWidth(),
			color: cell.isFgPalette() ? paletteColor(cell.getFgColor()) : color,
			background: cell.isBgPalette() ? paletteColor(cell.getBgColor()) : background,
			isBold: cell.isBold() !== 0,
			isDim: cell.isDim() !== 0,
			isInverse: cell.isInverse() !== 0,
		});
	}
	return cells;
}

/** Starts pi's terminal interface. Stop it in the end. */
export function startTerminal(
	host: Host,
	agentDir: AgentDir,
	args: readonly string[] = [],
	options: TerminalOptions = {},
): Terminal {
	const { cols = 80, rows = 24 } = options;
	const command = launchCommand(host, agentDir, args, options);
	const emulator = new xterm.Terminal({ cols, rows, scrollback: 10_000, allowProposedApi: true });
	const env = { TERM: "xterm-256color", COLORTERM: "truecolor", ...command.env };
	const pty: IPty = spawn(command.file, [...command.args], {
		name: "xterm-256color",
		cols,
		rows,
		cwd: command.cwd,
		env,
	});
	const forget = killAtExit(pty.pid);
	const onChange = new Set<() => void>();
	const announce = (): void => {
		for (const listener of [...onChange]) listener();
	};
	let exit: TerminalExit | undefined;
	let isDisposed = false;
	let written = "";
	let typedSoFar = "";
	let lastOutputAt = Number.NEGATIVE_INFINITY;
	pty.onData((output) => {
		written += output;
		lastOutputAt = performance.now();
		emulator.write(output, announce);
	});
	// pi asks the terminal for its colours, its attributes and the cursor; the emulator's answers go back as input.
	emulator.onData((reply) => {
		if (exit === undefined) pty.write(reply);
	});
	// The last thing pi does before it takes prompts, on every host, is to set the title of the window.
	let title: string | undefined;
	emulator.onTitleChange((newTitle) => {
		title = newTitle;
		announce();
	});
	const notices: string[] = [];
	const notice = (text: string): boolean => {
		notices.push(text);
		announce();
		return true;
	};
	emulator.parser.registerOscHandler(9, notice);
	emulator.parser.registerOscHandler(777, notice);
	emulator.onBell(() => void notice("bell"));
	pty.onExit(({ exitCode, signal }) => {
		forget();
		exit = { code: exitCode, signal };
		announce();
	});

	const drawn = (): string => {
		const { viewportY } = emulator.buffer.active;
		return linesOf(emulator, viewportY, viewportY + emulator.rows);
	};
	// pi brackets each frame (mode 2026); a terminal shows the former frame until the new one is whole.
	let formerFrame: string | undefined;
	const onFrame = (final: "h" | "l", act: () => void): void => {
		emulator.parser.registerCsiHandler({ prefix: "?", final }, (modes) => {
			if (modes.includes(SYNCHRONIZED_OUTPUT)) act();
			return false;
		});
	};
	onFrame("h", () => {
		formerFrame ??= drawn();
	});
	onFrame("l", () => {
		formerFrame = undefined;
	});
	const screen = (): string => formerFrame ?? drawn();

	const until = <T>(what: string, timeoutMs: number, probe: () => T | undefined): Promise<T> =>
		new Promise((resolve, reject) => {
			const finish = (settle: () => void): void => {
				clearTimeout(timer);
				onChange.delete(check);
				settle();
			};
			const fail = (reason: string): void => {
				finish(() => reject(new Error(`${what}: ${reason}; the screen is\n${screen()}`)));
			};
			const check = (): void => {
				const value = probe();
				if (value !== undefined) finish(() => resolve(value));
				else if (exit !== undefined) fail(`pi ended with ${exit.code}`);
			};
			const timer = setTimeout(() => fail(`not within ${timeoutMs} ms`), timeoutMs);
			onChange.add(check);
			check();
		});

	const waitForScreen = (predicate: (screen: string) => boolean, timeoutMs = 15_000, what = "the screen") =>
		until(what, timeoutMs, () => {
			const visible = screen();
			return predicate(visible) ? visible : undefined;
		});

	const waitForExit = async (timeoutMs = 15_000): Promise<TerminalExit> => {
		const ended = await until("exit", timeoutMs, () => exit);
		// What was written last may not be drawn yet.
		if (!isDisposed) await new Promise<void>((resolve) => emulator.write("", resolve));
		return ended;
	};

	const type = async (text: string): Promise<void> => {
		typedSoFar += text;
		pty.write(text);
		await pause(keyPauseMs);
	};

	const press = async (...keys: readonly KeyName[]): Promise<void> => {
		await pause(Math.max(0, lastOutputAt + reactionMs - performance.now()));
		for (const key of keys) {
			pty.write(keySequences[key]);
			await pause(key === "escape" ? escapePauseMs : keyPauseMs);
		}
	};

	return {
		pid: pty.pid,
		ready: async (timeoutMs = 15_000) => {
			await until("the window title", timeoutMs, () => title);
			await pause(promptPauseMs);
		},
		type,
		press,
		submit: async (text) => {
			await pause(promptPauseMs);
			await type(text);
			await press("enter");
		},
		screen,
		cells: () => {
			const { viewportY } = emulator.buffer.active;
			return Array.from({ length: emulator.rows }, (_, row) =>
				cellsOf(emulator.buffer.active.getLine(viewportY + row), emulator.cols),
			);
		},
		transcript: () => linesOf(emulator, 0, emulator.buffer.active.length),
		output: () => written,
		notices: () => notices,
		typed: () => typedSoFar,
		waitForText: (text, timeoutMs) => {
			const isThere = (visible: string): boolean =>
				typeof text === "string" ? visible.includes(text) : text.test(visible);
			return waitForScreen(isThere, timeoutMs, `text ${text}`);
		},
		waitForScreen: (predicate, timeoutMs) => waitForScreen(predicate, timeoutMs),
		resize: (newCols, newRows = emulator.rows) => {
			emulator.resize(newCols, newRows);
			pty.resize(newCols, newRows);
		},
		waitForExit,
		stop: async () => {
			if (exit === undefined) signalProcess(pty.pid, "SIGHUP");
			const timer = setTimeout(() => signalProcess(pty.pid, "SIGKILL"), 3_000);
			try {
				return await waitForExit(8_000);
			} finally {
				clearTimeout(timer);
				isDisposed = true;
				emulator.dispose();
			}
		},
	};
}
