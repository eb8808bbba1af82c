import type { Account } from "../account.ts";
import type { Credentials } from "../credentials/credentials.ts";
import { tellDefect } from "../defect-reports.ts";
import { refilled } from "../pool/merge-usage.ts";
import type { Pool } from "../pool/pool.ts";
import type { Clock, Redemption, ResetCreditsApi, ResetCreditsCall, UsageApi } from "../ports.ts";
import { isSpent } from "../quota.ts";
import type { UsageSnapshot } from "../usage.ts";
import type { RedemptionClaim } from "./redemption-claims.ts";
import { type CallOutcome, noCredit, outcomeOf } from "./redemption-outcome.ts";
import { withNote } from "./reset-credits.ts";

/**
 * Makes the call of a claimed redemption, and records its outcome where every process sees it. `call` has the token to
 * send.
 */
type CarryOut = (account: Account, call: ResetCreditsCall, held: RedemptionClaim) => Promise<Redemption>;

/** Dependencies of the call. */
export interface RedemptionCallDeps {
	readonly pool: Pick<Pool, "noteUsage" | "detectChanges" | "emit">;
	readonly credentials: Pick<Credentials, "accessToken">;
	readonly api: Pick<ResetCreditsApi, "consume">;
	readonly usageApi: UsageApi;
	readonly clock: Clock;
	/** Resolves after `ms`. */
	readonly pause: (ms: number) => Promise<void>;
}

/** The backend may report a reset a moment late. Usage is fetched this often, with a pause in between. */
const USAGE_TRIES = 3;
const USAGE_PAUSE_MS = 1000;
const USAGE_TIMEOUT_MS = 5000;

/** Creates the only place that spends a reset credit. */
export function createRedemptionCall({ pool, credentials, api, usageApi, clock, pause }: RedemptionCallDeps): CarryOut {
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

	return async (account, first, held) => {
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
}
