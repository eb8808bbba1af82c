import type { AccountId } from "../../core/ids.ts";
import { isAlike, mergeStatus } from "../../core/pool/merge-status.ts";
import type { AccountStatus, Clock, StateStore } from "../../core/ports.ts";
import { readSharedStatus, writeSharedStatus } from "./shared-status.ts";
import type { SharedStatus } from "./types.ts";

/**
 * Times that differ by at most this count as equal. A time shifts a little when it passes through a machine whose clock
 * was set in between, and would be sent back and forth. Most times are those of the write, which may follow the change.
 */
const SAME_TIME_MS = 5000;
/** All machines agree to within this time on when a cooldown ends. */
const SAME_END_MS = 1000;

const NOTHING: AccountStatus = { cooldowns: [], strikes: 0 };

interface Deps {
	readonly poolId: string;
	readonly state: Pick<StateStore, "status" | "snapshot" | "update" | "updateSoon">;
	readonly sharedIds: () => readonly AccountId[];
	readonly clock: Clock;
}

/** The statuses in the database as this process last saw them, compared with those of this machine. */
export interface StatusVersions {
	/** Returns the versions that this machine has completely. */
	known(): ReadonlyMap<AccountId, number>;
	/** True if the stored version of an account is known but not its content, which must then be read. */
	isUnseen(id: AccountId): boolean;
	/**
	 * Returns the status to store: what both sides know, merged. Undefined if the database has all of it. Also writes
	 * what is new here, as `take` does.
	 */
	toStore(id: AccountId, aheadMs: number): SharedStatus | undefined;
	/** Records that a status was stored under `version`. */
	wasStored(status: SharedStatus, version: number, aheadMs: number): void;
	/**
	 * Applies a stored status. Writes only if it is new here, and returns on which side it is. `wasQuicker`: it was
	 * written while this process tried to, including any claim on a redemption; this process then gives up its own claim.
	 */
	take(
		stored: SharedStatus,
		aheadMs: number,
		wasQuicker?: boolean,
	): { readonly isNewsHere: boolean; readonly isNewsThere: boolean };
	/**
	 * To call after a look. Returns accounts of which this machine knows something but the database has no status, such
	 * as accounts that were just shared. Names each once.
	 */
	unstored(): readonly AccountId[];
	/** Records that nothing is stored for the account any more. */
	isUnstored(id: AccountId): void;
	forget(id: AccountId): void;
}

/** What is stored, and whether this machine knows more. */
interface Found {
	readonly theirs: AccountStatus;
	readonly version: number;
	readonly isNewsThere: boolean;
}

/** True if both are redeeming a credit of the account, each under its own key. */
function isRival({ redemption: one }: AccountStatus, { redemption: other }: AccountStatus): boolean {
	const areOpen = one !== undefined && other !== undefined && one.end === undefined && other.end === undefined;
	return areOpen && one.key !== other.key;
}

