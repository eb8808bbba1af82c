import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { fingerprint, identityOf, tokenTimes } from "../../../../src/platform/backend/jwt.ts";
import { anyCharacter } from "../../../support/arbitraries.ts";
import { aToken, aTokenOf, idFor, NOW } from "../../../support/fakes.ts";

describe("the identity in a token", () => {
	const whole = {
		sub: "auth0|sub",
		email: "Me@Work.example",
		auth: {
			chatgpt_account_id: "acct",
			chatgpt_user_id: "user",
			chatgpt_account_user_id: "seat",
			chatgpt_plan_type: "team",
		},
	};

	it("an identity in a token holds nothing that could move the cursor", () => {
		const esc = "\u001b[2J";
		const shown = identityOf(
			aToken({ ...whole, email: `${esc}me@work.example`, auth: { ...whole.auth, chatgpt_plan_type: `te${esc}am\n` } }),
		);
		expect(`${shown?.email}${shown?.plan}`).toMatch(/^[\x20-\x7e\ufffd?]+$/);
		const inProfile = identityOf(aToken({ profileEmail: `${esc}me@work.example`, auth: whole.auth }));
		expect(inProfile?.email).not.toContain("\u001b");
	});

	it("an identity in a token is the seat's, with everything that the token tells", () => {
		expect(identityOf(aToken(whole))).toEqual({
			id: idFor("seat", "acct"),
			workspaceId: "acct",
			userId: "user",
			email: "Me@Work.example",
			plan: "team",
			claims: ["chatgpt_account_user_id=seat", "chatgpt_user_id=user", "sub=auth0|sub"],
			ids: ["seat", "user", "auth0|sub"].map((user) => idFor(user, "acct")),
		});
	});

	it.each([
		["the user's without a seat", { ...whole, auth: { chatgpt_account_id: "acct", chatgpt_user_id: "user" } }, "user"],
		["the subject's without a user", { ...whole, auth: { chatgpt_account_id: "acct" } }, "auth0|sub"],
		[
			"the lower-cased e-mail's without anything else",
			{ email: "Me@Work.example", auth: { chatgpt_account_id: "acct" } },
			"me@work.example",
		],
		[
			"that of the e-mail in the profile, too",
			{ profileEmail: "Me@Work.example", auth: { chatgpt_account_id: "acct" } },
			"me@work.example",
		],
		[
			"not that of an empty or broken claim",
			{ ...whole, auth: { chatgpt_account_id: "acct", chatgpt_user_id: "", chatgpt_account_user_id: 5 } },
			"auth0|sub",
		],
	])("an identity in a token is %s", (_name, claims, user) => {
		expect(identityOf(aToken(claims))?.id).toBe(idFor(user, "acct"));
	});

	it("keeps two seats of a workspace apart, and two workspaces of a user", () => {
		const of = (user: string, accountId: string) =>
			identityOf(aToken({ auth: { chatgpt_account_id: accountId, chatgpt_user_id: user } }))?.id;
		expect(new Set([of("u1", "acct"), of("u2", "acct"), of("u1", "other")]).size).toBe(3);
	});

	it("stays the same when the token, its plan and its e-mail change", () => {
		const renewed = aToken({
			...whole,
			email: "new@work.example",
			issuedAt: NOW,
			auth: { ...whole.auth, chatgpt_plan_type: "pro" },
		});
		expect(identityOf(renewed)?.id).toBe(identityOf(aToken(whole))?.id);
	});

	it("takes the workspace from beside the token only if the token tells none", () => {
		const without = aToken({ ...whole, auth: { chatgpt_user_id: "user" } });
		expect(identityOf(without)).toBeUndefined();
		expect(identityOf(without, "from-file")).toMatchObject({
			workspaceId: "from-file",
			id: idFor("user", "from-file"),
		});
		expect(identityOf(aToken(whole), "from-file")).toMatchObject({ workspaceId: "acct" });
	});

	it("reads what plain base64 and base64url write differently", () => {
		const claims = { auth: { chatgpt_account_id: "acct", chatgpt_user_id: "??>>~~ÿÿ職場" } };
		const url = aToken(claims);
		const [head, body = "", tail] = url.split(".");
		const plain = [head, Buffer.from(body, "base64url").toString("base64"), tail].join(".");
		expect(url).toMatch(/[-_]/);
		expect(plain).toMatch(/[+/]/);
		for (const token of [url, plain]) expect(identityOf(token)).toMatchObject({ userId: "??>>~~ÿÿ職場" });
	});

	it.each([
		["empty", ""],
		["opaque", "sk-proj-123"],
		["two dots and nothing", ".."],
		["no base64", "a.!!!.b"],
		["no JSON", `a.${Buffer.from("hello").toString("base64url")}.b`],
		["no object", `a.${Buffer.from("5").toString("base64url")}.b`],
		["null", `a.${Buffer.from("null").toString("base64url")}.b`],
		["without claims", aToken({})],
	])("an identity in a token is none if the token is %s", (_name, token) => {
		expect(identityOf(token)).toBeUndefined();
		expect(identityOf(token, undefined)).toBeUndefined();
	});

	it("an identity in a token is none for a token of more or fewer than three parts", () => {
		const token = aTokenOf("work");
		const [head, body] = token.split(".");
		expect(identityOf(token)).toBeDefined();
		for (const other of [`x.${token}`, `${token}.x`, `${head}.${body}`, `.${token}`]) {
			expect(identityOf(other)).toBeUndefined();
		}
	});

	it("an identity in a token is none, without a throw, for anything else", () => {
		fc.assert(
			fc.property(fc.string({ unit: anyCharacter }), (token) => {
				expect(identityOf(token)).toBeUndefined();
			}),
		);
		fc.assert(
			fc.property(fc.jsonValue(), (claims) => {
				const token = `a.${Buffer.from(JSON.stringify(claims)).toString("base64url")}.b`;
				expect(() => [identityOf(token), tokenTimes(token)]).not.toThrow();
			}),
		);
	});
});

