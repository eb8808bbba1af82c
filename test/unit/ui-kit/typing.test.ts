import { beforeEach, describe, expect, it } from "vitest";
import { createTyping, type Typing, textIn } from "../../../src/ui-kit/typing.ts";
import { aPace, type FakePace } from "../pace.ts";

const [ENTER, DOWN, ESCAPE] = ["\r", "\x1b[B", "\x1b"] as const;

let pace: FakePace;
let typing: Typing;
let heard: string[];
let isInField: boolean;
beforeEach(() => {
	pace = aPace();
	heard = [];
	isInField = false;
	typing = createTyping({
		pace,
		onKey: (typed) => heard.push(`key ${JSON.stringify(typed)}`),
		onText: (text) => heard.push(`text ${text}`),
		isRisky: (typed) => typed === ENTER,
		isMove: (typed) => typed === "j" || typed === "k",
		isInField: () => isInField,
	});
});
/** Pieces of input, each so many milliseconds after the one before. */
const type = (gap: number, ...pieces: readonly string[]) => {
	for (const [at, piece] of pieces.entries()) {
		if (at > 0) pace.pass(gap);
		typing.read(piece);
	}
	pace.pass(1000);
	return heard;
};

describe("a key that is pressed alone", () => {
	it("acts once nothing has followed it", () => {
		typing.read("x");
		pace.pass(149);
		expect(heard).toEqual([]);
		pace.pass(1);
		expect(heard).toEqual(['key "x"']);
	});

	it("acts as Enter does, at once for a person", () => {
		typing.read(ENTER);
		pace.pass(25);
		expect(heard).toEqual(['key "\\r"']);
	});

	it("acts at once if it only moves, and again while it is held", () => {
		expect(type(0, "j")).toEqual(['key "j"']);
		expect(type(30, "j", "j", "k")).toHaveLength(4);
	});

	it("acts each time that it is pressed, also quickly, and before an arrow", () => {
		expect(type(60, "e", "e")).toEqual(['key "e"', 'key "e"']);
		expect(type(60, "r", DOWN).slice(2)).toEqual(['key "r"', 'key "\\u001b[B"']);
	});

	it("is a key after a move, and Enter is, as fast as a person presses them", () => {
		expect(type(80, "j", "x")).toEqual(['key "j"', 'key "x"']);
		expect(type(80, "j", ENTER).slice(2)).toEqual(['key "j"', 'key "\\r"']);
		expect(type(40, DOWN, ENTER).slice(4)).toEqual(['key "\\u001b[B"', 'key "\\r"']);
	});
});

describe("text", () => {
	it.each([0, 5, 40, 140])("text is no key if letters follow each other, %i ms apart", (gap) => {
		expect(type(gap, ..."xe bert").filter((each) => each.startsWith("key"))).toEqual([]);
		expect(heard.map((each) => each.slice(5)).join("")).toBe("xe bert");
	});

	it.each([0, 5, 20])("takes an Enter at its end with it, and every one before it, %i ms apart", (gap) => {
		expect(type(gap, ..."x\r")).toEqual(["text x"]);
		expect(type(gap, ..."bert\r\r").filter((each) => each.startsWith("key"))).toEqual([]);
		expect(type(gap, ...`${ENTER}${ENTER}a\r`).filter((each) => each.startsWith("key"))).toEqual([]);
	});

	it("text is what a paste brings, whatever is in it", () => {
		expect(type(0, "\x1b[200~x\r\ny\x1b[201~", "\x1b[200~\x1b[201~")).toEqual(["text x y"]);
	});

	it("has the letters that have moved already", () => {
		expect(type(10, ..."jk?").at(-1)).toBe("text jk?");
	});

	it("text is what one piece of input of several letters is", () => {
		expect(type(0, "xe")).toEqual(["text xe"]);
	});

	it("is every letter in a field, at once, and the keys there are keys", () => {
		isInField = true;
		typing.read("x");
		expect(heard).toEqual(["text x"]);
		pace.pass(60);
		expect(type(0, ENTER)).toEqual(["text x", 'key "\\r"']);
	});

	it("takes a key with it that an Esc or an arrow follows in the same moment", () => {
		expect(type(0, "x", ESCAPE)).toEqual(['key "\\u001b"']);
		expect(type(0, "x", DOWN).slice(1)).toEqual(['key "\\u001b[B"']);
	});
});

describe("the text in a piece of input", () => {
	it.each([
		["a", "a"],
		["é", "é"],
		["職場", "職場"],
		["\x1b[97u", "a"],
		["\r", undefined],
		["\x1b[A", undefined],
		["\x7f", undefined],
		["", undefined],
		["\x1b[200~a\x1b[31mb\x1b[201~", "a?[31mb"],
	])("the text in a piece of input of %j is %j", (typed, text) => {
		expect(textIn(typed)).toBe(text);
	});
});
