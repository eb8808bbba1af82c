import { describe, expect, it } from "vitest";
import type { PoolEvent } from "../../src/domain/events.ts";
import { failover } from "../../src/pool/failover-stream.ts";
import { aCooldown, anAccount, aSnapshot, HOUR_MS, NOW } from "../support/fakes.ts";
import { aHouse, CONTEXT, failedWith, type House, MODEL, refused } from "./house.ts";

const LIMIT = refused(429, { error: { type: "usage_limit_reached", message: "limit", resets_in_seconds: 3600 } });
const someone = (...names: string[]) => aHouse(...names.map((name) => anAccount(name)));
const toldOf = <T extends PoolEvent["type"]>(house: House, type: T) =>
	house.told.filter((event): event is Extract<PoolEvent, { type: T }> => event.type === type);
/** What was told of changes, as `<type> <from> <to> <why>`. */
const movesOf = (house: House) =>
	house.told.flatMap((event) => {
		if (event.type === "chosen") return `chosen ${event.account.id} ${event.grounds.decidedBy}`;
		if (event.type === "rotated") return `rotated ${event.from.id} ${event.to.id} ${event.reason}`;
		if (event.type === "switched") return `switched ${event.from.id} ${event.to.id} ${event.cause}`;
		return event.type === "continued" ? `continued ${event.first.from.id} ${event.to.id}` : [];
	});

describe("a session's first request", () => {
	it("chooses, once, and says by what", async () => {
		const house = someone("a", "b");
		await house.ask();
		await house.ask();
		expect(movesOf(house)).toEqual(["chosen a list"]);
		const [chosen] = toldOf(house, "chosen");
		expect(chosen?.asked).toEqual({ modelId: "gpt-5.5", sessionId: "s" });
		expect(chosen?.grounds.terms.map(({ name }) => name)).toContain("room");
	});

	it("has nothing to decide with one account", async () => {
		const house = someone("a");
		await house.ask();
		expect(movesOf(house)).toEqual(["chosen a undefined"]);
	});
});

describe("a request that goes from account to account", () => {
	it("tells each step, and in the end one line: the first cause, and who answers", async () => {
		const house = someone("a", "b", "c");
		house.affinity.begin("s", "a", NOW);
		house.play("a", LIMIT);
		house.play("b", LIMIT);
		await house.ask();
		expect(movesOf(house)).toEqual(["rotated a b usage_limit", "rotated b c usage_limit", "continued a c"]);
		expect(toldOf(house, "rotated")[1]?.grounds.decidedBy).toBeUndefined();
	});

	it("tells who answers before anything is shown, and does not when nobody does", async () => {
		const house = someone("a", "b");
		house.play("a", failedWith("The usage limit has been reached"));
		const order: string[] = [];
		house.pool.subscribe(({ type }) => type === "continued" && order.push(type));
		const sink = { push: ({ type }: { type: string }) => order.push(type), end: () => undefined };
		await failover({ model: MODEL, context: CONTEXT, options: { sessionId: "s" } }, sink, house.deps);
		expect(order).toEqual(["continued", "start", "text_start", "text_delta", "text_end", "done"]);
		const nobody = someone("a", "b");
		for (const id of ["a", "b"]) nobody.play(id, LIMIT);
		await nobody.ask();
		expect(movesOf(nobody)).toEqual(["chosen a list", "rotated a b usage_limit"]);
		expect(toldOf(nobody, "exhausted")).toMatchObject([
			{ why: { total: 2, cooling: 2, untried: 0 }, asked: { modelId: "gpt-5.5" } },
		]);
	});

	it("tells it also where the next account's answer is an error of the backend", async () => {
		const house = someone("a", "b");
		house.play("a", LIMIT);
		house.play("b", failedWith("socket hang up"));
		await house.ask();
		expect(movesOf(house).at(-1)).toBe("continued a b");
	});

	it("says what has become of an account that lost its sign-in", async () => {
		const house = someone("a", "b");
		house.affinity.begin("s", "a", NOW);
		house.tokens.set("a", () => {
			void house.accounts.patch("a", { needsLogin: { reason: "revoked", at: NOW } });
			return { kind: "signed-out", account: anAccount("a"), reason: "revoked", closed: false };
		});
		await house.ask();
		expect(movesOf(house)).toEqual(["rotated a b signed_out", "continued a b"]);
	});

	it("says so where no token was to be had", async () => {
		const house = someone("a", "b");
		house.affinity.begin("s", "a", NOW);
		house.tokens.set("a", () => ({ kind: "unavailable", reason: "busy", retryAt: NOW + HOUR_MS }));
		await house.ask();
		expect(movesOf(house)).toEqual(["rotated a b unavailable", "continued a b"]);
	});
});

describe("a session between two requests", () => {
	const begun = async () => {
		const house = someone("a", "b");
		house.affinity.begin("s", "a", NOW);
		await house.ask();
		house.told.length = 0;
		return house;
	};

	it("is moved by the policy when its cache is gone, and says what was left", async () => {
		const house = await begun();
		const windows = [{ usedPercent: 92, windowMinutes: 300, resetsAt: NOW + 4 * HOUR_MS }];
		house.state.memos.set("a", { cooldowns: [], strikes: 0, usage: aSnapshot({ windows }) });
		house.clock.at = NOW + HOUR_MS;
		await house.ask();
		expect(movesOf(house)).toEqual(["switched a b policy", "continued a b"]);
		expect(toldOf(house, "switched")).toMatchObject([{ left: { window: "5h", percent: 8, isStale: true } }]);
		expect(toldOf(house, "switched")[0]?.grounds.decidedBy).toBe("room");
	});

	it("moves as visibly where its account was spent meanwhile", async () => {
		const house = await begun();
		house.state.memos.set("a", { cooldowns: [aCooldown()], strikes: 0 });
		await house.ask();
		expect(movesOf(house)).toEqual(["rotated a b usage_limit", "continued a b"]);
	});

	it("tells nobody a line where a person has pinned another account, or switched its own off", async () => {
		const house = await begun();
		await house.pool.pin("b");
		await house.ask();
		expect(movesOf(house)).toEqual(["switched a b pin"]);
		const other = await begun();
		await other.accounts.edit("a", { enabled: false });
		await other.ask();
		expect(movesOf(other)).toEqual(["switched a b user"]);
	});

	it("tells the failover that follows a pin", async () => {
		const house = someone("a", "b", "c");
		house.affinity.begin("s", "a", NOW);
		await house.pool.pin("b");
		house.play("b", LIMIT);
		await house.ask();
		expect(movesOf(house)).toEqual(["switched a b pin", "rotated b a usage_limit", "continued b a"]);
	});
});
