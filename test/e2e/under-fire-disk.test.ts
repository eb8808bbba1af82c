import { existsSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it, vi } from "vitest";
import { tokenAnswers } from "../support/fake-codex/index.ts";
import { OLDEST_HOST } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import {
	bearerOf,
	benchWithExpiredLogin,
	keepers,
	keptCredential,
	NEARLY_EXPIRED_MS,
	nextSecond,
} from "./credentials-support.ts";
import { type Bench, until } from "./support.ts";
import {
	ageLeftovers,
	brokenFiles,
	leaveOnlyA,
	NO_SESSION,
	storeLogin,
	timesSent,
	watchedDisk,
} from "./under-fire-support.ts";

/**
 * How the disk fails. It is played inside the process: the real thing takes a mount, which not every machine lets a
 * test make, binds a privileged user only as such, and cannot be timed to the step.
 */
const troubles = [
	{ what: "is full", trouble: "full" },
	{ what: "has room for no file more", trouble: "no-room" },
	{ what: "is read-only", trouble: "read-only" },
] as const;

/** Newer hosts end by themselves where they cannot lock their own files. */
const OLDEST = { host: OLDEST_HOST };

// Most of the time they only wait.
vi.setConfig({ testTimeout: 240_000 });

/** The file that says how the disk of a bench is. */
function diskOf(bench: Bench) {
	const path = join(bench.dir.home, "disk");
	return {
		env: watchedDisk(bench, { trouble: path }),
		fail: (trouble: string) => writeFileSync(path, trouble),
		recover: () => rmSync(path, { force: true }),
	};
}

const cases = troubles.flatMap((trouble) => keepers.map((keeper) => ({ ...trouble, ...keeper })));
const fewer = cases.filter(({ trouble }) => trouble !== "no-room");

// They wait for tries of ours that come again after moments.
describe.concurrent("when the disk of the agent directory fails", () => {
	it.for(
		coreOf(
			cases,
			({ trouble, keeper }) => (trouble === "full" && keeper === "us") || (trouble === "read-only" && keeper === "pi"),
		),
	)(
		"no token is spent, another account serves, and all is well when it is back: $what, kept by $keeper",
		async ({ keeper, trouble }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], OLDEST, onTestFinished);
			const disk = diskOf(bench);
			const files = contentsOf(bench);
			disk.fail(trouble);

			const result = await bench.print("say hi", NO_SESSION, { env: disk.env });

			expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
			expect(bench.codex.tokenRequests()).toEqual([]);
			expect(contentsOf(bench)).toEqual(files);
			expect(bench.stored("a")).toMatchObject({ needsLogin: null, credential: bench.spent });

			disk.recover();
			leaveOnlyA(bench);
			expect(await bench.print("say hi", NO_SESSION, { env: disk.env })).toMatchObject({
				code: 0,
				stdout: "OK from a #1\n",
				stderr: "",
			});
			expect(timesSent(bench)).toEqual([1]);
		},
	);

	it.for(coreOf(fewer, ({ trouble, keeper }) => trouble === "full" && keeper === "pi"))(
		"a token that came just then is used, and written when it is back: $what, kept by $keeper",
		async ({ keeper, trouble }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, ["b"], OLDEST, onTestFinished);
			// Good enough for pi, which otherwise waits for its own lock before it asks us.
			const former = storeLogin(bench, keeper, { expiresInMs: NEARLY_EXPIRED_MS });
			await nextSecond();
			const disk = diskOf(bench);
			bench.codex.account("a").token(
				tokenAnswers.change((body) => {
					disk.fail(trouble);
					return body;
				}),
			);
			const rpc = bench.rpc(NO_SESSION, { env: disk.env });

			// The first turns may still have the old token, while it is tried to store the new one.
			while (usedToken(bench) === undefined || usedToken(bench) === former.access) {
				expect(await rpc.prompt("say hi")).toMatchObject({ text: expect.stringMatching(/^OK from a #\d+$/) });
			}
			expect(keptCredential(bench, keeper)?.refresh).toBe(former.refresh);
			// Another process knows that the token on the disk may be spent, and goes on with what is left of the old one.
			expect(await bench.print("say hi", NO_SESSION)).toMatchObject({
				code: 0,
				stdout: expect.stringMatching(/from a/),
			});
			expect(usedToken(bench)).toBe(former.access);
			expect(timesSent(bench)).toEqual([1]);
			expect(bench.stored("a").needsLogin).toBeNull();

			disk.recover();
			const issued = bench.codex.tokenRequests()[0]?.issuedRefresh;
			if (trouble === "full" && keeper === "us") {
				await until("it is written by itself", () => bench.stored("a").credential.refresh === issued, 90_000);
			}
			expect(await rpc.prompt("say hi")).toMatchObject({ text: expect.stringMatching(/^OK from a/) });
			expect(await rpc.close(60_000)).toMatchObject({ code: 0 });
			expect(bench.stored("a").credential.refresh).toBe(issued);

			// A lock that could not be taken away has to grow stale before pi's file gets it too.
			ageLeftovers(bench, 60_000);
			expect(await bench.print("say hi", NO_SESSION)).toMatchObject({
				code: 0,
				stdout: expect.stringMatching(/from a/),
			});
			expect(keptCredential(bench, keeper)?.refresh).toBe(issued);
			expect(timesSent(bench)).toEqual([1]);
			expect(brokenFiles(bench)).toEqual([]);
		},
	);

	it.for(coreOf(keepers, ({ keeper }) => keeper === "us"))(
		"a token that came just then is stored as soon as there is room, and not lost with the process: kept by $keeper",
		async ({ keeper }, { expect, onTestFinished }) => {
			const bench = await benchWithExpiredLogin(keeper, [], OLDEST, onTestFinished);
			const disk = diskOf(bench);
			bench.codex.account("a").token(
				tokenAnswers.change((body) => {
					disk.fail("full");
					setTimeout(disk.recover, 500);
					return body;
				}),
			);

			const result = await bench.print("say hi", NO_SESSION, { env: disk.env });

			expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
			expect(bench.stored("a").credential.refresh).toBe(bench.codex.tokenRequests()[0]?.issuedRefresh);
			expect(await bench.print("say hi", NO_SESSION)).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
			expect(timesSent(bench)).toEqual([1]);
			expect(keptCredential(bench, keeper)?.refresh).toBe(bench.stored("a").credential.refresh);
		},
	);
});

/** The token of `a` that its last request carried. */
function usedToken(bench: Bench): string | undefined {
	const last = bench.codex.responsesRequests("a").at(-1);
	return last && bearerOf(last);
}

/** Our files and pi's login as they are. */
function contentsOf(bench: Bench): Record<string, string | undefined> {
	// Of those that may lose lines and only those, nothing but the name could be made.
	const names = readdirSync(bench.dir.dir).filter((name) => /^(codex-(?!events|history|ledger)|auth\.json)/.test(name));
	return Object.fromEntries(
		names.filter((name) => existsSync(bench.dir.path(name))).map((name) => [name, bench.dir.read(name)]),
	);
}
