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
	it("shows every value, and what happens in which order, if there is no panel", async () => {
		cli.screen = aContext({ mode: "rpc" });
		const text = await cli.run("beyond");
		expect(text).toMatch(/^info: credits +own +\S/);
		expect(text).toMatch(/^reserve +ask +\S/m);
		expect(text).toMatch(/^When .*: bought credits .*, then Luna Reserve if you agree, /m);
		expect(text).not.toContain("until midnight");
	});

	it("shows the same on its panel", async () => {
		agree("reserve-model");
		Object.assign(cli.screen.ctx.ui.theme, { fg: (_tone: string, text: string) => text });
		const closed = cli.command.handler("beyond", cli.screen.ctx);
		await settled();
		const text = stripVTControlCharacters(cli.screen.panel?.render(200).join("\n") ?? "");
		expect(text).toMatch(/^ *When .*: bought credits /m);
		expect(text).toMatch(/ until midnight: Luna Reserve\. \/multicodex beyond forget /);
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
			/^error: credits .* own, ask, allow, never.* \/multicodex beyond \[name=value …\|default\|forget\]$/,
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
		expect(await cli.run("beyond forget")).toMatch(/^info: .* asked again .*: bought credits, Luna Reserve\.$/);
		expect([...cli.harness.state.consentsById]).toEqual([]);
		expect(told).toEqual(["beyond.today none"]);
		expect(await cli.run("beyond forget")).toMatch(/^info: There is no consent/);
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
	expect(whatComesNext({ ...never, rotation: { ...rotation, maxWaitMs: 0 } } as typeof DEFAULT_SETTINGS, true)).toMatch(
		/^When [\w ]+: a reset credit if you agree\.$/,
	);
	const chain = ["openai-codex/gpt-6-luna", "anthropic/claude-fable"];
	const allowed = { credits: "allow", reserveModel: "always", chain } as const;
	const withChain = { ...DEFAULT_SETTINGS, beyond: allowed };
	expect(whatComesNext(withChain, true)).toMatch(
		new RegExp(
			": bought credits, then Luna Reserve, then a reset credit if .*, then " +
				`${chain.join(", ")} \\(/multicodex chain\\), then a wait .* 60s\\.$`,
		),
	);
	// There the person has to choose a link by hand.
	expect(whatComesNext(withChain, false)).not.toContain("chain");
});
