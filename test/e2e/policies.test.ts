import { describe, expect, it } from "vitest";
import { z } from "zod";
import { POLICIES } from "../../src/core/request/policies.ts";
import { answers } from "../support/fake-codex/index.ts";
import { coreOf } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const stateSchema = z.looseObject({ sessionFile: z.string() });
const forkableSchema = z.looseObject({ messages: z.array(z.looseObject({ entryId: z.string() })) });

const rotation = (values: Readonly<Record<string, unknown>>) => ({
	transport: "sse",
	"pi-multicodex": { rotation: values },
});
const used = (fiveHour: number, week: number) => ({
	fiveHour: { usedPercent: fiveHour },
	week: { usedPercent: week },
});

async function usageKnown(bench: Bench): Promise<void> {
	await until("usage to be known", () =>
		bench.codex.accounts.every(({ name }) => bench.status(name).usage !== undefined),
	);
}

describe("a session", () => {
	it.each(coreOf(Object.keys(POLICIES), (policy) => policy === "soonest-reset" || policy === "round-robin"))(
		"keeps its account under %s when it is resumed, forked or continued, whatever others have begun on",
		async (policy) => {
			const settings = rotation({ policy });
			const bench = await createBench({ accounts: ["a", "b", "c"], usage: answers.serverError(503), settings });
			// Without headers nothing is learned by which one account would be better than another.
			for (const account of bench.codex.accounts) account.setQuota(undefined);
			const rpc = bench.rpc();
			await rpc.send("/multicodex use c");
			await rpc.prompt("first");
			await rpc.send("/multicodex use auto");
			await rpc.prompt("second");
			const { sessionFile } = stateSchema.parse(await rpc.command("get_state"));

			await rpc.command("new_session");
			await rpc.prompt("elsewhere");
			await rpc.command("switch_session", { sessionPath: sessionFile });
			await rpc.prompt("resumed");
			const { messages } = forkableSchema.parse(await rpc.command("get_fork_messages"));
			await rpc.command("fork", { entryId: messages.at(-1)?.entryId });
			await rpc.prompt("forked");
			await rpc.close();
			await bench.print("continued", ["--continue"]);

			expect(bench.asked()).toEqual(["c", "c", "a", "c", "c", "c"]);
		},
	);
});

describe("rotation.reserve", () => {
	it("keeps an account out of new sessions while another has more, and out of none when no other has", async () => {
		const bench = await createBench({
			accounts: [
				{ name: "a", quota: used(10, 85) },
				{ name: "b", quota: used(10, 10) },
			],
			settings: rotation({ policy: "in-order", reserve: { "7d": 20 } }),
		});
		const rpc = bench.rpc();
		await usageKnown(bench);
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");

		bench.codex.account("b").setQuota(used(10, 90));
		// A session stays where it is, also below the floor.
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #2");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #3");
		await rpc.command("new_session");
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
	});
});

it("rotation.fastMode asks for the faster tier never, always, or while every window has enough left", async () => {
	const bench = await createBench({
		accounts: [{ name: "a", quota: used(60, 60) }],
		settings: rotation({}),
	});
	const rpc = bench.rpc();
	await usageKnown(bench);
	const tierAfter = async (...commands: readonly string[]) => {
		for (const command of commands) await rpc.send(command);
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop" });
		return bench.codex.responsesRequests().at(-1)?.body?.service_tier;
	};

	expect(await tierAfter()).toBeUndefined();
	expect(await tierAfter("/multicodex rotation fastMode=auto")).toBe("priority");
	bench.codex.account("a").setQuota(used(10, 75));
	// This answer reports what is left.
	expect(await tierAfter()).toBe("priority");
	expect(await tierAfter()).toBeUndefined();
	expect(await tierAfter("/multicodex rotation fastMode=always")).toBe("priority");
	expect(await tierAfter("/multicodex rotation fastMode=off")).toBeUndefined();
});
