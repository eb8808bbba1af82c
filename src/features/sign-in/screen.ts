import { type Component, type Focusable, Input, Key, matchesKey } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import type { Paint } from "../../ui-kit/panel.ts";
import { drawSignIn, type SignInPlace, type SignInScene } from "./drawing.ts";

/** Dependencies of the screen. */
interface SignInScreenDeps {
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

/** Creates the screen. It draws what it is given and does nothing by itself. */
export function createSignInScreen(deps: SignInScreenDeps): SignInScreen {
	const input = new Input();
	let place: SignInPlace = { kind: "nothing" };
	let browser: SignInScene["browser"] = "opening";
	let note: SignInScene["note"];
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

	return {
		get focused() {
			return input.focused;
		},
		// Passed on, so that input methods find the cursor.
		set focused(isFocused) {
			input.focused = isFocused;
		},
		showUrl: (url, { comesBack }) => {
			place = { kind: "url", url, comesBack };
			deps.repaint();
		},
		showBrowser: (isOpen) => {
			browser = isOpen ? "open" : "missing";
			deps.repaint();
		},
		showCode: ({ userCode, verificationUri, expiresAt }) => {
			place = { kind: "code", userCode, url: verificationUri, expiresAt };
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
			const { title, paint } = deps;
			const field = (columns: number) => input.render(columns);
			return drawSignIn({ title, place, browser, note, field, now: deps.now(), room: deps.room(), paint }, width);
		},
		handleInput: (typed) => {
			if (deps.isCancelKey(typed)) deps.onCancel();
			else if (matchesKey(typed, Key.ctrl("y")) && place.kind !== "nothing") void copyAddress(place.url);
			else if (place.kind === "url") {
				input.handleInput(typed);
				const pasted = printable(input.getValue());
				if (pasted !== input.getValue()) input.setValue(pasted);
			}
		},
		invalidate: () => input.invalidate(),
	};
}
