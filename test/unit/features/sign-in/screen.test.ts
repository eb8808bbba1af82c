import { stripVTControlCharacters } from "node:util";
import { visibleWidth } from "@mariozechner/pi-tui";
import { beforeEach, describe, expect, it } from "vitest";
import { createSignInScreen, type SignInScreen } from "../../../../src/features/sign-in/screen.ts";
import { MINUTE_MS, NOW, settled } from "../../../support/fakes.ts";
import { coreOf } from "../../../support/tiers.ts";

const URL_SHOWN = `https://auth.example.test/oauth/authorize?${"scope=openid%20profile&".repeat(15)}state=last`;
const DEVICE = {
	userCode: "1234-56789A",
	verificationUri: "https://auth.example.test/codex/device",
	expiresAt: NOW + 15 * MINUTE_MS,
};
const ENTER = "\r";
const ESCAPE = "\x1b";
const CTRL_Y = "\x19";
/** Each width at which little fits, and some of those where much does; in the core fewer of both. */
const WIDTHS = coreOf(
	Array.from({ length: 181 }, (_, index) => index + 20).filter((width) => width <= 60 || width % 10 === 0),
	(width) => width <= 30 || width % 20 === 0 || width === 59,
);

let screen: SignInScreen;
let cancelled: number;
let copied: string[];
let hasClipboard: boolean;
let repaints: number;
let now: number;
let room: number;

beforeEach(() => {
	cancelled = 0;
	copied = [];
	hasClipboard = true;
	repaints = 0;
	now = NOW;
	room = 60;
	screen = createSignInScreen({
		title: "Sign in to one more Codex account",
		paint: (tone, text) => (tone === "error" ? `\x1b[31m${text}\x1b[39m` : `\x1b[2m${text}\x1b[22m`),
		isCancelKey: (typed) => typed === ESCAPE,
		onCancel: () => {
			cancelled += 1;
		},
		copy: async (text) => {
			copied.push(text);
			return hasClipboard;
		},
		repaint: () => {
			repaints += 1;
		},
		now: () => now,
		room: () => room,
	});
});

const lines = (width = 80) => screen.render(width).map((line) => stripVTControlCharacters(line));
/** As running text: where a line breaks is of no concern. */
const text = (width = 80) =>
	lines(width)
		.map((line) => line.trim())
		.join(" ");
const type = (typed: string) => {
	for (const key of typed) screen.handleInput?.(key);
};
const paste = (pasted: string) => screen.handleInput?.(`\x1b[200~${pasted}\x1b[201~`);
const submit = () => screen.handleInput?.(ENTER);

/** The address as it stands on the screen: the lines from the one that begins it to the next that is empty. */
function addressAt(width: number): string {
	const all = lines(width);
	const from = all.findIndex((line) => line.startsWith("https://auth"));
	const to = all.findIndex((line, at) => at > from && line.trim() === "");
	return all.slice(from, to).join("");
}

/** Puts the screen into each of its states, one after the other. */
function* states(): Generator<string> {
	yield "nothing yet";
	screen.showUrl(URL_SHOWN, { comesBack: true });
	yield "an address";
	screen.showBrowser(true);
	yield "an open browser";
	screen.showBrowser(false);
	yield "no browser";
	screen.showUrl(URL_SHOWN, { comesBack: false });
	screen.showBrowser(true);
	yield "no way back";
	void screen.pasted("The pasted text contains no sign-in code.");
	yield "a bad paste";
	screen.received();
	yield "a code that has come";
	void screen.pasted("The pasted text contains no sign-in code.");
	paste("x".repeat(300));
	yield "a long paste";
	paste("職場のコード".repeat(20));
	yield "wide characters";
	screen.showCode(DEVICE);
	yield "a code";
}

