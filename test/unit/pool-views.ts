import { CURSOR_MARKER } from "@mariozechner/pi-tui";
import fc from "fast-check";
import type { AccountState } from "../../src/core/account.ts";
import type { PoolView, ShownAccount } from "../../src/core/pool/pool-view.ts";
import type { Role, SharedPoolStatus, SharedUse } from "../../src/core/shared-pool.ts";
import { anyCharacter } from "../support/arbitraries.ts";
import { aPoolStatus } from "../support/fake-shared-pools.ts";
import { aCooldown, anAccount, aSnapshot, DAY_MS, HOUR_MS, MINUTE_MS, NOW } from "../support/fakes.ts";
import { anId, aWorkspaceId } from "../support/ids.ts";

/** A ready account with usage, as it is shown. */
export function aShown(label: string, overrides: Partial<ShownAccount> = {}): ShownAccount {
	return {
		account: anAccount(label),
		state: "ready",
		isActive: false,
		isPinned: false,
		readyAt: undefined,
		cooldowns: [],
		usage: aSnapshot({
			capturedAt: NOW - 12_000,
			windows: [
				{ usedPercent: 8, windowMinutes: 10_080, resetsAt: NOW + 6 * DAY_MS + 20 * HOUR_MS },
				{ usedPercent: 27, windowMinutes: 300, resetsAt: NOW + 67 * MINUTE_MS },
			],
		}),
		lastUsedAt: undefined,
		lastError: undefined,
		isUsageFailing: false,
		sessions: 0,
		...overrides,
	};
}

export function aView(accounts: readonly ShownAccount[], overrides: Partial<PoolView> = {}): PoolView {
	return {
		isEnabled: true,
		isForeign: false,
		policy: "soonest-reset",
		active: accounts.find(({ isActive }) => isActive)?.account.id,
		pinned: undefined,
		accounts,
		now: NOW,
		...overrides,
	};
}

/** The pool that the design draws. */
export const DRAWN = aView([
	aShown("work", {
		account: anAccount("work", { email: "work@acme.dev", workspaceId: aWorkspaceId("acct-7f3a") }),
		isActive: true,
	}),
	aShown("personal", {
		account: anAccount("personal", { plan: "pro" }),
		usage: aSnapshot({
			capturedAt: NOW - 12_000,
			windows: [
				{ usedPercent: 0, windowMinutes: 300 },
				{ usedPercent: 42, windowMinutes: 10_080, resetsAt: NOW + 3 * DAY_MS + 4 * HOUR_MS },
			],
		}),
	}),
	aShown("side", {
		state: "cooling",
		readyAt: NOW + 42 * MINUTE_MS,
		cooldowns: [aCooldown({ until: NOW + 42 * MINUTE_MS })],
		usage: aSnapshot({
			capturedAt: NOW - 12_000,
			windows: [
				{ usedPercent: 100, windowMinutes: 300, resetsAt: NOW + 42 * MINUTE_MS },
				{ usedPercent: 69, windowMinutes: 10_080, resetsAt: NOW + DAY_MS + 9 * HOUR_MS },
			],
		}),
	}),
	aShown("old-team", {
		account: anAccount("old-team", { plan: "team", needsLogin: { reason: "revoked", at: NOW } }),
		state: "needs-login",
		usage: undefined,
	}),
]);

/** What may come from a file or a server: wide, joined, combining, and what would move the cursor. */
export const anyText = fc.oneof(
	fc.string({ unit: anyCharacter, maxLength: 60 }),
	fc.constantFrom(
		"職場アカウント",
		"café 👩‍👩‍👧 home",
		"\u001b[2J\u001b]0;x\u0007",
		"a\tb\nc\rd",
		"\u202eevil",
		"\u009b31m",
		"",
	),
);
const anyWindow = fc.record({
	usedPercent: fc.double({ min: -5, max: 300, noNaN: true }),
	windowMinutes: fc.constantFrom(1, 60, 300, 303, 1440, 10_080, 43_200, 525_600),
	resetsAt: fc.option(fc.integer({ min: NOW - DAY_MS, max: NOW + 400 * DAY_MS }), { nil: undefined }),
});

