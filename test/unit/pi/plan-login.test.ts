import { afterEach, describe, expect, it } from "vitest";
import { isOnPlanLogin } from "../../../src/pi/plan-login.ts";
import { aContext } from "../fake-pi.ts";

const argv = process.argv;
afterEach(() => {
	process.argv = argv;
});

const modelOf = (provider: string) => {
	const screen = aContext();
	screen.model = { provider, baseUrl: "x" };
	return screen.ctx.model;
};
const on = (provider: string, version: string, hasLogin = true) =>
	isOnPlanLogin(modelOf(provider), () => hasLogin, version);

describe("a model of pi's provider openai", () => {
	it.each([
		["0.73.1", false],
		["0.87.1", false],
		["0.98.9", false],
		["0.99.0", true],
		["1.6.0", true],
	])("is served by a ChatGPT sign-in from pi 0.99 on: %s", (version, isServed) => {
		expect(on("openai", version)).toBe(isServed);
	});

	it("is served by a key if pi has no such sign-in, or one was given on the command line", () => {
		expect(on("openai", "1.6.0", false)).toBe(false);
		process.argv = [...argv, "--api-key", "k"];
		expect(on("openai", "1.6.0")).toBe(false);
	});

	it("is another one than a Codex model", () => {
		expect([on("openai-codex", "1.6.0"), isOnPlanLogin(undefined, () => true, "1.6.0")]).toEqual([false, false]);
	});
});
