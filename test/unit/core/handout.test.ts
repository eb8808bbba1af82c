import { beforeEach, describe, expect, it } from "vitest";
import { createHandout } from "../../../src/core/handout.ts";
import { anAccount, HOUR_MS } from "../../support/fakes.ts";
import { aHouse, type House } from "../harness.ts";

let house: House;
let expired: Set<string>;
const tokenOf = (id: string) => house.pool.account(id)?.credential.access;
const valid = (id: string) => ({ token: tokenOf(id), isValid: true });
const handout = () => {
	const credentials = {
		...house.deps.credentials,
		currentToken: (id: string) => (expired.has(id) ? undefined : tokenOf(id)),
	};
	return createHandout({ pool: house.pool, affinity: house.affinity, credentials });
};

beforeEach(() => {
	house = aHouse(anAccount("a"), anAccount("b"), anAccount("c"));
	house.affinity.begin("s");
	expired = new Set();
});

const cool = (...ids: string[]) => {
	for (const id of ids) {
		const account = house.pool.account(id);
		if (!account) throw new Error(`${id} is not there`);
		const until = house.clock.now() + HOUR_MS;
		house.pool.cool(
			account,
			{ covers: "account", scope: "account", reason: "usage_limit", until, guessed: false },
			"gpt-5.5",
		);
	}
};

describe("the token for others", () => {
	it("is that of the account that the session is on, else that of the first choice", () => {
		expect(handout()()).toEqual(valid("a"));
		house.affinity.served("s", "b");
		expect(handout()()).toEqual(valid("b"));
	});

	it("is another account's while one is exhausted", () => {
		house.affinity.served("s", "a");
		cool("a");
		expect(handout()()).toEqual(valid("b"));
	});

	it("is one that is still valid, and without any the one that would be renewed", () => {
		expired.add("a");
		expect(handout()()).toEqual(valid("b"));
		expired = new Set(["a", "b", "c"]);
		expect(handout()()).toEqual({ token: tokenOf("a"), isValid: false });
	});

	it("is there while every account rests, and missing without accounts", () => {
		house.affinity.served("s", "b");
		cool("a", "b", "c");
		expect(handout()()).toEqual(valid("b"));
		house = aHouse();
		expect(handout()()).toBeUndefined();
	});

	it("is of nobody who has to sign in again or is switched off", () => {
		house = aHouse(anAccount("a", { enabled: false }), anAccount("b", { needsLogin: { reason: "revoked", at: 1 } }));
		expect(handout()()).toBeUndefined();
	});
});