/** Creates the comparison. Each account costs one parse when something of it has changed, and nothing else. */
export function createStatusVersions({ poolId, state, sharedIds, clock }: Deps): StatusVersions {
	const seen = new Map<AccountId, { readonly version: number; readonly raw: unknown }>();
	const examined = new Set<AccountId>();
	/** The statuses of this machine that were sent last, where they had all that is stored. */
	const sent = new Map<AccountId, AccountStatus>();
	let fromFile: ReadonlyMap<AccountId, number> | undefined;

	const readFile = (): ReadonlyMap<AccountId, number> => {
		const statusOf = state.snapshot();
		return new Map(
			sharedIds().flatMap((id) => {
				const stored = statusOf(id).marks?.stored;
				return stored?.pool === poolId ? [[id, stored.version] as const] : [];
			}),
		);
	};
	/** Returns the status as another machine would read it. */
	const crossed = (status: AccountStatus, aheadMs: number): AccountStatus => {
		return readSharedStatus(writeSharedStatus(status, aheadMs, undefined), aheadMs, clock.now()) ?? NOTHING;
	};
	const compared = (mine: AccountStatus, raw: unknown, aheadMs: number) => {
		const now = clock.now();
		const [ours, theirs] = [crossed(mine, aheadMs), readSharedStatus(raw, aheadMs, now) ?? NOTHING];
		const joined = mergeStatus(ours, theirs, now);
		// Merging a status with itself puts it into the order of a merged one.
		const isNewsTo = (status: AccountStatus) => {
			const known = mergeStatus(status, status, now);
			const endsOf = ({ cooldowns, marks }: AccountStatus) => [cooldowns, marks?.ended];
			return !isAlike(joined, known, SAME_TIME_MS) || !isAlike(endsOf(joined), endsOf(known), SAME_END_MS);
		};
		return { theirs, joined, isNewsHere: isNewsTo(ours), isNewsThere: isNewsTo(theirs) };
	};
	const withVersion = (status: AccountStatus, version: number): AccountStatus => ({
		...status,
		marks: { ...status.marks, stored: { pool: poolId, version } },
	});

	/** Writes what is stored to this machine's status, which was `mine` when the two were compared. */
	const adopt = (id: AccountId, mine: AccountStatus, found: Found, yields = false) => {
		const { theirs, version, isNewsThere } = found;
		void state.update(id, (status) => {
			const both = mergeStatus(status, theirs, clock.now());
			const redemption = yields && isRival(status, theirs) ? theirs.redemption : both.redemption;
			const joined = { ...status, ...both, redemption };
			return isNewsThere || !isAlike(status, mine) ? joined : withVersion(joined, version);
		});
	};

	return {
		known: () => {
			fromFile ??= readFile();
			const stored = [...seen].flatMap(([id, { version }]) => (version > 0 ? [[id, version] as const] : []));
			return new Map([...fromFile, ...stored]);
		},
		isUnseen: (id) => {
			fromFile ??= readFile();
			return !seen.has(id) && fromFile.has(id);
		},
		toStore: (id, aheadMs) => {
			// If a status is stored after all, it is not overwritten but returned.
			const stored = seen.get(id) ?? { version: 0, raw: undefined };
			const mine = state.status(id);
			const found = compared(mine, stored.raw, aheadMs);
			if (found.isNewsHere) adopt(id, mine, { ...found, version: stored.version });
			sent.delete(id);
			if (!found.isNewsThere) return undefined;
			if (!found.isNewsHere) sent.set(id, mine);
			return { id, version: stored.version, status: writeSharedStatus(found.joined, aheadMs, stored.raw) };
		},
		wasStored: ({ id, status: raw }, version, aheadMs) => {
			seen.set(id, { version, raw });
			const told = sent.get(id);
			sent.delete(id);
			// Written together with what this process changes anyway. Later changes have no version yet.
			state.updateSoon(id, (status) => {
				const isAsSent = told !== undefined && isAlike(status, told);
				return !isAsSent && compared(status, raw, aheadMs).isNewsThere ? status : withVersion(status, version);
			});
		},
		take: ({ id, version, status: raw }, aheadMs, wasQuicker = false) => {
			seen.set(id, { version, raw });
			const mine = state.status(id);
			const found = compared(mine, raw, aheadMs);
			const yields = wasQuicker && isRival(mine, found.theirs);
			if (found.isNewsHere || yields) adopt(id, mine, { ...found, version }, yields);
			return found;
		},
		unstored: () => {
			fromFile ??= readFile();
			const found = sharedIds().filter((id) => !examined.has(id));
			if (found.length === 0) return [];
			for (const id of found) examined.add(id);
			const statusOf = state.snapshot();
			return found.filter((id) => {
				const { usage, cooldowns } = statusOf(id);
				return !seen.has(id) && !fromFile?.has(id) && (usage !== undefined || cooldowns.length > 0);
			});
		},
		isUnstored: (id) => {
			seen.set(id, { version: 0, raw: undefined });
		},
		forget: (id) => {
			seen.delete(id);
		},
	};
}
