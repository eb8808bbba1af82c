import { type Component, type Focusable, Input, Key, matchesKey, wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { formatCountdown } from "../../ui-kit/format.ts";
import { clampWidth, type Paint, wrapParts } from "../../ui-kit/panel.ts";

/** Dependencies of the screen. */
export interface SignInScreenDeps {
	/** The purpose of the sign-in, such as `Sign in to another Codex account`. */
	readonly title: string;
	readonly paint: Paint;
	/** True for the key that closes a dialog in this person's key bindings. */
	readonly isCancelKey: (input: string) => boolean;
	readonly onCancel: () => void;
	/** Copies the address. Resolves to false if this machine has no clipboard. */
	readonly copy: (text: string) => Promise<boolean>;
	/** Called when something on the screen has changed. */
	readonly repaint: () => void;
	readonly now: () => number;
	/**
	 * Returns how many lines the screen may take. A newer pi cuts off what is too high at the bottom, and with it the
	 * field.
	 */
	readonly room: () => number;
}

/** The screen of a sign-in, in place of the editor. */
export interface SignInScreen extends Component, Focusable {
	/** Shows where to sign in. Without `comesBack` the code has to be pasted. */
	showUrl(url: string, how: { readonly comesBack: boolean }): void;
	/** Shows whether a browser could be opened. */
	showBrowser(isOpen: boolean): void;
	/** Shows a code to type on another device. `expiresAt` is epoch ms. */
	showCode(shown: { readonly userCode: string; readonly verificationUri: string; readonly expiresAt: number }): void;
	/** Returns the next text that is pasted. `problem` says what was wrong with the last one. */
	pasted(problem: string | undefined): Promise<string>;
	/** Called when the code has arrived, in any way. */
	received(): void;
}

type Shown =
	| { readonly kind: "nothing" }
	| { readonly kind: "url"; readonly url: string; readonly comesBack: boolean }
	| { readonly kind: "code"; readonly userCode: string; readonly url: string; readonly expiresAt: number };

const NO_BROWSER = "No browser could be opened here.";
const PASTE_HERE = "Signed in elsewhere, or nothing happens? Paste the address the browser ended on, or the code:";
/** The same two texts on a low terminal. */
const OPEN_IT = "Sign in with the ChatGPT account you want:";
const OR_PASTE = "If nothing happens, paste the address it ended on:";

/** Creates the screen. It draws what it is given and does nothing by itself. */
export function createSignInScreen(deps: SignInScreenDeps): SignInScreen {
	const { paint } = deps;
	const input = new Input();
	let shown: Shown = { kind: "nothing" };
	let browser: "opening" | "open" | "missing" = "opening";
	let note: { readonly tone: "dim" | "error"; readonly text: string } | undefined;
	let give: ((text: string) => void) | undefined;

	input.onSubmit = (text) => {
		if (text.trim() === "" || !give) return;
		give(text);
		give = undefined;
		input.setValue("");
	};

	const copyAddress = async (url: string) => {
		const isCopied = await deps.copy(url);
		note = isCopied
			? { tone: "dim", text: "The address is in the clipboard." }
			: { tone: "error", text: "The address could not be copied: there is no clipboard here." };
		deps.repaint();
	};

	const wayOf = (isBack: boolean): string => {
		const elsewhere = "Open this address on any machine, and sign in with the ChatGPT account you want:";
		const taken = "The browser cannot come back here by itself, because other programs use ports 1455 and 1457.";
		if (browser === "missing") return isBack ? `${NO_BROWSER} ${elsewhere}` : `${NO_BROWSER} ${taken} ${elsewhere}`;
		const opened = browser === "open" ? "Your browser is open." : "A browser window should open.";
		return isBack
			? `${opened} Sign in there with the ChatGPT account you want. The address, if you need it:`
			: `${opened} ${taken} The address, if you need it:`;
	};

	const words = (tone: Parameters<Paint>[0], text: string, width: number) =>
		wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - 2)).map((line) => ` ${line}`);

	/** `isLow`: in few words. `most`: maximum lines for the address. */
	const body = (width: number, isLow: boolean, most: number): string[] => {
		if (shown.kind === "nothing") return words("dim", "Asking the sign-in service…", width);
		const address = linkLines(shown.url, width, most).map((line) => paint("accent", line));
		if (shown.kind === "code") {
			const left = formatCountdown(shown.expiresAt - deps.now());
			return [
				...words("text", "On any device, open this address:", width),
				"",
				...address,
				"",
				...words("text", "and type this code there:", width),
				"",
				...words("accent", shown.userCode, width),
				"",
				...words("dim", `Waiting until you have. The code is good for another ${left}.`, width),
			];
		}
		return [
			...words("text", isLow ? OPEN_IT : wayOf(shown.comesBack), width),
			"",
			...address,
			"",
			...words("dim", isLow ? OR_PASTE : PASTE_HERE, width),
			...input.render(width),
		];
	};

	return {
		get focused() {
			return input.focused;
		},
		// Passed on, so that input methods find the cursor.
		set focused(isFocused) {
			input.focused = isFocused;
		},
		showUrl: (url, { comesBack }) => {
			shown = { kind: "url", url, comesBack };
			deps.repaint();
		},
		showBrowser: (isOpen) => {
			browser = isOpen ? "open" : "missing";
			deps.repaint();
		},
		showCode: ({ userCode, verificationUri, expiresAt }) => {
			shown = { kind: "code", userCode, url: verificationUri, expiresAt };
			deps.repaint();
		},
		pasted: (problem) => {
			note = problem === undefined ? note : { tone: "error", text: problem };
			deps.repaint();
			return new Promise((resolve) => {
				give = resolve;
			});
		},
		received: () => {
			note = { tone: "dim", text: "Signing in…" };
			deps.repaint();
		},
		render: (width) => {
			const rule = paint("dim", "─".repeat(width));
			const notes = note ? ["", ...words(note.tone, note.text, width)] : [];
			const keys = [
				...(shown.kind === "url" ? ["enter submit"] : []),
				...(shown.kind === "nothing" ? [] : ["ctrl+y copy address"]),
				"esc cancel",
			];
			const hints = wrapParts(keys, " · ", width - 2).map((line) => ` ${paint("dim", line)}`);
			const title = words("text", deps.title, width);
			const linesOf = (main: readonly string[]) => [rule, ...title, "", ...main, ...notes, "", ...hints, rule];
			const whole = linesOf(body(width, false, Number.POSITIVE_INFINITY));
			if (whole.length <= deps.room()) return clampWidth(whole, width);
			const lowLines = (most: number) => linesOf(body(width, true, most)).filter((line) => line !== "");
			return clampWidth(lowLines(Math.max(1, deps.room() - lowLines(0).length)), width);
		},
		handleInput: (typed) => {
			if (deps.isCancelKey(typed)) deps.onCancel();
			else if (matchesKey(typed, Key.ctrl("y")) && shown.kind !== "nothing") void copyAddress(shown.url);
			else if (shown.kind === "url") {
				input.handleInput(typed);
				const pasted = printable(input.getValue());
				if (pasted !== input.getValue()) input.setValue(pasted);
			}
		},
		invalidate: () => input.invalidate(),
	};
}

/**
 * Shows the address over as many lines as needed, from the very edge so that it can be selected, each line a link to
 * the whole. Lines beyond `most` are left out: the link and the copied text contain everything.
 */
function linkLines(url: string, width: number, most: number): string[] {
	const step = Math.max(1, width);
	const shown = url.length > step * most ? `${url.slice(0, Math.max(0, step * most - 1))}…` : url;
	const lines: string[] = [];
	for (let at = 0; at < shown.length && lines.length < most; at += step) {
		lines.push(`\x1b]8;;${url}\x07${shown.slice(at, at + step)}\x1b]8;;\x07`);
	}
	return lines;
}
