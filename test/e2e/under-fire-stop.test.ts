import { existsSync, utimesSync } from "node:fs";
import { basename } from "node:path";
import { describe, it, vi } from "vitest";
import { tokenAnswers } from "../support/fake-codex/index.ts";
import { coreOf, isWide, wide } from "../support/tiers.ts";
import { benchWithExpiredLogin, EXPIRED_MS, type Keeper, keptCredential, lockedPath } from "./credentials-support.ts";
import { until } from "./support.ts";
import {
	ageExchangeNotes,
	brokenFiles,
	type DiskOptions,
	exchangeOf,
	isStopped,
	leaveOnlyA,
	NO_SESSION,
	sendingAs,
	storeLogin,
	timesSent,
	watchedDisk,
} from "./under-fire-support.ts";

const STOP_MS = 35_000;

/** From when on a lock that is touched no more counts as that of a dead process, and a little more. */
const staleMs: Readonly<Record<Keeper, number>> = { pi: 32_000, us: 12_000 };

// Most of the time they only wait; but each of them begins with a pi that starts.
vi.setConfig({ maxConcurrency: 6, testTimeout: 360_000 });

/** Until a pi has come so far that starts beside five others: no measure. */
const START_MS = 150_000;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Until an untouched lock is that old. Only the wide run waits for it: its holder, stopped, cannot tell. */
async function letAge(lock: string, ms: number, since: number): Promise<void> {
	if (isWide) return pause(ms - (performance.now() - since));
	const at = (Date.now() - ms) / 1000;
	// A machine that took longer than this to start the other pi has let it age by itself.
	if (existsSync(lock)) utimesSync(lock, at, at);
}

interface Moment {
	readonly when: string;
	/** Absent: stopped from outside as soon as the token endpoint was asked. */
	readonly signal?: Omit<NonNullable<DiskOptions["signal"]>, "name">;
	/** Whether the other process, which then holds the lock, may renew the token itself. */
	readonly isUntouched: boolean;
}

const moments: readonly Moment[] = [
	{
		when: "before it noted the exchange",
		signal: { before: "mkdir codex-state.json.lock", nth: 1 },
		isUntouched: true,
	},
	{ when: "right before it sent the token", signal: { before: "send token", nth: 1 }, isUntouched: false },
	{ when: "while the endpoint answered", isUntouched: false },
];

