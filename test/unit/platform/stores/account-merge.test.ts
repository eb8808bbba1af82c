import { describe, expect, it } from "vitest";
import { type Row, rowSchema } from "../../../../src/platform/stores/account-file.ts";
import { unite } from "../../../../src/platform/stores/account-merge.ts";
import { aTokenOf, DAY_MS, HOUR_MS, NOW } from "../../../support/fakes.ts";
import { anId } from "../../../support/ids.ts";

const lost = { reason: "revoked", at: NOW };

/** A row of one user in one workspace; its sign-in was issued at `issuedAt`. */
function aRow(id: string, issuedAt: number, overrides: Record<string, unknown> = {}): Row {
	return rowSchema.parse({
		id,
		label: id,
		accountId: "acct-work",
		credential: { access: aTokenOf("work", { issuedAt }), refresh: `refresh-${id}`, expires: NOW + DAY_MS },
		source: "login",
		linked: false,
		enabled: true,
		needsLogin: null,
		addedAt: id === "old" ? NOW - DAY_MS : NOW,
		...overrides,
	});
}

/** The only row that is left of `rows`, and the refresh tokens that were given up. */
function united(...rows: Row[]) {
	const draft: Parameters<typeof unite>[0] = { version: 2, accounts: [...rows] };
	const merged = unite(draft, rows[0]?.id ?? anId(""));
	expect(draft.accounts).toHaveLength(1);
	return { row: rowSchema.parse(draft.accounts[0]), spare: merged.map(({ spare }) => spare.credential.refresh) };
}

describe("the merge of two rows of one account", () => {
	it("keeps id, label and switch of the older row, with the sign-in that was issued later", () => {
		const old = aRow("old", NOW, { enabled: false, label: "mine" });
		const { row, spare } = united(aRow("new", NOW + HOUR_MS), old);
		expect(row).toMatchObject({ id: "old", label: "mine", enabled: false, formerIds: ["new"] });
		expect([row.credential.refresh, spare]).toEqual(["refresh-new", ["refresh-old"]]);
	});

	it("keeps the sign-in of the older row if that was issued later", () => {
		const { row, spare } = united(aRow("new", NOW), aRow("old", NOW + HOUR_MS));
		expect([row.id, row.credential.refresh, spare]).toEqual(["old", "refresh-old", ["refresh-new"]]);
	});

	it("prefers a sign-in that works to one that was issued later and has ended", () => {
		const ended = { needsLogin: lost };
		const first = united(aRow("new", NOW + HOUR_MS, ended), aRow("old", NOW));
		expect([first.row.credential.refresh, first.row.needsLogin]).toEqual(["refresh-old", null]);
		const second = united(aRow("new", NOW), aRow("old", NOW + HOUR_MS, ended));
		expect([second.row.credential.refresh, second.row.needsLogin]).toEqual(["refresh-new", null]);
	});

	it("stays linked while pi has the same sign-in, and not for a sign-in that is given up", () => {
		const shared = aRow("old", NOW).credential;
		expect(united(aRow("new", NOW, { linked: true, credential: shared }), aRow("old", NOW)).row.linked).toBe(true);
		expect(united(aRow("new", NOW, { linked: true }), aRow("old", NOW + HOUR_MS)).row.linked).toBe(false);
		expect(united(aRow("new", NOW, { credential: shared }), aRow("old", NOW)).row.linked).toBe(false);
	});

	it("joins three rows into the oldest", () => {
		const { row, spare } = united(aRow("new", NOW), aRow("old", NOW + 1), aRow("newer", NOW + HOUR_MS));
		expect([row.id, row.credential.refresh]).toEqual(["old", "refresh-newer"]);
		expect([row.formerIds?.toSorted(), spare.toSorted()]).toEqual([
			["new", "newer"],
			["refresh-new", "refresh-old"],
		]);
	});
});
