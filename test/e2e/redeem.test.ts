import { expect, it, vi } from "vitest";
import { logSchema } from "../../src/pi/json-schemas.ts";
import { answers, resetCreditAnswers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { openTerminal, PATIENCE_MS } from "./sign-in-support.ts";
import { type Bench, type BenchOptions, createBench } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });

const DAY_MS = 24 * 3_600_000;
const UUID = /^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/;
/** An account whose week is spent and which has two credits, and one without any. */
const ACCOUNTS: BenchOptions["accounts"] = [
	{
		name: "work",
		quota: { fiveHour: { usedPercent: 10 }, week: { usedPercent: 100, resetsInMs: 4 * DAY_MS } },
		resetCredits: [
			{ id: "credit-late", expiresInMs: 25 * DAY_MS },
			{ id: "credit-soon", expiresInMs: 8 * DAY_MS },
		],
	},
	{ name: "team", quota: { fiveHour: { usedPercent: 100 }, week: { usedPercent: 40 } } },
];
const redeemed = (bench: Bench) => bench.codex.account("work").resetCredits.ids("redeemed");
const keys = (bench: Bench) => bench.codex.redeemRequests().map(({ body }) => body?.redeem_request_id);

it.each(coreOf([NEWEST_HOST, OLDEST_HOST]))(
	"a reset credit is redeemed after a yes, and the account serves at once: pi %s",
	async (host) => {
		const bench = await createBench({ host, accounts: ACCOUNTS });
		const terminal = await openTerminal(bench, { cols: 100, rows: 30 });
		await terminal.submit("/multicodex redeem");
		await terminal.waitForText("Redeem a reset of work?", PATIENCE_MS);
		await terminal.waitForText(/Gains: week back to 100% now instead of \w+ [\d:]+ \(in 3d23h\)/, PATIENCE_MS);
		await terminal.waitForText("█  Keep the credit", PATIENCE_MS);
		expect(bench.codex.redeemRequests()).toEqual([]);
		await terminal.press("down");
		await terminal.waitForText("█  Redeem it", PATIENCE_MS);
		await terminal.press("enter");
		await terminal.waitForText(/redeemed a reset of work: 100% of 5h.*1 reset\s+credit is left\./s, PATIENCE_MS);

		expect(bench.codex.redeemRequests()).toMatchObject([{ account: "work", body: { credit_id: "credit-soon" } }]);
		expect(keys(bench)).toEqual([expect.stringMatching(UUID)]);
		expect([redeemed(bench), bench.status("work").cooldowns]).toEqual([["credit-soon"], []]);
		await terminal.submit("say hi");
		await terminal.waitForText("OK from work #1", PATIENCE_MS);
		// The list is asked for where usage reports credits, and nowhere else.
		expect(bench.codex.resetCreditRequests("team")).toEqual([]);
	},
);

/** A pi that has made its call to redeem, which gets this answer, and is killed then. */
async function killAtRedemption(
	bench: Bench,
	answer: ReturnType<typeof answers.hang> | ReturnType<typeof resetCreditAnswers.late>,
	isThere: (call: { readonly answer?: string | undefined }) => boolean,
): Promise<void> {
	bench.codex.account("work").resetCredits.consumeScript.next(answer);
	const pi = bench.spawn(["-p", "/multicodex redeem --yes"]);
	await bench.codex.waitFor((call) => call.kind === "redeem" && isThere(call), PATIENCE_MS);
	pi.signal("SIGKILL");
	await pi.wait();
}

it("a redemption that never reached the backend, since its pi was killed, is made again under the same key", async () => {
	const bench = await createBench({ accounts: ACCOUNTS });
	await killAtRedemption(bench, answers.hang(), () => true);
	expect(await bench.print("/multicodex redeem work --yes")).toMatchObject({ code: 0, stderr: "" });
	expect([keys(bench).length, new Set(keys(bench)).size, redeemed(bench)]).toEqual([2, 1, ["credit-soon"]]);
});

it("a redemption whose answer was lost, since its pi was killed, is not made again", async () => {
	const bench = await createBench({ accounts: ACCOUNTS });
	await killAtRedemption(bench, resetCreditAnswers.late({ afterMs: 60_000 }), ({ answer }) => answer === "reset");
	const next = await bench.print("/multicodex redeem work --yes");
	expect([next.code, keys(bench).length, redeemed(bench)]).toEqual([1, 1, ["credit-soon"]]);
	expect(next.stdout).toContain("its windows are not spent");
	expect(bench.status("work").cooldowns).toEqual([]);
});

it("several pis that redeem at once make one call, and both get its outcome", async () => {
	const bench = await createBench({ accounts: ACCOUNTS });
	bench.codex.account("work").resetCredits.consumeScript.always(resetCreditAnswers.late({ beforeMs: 1500 }));
	const both = await Promise.all([1, 2].map(() => bench.print("/multicodex redeem --yes --json")));
	expect(both.map(({ code }) => code)).toEqual([0, 0]);
	expect([keys(bench).length, redeemed(bench)]).toEqual([1, ["credit-soon"]]);
	const { stdout } = await bench.print("/multicodex log --json");
	const kinds = logSchema.parse(JSON.parse(stdout)).decisions.map(({ kind }) => kind);
	expect(kinds.filter((kind) => kind === "redeemed")).toHaveLength(1);
});