describe("the screen of a sign-in", () => {
	it("keeps the field and the keys on a low terminal, and as much of the address as there is room for", () => {
		for (const _state of states()) {
			for (const [width, height] of [
				[40, 20],
				[80, 11],
				[120, 10],
			] as const) {
				room = height;
				const all = lines(width);
				expect(all.length).toBeLessThanOrEqual(height);
				expect(all.at(-2)).toMatch(/esc cancel/);
			}
		}
		room = 17;
		screen.showUrl(URL_SHOWN, { comesBack: true });
		expect(lines(40).filter((line) => line.startsWith(">"))).toHaveLength(1);
		const all = lines(40);
		const from = all.findIndex((line) => line.startsWith("https://auth"));
		const to = all.findIndex((line) => line.endsWith("…"));
		expect(to).toBeGreaterThan(from);
		expect(URL_SHOWN).toContain(
			all
				.slice(from, to + 1)
				.join("")
				.slice(0, -1),
		);
		expect(screen.render(40).join("\n")).toContain(`\x1b]8;;${URL_SHOWN}\x07`);
	});

	it("fits every terminal from 20 to 200 columns, in every state", () => {
		const tooWide: string[] = [];
		for (const state of states()) {
			for (const width of WIDTHS) {
				for (const line of screen.render(width)) {
					if (visibleWidth(line) > width) tooWide.push(`${state} at ${width}: ${stripVTControlCharacters(line)}`);
				}
			}
		}
		expect(tooWide.slice(0, 5)).toEqual([]);
	});

	it("has the whole address at every width, from the edge, so that it can be selected and put together", () => {
		screen.showUrl(URL_SHOWN, { comesBack: true });
		expect(WIDTHS.filter((width) => addressAt(width) !== URL_SHOWN)).toEqual([]);
		screen.showCode(DEVICE);
		expect(WIDTHS.filter((width) => addressAt(width) !== DEVICE.verificationUri)).toEqual([]);
	});

	it("makes each piece of the address a link to the whole", () => {
		screen.showUrl(URL_SHOWN, { comesBack: true });
		const links = screen.render(60).flatMap((line) => line.split("\x1b]8;;").slice(1));
		const targets = links.map((link) => link.split("\x07")[0]).filter((target) => target !== "");
		expect(targets.length).toBeGreaterThan(3);
		expect(new Set(targets)).toEqual(new Set([URL_SHOWN]));
	});

	it("never breaks the code, nor the name of a key", () => {
		screen.showCode(DEVICE);
		for (const width of WIDTHS) {
			expect(lines(width).some((line) => line.trim() === DEVICE.userCode)).toBe(true);
			expect(lines(width).some((line) => line.includes("esc cancel"))).toBe(true);
		}
	});

	it("says what is going on before there is an address, and offers no more than to cancel", () => {
		expect(text()).toMatch(/one more Codex account/);
		expect(text()).toMatch(/Asking the sign-in service/);
		expect(text()).toMatch(/esc cancel/);
		expect(text()).not.toMatch(/ctrl\+y|enter/);
		screen.handleInput?.(CTRL_Y);
		type("abc");
		submit();
		expect([copied, text().includes("abc")]).toEqual([[], false]);
	});

	it("says whether a browser has opened, and that the address is there if not", () => {
		screen.showUrl(URL_SHOWN, { comesBack: true });
		expect(text()).toMatch(/browser window should open/);
		screen.showBrowser(true);
		expect(text()).toMatch(/browser is open/);
		screen.showBrowser(false);
		expect(text()).toMatch(/No browser could be opened.*any machine/);
		expect(text()).not.toMatch(/1455/);
		expect(addressAt(80)).toBe(URL_SHOWN);
	});

	it("says so if the browser cannot come back by itself", () => {
		screen.showUrl(URL_SHOWN, { comesBack: false });
		expect(text()).toMatch(/cannot come back.*1455 and 1457/);
		// Both may be so at once.
		screen.showBrowser(false);
		expect(text()).toMatch(/No browser could be opened.*cannot come back.*1455 and 1457.*any machine/);
	});

	it("is drawn anew whenever something changes", () => {
		let before = 0;
		for (const change of [
			() => screen.showUrl(URL_SHOWN, { comesBack: true }),
			() => screen.showBrowser(true),
			() => void screen.pasted("problem"),
			() => screen.received(),
			() => screen.showCode(DEVICE),
		]) {
			change();
			expect(repaints).toBeGreaterThan(before);
			before = repaints;
		}
	});

	it("counts down how long a code is good for", () => {
		screen.showCode(DEVICE);
		expect(text()).toMatch(/another 15m/);
		now += 14 * MINUTE_MS + 18_000;
		expect(text()).toMatch(/another 42s/);
		now += 5 * MINUTE_MS;
		expect(text()).toMatch(/another 0s/);
	});

	it("passes the focus on to its field, where input methods look for the cursor", () => {
		screen.showUrl(URL_SHOWN, { comesBack: true });
		expect(screen.focused).toBe(false);
		screen.focused = true;
		expect(screen.focused).toBe(true);
		expect(() => screen.invalidate()).not.toThrow();
	});
});

