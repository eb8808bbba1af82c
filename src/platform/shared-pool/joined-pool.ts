import { hostname } from "node:os";
import type { PoolListener } from "../../core/events.ts";
import type { Clock, SettingsStore } from "../../core/ports.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import { joinCodeIn, printJoinCode } from "./join-code.ts";
import { openJournal } from "./journal.ts";
import { keepUnstored, keptText } from "./keep-unstored.ts";
import type { OwnMirror } from "./mirror.ts";
import { keysOf } from "./sealing.ts";
import type { SharedPool } from "./shared-pool.ts";
import { keepersOnly } from "./shared-rows.ts";
import { type JoinCode, PoolProblem } from "./types.ts";

/** What joins a pool and leaves it: the file with its code, and the settings, which name it. */
export interface JoinedPoolDeps {
	/** Returns the open pool; undefined if there is none. */
	readonly current: () => SharedPool | undefined;
	/** Opens, closes or reopens the pool according to the settings. */
	readonly reopen: () => Promise<void>;
	readonly file: OwnMirror;
	/** The folder of the journals. */
	readonly folder: string;
	readonly local: LocalAccountStore;
	readonly clock: Clock;
	readonly settings: Pick<SettingsStore, "read" | "change">;
	/** True if the environment names a pool, or tries to. Then the pool that this home has joined is left alone. */
	readonly isByEnvironment: boolean;
	readonly tell: PoolListener;
}

/** The pool that this machine has joined. Every method throws a `PoolProblem` where it may not be used. */
export interface JoinedPool {
	/** Returns the open pool. */
	open(): SharedPool;
	/** Returns the open pool for what only a keeper may do. */
	asKeeper(): SharedPool;
	/** Does the same for a move between the pool and the files, which must be recorded on disk first. */
	asKeeperOfFiles(): SharedPool;
	/** Throws if the environment names a pool. */
	refuseEnvironment(): void;
	/** True if the settings name a pool. It may have no code, or none that can be read. */
	isNamed(): boolean;
	/**
	 * Prepares the files for the pool of `code`. Returns true if they are of that pool. What another one has not got
	 * stays on this machine: the settings may have ceased to name it before it was left.
	 */
	prepareFor(code: JoinCode): Promise<boolean>;
	/** Joins the pool of a code, or takes a newer code of the pool that is joined. */
	enter(code: JoinCode, machine: string | undefined, name: string): Promise<void>;
	/** Closes the pool and forgets its code. */
	forget(): Promise<void>;
}

/** Creates the view of the joined pool. */
export function createJoinedPool(deps: JoinedPoolDeps): JoinedPool {
	const { current, reopen, file, folder, local, clock, settings, isByEnvironment, tell } = deps;
	const open = (): SharedPool => {
		const pool = current();
		if (pool) return pool;
		throw new PoolProblem(
			"no-pool",
			"This machine has joined no shared pool. /multicodex share <postgres URL> makes one, " +
				"/multicodex join <code> joins one.",
		);
	};
	const asKeeper = (): SharedPool => {
		const pool = open();
		if (pool.inside.code.role === "keeper") return pool;
		throw keepersOnly();
	};
	/** Seals tokens that were renewed before the new key with the new key. */
	const resealJournals = async (former: JoinCode, code: JoinCode) => {
		if (former.role === "runner" || code.role === "runner") return;
		const [before, after] = [former, code].map((each) => openJournal(folder, keysOf(each)));
		for (const entry of (await before?.read()) ?? []) await after?.write(entry);
	};
	const prepareFor = async (code: JoinCode): Promise<boolean> => {
		const former = joinCodeIn(file.join());
		if (former?.poolId === code.poolId) {
			await resealJournals(former, code);
			return true;
		}
		const journal = openJournal(folder, keysOf(former ?? code));
		const kept = await keepUnstored({ local, journal, mirror: file, now: clock.now });
		const text = keptText(kept, file.name());
		if (text !== undefined) tell({ type: "warning", text });
		return false;
	};

	return {
		open,
		asKeeper,
		asKeeperOfFiles: () => {
			const pool = asKeeper();
			if (pool.status().joinedBy === "settings") return pool;
			throw ofEnvironment();
		},
		refuseEnvironment: () => {
			if (isByEnvironment) throw ofEnvironment();
		},
		isNamed: () => settings.read().pool !== undefined,
		prepareFor,
		enter: async (code, machine, name) => {
			const isSame = await prepareFor(code);
			// The code comes first, so that no process opens a pool without one.
			await file.enter(printJoinCode(code), machine ?? file.machine() ?? hostname(), name, isSame);
			await settings.change([{ path: ["pool"], value: name }]);
			await reopen();
		},
		forget: async () => {
			await settings.change([{ path: ["pool"], value: undefined }]);
			await reopen();
			await file.clear();
		},
	};
}

/** Returns why a pool of the environment is neither joined nor left. */
export function ofEnvironment(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"PI_MULTICODEX_POOL names the pool of this process: start pi without it, and join with /multicodex join <code>.",
	);
}
