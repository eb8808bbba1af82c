import { beforeEach, describe, expect, it } from "vitest";
import { createHandout } from "../../../../src/core/credentials/handout.ts";
import type { AccountId } from "../../../../src/core/ids.ts";
import { anAccount, aSnapshot, HOUR_MS } from "../../../support/fakes.ts";
import { anId, aSessionId } from "../../../support/ids.ts";
import { createHarness, type Harness } from "../../harness.ts";

let harness: Harness;
let expired: Set<string>;
const tokenOf = (id: AccountId) => harness.pool.account(id)?.credential.access;
const valid = (id: AccountId) => ({ token: tokenOf(id), isValid: true });
const handout = () => {
	const credentials = {
		...harness.deps.credentials,
		currentToken: (id: AccountId) => (expired.has(id) ? undefined : tokenOf(id)),
	};
	return createHandout({ pool: harness.pool, affinity: harness.affinity, credentials });
};

beforeEach(() => {
	harness = createHarness(anAccount("a"), anAccount("b"), anAccount("c"));
	harness.affinity.begin(aSessionId("s"));
	expired = new Set();
});

const cool = (...ids: AccountId[]) => {
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
		expect(handout()()).toEqual(valid(anId("a")));
		harness.affinity.served(aSessionId("s"), anId("b"));
		expect(handout()()).toEqual(valid(anId("b")));
	});

	it("is another account's while one is exhausted", () => {
		harness.affinity.served(aSessionId("s"), anId("a"));
		cool(anId("a"));
		expect(handout()()).toEqual(valid(anId("b")));
	});

	it("the token for others is one that is still valid, and without any the one that would be renewed", () => {
		expired.add("a");
		expect(handout()()).toEqual(valid(anId("b")));
		expired = new Set(["a", "b", "c"]);
		expect(handout()()).toEqual({ token: tokenOf(anId("a")), isValid: false });
	});

	it("is there while every account rests, and missing without accounts", () => {
		harness.affinity.served(aSessionId("s"), anId("b"));
		cool(anId("a"), anId("b"), anId("c"));
		expect(handout()()).toEqual(valid(anId("b")));
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

describe("the token for others, within caps and sets", () => {
	it("is that of an account of the set, even if every token of it has run out", () => {
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("b")] });
		harness.affinity.served(aSessionId("s"), anId("a"));
		expect(handout()()).toEqual(valid(anId("b")));
		expired = new Set(["b"]);
		expect(handout()()).toEqual({ token: tokenOf(anId("b")), isValid: false });
		harness.setFor = () => ({ folder: "/proj", accounts: [anId("gone")] });
		expect(handout()()).toBeUndefined();
	});

	it("the token for others is none of an account at its cap", () => {
		harness.settings = {
			...harness.settings,
			caps: { [anId("a")]: { "5h": 20 }, [anId("b")]: { "5h": 20 }, [anId("c")]: { "5h": 20 } },
		};
		const windows = [{ usedPercent: 90, windowMinutes: 300, resetsAt: harness.clock.now() + HOUR_MS }];
		for (const id of [anId("a"), anId("b")]) harness.pool.noteUsage(id, aSnapshot({ windows }));
		expect(handout()()).toEqual(valid(anId("c")));
		harness.pool.noteUsage(anId("c"), aSnapshot({ windows }));
		expect(handout()()).toBeUndefined();
	});
});
