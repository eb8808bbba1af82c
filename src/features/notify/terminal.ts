import { printable } from "../../core/account.ts";
import type { NotifySettings, TerminalWay } from "../../core/settings.ts";

/** The environment of this process, as far as it tells of the terminal. */
export type Environment = Readonly<Record<string, string | undefined>>;

/** What a terminal gets. */
export interface TerminalChoice {
	readonly way: TerminalWay;
	/** The terminal, by the name that a person knows; undefined for one that is not known, or not asked for. */
	readonly name: string | undefined;
	/** tmux stands in between, and has to be told to pass the sequence on. */
	readonly isThroughTmux: boolean;
}

/** A terminal that shows notices, and how it is recognized. */
interface Known {
	readonly name: string;
	readonly way: TerminalWay;
	/** The beginning of its `TERM`, which an SSH connection keeps. */
	readonly term?: RegExp;
	/** Its `TERM_PROGRAM`. */
	readonly program?: string;
	/** Variables of its own, which tmux keeps. One with a value has to have that. */
	readonly variables?: readonly (readonly [name: string, value?: string])[];
}

/** Terminals that are not here get a bell. */
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

/** Programs that stand between pi and the terminal, and name themselves in `TERM_PROGRAM`. */
const MULTIPLEXERS: ReadonlySet<string> = new Set(["tmux", "screen", "zellij"]);

/** Chooses what the terminal gets. */
export function chooseWay(wanted: NotifySettings["terminal"], env: Environment): TerminalChoice {
	const isInTmux = isSet(env.TMUX);
	if (wanted !== "auto") return { way: wanted, name: undefined, isThroughTmux: isInTmux && wanted !== "bell" };
	const known = isCutOff(env) && !isInTmux ? undefined : knownTerminal(env);
	return { way: known?.way ?? "bell", name: known?.name, isThroughTmux: isInTmux && known !== undefined };
}

/** True behind a program that lets no such sequence through. */
function isCutOff({ STY, ZELLIJ }: Environment): boolean {
	return isSet(STY) || isSet(ZELLIJ);
}

/**
 * The terminal, by what is most specific: `TERM` is set by it and kept by SSH, `TERM_PROGRAM` may be inherited by a
 * terminal that sets none, and so may variables, which alone are left in tmux.
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
/** The head of a notice. It also keeps a text that begins with a number from being taken for a command of OSC 9. */
const TITLE = "pi-multicodex";
/** More is cut: some terminals drop a sequence that is too long. */
const LONGEST_TEXT = 240;

/** The bytes that have a terminal show `text`. They draw nothing and move nothing. */
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

/** By characters, so that none is cut in half. */
function bounded(text: string): string {
	const characters = [...text];
	return characters.length > LONGEST_TEXT ? `${characters.slice(0, LONGEST_TEXT - 1).join("")}…` : text;
}
