import { mkdirSync, readdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { onlySchema } from "../../src/pi/json-schemas.ts";
import { answers } from "../support/fake-codex/index.ts";
import { type HostName, hostNames, NEWEST_HOST } from "../support/hosts.ts";
import { coreOf, isAtAnEnd, wide } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const ENDS = hostNames.filter(isAtAnEnd);

/** A checkout in the home of the test, with a folder deep in it, and a link to that. */
function aProject({ dir }: Bench): { readonly root: string; readonly deep: string; readonly link: string } {
	const root = join(dir.home, "client");
	const deep = join(root, "src", "deep");
	mkdirSync(join(root, ".git"), { recursive: true });
	mkdirSync(deep, { recursive: true });
	const link = join(dir.home, "link");
	symlinkSync(deep, link);
	return { root, deep, link };
}

/** The one session file of sessions that ran in the bench's own folder. */
function sessionFile({ dir }: Bench): string {
	const sessions = join(dir.dir, "sessions");
	const [file] = readdirSync(sessions, { recursive: true, encoding: "utf8" }).filter((name) => name.endsWith(".jsonl"));
	return join(sessions, file ?? expect.fail("no session was stored"));
}

const bound = async (host: HostName) => {
	const bench = await createBench({ host, accounts: ["a", "b", "c"], settings: { transport: "sse" } });
	return { bench, ...aProject(bench) };
};

it.each(coreOf(ENDS, (host) => host === NEWEST_HOST))(
	"a project's account set holds in every session that runs in it, and fails closed: %s",
	async (host) => {
		const { bench, root, deep, link } = await bound(host);
		// What a repository brings along decides nothing.
		mkdirSync(join(root, ".pi"));
		writeFileSync(join(root, ".pi", "settings.json"), JSON.stringify({ "pi-multicodex": { sets: {}, caps: {} } }));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		const made = await bench.run(["-p", "/multicodex only b"], { cwd: link });
		expect(made.stdout).toContain(`sessions in ${root} use b, and no other account`);

		// A session that another folder began, on an account outside, goes on here.
		const forked = await bench.print("say hi", ["--fork", sessionFile(bench)], { cwd: root });
		expect(forked.stdout).toBe("OK from b #1\n");

		// No account outside is asked, whatever becomes of those inside: by a subagent neither, a pi of its own deep below.
		bench.codex.account("b").always(answers.usageLimit({}));
		const dry = await bench.print("say hi", [], { cwd: deep });
		expect([dry.code, dry.stderr]).toEqual([
			1,
			expect.stringMatching(/Codex quota exceeded.*\/multicodex only all ends it/),
		]);
		expect(bench.asked()).toEqual(["a", "b", "b"]);
	},
);

wide.each(hostNames)(
	"an account set holds for links, for sessions that go on, and once it is empty: %s",
	async (host) => {
		const { bench, root, deep, link } = await bound(host);
		await bench.run(["-p", "/multicodex only b"], { cwd: deep });
		const shown = await bench.run(["-p", "/multicodex only --json"], { cwd: link });
		expect(onlySchema.parse(JSON.parse(shown.stdout)).set).toMatchObject({ folder: root, accounts: [{ label: "b" }] });
		for (const cwd of [root, deep, link])
			expect((await bench.print("say hi", [], { cwd })).stdout).toMatch(/^OK from b /);
		expect((await bench.print("say hi", ["--continue"], { cwd: root })).stdout).toMatch(/^OK from b /);
		expect((await bench.print("say hi")).stdout).toMatch(/^OK from a /);
		const before = bench.asked().length;
		await bench.run(["-p", "/multicodex remove b"], { cwd: root });
		expect((await bench.print("say hi", [], { cwd: deep })).stderr).toContain(
			"No account of this folder's account set is in the pool",
		);
		expect(bench.asked()).toHaveLength(before);
	},
);

it.each(coreOf(ENDS, (host) => host === NEWEST_HOST))(
	"a cap moves a session off its account before it is passed, and lifts by command: %s",
	async (host) => {
		const quota = (usedPercent: number) => ({ fiveHour: { usedPercent: 0 }, week: { usedPercent } });
		const bench = await createBench({
			host,
			accounts: [
				{ name: "a", quota: quota(70) },
				{ name: "b", quota: quota(10) },
			],
			settings: { transport: "sse", "pi-multicodex": { rotation: { policy: "in-order" } } },
		});
		const rpc = bench.rpc();
		await until("usage to be known", () => ["a", "b"].every((name) => bench.status(name).usage !== undefined));
		await rpc.send("/multicodex cap a week=20%");
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #1");
		// The headers of this answer tell that the cap is passed: one answer is the overshoot.
		bench.codex.account("a").setQuota(quota(81));
		expect((await rpc.prompt("say hi")).text).toBe("OK from a #2");
		expect((await rpc.prompt("say hi")).text).toBe("OK from b #1");
		const refused = await bench.run(["-p", "/multicodex use a"]);
		expect([refused.code, refused.stderr]).toEqual([
			1,
			expect.stringContaining("a is at its cap: 19% of its week limit"),
		]);
		await rpc.send("/multicodex disable b");
		const dry = await bench.print("say hi");
		expect([dry.code, dry.stderr]).toEqual([
			1,
			expect.stringMatching(/A cap applies to 1 account\..*\/multicodex cap off lifts every cap/),
		]);
		expect(bench.asked()).toEqual(["a", "a", "b"]);
		await bench.run(["-p", "/multicodex cap off"]);
		expect((await bench.print("say hi")).stdout).toMatch(/^OK from a /);
	},
);
