import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	newKeeperCode,
	printJoinCode,
	readJoinCode,
	runnerCodeOf,
	withNewSecret,
} from "../../../../src/platform/shared-pool/join-code.ts";
import { runs } from "../../../support/tiers.ts";

const URL = "postgres://pool:pa%20ss@db.example:6543/pi?sslmode=verify-full";
const keeper = newKeeperCode(URL);
const runner = runnerCodeOf(keeper);

describe("a join code", () => {
	it.each([keeper, runner])("is read as it was printed", (code) => {
		const text = printJoinCode(code);
		expect(text).toMatch(new RegExp(`^pi-pool-${code.role}-[\\w-]+$`));
		expect(readJoinCode(text)).toEqual({ kind: "ok", code: { ...code, secret: new Uint8Array(code.secret) } });
	});

	it("is read with the blanks and line ends that a terminal put into it", () => {
		const text = printJoinCode(keeper).replace(/(.{30})/g, "$1\r\n  ");
		expect(readJoinCode(`\t${text}\n`)).toMatchObject({ kind: "ok", code: { url: URL } });
	});

	it("a join code of a runner follows from that of the keeper, and holds another secret", () => {
		expect(runnerCodeOf(keeper)).toEqual(runner);
		expect(runnerCodeOf(runner)).toBe(runner);
		expect(Buffer.from(runner.secret).equals(keeper.secret)).toBe(false);
		expect(printJoinCode(runner)).not.toContain(Buffer.from(keeper.secret).toString("base64url"));
	});

	it("a join code with a new secret is of the same pool", () => {
		const next = withNewSecret(keeper);
		expect({ ...next, secret: keeper.secret }).toEqual(keeper);
		expect(Buffer.from(next.secret).equals(keeper.secret)).toBe(false);
	});

	it.each(["", "pi-pool", "pi-pool-reader-abc", "postgres://pool@db/pi", "see: pi-pool-keeper-abc"])(
		"a join code is none in %j",
		(text) => {
			expect(readJoinCode(text)).toEqual({
				kind: "bad",
				problem: expect.stringMatching(/: .* pi-pool-keeper- or pi-pool-runner-\.$/),
			});
		},
	);

	it("that lacks letters at its end is refused, and the refusal repeats nothing of it", () => {
		const text = printJoinCode(keeper);
		for (let length = "pi-pool-keeper-".length; length < text.length; length += 1) {
			const read = readJoinCode(text.slice(0, length));
			expect(read.kind).toBe("bad");
			expect(JSON.stringify(read)).toContain("not complete");
			expect(JSON.stringify(read)).not.toContain(text.slice(15, 30));
		}
	});

	it("a join code with one letter changed is refused", () => {
		const text = printJoinCode(keeper);
		const begin = "pi-pool-keeper-".length;
		const letters = "ABCxyz019-_";
		fc.assert(
			fc.property(fc.integer({ min: begin, max: text.length - 2 }), fc.constantFrom(...letters), (at, letter) => {
				if (text[at] === letter) return;
				expect(readJoinCode(`${text.slice(0, at)}${letter}${text.slice(at + 1)}`).kind).toBe("bad");
			}),
			runs(100),
		);
	});

	it("a join code is not taken for one of the other role", () => {
		expect(readJoinCode(printJoinCode(runner).replace("-runner-", "-keeper-")).kind).toBe("bad");
	});
});