describe("pasting on the screen", () => {
	beforeEach(() => screen.showUrl(URL_SHOWN, { comesBack: true }));

	it("gives the text to the one who waits for it, once, and empties the field", async () => {
		const given = screen.pasted(undefined);
		paste("the-code");
		expect(text()).toContain("the-code");
		submit();
		expect(await given).toBe("the-code");
		expect(text()).not.toContain("the-code");
		// Whether there is a code in it is not known yet.
		expect(text()).not.toMatch(/Signing in/);
		// No command waits any more.
		paste("another");
		submit();
		expect(text()).toContain("another");
	});

	it("says what was wrong, and takes the next text", async () => {
		void screen.pasted(undefined);
		paste("nonsense");
		submit();
		const next = screen.pasted("No code in it.");
		expect(text()).toContain("No code in it.");
		expect(text()).not.toMatch(/Signing in/);
		paste("the-code");
		submit();
		expect(await next).toBe("the-code");
	});

	it("says that it continues as soon as the code is here, whatever was wrong before", () => {
		void screen.pasted("No code in it.");
		screen.received();
		expect(text()).toMatch(/Signing in/);
		expect(text()).not.toContain("No code in it.");
	});

	it("takes an empty field for nothing: Enter alone neither signs in nor cancels", async () => {
		let given: string | undefined;
		void screen.pasted(undefined).then((pasted) => {
			given = pasted;
		});
		submit();
		type("  ");
		submit();
		await settled();
		expect([given, cancelled]).toEqual([undefined, 0]);
	});

	it("waits until it is asked for: a text that comes first is kept in the field", async () => {
		paste("early");
		submit();
		const given = screen.pasted(undefined);
		submit();
		expect(await given).toBe("early");
	});

	it("shows nothing of a code that is typed on another device", () => {
		screen.showCode(DEVICE);
		type("abc");
		expect(text()).not.toContain("abc");
	});
});

describe("the keys of the screen", () => {
	it("copy the address, and say so", async () => {
		screen.showUrl(URL_SHOWN, { comesBack: true });
		screen.handleInput?.(CTRL_Y);
		await settled();
		expect(copied).toEqual([URL_SHOWN]);
		expect(text()).toMatch(/in the clipboard/);
		screen.showCode(DEVICE);
		screen.handleInput?.(CTRL_Y);
		await settled();
		expect(copied).toEqual([URL_SHOWN, DEVICE.verificationUri]);
	});

	it("the keys of the screen say so if there is no clipboard", async () => {
		hasClipboard = false;
		screen.showUrl(URL_SHOWN, { comesBack: true });
		screen.handleInput?.(CTRL_Y);
		await settled();
		expect(text()).toMatch(/could not be copied/);
	});

	it("cancel in every state, also with text in the field", () => {
		let expected = 0;
		for (const state of states()) {
			screen.handleInput?.(ESCAPE);
			expected += 1;
			expect([state, cancelled]).toEqual([state, expected]);
		}
	});
});
