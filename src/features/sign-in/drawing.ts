import { wrapTextWithAnsi } from "@mariozechner/pi-tui";
import { printable } from "../../core/account.ts";
import { formatCountdown } from "../../ui-kit/format.ts";
import { clampWidth, type Paint, wrapParts } from "../../ui-kit/panel.ts";

/** Where the person signs in. */
export type SignInPlace =
	| { readonly kind: "nothing" }
	| { readonly kind: "url"; readonly url: string; readonly comesBack: boolean }
	| { readonly kind: "code"; readonly userCode: string; readonly url: string; readonly expiresAt: number };

/** What the screen of a sign-in shows at one moment. */
export interface SignInScene {
	readonly title: string;
	readonly place: SignInPlace;
	/** Whether a browser could be opened here. */
	readonly browser: "opening" | "open" | "missing";
	/** A line below the rest. */
	readonly note: { readonly tone: "dim" | "error"; readonly text: string } | undefined;
	/** The field for the code. */
	readonly field: (width: number) => readonly string[];
	readonly now: number;
	/** Number of lines that the screen may take. */
	readonly room: number;
	readonly paint: Paint;
}

const NO_BROWSER = "No browser could be opened here.";
const PASTE_HERE = "Signed in elsewhere, or nothing happens? Paste the address the browser ended on, or the code:";
/** The same two texts on a low terminal. */
const OPEN_IT = "Sign in with the ChatGPT account you want:";
const OR_PASTE = "If nothing happens, paste the address it ended on:";

/** Draws the screen, in fewer words and without blank lines on a low terminal. */
export function drawSignIn(scene: SignInScene, width: number): string[] {
	const { title, place, note, room, paint } = scene;
	const rule = paint("dim", "─".repeat(width));
	const notes = note ? ["", ...wordsIn(scene, note.tone, note.text, width)] : [];
	const keys = [
		...(place.kind === "url" ? ["enter submit"] : []),
		...(place.kind === "nothing" ? [] : ["ctrl+y copy address"]),
		"esc cancel",
	];
	const hints = wrapParts(keys, " · ", width - 2).map((line) => ` ${paint("dim", line)}`);
	const head = wordsIn(scene, "text", title, width);
	const linesOf = (main: readonly string[]) => [rule, ...head, "", ...main, ...notes, "", ...hints, rule];
	const whole = linesOf(bodyOf(scene, width, false, Number.POSITIVE_INFINITY));
	if (whole.length <= room) return clampWidth(whole, width);
	const lowLines = (most: number) => linesOf(bodyOf(scene, width, true, most)).filter((line) => line !== "");
	return clampWidth(lowLines(Math.max(1, room - lowLines(0).length)), width);
}

/** `isLow`: in few words. `most`: maximum lines for the address. */
function bodyOf(scene: SignInScene, width: number, isLow: boolean, most: number): string[] {
	const { place, paint, now } = scene;
	const words = (tone: Parameters<Paint>[0], text: string) => wordsIn(scene, tone, text, width);
	if (place.kind === "nothing") return words("dim", "Asking the sign-in service…");
	const address = linkLines(place.url, width, most).map((line) => paint("accent", line));
	if (place.kind === "code") {
		const left = formatCountdown(place.expiresAt - now);
		return [
			...words("text", "On any device, open this address:"),
			"",
			...address,
			"",
			...words("text", "and type this code there:"),
			"",
			...words("accent", place.userCode),
			"",
			...words("dim", `Waiting until you have. The code is good for another ${left}.`),
		];
	}
	return [
		...words("text", isLow ? OPEN_IT : wayOf(scene, place.comesBack)),
		"",
		...address,
		"",
		...words("dim", isLow ? OR_PASTE : PASTE_HERE),
		...scene.field(width),
	];
}

function wayOf({ browser }: SignInScene, isBack: boolean): string {
	const elsewhere = "Open this address on any machine, and sign in with the ChatGPT account you want:";
	const taken = "The browser cannot come back here by itself, because other programs use ports 1455 and 1457.";
	if (browser === "missing") return isBack ? `${NO_BROWSER} ${elsewhere}` : `${NO_BROWSER} ${taken} ${elsewhere}`;
	const opened = browser === "open" ? "Your browser is open." : "A browser window should open.";
	return isBack
		? `${opened} Sign in there with the ChatGPT account you want. The address, if you need it:`
		: `${opened} ${taken} The address, if you need it:`;
}

function wordsIn({ paint }: SignInScene, tone: Parameters<Paint>[0], text: string, width: number): string[] {
	return wrapTextWithAnsi(paint(tone, printable(text)), Math.max(1, width - 2)).map((line) => ` ${line}`);
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
