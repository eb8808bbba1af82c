import { cpSync, existsSync, mkdirSync, rmSync, statSync, symlinkSync } from "node:fs";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { describe, expect, it, type TestContext } from "vitest";
import type { PiResult } from "../support/child.ts";
import { type Grant, tokenAnswers } from "../support/fake-codex/index.ts";
import { hostNames, OLDEST_HOST } from "../support/hosts.ts";
import { onPosix } from "../support/posix.ts";
import { ANY_HOST, coreOf, wide } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	EXPIRED_MS,
	type Keeper,
	keepers,
	keptCredential,
	lockedPath,
	loginOfPi,
	redirectOf,
	signPiInAs,
} from "./credentials-support.ts";
import type { Bench } from "./support.ts";

function outcomes(results: readonly PiResult[]): { code: number | null; stderr: string }[] {
	return results.map(({ code, stderr }) => ({ code, stderr }));
}

const fine = (count: number) => Array.from({ length: count }, () => ({ code: 0, stderr: "" }));

describe.each(coreOf(keepers, ({ keeper }) => keeper === "us"))("one expired token kept by $keeper", ({ keeper }) => {
	it("is exchanged once by eight processes that start together, and all of them are answered", async () => {
		const bench = await benchWithExpiredLogin(keeper);

		const results = await Promise.all(Array.from({ length: 8 }, () => bench.print("say hi")));

		expect(outcomes(results)).toEqual(fine(8));
		expect(results.map(({ stdout }) => stdout).sort()).toEqual(
			Array.from({ length: 8 }, (_, index) => `OK from a #${index + 1}\n`),
		);
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		const bearers = new Set(bench.codex.responsesRequests().map(bearerOf));
		expect([...bearers]).toEqual([keptCredential(bench, keeper)?.access]);
		expect(bench.stored("a").credential).toMatchObject({ refresh: keptCredential(bench, keeper)?.refresh });
	});
});

onPosix(
	"a token whose exchange got no answer is not sent from another agent directory with the same accounts",
	async () => {
		const bench = await benchWithExpiredLogin("us", ["b"], { host: ANY_HOST });
		bench.codex.account("a").token(tokenAnswers.resetAfterRotation());
		const other = join(bench.dir.home, "other");
		mkdirSync(other);
		for (const name of ["settings.json", "models.json"]) cpSync(bench.dir.path(name), join(other, name));
		symlinkSync(bench.dir.path("codex-accounts.json"), join(other, "codex-accounts.json"));
		const elsewhere = { env: { PI_CODING_AGENT_DIR: other } };

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
		expect(await bench.print("say hi", [], elsewhere)).toMatchObject({ code: 0, stdout: "OK from b #2\n" });

		expect(bench.codex.tokenRequests()).toHaveLength(1);
		expect(bench.stored("a").needsLogin).toBeNull();
		const { stdout } = await bench.print("/multicodex path", [], elsewhere);
		expect(stdout).toContain(bench.dir.path("codex-state.json"));
		expect(existsSync(join(other, "codex-state.json"))).toBe(false);
	},
);

/**
 * Runs a scene for both keepers side by side, because it mostly waits. On the oldest host: the newer ones wait for the
 * lock of pi's login themselves before they ask us.
 */
async function forEachKeeper(
	others: readonly string[],
	whenFinished: TestContext["onTestFinished"],
	scene: (bench: Bench & { spent: Grant }, keeper: Keeper) => Promise<void>,
): Promise<void> {
	const benches = [];
	for (const { keeper } of keepers) {
		benches.push({ keeper, bench: await benchWithExpiredLogin(keeper, others, { host: OLDEST_HOST }, whenFinished) });
	}
	await Promise.all(benches.map(({ bench, keeper }) => scene(bench, keeper)));
}

