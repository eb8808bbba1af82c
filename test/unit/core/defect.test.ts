import { describe, expect, it } from "vitest";
import { cameUpHere, FRAME, isDefect, traceOf } from "../../../src/core/defect.ts";
import { hideEmails } from "../../../src/core/privacy.ts";
import { repositoryRoot } from "../../support/hosts.ts";

/** What a call throws. */
function thrownBy(call: () => unknown): unknown {
	try {
		call();
	} catch (error) {
		return error;
	}
	throw new Error("nothing was thrown");
}

/** An error of our own code: a function of ours that is handed what its types forbid. */
const ours = () => thrownBy(() => Reflect.apply(hideEmails, undefined, [Symbol("secret-token")]));

describe("the trace of an error", () => {
	it("the trace of an error is its class and our own frames, innermost first, without its message", () => {
		const { error, frames, stack } = traceOf(ours());
		expect(error).toBe("TypeError");
		expect(frames[0]).toMatch(/^src\/core\/privacy\.ts:\d+:\d+$/);
		expect(frames.every((frame) => FRAME.test(frame))).toBe(true);
		expect(stack.length).toBeGreaterThan(frames.length);
		expect(JSON.stringify([error, frames, stack])).not.toMatch(/secret|symbol/i);
	});

	it("holds nothing of a message that looks like a stack, or of a name that was set by hand", () => {
		const error = new RangeError(`no\n    at f (${repositoryRoot}/src/pool/secret.ts:1:1)\n    at secret (x.ts:1:1)`);
		expect(JSON.stringify(traceOf(error))).not.toContain("secret");
		error.name = "Error sk-secret1";
		expect(traceOf(error).error).toBe("Error");
	});

	it("holds no token of a message that was changed after its stack was made", () => {
		const error = new TypeError("no\n    at eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln");
		// A stack is made when it is first read.
		expect(error.stack).toContain("eyJ");
		error.message = "another";
		expect(JSON.stringify(traceOf(error))).not.toContain("eyJ");
	});

	it.each(["file:///home/100%/src/core/pool/pool.ts:1:1", "file:///home/%E0%A4%A/index.ts:1:1"])(
		"is there if a path is no proper URL: %s",
		(path) => {
			const error = new TypeError("no");
			error.stack = `TypeError: no\n    at f (${path})`;
			expect(traceOf(error)).toEqual({ error: "TypeError", frames: [], stack: [`at f (${path})`] });
			expect(cameUpHere(error)).toBe(false);
		},
	);

	it("has the code that Node gives, and no other text", () => {
		const coded = (code: unknown) => traceOf(Object.assign(new TypeError("no"), { code })).error;
		expect(coded("ERR_INVALID_ARG_TYPE")).toBe("TypeError ERR_INVALID_ARG_TYPE");
		expect([coded("sk-secret1"), coded(5)]).toEqual(["TypeError", "TypeError"]);
	});

	it.each(["text", undefined, null, { stack: "at secret" }])("a value that is no error has no trace: %j", (thrown) => {
		expect(traceOf(thrown)).toEqual({ error: "no error", frames: [], stack: [] });
		expect([isDefect(thrown), cameUpHere(thrown)]).toEqual([true, false]);
	});

	it("knows paths with blanks, of files that are URLs, and of Windows", () => {
		const error = new TypeError("no");
		const root = repositoryRoot;
		error.stack = [
			"TypeError: no",
			`    at a (file://${encodeURI(root)}/src/core/pool/pool.ts:1:2)`,
			`    at async ${root}/index.ts:3:4`,
			`    at b (${root.replaceAll("/", "\\")}\\src\\platform\\files\\lock.ts:5:6)`,
			`    at c (${root}/node_modules/zod/index.ts:7:8)`,
			"    at node:internal/process:9:1",
		].join("\n");
		expect(traceOf(error).frames).toEqual([
			"src/core/pool/pool.ts:1:2",
			"index.ts:3:4",
			"src/platform/files/lock.ts:5:6",
		]);
	});
});

describe("a defect", () => {
	it("a defect is what JavaScript complains of; what the file system or the host says is none", () => {
		expect([ours(), new RangeError("deep"), "text"].map(isDefect)).toEqual([true, true, true]);
		const full = Object.assign(new Error("ENOSPC"), { code: "ENOSPC" });
		expect([full, new Error("this extension ctx is stale"), new DOMException("", "AbortError")].map(isDefect)).toEqual([
			false,
			false,
			false,
		]);
	});

	it("came up in our own code, or in a function of JavaScript that it called", () => {
		expect(cameUpHere(ours())).toBe(true);
		expect(cameUpHere(new TypeError("a test's"))).toBe(false);
	});
});
