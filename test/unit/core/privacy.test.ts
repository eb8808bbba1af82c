import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { printable } from "../../../src/core/account.ts";
import { hideEmails, hideEmailsIn, hidePoolSecrets, hideTokens } from "../../../src/core/privacy.ts";
import { anyCharacter } from "../../support/arbitraries.ts";
import { isLinear } from "../../support/growth.ts";
import { runs } from "../../support/tiers.ts";

describe("hiding e-mails", () => {
	it.each([
		["You signed in as me@work.example, not as job.", "You signed in as m…@work.example, not as job."],
		["(~/.codex/accounts/me@work.example.json)", "(~/.codex/accounts/m…@work.example.json)"],
		['"first.last+tag@mail.work.example"', '"f…@mail.work.example"'],
		["<me@work.example>", "<m…@work.example>"],
		["a@b and é́tienne@b", "…@b and é…@b"],
		["\u001b[1mme@work.example\u001b[0m", "\u001b[1mm…@work.example\u001b[0m"],
		["no address @ all", "no address @ all"],
	])("makes %j %j", (text, hidden) => {
		expect(hideEmails(text)).toBe(hidden);
	});

	it("leaves no address whole, makes nothing longer, and changes nothing the second time", () => {
		const part = fc.stringMatching(/^[\p{L}\p{N}._+-]{2,12}$/u);
		const around = fc.string({ unit: anyCharacter }).filter((text) => !text.includes("@"));
		fc.assert(
			fc.property(around, part, part, around, (before, local, domain, after) => {
				const text = `${before} ${local}@${domain} ${after}`;
				const hidden = hideEmails(text);
				expect(hidden).not.toContain(`${local}@`);
				expect(hidden.length).toBeLessThanOrEqual(text.length);
				expect(hideEmails(hidden)).toBe(hidden);
			}),
			runs(25),
		);
	});

	it("hides an address of any length", () => {
		expect(hideEmails(`${"x".repeat(1000)}@${"y".repeat(1000)}.example`)).toBe(`x…@${"y".repeat(1000)}.example`);
	});

	it.each(["x", "@", "x@", "\u001b[1", "\u001b[1;", "é", "a "])(
		"takes time by the length of %j, not by its square",
		(piece) => {
			expect([isLinear(hideEmails, piece), isLinear(printable, piece)]).toEqual([true, true]);
		},
	);

	it("goes through every text of a document, and leaves the rest", () => {
		expect(hideEmailsIn({ a: ["me@x.test", 5, null, undefined, true], b: { c: "plain" } })).toEqual({
			a: ["m…@x.test", 5, null, undefined, true],
			b: { c: "plain" },
		});
	});
});

describe("hiding tokens", () => {
	const access = `eyJhbGciOiJSUzI1NiJ9.${"eyJzdWIiOiJ1In0"}.c2lnbmF0dXJl-_x`;

	it.each([
		[`Invalid token: ${access}.`, "Invalid token: …."],
		[`{"authorization":"Bearer ${access}"}`, '{"authorization":"Bearer …"}'],
		[access.slice(0, 40), "…"],
		[`refresh_token=rt_${"a1B2".repeat(9)}&x`, "refresh_token=…&x"],
		["rt.1.AbCdEfGhIjKlMnOpQrSt was used", "… was used"],
		["The start_of_the_sentence_is_no_token, nor is port_forwarding_is_disabled", undefined],
		["heyJohn, part_of_something_long_enough eyJ", undefined],
	])("makes %j %j", (text, hidden = text) => {
		expect(hideTokens(text)).toBe(hidden);
	});

	it.each(["eyJ", "eyJaaaaaaaa.", "rt_", "rt.", "eyJaaaaaaaa-rt_"])(
		"takes linear time over %j, however often",
		(piece) => {
			expect(isLinear(hideTokens, piece)).toBe(true);
		},
	);
});

describe("secrets of a shared pool", () => {
	it.each([
		["there is no pi-pool-keeper-AbC_9-x here", "there is no pi-pool-keeper-… here"],
		['"postgres://pool:hunter2@db.example/pi"', '"postgres://pool:…@db.example/pi"'],
		["postgres://pool:a@b/c@db/pi and more@example.test", "postgres://pool:…@db/pi and more@example.test"],
		["postgres://pool@db/pi", "postgres://pool@db/pi"],
		["https://example.test:443/path", "https://example.test:443/path"],
		["(see postgres://pool:x@db/pi)", "(see postgres://pool:…@db/pi)"],
		["a://b/c://d:secret@e", "a://b/c://d:…@e"],
	])("secrets of a shared pool are hidden in %s", (text, hidden) => {
		expect(hidePoolSecrets(text)).toBe(hidden);
	});

	it.each(["a://b:", "a://b:@", "a://", "pi-pool-keeper-", ":", "@"])(
		"secrets of a shared pool are hidden in time by the length of a text, and not by its square: %j over and over",
		(piece) => {
			expect(isLinear(hidePoolSecrets, piece)).toBe(true);
		},
	);
});
