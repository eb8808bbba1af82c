import { describe, expect, it } from "vitest";
import { allSpent } from "../../../../src/core/credentials/spent-tokens.ts";

const token = (tokenHash: string, reason = "refresh_token_reused") => ({ tokenHash, reason });

describe("the list of spent tokens", () => {
	it("has each of them once, with the reason that was noted last", () => {
		expect(allSpent([token("a"), token("b")], undefined, [token("a", "refresh_token_expired")])).toEqual([
			token("a", "refresh_token_expired"),
			token("b"),
		]);
	});

	it("the list of spent tokens is none if there are none", () => {
		expect([allSpent(), allSpent(undefined, [])]).toEqual([undefined, undefined]);
	});

	it("lets the oldest go, so that the file does not grow", () => {
		const many = Array.from({ length: 100 }, (_, index) => token(`${index}`));
		const kept = allSpent(many.slice(0, 50), many.slice(50)) ?? [];
		expect(kept.length).toBeLessThan(20);
		expect(kept.at(-1)).toEqual(token("99"));
	});
});
