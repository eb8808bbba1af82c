import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { MODEL } from "../../harness.ts";

let cli: CommandHarness;
beforeEach(() => {
	cli = createCommandHarness([
		anAccount("work", { id: anId("3f9c0a7be21d") }),
		anAccount("home", { id: anId("3f00aa7be21d") }),
	]);
});
const documentOf = async (args: string) => JSON.parse((await cli.run(args)).replace("info: ", ""));

describe("log", () => {
	beforeEach(() => {
		const kinds = Array.from({ length: 30 }, (_, at) => (at % 2 ? ("pinned" as const) : ("signed-out" as const)));
		cli.decisions = kinds.map((kind, at) => ({
			at: NOW + at,
			pid: 1,
			kind,
			account: anId("3f9c0a7be21d"),
			reason: "revoked",
		}));
	});

	it("shows the last twenty, or as many as were asked for", async () => {
		expect((await cli.run("log")).split("\n")).toHaveLength(20);
		expect((await cli.run("log 3")).split("\n")).toEqual([
			expect.stringContaining("work: pinned"),
			expect.stringContaining("work: signed out"),
			expect.stringContaining("work: pinned"),
		]);
		const { version, decisions } = await documentOf("log 2 --json");
		expect([version, decisions.length, decisions[0].account]).toEqual([1, 2, "3f9c0a7be21d"]);
		expect((await documentOf("log --json 25")).decisions).toHaveLength(25);
	});

	it.each(["log 0", "log -1", "log many", "log 3 4", "log --xml", "log 1.5"])("takes no `%s`", async (args) => {
		expect(await cli.run(args)).toMatch(/^error: (.* no option --\w+ .*)?Usage: \/multicodex log \[n\] \[--json\]$/);
	});
});

describe("why", () => {
	it("answers as the next request of this session would be decided", async () => {
		cli.harness.affinity.begin(aSessionId("s"), anId("3f00aa7be21d"), NOW);
		expect(await cli.run("why")).toMatch(/^info: home serves next \(soonest-reset\): .* session last\.\n/);
		expect(await documentOf("why --json")).toMatchObject({ next: "3f00aa7be21d", decidedBy: "session" });
		await cli.harness.pool.pin(anId("3f9c0a7be21d"));
		expect(await cli.run("why")).toMatch(/^info: work serves next \(soonest-reset\): .*pinned\.\n/);
	});

	it("asks for the session's model, else for the saved one", async () => {
		const cooldowns = [aCooldown({ scope: "model:gpt-6" })];
		cli.harness.state.statusById.set(anId("3f9c0a7be21d"), { cooldowns, strikes: 0 });
		cli.savedModel = "gpt-6";
		cli.screen.model = { provider: "anthropic", baseUrl: "x" };
		expect(await documentOf("why --json")).toMatchObject({ model: "gpt-6", next: "3f00aa7be21d" });
		cli.savedModel = undefined;
		expect(await documentOf("why --json")).toMatchObject({ model: null, next: "3f9c0a7be21d" });
	});

	it("says that no account serves while pi holds a key of its own", async () => {
		cli.isForeign = true;
		expect(await cli.run("why")).toMatch(/^info: auth\.json has an API key/);
		expect(await documentOf("why --json")).toMatchObject({ next: null, candidates: [{ rank: 1 }, { rank: 2 }] });
	});

	it.each(["why not", "why --json now"])("takes no `%s`", async (args) => {
		expect(await cli.run(args)).toBe("error: Usage: /multicodex why [--json]");
	});
});

const IDS = ["a", "b", "c", "d"].map(anId);
const window = (windowMinutes: number) =>
	fc.record({
		windowMinutes: fc.constant(windowMinutes),
		usedPercent: fc.constantFrom(0, 50, 75, 81, 99, 100),
		resetsAt: fc.constantFrom(undefined, NOW - 1, NOW + HOUR_MS, NOW + 5 * HOUR_MS, NOW + 7 * DAY_MS),
	});
const cooldown = fc
	.record({
		scope: fc.constantFrom("account", `model:${MODEL.id}`, "model:another"),
		until: fc.constantFrom(NOW - 1, NOW + HOUR_MS),
	} as const)
	.map((told) => aCooldown(told));
const status = fc.record({
	cooldowns: fc.array(cooldown, { maxLength: 2 }),
	usage: fc.option(
		fc
			.tuple(fc.option(window(300)), fc.option(window(10_080)), fc.constantFrom(NOW, NOW - HOUR_MS))
			.map(([short, long, capturedAt]) =>
				aSnapshot({ capturedAt, windows: [short, long].filter((each) => each !== null) }),
			),
		{ nil: undefined },
	),
	strikes: fc.constant(0),
});
const someone = fc.option(fc.constantFrom(...IDS), { nil: undefined });
const situation = fc.record({
	rows: fc.array(fc.record({ enabled: fc.boolean(), isLost: fc.boolean(), status, live: fc.nat({ max: 3 }) }), {
		minLength: 1,
		maxLength: 4,
	}),
	policy: fc.constantFrom("soonest-reset", "most-headroom", "in-order", "round-robin"),
	reserve: fc.record({ "5h": fc.constantFrom(0, 20), "7d": fc.constantFrom(0, 30) }),
	pinned: someone,
	chosenLast: someone,
	served: someone,
	servedMs: fc.constantFrom(0, 30 * MINUTE_MS, HOUR_MS, DAY_MS),
	isCompacted: fc.boolean(),
	maxWaitMs: fc.constantFrom(0, HOUR_MS - 1, HOUR_MS),
} as const);

it("why names the account of the next request, or none if that request finds none or waits", async () => {
	let waitedForRoom = 0;
	await fc.assert(
		fc.asyncProperty(situation, async ({ rows, pinned, chosenLast, served, servedMs, isCompacted, ...rotation }) => {
			const needsLogin = { reason: "revoked", at: NOW };
			const accounts = rows.map(({ enabled, isLost }, at) =>
				anAccount(IDS[at] ?? anId(""), { enabled, needsLogin: isLost ? needsLogin : undefined }),
			);
			const asked = createCommandHarness(accounts);
			const { harness } = asked;
			const { settings, state } = harness;
			harness.settings = { ...settings, rotation: { ...settings.rotation, ...rotation } };
			for (const [at, { status, live }] of rows.entries()) {
				const id = IDS[at] ?? anId("");
				state.statusById.set(id, status);
				for (let session = 0; session < live; session += 1) state.live.set(`${id}-${session}`, id);
			}
			Object.assign(state, { pinnedId: pinned, chosenLast });
			harness.affinity.begin(aSessionId("s"), served, NOW - servedMs);
			if (isCompacted) harness.affinity.compacted();
			Object.assign(asked.screen.model ?? {}, { id: MODEL.id });
			const { next, candidates } = JSON.parse((await asked.run("why --json")).replace("info: ", ""));
			const hasCrowded = candidates.some(({ gate }: { gate: { kind: string } | null }) => gate?.kind === "crowded");
			const abort = new AbortController();
			harness.onPause = () => abort.abort();
			await harness.ask({ signal: abort.signal });
			expect(harness.tries[0] ?? null).toBe(next);
			const wait = harness.told.find((event) => event.type === "waiting" && event.until !== undefined);
			if (hasCrowded && next === null) expect(wait).toBeDefined();
			if (wait) expect([wait, next]).toMatchObject([{ forRoom: hasCrowded }, null]);
			if (hasCrowded && wait) waitedForRoom += 1;
		}),
		runs(150),
	);
	expect(waitedForRoom).toBeGreaterThan(0);
});
