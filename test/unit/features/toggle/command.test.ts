import { describe, expect, it } from "vitest";
import { anAccount } from "../../../support/fakes.ts";
import { createCommandHarness } from "../../command-harness.ts";

describe("/multicodex off and on", () => {
	it("off and on store the new value, publish a change, and say what follows", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.harness.told.length = 0;
		expect(await cli.run("off")).toBe(
			"info: pi-multicodex is off, here and in every other pi from its next request on. pi itself has no Codex login now: /login signs in, /model chooses another provider. /multicodex on to undo.",
		);
		expect(cli.stored).toEqual([{ enabled: false }]);
		expect(cli.harness.told.at(-1)).toEqual({ type: "changed" });
		expect(await cli.run("on")).toBe("info: pi-multicodex is on again. The pool has 1 account.");
		expect(cli.stored.at(-1)).toEqual({ enabled: true });
	});

	it("off and on say so where pi goes on with its own login, and where nothing changes", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.piAuth.login = { kind: "foreign" };
		expect(await cli.run("off")).toContain("pi uses its own Codex login.");
		expect(await cli.run("off")).toContain("already off");
		await cli.run("on");
		expect(await cli.run("on")).toContain("already on");
		expect(await cli.run("on now")).toBe("error: Usage: /multicodex on");
	});

	it("off and on change nothing where the settings cannot be written", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.settingsRefusal = Object.assign(new Error("settings.json is read-only"), { code: "EROFS" });
		expect(await cli.run("off")).toBe("error: multicodex off failed: settings.json is read-only");
		expect(cli.harness.settings.enabled).toBe(true);
	});
});
