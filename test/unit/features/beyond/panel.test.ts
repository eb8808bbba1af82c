import { stripVTControlCharacters } from "node:util";
import { visibleWidth } from "@mariozechner/pi-tui";
import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import type { DryAnswer, Offer } from "../../../../src/core/beyond/ladder.ts";
import { type BeyondPanel, createBeyondPanel, SETTLING_MS } from "../../../../src/features/beyond/panel.ts";
import { consequence, HEADING, periodText } from "../../../../src/features/beyond/texts.ts";
import { NOW } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";
import { aPace, type FakePace } from "../../pace.ts";
import { ALL, anOffer, RUNGS } from "./offers.ts";

const KEYS = { up: "\x1b[A", down: "\x1b[B", cancel: "\x1b", confirm: "\r" } as const;
const RIGHT = "\x1b[C";

let pace: FakePace;
let answers: DryAnswer[];
let room: number;
beforeEach(() => {
	pace = aPace();
	answers = [];
	room = 40;
});

/** The panel as it is drawn at first. */
const opened = (offers: readonly Offer[] = ALL): BeyondPanel => {
	const panel = createBeyondPanel({
		offers,
		now: () => NOW,
		highlight: (line) => `\x1b[7m${line}\x1b[27m`,
		paint: (_tone, text) => text,
		isKey: (typed, key) => Object.entries(KEYS).some(([name, sent]) => sent === typed && key === `tui.select.${name}`),
		pace,
		room: () => room,
		repaint: () => undefined,
		onAnswer: (answer) => answers.push(answer),
	});
	panel.component.render(80);
	return panel;
};
/** The panel after the person had time to see it. */
const seen = (offers?: readonly Offer[]): BeyondPanel => {
	const panel = opened(offers);
	pace.pass(SETTLING_MS);
	return panel;
};
const press = ({ component }: BeyondPanel, ...keys: readonly string[]) => {
	for (const key of keys) {
		component.handleInput?.(key);
		pace.pass(200);
	}
};
/** As pi hands it on: a paste in one piece, and everything else letter by letter. */
const type = ({ component }: BeyondPanel, text: string, gapMs: number) => {
	for (const typed of text.startsWith("\x1b[200~") ? [text] : text) {
		component.handleInput?.(typed);
		if (gapMs > 0) pace.pass(gapMs);
	}
};
const lines = ({ component }: BeyondPanel, width = 80) =>
	component.render(width).map((line) => stripVTControlCharacters(line).trimEnd());
const taken = (rung: (typeof RUNGS)[keyof typeof RUNGS], forToday = false): DryAnswer => ({
	kind: "take",
	rung,
	forToday,
});

