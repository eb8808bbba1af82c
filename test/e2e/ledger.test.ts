import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it, vi } from "vitest";
import { z } from "zod";
import { usageSchema } from "../../src/pi/json-schemas.ts";
import { answers } from "../support/fake-codex/index.ts";
import { until } from "../support/fakes.ts";
import type { Rpc } from "../support/rpc.ts";
import { wide } from "../support/tiers.ts";
import { type Bench, createBench } from "./support.ts";
import { watchedDisk } from "./under-fire-support.ts";

vi.setConfig({ testTimeout: 300_000 });

const LEDGER = "codex-ledger.jsonl";
const HOUR_MS = 3_600_000;
/** Longer than what a process has counted stays unwritten. */
const BEHIND_MS = 1000;
/** A pi that ends is not killed before this, however busy the machine is. */
const PATIENCE_MS = 60_000;
const PROMPT = "ledgerprompt";
const ANSWER = "ledgeranswer";

const rowSchema = z.object({
	account: z.string(),
	requests: z.number().default(0),
	input: z.number().default(0),
	cached: z.number().default(0),
	output: z.number().default(0),
	cost: z.number().default(0),
	rotations: z.number().default(0),
	refusals: z.number().default(0),
	refusedMs: z.number().default(0),
});
type Row = z.output<typeof rowSchema>;
type Counted = Pick<Row, "requests" | "input" | "cached" | "output">;

/** What the lines of the file add up to, by account name. Read without any code of ours. */
function sumsOf(bench: Bench): Readonly<Record<string, Row>> {
	const sums: Record<string, Row> = {};
	const [, ...lines] = (bench.dir.read(LEDGER) ?? "\n").trimEnd().split("\n");
	for (const line of lines) {
		const row = rowSchema.parse(JSON.parse(line));
		const name = bench.codex.accounts.find((account) => bench.id(account.name) === row.account)?.name ?? "?";
		const sum = sums[name] ?? rowSchema.parse({ account: row.account });
		const add = (key: Exclude<keyof Row, "account">) => sum[key] + row[key];
		sums[name] = {
			account: row.account,
			requests: add("requests"),
			input: add("input"),
			cached: add("cached"),
			output: add("output"),
			cost: add("cost"),
			rotations: add("rotations"),
			refusals: add("refusals"),
			refusedMs: add("refusedMs"),
		};
	}
	return sums;
}
const totalOf = (bench: Bench) => Object.values(sumsOf(bench)).reduce((sum, { requests }) => sum + requests, 0);
const countedIn = (bench: Bench) =>
	Object.fromEntries(
		Object.entries(sumsOf(bench))
			.filter(([, { requests }]) => requests > 0)
			.map(([name, { requests, input, cached, output }]) => [name, { requests, input, cached, output }]),
	);

/** Answers with other figures each time. Gives what it has told of each account so far. */
function tellFigures(bench: Bench, names: readonly string[]): Record<string, Counted> {
	const told: Record<string, Counted> = {};
	let count = 0;
	for (const name of names) {
		bench.codex.account(name).always(() => {
			count += 1;
			const [inputTokens, cachedTokens, outputTokens] = [1000 + 7 * count, 5 * count, 10 + count];
			const before = told[name] ?? { requests: 0, input: 0, cached: 0, output: 0 };
			told[name] = {
				requests: before.requests + 1,
				// pi tells the input without what a cache had of it.
				input: before.input + inputTokens - cachedTokens,
				cached: before.cached + cachedTokens,
				output: before.output + outputTokens,
			};
			return answers.text(`${ANSWER} ${count}`, { usage: { inputTokens, cachedTokens, outputTokens } });
		});
	}
	return told;
}

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** Kills a pi with nothing said before. */
async function kill(rpc: Rpc): Promise<void> {
	rpc.process.signal("SIGKILL");
	await rpc.close(PATIENCE_MS);
}

/** Files in the agent directory, pi's own sessions aside, that hold `text`. */
function filesWith(bench: Bench, text: string): string[] {
	return readdirSync(bench.dir.dir, { withFileTypes: true })
		.filter((entry) => entry.isFile() && readFileSync(bench.dir.path(entry.name), "utf8").includes(text))
		.map(({ name }) => name)
		.sort();
}

