import { beforeEach, describe, expect, it } from "vitest";
import { aCooldown, anAccount, NOW } from "../support/fakes.ts";
import { aDesk, type Desk } from "./desk.ts";

let desk: Desk;
beforeEach(() => {
	desk = aDesk([anAccount("work", { id: "3f9c0a7be21d" }), anAccount("home", { id: "3f00aa7be21d" })]);
});
const documentOf = async (args: string) => JSON.parse((await desk.run(args)).replace("info: ", ""));

describe("log", () => {
	beforeEach(() => {
		const kinds = Array.from({ length: 30 }, (_, at) => (at % 2 ? ("pinned" as const) : ("signed-out" as const)));
		desk.decisions = kinds.map((kind, at) => ({
			at: NOW + at,
			pid: 1,
			kind,
			account: "3f9c0a7be21d",
			reason: "revoked",
		}));
	});

	it("shows the last twenty, or as many as it is told", async () => {
		expect((await desk.run("log")).split("\n")).toHaveLength(20);
		expect((await desk.run("log 3")).split("\n")).toEqual([
			expect.stringContaining("work: pinned"),
			expect.stringContaining("work: signed out"),
			expect.stringContaining("work: pinned"),
		]);
		const { version, decisions } = await documentOf("log 2 --json");
		expect([version, decisions.length, decisions[0].account]).toEqual([1, 2, "3f9c0a7be21d"]);
		expect((await documentOf("log --json 25")).decisions).toHaveLength(25);
	});

	it.each(["log 0", "log -1", "log many", "log 3 4", "log --xml", "log 1.5"])("takes no `%s`", async (args) => {
		expect(await desk.run(args)).toBe("error: Usage: /multicodex log [n] [--json]");
	});
});

describe("why", () => {
	it("answers as the next request of this session would be decided", async () => {
		desk.house.affinity.begin("s", "3f00aa7be21d", NOW);
		expect(await desk.run("why")).toMatch(/^info: home serves next \(soonest-reset\): it served this session last\.\n/);
		expect(await documentOf("why --json")).toMatchObject({ next: "3f00aa7be21d", decidedBy: "session" });
		await desk.house.pool.pin("3f9c0a7be21d");
		expect(await desk.run("why")).toMatch(/^info: work serves next \(soonest-reset\): it is pinned\.\n/);
	});

	it("asks for the session's model, else for the saved one", async () => {
		const cooldowns = [aCooldown({ scope: "model:gpt-6" })];
		desk.house.state.memos.set("3f9c0a7be21d", { cooldowns, strikes: 0 });
		desk.savedModel = "gpt-6";
		desk.screen.model = { provider: "anthropic", baseUrl: "x" };
		expect(await documentOf("why --json")).toMatchObject({ model: "gpt-6", next: "3f00aa7be21d" });
		desk.savedModel = undefined;
		expect(await documentOf("why --json")).toMatchObject({ model: null, next: "3f9c0a7be21d" });
	});

	it.each(["why not", "why --json now"])("takes no `%s`", async (args) => {
		expect(await desk.run(args)).toBe("error: Usage: /multicodex why [--json]");
	});
});
