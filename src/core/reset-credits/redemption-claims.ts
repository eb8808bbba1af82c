import type { AccountId } from "../ids.ts";
import type { AccountStatus, Clock, Processes, StateStore } from "../ports.ts";
import type { RedemptionEnd, RedemptionNote, ResetCredit } from "./reset-credits.ts";

/** The right to make the call of one redemption. It is on the disk, where every process sees it. */
export interface RedemptionClaim {
	readonly creditId: string;
	readonly key: string;
	/** It was begun before, by a call of which no answer is known: the credit may be spent. */
	readonly isRepeated: boolean;
	/** The note of it once the call has ended; without `end` the outcome is unknown, and the key is kept. */
	ended(end: RedemptionEnd | undefined, closedUntil: number | undefined): RedemptionNote;
	/** Changes the status of the account if the claim is still ours; other processes go on then. */
	release(change: (status: AccountStatus) => AccountStatus): Promise<void>;
	/** Gives the claim back, since no call was made. The key of an earlier call stays for the next try. */
	giveBack(): Promise<void>;
}

/** The outcome of asking for a claim. */
export type RedemptionClaiming =
	| { readonly kind: "ours"; readonly claim: RedemptionClaim }
	/** Another process makes a call for this account and has no answer yet, or has changed what was seen. */
	| { readonly kind: "taken"; readonly until: number }
	/** The key cannot be written, so that a call that is cut off could not be repeated. */
	| { readonly kind: "unnoted" };

interface Deps {
	readonly state: StateStore;
	readonly processes: Processes;
	readonly clock: Clock;
	/** A new idempotency key, a UUID. */
	readonly newKey: () => string;
}

/** No call takes longer than this, whatever became of its process. */
const LONGEST_CALL_MS = 60_000;

/** The claims on the redemptions of all accounts, in all processes. */
export interface RedemptionClaims {
	/**
	 * Asks for the right to redeem `credit`, or to make a call again that was cut off. `isAllowed` decides on the file as
	 * it is then: what was seen before may be what another process has changed.
	 */
	claim(id: AccountId, credit: ResetCredit, isAllowed: (status: AccountStatus) => boolean): Promise<RedemptionClaiming>;
}

/** Creates it over the state file. */
export function createRedemptionClaims({ state, processes, clock, newKey }: Deps): RedemptionClaims {
	/** Since the call began, by how long the machine has run where that tells: clocks may be set, and differ. */
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
		// An unanswered redemption comes before any other: the process that made it had the person's yes.
		const noteAfter = ({ redemption }: AccountStatus): RedemptionNote => {
			const isOpen = redemption !== undefined && redemption.end === undefined;
			const { creditId, key } = isOpen ? redemption : { creditId: credit.id, key: freshKey };
			return { creditId, key, ...own };
		};
		let trouble: unknown;
		// Decided on the file as it is then, under its lock: if two processes race, the second sees the first one's note.
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