describe("a token that is read again", () => {
	it("has the identity that it had, also after more tokens than are remembered", () => {
		const tokens = Array.from({ length: 500 }, (_, at) => aTokenOf(`person-${at}`));
		const first = tokens.map((token) => identityOf(token));
		const again = tokens.map((token) => identityOf(token));

		expect(again).toEqual(first);
		expect(new Set(first.map((identity) => identity?.id)).size).toBe(500);
		expect(identityOf(tokens[499] ?? "")).toBe(again[499]);
	});

	it("belongs to the workspace that is stored beside it now", () => {
		const token = aToken({ sub: "me" });
		const workspaces = ["one", "two", undefined].map((hint) => identityOf(token, hint)?.workspaceId);
		expect(workspaces).toEqual(["one", "two", undefined]);
	});
});

describe("the times of a token", () => {
	it("the times of a token are in milliseconds", () => {
		expect(tokenTimes(aToken({ issuedAt: NOW, expiresAt: NOW + 5000 }))).toEqual({
			issuedAt: NOW,
			expiresAt: NOW + 5000,
		});
	});

	it.each([
		["no token", "nonsense"],
		["a token without times", aToken({ sub: "x" })],
	])("the times of a token are unknown in %s", (_name, token) => {
		expect(tokenTimes(token)).toEqual({ issuedAt: undefined, expiresAt: undefined });
	});
});

describe("a fingerprint", () => {
	it("tells tokens apart and holds nothing of them", () => {
		const token = aTokenOf("work");
		expect(fingerprint(token)).toMatch(/^[0-9a-f]{16}$/);
		expect(fingerprint(token)).toBe(fingerprint(token));
		expect(fingerprint(`${token}x`)).not.toBe(fingerprint(token));
	});
});
