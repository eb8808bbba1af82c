import { beforeEach, describe, expect, it } from "vitest";
import { chainSchema } from "../../../../src/pi/json-schemas.ts";
import { aCooldown, anAccount, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { type CommandHarness, createCommandHarness } from "../../command-harness.ts";
import type { FakeModel } from "../../fake-pi.ts";

const model = (provider: string, id: string, input = 0, output = 0): FakeModel => ({
	provider,
	id,
	api: "anthropic-messages",
	baseUrl: "",
	cost: { input, output },
});
const MODELS = [
	model("openai-codex", "gpt-5.5"),
	model("openai-codex", "gpt-6-luna"),
	model("anthropic", "claude-opus-5-5", 5, 25),
	model("anthropic", "claude-haiku-4-5", 1, 5),
	model("openrouter", "z-ai/glm-5.3", 0.6, 2.2),
	model("groq", "fast"),
	{ ...model("openai-codex", "pool"), api: "pi-virtual" },
	{ ...model("router", "auto"), api: "pi-virtual" },
];

let cli: CommandHarness;
const begin = (hasVirtualModels = true, mode: "tui" | "print" = "tui") => {
	cli = createCommandHarness([anAccount("work"), anAccount("home")], { mode, hasPanels: false }, { hasVirtualModels });
	cli.screen.models = MODELS;
	cli.screen.unsigned.add("groq");
};
beforeEach(() => begin());
const run = (args: string) => cli.run(args);
const chain = () => cli.harness.settings.beyond.chain;

describe("/multicodex chain add", () => {
	it("lists models in the order given, and says what each costs", async () => {
		expect(await run("chain add anthropic/claude-opus-5-5 openai-codex/gpt-6-luna")).toBe(
			"info: anthropic/claude-opus-5-5 is on the chain (paid: $5 in, $25 out per million tokens). Choose openai-codex/pool in /model for sessions that use the chain.\n" +
				"openai-codex/gpt-6-luna is on the chain (subscription). Choose openai-codex/pool in /model for sessions that use the chain.",
		);
		expect(chain()).toEqual(["anthropic/claude-opus-5-5", "openai-codex/gpt-6-luna"]);
	});

	it.each([
		[
			"claude",
			'"claude" is not of the form provider/model. Did you mean anthropic/claude-opus-5-5 or anthropic/claude-haiku-4-5?',
			[],
		],
		["model", '"model" is not of the form provider/model.', []],
		[
			"anthropic/claude-opus-5.5",
			"pi knows no model anthropic/claude-opus-5.5. Did you mean anthropic/claude-opus-5-5?",
			[],
		],
		[
			"claude-opus-5-5",
			'"claude-opus-5-5" is not of the form provider/model. Did you mean anthropic/claude-opus-5-5?',
			[],
		],
		["nobody/nothing", "pi knows no model nobody/nothing.", []],
		["openai-codex/pool", "openai-codex/pool is the pool with its chain, and cannot be a link of it.", []],
		["router/auto", "router/auto is a virtual model, which cannot be a link of the chain.", []],
		["groq/fast", "groq/fast cannot answer: groq has neither a sign-in nor a key. /login adds one.", []],
		["openrouter/z-ai/glm-5.3", "openrouter/z-ai/glm-5.3 is already on the chain.", ["openrouter/z-ai/glm-5.3"]],
	])("refuses %s in one sentence, and changes nothing", async (name, sentence, before) => {
		for (const link of before) await run(`chain add ${link}`);
		expect(await run(`chain add ${name}`)).toBe(`error: ${sentence}`);
		expect(chain()).toEqual(before);
	});

	it("refuses a Codex model that none of the accounts may use", async () => {
		for (const { id } of cli.harness.pool.accounts()) {
			await cli.harness.state.update(id, (status) => ({
				...status,
				cooldowns: [aCooldown({ scope: "model:gpt-6-luna", reason: "model_not_supported", until: NOW + HOUR_MS })],
			}));
		}
		expect(await run("chain add openai-codex/gpt-6-luna")).toBe(
			"error: openai-codex/gpt-6-luna cannot answer: none of your Codex accounts may use it.",
		);
	});

	it("lists none of several models where one will not do", async () => {
		expect(await run("chain add anthropic/claude-opus-5-5 groq/fast")).toContain("error: groq/fast cannot answer");
		expect(chain()).toEqual([]);
	});
});

describe("/multicodex chain", () => {
	beforeEach(async () => {
		await run("chain add anthropic/claude-opus-5-5 anthropic/claude-haiku-4-5 openai-codex/gpt-6-luna");
	});

	it("shows the links in their order, with what each costs and whether it is ready", async () => {
		cli.screen.unsigned.add("anthropic");
		expect(await run("chain")).toBe(
			[
				"info: While no Codex account can serve, the first of these that can be asked answers in sessions on openai-codex/pool (/model):",
				"1  anthropic/claude-opus-5-5   paid: $5 in, $25 out per million tokens; not",
				"                               signed in",
				"2  anthropic/claude-haiku-4-5  paid: $1 in, $5 out per million tokens; not",
				"                               signed in",
				"3  openai-codex/gpt-6-luna     subscription; ready",
			].join("\n"),
		);
	});

	it("moves a link to a place", async () => {
		expect(await run("chain move openai-codex/gpt-6-luna 1")).toBe(
			"info: 1 openai-codex/gpt-6-luna\n2 anthropic/claude-opus-5-5\n3 anthropic/claude-haiku-4-5",
		);
		for (const place of ["0", "4", "first"]) {
			expect(await run(`chain move openai-codex/gpt-6-luna ${place}`)).toBe(
				`error: "${place}" is not a place on the chain, which has 3 models.`,
			);
		}
		expect(chain()[0]).toBe("openai-codex/gpt-6-luna");
	});

	it("takes links off, and says when the virtual model goes with the last one", async () => {
		expect(await run("chain remove anthropic/claude-haiku-4.5")).toBe(
			"error: anthropic/claude-haiku-4.5 is not on the chain. Did you mean anthropic/claude-haiku-4-5?",
		);
		expect(await run("chain remove anthropic/claude-haiku-4-5")).toBe(
			"info: anthropic/claude-haiku-4-5 was removed from the chain.",
		);
		expect(await run("chain clear")).toBe("info: The chain is empty: openai-codex/pool is gone from /model.");
		expect(await run("chain clear")).toBe("info: The chain was already empty.");
		expect(await run("chain")).toContain("The chain is empty: while no Codex account can serve");
	});

	it("/multicodex chain is one JSON document for a program", async () => {
		const command = cli.commands.named.find(({ name }) => name === "chain");
		expect(command).toBeDefined();
		const text = (await run("chain --json")).replace("info: ", "");
		expect(chainSchema.parse(JSON.parse(text))).toMatchObject({
			virtualModel: "openai-codex/pool",
			selected: false,
			links: [
				{ model: "anthropic/claude-opus-5-5", state: "ready", paid: true, price: { input: 5, output: 25 } },
				{ model: "anthropic/claude-haiku-4-5", subscription: false },
				{ model: "openai-codex/gpt-6-luna", paid: false, subscription: true, price: null },
			],
		});
	});

	it("names the nearest of its words for one that is mistyped", async () => {
		expect(await run("chain ad x/y")).toMatch(/^error: Did you mean add\? Usage: /);
		expect(await run("chain add")).toMatch(/^error: Usage: /);
	});

	it("offers its words, and links where one is to be removed or moved", () => {
		expect(cli.offered("chain ")).toEqual(["add", "remove", "move", "clear", "--json"].map((word) => `chain ${word}`));
		expect(cli.offered("chain remove haiku")).toEqual(["chain remove anthropic/claude-haiku-4-5"]);
	});
});

it("a host without virtual models learns what the chain is good for there", async () => {
	begin(false);
	expect(await run("chain add anthropic/claude-opus-5-5")).toBe(
		"info: anthropic/claude-opus-5-5 is on the chain (paid: $5 in, $25 out per million tokens).",
	);
	expect(await run("chain")).toContain("This pi has no virtual models");
});
