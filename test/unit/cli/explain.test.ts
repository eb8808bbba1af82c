import { describe, expect, it } from "vitest";
import { explain } from "../../../src/cli/explain.ts";
import { statusOf } from "../../../src/cli/status.ts";
import { pathsIn } from "../../../src/cli/stored-pool.ts";
import { noAccountSignedIn } from "../../../src/core/request/turn-texts.ts";
import { usageSchema, verifySchema, whySchema } from "../../../src/pi/json-schemas.ts";
import { aCooldown, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../support/fakes.ts";
import { aStoredHome, type StoredHome, usageOf } from "./stored-home.ts";

const spent = { usage: usageOf(100, 40), cooldowns: [aCooldown()] };
const ask = (home: StoredHome, kind: "why" | "verify", isJson = false) =>
	explain({ kind, isJson }, home.open(), pathsIn(home.dir), 80);

describe("why without pi", () => {
	it("answers for a new session, even if another one was served a moment ago", async () => {
		const home = aStoredHome({
			work: { status: { usage: usageOf(90, 8), lastUsedAt: NOW - 1000 } },
			side: { status: { usage: usageOf(0, 5) } },
		});
		const next = home.open().pool.plan(home.open().nextOfNew()).next?.label ?? "";
		const { text, code } = await ask(home, "why");
		expect(text).toMatch(new RegExp(`^A new session .*:\n${next} serves next \\(soonest-reset\\): `));
		expect(code).toBe(0);
		const document = whySchema.parse(JSON.parse((await ask(home, "why", true)).text));
		expect(document).toMatchObject({ next: home.id(next), model: null });
	});

	it("says what may serve once all is out, as far as files tell, and names the chain that pi would ask", async () => {
		const [reset, until] = [{ id: "c1", expiresAt: NOW + DAY_MS }, NOW + 3 * HOUR_MS];
		const windows = [300, 10_080].map((windowMinutes) => ({ usedPercent: 100, windowMinutes, resetsAt: until }));
		const work = {
			usage: { ...usageOf(100, 40), source: "api", windows, resetCredits: 1 },
			cooldowns: [aCooldown({ until })],
			resetCredits: { askedAt: NOW, listedAt: NOW, credits: [reset] },
		} as const;
		const chain = ["anthropic/claude-opus-5-5"];
		const home = aStoredHome({ work: { status: work } }, { "pi-multicodex": { beyond: { chain } } });
		const { text } = await ask(home, "why");
		expect(text).toContain("a reset of work (asks first)");
		expect(text).toMatch(/\nIf no .* your chain: anthropic\/claude-opus-5-5\.\n$/);
		const { beyond } = whySchema.parse(JSON.parse((await ask(home, "why", true)).text));
		expect(beyond).toEqual([{ kind: "reset-credit", account: home.id("work"), consent: "ask" }]);
	});

	it("says nothing of accounts that cannot be read but that", async () => {
		const home = aStoredHome({ work: {} });
		home.write("codex-accounts.json", "{");
		for (const isJson of [false, true]) {
			expect(await ask(home, "why", isJson)).toEqual({
				text: "",
				code: 1,
				problems: [expect.stringMatching(/^codex-accounts\.json is damaged /)],
			});
		}
	});

	it("says so if there is no account", async () => {
		expect(await ask(aStoredHome({}), "why")).toMatchObject({ text: `${noAccountSignedIn()}\n` });
	});
});

describe("verify without pi", () => {
	it("judges what is stored, and says what it has not looked at", async () => {
		const home = aStoredHome({ work: {}, side: { row: { enabled: false } } });
		const { text, code } = await ask(home, "verify");
		expect(text).toMatch(/\bside is off\. \/multicodex enable side\n/);
		expect(text).toMatch(/\nThe network, .* not checked: \/multicodex verify in pi .*\n$/);
		expect(text).not.toMatch(/backend|sign-in service|Node|openai-codex/);
		expect(code).toBe(0);
	});

	it("fails if something keeps accounts from being used, and names them by their ids in its document", async () => {
		const home = aStoredHome({ work: { row: { needsLogin: { reason: "revoked", at: NOW } } } });
		const { text, code } = await ask(home, "verify", true);
		const document = verifySchema.parse(JSON.parse(text));
		expect(document.healthy).toBe(false);
		expect(document.findings.map(({ code: each }) => each)).toEqual(
			expect.arrayContaining(["pool-unusable", "sign-in-lost"]),
		);
		expect(code).toBe(1);
		expect(text).not.toContain('"work');
		home.write("codex-accounts.json", "{");
		expect(await ask(home, "verify")).toMatchObject({
			code: 1,
			text: expect.stringContaining("codex-accounts.json is damaged"),
		});
	});
});

it("no command shows a token", async () => {
	const home = aStoredHome({ work: { status: spent }, side: {} });
	const login = { type: "oauth", access: aTokenOf("own"), refresh: "refresh-own", expires: NOW + HOUR_MS };
	home.write("auth.json", { "openai-codex": login });
	const forms = ["text", "line", "json"] as const;
	const asked = { kind: "status", isWatching: false, columns: 500 } as const;
	const texts = [
		...forms.map((form) => statusOf(home.open(), { ...asked, form }, () => 500).text),
		...(
			await Promise.all([false, true].flatMap((isJson) => [ask(home, "why", isJson), ask(home, "verify", isJson)]))
		).map(({ text }) => text),
	];
	expect(texts.filter((text) => text.trim() === "")).toEqual([]);
	const secrets = ["work", "side", "own"].flatMap((name) => [`refresh-${name}`, aTokenOf(name).slice(0, 40)]);
	expect(texts.filter((text) => secrets.some((secret) => text.includes(secret)))).toEqual([]);
});

describe("usage without pi", () => {
	const report = (home: StoredHome, isJson = false) =>
		explain({ kind: "usage", period: "week", by: "account", isJson }, home.open(), pathsIn(home.dir), 80);

	it("adds up what pi has counted, as a table and as a document", async () => {
		const home = aStoredHome({ work: {}, side: {} });
		const rows = [
			{ period: "2026-11-20", account: home.id("work"), requests: 2, input: 100, output: 50, cost: 0.5 },
			{ period: "2026-11-19", account: home.id("side"), requests: 1, input: 10, output: 5, cost: 0.1 },
		];
		const lines = [{ version: 1, bytes: 0 }, ...rows].map((line) => JSON.stringify(line));
		home.write("codex-ledger.jsonl", `${lines.join("\n")}\n`);
		const before = home.names();
		const { text, code } = await report(home);
		expect(text).toMatch(/^.* 7 days, by account: 3 requests.*\n[\s\S]*\nwork .*\nside /);
		expect(code).toBe(0);
		const { rows: found } = usageSchema.parse(JSON.parse((await report(home, true)).text));
		expect(found.map(({ key, requests }) => [key, requests])).toEqual([
			[home.id("work"), 2],
			[home.id("side"), 1],
		]);
		expect(home.names()).toEqual(before);
	});

	it("says that nothing was used if nothing is stored", async () => {
		expect(await report(aStoredHome({}))).toMatchObject({
			text: expect.stringMatching(/^Nothing .* 7 days\.\n$/),
			code: 0,
		});
	});
});