describe("the question when everything is out", () => {
	it("has one line for each possibility, with its fact, and the harmless one under the cursor", () => {
		expect(lines(opened()).slice(1, -1)).toEqual([
			` ${HEADING}`,
			"",
			expect.stringMatching(/^█ {2}Wait for home until \d\d:\d\d \(2h07m\)$/),
			expect.stringMatching(/^ {3}Use .*credits of work \(balance 12\.40\)$/),
			expect.stringMatching(/^ {3}Continue with Luna Reserve of work: .*40% /),
			expect.stringMatching(/^ {3}Redeem a reset of home: week .*100%, .* 3 Dec$/),
			"   Continue with anthropic/claude-fable (paid)",
			expect.stringMatching(/^ {3}Stop: /),
			"",
			` ${consequence({ kind: "take", rung: RUNGS.wait, canBeRemembered: false }, NOW)}`,
			` ${periodText(false)}.`,
			"",
			" ↑↓ choose  ←→ once or today  enter answer  esc stop",
		]);
	});

	it("says what the highlighted possibility costs", () => {
		const panel = seen();
		const notes = ["wait", "credits", "reserve", "reset", "chain", "stop"].map(() => {
			const text = lines(panel, 200).join("\n");
			press(panel, KEYS.down);
			return text.split("\n\n")[2]?.split("\n")[0]?.trim();
		});
		expect(notes).toEqual([
			expect.stringMatching(/^Nothing is spent\. ./),
			expect.stringMatching(/^Spends credits /),
			expect.stringMatching(/gpt-6-luna/),
			expect.stringMatching(/^Spends one reset credit .* week resets Mon \d\d:\d\d \(3d00h\)\.$/),
			expect.stringMatching(/^Each request is charged\. /),
			"Nothing is spent.",
		]);
	});

	it.each([
		[0, taken(RUNGS.wait)],
		[1, taken(RUNGS.credits)],
		[2, taken(RUNGS.reserveModel)],
		[3, taken(RUNGS.resetCredit)],
		[4, taken(RUNGS.chain)],
		[5, { kind: "stop" }],
	])("answers with the row that is highlighted: number %i", (moves, answer) => {
		const panel = seen();
		press(panel, ...Array.from({ length: moves }, () => KEYS.down), KEYS.confirm);
		expect(answers).toEqual([answer]);
	});

	it("ends the turn by Esc, also before the person can have read it", () => {
		press(opened(), KEYS.cancel);
		press(seen(), KEYS.down, KEYS.cancel);
		expect(answers).toEqual([{ kind: "stop" }, { kind: "stop" }]);
	});

	it("has a yes hold for the day if that is possible, and shows which", () => {
		const panel = seen();
		press(panel, KEYS.down, KEYS.down, RIGHT);
		expect(lines(panel)).toContainEqual(expect.stringMatching(/^█ .* Luna Reserve of work: .* \(today\)$/));
		expect(lines(panel)).toContainEqual(expect.stringMatching(/ today, in every session\.$/));
		press(panel, RIGHT, RIGHT, KEYS.confirm);
		expect(answers).toEqual([taken(RUNGS.reserveModel, true)]);
	});

	it.each([
		["a reset credit, whatever is offered", anOffer(RUNGS.resetCredit)],
		["what is offered for once", anOffer(RUNGS.credits, { canBeRemembered: false })],
	])("never has a yes hold for the day for %s", (_what, offer) => {
		const panel = seen([offer]);
		press(panel, KEYS.down, RIGHT);
		expect(lines(panel).join("\n")).not.toMatch(/today/i);
		press(panel, KEYS.confirm);
		expect(answers).toEqual([{ kind: "take", rung: offer.rung, forToday: false }]);
	});

	it("the question when everything is out is not answered by keys that were under way when it came", () => {
		const panel = opened();
		press(panel, KEYS.down, KEYS.confirm);
		expect(lines(panel).join("\n")).toContain("█  Wait for home");
		pace.pass(SETTLING_MS);
		press(panel, KEYS.down, KEYS.confirm);
		expect(answers).toEqual([taken(RUNGS.credits)]);
	});

	it("keeps what was typed meanwhile for the editor, and answers after an arrow", () => {
		const panel = opened();
		type(panel, "also fix the", 80);
		pace.pass(SETTLING_MS);
		type(panel, " testx\x7fs", 80);
		press(panel, KEYS.confirm);
		type(panel, "\x1b[200~and\nthis\x1b[201~", 0);
		press(panel, KEYS.confirm);
		expect(answers).toEqual([]);
		expect(lines(panel).join("\n")).toContain("Letters do not answer;");
		expect(panel.draft()).toBe("also fix the tests\nand\nthis");
		press(panel, KEYS.down, KEYS.confirm);
		expect(answers).toEqual([taken(RUNGS.credits)]);
	});

	/** Words as they come when a person types or pastes for the editor while the panel is open. */
	const anyPiece = fc.oneof(
		fc.string({ unit: "grapheme", minLength: 1, maxLength: 12 }),
		fc.constantFrom("/multicodex use home", "yes", "stop", " ", "\r", "\n", "\t", "j", "k", "1", "\x7f"),
		fc.string({ maxLength: 12 }).map((text) => `\x1b[200~${text}\r\x1b[201~`),
	);

	it.each([
		["as it opens", opened],
		["that was read", () => seen()],
	])("is not answered by typed bursts, whatever their length: a panel %s", (_when, open) => {
		fc.assert(
			fc.property(
				fc.array(anyPiece, { minLength: 2, maxLength: 30 }),
				fc.integer({ min: 0, max: 20 }),
				(pieces, gapMs) => {
					const panel = open();
					for (const piece of pieces) type(panel, piece, gapMs);
					pace.pass(1000);
					expect(answers).toEqual([]);
				},
			),
			runs(50, 2000),
		);
	});

	it("the question when everything is out is not answered by words, however slowly they are typed", () => {
		fc.assert(
			fc.property(
				fc.string({ unit: "grapheme", minLength: 1, maxLength: 20 }),
				fc.integer({ min: 0, max: 2000 }),
				(words, gapMs) => {
					const panel = seen();
					type(panel, `x${words}\r`, gapMs);
					pace.pass(1000);
					expect(answers).toEqual([]);
				},
			),
			runs(30, 1000),
		);
	});

	it.each([120, 80, 40, 30])("says every fact in %i columns", (width) => {
		const text = lines(opened(), width).join("\n").replaceAll(/\s+/g, " ");
		for (const fact of ["(2h07m)", "(balance 12.40)", "about 40% left", "credit expires 3 Dec", "(paid)", "Stop:"]) {
			expect(text).toContain(fact);
		}
		for (const line of opened().component.render(width)) expect(visibleWidth(line)).toBeLessThanOrEqual(width);
	});

	it("keeps the highlighted row in sight, however low the terminal", () => {
		for (room of [3, 5, 8, 12, 16]) {
			const panel = seen();
			for (let moves = 0; moves < 6; moves += 1) {
				expect(lines(panel, 40).length).toBeLessThanOrEqual(room);
				expect(lines(panel, 40).join("\n")).toContain("█  ");
				press(panel, KEYS.down);
			}
		}
	});
});
