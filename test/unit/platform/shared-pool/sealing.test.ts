import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { newKeeperCode, runnerCodeOf, withNewSecret } from "../../../../src/platform/shared-pool/join-code.ts";
import { createSealing, keyIdOf } from "../../../../src/platform/shared-pool/sealing.ts";
import type { Role, SealedPlace } from "../../../../src/platform/shared-pool/types.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { anId } from "../../../support/ids.ts";
import { runs } from "../../../support/tiers.ts";

const code = newKeeperCode("postgres://db.example/pi");
const keeper = createSealing(code);
const runner = createSealing(runnerCodeOf(code));
const PLACE: SealedPlace = { poolId: "pool-1", account: anId("a1"), kind: "keeper", version: 7 };
const anyText = fc.string({ unit: anyCharacter, maxLength: 200 });
const anyKind = fc.constantFrom<Role>("keeper", "runner");

describe("a sealed text", () => {
	it("is opened in its place by who holds the key", () => {
		fc.assert(
			fc.property(anyText, anyKind, fc.nat(), (text, kind, version) => {
				const place = { ...PLACE, kind, version };
				const sealed = keeper.seal(text, place);
				expect(keeper.open(sealed, place)).toEqual({ kind: "ok", text });
				expect(runner.open(sealed, place)).toEqual(kind === "runner" ? { kind: "ok", text } : { kind: "other-key" });
			}),
			runs(100),
		);
	});

	it("is another one each time, and shows nothing of the text", () => {
		const [first, second] = [keeper.seal("refresh-token", PLACE), keeper.seal("refresh-token", PLACE)];
		expect(Buffer.from(first).equals(second)).toBe(false);
		expect(Buffer.from(first).includes("refresh-token")).toBe(false);
	});

	it.each<[string, Partial<SealedPlace>]>([
		["the row of another account", { account: anId("a2") }],
		["another version of the row", { version: 8 }],
		["another pool", { poolId: "pool-2" }],
	])("a sealed text does not open in %s", (_, other) => {
		const sealed = keeper.seal("text", PLACE);
		expect(keeper.open(sealed, { ...PLACE, ...other })).toEqual({ kind: "damaged" });
	});

	it("does not open as one of the other kind", () => {
		const forRunners = { ...PLACE, kind: "runner" } as const;
		expect(keeper.open(keeper.seal("text", PLACE), forRunners)).toEqual({ kind: "other-key" });
		expect(keeper.open(keeper.seal("text", forRunners), PLACE)).toEqual({ kind: "other-key" });
	});

	it("a sealed text with any byte changed, or cut off anywhere, does not open", () => {
		const sealed = keeper.seal("a text of some length", PLACE);
		fc.assert(
			fc.property(fc.nat(sealed.length - 1), fc.integer({ min: 1, max: 255 }), (at, by) => {
				const changed = Uint8Array.from(sealed);
				changed[at] = (sealed[at] ?? 0) ^ by;
				expect(keeper.open(changed, PLACE).kind).not.toBe("ok");
				expect(keeper.open(sealed.slice(0, at), PLACE)).toEqual({ kind: "damaged" });
			}),
			runs(200),
		);
		expect(keeper.open(Uint8Array.from([...sealed, 0]), PLACE)).toEqual({ kind: "damaged" });
	});

	it("does not open under a key that came after, nor one that came before", () => {
		const next = createSealing(withNewSecret(code));
		expect(next.open(keeper.seal("text", PLACE), PLACE)).toEqual({ kind: "other-key" });
		expect(keeper.open(next.seal("text", PLACE), PLACE)).toEqual({ kind: "other-key" });
	});

	it("names the key that it is sealed with", () => {
		expect(keyIdOf(keeper.seal("text", PLACE))).toBe(keeper.keyIds.keeper);
		expect(keyIdOf(runner.seal("text", { ...PLACE, kind: "runner" }))).toBe(keeper.keyIds.runner);
		expect(keyIdOf(Uint8Array.from([1, 2, 3]))).toBeUndefined();
	});
});

describe("a runner", () => {
	it("holds no key of a keeper's texts, and seals none", () => {
		expect(runner.keyIds).toEqual({ keeper: undefined, runner: keeper.keyIds.runner });
		expect(() => runner.seal("text", PLACE)).toThrow("a runner cannot seal");
	});

	it("opens no text of a keeper, whatever key of its own it tries and whatever header it writes over it", () => {
		fc.assert(
			fc.property(anyText, fc.uint8Array({ minLength: 32, maxLength: 32 }), (text, guess) => {
				const sealed = keeper.seal(text, PLACE);
				const { secret } = runnerCodeOf(code);
				for (const tried of [secret, guess]) {
					for (const role of ["keeper", "runner"] as const) {
						const other = createSealing({ role, secret: tried });
						const forged = Uint8Array.from(sealed);
						forged.set(Buffer.from(other.keyIds.keeper ?? other.keyIds.runner, "hex"), 1);
						for (const kind of ["keeper", "runner"] as const) {
							expect(other.open(sealed, { ...PLACE, kind }).kind).not.toBe("ok");
							expect(other.open(forged, { ...PLACE, kind }).kind).not.toBe("ok");
						}
					}
				}
			}),
			runs(50),
		);
	});
});
