import { expect, it } from "vitest";
import { toAccounts } from "../../../../src/platform/stores/account-file.ts";
import { isLinear } from "../../../support/growth.ts";

const rows = Array.from({ length: 1600 }, (_, at) => ({
	id: at.toString(16).padStart(12, "0"),
	accountId: `acct-${at}`,
	label: "work",
	credential: { access: "opaque", refresh: `refresh-${at}`, expires: 1 },
}));

it("makes accounts of any number of rows in time by their number, even if all want one label", () => {
	const read = (total: number) => toAccounts({ version: 2, accounts: rows.slice(0, total) });
	expect(new Set(read(rows.length).map(({ label }) => label)).size).toBe(rows.length);
	expect(isLinear(({ length }) => read(length / 40), "x")).toBe(true);
});
