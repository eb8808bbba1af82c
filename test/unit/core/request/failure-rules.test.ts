import { describe, expect, it, vi } from "vitest";
import { classify } from "../../../../src/core/request/classify.ts";
import { type FailureEvidence, RULES } from "../../../../src/core/request/failure-rules.ts";
import { HOUR_MS, NOW } from "../../../support/fakes.ts";

const context = { now: NOW, modelId: "gpt-5.5", cooldownMs: HOUR_MS };
const kindOf = (evidence: FailureEvidence) => classify(evidence, context).kind;

describe("the table of failures", () => {
	const samples = RULES.flatMap((rule) =>
		rule.samples.map((sample, at) => [`${rule.name} #${at + 1}`, rule, sample] as const),
	);

	it.each(samples)("classifies the sample %s to its own row", (_name, rule, sample) => {
		const failure = classify(sample, context);
		expect(failure.kind).toBe(rule.name);
		expect(failure.remedy).toBe(rule.remedy);
		expect(failure.cooling?.reason).toBe(rule.cools?.reason);
	});

	it("has a sample and a name of its own in every row", () => {
		expect(RULES.filter(({ samples: { length } }) => length === 0)).toEqual([]);
		expect(new Set(RULES.map(({ name }) => name)).size).toBe(RULES.length);
	});

	it("has no code that an earlier row takes away", () => {
		const owners = RULES.flatMap((rule) =>
			rule.signs
				.filter(({ header }) => !header)
				.flatMap((sign) => (sign.codes ?? []).map((code) => [code, rule.name] as const)),
		);
		for (const [code, name] of owners) expect([code, kindOf({ code })]).toEqual([code, name]);
	});

	it("has no pattern that goes on without a bound, or takes more than the beginning of any words", () => {
		const patterns = RULES.flatMap(({ signs }) =>
			signs.flatMap(({ message, header, codeLike }) => [message, header?.[1], codeLike]),
		);
		const unbounded = patterns.filter((pattern) => pattern && /(?<!\\)[*+]|\{\d+,\}/.test(pattern.source));
		expect(unbounded).toEqual([]);
		const read: number[] = [];
		const exec = vi.spyOn(RegExp.prototype, "exec").mockImplementation((text) => {
			read.push(text.length);
			return null;
		});
		classify({ message: "encrypted content ".repeat(100_000), code: "workspace_".repeat(100_000) }, context);
		exec.mockRestore();
		expect(read.length).toBeGreaterThan(5);
		expect(Math.max(...read)).toBe(2000);
	});

	it("rotates only on what is the account's fault", () => {
		const cooling = RULES.filter(({ cools }) => cools).map(({ remedy }) => remedy);
		expect(new Set(cooling)).toEqual(new Set(["rotate", "refresh-or-rotate", "retry-or-rotate", "try-elsewhere-once"]));
		const blameless = RULES.filter(({ cools }) => !cools).map(({ remedy }) => remedy);
		expect(new Set(blameless)).toEqual(new Set(["surface", "strip-reasoning", "reconnect", "close-account"]));
	});
});
