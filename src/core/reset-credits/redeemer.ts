import { raceAbort } from "../abort.ts";
import type { Account } from "../account.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { tellDefect } from "../defect-reports.ts";
import { refilled } from "../pool/merge-usage.ts";
import type { Pool } from "../pool/pool.ts";
import type {
	AccountStatus,
	Clock,
	Processes,
	Redeemer,
	Redemption,
	ResetCreditsApi,
	ResetCreditsCall,
	StateStore,
	UsageApi,
} from "../ports.ts";
import { isSpent } from "../quota.ts";
import type { UsageSnapshot } from "../usage.ts";
import { obstacleWords } from "./redeem-texts.ts";
import { createRedemptionClaims, type RedemptionClaim } from "./redemption-claims.ts";
import { type CallOutcome, CLOSED_MS, noCredit, outcomeOf } from "./redemption-outcome.ts";
import { type RedemptionNote, type ResetCredit, redeemable, withNote } from "./reset-credits.ts";

interface Deps {
	readonly pool: Pick<Pool, "noteUsage" | "detectChanges" | "emit">;
	readonly state: StateStore;
	readonly credentials: Pick<Credentials, "accessToken">;
	readonly api: Pick<ResetCreditsApi, "consume">;
	readonly usageApi: UsageApi;
	readonly processes: Processes;
	/** Returns the base URL of the model in use; undefined before the first request or screen. */
	readonly baseUrl: () => string | undefined;
	readonly clock: Clock;
	/** Resolves after `ms`. */
	readonly pause: (ms: number) => Promise<void>;
	/** Creates a new idempotency key, a UUID. */
	readonly newKey: () => string;
}

/** How often another process's call is checked, and for how long it is awaited. */
const LOOK_MS = 250;
const PATIENCE_MS = 20_000;
/** A redemption that ended this recently counts as made at the same time. */
const JUST_NOW_MS = 60_000;
/** The backend may report a reset a moment late. Usage is fetched this often, with a pause in between. */
const USAGE_TRIES = 3;
const USAGE_PAUSE_MS = 1000;
const USAGE_TIMEOUT_MS = 5000;

/** Creates the only place that spends a reset credit. */
export function createRedeemer(deps: Deps): Redeemer {
	const { pool, state, credentials, api, usageApi, baseUrl, clock, pause } = deps;
	const claims = createRedemptionClaims(deps);
	const failed = (reason: string, forMs: number): Redemption => {
		return { kind: "failed", reason, until: clock.now() + forMs };
	};

	/** Fetches the usage of an account without storing it; undefined without an answer. */
	const askUsage = async (call: ResetCreditsCall): Promise<UsageSnapshot | undefined> => {
		try {
			return await usageApi.fetch(call, AbortSignal.timeout(USAGE_TIMEOUT_MS));
		} catch (error) {
			// Keep what is known until the next call.
			tellDefect(error, "usage", pool.emit);
			return undefined;
		}
	};
	/** Fetches usage after a reset. Repeats the call while the answer still says spent. */
	const usageAfter = async (call: ResetCreditsCall): Promise<UsageSnapshot | undefined> => {
		let last: UsageSnapshot | undefined;
		for (let tries = 1; tries <= USAGE_TRIES; tries += 1) {
			if (tries > 1) await pause(USAGE_PAUSE_MS);
			const usage = await askUsage(call);
			if (usage && !isSpent(usage, clock.now())) return usage;
			last = usage ?? last;
		}
		return last;
	};

	/** Makes the call. If the token is refused, renews it once and repeats the call under the same key. */
	const consume = async (account: Account, call: ResetCreditsCall, held: RedemptionClaim) => {
		const answer = await api.consume(call, held);
		if (answer.kind !== "refused" || answer.status !== 401) return { answer, call };
		const token = await credentials.accessToken(account.id, { refused: call.access });
		if (token.kind !== "ready") return { answer, call };
		const renewed = { ...call, access: token.access };
		return { answer: await api.consume(renewed, held), call: renewed };
	};

	/** Records for every process how a call has ended, and emits it. */
	const settle = async (
		account: Account,
		held: RedemptionClaim,
		{ redemption, end }: CallOutcome,
		isReset: boolean,
	): Promise<void> => {
		const note = held.ended(end, "until" in redemption ? redemption.until : undefined);
		pool.detectChanges();
		await held.release((status) => {
			const noted = withNote(status, note);
			return isReset ? refilled(noted, note.at) : noted;
		});
		pool.emit({ type: "redeemed", account, outcome: redemption.kind });
		pool.detectChanges("usage");
		pool.emit({ type: "changed" });
	};

	/** Makes the call of a claim and records its outcome. */
	const carryOut = async (account: Account, first: ResetCreditsCall, held: RedemptionClaim): Promise<Redemption> => {
		const { answer, call } = await consume(account, first, held);
		const outcome = outcomeOf(answer, clock.now());
		if (answer.kind === "reset") {
			// Other requests need not wait for the usage.
			await settle(account, held, outcome, true);
			const usage = await usageAfter(call);
			if (usage) pool.noteUsage(account.id, usage);
			return outcome.redemption;
		}
		if (answer.kind === "already_redeemed") return settleAlready(account, call, held, outcome);
		await settle(account, held, outcome, false);
		if (answer.kind === "nothing_to_reset") {
			// The known windows are outdated, or cannot be reset.
			const usage = await askUsage(call);
			if (usage) pool.noteUsage(account.id, usage);
		}
		return outcome.redemption;
	};

	/** The credit was redeemed before, by an interrupted call or elsewhere. Usage shows whether that still helps. */
	const settleAlready = async (
		account: Account,
		call: ResetCreditsCall,
		held: RedemptionClaim,
		outcome: CallOutcome,
	): Promise<Redemption> => {
		const usage = await usageAfter(call);
		const isReset = usage ? !isSpent(usage, clock.now()) : held.isRepeated;
		const redemption = isReset ? outcome.redemption : noCredit("the credit was redeemed before", clock.now());
		await settle(account, held, { redemption, end: "already" }, isReset);
		if (usage) pool.noteUsage(account.id, usage);
		return redemption;
	};

	/** Returns what forbids a redemption, by what is known now; undefined if nothing does. */
	const obstacleTo = (
		account: Account,
		credit: ResetCredit,
		{ usage, redemption }: AccountStatus,
		hasWaited: boolean,
	): Redemption | undefined => {
		const now = clock.now();
		if (hasWaited && redemption?.closedUntil !== undefined && redemption.closedUntil > now) {
			return { kind: "failed", reason: "another session's attempt has just failed", until: redemption.closedUntil };
		}
		const found = redeemable({ account, usage, credits: [credit] }, now);
		if (found.kind === "redeemable") return undefined;
		const reason = obstacleWords(found, now);
		if (found.kind === "expired") return noCredit(reason, now);
		if (found.kind !== "not-spent") return failed(reason, CLOSED_MS.long);
		if (redemption && wasJustReset(redemption, now)) return { kind: "already" };
		return { kind: "nothing-to-reset", reason, until: now + CLOSED_MS.short };
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
			const obstacleIn = (status: AccountStatus) => obstacleTo(account, credit, status, waitedMs > 0);
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

function wasJustReset({ end, at }: RedemptionNote, now: number): boolean {
	return (end === "redeemed" || end === "already") && Math.abs(now - at) < JUST_NOW_MS;
}