// Each of these mostly waits, so they wait together.
describe.concurrent("a process that was stopped for 35 s with a lock in its hands", () => {
	it.for(
		coreOf(
			moments.flatMap((moment) => (["pi", "us"] as const).map((keeper) => ({ keeper, ...moment }))),
			({ when }) => when === "while the endpoint answered",
		),
	)(
		"goes on if the token is kept by $keeper and it was stopped $when: sent once, nothing lost",
		async ({ keeper, signal, isUntouched }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], {}, onTestFinished);
			// Only the one who is stopped from outside needs the time for it.
			if (signal === undefined) {
				bench.codex.account("a").tokenScript.next(tokenAnswers.delay(2_000, { rotate: "before" }));
			}
			const lock = `${lockedPath(bench, keeper)}.lock`;
			// From when it is about the exchange: what it writes before is other business. pi takes its own lock at start,
			// too.
			const from = keeper === "pi" ? "write auth.json.tmp" : `mkdir ${basename(lock)}`;
			const disk = signal === undefined ? {} : watchedDisk(bench, { signal: { name: "SIGSTOP", from, ...signal } });

			const sleeper = bench.spawn(["-p", ...NO_SESSION, "say hi"], {
				env: { ...disk, ...sendingAs(bench, "sleeper") },
			});
			if (signal === undefined) {
				await exchangeOf(bench, "sleeper", START_MS);
				sleeper.signal("SIGSTOP");
			}
			await until("the process is stopped", () => isStopped(sleeper.pid), START_MS);
			const stoppedAt = performance.now();
			expect(existsSync(lock), "the lock is held").toBe(true);
			// Up before its time comes: how fast this machine starts a pi must not matter to the minute of the note.
			const other = bench.rpc(NO_SESSION, { env: sendingAs(bench, "other") });
			await other.command("get_state", {}, START_MS);
			await letAge(lock, staleMs[keeper], stoppedAt);
			const turn = await other.prompt("say hi", 90_000);

			// The lock of one that does not move is taken over. What it may have spent is not spent again.
			const answered = isUntouched ? /^OK from [ab] #1$/ : /^OK from b #1$/;
			expect(turn).toMatchObject({ stopReason: "stop", text: expect.stringMatching(answered) });
			await until("the lock is gone", () => !existsSync(lock), 60_000);
			expect(bench.codex.tokenRequests().filter(({ sender }) => sender === "other")).toHaveLength(isUntouched ? 1 : 0);

			if (isWide) await pause(STOP_MS - (performance.now() - stoppedAt));
			sleeper.signal("SIGCONT");
			const woken = await sleeper.wait(90_000);

			// It had waited for its token for far longer than a turn with another account at hand does.
			expect(woken).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from [ab] #\d\n$/), stderr: "" });
			expect(Math.max(0, ...timesSent(bench)), "times a token was sent").toBeLessThanOrEqual(1);
			expect(bench.stored("a").needsLogin).toBeNull();
			expect(brokenFiles(bench)).toEqual([]);
			// A connection that has been idle for so long may break, and then it is unknown whether the token got through.
			ageExchangeNotes(bench, 60_000);
			leaveOnlyA(bench);
			const last = await bench.print("say hi", NO_SESSION);
			expect(last).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from a #\d\n$/), stderr: "" });
			expect(timesSent(bench)).toEqual([1]);
			expect(keptCredential(bench, keeper)?.refresh).toBe(bench.codex.tokenRequests()[0]?.issuedRefresh);
		},
	);

	wide("writes nothing over what another one stored meanwhile", async ({ expect, onTestFinished }) => {
		const bench = await benchWithExpiredLogin("us", ["b"], {}, onTestFinished);
		const expired = bench.codex.grant("b", { expiresInMs: EXPIRED_MS });
		bench.dir.write("codex-accounts.json", {
			version: 2,
			accounts: [bench.stored("a"), { ...bench.stored("b"), credential: expired }],
		});
		const signal = { name: "SIGSTOP", before: "write codex-accounts.json.tmp", nth: 1, from: "token answer" } as const;
		const sleeper = bench.spawn(["-p", ...NO_SESSION, "say hi"], { env: watchedDisk(bench, { signal }) });
		await until("the process is stopped", () => isStopped(sleeper.pid), START_MS);
		const stoppedAt = performance.now();
		await pause(staleMs.us);

		expect(await bench.print("say hi", NO_SESSION)).toMatchObject({ code: 0, stdout: "OK from b #1\n", stderr: "" });
		await pause(STOP_MS - (performance.now() - stoppedAt));
		sleeper.signal("SIGCONT");

		expect(await sleeper.wait(90_000)).toMatchObject({ code: 0, stderr: "" });
		expect(timesSent(bench)).toEqual([1, 1]);
		for (const name of ["a", "b"]) {
			const [exchange] = bench.codex.tokenRequests(name);
			expect(bench.stored(name), name).toMatchObject({
				needsLogin: null,
				credential: { refresh: exchange?.issuedRefresh },
			});
		}
		expect(brokenFiles(bench)).toEqual([]);
	});
});

describe.concurrent("a process that was killed with locks in its hands", () => {
	it.for(
		coreOf(
			[
				{ keeper: "pi", held: "pi's lock and that of the state", before: "open codex-state.json.tmp" },
				{ keeper: "pi", held: "pi's lock and that of the accounts", before: "rename codex-accounts.json" },
				{ keeper: "us", held: "the refresh lock and that of the state", before: "open codex-state.json.tmp" },
				{ keeper: "us", held: "the refresh lock and that of the accounts", before: "rename codex-accounts.json" },
			] as const,
			({ keeper, before }) => keeper === "us" && before === "rename codex-accounts.json",
		),
	)(
		"keeps the next one waiting for a while and no longer: kept by $keeper, $held",
		async ({ keeper, before }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, [], {}, onTestFinished);
			const signal = { name: "SIGKILL", before, nth: 1 } as const;
			const dead = await bench.print("say hi", NO_SESSION, {
				env: watchedDisk(bench, { signal }),
				timeoutMs: START_MS,
			});
			expect(dead.signal).toBe("SIGKILL");
			// What the dead one may have stored is of no use: the next one has to get by both locks for its own.
			storeLogin(bench, keeper, { expiresInMs: EXPIRED_MS });

			const next = await bench.print("say hi", NO_SESSION, { timeoutMs: START_MS });

			expect(next).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from a #\d\n$/), stderr: "" });
			expect(new Set(timesSent(bench))).toEqual(new Set([1]));
			expect(existsSync(`${lockedPath(bench, keeper)}.lock`)).toBe(false);
			expect(brokenFiles(bench)).toEqual([]);
		},
	);
});
