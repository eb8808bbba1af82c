import { mkdirSync, statSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { z } from "zod";
import { logSchema, whySchema } from "../../src/pi/json-schemas.ts";
import { answers, type FakeAccountInit } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { type Bench, createBench, until } from "./support.ts";

const HOUR_MS = 3_600_000;
const LOG = "codex-events.jsonl";
/** With usage unknown the order of accounts is that of the list. */
const usage = answers.serverError(503);
const people: readonly FakeAccountInit[] = ["ann", "ben", "cat"].map((name) => ({
	name,
	email: `${name}@secret-person.example`,
	userId: `secret-user-${name}`,
}));

async function logged(bench: Bench) {
	const { stdout, stderr, code } = await bench.print("/multicodex log 100 --json");
	expect([code, stderr]).toEqual([0, ""]);
	return logSchema.parse(JSON.parse(stdout)).decisions;
}

describe("after a rotation", () => {
	it("log and why tell who served, who was left, and why, by ids alone", async () => {
		const bench = await createBench({ accounts: people, usage });
		const [ann, ben, cat] = ["ann", "ben", "cat"].map(bench.id);
		bench.codex.account("ann").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from ben #1\n" });

		const decisions = await logged(bench);

		expect(decisions).toMatchObject([
			{ kind: "chosen", account: ann, decidedBy: "list", model: bench.host.model },
			{ kind: "cooling", account: ann, reason: "usage_limit", scope: "account" },
			{ kind: "rotated", from: ann, account: ben, reason: "usage_limit" },
		]);
		const times = decisions.flatMap((decision) => decision.until ?? []).map((at) => Date.parse(at) - Date.now());
		expect(times).toHaveLength(2);
		for (const inMs of times) expect(Math.abs(inMs - HOUR_MS)).toBeLessThan(120_000);
		const spoken = await bench.print("/multicodex log 1");
		expect(spoken.stdout).toMatch(/^\d\d:\d\d {2}ann to ben: .*limit, back (about )?(\w{3} )?\d\d:\d\d\n$/);
		const why = await bench.print("/multicodex why --json", ["--continue"]);
		// 0.73.1 says the session's last answer again, after what a command says.
		const document = whySchema.parse(JSON.parse(why.stdout.slice(0, why.stdout.lastIndexOf("}") + 1)));
		expect(document).toMatchObject({
			next: ben,
			decidedBy: "session",
			policy: "soonest-reset",
			model: bench.host.model,
		});
		expect(document.candidates.map(({ id, rank, gate }) => [id, rank, gate?.kind])).toEqual([
			[ben, 1, undefined],
			[cat, 2, undefined],
			[ann, null, "cooling"],
		]);
		expect((await bench.print("say hi", ["--continue"])).stdout).toBe("OK from ben #2\n");
		const text = bench.dir.read(LOG) ?? "";
		expect(text).toContain(ben);
		for (const output of [text, why.stdout.split("OK from")[0] ?? ""]) {
			expect(output).not.toMatch(/secret-person|secret-user|\bann\b|\bben\b|\bcat\b|say hi|OK from/);
		}
		expect(statSync(bench.dir.path(LOG)).mode & 0o777).toBe(0o600);
	});

	it("log tells of every change that a person makes, with its day", async () => {
		const bench = await createBench({ accounts: people, usage });
		const rpc = bench.rpc();
		rpc.answerDialogs(() => true);
		for (const words of [
			"disable ann",
			"enable ann",
			"rename ann anna",
			"remove anna",
			"rotation maxWait=8h",
			"off",
			"on",
		]) {
			await rpc.send(`/multicodex ${words}`);
		}
		await rpc.send("/multicodex log 7");
		const told = () => rpc.notifications.at(-1)?.message.split("\n") ?? [];
		expect(told()).toEqual(
			[
				"anna: off, by hand",
				"anna: on again, by hand",
				"anna: renamed",
				"anna: removed",
				"setting rotation.maxWait is 8h",
				"setting enabled is false",
				"setting enabled is true",
			].map((line) => expect.stringMatching(new RegExp(`^\\d\\d:\\d\\d {2}${line} \\(\\d+ \\w{3}\\)$`))),
		);
		await rpc.send("/multicodex add --undo");
		await rpc.send("/multicodex log 1");
		expect(told()).toEqual([expect.stringMatching(/ {2}anna: put back \(/)]);
		expect(bench.dir.read(LOG)).not.toMatch(/\banna?\b/);
	});

	it("a rotation is one line in the session, which tells the first cause and the last account", async () => {
		const bench = await createBench({ accounts: people, usage });
		for (const name of ["ann", "ben"]) bench.codex.account(name).always(answers.usageLimit({ resetsInMs: HOUR_MS }));
		const rpc = bench.rpc();
		expect((await rpc.prompt("say hi")).text).toBe("OK from cat #1");
		// The line is written when what is known of the accounts has come in.
		await rpc.waitForNotification("Continued on");
		const told = rpc.notifications.map(({ message }) => message);
		expect(told).toEqual([expect.stringMatching(/^Codex: ann reached its .*limit.*\. Continued on cat\.$/)]);
	});
});

wide("loses no line of processes that log at once, and passes over what is none", async () => {
	const bench = await createBench({ accounts: people, usage });
	bench.dir.write(LOG, '{"at":"2026-01-01T00:00:00.000Z","kind":"from-the-future"}\n{"torn');
	bench.codex.account("ann").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
	const clients = [bench.rpc(), bench.rpc()];
	await Promise.all(clients.map((client) => client.prompt("say hi")));
	await Promise.all(clients.map((client) => client.close()));
	const served = (await logged(bench)).filter(({ kind }) => kind === "chosen" || kind === "rotated");
	// The second one may have found ann spent already, and begun on another.
	expect(new Set(served.map(({ pid }) => pid)).size).toBe(2);
	expect(new Set(served.map(({ session }) => session)).size).toBe(2);
	expect((bench.dir.read(LOG) ?? "").split("\n").at(-1)).toBe("");
});

it("costs no turn if it cannot be written", async () => {
	const bench = await createBench({ accounts: people, usage });
	// A folder in its place is refused like a read-only disk, also to root.
	mkdirSync(bench.dir.path(LOG));
	bench.codex.account("ann").next(answers.usageLimit({ resetsInMs: HOUR_MS }));
	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from ben #1\n", stderr: "" });
	expect((await bench.print("/multicodex log")).stdout).toBe("No decision has been logged yet.\n");
});

/** Writes what it hears to a file, and throws each time. */
const LISTENER = `
import { appendFileSync } from "node:fs";
const nouns = ["account:switched", "account:cooling", "account:recovered", "account:signed-out", "account:closed", "pool:last-one", "pool:exhausted"];
export default function (pi) {
	for (const noun of nouns) pi.events.on("multicodex:" + noun, (payload) => {
		appendFileSync(process.env.HEARD, JSON.stringify({ noun, payload, frozen: Object.isFrozen(payload) }) + "\\n");
		throw new Error("a listener's own fault");
	});
}
`;
const heardSchema = z.object({ noun: z.string(), payload: z.looseObject({}), frozen: z.literal(true) });

describe.each(coreOf(hostNames.map((host) => ({ host }))))("another extension on pi $host", ({ host }) => {
	it("receives the events of the accounts, and a throw in it ends nothing of ours", async () => {
		const bench = await createBench({ host, accounts: people, usage });
		const [ann, ben] = ["ann", "ben"].map(bench.id);
		bench.dir.write("listener.ts", LISTENER);
		const heard = () => {
			const lines = (bench.dir.read("heard.jsonl") ?? "").split("\n").filter((line) => line !== "");
			return lines.map((line) => heardSchema.parse(JSON.parse(line)));
		};
		bench.codex.account("ann").next(answers.usageLimit({ resetsInMs: HOUR_MS }));
		const env = { HEARD: bench.dir.path("heard.jsonl") };
		const rpc = bench.rpc(["-e", bench.dir.path("listener.ts")], { env });
		expect((await rpc.prompt("say hi")).text).toBe("OK from ben #1");
		await rpc.send("/multicodex reset quota");
		await until("the end of the cooldown to be heard", () => heard().some(({ noun }) => noun === "account:recovered"));

		const model = bench.host.model;
		// 0.73.1 shows the headers of a refusal first, and these tell of the limit already.
		expect(heard().map(({ noun, payload }) => [noun, payload])).toEqual([
			["account:switched", { from: null, to: ann, cause: "policy", how: "chosen", model }],
			[
				"account:cooling",
				{
					account: ann,
					scope: "account",
					reason: "usage_limit",
					until: expect.any(String),
					cause: expect.stringMatching(/^(refusal|usage)$/),
				},
			],
			["account:switched", { from: ann, to: ben, cause: "usage_limit", how: "rotated", model }],
			["account:recovered", { account: ann, scope: "account", cause: "reset" }],
		]);
		await rpc.close();
		expect(bench.dir.read(LOG)).toContain('"kind":"recovered"');
		expect(bench.dir.read("heard.jsonl")).not.toMatch(/secret-person|secret-user|"ann"|"ben"/);
	});
});

describe("a defect of ours", () => {
	/** Newer hosts use it as well: it is broken for us alone. */
	const script = `
		const { any } = AbortSignal;
		AbortSignal.any = (signals) => {
			if (/at startAttempt /.test(new Error().stack)) throw new TypeError("it is not a function");
			return any.call(AbortSignal, signals);
		};`;
	const broken = { NODE_OPTIONS: `--import=data:text/javascript,${encodeURIComponent(script)}` };

	it.each(coreOf(hostNames, (host) => host === "0.73.1"))(
		"leaves a trace without its message, on pi %s",
		async (host) => {
			const bench = await createBench({ host, accounts: ["a"], usage, settings: { transport: "sse" } });
			const failed = await bench.print("say hi", [], { env: { ...broken, NODE_DEBUG: "multicodex" } });
			expect(failed).toMatchObject({ code: 1, stdout: "" });
			expect(failed.stderr).toContain("could not handle this request");
			expect(failed.stderr).toMatch(/MULTICODEX \d+: TypeError \(request\)[\s\S]*startAttempt .*:\d+/);
			expect(failed.stderr).not.toMatch(/is not a function/);

			const [decision, ...others] = (await logged(bench)).filter(({ kind }) => kind === "defect");
			expect(others).toEqual([]);
			expect(decision).toMatchObject({ reason: "request", error: "TypeError" });
			expect(decision?.frames?.[0]).toMatch(/^(src\/core\/request\/attempt\.ts|dist\/start-\S+\.cjs):\d+:\d+$/);
			expect(bench.dir.read(LOG)).not.toMatch(/not a function|AbortSignal/);
			const { stdout } = await bench.run(["-p", "/multicodex log", "/multicodex verify"]);
			expect(stdout).toMatch(/a defect of pi-multicodex: TypeError at\s+(src\/core|dist)\//);
			expect(stdout).toMatch(/^warning +codex-events\.jsonl lists 1 defect of pi-multicodex itself\./m);
		},
	);
});
