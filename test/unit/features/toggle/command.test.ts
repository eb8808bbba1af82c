import { describe, expect, it } from "vitest";
import { anAccount } from "../../../support/fakes.ts";
import { createCommandHarness } from "../../command-harness.ts";

describe("/multicodex off and on", () => {
	it("off and on store the new value, publish a change, and say what follows", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.harness.told.length = 0;
		expect(await cli.run("off")).toMatch(/^info: pi-multicodex is off, .* \/login .*, \/model .* \/multicodex on /);
		expect(cli.stored).toEqual([{ enabled: false }]);
		expect(cli.harness.told.at(-1)).toEqual({ type: "changed" });
		expect(await cli.run("on")).toMatch(/^info: pi-multicodex is on again\. .* 1 account\.$/);
		expect(cli.stored.at(-1)).toEqual({ enabled: true });
	});

	it("off and on say so if pi continues with its own login, and if nothing changes", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.piAuth.login = { kind: "foreign" };
		expect(await cli.run("off")).toMatch(/pi uses its own (?!.*\/login)/);
		expect(await cli.run("off")).toContain("already off");
		await cli.run("on");
		expect(await cli.run("on")).toContain("already on");
		expect(await cli.run("on now")).toBe("error: Usage: /multicodex on");
	});

	it("off and on change nothing if the settings cannot be written", async () => {
		const cli = createCommandHarness([anAccount("a")]);
		cli.settingsRefusal = Object.assign(new Error("read-only"), { code: "EROFS" });
		expect(await cli.run("off")).toMatch(/^error: .*: read-only$/);
		expect(cli.harness.settings.enabled).toBe(true);
	});
});
