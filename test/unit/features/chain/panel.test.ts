import { stripVTControlCharacters } from "node:util";
import { beforeEach, describe, expect, it } from "vitest";
import { createChainPanel } from "../../../../src/features/chain/panel.ts";
import { linkState } from "../../../../src/features/chain/texts.ts";
import type { ShownLink } from "../../../../src/pi/chain-links.ts";
import { HOUR_MS, NOW, settled } from "../../../support/fakes.ts";
import { MODEL } from "../../harness.ts";
import { aPace } from "../../pace.ts";

const [DOWN, ENTER, ESCAPE] = ["\x1b[B", "\r", "\x1b"];
const KEYS: Readonly<Record<string, string>> = {
	"tui.select.up": "\x1b[A",
	"tui.select.down": DOWN,
	"tui.select.confirm": ENTER,
	"tui.select.cancel": ESCAPE,
};
const priced = { ...MODEL, cost: { input: 5, output: 25, cacheRead: 0, cacheWrite: 0 } };
const aLink = (name: string, rest: Partial<ShownLink> = {}): ShownLink => ({
	name,
	model: priced,
	obstacle: undefined,
	isPaid: true,
	isSubscription: false,
	closure: undefined,
	...rest,
});
const TITLE = /^ Chain: /;
const links: readonly ShownLink[] = [
	aLink("anthropic/claude-opus-5-5"),
	aLink("openai-codex/gpt-6-luna", { isPaid: false, isSubscription: true, obstacle: "no-account" }),
	aLink("groq/fast", { obstacle: "failed", closure: { kind: "quota", until: NOW + HOUR_MS } }),
];

const pace = aPace();
let acts: string[];
let refusal: string | undefined;
let closed: number;
beforeEach(() => {
	acts = [];
	refusal = undefined;
	closed = 0;
});
const aPanel = (shown = links, room = 40) => {
	const act = async (text: string) => {
		acts.push(text);
		return refusal;
	};
	return createChainPanel({
		view: () => ({ isAvailable: true, isSelected: false, links: shown, now: NOW }),
		candidates: () => ["mistral/large", "xai/grok-4.7", "zai/glm-5.3"],
		look: (name) => aLink(name),
		add: (name) => act(`add ${name}`),
		remove: (name) => act(`remove ${name}`),
		move: (name, step) => act(`move ${name} ${step}`),
		close: () => {
			closed += 1;
		},
		paint: (_tone, text) => text,
		highlight: (line) => line,
		isKey: (typed, key) => KEYS[key] === typed,
		room: () => room,
		repaint: () => undefined,
		pace,
	});
};
type Panel = ReturnType<typeof aPanel>;
const press = (panel: Panel, ...keys: readonly string[]) => {
	for (const key of keys) {
		panel.handleInput?.(key);
		pace.pass(200);
	}
};
const screen = (panel: Panel, width = 80) =>
	panel.render(width).map((line) => stripVTControlCharacters(line).trimEnd());

describe("the panel of the chain", () => {
	it("shows the links in their order, what each costs, and how it stands", () => {
		expect(screen(aPanel()).slice(3, -3)).toEqual([
			"█ 1 anthropic/claude-opus-5-5  paid $5/$25   ready",
			`  2 openai-codex/gpt-6-luna    subscription  ${linkState("no-account", undefined)}`,
			expect.stringMatching(/^ {2}3 groq\/fast {18}paid \$5\/\$25 {3}failed, .* 13:00$/),
			"    add a model",
			"",
			expect.stringMatching(/^ paid: \$5 in, \$25 out .* · ready$/),
		]);
	});

	it("leaves away what has no room, and keeps the names", () => {
		const narrow = screen(aPanel(), 40);
		expect(narrow.filter((line) => line.includes("claude"))).toEqual([expect.stringMatching(/^█ 1 anthropic\/claude/)]);
		expect(narrow.join("\n")).not.toContain(linkState("no-account", undefined));
	});

	it("moves and removes the highlighted link, each by one key", () => {
		const panel = aPanel();
		press(panel, "d", DOWN, "u", "j", "x");
		expect(acts).toEqual(["move anthropic/claude-opus-5-5 1", "move openai-codex/gpt-6-luna -1", "remove groq/fast"]);
		press(panel, ESCAPE);
		expect(closed).toBe(1);
	});

	it("takes no text for its keys", () => {
		const panel = aPanel();
		panel.handleInput?.("\x1b[200~xud\x1b[201~");
		for (const letter of "dux") panel.handleInput?.(letter);
		pace.pass(1000);
		expect(acts).toEqual([]);
	});

	it("adds the model that a filter finds, and comes back to the list", () => {
		const panel = aPanel();
		press(panel, "a");
		expect(screen(panel).join("\n")).toContain("Add to the chain");
		for (const letter of "grok") press(panel, letter);
		expect(screen(panel).join("\n")).toContain("(1/1)  enter add");
		press(panel, ENTER);
		expect(acts).toEqual(["add xai/grok-4.7"]);
		expect(screen(panel)[1]).toMatch(TITLE);
	});

	it("opens the list of models from its row, and Esc leads back", () => {
		const panel = aPanel([]);
		press(panel, ENTER);
		expect(screen(panel).join("\n")).toContain("zai/glm-5.3");
		press(panel, "q", "q", ENTER);
		expect(screen(panel).join("\n")).toMatch(/^ *No model .*"qq"/m);
		press(panel, ESCAPE);
		expect(screen(panel)[1]).toMatch(TITLE);
		expect([acts, closed]).toEqual([[], 0]);
	});

	it("says why nothing was changed", async () => {
		const panel = aPanel();
		refusal = "The disk is full.";
		press(panel, "x");
		await settled();
		expect(screen(panel).join("\n")).toContain(refusal);
	});

	it("keeps to the lines that it has", () => {
		for (const room of [8, 12, 20]) expect(screen(aPanel(links, room)).length).toBeLessThanOrEqual(Math.max(room, 10));
	});
});
