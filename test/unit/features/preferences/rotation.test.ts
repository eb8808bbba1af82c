import { beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { createRotation } from "../../../../src/features/preferences/rotation.ts";
import { isFailure } from "../../../../src/pi/command.ts";
import { createCommandContext } from "../../../../src/pi/run-command.ts";
import { ROTATION_PREFERENCES } from "../../../../src/platform/stores/settings-schema.ts";
import { anAccount } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

let cli: CommandHarness;

beforeEach(() => {
	cli = createCommandHarness([anAccount("a"), anAccount("b")]);
	cli.harness.settings = DEFAULT_SETTINGS;
});

const run = (args: string) => cli.run(args);
const rotation = () => cli.harness.settings.rotation;
/** The value that stands behind a name in what was said. */
const shown = (text: string, key: string) =>
	text
		.split("\n")
		.map((line) => line.replace(/^info: /, "").split(/ {2,}/))
		.find(([name]) => name === key)?.[1];

describe("rotation", () => {
	it("shows every value, and what it does, if there is no panel", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await run("rotation");
		const lines = text.replace("info: ", "").split("\n");
		expect(lines).toHaveLength(ROTATION_PREFERENCES.length);
		for (const { key, summary, stored } of ROTATION_PREFERENCES) {
			expect([key, shown(text, key)]).toEqual([key, String(stored(rotation()))]);
			expect(text).toContain(summary);
		}
		expect(cli.stored).toEqual([]);
	});

	it("shows the contract's values", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await run("rotation");
		const values = ["policy", "maxRotations", "maxWait", "cooldown", "reserve.5h", "reserve.7d", "fastMode"];
		expect(values.map((key) => shown(text, key))).toEqual(["soonest-reset", "5", "60s", "1h", "0", "0", "off"]);
	});

	it.each<[string, string, string | number, string]>([
		["policy=round-robin", "policy", "round-robin", "round-robin"],
		["maxRotations=0", "maxRotations", 0, "0"],
		["maxWait=8h", "maxWait", "8h", "8h"],
		["maxWait=0s", "maxWait", "0s", "0s"],
		["cooldown=90s", "cooldown", "90s", "90s"],
		["reserve.5h=10", "reserve.5h", 10, "10"],
		["reserve.7d=20", "reserve.7d", 20, "20"],
		["fastMode=auto", "fastMode", "auto", "auto"],
		["FASTMODE=always", "fastMode", "always", "always"],
	])("%s stores it as it is typed, at once, and shows all of them", async (typed, key, value, text) => {
		const writesBefore: number[] = [];
		cli.harness.pool.subscribe(() => writesBefore.push(cli.stored.length));
		const said = await run(`rotation ${typed}`);
		expect(cli.stored).toEqual([{ [`rotation.${key}`]: value }]);
		expect([shown(said, key), said.split("\n").length]).toEqual([text, ROTATION_PREFERENCES.length]);
		// Every screen is drawn with the new value.
		expect(writesBefore.at(-1)).toBe(1);
	});

	it("has a test of each value above", () => {
		expect(ROTATION_PREFERENCES.map(({ key }) => key)).toEqual([
			"policy",
			"maxRotations",
			"maxWait",
			"cooldown",
			"reserve.5h",
			"reserve.7d",
			"fastMode",
		]);
	});

	it("takes several at once, in one write, the last of two for one name", async () => {
		await run("rotation policy=in-order maxWait=15m policy=most-headroom reserve.7d=20");
		expect(cli.stored).toEqual([
			{ "rotation.policy": "most-headroom", "rotation.maxWait": "15m", "rotation.reserve.7d": 20 },
		]);
		expect(rotation()).toMatchObject({ policy: "most-headroom", maxWaitMs: 900_000, reserve: { "5h": 0, "7d": 20 } });
	});

	it("acts on the next choice, without a restart", async () => {
		const choose = () =>
			cli.harness.pool.plan({ modelId: "m", affinity: undefined, sessionId: aSessionId("s") }).next?.id;
		cli.harness.state.chosenLast = anId("a");
		expect(choose()).toBe("a");
		await run("rotation policy=round-robin");
		expect(choose()).toBe("b");
	});

	it("names what is bad, leaves it as it is, and takes the rest", async () => {
		const said = await run("rotation policy=fastest maxWait=15m speed=9 reserve.5h=96");
		const [first, second, third] = said.replace("info: ", "").split("\n");
		expect(first).toMatch(/^policy .* soonest-reset, .*stays as it is/);
		expect(second).toContain('"speed"');
		expect(third).toMatch(/^reserve\.5h .* from 0 to 95/);
		expect(cli.stored).toEqual([{ "rotation.maxWait": "15m" }]);
		expect([shown(said, "policy"), shown(said, "maxWait")]).toEqual(["soonest-reset", "15m"]);
	});

	it.each([
		"policy=",
		"policy",
		"=round-robin",
		"maxRotations=51",
		"maxRotations=-1",
		"maxRotations=2.5",
		"maxRotations=many",
		"maxWait=60",
		"maxWait=-5s",
		"maxWait=1fortnight",
		"cooldown=999999d",
		"reserve.5h=20%",
		"reserve=20",
		"reserve.30d=5",
		"fastMode=on",
		"--json",
		"toString=1",
		"__proto__=1",
		"speed=9 policy=x",
	])("is a failure in one line, with how it is typed, if nothing of it is good: %s", async (typed) => {
		const said = await run(`rotation ${typed}`);
		expect(said).toMatch(/^error: .*Usage: \/multicodex rotation \[name=value …\|default\]$/);
		expect([said.split("\n").length, cli.stored, rotation()]).toEqual([1, [], DEFAULT_SETTINGS.rotation]);
	});

	it("says why if it cannot be stored, and changes nothing", async () => {
		cli.settingsRefusal = Object.assign(new Error("not valid JSON"), { code: "EUNREADABLE" });
		expect(await run("rotation policy=in-order")).toMatch(/^error: .*: not valid JSON$/);
		expect(rotation()).toEqual(DEFAULT_SETTINGS.rotation);
	});

	it("rotation is one JSON document for a program, with the values as they are stored", async () => {
		const { pool } = cli.harness;
		const unchanged = async () => undefined;
		const settings = { read: () => cli.harness.settings, set: unchanged, change: unchanged, changeChain: unchanged };
		const command = createRotation({
			settings,
			pool,
			session: { request: () => ({ modelId: "gpt-5.5", sessionId: undefined, affinity: undefined }) },
		});
		const args = command.parse(["maxWait=soon", "maxRotations=5"]);
		const signal = new AbortController().signal;
		const session = { commands: [], signal, isMasked: () => false, emit: pool.emit, ended: Promise.resolve() };
		const ctx = createCommandContext(cli.screen.ctx, session);
		const outcome = isFailure(args) ? args : await command.run(args, ctx);
		expect(outcome && "json" in outcome && outcome.json).toEqual({
			rotation: {
				policy: "soonest-reset",
				maxRotations: 5,
				maxWait: "60s",
				cooldown: "1h",
				"reserve.5h": 0,
				"reserve.7d": 0,
				fastMode: "off",
			},
			problems: [expect.stringContaining("maxWait must be")],
		});
	});
});

