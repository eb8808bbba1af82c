import { raceAbort } from "../abort.ts";
import type { Account } from "../account.ts";
import { tellDefect } from "../defect-reports.ts";
import type { AccountStatus, Processes, Redeemer, Redemption, StateStore } from "../ports.ts";
import { obstacleWords } from "./redeem-texts.ts";
import { createRedemptionCall, type RedemptionCallDeps } from "./redemption-call.ts";
import { createRedemptionClaims } from "./redemption-claims.ts";
import { CLOSED_MS, noCredit } from "./redemption-outcome.ts";
import { type RedemptionNote, type ResetCredit, redeemable } from "./reset-credits.ts";

interface Deps extends RedemptionCallDeps {
	readonly state: StateStore;
	readonly processes: Processes;
	/** Returns the base URL of the model in use; undefined before the first request or screen. */
	readonly baseUrl: () => string | undefined;
	/** Creates a new idempotency key, a UUID. */
	readonly newKey: () => string;
}

/** How often another process's call is checked, and for how long it is awaited. */
const LOOK_MS = 250;
const PATIENCE_MS = 20_000;
/** A redemption that ended this recently counts as made at the same time. */
const JUST_NOW_MS = 60_000;

/** Creates the way to spend reset credits: one call for each, across all processes. */
export function createRedeemer(deps: Deps): Redeemer {
	const { pool, state, credentials, baseUrl, clock, pause } = deps;
	const claims = createRedemptionClaims(deps);
	const carryOut = createRedemptionCall(deps);
	const failed = (reason: string, forMs: number): Redemption => {
		return { kind: "failed", reason, until: clock.now() + forMs };
	};

	const redeemOnce = async (
		account: Account,
		credit: ResetCredit,
		signal: AbortSignal | undefined,
	): Promise<Redemption> => {
		const base = baseUrl();
		if (base === undefined) return failed("the address of the backend is not known yet", CLOSED_MS.short);
		const token = await credentials.accessToken(account.id, { signal });
		if (token.kind !== "ready") {
			return failed(token.kind === "signed-out" ? "it is signed out" : token.reason, CLOSED_MS.short);
		}
		const call = { baseUrl: base, access: token.access, workspaceId: account.workspaceId };
		let waitedMs = 0;
		for (;;) {
			const obstacleIn = (status: AccountStatus) => obstacleTo(account, credit, status, waitedMs > 0, clock.now());
			const obstacle = obstacleIn(state.status(account.id));
			if (obstacle) return obstacle;
			signal?.throwIfAborted();
			const claiming = await claims.claim(account.id, credit, (status) => !obstacleIn(status));
			if (claiming.kind === "unnoted") {
				return failed("it could not be noted on the disk, so nothing was sent", CLOSED_MS.short);
			}
			if (claiming.kind === "taken") {
				const reason = "another session is redeeming a credit of it";
				if (waitedMs >= PATIENCE_MS) return { kind: "busy", reason, until: claiming.until };
				await raceAbort(pause(LOOK_MS), signal);
				waitedMs += LOOK_MS;
				continue;
			}
			const held = claiming.claim;
			if (signal?.aborted) {
				await held.giveBack();
				return failed(CANCELLED, 0);
			}
			const redemption = await carryOut(account, call, held);
			// An earlier redemption without an answer is settled now. It was not for the requested credit.
			const isSettled = redemption.kind !== "no-credit" || held.creditId === credit.id;
			if (isSettled) return redemption;
		}
	};

	return {
		redeem: (account, credit, signal) => {
			const begun = redeemOnce(account, credit, signal).catch((error: unknown): Redemption => {
				if (signal?.aborted) return failed(CANCELLED, 0);
				tellDefect(error, "redemption", pool.emit);
				return failed("of an unexpected error", CLOSED_MS.short);
			});
			// A call that was made cannot be taken back. Its outcome is recorded although this caller no longer waits.
			return raceAbort(begun, signal).catch(() => failed(CANCELLED, 0));
		},
	};
}

const CANCELLED = "it was cancelled";

/**
 * Returns what forbids a redemption at `now` (epoch ms), by what is known then; undefined if nothing does. `hasWaited`:
 * for another process's call, whose failure counts.
 */
function obstacleTo(
	account: Account,
	credit: ResetCredit,
	{ usage, redemption }: AccountStatus,
	hasWaited: boolean,
	now: number,
): Redemption | undefined {
	if (hasWaited && redemption?.closedUntil !== undefined && redemption.closedUntil > now) {
		return { kind: "failed", reason: "another session's attempt has just failed", until: redemption.closedUntil };
	}
	const found = redeemable({ account, usage, credits: [credit] }, now);
	if (found.kind === "redeemable") return undefined;
	const reason = obstacleWords(found, now);
	if (found.kind === "expired") return noCredit(reason, now);
	if (found.kind !== "not-spent") return { kind: "failed", reason, until: now + CLOSED_MS.long };
	if (redemption && wasJustReset(redemption, now)) return { kind: "already" };
	return { kind: "nothing-to-reset", reason, until: now + CLOSED_MS.short };
}

function wasJustReset({ end, at }: RedemptionNote, now: number): boolean {
	return (end === "redeemed" || end === "already") && Math.abs(now - at) < JUST_NOW_MS;
}
