import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../../../src/core/settings.ts";
import { whatComesNext } from "../../../../src/features/preferences/beyond-texts.ts";
import { anAccount, HOUR_MS, NOW, settled } from "../../../support/fakes.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import { aContext } from "../../fake-pi.ts";

let cli: CommandHarness;
beforeEach(() => {
	cli = createCommandHarness([anAccount("a")]);
	cli.harness.settings = DEFAULT_SETTINGS;
});

/** The person has said yes for the rest of the day. */
const agree = (kind: string) => cli.harness.state.consentsById.set(kind, NOW + HOUR_MS);

describe("beyond", () => {
	it("shows every value, and what happens in which order, where there is no panel", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await cli.run("beyond");
		expect(text).toMatch(/^info: credits +own +\S/);
		expect(text).toMatch(/^reserve +ask +\S/m);
		expect(text).toMatch(
			/^When all quota is out: bought credits where plain pi would spend them, then Luna Reserve if you agree, /m,
		);
		expect(text).not.toContain("said yes");
	});

	it("shows the same on its panel", async () => {
		agree("reserve-model");
		Object.assign(cli.screen.ctx.ui.theme, { fg: (_tone: string, text: string) => text });
		const closed = cli.command.handler("beyond", cli.screen.ctx);
		await settled();
		const text = stripVTControlCharacters(cli.screen.panel?.render(200).join("\n") ?? "");
		expect(text).toContain("When all quota is out: bought credits where");
		expect(text).toContain("You have agreed for today, until midnight: Luna Reserve.");
		cli.screen.panel?.handleInput?.("\x1b");
		await closed;
	});

	it.each([
		["credits=ask", { "beyond.credits": "ask" }],
		["reserve=always", { "beyond.reserve": "always" }],
		["credits=never reserve=never", { "beyond.credits": "never", "beyond.reserve": "never" }],
	])("stores %s under its own name", async (typed, stored) => {
		await cli.run(`beyond ${typed}`);
		expect(cli.stored).toEqual([stored]);
	});

	it("names what is bad, and how it is typed", async () => {
		expect(await cli.run("beyond credits=maybe")).toMatch(
			/^error: credits must be one of own, ask, allow, never.* \/multicodex beyond \[name=value …\|default\|forget\]$/,
		);
		expect(cli.stored).toEqual([]);
	});

	it("has what was said yes to today end, in the log as well", async () => {
		const told: string[] = [];
		cli.harness.pool.subscribe((event) => {
			if (event.type === "setting") told.push(`${event.name} ${event.value}`);
		});
		agree("credits");
		agree("reserve-model");
		expect(await cli.run("beyond forget")).toBe(
			"info: You are asked again before these serve: bought credits, Luna Reserve.",
		);
		expect([...cli.harness.state.consentsById]).toEqual([]);
		expect(told).toEqual(["beyond.today none"]);
		expect(await cli.run("beyond forget")).toBe("info: There is no consent for today to end.");
		expect(told).toHaveLength(1);
	});

	it("completes its values, and offers to forget only what there is to forget", () => {
		expect(cli.offered("beyond cred")).toEqual([
			"beyond credits=own",
			"beyond credits=ask",
			"beyond credits=allow",
			"beyond credits=never",
		]);
		expect(cli.offered("beyond ")).not.toContain("beyond forget");
		agree("credits");
		expect(cli.offered("beyond ")).toContain("beyond forget");
		expect(cli.offered("beyond reserve=ask ")).not.toContain("beyond reserve=ask forget");
	});
});

it("says what comes next in the words of the settings", () => {
	const { rotation } = DEFAULT_SETTINGS;
	const never = {
		...DEFAULT_SETTINGS,
		beyond: { ...DEFAULT_SETTINGS.beyond, credits: "never", reserveModel: "never" },
	};
	expect(whatComesNext({ ...never, rotation: { ...rotation, maxWaitMs: 0 } } as typeof DEFAULT_SETTINGS, true)).toBe(
		"When all quota is out: a reset credit if you agree.",
	);
	const chain = ["openai-codex/gpt-6-luna", "anthropic/claude-fable"];
	const allowed = { credits: "allow", reserveModel: "always", chain } as const;
	const withChain = { ...DEFAULT_SETTINGS, beyond: allowed };
	expect(whatComesNext(withChain, true)).toBe(
		"When all quota is out: bought credits, then Luna Reserve, then a reset credit if you agree, " +
			"then openai-codex/gpt-6-luna, anthropic/claude-fable (/multicodex chain), then a wait of up to 60s.",
	);
	// There the person has to choose a link by hand.
	expect(whatComesNext(withChain, false)).toMatch(/a reset credit if you agree, then a wait of up to 60s\.$/);
});
