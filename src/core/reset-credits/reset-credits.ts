import type { Account } from "../account.ts";
import { planFactor } from "../plan-sizes.ts";
import type { AccountStatus, ProcessMark, Uptime } from "../ports.ts";
import {
	budgetsOf,
	byLength,
	isExhausted,
	isSpent,
	remaining,
	resetCreditsOf,
	windowName,
	windowsOf,
} from "../quota.ts";
import type { UsageSnapshot, UsageWindow } from "../usage.ts";

/** A voucher of the backend that resets its account's windows once, early. */
export interface ResetCredit {
	readonly id: string;
	/** Epoch ms; undefined if the backend names no end. */
	readonly expiresAt?: number | undefined;
	/** Epoch ms. */
	readonly grantedAt?: number | undefined;
}

/** The list of an account's reset credits, as last reported. */
export interface ListedResetCredits {
	/** When any process last started a call, epoch ms. */
	readonly askedAt: number;
	/** When the list below was requested, epoch ms; undefined before the first answer. */
	readonly listedAt?: number | undefined;
	/** Credits that can be redeemed. */
	readonly credits: readonly ResetCredit[];
}

/** How a redemption ended. `already`: an earlier call with the same key went through. */
export type RedemptionEnd = "redeemed" | "already" | "nothing-to-reset" | "no-credit" | "failed";

/** A redemption that was started. It is recorded before the call. */
export interface RedemptionNote {
	readonly creditId: string;
	/** The idempotency key. Every further try of the same redemption sends it again. */
	readonly key: string;
	/** Epoch ms. */
	readonly at: number;
	/** The process that makes the call; undefined once the call has ended. */
	readonly holder?: ProcessMark | undefined;
	/** The same moment as the machine's uptime. */
	readonly uptime?: Uptime | undefined;
	/** Undefined while there is no answer. The credit may be spent. */
	readonly end?: RedemptionEnd | undefined;
	/** After a failure: when it may be offered again, epoch ms. */
	readonly closedUntil?: number | undefined;
}

/** What decides whether a reset credit of an account may be redeemed. */
export interface RedeemFacts {
	readonly account: Account;
	readonly usage: UsageSnapshot | undefined;
	readonly credits: readonly ResetCredit[];
	/** How many the usage endpoint reports. May be more than are listed. */
	readonly reported?: number | undefined;
	/** A failed redemption keeps the account closed until then, epoch ms. */
	readonly closedUntil?: number | undefined;
}

/** Returns the known credits of an account; none if the usage endpoint reports none. */
export function knownCredits(status: Pick<AccountStatus, "usage" | "resetCredits">): readonly ResetCredit[] {
	return resetCreditsOf(status.usage) > 0 ? (status.resetCredits?.credits ?? []) : [];
}

/** Reads from the stored status what decides whether a credit of this account may be redeemed. */
export function redeemFactsOf(account: Account, status: AccountStatus): RedeemFacts {
	const { usage, redemption } = status;
	const reported = resetCreditsOf(usage);
	return { account, usage, credits: knownCredits(status), reported, closedUntil: redemption?.closedUntil };
}

/** A reset credit that is worth redeeming now. */
export interface Redeemable {
	readonly kind: "redeemable";
	readonly account: Account;
	/** The account's credit that expires first. */
	readonly credit: ResetCredit;
	/** The spent window that resets last, such as `7d`. Redeeming resets it early. */
	readonly window: string;
	/** When that window resets by itself, epoch ms; undefined if not known. */
	readonly resetsAt: number | undefined;
	/** All windows that a redemption refills, shortest first. */
	readonly windows: readonly UsageWindow[];
	/** How much quota it gives back and how much sooner, in hours of a plus account's whole window. */
	readonly gain: number;
}

/** Why no reset credit of an account may be redeemed now. Times are epoch ms. */
export type RedeemObstacle =
	| { readonly kind: "off" | "signed-out" | "no-credit" | "expired" | "usage-unknown" }
	/** The usage endpoint reports credits, but their list is unknown. */
	| { readonly kind: "credits-unknown" }
	/** A budget is spent, and a reset does not refill it. */
	| { readonly kind: "budget-spent" }
	/** The backend does not reset an account with a single window. */
	| { readonly kind: "one-window" }
	| { readonly kind: "not-spent" }
	| { readonly kind: "resets-soon"; readonly at: number }
	| { readonly kind: "closed"; readonly until: number };

/** No credit is spent on a window that resets by itself within this time. */
export const SOON_MS = 60 * 60_000;

const DAY_MS = 24 * 60 * 60_000;
const HOUR_MS = 60 * 60_000;
/** A credit that expires within this many days is used before any other. */
const EXPIRES_SOON_DAYS = 3;
/** The backend refuses a reset if there is no second window. */
const LEAST_WINDOWS = 2;

/** Returns the credits that have not expired at `now` (epoch ms), the first to expire first. */
export function unexpired(credits: readonly ResetCredit[], now: number): readonly ResetCredit[] {
	return credits.filter((credit) => !isExpired(credit, now)).sort((a, b) => endOf(a) - endOf(b));
}

