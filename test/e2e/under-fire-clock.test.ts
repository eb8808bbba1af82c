import { rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout } from "node:timers/promises";
import { expect, it } from "vitest";
import { fingerprint } from "../../src/platform/backend/jwt.ts";
import { createProcesses } from "../../src/platform/processes.ts";
import { answers } from "../support/fake-codex/index.ts";
import { until } from "../support/fakes.ts";
import { ANY_HOST, coreOf, wide } from "../support/tiers.ts";
import { bearerOf, EXPIRED_MS, keepers, keptCredential, signPiInAs } from "./credentials-support.ts";
import { createBench } from "./support.ts";
import { jumpingClock, NO_SESSION, timesSent, wrongClock } from "./under-fire-support.ts";

const MINUTE_MS = 60_000;
const wrongs = [
	{ wrong: "10 minutes fast", shiftMs: 10 * MINUTE_MS },
	{ wrong: "10 minutes slow", shiftMs: -10 * MINUTE_MS },
] as const;

const cases = wrongs.flatMap((each) => keepers.map((keeper) => ({ ...each, ...keeper })));

it.each(coreOf(cases, ({ shiftMs, keeper }) => (keeper === "us") === shiftMs > 0))(
	"renews an expired token kept by $keeper once and serves turn after turn if the clock is $wrong",
	async ({ keeper, shiftMs }) => {
		const bench = await createBench({
			accounts: [],
			// Of an hour, so that ten minutes more or less matter.
			strangers: [{ name: "a", tokenLifetimeMs: 60 * MINUTE_MS }],
			usage: answers.serverError(500),
			env: wrongClock(shiftMs),
		});
		const spent = { expiresInMs: EXPIRED_MS };
		if (keeper === "pi") signPiInAs(bench, "a", spent);
		else {
			const row = bench.row("a", { credential: bench.codex.grant("a", spent) });
			bench.dir.write("codex-accounts.json", { version: 2, accounts: [row] });
		}

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		const rpc = bench.rpc();
		for (const turn of [2, 3, 4]) {
			expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: `OK from a #${turn}` });
		}
		await rpc.close();

		expect(timesSent(bench)).toEqual([1]);
		// To a slow clock the old token looks good for minutes: it goes out first where the exchange takes more than a
		// second.
		const afterwards = bench.codex.responsesRequests().slice(-3);
		expect(afterwards.map(bearerOf)).toEqual(Array(3).fill(keptCredential(bench, keeper)?.access));
		expect(bench.stored("a").needsLogin).toBeNull();
	},
);

wide.each(wrongs)(
	"goes on after a token has run out that looks good to a clock $wrong, and after one that only looks spent",
	async ({ shiftMs }) => {
		const bench = await createBench({ usage: answers.serverError(500), env: wrongClock(shiftMs) });
		// Runs out in five minutes: to a slow clock in fifteen, to a fast one five minutes ago.
		const nearly = bench.codex.grant("a", { expiresInMs: 5 * MINUTE_MS });
		bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a", { credential: nearly })] });
		const rpc = bench.rpc();

		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: expect.stringMatching(/^OK from a/) });
		bench.codex.account("a").expireAccessTokens();
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: expect.stringMatching(/^OK from a/) });
		expect(await rpc.prompt("say hi")).toMatchObject({ stopReason: "stop", text: expect.stringMatching(/^OK from a/) });
		await rpc.close();

		// The fast clock renewed it ahead of the first turn as well.
		expect(timesSent(bench)).toEqual(shiftMs > 0 ? [1, 1] : [1]);
		expect(bench.stored("a").needsLogin).toBeNull();
	},
);

wide.each(wrongs)("lets an account rest whose quota ran out if the clock is $wrong", async ({ shiftMs }) => {
	const bench = await createBench({ accounts: ["a"], usage: answers.serverError(500), env: wrongClock(shiftMs) });
	bench.codex.account("a").next(answers.usageLimit({ resetsInMs: 5 * MINUTE_MS }));

	const limited = await bench.print("say hi");

	// To a fast clock the reset is past already: even so the account rests, and is not asked over and over.
	expect(limited.code).toBe(1);
	expect(bench.asked().length).toBeLessThanOrEqual(4);
	expect(bench.stored("a").needsLogin).toBeNull();
	expect(bench.status("a").cooldowns).toHaveLength(1);
});

it.each(coreOf([-60 * MINUTE_MS, 60 * MINUTE_MS]))(
	"outlasts an exchange that a killed process began, if the clock is wrong by %d ms for a moment of the wait",
	async (wrongMs) => {
		const bench = await createBench({ host: ANY_HOST, accounts: ["a"], usage: answers.serverError(500) });
		const credential = bench.codex.grant("a", { expiresInMs: EXPIRED_MS });
		bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.row("a", { credential })] });
		const clock = join(bench.dir.home, "clock");
		const rpc = bench.rpc(NO_SESSION, { env: jumpingClock(clock) });
		await rpc.command("get_state");
		const { machine, ms } = createProcesses(Date.now).uptime();
		const beganMs = 54_000;
		const exchange = {
			tokenHash: fingerprint(credential.refresh),
			at: Date.now() - beganMs,
			uptime: { machine, ms: ms - beganMs },
		};
		const status = { cooldowns: [], strikes: 0, exchange };
		bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: { [bench.id("a")]: status } });

		const turn = rpc.prompt("say hi");
		await until("the wait", () => rpc.statusChanges.some(({ text }) => text?.includes("waiting")));
		writeFileSync(clock, String(wrongMs));
		await setTimeout(1500);
		rmSync(clock);

		expect(await turn).toMatchObject({ stopReason: "stop", text: "OK from a #1" });
		expect(timesSent(bench)).toEqual([1]);
	},
);
