import { afterEach, describe, expect, it, vi } from "vitest";
import { modeOf, writeFailure, writeNotice, writeResult } from "../../../src/pi/output.ts";
import { aContext, type FakeContextInit } from "../fake-pi.ts";

const { argv, exitCode } = process;
afterEach(() => {
	process.argv = argv;
	process.exitCode = exitCode;
	vi.restoreAllMocks();
});

describe("the mode", () => {
	it.each<[string, FakeContextInit, string[], string]>([
		["as the host tells it", { mode: "rpc", hasUI: true }, [], "rpc"],
		[
			"as the host tells it, whatever the command line says",
			{ mode: "print", hasUI: false },
			["--mode", "json"],
			"print",
		],
		["on 0.73.1: a terminal", { hasUI: true }, [], "tui"],
		["on 0.73.1: print", { hasUI: false }, ["-p"], "print"],
		["on 0.73.1: JSON", { hasUI: false }, ["--mode", "json"], "json"],
		["on 0.73.1: RPC, which has dialogs", { hasUI: true }, ["--mode", "rpc"], "rpc"],
		["on 0.73.1: a flag without its word", { hasUI: false }, ["--mode"], "print"],
	])("%s", (_name, init, args, mode) => {
		process.argv = ["node", "pi", ...args];
		expect(modeOf(aContext(init).ctx)).toBe(mode);
	});
});

describe("a result", () => {
	const result = { text: "two accounts", json: { accounts: 2 } };

	it.each(["tui", "rpc"] as const)("is a notice in mode %s, as text or as one document", (mode) => {
		const { ctx, notices } = aContext({ mode });
		writeResult(ctx, "show", result);
		writeResult(ctx, "show", { ...result, asJson: true });
		expect(notices[0]).toBe("info: two accounts");
		expect(JSON.parse(notices[1]?.replace("info: ", "") ?? "")).toEqual({ accounts: 2 });
	});
});

describe("a document", () => {
	// C1 and delete, bidi, separators of lines, and format characters outside the first plane (tags, musical notation).
	const acting = "\u009b31m\u007f\u202e\u2066\u2028\u2029\ufeff\u200d\u{e0041}\u{1d173}\u001b]8;;x\u0007";
	const json = { plan: acting, [acting]: ["plain é 👩‍👧", 1, null] };

	it.each(["tui", "rpc"] as const)("holds nothing that a terminal acts on, and is the same one: %s", (mode) => {
		const { ctx, notices } = aContext({ mode });
		writeResult(ctx, "show", { text: "", json, asJson: true });
		const printed = notices[0]?.replace("info: ", "") ?? "";
		expect(printed).not.toMatch(/(?!\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
		expect(JSON.parse(printed)).toEqual(json);
		expect(printed.split("\n").length).toBeGreaterThan(5);
	});
});

describe("a failure", () => {
	it("is a notice if there is a screen", () => {
		const { ctx, notices } = aContext({ mode: "tui" });
		writeFailure(ctx, "no such account");
		expect([notices, process.exitCode]).toEqual([["error: no such account"], exitCode]);
	});

	it.each(["print", "json"] as const)("a failure is one line to stderr and an exit code in mode %s", (mode) => {
		const written: unknown[] = [];
		vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(text) > 0);
		writeFailure(aContext({ mode, hasUI: false }).ctx, "no such account");
		expect([written, process.exitCode]).toEqual([["no such account\n"], 1]);
	});
});

it("no output moves the cursor or colours, whatever it quotes, and lines stay lines", () => {
	const { ctx, notices } = aContext({ mode: "tui" });
	const text = "one\u001b[2J\ntwo\u202e";
	writeResult(ctx, "show", { text, json: null });
	writeFailure(ctx, text);
	writeNotice(ctx, "info", text);
	expect(notices).toEqual(["info", "error", "info"].map((level) => `${level}: one?[2J\ntwo?`));
});

describe("a notice", () => {
	it("is shown if there is a screen", () => {
		const { ctx, notices } = aContext({ mode: "rpc" });
		writeNotice(ctx, "info", "rotated");
		writeNotice(ctx, "warning", "broken");
		expect(notices).toEqual(["info: rotated", "warning: broken"]);
	});

	it.each(["print", "json"] as const)("is a warning on stderr in mode %s, or nothing", (mode) => {
		const written: unknown[] = [];
		vi.spyOn(process.stderr, "write").mockImplementation((text) => written.push(text) > 0);
		const { ctx } = aContext({ mode, hasUI: false });
		writeNotice(ctx, "info", "rotated");
		writeNotice(ctx, "warning", "broken");
		expect([written, process.exitCode]).toEqual([["broken\n"], exitCode]);
	});
});