/** True if a credit expires within {@link EXPIRES_SOON_DAYS}. */
export function expiresSoon({ expiresAt }: ResetCredit, now: number): boolean {
	return expiresAt !== undefined && expiresAt - now <= EXPIRES_SOON_DAYS * DAY_MS;
}

/** Returns which credit of an account to redeem at `now` (epoch ms) and what it gives back, or why none. */
export function redeemable(facts: RedeemFacts, now: number): Redeemable | RedeemObstacle {
	const { account, usage, credits, reported = 0, closedUntil = 0 } = facts;
	if (!account.enabled) return { kind: "off" };
	if (account.needsLogin) return { kind: "signed-out" };
	const [credit] = unexpired(credits, now);
	if (!credit && credits.length > 0) return { kind: "expired" };
	if (!credit) return { kind: reported > 0 ? "credits-unknown" : "no-credit" };
	if (!usage) return { kind: "usage-unknown" };
	if (isExhausted(budgetsOf(usage), now)) return { kind: "budget-spent" };
	if (windowsOf(usage).length < LEAST_WINDOWS) return { kind: "one-window" };
	const window = spentWindow(usage, now);
	if (!window) return { kind: "not-spent" };
	const { resetsAt } = window;
	if (resetsAt !== undefined && resetsAt - now <= SOON_MS) return { kind: "resets-soon", at: resetsAt };
	if (closedUntil > now) return { kind: "closed", until: closedUntil };
	return {
		kind: "redeemable",
		account,
		credit,
		window: windowName(window.windowMinutes),
		resetsAt,
		windows: byLength(windowsOf(usage).filter((each) => remaining(each, now) < 100)),
		gain: planFactor(usage.plan ?? account.plan, usage) * hoursGained(windowsOf(usage), now),
	};
}

/**
 * Returns what can be redeemed at `now` (epoch ms), the best first: credits that expire within days, the first to
 * expire first, then the account whose reset gives back most.
 */
export function redeemables(pool: readonly RedeemFacts[], now: number): readonly Redeemable[] {
	const found = pool.map((facts) => redeemable(facts, now));
	return bestFirst(
		found.flatMap((each) => (each.kind === "redeemable" ? [each] : [])),
		now,
	);
}

/** Sorts what can be redeemed, as {@link redeemables} does. */
export function bestFirst(found: readonly Redeemable[], now: number): readonly Redeemable[] {
	return [...found].sort(
		(a, b) =>
			daysLeft(a.credit, now) - daysLeft(b.credit, now) ||
			b.gain - a.gain ||
			endOf(a.credit) - endOf(b.credit) ||
			a.account.addedAt - b.account.addedAt,
	);
}

/** Adds the note of an ended redemption to the status. */
export function withNote(status: AccountStatus, note: RedemptionNote): AccountStatus {
	const { resetCredits } = status;
	if (!resetCredits || note.end === undefined || !GONE.has(note.end)) return { ...status, redemption: note };
	// The remaining list is fetched again at the next opportunity.
	const credits = resetCredits.credits.filter(({ id }) => id !== note.creditId);
	return { ...status, redemption: note, resetCredits: { askedAt: 0, credits } };
}

/** Outcomes after which the backend no longer has the credit. */
const GONE: ReadonlySet<RedemptionEnd> = new Set(["redeemed", "already", "no-credit"]);

/**
 * Returns the window that keeps the account out and resets last, or the fullest one if only the server says that it is
 * spent.
 */
function spentWindow(usage: UsageSnapshot, now: number): UsageWindow | undefined {
	if (!isSpent(usage, now)) return undefined;
	const spent = windowsOf(usage).filter((window) => isExhausted([window], now));
	const latestFirst = (a: UsageWindow, b: UsageWindow) => resetOf(b) - resetOf(a);
	const fullestFirst = (a: UsageWindow, b: UsageWindow) => b.usedPercent - a.usedPercent;
	return spent.length > 0 ? [...spent].sort(latestFirst)[0] : [...windowsOf(usage)].sort(fullestFirst)[0];
}

/** Returns the largest gain of a window: its used part, times the hours until it would reset by itself. */
function hoursGained(windows: readonly UsageWindow[], now: number): number {
	const gains = windows.map((window) => {
		const lengthMs = window.windowMinutes * 60_000;
		const untilMs = window.resetsAt === undefined ? lengthMs : window.resetsAt - now;
		return ((100 - remaining(window, now)) / 100) * (Math.min(Math.max(0, untilMs), lengthMs) / HOUR_MS);
	});
	return Math.max(0, ...gains);
}

/** Returns the whole days until a credit expires. All later than soon count alike. */
function daysLeft(credit: ResetCredit, now: number): number {
	return Math.min(EXPIRES_SOON_DAYS, Math.floor((endOf(credit) - now) / DAY_MS));
}

function isExpired({ expiresAt }: ResetCredit, now: number): boolean {
	return expiresAt !== undefined && expiresAt <= now;
}

function endOf({ expiresAt = Number.MAX_SAFE_INTEGER }: ResetCredit): number {
	return expiresAt;
}

function resetOf({ resetsAt = Number.MAX_SAFE_INTEGER }: UsageWindow): number {
	return resetsAt;
}
