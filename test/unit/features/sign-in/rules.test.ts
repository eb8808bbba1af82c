import { describe, expect, it } from "vitest";
import { poolSecretIn, signInAddressIn } from "../../../../src/features/sign-in/rules.ts";
import { createStraySignIns } from "../../../../src/features/sign-in/stray-sign-in.ts";
import { isLinear } from "../../../support/growth.ts";

const END = "http://localhost:1455/auth/callback?code=ac_XyZ-1.2&scope=openid%20email&state=s_t-1";
const BEGINNING = "https://auth.openai.com/oauth/authorize?response_type=code&client_id=app_x&state=s_t-1";

describe("the address of a sign-in in a prompt", () => {
	it.each([
		["the address that the browser ended on", ` ${END}\n`, END],
		["it among words", `it says ${END} and stops`, END],
		["it without a scheme", END.replace("http://", ""), END.replace("http://", "")],
		["it by number", END.replace("localhost:1455", "127.0.0.1:1457"), END.replace("localhost:1455", "127.0.0.1:1457")],
		["it broken over lines", END.replace("scope", "\n  scope").replace("code=", "\ncode="), END],
		["a refusal", "http://localhost:1455/auth/callback?error=access_denied&state=s", undefined],
		["its query alone", "?code=ac_1&state=s_1", "?code=ac_1&state=s_1"],
		["its query without the mark", "code=ac_1&state=s_1", "code=ac_1&state=s_1"],
		["the address where it begins", BEGINNING, BEGINNING],
	])("an address in a prompt is found: %s", (_what, prompt, address) => {
		expect(signInAddressIn(prompt)).toBe(address ?? prompt);
	});

	it.each([
		"say hi",
		"why does http://localhost:3000/auth/callback?code=1&state=2 fail?",
		"code=1",
		"set state=2 in the form, please",
		"see https://auth.openai.com/oauth/authorize?client_id=app for the address",
		"https://example.test/?code=1",
		"",
	])("an address in a prompt is not in %j", (prompt) => {
		expect(signInAddressIn(prompt)).toBeUndefined();
	});
});

describe("secrets of a shared pool in a prompt", () => {
	const code = `pi-pool-runner-${"a".repeat(40)}`;
	it.each([
		[code, "code"],
		[`please join ${code.slice(0, 60)}`, "code"],
		[`/multicodx join ${code}`, "code"],
		["/multicodx share postgres://pool:hunter2@db.example/pi", "password"],
		["/mc share all\npostgresql://pool:p@ss@db.example/pi", "password"],
		[`join ${code.slice("pi-".length)}${"b".repeat(40)}`, "code"],
		["/multicodx shaer postgres://pool:hunter2@db.example/pi", "password"],
		["multicodex shaer postgres://pool:hunter2@db.example/pi work", "password"],
		["/mutlicodex 'postgres://pool:hunter2@db.example/pi'", "password"],
		["/mc shrae postgres://pool:hunter2@db.example/pi", "password"],
		[" postgres://pool:hunter2@db.example/pi?sslmode=require\n", "password"],
		["'postgresql://pool:hunter2@db.example/pi'", "password"],
		["postgres://pool:hunter2@db.example/pi work", undefined],
		["what does pi-pool-keeper-… mean?", undefined],
		["rename my-pool-runner-for-the-nightly-build to nightly", undefined],
		["share postgres://pool:hunter2@db.example/pi with the other service", undefined],
		["connect to postgres://pool:hunter2@db.example/pi and list the tables", undefined],
		["/query postgres://pool:hunter2@db.example/pi", undefined],
		["/multicodx share postgres://db.example/pi", undefined],
	])("secrets of a shared pool are found in %s", (prompt, found) => {
		expect(poolSecretIn(prompt)).toBe(found);
		const notice = createStraySignIns().take(prompt);
		expect(notice?.level).toBe(found && "warning");
		expect(notice?.text ?? "").not.toMatch(/hunter2|aaaa/);
	});

	it.each(["postgres://a:", "postgres://", "postgres://a:b/", "postgres://a:@", "pi-pool-keeper-"])(
		"secrets of a shared pool are looked for in time by the length of a prompt, and not by its square: %j",
		(piece) => {
			expect(isLinear(poolSecretIn, piece)).toBe(true);
		},
	);
});
