import { printable } from "../../core/account.ts";
import type { NotifySettings, TerminalWay } from "../../core/settings.ts";

/** The environment of this process, as far as it describes the terminal. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** How to send a notice to the terminal. */
interface TerminalChoice {
	readonly way: TerminalWay;
	/** The terminal's name, as people know it; undefined if it is unknown or was not asked for. */
	readonly name: string | undefined;
	/** True if tmux is in between and must be told to pass the sequence on. */
	readonly isThroughTmux: boolean;
}

/** A terminal that shows notices, and how to recognize it. */
interface Known {
	readonly name: string;
	readonly way: TerminalWay;
	/** Matches the beginning of its `TERM`, which an SSH connection keeps. */
	readonly term?: RegExp;
	/** Its `TERM_PROGRAM`. */
	readonly program?: string;
	/** Its own variables, which tmux keeps. If a value is given, it must match. */
	readonly variables?: readonly (readonly [name: string, value?: string])[];
}

/** Terminals that are not listed get a bell. */
const KNOWN: readonly Known[] = [
	{
		name: "iTerm2",
		way: "osc9",
		program: "iTerm.app",
		variables: [["LC_TERMINAL", "iTerm2"], ["ITERM_SESSION_ID"]],
	},
	{ name: "kitty", way: "osc9", term: /^xterm-kitty$/, program: "kitty", variables: [["KITTY_WINDOW_ID"]] },
	{ name: "Warp", way: "osc9", program: "WarpTerminal" },
	{
		name: "Ghostty",
		way: "osc777",
		term: /^xterm-ghostty$/,
		program: "ghostty",
		variables: [["GHOSTTY_RESOURCES_DIR"]],
	},
	{ name: "WezTerm", way: "osc777", term: /^wezterm$/, program: "WezTerm", variables: [["WEZTERM_PANE"]] },
	{ name: "foot", way: "osc777", term: /^foot(-|$)/ },
	{ name: "rxvt-unicode", way: "osc777", term: /^rxvt-unicode/ },
];

/** Programs between pi and the terminal that name themselves in `TERM_PROGRAM`. */
const MULTIPLEXERS: ReadonlySet<string> = new Set(["tmux", "screen", "zellij"]);

/** Chooses how to send a notice to the terminal. */
export function chooseWay(wanted: NotifySettings["terminal"], env: Environment): TerminalChoice {
	const isInTmux = isSet(env.TMUX);
	if (wanted !== "auto") return { way: wanted, name: undefined, isThroughTmux: isInTmux && wanted !== "bell" };
	const known = isCutOff(env) && !isInTmux ? undefined : knownTerminal(env);
	return { way: known?.way ?? "bell", name: known?.name, isThroughTmux: isInTmux && known !== undefined };
}

/** True behind a program that passes no such sequence on. */
function isCutOff({ STY, ZELLIJ }: Environment): boolean {
	return isSet(STY) || isSet(ZELLIJ);
}

/**
 * Returns the terminal, by the most specific sign: it sets `TERM`, and SSH keeps that. A terminal that sets no
 * `TERM_PROGRAM` may inherit one, and likewise variables, which are all that is left in tmux.
 */
function knownTerminal(env: Environment): Known | undefined {
	const byTerm = KNOWN.find(({ term }) => term?.test(env.TERM ?? ""));
	if (byTerm) return byTerm;
	const program = env.TERM_PROGRAM ?? "";
	if (program !== "" && !MULTIPLEXERS.has(program)) return KNOWN.find((each) => each.program === program);
	const isTold = ([name, value]: readonly [string, string?]) =>
		value === undefined ? isSet(env[name]) : env[name] === value;
	return KNOWN.find(({ variables = [] }) => variables.some(isTold));
}

function isSet(value: string | undefined): boolean {
	return value !== undefined && value !== "";
}

const ESC = "\x1b";
const BEL = "\x07";
/** The heading of a notice. It also keeps a text that starts with a number from being taken for a command of OSC 9. */
const TITLE = "pi-multicodex";
/** Longer texts are cut, since some terminals drop a sequence that is too long. */
const LONGEST_TEXT = 240;

/** Returns the bytes that make a terminal show `text`. They draw nothing and move nothing. */
export function sequenceFor(text: string, { way, isThroughTmux }: TerminalChoice): string {
	if (way === "bell") return BEL;
	const words = bounded(printable(text));
	const sequence =
		way === "osc9"
			? `${ESC}]9;${TITLE}: ${words}${BEL}`
			: // A semicolon would begin another part.
				`${ESC}]777;notify;${TITLE};${words.replaceAll(";", ",")}${BEL}`;
	return isThroughTmux ? `${ESC}Ptmux;${sequence.replaceAll(ESC, ESC + ESC)}${ESC}\\` : sequence;
}

/** Cut by characters, so that none is cut in half. */
function bounded(text: string): string {
	const characters = [...text];
	return characters.length > LONGEST_TEXT ? `${characters.slice(0, LONGEST_TEXT - 1).join("")}…` : text;
}
