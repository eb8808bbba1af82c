import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, Processes, StateStore } from "../ports.ts";
import type { RedemptionEnd, RedemptionNote, ResetCredit } from "./reset-credits.ts";

/** The right to make the call of one redemption. It is on disk, where every process sees it. */
export interface RedemptionClaim {
	readonly creditId: string;
	readonly key: string;
	/** True if an earlier call has no known answer. The credit may be spent. */
	readonly isRepeated: boolean;
	/** Returns the note for the ended call. Without `end` the outcome is unknown, and the key is kept. */
	ended(end: RedemptionEnd | undefined, closedUntil: number | undefined): RedemptionNote;
	/** Changes the account's status if the claim is still ours, and lets other processes continue. */
	release(change: (status: AccountStatus) => AccountStatus): Promise<void>;
	/** Gives the claim back because no call was made. The key of an earlier call is kept for the next try. */
	giveBack(): Promise<void>;
}

/** The result of asking for a claim. */
type RedemptionClaiming =
	| { readonly kind: "ours"; readonly claim: RedemptionClaim }
	/** Another process is making a call for this account and has no answer yet, or has changed what was read. */
	| { readonly kind: "taken"; readonly until: number }
	/** The key cannot be written, so an interrupted call could not be repeated. */
	| { readonly kind: "unnoted" };

interface Deps {
	readonly state: StateStore;
	readonly processes: Processes;
	readonly clock: Clock;
	/** Creates a new idempotency key, a UUID. */
	readonly newKey: () => string;
}

/** No call takes longer than this, whatever happened to its process. */
const LONGEST_CALL_MS = 60_000;

/** Claims on the redemptions of all accounts, across all processes. */
interface RedemptionClaims {
	/**
	 * Claims the right to redeem `credit`, or to repeat an interrupted call. `isAllowed` decides on the file as it is
	 * then, since another process may have changed what was read before.
	 */
	claim(id: AccountId, credit: ResetCredit, isAllowed: (status: AccountStatus) => boolean): Promise<RedemptionClaiming>;
}

/** Creates the claims, stored in the state file. */
export function createRedemptionClaims({ state, processes, clock, newKey }: Deps): RedemptionClaims {
	/**
	 * Returns the time since the call started. Uses the machine's uptime if possible, since clocks may be set and may
	 * differ.
	 */
	const elapsedMs = ({ at, uptime }: RedemptionNote) => {
		const { machine, ms } = processes.uptime();
		const ranMs = uptime?.machine === machine ? ms - uptime.ms : -1;
		return ranMs >= 0 ? ranMs : Math.abs(clock.now() - at);
	};
	const isUnderWay = (note: RedemptionNote | undefined) => {
		if (!note?.holder) return false;
		return processes.fateOf(note.holder, note.at) !== "gone" && elapsedMs(note) < LONGEST_CALL_MS;
	};

	const claim: RedemptionClaims["claim"] = async (id, credit, isAllowed) => {
		const own = { at: clock.now(), holder: processes.own(), uptime: processes.uptime() };
		const freshKey = newKey();
		// An unanswered redemption comes first: its process had the person's consent.
		const noteAfter = ({ redemption }: AccountStatus): RedemptionNote => {
			const isOpen = redemption !== undefined && redemption.end === undefined;
			const { creditId, key } = isOpen ? redemption : { creditId: credit.id, key: freshKey };
			return { creditId, key, ...own };
		};
		let trouble: unknown;
		// Decides on the file as it is, under its lock. If two processes race, the second sees the first one's note.
		const isNoted = await state.updateIf(
			id,
			(status) => !isUnderWay(status.redemption) && isAllowed(status),
			(status) => ({ ...status, redemption: noteAfter(status) }),
			(error) => {
				trouble = error;
			},
		);
		const isOurs = ({ redemption }: AccountStatus) =>
			redemption?.at === own.at &&
			redemption.holder?.pid === own.holder.pid &&
			redemption.holder.machine === own.holder.machine;
		const noted = state.status(id);
		if (!isNoted || !isOurs(noted) || !noted.redemption) {
			const leftMs = LONGEST_CALL_MS - (noted.redemption ? elapsedMs(noted.redemption) : 0);
			return { kind: "taken", until: clock.now() + Math.max(leftMs, 0) };
		}
		const { creditId, key } = noted.redemption;
		const isRepeated = key !== freshKey;
		const former = isRepeated ? { creditId, key, at: own.at } : undefined;
		const withoutOwn = (status: AccountStatus): AccountStatus => {
			return isOurs(status) ? { ...status, redemption: former } : status;
		};
		if (trouble !== undefined) {
			state.updateSoon(id, withoutOwn);
			return { kind: "unnoted" };
		}
		return {
			kind: "ours",
			claim: {
				creditId,
				key,
				isRepeated,
				ended: (end, closedUntil) => ({
					creditId,
					key,
					at: clock.now(),
					...(end !== undefined && { end }),
					...(closedUntil !== undefined && { closedUntil }),
				}),
				release: async (change) => {
					await state.updateIf(id, isOurs, change);
				},
				giveBack: () => state.update(id, withoutOwn),
			},
		};
	};
	return { claim };
}
