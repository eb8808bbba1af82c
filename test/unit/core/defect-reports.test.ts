import { describe, expect, it } from "vitest";
import { createDefectNews, tellDefect } from "../../../src/core/defect-reports.ts";
import type { PoolEvent } from "../../../src/core/events.ts";
import { HOUR_MS, NOW } from "../../support/fakes.ts";

const defect = (error: string, frame = "src/core/pool/pool.ts:1:1") => ({
	type: "defect" as const,
	where: "request" as const,
	trace: { error, frames: [frame], stack: [] },
});

describe("a defect", () => {
	it("is news once an hour, however often a loop meets it", () => {
		let now = NOW;
		const isNews = createDefectNews(() => now);
		const told = () => Array.from({ length: 1000 }, () => isNews(defect("TypeError"))).filter(Boolean).length;
		expect([told(), told()]).toEqual([1, 0]);
		expect(isNews(defect("RangeError"))).toBe(true);
		expect(isNews(defect("TypeError", "src/core/pool/pool.ts:2:1"))).toBe(true);
		now += HOUR_MS;
		expect(told()).toBe(1);
		// A clock that was set back does not silence it for long.
		now -= 3 * HOUR_MS;
		expect(told()).toBe(1);
	});

	it("a defect is one of fifty at most in that time", () => {
		const isNews = createDefectNews(() => NOW);
		const news = Array.from({ length: 500 }, (_, at) => isNews(defect("TypeError", `src/core/pool/pool.ts:${at}:1`)));
		expect(news.filter(Boolean)).toHaveLength(50);
	});

	it("is reported when an error is one", () => {
		const told: PoolEvent[] = [];
		tellDefect(new TypeError("secret"), "usage", (event) => told.push(event));
		tellDefect(new Error("the usage service answered 503"), "usage", (event) => told.push(event));
		expect(told).toMatchObject([{ type: "defect", where: "usage", trace: { error: "TypeError" } }]);
		expect(JSON.stringify(told)).not.toContain("secret");
	});
});
