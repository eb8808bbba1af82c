import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { editDistance, nearest } from "../../../src/ui-kit/nearest.ts";

describe("the edit distance", () => {
	it.each([
		["", "", 0],
		["show", "show", 0],
		["", "show", 4],
		["sohw", "show", 1],
		["shw", "show", 1],
		["showw", "show", 1],
		["shaw", "show", 1],
		["stauts", "status", 1],
		["polciy", "policy", 1],
		["ca", "abc", 3],
		["kitten", "sitting", 3],
		["東京", "京東", 1],
		["🚀a", "a🚀", 1],
	])("the edit distance of %j and %j is %i", (a, b, distance) => {
		expect([editDistance(a, b), editDistance(b, a)]).toEqual([distance, distance]);
	});

	it("is 1 after any two neighbours have changed places, or any letter is gone", () => {
		fc.assert(
			fc.property(
				fc.uniqueArray(fc.string({ unit: "grapheme-ascii", minLength: 1, maxLength: 1 }), { minLength: 2 }),
				fc.nat(),
				(letters, at) => {
					const place = at % (letters.length - 1);
					const swapped = letters.toSpliced(place, 2, letters[place + 1] ?? "", letters[place] ?? "");
					expect(editDistance(letters.join(""), swapped.join(""))).toBe(1);
					expect(editDistance(letters.join(""), letters.toSpliced(place, 1).join(""))).toBe(1);
				},
			),
		);
	});
});

describe("what may have been meant", () => {
	const commands = ["show", "use", "add", "remove", "rename", "refresh", "reset", "rotation", "on", "off", "status"];

	it.each([
		["stauts", ["status"]],
		["sohw", ["show"]],
		["SHOWW", ["show"]],
		["rmeove", ["remove"]],
		["rot", ["rotation"]],
		["rotatiom", ["rotation"]],
		["ad", ["add"]],
		["of", ["off"]],
		["ren", ["rename"]],
		["ｓｈｏｕ", ["show"]],
	])("what is meant by %j is %j", (typed, meant) => {
		expect(nearest(typed, commands)).toEqual(meant);
	});

	it.each(["", "x", "xyz", "foobar", "frobnicate", "dashboard", "r", "re", "logout", "a".repeat(1000)])(
		"what is meant by %j is not guessed: nothing is near, or too much is",
		(typed) => {
			expect(nearest(typed, commands)).toEqual([]);
		},
	);

	it("is named in full and once, as it is written there", () => {
		expect(nearest("ana", ["Anna", "bert"])).toEqual(["Anna"]);
		expect(nearest("東京オフス", ["🚀", "東京オフィス"])).toEqual(["東京オフィス"]);
		expect(nearest("wrok", ["work", "work"])).toEqual(["work"]);
	});
});