it("the ledger counts what the backend counts, also for a killed pi and a summary, and keeps no word of an answer", async () => {
	const bench = await createBench({
		accounts: ["a", "b", "c"],
		settings: { compaction: { enabled: false, reserveTokens: 16_384, keepRecentTokens: 1 } },
	});
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
	const told = tellFigures(bench, ["b", "c"]);
	const [doomed, other] = [bench.rpc(), bench.rpc()];

	await Promise.all([doomed, other].map((rpc) => rpc.prompt(PROMPT)));
	const atKill = Object.values(told).reduce((sum, { requests }) => sum + requests, 0);
	await until("what was answered is in the file", () => totalOf(bench) >= atKill);
	await kill(doomed);
	await other.prompt(`${PROMPT} again`);
	await other.command("compact");
	await other.close(PATIENCE_MS);
	expect((await bench.print(PROMPT)).code).toBe(0);

	expect(countedIn(bench)).toEqual(told);
	const requests = bench.codex.responsesRequests();
	const refused = requests.filter(({ status }) => status === 429);
	expect(sumsOf(bench).a).toMatchObject({ refusals: refused.length, requests: 0, cost: 0 });
	expect(sumsOf(bench).a?.rotations).toBeGreaterThan(0);
	expect(sumsOf(bench).b?.cost ?? sumsOf(bench).c?.cost).toBeGreaterThan(0);
	// Two turns, a third in one of them, its summary, and the last one.
	expect(requests.filter(({ status }) => status === 200).length).toBeGreaterThanOrEqual(5);
	expect(filesWith(bench, bench.id("b"))).toContain(LEDGER);
	expect([filesWith(bench, PROMPT), filesWith(bench, ANSWER)]).toEqual([[], []]);

	const shown = await bench.print("/multicodex usage today --by project --json");
	const { rows, total } = usageSchema.parse(JSON.parse(shown.stdout));
	expect(rows.map(({ key }) => key)).toEqual([bench.dir.cwd]);
	const all = Object.values(told);
	expect(total).toMatchObject({
		requests: all.reduce((sum, each) => sum + each.requests, 0),
		output: all.reduce((sum, each) => sum + each.output, 0),
	});
	const deleted = await bench.print("/multicodex usage --forget --yes");
	expect([deleted.stdout, existsSync(bench.dir.path(LEDGER))]).toEqual(["Deleted what was counted.\n", false]);
});

it("the ledger counts nothing, and makes no file, if the person wants that", async () => {
	const bench = await createBench({ settings: { "pi-multicodex": { ledger: false } } });
	expect((await bench.print("say hi")).code).toBe(0);
	const { stdout } = await bench.print("/multicodex usage");
	expect(stdout).toContain("Nothing is counted");
	expect(bench.dir.read(LEDGER)).toBeUndefined();
});

wide("the ledger has the figures of eight pis at once, four of which are killed once these are written", async () => {
	const bench = await createBench({ accounts: ["a", "b", "c"] });
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: HOUR_MS }));
	const told = tellFigures(bench, ["b", "c"]);
	const pis = Array.from({ length: 8 }, () => bench.rpc());
	const turns = (some: readonly Rpc[], count: number) =>
		Promise.all(
			some.map(async (rpc) => {
				for (let turn = 0; turn < count; turn += 1) await rpc.prompt(`${PROMPT} ${turn}`);
			}),
		);
	await turns(pis, 3);
	await until("what was answered is in the file", () => totalOf(bench) >= 24);
	await Promise.all([...pis.slice(0, 4).map(kill), turns(pis.slice(4), 4)]);
	await Promise.all(pis.map((rpc) => rpc.close(PATIENCE_MS)));
	expect(countedIn(bench)).toEqual(told);
	expect(Object.values(told).reduce((sum, { requests }) => sum + requests, 0)).toBe(40);
});

wide(
	"the ledger loses no more than the last moment of a pi that is killed at any time, and no line of the others",
	async () => {
		const bench = await createBench({ accounts: ["b"] });
		const told = tellFigures(bench, ["b"]);
		const pis = Array.from({ length: 8 }, () => bench.rpc());
		const doomed = pis.slice(0, 4);
		for (const turn of [1, 2, 3]) {
			await Promise.all(pis.map((rpc) => rpc.prompt(`${PROMPT} ${turn}`)));
			await until("what was answered is in the file", () => totalOf(bench) === 8 * turn);
		}
		await Promise.all(
			pis.map(async (rpc) => {
				await rpc.prompt(PROMPT);
				if (doomed.includes(rpc)) await kill(rpc);
			}),
		);
		await Promise.all(pis.map((rpc) => rpc.close(PATIENCE_MS)));
		const written = totalOf(bench);
		expect(told.b?.requests).toBe(32);
		expect(written).toBeGreaterThanOrEqual(32 - doomed.length);
		expect(written).toBeLessThanOrEqual(32);
	},
);

wide(
	"the ledger has what was answered while the disk was full, once there is room again, and has it once",
	async () => {
		const bench = await createBench({ accounts: ["b"] });
		const told = tellFigures(bench, ["b"]);
		const trouble = join(bench.dir.home, "disk");
		const rpc = bench.rpc([], { env: watchedDisk(bench, { trouble }) });
		await rpc.prompt(PROMPT);
		await until("the first turn is in the file", () => totalOf(bench) === 1);
		writeFileSync(trouble, "full");
		for (const turn of [2, 3]) {
			await rpc.prompt(`${PROMPT} ${turn}`);
			await pause(BEHIND_MS);
		}
		expect(totalOf(bench)).toBe(1);
		rmSync(trouble);
		await rpc.prompt(PROMPT);
		await rpc.close(PATIENCE_MS);
		expect(countedIn(bench)).toEqual(told);
		expect(told.b?.requests).toBe(4);
	},
);
