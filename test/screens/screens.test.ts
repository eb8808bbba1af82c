import { describe, expect, it } from "vitest";
import type { Terminal } from "../support/terminal.ts";
import { GROUNDS, pictureOf } from "./picture.ts";
import { startScene } from "./studio.ts";

/**
 * The screens as they are stored. `npm run screenshots` takes them anew, and the pictures of the README with them: what is
 * shown there is what a real pi has painted.
 */

const WIDTHS = [120, 80, 40] as const;

/** The screen from our part of it on, without the lines above. */
function shot(terminal: Terminal, from: RegExp): string {
	const lines = terminal.screen().split("\n");
	const first = lines.findIndex((line) => from.test(line));
	return `${lines.slice(Math.max(0, first)).join("\n")}\n`;
}

async function store(name: string, text: string): Promise<void> {
	await expect(text).toMatchFileSnapshot(`stored/${name}.txt`);
}

async function storePicture(name: string, title: string, terminal: Terminal): Promise<void> {
	await expect(pictureOf(title, terminal.cells(), GROUNDS.dark)).toMatchFileSnapshot(`pictures/${name}.svg`);
}

describe("show", () => {
	it("is as stored", async () => {
		const { terminal } = await startScene({ columns: 80 });
		await terminal.submit("/multicodex show");
		await terminal.waitForText("ready ·");
		await store("show-80", shot(terminal, /ready ·/));
		await storePicture("show", "The accounts as /multicodex show lists them", terminal);
	});
});

void WIDTHS;