// Most of the time these wait.
describe.concurrent("a pi that renews a token", () => {
	it("leaves a token alone while another process holds its lock, and another account serves", async ({
		onTestFinished,
	}) => {
		await forEachKeeper(["b"], onTestFinished, async (bench, keeper) => {
			const release = await lockfile.lock(lockedPath(bench, keeper), { realpath: false, stale: 30_000, update: 2_000 });
			onTestFinished(() => release());

			const result = await bench.print("say hi");

			expect(result, keeper).toMatchObject({ code: 0, stdout: "OK from b #1\n", stderr: "" });
			expect(bench.codex.tokenRequests(), keeper).toEqual([]);
			expect(bench.stored("a"), keeper).toMatchObject({ needsLogin: null, credential: bench.spent });
		});
	});

	it("stores the new token although the lock was taken away during the exchange, and pi goes on", async ({
		onTestFinished,
	}) => {
		await forEachKeeper([], onTestFinished, async (bench, keeper) => {
			// Long enough for the lock to be touched, which is when its loss is noticed.
			bench.codex.account("a").token(tokenAnswers.delay(5_000, { rotate: "before" }));
			const running = bench.spawn(["-p", "say hi"]);
			await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
			rmSync(`${lockedPath(bench, keeper)}.lock`, { recursive: true });

			const result = await running.wait();

			expect(result, keeper).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
			expect(bench.codex.tokenRequests(), keeper).toHaveLength(1);
			expect(keptCredential(bench, keeper)?.refresh, keeper).not.toBe(bench.spent.refresh);
			expect(bearerOf(bench.codex.responsesRequests()[0]), keeper).toBe(keptCredential(bench, keeper)?.access);
		});
	});

	wide(
		"exchanges once at an endpoint of 12.5 s, whenever a second pi starts, because the lock is kept fresh",
		async ({ onTestFinished }) => {
			await forEachKeeper([], onTestFinished, async (bench, keeper) => {
				bench.codex.account("a").token(tokenAnswers.delay(12_500, { rotate: "before" }));
				const first = bench.spawn(["-p", "say hi"]);
				const exchange = await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
				const early = bench.spawn(["-p", "say hi"]);
				const touchedAt = new Set<number>();
				while (Date.now() < exchange.at + 10_700) {
					touchedAt.add(statSync(`${lockedPath(bench, keeper)}.lock`).mtimeMs);
					await new Promise((resolve) => setTimeout(resolve, 100));
				}
				// pi's start-up takes a lock for dead that was not touched for ten seconds.
				const late = bench.spawn(["-p", "say hi"]);
				const results = await Promise.all([first, early, late].map((each) => each.wait(60_000)));

				expect(outcomes(results), keeper).toEqual(fine(3));
				expect(bench.codex.tokenRequests(), keeper).toHaveLength(1);
				expect(touchedAt.size, `times at which the lock of ${keeper} was touched`).toBeGreaterThanOrEqual(4);
				const bearers = new Set(bench.codex.responsesRequests("a").map(bearerOf));
				expect([...bearers], keeper).toEqual([keptCredential(bench, keeper)?.access]);
			});
		},
	);
});

it("does not write over another login that pi stored during the exchange, and loses no token", async () => {
	const bench = await benchWithExpiredLogin("pi", ["b"]);
	bench.codex.account("a").token(tokenAnswers.delay(2_000, { rotate: "before" }));
	const running = bench.spawn(["-p", "say hi"]);
	await bench.codex.waitFor(({ kind }) => kind === "token", 30_000);
	const other = signPiInAs(bench, "b");

	expect(await running.wait()).toMatchObject({ code: 0, stdout: "OK from a #1\n" });

	expect(loginOfPi(bench)).toMatchObject(other);
	expect(bearerOf(bench.codex.responsesRequests()[0])).toBe(bench.stored("a").credential.access);
	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
	expect(bench.stored("a")).toMatchObject({ linked: false, needsLogin: null });
	expect(bench.codex.tokenRequests()).toHaveLength(1);
});

it.each(coreOf(hostNames).map((host) => ({ host })))(
	"exchanges once when four of ours and four plain pi $host start together on one expired login",
	async ({ host }) => {
		const bench = await benchWithExpiredLogin("pi", [], { host });
		const extension = redirectOf(bench);

		const four = [1, 2, 3, 4];
		const [ours, plain] = await Promise.all([
			Promise.all(four.map(() => bench.print("say hi"))),
			Promise.all(four.map(() => bench.print("say hi", [], { extension }))),
		]);

		expect(outcomes(ours)).toEqual(fine(4));
		expect(bench.codex.tokenRequests()).toHaveLength(1);
		// 0.73.1 gives up on a lock that is held for 200 ms and then has no login; that is its own way to lose this race.
		const answered = plain.filter(
			({ code, stderr }) => !(host === "0.73.1" && code === 1 && /No API key/.test(stderr)),
		);
		expect(outcomes(answered)).toEqual(fine(answered.length));
		expect(new Set(bench.codex.responsesRequests().map(bearerOf))).toEqual(new Set([loginOfPi(bench)?.access]));

		// Plain pi by itself does reach this token endpoint.
		signPiInAs(bench, "a", { expiresInMs: EXPIRED_MS });
		expect(await bench.print("say hi", [], { extension })).toMatchObject({ code: 0, stderr: "" });
		expect(bench.codex.tokenRequests()).toHaveLength(2);
	},
);
