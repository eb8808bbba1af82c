import { describe, expect, it } from "vitest";
import { endOfGrant, grantIn } from "../../../../src/platform/backend/grant.ts";
import { aToken, aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";

const usable = aTokenOf("work");
const escaped = { access_token: usable, refresh_token: "n/ext" };
/** Names no workspace: no request can be made with it. */
const useless = aToken({ sub: "auth0|work" });

describe("the tokens in an answer", () => {
	it("the tokens in an answer are those that can be used, wherever they stand, and whatever stands before them", () => {
		const body = { access_token: useless, expires_in: 60, tokens: { access_token: usable, refresh_token: "next" } };
		expect(grantIn(JSON.stringify(body))).toEqual({ access: usable, refresh: "next", lifetimeMs: undefined });
	});

	it("the tokens in an answer are what is there if none can be used, so that a new refresh token is kept", () => {
		const body = { data: { access_token: useless }, refresh_token: "next" };
		expect(grantIn(JSON.stringify(body))).toMatchObject({ access: useless, refresh: "next" });
		expect(grantIn(JSON.stringify({ refresh_token: "next" }))).toMatchObject({ access: undefined, refresh: "next" });
		expect(grantIn("<html>")).toBeUndefined();
	});

	it.each([null, "", 7, "two words"])("the tokens in an answer are those under the other name beside %j", (odd) => {
		const body = { access_token: odd, accessToken: usable, refresh_token: odd, refreshToken: "next" };
		expect(grantIn(JSON.stringify(body))).toMatchObject({ access: usable, refresh: "next" });
	});

	it("the tokens in an answer that was cut off are those that are whole in it", () => {
		const body = JSON.stringify({ refresh_token: "next", access_token: usable });
		expect(grantIn(body.slice(0, -10))).toMatchObject({ access: undefined, refresh: "next" });
	});

	it.each<[string, string]>([
		["in camel case", JSON.stringify({ accessToken: usable, refreshToken: "n/ext" })],
		["as a text in JSON", JSON.stringify({ statusCode: 200, body: JSON.stringify(escaped) })],
		["as JSON in JSON", JSON.stringify(JSON.stringify(escaped))],
		["with escapes, and a comma too much", `{"access_token":"${usable}","refresh_token":"n\\/ext",}`],
		["behind a guard against scripts", `)]}',\n${JSON.stringify(escaped)}`],
	])("the tokens in an answer are found %s", (_name, body) => {
		expect(grantIn(body)).toMatchObject({ access: usable, refresh: "n/ext" });
	});

	it("the tokens in an answer are not looked for in a page, or in a text that is cut off within one", () => {
		const quoted = `"refresh_token":"next"`;
		expect(grantIn(`<html>{${quoted}}`)).toBeUndefined();
		expect(grantIn(`{${quoted.slice(0, -2)}\\"`)).toBeUndefined();
	});

	it("the end of an access token is its own, else by the lifetime in the answer, else in an hour", () => {
		const grant = { access: useless, refresh: undefined, lifetimeMs: 60_000 };
		expect(endOfGrant(usable, grant, NOW)).toBe(NOW + 10 * DAY_MS);
		expect(endOfGrant(useless, grant, NOW)).toBe(NOW + 60_000);
		expect(endOfGrant(useless, { ...grant, lifetimeMs: undefined }, NOW)).toBe(NOW + HOUR_MS);
	});
});
