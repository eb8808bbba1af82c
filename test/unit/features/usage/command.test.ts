import { describe, expect, it } from "vitest";
import { dayOf, type LedgerRow, NOTHING } from "../../../../src/core/ledger/ledger.ts";
import { anAccount, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";
import { createCommandHarness } from "../../command-harness.ts";

const row: LedgerRow = {
	...NOTHING,
	period: dayOf(NOW),
	account: anId("a"),
	project: "/home/me@work.example/web",
	model: "gpt-5.5",
	requests: 3,
	input: 5000,
	cost: 0.5,
};
const inRpc = () => {
	const cli = createCommandHarness([anAccount("a", { label: "me@work.example" })], { mode: "rpc" });
	cli.ledger = [row];
	return cli;
};

describe("usage", () => {
	it("is of the last seven days by account, if no other words follow", async () => {
		const cli = inRpc();
		expect(await cli.run("usage")).toMatch(/^info: .* 7 days, by account: 3 requests/);
		expect(await cli.run("usage today --by project")).toMatch(/^info: Usage today, by project[\s\S]*\nweb /);
		expect(await cli.run("usage --by day month")).toMatch(/^info: .* 30 days, by day/);
		expect(await cli.run("usage all --json")).toMatch(/"period": "all"/);
	});

	it("names what was mistyped, and what may have been meant", async () => {
		const cli = inRpc();
		expect(await cli.run("usage weak")).toMatch(/^error: .*"weak".* week\?/);
		expect(await cli.run("usage --by acount")).toMatch(/^error: .* account\?/);
		expect(await cli.run("usage --jsn")).toMatch(/^error: .* --json\?/);
		for (const odd of [
			"today week",
			"--by",
			"account",
			"--yes",
			"--forget week",
			"--forget --json",
			"--by day model",
		]) {
			expect([odd, await cli.run(`usage ${odd}`)]).toEqual([odd, expect.stringMatching(/^error: Usage: /)]);
		}
	});

	it("hides e-mails if the person wants that, in text and in the document", async () => {
		const cli = inRpc();
		cli.harness.settings = { ...cli.harness.settings, maskEmails: true };
		expect(await cli.run("usage")).toMatch(/m…@work\.example/);
		const document = await cli.run("usage --by project --json");
		expect(document).toContain("/m…@work.example/web");
		expect(document).not.toContain("me@work");
	});

	it("says how it is counted if it is not", async () => {
		const cli = inRpc();
		cli.ledger = undefined;
		cli.harness.settings = { ...cli.harness.settings, ledger: false };
		expect(await cli.run("usage")).toMatch(/Nothing is counted: \/multicodex footer ledger=true/);
		expect(await cli.run("usage --json")).toMatch(/"counting": false/);
	});

	it("offers what may follow", () => {
		const cli = inRpc();
		expect(cli.offered("usage ")).toEqual(
			["today", "week", "month", "all", "--by", "--json", "--forget"].map((word) => `usage ${word}`),
		);
		expect(cli.offered("usage week --by ")).toEqual(
			["account", "project", "model", "day"].map((word) => `usage week --by ${word}`),
		);
		expect(cli.offered("usage --forget ")).toEqual(["usage --forget --yes"]);
	});

	it("is deleted after a yes, and only then", async () => {
		const cli = inRpc();
		cli.screen.consent = false;
		expect(await cli.run("usage --forget")).toBe("info: Nothing was deleted.");
		expect(cli.ledger).toBeDefined();
		cli.screen.consent = true;
		expect(await cli.run("usage --forget")).toBe("info: Deleted what was counted.");
		expect(cli.ledger).toBeUndefined();
		expect(await cli.run("usage --forget --yes")).toBe("info: Nothing had been counted.");
	});

	it("is deleted without a person for --yes alone", async () => {
		const cli = createCommandHarness([anAccount("a")], { mode: "print", hasUI: false });
		cli.ledger = [row];
		expect(await cli.runUnseen("usage --forget")).toEqual({ said: expect.stringMatching(/Add --yes/), code: 1 });
		expect(cli.ledger).toBeDefined();
	});
});
