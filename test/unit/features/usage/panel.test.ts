import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { dayOf, daysBefore, type LedgerRow, NOTHING } from "../../../../src/core/ledger/ledger.ts";
import { type Grouping, type Period, reportOf } from "../../../../src/core/ledger/ledger-report.ts";
import { createUsagePanel } from "../../../../src/features/usage/panel.ts";
import { titleOf } from "../../../../src/features/usage/texts.ts";
import { NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { aPace } from "../../pace.ts";

const [DOWN, UP, ESCAPE] = ["\x1b[B", "\x1b[A", "\x1b"];
const KEYS: Readonly<Record<string, string>> = {
	"tui.select.up": UP,
	"tui.select.down": DOWN,
	"tui.select.confirm": "\r",
	"tui.select.cancel": ESCAPE,
};
const TODAY = dayOf(NOW);
const pace = aPace();
let rows: LedgerRow[] | undefined;
let closed: number;
let room: number;
beforeEach(() => {
	closed = 0;
	room = 40;
	rows = Array.from({ length: 9 }, (_, at) => ({
		...NOTHING,
		period: daysBefore(TODAY, at),
		account: anId(`account-${at}`),
		project: "/p",
		model: "m",
		requests: 1,
		input: 100 - at,
	}));
});
const aPanel = () =>
	createUsagePanel({
		look: { period: "week", by: "account" },
		view: ({ period, by }) => rows && { report: reportOf(rows, period, by, NOW), accounts: [], isOn: true },
		close: () => {
			closed += 1;
		},
		paint: (_tone, text) => text,
		isKey: (typed, key) => KEYS[key] === typed,
		room: () => room,
		repaint: () => undefined,
		pace,
	});
const press = (panel: ReturnType<typeof aPanel>, ...keys: string[]) => {
	for (const key of keys) {
		panel.handleInput?.(key);
		pace.pass(200);
	}
	return panel.render(80).map((line) => stripVTControlCharacters(line).trimEnd());
};
const named = (lines: readonly string[]) => lines.flatMap((line) => /account-\d/.exec(line) ?? []);

const title = (period: Period, by: Grouping) => ` ${titleOf({ period, by })}`;

describe("the panel of usage", () => {
	it("shows one report, and another period or other rows at a key", () => {
		const panel = aPanel();
		expect(press(panel)[1]).toBe(title("week", "account"));
		expect(named(press(panel))).toHaveLength(7);
		expect(named(press(panel, "t"))).toEqual(["account-0"]);
		expect(named(press(panel, "m"))).toHaveLength(9);
		expect(press(panel, "b")[1]).toBe(title("month", "project"));
		expect(press(panel, "b", "b")[1]).toBe(title("month", "day"));
		expect(press(panel, "a")[1]).toMatch(/^ All .*, by month$/);
		expect(press(panel, "b", "W")[1]).toBe(title("week", "account"));
	});

	it("scrolls if it does not fit, no further than to its ends, and keeps the sum in sight", () => {
		room = 14;
		const panel = aPanel();
		const first = press(panel, "m");
		expect(first.length).toBeLessThanOrEqual(room);
		expect(named(first)[0]).toBe("account-0");
		expect(first.join("\n")).toMatch(/\d more, ↑↓ scroll\n total/);
		expect(named(press(panel, DOWN))[0]).toBe("account-1");
		const last = named(press(panel, ...Array(20).fill(DOWN)));
		expect(last.at(-1)).toBe("account-8");
		expect(named(press(panel, ...Array(20).fill("k")))[0]).toBe("account-0");
	});

	it("says so until the ledger was read, and if nothing was used", () => {
		const read = rows;
		rows = undefined;
		const panel = aPanel();
		expect(press(panel).join("\n")).toContain("Reading");
		rows = [];
		expect(press(panel).join("\n")).toMatch(/^ Nothing .* 7 days\.$/m);
		rows = read;
		expect(named(press(panel))).toHaveLength(7);
	});

	it("closes at Esc, and takes no text for its keys", () => {
		const panel = aPanel();
		panel.handleInput?.("\x1b[200~tomato\x1b[201~");
		expect(press(panel)[1]).toBe(title("week", "account"));
		press(panel, ESCAPE);
		expect(closed).toBe(1);
	});
});
