import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { OLDEST_HOST } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { benchWithExpiredLogin, type Keeper, keptCredential } from "./credentials-support.ts";
import {
	ageLeftovers,
	brokenFiles,
	type DiskOptions,
	NO_SESSION,
	shownStates,
	timesSent,
	watchedDisk,
} from "./under-fire-support.ts";

const ANSWER = "token answer";

/**
 * What has to happen to the disk between the issuer's answer and the moment from which no death loses the new token.
 */
const needed: Readonly<Record<Keeper, readonly string[]>> = {
	// The temporary file was opened, and room for it made, before the exchange; pi's lock is held since then.
	pi: ["write auth.json.tmp", "sync auth.json.tmp", "rename auth.json"],
	us: [
		"mkdir codex-accounts.json.lock",
		"open codex-accounts.json.tmp",
		"write codex-accounts.json.tmp",
		"sync codex-accounts.json.tmp",
		"rename codex-accounts.json",
	],
};

/** Whose requests the watch of the disk sees. */
const OLDEST = { host: OLDEST_HOST };

it.each([{ keeper: "pi" }, { keeper: "us" }] as const)(
	"does nothing between the answer of the token endpoint and the durable token kept by $keeper but write it",
	async ({ keeper }) => {
		const bench = await benchWithExpiredLogin(keeper, [], OLDEST);
		const log = join(bench.dir.home, "steps.log");

		const result = await bench.print("say hi", NO_SESSION, { env: watchedDisk(bench, { log }) });

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
		const steps = readFileSync(log, "utf8").trimEnd().split("\n");
		const last = needed[keeper].at(-1) ?? "";
		const window = steps.slice(steps.indexOf(ANSWER) + 1, steps.indexOf(last, steps.indexOf(ANSWER)) + 1);
		// What else changes, such as the choice of the account, is written beside: nothing of the login waits for it.
		const isBeside = (step: string, index: number) =>
			step.includes("codex-events.jsonl") || (index > 0 && step.includes("codex-state.json"));
		const ofLogins = window.filter((step, index) => !isBeside(step, index));
		// An empty file may be synced once more when it is opened.
		const isOfEmptyFile = (step: string, index: number) =>
			step.startsWith("sync ") && ofLogins[index - 1]?.startsWith("open ") === true;
		expect(ofLogins.filter((step, index) => !isOfEmptyFile(step, index))).toEqual(needed[keeper]);
		// What tells others that the token may be spent is on the disk before it is sent.
		expect(steps.slice(0, steps.indexOf("send token"))).toContain("rename codex-state.json");
	},
);

/** Lets a process exchange the expired token of `a` and die before a step, and then another one start. */
async function afterDeath(
	keeper: Keeper,
	signal: Omit<NonNullable<DiskOptions["signal"]>, "name" | "nth">,
	others: readonly string[] = [],
) {
	const bench = await benchWithExpiredLogin(keeper, others, OLDEST);
	const env = watchedDisk(bench, { signal: { name: "SIGKILL", nth: 1, ...signal } });
	const dead = await bench.print("say hi", NO_SESSION, { env });
	expect(dead.signal, "how the first one ended").toBe("SIGKILL");
	expect(brokenFiles(bench)).toEqual([]);
	const [issued] = bench.codex.tokenRequests();
	ageLeftovers(bench, 120_000);

	const next = await bench.print("say hi");

	expect(next.code, next.stderr).toBe(0);
	expect(brokenFiles(bench)).toEqual([]);
	// Half-written files of the dead may hold tokens.
	expect(readdirSync(bench.dir.dir).filter((name) => name.endsWith(".tmp"))).toEqual([]);
	return { bench, next, issued: issued?.issuedRefresh };
}

it.each(
	coreOf(
		[
			{ keeper: "pi", before: "write auth.json.tmp" },
			{ keeper: "pi", before: "rename auth.json" },
			{ keeper: "us", before: "mkdir codex-accounts.json.lock" },
			{ keeper: "us", before: "rename codex-accounts.json" },
		] as const,
		({ before }) => before === "write auth.json.tmp" || before === "rename codex-accounts.json",
	),
)(
	"loses one token, kept by $keeper, to a kill after the answer and before '$before', says so, and nothing else suffers",
	async ({ keeper, before }) => {
		const { bench, next } = await afterDeath(keeper, { before, from: ANSWER }, ["b"]);

		expect(next.stdout).toBe("OK from b #1\n");
		expect(next.stderr).toMatch(/Codex account a was signed out/);
		expect(bench.stored("a").needsLogin).toMatchObject({ reason: "refresh_token_reused" });
		expect(await shownStates(bench)).toEqual({ a: "needs-login", b: "ready" });
		// Once by the dead, once by the one that found out.
		expect(timesSent(bench)).toEqual([2]);
	},
);

it.each(
	coreOf(
		[
			{ keeper: "pi", before: "mkdir codex-accounts.json.lock" },
			{ keeper: "us", before: "rmdir codex-accounts.json.lock" },
		] as const,
		({ keeper }) => keeper === "us",
	),
)(
	"loses nothing kept by $keeper to a kill one step after the durable write, before '$before'",
	async ({ keeper, before }) => {
		const { bench, next, issued } = await afterDeath(keeper, { before, from: ANSWER });

		// The token is durable, so the request of the dead may have reached the backend before the kill.
		expect(next).toMatchObject({ stdout: expect.stringMatching(/^OK from a #[12]\n$/), stderr: "" });
		expect(keptCredential(bench, keeper)?.refresh).toBe(issued);
		expect(bench.stored("a")).toMatchObject({ needsLogin: null, credential: { refresh: issued } });
		expect(timesSent(bench)).toEqual([1]);
	},
);

wide.each([{ keeper: "pi" }, { keeper: "us" }] as const)(
	"loses nothing kept by $keeper to a kill right before the token is sent",
	async ({ keeper }) => {
		const { bench, next } = await afterDeath(keeper, { before: "send token" });

		expect(next).toMatchObject({ stdout: "OK from a #1\n", stderr: "" });
		expect(bench.stored("a").needsLogin).toBeNull();
		expect(timesSent(bench)).toEqual([1]);
	},
);
