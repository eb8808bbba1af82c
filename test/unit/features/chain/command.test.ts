import { beforeEach, describe, expect, it } from "vitest";
import * as texts from "../../../../src/features/chain/texts.ts";
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
		expect((await run("chain add anthropic/claude-opus-5-5 openai-codex/gpt-6-luna")).split("\n")).toEqual([
			expect.stringMatching(
				/^info: anthropic\/claude-opus-5-5 .*paid: \$5 in, \$25 out .* openai-codex\/pool in \/model /,
			),
			texts.added("openai-codex/gpt-6-luna", "subscription", true),
		]);
		expect(chain()).toEqual(["anthropic/claude-opus-5-5", "openai-codex/gpt-6-luna"]);
	});

	it.each([
		["claude", / provider\/model\. .* anthropic\/claude-opus-5-5 or anthropic\/claude-haiku-4-5\?$/, []],
		["model", /"model" .* provider\/model\.$/, []],
		["anthropic/claude-opus-5.5", /no model anthropic\/claude-opus-5\.5\. .* anthropic\/claude-opus-5-5\?$/, []],
		["claude-opus-5-5", / provider\/model\. .* anthropic\/claude-opus-5-5\?$/, []],
		["other/missing", /no model other\/missing\.$/, []],
		["openai-codex/pool", /openai-codex\/pool is the pool .* cannot be a link/, []],
		["router/auto", /router\/auto is a virtual model, .* cannot be a link/, []],
		["groq/fast", /groq\/fast cannot answer: groq .* \/login adds one\.$/, []],
		["openrouter/z-ai/glm-5.3", /openrouter\/z-ai\/glm-5\.3 is already/, ["openrouter/z-ai/glm-5.3"]],
	])("refuses %s in one line, and changes nothing", async (name, reason, before) => {
		for (const link of before) await run(`chain add ${link}`);
		const said = await run(`chain add ${name}`);
		expect(said).toMatch(/^error: .*$/);
		expect(said).toMatch(reason);
		expect(chain()).toEqual(before);
	});

	it("refuses a Codex model that none of the accounts may use", async () => {
		for (const { id } of cli.harness.pool.accounts()) {
			await cli.harness.state.update(id, (status) => ({
				...status,
				cooldowns: [aCooldown({ scope: "model:gpt-6-luna", reason: "model_not_supported", until: NOW + HOUR_MS })],
			}));
		}
		expect(await run("chain add openai-codex/gpt-6-luna")).toMatch(/^error: openai-codex\/gpt-6-luna .*: none of /);
	});

	it("lists none of several models if one will not do", async () => {
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
		expect(await run("chain")).toMatch(
			new RegExp(
				[
					"^info: .* openai-codex/pool \\(/model\\):",
					"1  anthropic/claude-opus-5-5   paid: \\$5 in, \\$25 out .*; not",
					" {31}signed in",
					"2  anthropic/claude-haiku-4-5  paid: \\$1 in, \\$5 out .*; not",
					" {31}signed in",
					"3  openai-codex/gpt-6-luna     subscription; ready$",
				].join("\n"),
			),
		);
	});

	it("moves a link to a place", async () => {
		expect(await run("chain move openai-codex/gpt-6-luna 1")).toBe(
			"info: 1 openai-codex/gpt-6-luna\n2 anthropic/claude-opus-5-5\n3 anthropic/claude-haiku-4-5",
		);
		for (const place of ["0", "4", "first"]) {
			expect(await run(`chain move openai-codex/gpt-6-luna ${place}`)).toMatch(
				new RegExp(`^error: "${place}" .* 3 models\\.$`),
			);
		}
		expect(chain()[0]).toBe("openai-codex/gpt-6-luna");
	});

	it("takes links off, and says when the virtual model goes with the last one", async () => {
		expect(await run("chain remove anthropic/claude-haiku-4.5")).toMatch(
			/^error: anthropic\/claude-haiku-4\.5 is not .* anthropic\/claude-haiku-4-5\?$/,
		);
		expect(await run("chain remove anthropic/claude-haiku-4-5")).toMatch(
			/^info: anthropic\/claude-haiku-4-5 was removed from the chain\.$/,
		);
		expect(await run("chain clear")).toMatch(/^info: .* empty: openai-codex\/pool is gone/);
		expect(await run("chain clear")).toBe(`info: ${texts.cleared(0)}`);
		expect(await run("chain")).toBe(`info: ${texts.EMPTY}`);
	});

	it("/multicodex chain is one JSON document for a program", async () => {
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
		expect(await run("chain ad x/y")).toMatch(/^error: .* add\? Usage: /);
		expect(await run("chain add")).toMatch(/^error: Usage: /);
	});

	it("offers its words, and links if one is to be removed or moved", () => {
		expect(cli.offered("chain ")).toEqual(["add", "remove", "move", "clear", "--json"].map((word) => `chain ${word}`));
		expect(cli.offered("chain remove haiku")).toEqual(["chain remove anthropic/claude-haiku-4-5"]);
	});
});

it("a host without virtual models learns what the chain is good for there", async () => {
	begin(false);
	expect(await run("chain add anthropic/claude-opus-5-5")).not.toContain("openai-codex/pool");
	expect(await run("chain")).toContain(texts.heading(false));
});