/** Any account that could be in a file, however damaged. */
const anyShown = fc
	.record({
		label: anyText,
		email: fc.option(anyText, { nil: undefined }),
		workspaceId: anyText.map(aWorkspaceId),
		plan: fc.option(anyText, { nil: undefined }),
		toldPlan: fc.option(anyText, { nil: undefined }),
		windows: fc.option(fc.array(anyWindow, { maxLength: 4 }), { nil: undefined }),
		age: fc.integer({ min: -DAY_MS, max: 100 * DAY_MS }),
		state: fc.constantFrom<AccountState>("ready", "cooling", "needs-login", "disabled"),
		reason: anyText,
		lastError: fc.option(anyText, { nil: undefined }),
		isActive: fc.boolean(),
		isPinned: fc.boolean(),
		isUsageFailing: fc.boolean(),
		expiresAt: fc.integer({ min: 0, max: NOW + 400 * DAY_MS }),
		readyIn: fc.integer({ min: 1, max: 300 * DAY_MS }),
		floors: fc.option(fc.constantFrom({ "7d": 20 }, { "5h": 99, "30d": 1 }, { [`${"9".repeat(4)}d`]: 100 }), {
			nil: undefined,
		}),
		outsideOf: fc.option(anyText, { nil: undefined }),
		shared: fc.option(
			fc.record({
				pool: anyText,
				users: fc.array(fc.record({ machine: anyText, sessions: fc.integer({ min: 1, max: 99 }) }), { maxLength: 6 }),
				renewal: fc.constantFrom<SharedUse["renewal"]>("here", "keepers", "waits"),
			}),
			{ nil: undefined },
		),
	})
	.map(({ label, state, reason, windows, age, toldPlan, readyIn, expiresAt, ...rest }): ShownAccount => {
		const { email, workspaceId, plan } = rest;
		const until = NOW + readyIn;
		return aShown(label, {
			account: anAccount(label, {
				email,
				workspaceId,
				plan,
				credential: { access: "secret", refresh: "secret", expiresAt },
				shared: rest.shared !== undefined,
				enabled: state !== "disabled",
				disabledReason: state === "disabled" ? reason : undefined,
				needsLogin: state === "needs-login" ? { reason, at: NOW } : undefined,
			}),
			state,
			readyAt: state === "cooling" ? until : undefined,
			cooldowns: state === "cooling" ? [aCooldown({ until }), aCooldown({ scope: `limit:${reason}`, until })] : [],
			usage: windows && aSnapshot({ capturedAt: NOW - age, windows, plan: toldPlan }),
			lastError: rest.lastError === undefined ? undefined : { text: rest.lastError, at: NOW - age },
			isActive: rest.isActive,
			isPinned: rest.isPinned,
			isUsageFailing: rest.isUsageFailing,
			floors: rest.floors,
			outsideOf: rest.outsideOf,
			shared: rest.shared,
		});
	});

/** Any pool that was joined, whatever its machines are called. */
export const anySharedPool = fc
	.record({
		name: anyText,
		machine: anyText,
		place: anyText,
		role: fc.constantFrom<Role>("keeper", "runner"),
		others: fc.array(anyText, { maxLength: 6 }),
		text: anyText,
		kind: fc.constantFrom("connected" as const, "away" as const),
		clockAheadMs: fc.integer({ min: -DAY_MS, max: DAY_MS }),
		journals: fc.integer({ min: 0, max: 3 }),
	})
	.map(({ others, text, kind, ...rest }): SharedPoolStatus => {
		return aPoolStatus({
			...rest,
			others: others.map((name, at) => ({
				name,
				seenAt: NOW - at * MINUTE_MS,
				sessions: new Map([[anId("id-0"), at]]),
			})),
			connection:
				kind === "away"
					? { kind, since: NOW - DAY_MS, problem: "away", text }
					: { kind, lookedAt: NOW, listens: others.length > 1 },
		});
	});

/** Any pool, its accounts with ids of their own. */
export const anyView = fc
	.record({
		accounts: fc.array(anyShown, { maxLength: 5 }),
		isEnabled: fc.boolean(),
		folder: fc.option(anyText, { nil: undefined }),
		sharedPool: fc.option(anySharedPool, { nil: undefined }),
	})
	.map(({ accounts, isEnabled, folder, sharedPool }) =>
		aView(
			accounts.map((shown, at) => ({ ...shown, account: { ...shown.account, id: anId(`id-${at}`) } })),
			{
				isEnabled,
				pinned: anId("id-0"),
				set: folder === undefined ? undefined : { folder, accounts: [anId("id-0"), anId("gone")] },
				sharedPool,
			},
		),
	);

/** What the host adds itself: colours of the tests, the cursor of its field, and the end of what was cut. */
const OWN = [CURSOR_MARKER, ...["2", "22", "31", "39", "90", "7", "27", "0"].map((code) => `\x1b[${code}m`)];

/** Lines that bring something to the terminal which moves the cursor, colours, or turns the direction. */
export function controlsIn(lines: readonly string[]): string[] {
	return lines.filter((line) => {
		const told = OWN.reduce((rest, own) => rest.replaceAll(own, ""), line);
		return /(?!\u200d)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(told);
	});
}
