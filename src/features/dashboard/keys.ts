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

/** What a key does within the dashboard. */
export type LookAction = "help" | "details" | "fold";

/**
 * When the hint line names a key: even on a narrow terminal, if there is room, or never. `off`: the key does nothing.
 */
type Naming = "always" | "room" | "never" | "off";

/** The parts of the dashboard's state that keys depend on. */
export interface KeyMoment {
	/** The highlighted account; undefined if there is none. */
	readonly account: Account | undefined;
	/** True if the pool serves nothing now: the extension is off, or pi has its own API key. */
	readonly isBypassed: boolean;
	/** True if an account was just removed and can be restored. */
	readonly isUndoable: boolean;
	/** True if accounts are folded, or would be. */
	readonly hasFold: boolean;
	readonly isDetailed: boolean;
}

interface Key {
	readonly typed: { readonly binding: PanelKey } | { readonly letter: KeyId };
	/** Its name in the hint line. */
	readonly name: string;
	readonly does: string;
	/** The same in a few words. */
	readonly help: string;
	readonly action: DashboardAction | LookAction;
	/** When to name it. By default `room`, and `off` without an account. */
	readonly naming?: (account: Account, moment: KeyMoment) => Naming;
	/** When to name it in an empty pool, if it does something there. */
	readonly ofNone?: Naming;
}

const confirm = { binding: "tui.select.confirm" } as const;
const cancel = { binding: "tui.select.cancel" } as const;
const always = (): Naming => "always";
const namingOfUse = ({ enabled, needsLogin }: Account): Naming => (enabled && !needsLogin ? "always" : "never");

/** Every key except those that move or filter: what is pressed, how it is named, and what it does. */
const KEYS: readonly Key[] = [
	// On an account that cannot serve, this key says why.
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
		// The line about folded accounts names this key.
		naming: (_, { hasFold, isDetailed }) => (hasFold && !isDetailed ? "never" : "off"),
	},
	{
		typed: { letter: "?" },
		name: "?",
		does: "keys",
		help: "show or hide keys",
		action: "help",
		naming: always,
		// The hint line shows all other keys.
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

/** Keys without an action: they only move or filter. */
const MOVES_HELP: readonly (readonly [string, string])[] = [
	["↑↓ j k", "move"],
	["home end", "first, last"],
	["/", "filter by typing"],
];
const MOVE = "↑↓ move";

/** Returns what a typed key asks for; undefined if it does nothing now. */
export function actionOf(
	typed: string,
	moment: KeyMoment,
	isKey: (typed: string, key: PanelKey) => boolean,
): DashboardAction | LookAction | undefined {
	const isPressed = ({ typed: wanted }: Key) =>
		"binding" in wanted ? isKey(typed, wanted.binding) : matchesKey(typed, wanted.letter);
	return keysIn(moment).find(isPressed)?.action;
}

/** Returns the words of the hint line. `isShort`: only the most important keys. */
export function hintWords(moment: KeyMoment, isShort: boolean): string[] {
	const named = isShort ? ["always"] : ["always", "room"];
	const words = keysIn(moment)
		.filter((key) => named.includes(namingOf(key, moment)))
		.map(({ name, does }) => `${name} ${does}`);
	return moment.account && !isShort ? [MOVE, ...words] : words;
}

/** Lists every key and what it does: one per line, or in fewer words on a low terminal. */
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
