import { expect, it, vi } from "vitest";
import { logSchema } from "../../src/pi/json-schemas.ts";
import { answers, resetCreditAnswers } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { openTerminal, PATIENCE_MS } from "./sign-in-support.ts";
import { type Bench, type BenchOptions, createBench, createBenchOnAnyHost } from "./support.ts";

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

it.each([OLDEST_HOST, NEWEST_HOST])(
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

it("a pi that is killed after the yes redeems once: the next attempt makes the same call, or none", async () => {
	const bench = await createBenchOnAnyHost({ accounts: ACCOUNTS });
	const work = bench.codex.account("work");
	const killedAt = async (answer: Parameters<typeof work.resetCredits.consumeScript.always>[0] & {}) => {
		bench.codex.clearRequests();
		work.resetCredits.consumeScript.next(answer);
		const pi = bench.spawn(["-p", "/multicodex redeem --yes"]);
		const isDone = answer.kind === "consume";
		await bench.codex.waitFor((call) => call.kind === "redeem" && (!isDone || call.answer === "reset"), PATIENCE_MS);
		pi.signal("SIGKILL");
		await pi.wait();
	};
	// The backend never heard of it: the call is made again under the same key.
	await killedAt(answers.hang());
	expect(await bench.print("/multicodex redeem work --yes")).toMatchObject({ code: 0, stderr: "" });
	expect([keys(bench).length, new Set(keys(bench)).size, redeemed(bench)]).toEqual([2, 1, ["credit-soon"]]);

	// The backend carried it out, and the answer was lost: nothing is left to do.
	work.setQuota({ fiveHour: {}, week: { usedPercent: 100, resetsInMs: 4 * DAY_MS } });
	await killedAt(resetCreditAnswers.late({ afterMs: 60_000 }));
	const next = await bench.print("/multicodex redeem work --yes");
	expect([next.code, next.stdout]).toEqual([1, expect.stringContaining("work has no reset credit")]);
	expect([keys(bench).length, redeemed(bench).sort()]).toEqual([1, ["credit-late", "credit-soon"]]);
	expect(bench.status("work").cooldowns).toEqual([]);
});

it("several pis that redeem at once make one call, and both get its outcome", async () => {
	const bench = await createBenchOnAnyHost({ accounts: ACCOUNTS });
	bench.codex.account("work").resetCredits.consumeScript.always(resetCreditAnswers.late({ beforeMs: 1500 }));
	const both = await Promise.all([1, 2].map(() => bench.print("/multicodex redeem --yes --json")));
	expect(both.map(({ code }) => code)).toEqual([0, 0]);
	expect([keys(bench).length, redeemed(bench)]).toEqual([1, ["credit-soon"]]);
	const { stdout } = await bench.print("/multicodex log --json");
	const kinds = logSchema.parse(JSON.parse(stdout)).decisions.map(({ kind }) => kind);
	expect(kinds.filter((kind) => kind === "redeemed")).toHaveLength(1);
});
