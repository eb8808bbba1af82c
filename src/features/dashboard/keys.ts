import { type KeyId, matchesKey } from "@mariozechner/pi-tui";
import type { Account } from "../../core/account.ts";
import { type Line, type PanelKey, span, wrapParts } from "../../ui-kit/panel.ts";

/** What a key of the dashboard asks for. */
export type DashboardAction =
	| "use"
	| "auto"
	| "add"
	| "import"
	| "login"
	| "remove"
	| "enable"
	| "disable"
	| "rename"
	| "refresh"
	| "undo"
	| "close";

/** What a key does in the dashboard itself. */
export type LookAction = "help" | "details" | "fold";

/**
 * Where the hint line names a key: also on a narrow terminal, where there is room, or not at all; `off`: it does
 * nothing.
 */
type Naming = "always" | "room" | "never" | "off";

/** What the dashboard shows, as far as keys depend on it. */
export interface KeyMoment {
	/** The highlighted account; undefined where there is none. */
	readonly account: Account | undefined;
	/** The pool serves nothing now: pi-multicodex is off, or pi has a key of its own. */
	readonly isBypassed: boolean;
	/** An account was just removed, and can be put back. */
	readonly isUndoable: boolean;
	/** Accounts are folded, or would be. */
	readonly hasFold: boolean;
	readonly isDetailed: boolean;
}

interface Key {
	readonly typed: { readonly binding: PanelKey } | { readonly letter: KeyId };
	/** As the hint line names it. */
	readonly name: string;
	readonly does: string;
	/** The same where there is room for a few words. */
	readonly help: string;
	readonly action: DashboardAction | LookAction;
	/** `room` unless told otherwise, and `off` without an account. */
	readonly naming?: (account: Account, moment: KeyMoment) => Naming;
	/** How it is named in an empty pool, where there is something to do for it. */
	readonly ofNone?: Naming;
}

const confirm = { binding: "tui.select.confirm" } as const;
const cancel = { binding: "tui.select.cancel" } as const;
const always = (): Naming => "always";
const namingOfUse = ({ enabled, needsLogin }: Account): Naming => (enabled && !needsLogin ? "always" : "never");

/** Every key but those that move or filter: what is pressed, what is hinted at, and what is done. */
const KEYS: readonly Key[] = [
	// Pressed on an account that cannot serve it tells why.
	{
		typed: confirm,
		name: "enter",
		does: "use",
		help: "use in all sessions",
		action: "use",
		naming: (each, { isBypassed }) => (isBypassed ? "off" : namingOfUse(each)),
	},
	{
		typed: confirm,
		name: "enter",
		does: "use later",
		help: "use once the pool serves",
		action: "use",
		naming: (each, { isBypassed }) => (isBypassed ? namingOfUse(each) : "off"),
	},
	{
		typed: { letter: "a" },
		name: "a",
		does: "auto",
		help: "choose by policy",
		action: "auto",
		naming: always,
	},
	{
		typed: { letter: "d" },
		name: "d",
		does: "details",
		help: "its details",
		action: "details",
		naming: (_, { isDetailed }) => (isDetailed ? "off" : "room"),
	},
	{
		typed: { letter: "d" },
		name: "d",
		does: "list",
		help: "back to the list",
		action: "details",
		naming: (_, { isDetailed }) => (isDetailed ? "always" : "off"),
	},
	{ typed: { letter: "n" }, name: "n", does: "add", help: "sign in to one more", action: "add", ofNone: "always" },
	{
		typed: { letter: "i" },
		name: "i",
		does: "import",
		help: "import from tools",
		action: "import",
		naming: () => "never",
		ofNone: "always",
	},
	{
		typed: { letter: "s" },
		name: "s",
		does: "sign in",
		help: "sign in to it again",
		action: "login",
		naming: ({ needsLogin }) => (needsLogin ? "always" : "room"),
	},
	{ typed: { letter: "x" }, name: "x", does: "remove", help: "remove, asks first", action: "remove" },
	{
		typed: { letter: "u" },
		name: "u",
		does: "undo",
		help: "undo the removal",
		action: "undo",
		naming: always,
		ofNone: "always",
	},
	{
		typed: { letter: "e" },
		name: "e",
		does: "disable",
		help: "take out of use",
		action: "disable",
		naming: ({ enabled }) => (enabled ? "room" : "off"),
	},
	{
		typed: { letter: "e" },
		name: "e",
		does: "enable",
		help: "use it again",
		action: "enable",
		naming: ({ enabled }) => (enabled ? "off" : "always"),
	},
	{ typed: { letter: "v" }, name: "v", does: "rename", help: "give another label", action: "rename" },
	{ typed: { letter: "r" }, name: "r", does: "refresh", help: "ask for usage now", action: "refresh" },
	{
		typed: { letter: "m" },
		name: "m",
		does: "more",
		help: "unfold, or fold again",
		action: "fold",
		// The line of what is folded names it.
		naming: (_, { hasFold, isDetailed }) => (hasFold && !isDetailed ? "never" : "off"),
	},
	{
		typed: { letter: "?" },
		name: "?",
		does: "keys",
		help: "show or hide keys",
		action: "help",
		naming: always,
		// All others stand in the hint line.
		ofNone: "never",
	},
	{
		typed: cancel,
		name: "esc",
		does: "close",
		help: "close",
		action: "close",
		naming: always,
		ofNone: "always",
	},
];

