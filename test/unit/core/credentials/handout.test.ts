import { beforeEach, describe, expect, it } from "vitest";
import { createHandout } from "../../../../src/core/credentials/handout.ts";
import { anAccount, aSnapshot, HOUR_MS } from "../../../support/fakes.ts";
import { createHarness, type Harness } from "../../harness.ts";

let harness: Harness;
let expired: Set<string>;
const tokenOf = (id: string) => harness.pool.account(id)?.credential.access;
const valid = (id: string) => ({ token: tokenOf(id), isValid: true });
const handout = () => {
	const credentials = {
		...harness.deps.credentials,
		currentToken: (id: string) => (expired.has(id) ? undefined : tokenOf(id)),
	};
	return createHandout({ pool: harness.pool, affinity: harness.affinity, credentials });
};

beforeEach(() => {
	harness = createHarness(anAccount("a"), anAccount("b"), anAccount("c"));
	harness.affinity.begin("s");
	expired = new Set();
});

const cool = (...ids: string[]) => {
	for (const id of ids) {
		const account = harness.pool.account(id);
		if (!account) throw new Error(`${id} is not there`);
		const until = harness.clock.now() + HOUR_MS;
		harness.pool.cool(
			account,
			{ covers: "account", scope: "account", reason: "usage_limit", until, guessed: false },
			"gpt-5.5",
		);
	}
};

describe("the token for others", () => {
	it("the token for others is that of the account that the session is on, else that of the first choice", () => {
		expect(handout()()).toEqual(valid("a"));
		harness.affinity.served("s", "b");
		expect(handout()()).toEqual(valid("b"));
	});

	it("is another account's while one is exhausted", () => {
		harness.affinity.served("s", "a");
		cool("a");
		expect(handout()()).toEqual(valid("b"));
	});

	it("the token for others is one that is still valid, and without any the one that would be renewed", () => {
		expired.add("a");
		expect(handout()()).toEqual(valid("b"));
		expired = new Set(["a", "b", "c"]);
		expect(handout()()).toEqual({ token: tokenOf("a"), isValid: false });
	});

	it("is there while every account rests, and missing without accounts", () => {
		harness.affinity.served("s", "b");
		cool("a", "b", "c");
		expect(handout()()).toEqual(valid("b"));
		harness = createHarness();
		expect(handout()()).toBeUndefined();
	});

	it("is never that of an account that is switched off or must sign in again", () => {
		harness = createHarness(
			anAccount("a", { enabled: false }),
			anAccount("b", { needsLogin: { reason: "revoked", at: 1 } }),
		);
		expect(handout()()).toBeUndefined();
	});
});

describe("the token for others, where caps and sets hold", () => {
	it("is that of an account of the set, also where every token of it has run out", () => {
		harness.setFor = () => ({ folder: "/proj", accounts: ["b"] });
		harness.affinity.served("s", "a");
		expect(handout()()).toEqual(valid("b"));
		expired = new Set(["b"]);
		expect(handout()()).toEqual({ token: tokenOf("b"), isValid: false });
		harness.setFor = () => ({ folder: "/proj", accounts: ["gone"] });
		expect(handout()()).toBeUndefined();
	});

	it("the token for others, where caps and sets hold is none of an account at its cap", () => {
		harness.settings = { ...harness.settings, caps: { a: { "5h": 20 }, b: { "5h": 20 }, c: { "5h": 20 } } };
		const windows = [{ usedPercent: 90, windowMinutes: 300, resetsAt: harness.clock.now() + HOUR_MS }];
		for (const id of ["a", "b"]) harness.pool.noteUsage(id, aSnapshot({ windows }));
		expect(handout()()).toEqual(valid("c"));
		harness.pool.noteUsage("c", aSnapshot({ windows }));
		expect(handout()()).toBeUndefined();
	});
});
