import { describe, expect, it, vi } from "vitest";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { openTerminal } from "./sign-in-support.ts";
import { createBench } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

describe.each(coreOf(hostNames))("a terminal that others see, on pi %s", (host) => {
	it("shows no e-mail: not in the footer, the list, a question, a sign-in or a failure", async () => {
		const bench = await createBench({
			host,
			accounts: [
				{ name: "me", email: "me@work.example" },
				{ name: "mo", email: "mo@work.example" },
			],
			rows: {
				me: { label: "me@work.example" },
				mo: { label: "mo@work.example", needsLogin: { reason: "refresh_token_reused", at: 1 } },
			},
			usage: answers.serverError(503),
			settings: { "pi-multicodex": { maskEmails: true } },
		});
		const terminal = await openTerminal(bench, { cols: 100 });
		await terminal.submit("/multicodex show");
		await terminal.waitForText("m…@work.example: its sign-in was used by another program");
		await terminal.submit("say hi");
		await terminal.waitForText("OK from me #1");
		await terminal.waitForText(/codex m…@work\.example/);
		await terminal.submit(`/multicodex remove ${bench.id("me")}`);
		await terminal.waitForText("Remove m…@work.example?");
		await terminal.press("escape");
		await terminal.waitForText("Nothing was removed.");
		await terminal.submit("/multicodex login");
		await terminal.waitForText("Sign in to m…@work.example again");
		await terminal.press("escape");
		await terminal.waitForText("Nothing was changed.");
		await terminal.submit(`/multicodex use ${bench.id("mo")}`);
		await terminal.waitForText("m…@work.example cannot be used");
		// What two accounts look like names neither of them.
		await terminal.submit("/multicodex use m…@work.example");
		await terminal.waitForText("may mean m…@work.example");
		expect(terminal.output()).not.toMatch(/m[eo]@/);
	});
});
