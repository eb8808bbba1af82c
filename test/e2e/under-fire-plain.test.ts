import { describe, it, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import type { Turn } from "../support/rpc.ts";
import { coreOf, isWide } from "../support/tiers.ts";
import { loginOfPi, redirectOf, signPiInAs, storedAccounts } from "./credentials-support.ts";
import { createBench } from "./support.ts";
import { brokenFiles, NO_SESSION, sendingAs, timesSent } from "./under-fire-support.ts";

const ROUNDS = isWide ? 5 : 3;

/** Shorter than any pi takes a token for good after a look at the file, longer than a request is on its way. */
const LIFETIME_MS = 4_900;

// Most of the time they wait for tokens to run out; but each of them begins with four pis that start.
vi.setConfig({ maxConcurrency: 2, testTimeout: 300_000 });

describe.concurrent("beside plain pi", () => {
	it.for(coreOf(hostNames.map((host) => ({ host }))))(
		"renews pi's login round after round on $host: no token sent twice, no turn lost",
		async ({ host }, { expect, onTestFinished }) => {
			const bench = await createBench(
				{
					host,
					accounts: [],
					strangers: [{ name: "a", tokenLifetimeMs: LIFETIME_MS }],
					usage: answers.serverError(500),
				},
				onTestFinished,
			);
			signPiInAs(bench, "a");
			const extension = redirectOf(bench, bench.codex.issuerFor("plain"));
			const ours = [1, 2].map(() => bench.rpc(NO_SESSION, { env: sendingAs(bench, "ours") }));
			const plain = [1, 2].map(() => bench.rpc(NO_SESSION, { extension }));
			// None is asked before all have started: at its start 0.73.1 gives up on a lock that is held for 200 ms.
			for (const client of [...ours, ...plain]) await client.command("get_state", {}, 150_000);

			for (let round = 1; round <= ROUNDS; round += 1) {
				const ask = (clients: typeof ours) =>
					Promise.all(clients.map((client) => client.prompt(`round ${round}`, 90_000)));
				const [byUs, byPlain] = await Promise.all([ask(ours), ask(plain)]);
				// 0.73.1 sends a token to its very last moment: that it may come too late is its own way to fail.
				const isItsOwn = ({ errorMessage }: Turn) => host === "0.73.1" && /token is expired/.test(errorMessage ?? "");
				for (const turn of [...byUs, ...byPlain.filter((each) => !isItsOwn(each))]) {
					const { stopReason, text, errorMessage } = turn;
					expect({ round, stopReason, errorMessage }).toEqual({ round, stopReason: "stop", errorMessage: undefined });
					expect(text).toMatch(/^OK from a #\d+$/);
				}
				expect(brokenFiles(bench)).toEqual([]);
				// Until what is in the file has run out for every process.
				const leftMs = (loginOfPi(bench)?.expires ?? 0) - Date.now();
				await new Promise((resolve) => setTimeout(resolve, Math.max(0, leftMs)));
			}
			await Promise.all([...ours, ...plain].map((client) => client.close()));

			expect(new Set(timesSent(bench))).toEqual(new Set([1]));
			// Who comes first is chance: over fewer rounds it may be the same each time.
			const senders = new Set(bench.codex.tokenRequests().map(({ sender }) => sender));
			if (isWide) expect(senders).toEqual(new Set(["ours", "plain"]));
			expect(bench.codex.tokenRequests().length).toBeGreaterThanOrEqual(ROUNDS - 1);
			// The last token is where both look for it, and no account was flagged.
			expect(loginOfPi(bench)?.refresh).toBe(bench.codex.tokenRequests().at(-1)?.issuedRefresh);
			expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: true, needsLogin: null }]);
			const last = await bench.print("say hi", NO_SESSION);
			expect(last).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from a/) });
		},
	);
});
