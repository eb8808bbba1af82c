import type { AccountId } from "../../core/ids.ts";
import { isAlike, mergeStatus } from "../../core/pool/merge-status.ts";
import type { AccountStatus, Clock, StateStore } from "../../core/ports.ts";
import { readSharedStatus, writeSharedStatus } from "./shared-status.ts";
import type { SharedStatus } from "./types.ts";

/**
 * What differs by no more is no news: the same time differs a little after it has crossed to a machine whose clock was
 * set in between, and would be handed to and fro. Most times are also those of the write, which may follow the change.
 */
const SAME_TIME_MS = 5000;
/** All machines agree to this on when a cooldown ends. */
const SAME_END_MS = 1000;

const NOTHING: AccountStatus = { cooldowns: [], strikes: 0 };

interface Deps {
	readonly poolId: string;
	readonly state: Pick<StateStore, "status" | "snapshot" | "update" | "updateSoon">;
	readonly sharedIds: () => readonly AccountId[];
	readonly clock: Clock;
}

/** The statuses of the database as this process has seen them last, against those of this machine. */
export interface StatusVersions {
	/** The versions of which this machine has everything. */
	known(): ReadonlyMap<AccountId, number>;
	/** Is it known which version is stored of the account, and not what it says? Then that has to be asked. */
	isUnseen(id: AccountId): boolean;
	/**
	 * The status to store: what both know. Undefined where the database has all of it. Writes what is news here, as
	 * `take` does.
	 */
	toStore(id: AccountId, aheadMs: number): SharedStatus | undefined;
	/** Notes that a status was stored, under `version`. */
	wasStored(status: SharedStatus, version: number, aheadMs: number): void;
	/**
	 * Takes in what is stored. Writes only where that is news here; says on which side it is. `wasQuicker`: it was
	 * written while this process tried to, and so was a claim on a redemption: that of this process is taken back.
	 */
	take(
		stored: SharedStatus,
		aheadMs: number,
		wasQuicker?: boolean,
	): { readonly isNewsHere: boolean; readonly isNewsThere: boolean };
	/**
	 * After a look: accounts of which this machine knows something, and the database has no status at all, as when they
	 * were shared just now. Each is named once.
	 */
	unstored(): readonly AccountId[];
	/** Notes that nothing is stored of the account any more. */
	isUnstored(id: AccountId): void;
	forget(id: AccountId): void;
}

/** What is stored, and whether this machine knows more than that. */
interface Found {
	readonly theirs: AccountStatus;
	readonly version: number;
	readonly isNewsThere: boolean;
}

/** Are both under way to redeem a credit of the account, each under a key of its own? */
function isRival({ redemption: one }: AccountStatus, { redemption: other }: AccountStatus): boolean {
	const areOpen = one !== undefined && other !== undefined && one.end === undefined && other.end === undefined;
	return areOpen && one.key !== other.key;
}

/** Creates it. One account costs one parse when something of it has changed, and nothing else. */
export function createStatusVersions({ poolId, state, sharedIds, clock }: Deps): StatusVersions {
	const seen = new Map<AccountId, { readonly version: number; readonly raw: unknown }>();
	const examined = new Set<AccountId>();
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
	/** The status as another machine would read it. */
	const crossed = (status: AccountStatus, aheadMs: number): AccountStatus => {
		return readSharedStatus(writeSharedStatus(status, aheadMs, undefined), aheadMs, clock.now()) ?? NOTHING;
	};
	const compared = (mine: AccountStatus, raw: unknown, aheadMs: number) => {
		const now = clock.now();
		const [ours, theirs] = [crossed(mine, aheadMs), readSharedStatus(raw, aheadMs, now) ?? NOTHING];
		const joined = mergeStatus(ours, theirs, now);
		// A join with itself puts a status into the order of a joined one.
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

	/** Writes what is stored to the status of this machine, which was `mine` when the two were compared. */
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
			// If there is one after all, it is not written over, and comes back.
			const stored = seen.get(id) ?? { version: 0, raw: undefined };
			const mine = state.status(id);
			const found = compared(mine, stored.raw, aheadMs);
			if (found.isNewsHere) adopt(id, mine, { ...found, version: stored.version });
			if (!found.isNewsThere) return undefined;
			return { id, version: stored.version, status: writeSharedStatus(found.joined, aheadMs, stored.raw) };
		},
		wasStored: ({ id, status: raw }, version, aheadMs) => {
			seen.set(id, { version, raw });
			// Written with what this process has changed anyway. What was changed since is of no version.
			state.updateSoon(id, (status) => {
				return compared(status, raw, aheadMs).isNewsThere ? status : withVersion(status, version);
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
