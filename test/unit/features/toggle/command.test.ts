import { describe, expect, it } from "vitest";
import { anAccount } from "../../../support/fakes.ts";
import { aDesk } from "../../command-harness.ts";

describe("/multicodex off and on", () => {
	it("store what was said, tell the rest of the house, and say what follows", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.house.told.length = 0;
		expect(await desk.run("off")).toBe(
			"info: pi-multicodex is off, here and in every other pi from its next request on. pi itself has no Codex login now: /login signs in, /model chooses another provider. /multicodex on to undo.",
		);
		expect(desk.stored).toEqual([{ enabled: false }]);
		expect(desk.house.told.at(-1)).toEqual({ type: "changed" });
		expect(await desk.run("on")).toBe("info: pi-multicodex is on again. The pool has 1 account.");
		expect(desk.stored.at(-1)).toEqual({ enabled: true });
	});

	it("say so where pi goes on with its own login, and where nothing changes", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.piAuth.login = { kind: "foreign" };
		expect(await desk.run("off")).toContain("pi uses its own Codex login.");
		expect(await desk.run("off")).toContain("off already");
		await desk.run("on");
		expect(await desk.run("on")).toContain("on already");
		expect(await desk.run("on now")).toBe("error: Usage: /multicodex on");
	});

	it("change nothing where the settings cannot be written", async () => {
		const desk = aDesk([anAccount("a")]);
		desk.settingsRefusal = Object.assign(new Error("settings.json is read-only"), { code: "EROFS" });
		expect(await desk.run("off")).toBe("error: multicodex off failed: settings.json is read-only");
		expect(desk.house.settings.enabled).toBe(true);
	});
});