describe("completions of rotation", () => {
	it("completions of rotation are values that will do, each of them", () => {
		const values = cli.offered("rotation ") ?? [];
		for (const { key } of ROTATION_PREFERENCES) {
			expect(values.some((value) => value.startsWith(`rotation ${key}=`))).toBe(true);
		}
		for (const value of values) {
			const [, key = "", typed = ""] = /^rotation ([^=]+)=(.*)$/.exec(value) ?? [];
			const preference = ROTATION_PREFERENCES.find((each) => each.key === key);
			const stored = /^\d+$/.test(typed) ? Number(typed) : typed;
			expect([value, preference?.read(stored, DEFAULT_SETTINGS.rotation)]).toEqual([value, expect.anything()]);
		}
	});

	it("completions of rotation follow what is typed", () => {
		expect(cli.offered("rotation pol")).toEqual([
			"rotation policy=soonest-reset",
			"rotation policy=most-headroom",
			"rotation policy=in-order",
			"rotation policy=round-robin",
		]);
		expect(cli.offered("rotation policy=rou")).toEqual(["rotation policy=round-robin"]);
		expect(cli.offered("rotation policy=head")).toEqual(["rotation policy=most-headroom"]);
		expect(cli.offered("rotation robin")).toEqual(["rotation policy=round-robin"]);
		expect(cli.offered("rotation maxWait=45 m")).toBeNull();
		expect(cli.offered("rotation zz")).toBeNull();
	});

	it("completions of rotation offer no value twice, and keep those that stand there already", () => {
		const values = cli.offered("rotation policy=in-order ") ?? [];
		expect(values.every((value) => value.startsWith("rotation policy=in-order "))).toBe(true);
		expect(values.some((value) => value.includes(" maxWait="))).toBe(true);
		expect(values.some((value) => value.slice("rotation policy=in-order ".length).startsWith("policy"))).toBe(false);
	});

	it("completions of rotation offer nothing once a value is whole: an open list would swallow the Enter", () => {
		expect(cli.offered("rotation policy=in-order")).toBeNull();
		// Ten begins like one, which is as good a value.
		expect(cli.offered("rotation maxRotations=1")).toBeNull();
		expect(cli.offered("rotation maxWait=37m")).toBeNull();
		expect(cli.offered("rotation maxWait=1")).toEqual(["rotation maxWait=15m"]);
	});
});