/** Keys that stand in no list of what is done: they only move, or filter. */
const MOVES_HELP: readonly (readonly [string, string])[] = [
	["↑↓ j k", "move"],
	["home end", "first, last"],
	["/", "filter by typing"],
];
const MOVE = "↑↓ move";

/** What the key that was typed asks for; undefined for one that does nothing now. */
export function actionOf(
	typed: string,
	moment: KeyMoment,
	isKey: (typed: string, key: PanelKey) => boolean,
): DashboardAction | LookAction | undefined {
	const isPressed = ({ typed: wanted }: Key) =>
		"binding" in wanted ? isKey(typed, wanted.binding) : matchesKey(typed, wanted.letter);
	return keysIn(moment).find(isPressed)?.action;
}

/** `isShort`: only the few keys that matter most. */
export function hintWords(moment: KeyMoment, isShort: boolean): string[] {
	const named = isShort ? ["always"] : ["always", "room"];
	const words = keysIn(moment)
		.filter((key) => named.includes(namingOf(key, moment)))
		.map(({ name, does }) => `${name} ${does}`);
	return moment.account && !isShort ? [MOVE, ...words] : words;
}

/** Every key and what it does: one on a line, or in fewer words where the terminal is too low for that. */
export function helpLines(moment: KeyMoment, width: number, room: number): Line[] {
	const keys = keysIn(moment);
	const moves = moment.account ? MOVES_HELP : [];
	const all = [...moves, ...keys.map(({ name, help }) => [name, help] as const)];
	if (all.length <= room) {
		return all.map(([name, does]) => [span("accent", ` ${name.padEnd(9)}`), span("text", does)]);
	}
	const short = [...(moment.account ? [MOVE, "/ filter"] : []), ...keys.map(({ name, does }) => `${name} ${does}`)];
	return wrapParts(short, "  ", width - 2).map((text) => [span("text", ` ${text}`)]);
}

function keysIn(moment: KeyMoment): Key[] {
	return KEYS.filter((key) => namingOf(key, moment) !== "off");
}

function namingOf({ naming, action, ofNone = "off" }: Key, moment: KeyMoment): Naming {
	const { account, isUndoable } = moment;
	if (action === "undo" && !isUndoable) return "off";
	if (!account) return ofNone;
	return naming?.(account, moment) ?? "room";
}
