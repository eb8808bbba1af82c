import fc from "fast-check";
import { expect, it } from "vitest";
import { createPool } from "../../../src/core/pool/pool.ts";
import { DEFAULT_SETTINGS } from "../../../src/core/settings.ts";
import { poolAsJson } from "../../../src/features/accounts/show-view.ts";
import { logAsJson } from "../../../src/features/explain/log.ts";
import { whyAsJson } from "../../../src/features/explain/why.ts";
import { openHealth } from "../../../src/features/verify/disk.ts";
import { diagnose } from "../../../src/features/verify/rules.ts";
import { verifiedAsJson } from "../../../src/features/verify/view.ts";
import { logSchema, showSchema, verifySchema, whySchema } from "../../../src/pi/json-schemas.ts";
import { viewOf } from "../../../src/pi/view-of-pool.ts";
import { openAccountStore } from "../../../src/platform/stores/account-store.ts";
import { openEventLog } from "../../../src/platform/stores/event-log.ts";
import { openStateStore } from "../../../src/platform/stores/state-store.ts";
import { anyCharacter } from "../../support/arbitraries.ts";
import { aTokenOf, NOW } from "../../support/fakes.ts";
import { aSessionId } from "../../support/ids.ts";
import { scratchForEach } from "../../support/scratch-for-each.ts";
import { runs } from "../../support/tiers.ts";

const scratch = scratchForEach();

/** Values of the wrong kind that a file may hold after an edit by hand. */
const odd = fc.oneof(
	fc.constantFrom(null, "", "x y", "a\nb", "\u001b[31mred", 0, -1, 1e300, -1e300, 9e15, 1e14, NOW, NOW + 3.6e6, true),
	fc.string({ unit: anyCharacter, maxLength: 8 }),
	fc.double(),
	fc.constantFrom([], {}),
);
const orOdd = <T>(usual: fc.Arbitrary<T>) => fc.oneof({ weight: 4, arbitrary: usual as fc.Arbitrary<unknown> }, odd);
const number = orOdd(fc.constantFrom(NOW + 3.6e6, 50, 300));
const windows = orOdd(
	fc.array(fc.record({ usedPercent: number, windowMinutes: number, resetsAt: number }), { maxLength: 3 }),
);
const scope = orOdd(fc.constantFrom("account", "limit:codex", "limit:a\nb", "model:gpt\u2028", "model:gpt-5.5"));
const status = fc.record({
	cooldowns: orOdd(
		fc.array(
			fc.record({ scope, reason: orOdd(fc.constant("usage_limit")), until: number, setAt: number, models: odd }),
			{ maxLength: 3 },
		),
	),
	usage: orOdd(
		fc.record({
			capturedAt: orOdd(fc.constant(NOW)),
			source: orOdd(fc.constant("api")),
			plan: odd,
			windows,
			limits: odd,
			credits: orOdd(fc.record({ hasCredits: fc.boolean(), unlimited: fc.boolean(), balance: odd })),
			limitReached: odd,
		}),
	),
	lastUsedAt: odd,
	lastError: orOdd(fc.record({ text: fc.string({ unit: anyCharacter }), at: number })),
	strikes: odd,
});
const ids = ["a1", "b2"];
const row = (id: string) =>
	fc.record({
		id: orOdd(fc.constant(id)),
		accountId: fc.constant(`acct-${id}`),
		credential: fc.record({ access: fc.constant(aTokenOf(id)), refresh: fc.constant(`r-${id}`), expires: number }),
		label: odd,
		email: odd,
		plan: odd,
		enabled: odd,
		needsLogin: odd,
		source: odd,
	});
const line = fc.record({
	at: orOdd(fc.constantFrom("2026-11-20T12:00:00.000Z", "9999-12-31T23:59:59Z", "0000-01-01T00:00:00Z")),
	pid: odd,
	kind: fc.constantFrom("chosen", "rotated", "cooling", "exhausted", "defect"),
	account: orOdd(fc.constantFrom("a1", "a/b:c", "x".repeat(80))),
	from: odd,
	reason: odd,
	scope: orOdd(fc.constant("limit:codex")),
	until: odd,
	leftPercent: odd,
	error: odd,
	frames: orOdd(fc.constantFrom(["src/core/pool/pool.ts:1:2"], ["../secret"], Array(9).fill("index.ts:1"))),
	terms: orOdd(fc.record({ pin: number })),
});
it("every document keeps to its schema, whatever lies in the files", async () => {
	const state = fc.record({
		version: fc.constant(1),
		pin: orOdd(fc.constantFrom(...ids)),
		lastChosen: odd,
		live: odd,
		accounts: fc.record({ a1: orOdd(status), b2: orOdd(status) }),
	});
	await fc.assert(
		fc.asyncProperty(state, row("a1"), row("b2"), fc.array(line, { maxLength: 4 }), async (stored, a, b, lines) => {
			scratch.write("codex-state.json", stored);
			scratch.write("codex-accounts.json", { version: 2, accounts: [a, b] });
			scratch.write("codex-events.jsonl", lines.map((each) => `${JSON.stringify(each)}\n`).join(""));
			const clock = { now: () => NOW };
			const accounts = openAccountStore(scratch.path("codex-accounts.json"), () => undefined, clock.now);
			const states = openStateStore(scratch.path("codex-state.json"), () => undefined, clock.now);
			const { rotation } = DEFAULT_SETTINGS;
			const pool = createPool({ accounts, state: states, clock, settings: () => DEFAULT_SETTINGS });
			const view = viewOf(pool, DEFAULT_SETTINGS, NOW, { account: accounts.list()[0], isForeign: false });
			showSchema.parse(JSON.parse(JSON.stringify(poolAsJson(view))));
			const plan = pool.plan({ modelId: "gpt-5.5", affinity: undefined, sessionId: aSessionId("s") });
			const why = { plan, isEnabled: true, isForeign: false, policy: rotation.policy, model: "gpt-5.5" };
			whySchema.parse(JSON.parse(JSON.stringify(whyAsJson(why))));
			const log = openEventLog(scratch.path("codex-events.jsonl"), clock.now, 1);
			logSchema.parse(JSON.parse(JSON.stringify(logAsJson(await log.read(9)))));
			scratch.write("auth.json", { "openai-codex": b.email });
			scratch.write("settings.json", { "pi-multicodex": { rotation: a.label, maskEmails: a.email } });
			const disk = await openHealth(scratch.dir, "http://127.0.0.1:1", clock.now).look();
			const findings = diagnose({
				...disk,
				now: NOW,
				isEnabled: true,
				endpoints: [],
				hostVersion: "1.5.2-rc.1",
				nodeVersion: "24.0.0",
				rival: "none",
				defects: 2,
				environment: [],
			});
			const verified = verifiedAsJson({ findings, repairs: [], isFixing: false, accounts: disk.accounts });
			verifySchema.parse(JSON.parse(JSON.stringify(verified)));
			expect(JSON.stringify(verified)).not.toContain(scratch.dir);
		}),
		runs(12, 400),
	);
});
