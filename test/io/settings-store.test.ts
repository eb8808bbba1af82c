import { unlinkSync } from "node:fs";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { DEFAULT_SETTINGS } from "../../src/domain/settings.ts";
import { openSettings } from "../../src/io/settings-store.ts";
import { aScratch, type Scratch } from "../support/fakes.ts";

const NAME = "settings.json";

let scratch: Scratch;
let problems: string[];
beforeEach(() => {
	scratch = aScratch();
	problems = [];
});
afterEach(() => scratch.remove());

const open = () => openSettings(scratch.path(NAME), (text) => problems.push(text));
const write = (ours: unknown, others: Record<string, unknown> = {}) =>
	scratch.write(NAME, { theme: "dark", ...others, "pi-multicodex": ours });

describe("preferences", () => {
	it("are the defaults where there is no file, no key, or an empty one", () => {
		expect(open()()).toEqual(DEFAULT_SETTINGS);
		scratch.write(NAME, { theme: "dark" });
		expect(open()()).toEqual(DEFAULT_SETTINGS);
		write({});
		expect(open()()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([]);
	});

	it("have the contract's defaults", () => {
		expect(DEFAULT_SETTINGS).toEqual({
			rotation: { maxRotations: 5, maxWaitMs: 60_000, cooldownMs: 3_600_000 },
			notifications: true,
			maskEmails: false,
		});
	});

	it("are what the person wrote", () => {
		write({
			rotation: { maxRotations: 0, maxWait: "90s", cooldown: "8h", policy: "soonest-reset" },
			notifications: false,
			maskEmails: true,
			footer: { order: "account-first" },
		});
		expect(open()()).toEqual({
			rotation: { maxRotations: 0, maxWaitMs: 90_000, cooldownMs: 8 * 3_600_000 },
			notifications: false,
			maskEmails: true,
		});
		expect(problems).toEqual([]);
	});

	it.each([
		["0s", 0],
		["60s", 60_000],
		["15m", 900_000],
		["8h", 28_800_000],
		["2d", 172_800_000],
	])("write a duration as %s", (text, ms) => {
		write({ rotation: { maxWait: text } });
		expect(open()().rotation.maxWaitMs).toBe(ms);
	});

	it("follow the file while pi runs", () => {
		const settings = open();
		write({ notifications: false });
		expect(settings().notifications).toBe(false);
		write({ notifications: true, maskEmails: true });
		expect(settings()).toMatchObject({ notifications: true, maskEmails: true });
		expect(settings()).toBe(settings());
	});
});

describe("a bad value", () => {
	it.each([
		["rotation.maxRotations", { rotation: { maxRotations: 2.5 } }],
		["rotation.maxRotations", { rotation: { maxRotations: -1 } }],
		["rotation.maxRotations", { rotation: { maxRotations: "5" } }],
		["rotation.maxWait", { rotation: { maxWait: 60 } }],
		["rotation.maxWait", { rotation: { maxWait: "1 minute" } }],
		["rotation.maxWait", { rotation: { maxWait: "-5s" } }],
		["rotation.cooldown", { rotation: { cooldown: "1w" } }],
		["notifications", { notifications: "yes" }],
		["maskEmails", { maskEmails: null }],
		["rotation", { rotation: "fast" }],
		["rotation", { rotation: [] }],
	])("%s is the default, and the person is told once which and why: %j", (name, ours) => {
		write(ours);
		const settings = open();
		expect(settings()).toEqual(DEFAULT_SETTINGS);
		write({ ...ours, again: true });
		expect(settings()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([expect.stringContaining(`pi-multicodex.${name} must be `)]);
	});

	it("of the whole key is no preference at all, and told of once", () => {
		write("everything");
		const settings = open();
		expect(settings()).toEqual(DEFAULT_SETTINGS);
		expect(settings()).toEqual(DEFAULT_SETTINGS);
		expect(problems).toEqual([expect.stringContaining("pi-multicodex")]);
	});

	it("takes no good one with it", () => {
		write({ rotation: { maxRotations: "many", maxWait: "5s" }, maskEmails: true });
		expect(open()()).toMatchObject({ rotation: { maxRotations: 5, maxWaitMs: 5000 }, maskEmails: true });
		expect(problems).toHaveLength(1);
	});

	it("is never quoted, as it may be anything", () => {
		write({ notifications: "secret-token" });
		open()();
		expect(problems.join()).not.toContain("secret-token");
	});

	it.each(["999999d", "367d"])("is a cooldown of %s, after which no account would ever cool", (cooldown) => {
		write({ rotation: { cooldown } });
		expect(open()().rotation.cooldownMs).toBeLessThanOrEqual(366 * 24 * 3_600_000);
	});
});

describe("a settings file that cannot be read", () => {
	it("leaves the last good values in force until it can be", () => {
		write({ maskEmails: true });
		const settings = open();
		expect(settings().maskEmails).toBe(true);
		scratch.write(NAME, '{"pi-multicodex":{"maskEm');
		expect(settings().maskEmails).toBe(true);
		write({ maskEmails: false });
		expect(settings().maskEmails).toBe(false);
		expect(problems).toEqual([]);
	});

	it.each(["", "{", "null", "[]", '"x"'])("is never touched: %j", (bytes) => {
		scratch.write(NAME, bytes);
		expect(open()()).toEqual(DEFAULT_SETTINGS);
		expect(scratch.text(NAME)).toBe(bytes);
		expect(scratch.names()).toEqual([NAME]);
	});

	it("is none when it is gone", () => {
		write({ maskEmails: true });
		const settings = open();
		settings();
		unlinkSync(scratch.path(NAME));
		expect(() => settings()).not.toThrow();
	});
});
