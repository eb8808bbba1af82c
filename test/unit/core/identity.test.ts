import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
	accountsOf,
	accountWith,
	grouped,
	isOfAnother,
	type Speaker,
	speakForOne,
	unusedId,
	userClaim,
} from "../../../src/core/identity.ts";
import { anAccount, NOW } from "../../support/fakes.ts";
import { anId, aWorkspaceId } from "../../support/ids.ts";
import { runs } from "../../support/tiers.ts";

const speaker = (over: Partial<Speaker> = {}): Speaker => ({
	workspaceId: aWorkspaceId("team"),
	userId: undefined,
	email: undefined,
	claims: [],
	...over,
});
const seat = (value: string) => userClaim("chatgpt_account_user_id", value);
const user = (value: string) => userClaim("chatgpt_user_id", value);
const sub = (value: string) => userClaim("sub", value);

describe("two tokens", () => {
	it.each<[string, boolean, Partial<Speaker>, Partial<Speaker>]>([
		["one claim is equal", true, { claims: [sub("a")] }, { claims: [seat("s"), sub("a")] }],
		["one of two is equal", true, { claims: [seat("old"), sub("a")] }, { claims: [seat("new"), sub("a")] }],
		["no claim is carried by both", false, { claims: [seat("s")] }, { claims: [sub("a")] }],
		["the claim that both carry differs", false, { claims: [sub("a")] }, { claims: [sub("b")] }],
		["equal words stand in different claims", false, { claims: [sub("a")] }, { claims: [user("a")] }],
		["the workspace differs", false, { claims: [sub("a")] }, { workspaceId: aWorkspaceId("home"), claims: [sub("a")] }],
		["the e-mail is all there is", true, { email: "Me@work.example" }, { email: "me@Work.example" }],
		["one of them carries more than the e-mail", false, { email: "me@a.b" }, { email: "me@a.b", claims: [sub("a")] }],
		["e-mails differ", false, { email: "me@a.b" }, { email: "you@a.b" }],
		["they tell nothing but the workspace", false, {}, {}],
	])("speak for one account or not: %s", (_what, expected, a, b) => {
		expect(speakForOne(speaker(a), speaker(b))).toBe(expected);
		expect(speakForOne(speaker(b), speaker(a))).toBe(expected);
	});

	it("speak for the account whose id was made of a claim that is carried again", () => {
		const former = {
			workspaceId: aWorkspaceId("team"),
			userId: undefined,
			email: undefined,
			claims: undefined,
			id: anId("abc"),
		};
		expect(speakForOne(former, speaker({ claims: [seat("s")], ids: [anId("abc")] }))).toBe(true);
		expect(speakForOne(former, speaker({ claims: [seat("s")], ids: [anId("def")] }))).toBe(false);
		// Kept by an older version, which did not say which claim it was.
		expect(speakForOne({ ...former, userId: "u" }, speaker({ claims: [sub("u")] }))).toBe(true);
		expect(speakForOne({ ...former, userId: "u" }, speaker({ claims: [user("u")] }))).toBe(true);
	});
});

describe("groups of sign-ins", () => {
	const values = { seat: ["s1", "s2"], user: ["u1", "u2"], sub: ["x1", "x2"] };
	const claims = fc
		.record({
			seat: fc.option(fc.constantFrom(...values.seat)),
			user: fc.option(fc.constantFrom(...values.user)),
			sub: fc.option(fc.constantFrom(...values.sub)),
		})
		.map(({ seat: s, user: u, sub: x }) => [...(s ? [seat(s)] : []), ...(u ? [user(u)] : []), ...(x ? [sub(x)] : [])]);
	const tokens = fc.array(
		fc.record({ workspaceId: fc.constantFrom(aWorkspaceId("team"), aWorkspaceId("home")), claims }),
		{ maxLength: 8 },
	);

	it("groups of sign-ins are what is joined by a chain of equal claims, whatever the order", () => {
		fc.assert(
			fc.property(tokens, (drawn) => {
				const items = drawn.map((token, at) => ({ ...speaker(token), at }));
				/** Joined step by step, until nothing changes: slow, and plainly right. */
				const group = items.map(({ at }) => at);
				for (let changed = true; changed; ) {
					changed = false;
					for (const a of items) {
						for (const b of items) {
							const [ours = 0, theirs = 0] = [group[a.at], group[b.at]];
							if (ours <= theirs || !speakForOne(a, b)) continue;
							group[a.at] = theirs;
							changed = true;
						}
					}
				}
				const expected = new Map<number, number[]>();
				for (const { at } of items) expected.set(group[at] ?? 0, [...(expected.get(group[at] ?? 0) ?? []), at]);
				const found = grouped(items, (item) => [item]).map((each) => each.map(({ at }) => at).sort((a, b) => a - b));
				const inOrder = (all: number[][]) => all.sort((a, b) => (a[0] ?? 0) - (b[0] ?? 0));
				expect(inOrder(found)).toEqual(inOrder([...expected.values()]));
			}),
			runs(30),
		);
	});
});

describe("an account", () => {
	it("is found by every id that was merged into it, and the oldest of doubles first", () => {
		const young = anAccount("young", {
			id: anId("b"),
			claims: [sub("a")],
			workspaceId: aWorkspaceId("team"),
			addedAt: NOW,
		});
		const old = anAccount("old", {
			id: anId("a"),
			claims: [sub("a")],
			workspaceId: aWorkspaceId("team"),
			addedAt: 1,
			formerIds: [anId("c")],
		});
		expect(accountsOf([young, old], speaker({ claims: [sub("a")] })).map(({ id }) => id)).toEqual(["a", "b"]);
		expect(["a", "c", "d"].map(anId).map((id) => accountWith([young, old], id)?.id)).toEqual(["a", "a", undefined]);
	});

	it("gets an id that no other has or had", () => {
		const taken = [anAccount("x", { id: anId("0123456789ab"), formerIds: [anId("0123456789ac")] })];
		expect(unusedId(anId("0123456789ab"), taken)).toBe("0123456789ad");
		expect(unusedId(anId("fedcba987654"), taken)).toBe("fedcba987654");
		expect(unusedId(anId("ffffffffffff"), [anAccount("x", { id: anId("ffffffffffff") })])).toBe("000000000000");
		expect(unusedId(anId("x"), [anAccount("x")])).toBe("x-2");
	});
});

describe("a token that was exchanged for one of an account", () => {
	it.each<[string, boolean, Partial<Speaker>, Partial<Speaker>]>([
		["of another workspace", true, { claims: [sub("a")] }, { workspaceId: aWorkspaceId("home"), claims: [sub("a")] }],
		["of another user", true, { claims: [sub("a")] }, { claims: [sub("b")] }],
		[
			"with one claim of two that has changed",
			false,
			{ claims: [seat("s"), sub("a")] },
			{ claims: [seat("t"), sub("a")] },
		],
		["with other claims", false, { claims: [sub("a")] }, { claims: [user("b")] }],
		["with fewer claims", false, { claims: [sub("a")] }, {}],
		["with another e-mail", false, { email: "a@example.test" }, { email: "b@example.test" }],
		[
			"with a user that was stored without its claim",
			false,
			{ claims: undefined, userId: "b" },
			{ claims: [sub("a")] },
		],
	])("speaks for another or not: one %s", (_what, expected, account, token) => {
		expect(isOfAnother(speaker(account), speaker(token))).toBe(expected);
	});
});
