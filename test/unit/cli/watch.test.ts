import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Status } from "../../../src/cli/status.ts";
import { startWatch, type Watch } from "../../../src/cli/watch.ts";
import { MINUTE_MS, NOW } from "../../support/fakes.ts";

let status: Status;
let written: string[];
let problems: string[];
let failures: unknown[];
/** When the status was looked at. */
let looks: number[];
let onChange: () => void;
let isFollowing: boolean;
let size: { rows: number; columns: number };
let watch: Watch;
beforeEach(() => {
	vi.useFakeTimers({ now: NOW });
	status = { text: "work 73%\n", problems: [], code: 0, returns: [], resets: [] };
	[written, problems, failures, looks] = [[], [], [], []];
	[isFollowing, size] = [false, { rows: 24, columns: 80 }];
});
afterEach(() => {
	watch.end();
	vi.useRealTimers();
});

function start(isScreen: boolean): void {
	watch = startWatch({
		look: () => {
			looks.push(Date.now());
			return status;
		},
		display: {
			isScreen,
			write: (text) => void written.push(text),
			size: () => size,
			wrap: (text, columns) => text.split("\n").map((line) => line.slice(0, columns)),
		},
		follow: (listener) => {
			onChange = listener;
			isFollowing = true;
			return () => {
				isFollowing = false;
			};
		},
		now: Date.now,
		tellProblem: (text) => void problems.push(text),
		onFailure: (error) => void failures.push(error),
	});
}
const change = (more: Partial<Status>) => {
	status = { ...status, ...more };
	onChange();
};
const ENTER = "\x1b[?1049h\x1b[?25l";
const LEAVE = "\x1b[?25h\x1b[?1049l";

describe("a watch without a screen", () => {
	it("writes after each change, and nothing while nothing changes", () => {
		start(false);
		onChange();
		change({ text: "side 100%\n" });
		expect(written).toEqual(["work 73%\n", "side 100%\n"]);
	});

	it("writes once a minute all the same, since only that tells that its reader is gone", () => {
		start(false);
		vi.advanceTimersByTime(2.5 * MINUTE_MS);
		expect(written).toHaveLength(3);
	});

	it("tells of a problem once, and writes no empty text", () => {
		start(false);
		change({ text: "", problems: ["codex-accounts.json is damaged."] });
		onChange();
		expect(written).toEqual(["work 73%\n"]);
		expect(problems).toEqual(["codex-accounts.json is damaged."]);
	});
});

describe("a watch on a screen", () => {
	it("paints on the other screen, and leaves it as it was, once", () => {
		start(true);
		expect(written).toEqual([ENTER, "\x1b[Hwork 73%\x1b[K\x1b[J"]);
		watch.end();
		watch.end();
		expect(written.slice(2)).toEqual([LEAVE]);
		expect(isFollowing).toBe(false);
		vi.advanceTimersByTime(10 * MINUTE_MS);
		watch.redraw();
		expect(written).toHaveLength(3);
	});

	it("shows problems below, and cuts what is below the last row", () => {
		size = { rows: 2, columns: 80 };
		start(true);
		change({ text: "a\nb\n", problems: ["settings.json is damaged."] });
		expect(written.at(-1)).toBe("\x1b[Ha\x1b[K\r\nb\x1b[K\x1b[J");
		size = { rows: 5, columns: 8 };
		watch.redraw();
		expect(written.at(-1)).toContain("settings");
		expect(problems).toEqual([]);
	});

	it("paints anew when it is resized, though nothing has changed", () => {
		start(true);
		watch.redraw();
		expect(written.filter((text) => text.includes("work"))).toHaveLength(2);
	});

	it("counts down by the second what returns within a minute, and once a minute all else", () => {
		start(true);
		vi.advanceTimersByTime(MINUTE_MS);
		expect(looks).toEqual([NOW, NOW + MINUTE_MS]);
		const returnsAt = NOW + 3 * MINUTE_MS;
		change({ returns: [returnsAt] });
		looks = [];
		vi.advanceTimersByTime(MINUTE_MS + 3000);
		expect(looks.map((at) => returnsAt - at)).toEqual([60_000, 59_000, 58_000, 57_000]);
	});

	it("looks again when a window resets", () => {
		start(true);
		change({ resets: [Date.now() + 5000] });
		status = { ...status, text: "work 100%\n", resets: [] };
		vi.advanceTimersByTime(4000);
		expect(written.at(-1)).not.toContain("100%");
		vi.advanceTimersByTime(1100);
		expect(written.at(-1)).toContain("100%");
	});

	it("leaves the screen if the status cannot be shown, and says why", () => {
		start(true);
		const error = new Error("unexpected");
		Object.defineProperty(status, "text", {
			get: () => {
				throw error;
			},
		});
		onChange();
		expect(failures).toEqual([error]);
		expect(written.at(-1)).toBe(LEAVE);
		expect(isFollowing).toBe(false);
	});
});
