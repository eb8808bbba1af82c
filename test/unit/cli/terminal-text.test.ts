import * as tui from "@mariozechner/pi-tui";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { truncateToWidth, visibleWidth, wrapTextWithAnsi } from "../../../src/cli/terminal-text.ts";
import { runs } from "../../support/tiers.ts";

/** What labels, folders and reasons are made of. */
const word = fc.oneof(
	fc.string({ unit: fc.constantFrom(..."abcXYZ0189%·→━░█…'-_.@ßéñøЖя") }),
	fc.string({ unit: fc.constantFrom(..."日本語한국어かなカナ漢字、。「」ＡＢ！￥") }),
	fc.string({ unit: fc.constantFrom("😀", "🚀", "👩‍💻", "🇩🇪", "é", "n\u0303", "❤️", "☕", "\u200b") }),
);
const text = fc.array(word, { maxLength: 6 }).map((words) => words.join(" "));

describe("the width of text without pi", () => {
	it("the width of text without pi is what pi-tui measures", () => {
		fc.assert(
			fc.property(text, (any) => {
				expect([any, visibleWidth(any)]).toEqual([any, tui.visibleWidth(any)]);
			}),
			runs(100, 3000),
		);
	});

	it("is never passed by a line that is cut or wrapped, and wrapping loses no word", () => {
		fc.assert(
			fc.property(text, fc.integer({ min: 2, max: 30 }), (any, columns) => {
				expect(visibleWidth(truncateToWidth(any, columns, "…"))).toBeLessThanOrEqual(columns);
				const lines = wrapTextWithAnsi(any, columns);
				for (const line of lines) expect(visibleWidth(line)).toBeLessThanOrEqual(columns);
				const bare = (some: string) => some.replaceAll(/\s+/g, "");
				expect(bare(lines.join(""))).toBe(bare(any));
			}),
			runs(100, 3000),
		);
	});

	it("breaks between words", () => {
		expect(wrapTextWithAnsi("work serves next: no other", 12)).toEqual(["work serves", "next: no", "other"]);
		expect(wrapTextWithAnsi("", 12)).toEqual([""]);
		expect(wrapTextWithAnsi("one\n  two", 12)).toEqual(["one", "  two"]);
	});
});
