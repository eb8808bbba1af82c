import { describe, expect, it } from "vitest";
import { type Link, linkFor, modelRefOf, type RouteFacts } from "../../../../src/core/beyond/chain.ts";

const link = (name: string, rest: Partial<Link> = {}): Link => ({ name, obstacle: undefined, isPaid: false, ...rest });
const chosen = (facts: Partial<RouteFacts>) =>
	linkFor({
		reason: "user",
		isMidTurn: false,
		current: "openai-codex/gpt-6.2-sol",
		isPoolOpen: true,
		links: [link("free/one"), link("paid/two", { isPaid: true })],
		...facts,
	})?.name;

describe("the choice between pool and chain", () => {
	it("is the pool while it can serve, and the first link that can be asked while it cannot", () => {
		expect(chosen({})).toBeUndefined();
		expect(chosen({ isPoolOpen: false })).toBe("free/one");
		const closed = [link("free/one", { obstacle: "no-credentials" }), link("paid/two", { isPaid: true })];
		expect(chosen({ isPoolOpen: false, links: closed })).toBe("paid/two");
	});

	it("is the pool again if no link can be asked, so that its loop ends the turn with its own words", () => {
		expect(chosen({ isPoolOpen: false, links: [link("free/one", { obstacle: "failed" })] })).toBeUndefined();
		expect(chosen({ isPoolOpen: false, links: [] })).toBeUndefined();
	});

	it("goes back to the pool with the next message of the person", () => {
		for (const current of ["free/one", "paid/two"]) expect(chosen({ current })).toBeUndefined();
	});

	it("stays where it is after a tool's result, and for a retry, whatever the pool can do", () => {
		const inTurn = { reason: "continuation", isMidTurn: true } as const;
		for (const current of ["free/one", "paid/two"]) {
			expect(chosen({ ...inTurn, current })).toBe(current);
			expect(chosen({ reason: "retry", current })).toBe(current);
		}
		expect(chosen({ ...inTurn })).toBeUndefined();
	});

	it("leaves a link that failed in mid-turn for the pool, else for the next link", () => {
		const links = [link("free/one", { obstacle: "failed" }), link("paid/two", { isPaid: true })];
		const failed = { reason: "retry", current: "free/one", links } as const;
		expect(chosen(failed)).toBeUndefined();
		expect(chosen({ ...failed, isPoolOpen: false })).toBe("paid/two");
	});

	it("keeps a turn that no person began with the link that has its cache, unless that costs money", () => {
		const ofExtension = { reason: "continuation", isMidTurn: false } as const;
		expect(chosen({ ...ofExtension, current: "free/one" })).toBe("free/one");
		expect(chosen({ ...ofExtension, current: "paid/two" })).toBeUndefined();
	});

	it("moves a turn to a link if the pool runs out in the middle of it", () => {
		expect(chosen({ reason: "continuation", isMidTurn: true, isPoolOpen: false })).toBe("free/one");
	});

	it("serves a summary from the pool if that can, whatever the session is on", () => {
		expect(chosen({ reason: "direct", current: "free/one" })).toBeUndefined();
		expect(chosen({ reason: "direct", current: "free/one", isPoolOpen: false })).toBe("free/one");
	});
});

it("the name of a model is a provider and an id, which may have slashes of its own", () => {
	expect(modelRefOf("openrouter/z-ai/glm-5.3")).toEqual({ provider: "openrouter", id: "z-ai/glm-5.3" });
	for (const bad of ["", "claude", "/x", "x/", "a b/c"]) expect(modelRefOf(bad)).toBeUndefined();
});
