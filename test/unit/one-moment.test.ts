import fc from "fast-check";
import { expect, it } from "vitest";
import type { Account } from "../../src/core/account.ts";
import type { Cooldown } from "../../src/core/cooldown.ts";
import type { UsageSnapshot } from "../../src/core/usage.ts";
import { footerLine } from "../../src/features/footer/line.ts";
import { footerModel } from "../../src/features/footer/model.ts";
import { PROVIDER } from "../../src/pi/provider.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../support/fakes.ts";
import { anId, aSessionId } from "../support/ids.ts";
import { runs } from "../support/tiers.ts";
import { createCommandHarness } from "./command-harness.ts";

/** What is known of one account. Labels are such that none stands in another one, or in a sentence. */
interface Row {
	readonly fields: Partial<Account>;
	readonly cooldowns: readonly Cooldown[];
	readonly usage: UsageSnapshot | undefined;
}

const LABELS = [
	"Qadmin",
	"東京オフィス",
	"🚀 rocket",
	"zulu@mail.example",
	"Xavier-with-a-label-of-over-thirty",
	"Büro7",
];

const signedOut = { needsLogin: { reason: "refresh_token_expired", at: NOW } };
const fields = fc.constantFrom<Partial<Account>>({}, {}, {}, { enabled: false }, signedOut);
const cooldowns = fc.constantFrom<readonly Cooldown[]>(
	[],
	[],
	[],
	[aCooldown({ until: NOW + 42 * MINUTE_MS })],
	[aCooldown({ until: NOW + HOUR_MS, guessed: true })],
	[aCooldown({ reason: "rate_limit", until: NOW + MINUTE_MS })],
);
const week = { usedPercent: 8, windowMinutes: 10_080, resetsAt: NOW + DAY_MS };
const budget = { usedPercent: 60, windowMinutes: 43_200, resetsAt: NOW + 9 * DAY_MS, isReached: false };
const credits = { hasCredits: true, unlimited: false, balance: "12.50" };
const usages = fc.constantFrom<UsageSnapshot | undefined>(
	undefined,
	aSnapshot({ windows: [{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + HOUR_MS }, week] }),
	aSnapshot({ windows: [{ usedPercent: 97, windowMinutes: 300, resetsAt: NOW + HOUR_MS }, week] }),
	aSnapshot({ windows: [week], capturedAt: NOW - HOUR_MS }),
	aSnapshot({ windows: [], budgets: [budget] }),
	aSnapshot({ windows: [] }),
	aSnapshot({ windows: [{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + HOUR_MS }], credits }),
);
const aRow: fc.Arbitrary<Row> = fc.record({ fields, cooldowns, usage: usages });

const aMoment = fc.record({
	rows: fc.array(aRow, { maxLength: LABELS.length }),
	pinned: fc.option(fc.nat({ max: LABELS.length - 1 }), { nil: undefined }),
	served: fc.option(fc.nat({ max: LABELS.length - 1 }), { nil: undefined }),
	isEnabled: fc.oneof({ arbitrary: fc.constant(true), weight: 5 }, fc.constant(false)),
	isForeign: fc.oneof({ arbitrary: fc.constant(false), weight: 5 }, fc.constant(true)),
});

it("every screen and the JSON agree on who serves next and how many are ready", async () => {
	await fc.assert(
		fc.asyncProperty(aMoment, async ({ rows, pinned, served, isEnabled, isForeign }) => {
			const accounts = rows.map((row, at) => anAccount(LABELS[at] ?? "", { id: anId(`account${at}`), ...row.fields }));
			const cli = createCommandHarness(accounts, { mode: "rpc" });
			const { pool, affinity, state } = cli.harness;
			for (const [at, { cooldowns, usage }] of rows.entries()) {
				state.statusById.set(anId(`account${at}`), { strikes: 0, cooldowns, ...(usage && { usage }) });
			}
			const at = (index: number | undefined) => (index === undefined ? undefined : accounts[index]);
			const [pin, last] = [at(pinned), at(served)];
			if (pin) await pool.pin(pin.id);
			if (last) affinity.begin(aSessionId("s"), last.id, NOW);
			cli.harness.settings = { ...cli.harness.settings, enabled: isEnabled };
			cli.isForeign = isForeign;

			const { model, sessionManager } = cli.screen.ctx;
			const plan = pool.plan({
				modelId: model?.provider === PROVIDER ? model.id : cli.savedModel,
				sessionId: aSessionId(sessionManager.getSessionId()),
				affinity: affinity.account(),
				served: affinity.lastServed(),
				patienceMs: cli.harness.settings.rotation.maxWaitMs,
			});
			const footer = footerLine(footerModel(plan, cli.harness.settings, { isForeign }), 200, (_tone, text) => text);
			const show = await cli.run("show");
			const why = await cli.run("why");
			const showJson = JSON.parse((await cli.run("show --json")).replace(/^\w+: /, ""));
			const whyJson = JSON.parse((await cli.run("why --json")).replace(/^\w+: /, ""));
			// Nothing is pinned or not any more: it changes nothing, and says who serves next.
			const answer = await cli.run(pin ? `use ${pin.id}` : "reset pin");

			const next = accounts.find(({ id }) => id === showJson.active);
			expect(next?.label).toBe(accounts.find(({ label }) => new RegExp(`^→ +${label}`, "m").test(show))?.label);
			const isOurs = isEnabled && !isForeign;
			if (!isOurs) {
				expect(next).toBeUndefined();
				for (const { label } of accounts) expect(footer).not.toContain(label);
				if (accounts.length > 0) expect(show).toMatch(/off, \/multicodex on|API key serves/);
			} else {
				expect(whyJson.next).toBe(showJson.active);
				for (const { label, id } of accounts) {
					const isNext = id === next?.id;
					expect(why.includes(`${label} serves next`)).toBe(isNext);
					if (next) expect(footer.includes(label)).toBe(isNext);
					if (pin === undefined) expect(answer.includes(`The next request goes to ${label}.`)).toBe(isNext);
				}
				if (!next && accounts.length > 0) {
					expect(footer).toMatch(new RegExp(`^codex 0/${accounts.length} ready`));
					expect(why).toMatch(/^info: No account (can serve|has room)/);
				}
			}
			const ready = accounts.filter((account) => pool.state(account) === "ready").length;
			if (accounts.length > 0) expect(show).toContain(`${ready} of ${accounts.length} ready`);
			expect(showJson.accounts.filter((each: { state: string }) => each.state === "ready")).toHaveLength(ready);
			const counted = /(\d+)(?:\/| of )(\d+) ready/.exec(footer);
			if (isOurs && counted) expect(counted.slice(1).map(Number)).toEqual([ready, accounts.length]);
			if (isOurs && footer.includes("last ready")) expect(ready).toBe(1);
		}),
		runs(15, 150),
	);
});
