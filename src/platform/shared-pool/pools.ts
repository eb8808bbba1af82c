import { hostname } from "node:os";
import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { SettingsStore, SharedPools } from "../../core/ports.ts";
import { PoolProblem } from "../../core/shared-pool.ts";
import { codesOf, newKeeperCode, printJoinCode, readJoinCode, withNewSecret } from "./join-code.ts";
import { openJournal } from "./journal.ts";
import type { OwnMirror } from "./mirror.ts";
import { type Keys, openRow, sealAccount } from "./sealed-account.ts";
import { createSealing } from "./sealing.ts";
import type { SharedPool } from "./shared-pool.ts";
import { doesNotOpen, keepersOnly } from "./shared-rows.ts";
import type { JoinCode, PoolDatabase, RowChange } from "./types.ts";

interface Deps {
	/** Returns the open pool; undefined if there is none. */
	readonly current: () => SharedPool | undefined;
	/** Opens, closes or reopens the pool according to the settings. */
	readonly reopen: () => Promise<void>;
	readonly file: OwnMirror;
	/** The folder of the journals. */
	readonly folder: string;
	readonly settings: Pick<SettingsStore, "read" | "change">;
	/** True if the environment names a pool, or tries to. Then the pool that this home has joined is left alone. */
	readonly isByEnvironment: boolean;
	readonly tell: PoolListener;
}

/** More tries than changes can interfere while all accounts are sealed again. */
const MOST_TRIES = 10;
const NOTHING_KNOWN = { rows: new Map<AccountId, number>(), statuses: new Map<AccountId, number>() };

/** Creates what a person can do with this machine's pool. */
export function createSharedPools(deps: Deps): SharedPools {
	const { current, reopen, file, folder, settings, isByEnvironment, tell } = deps;
	const isNamed = () => settings.read().pool !== undefined;
	const joined = (): SharedPool => {
		const pool = current();
		if (pool) return pool;
		throw new PoolProblem(
			"no-pool",
			"This machine has joined no shared pool. /multicodex share <postgres URL> makes one, " +
				"/multicodex join <code> joins one.",
		);
	};
	const asKeeper = (): SharedPool => {
		const pool = joined();
		if (pool.inside.code.role === "keeper") return pool;
		throw keepersOnly();
	};
	/** A move between the pool and the files must be recorded on disk first. */
	const asKeeperOfFiles = (): SharedPool => {
		const pool = asKeeper();
		if (pool.status().joinedBy === "settings") return pool;
		throw ofEnvironment();
	};
	/** Writes the code first, so that no process opens a pool without one. */
	const enter = async (code: JoinCode, machine: string | undefined, name: string) => {
		const isSame = file.join() !== undefined && idIn(file.join()) === code.poolId;
		if (isSame) await resealJournals(code);
		await file.enter(printJoinCode(code), machine ?? file.machine() ?? hostname(), name, isSame);
		await settings.change([{ path: ["pool"], value: name }]);
		await reopen();
	};
	/** Seals tokens that were renewed before the new key with the new key. */
	const resealJournals = async (code: JoinCode) => {
		const former = codeIn(file.join());
		if (!former || former.role === "runner" || code.role === "runner") return;
		const [before, after] = [former, code].map((each) => openJournal(folder, keysOf(each)));
		for (const entry of (await before?.read()) ?? []) await after?.write(entry);
	};
	const moveIn = async (pool: SharedPool, accounts: readonly AccountId[]) => {
		for (const account of accounts) {
			await pool.inside.moves.moveIn(account);
			tell({ type: "membership", change: "shared", account });
		}
		tell({ type: "changed" });
	};

	/** Returns the code of a pool whose creation was interrupted on this machine. Its key exists nowhere else. */
	const unfinished = (url: string) => {
		const code = codeIn(file.join());
		return code?.role === "keeper" && code.url === url ? code : undefined;
	};
	/** Creates the pool in its database. The key is on disk before, since nothing would ever open there without it. */
	const found = async (code: JoinCode, machine: string | undefined, name: string) => {
		const { keyIds } = createSealing(code);
		const head = { id: code.poolId, name, keeperKeyId: keyIds.keeper ?? "", runnerKeyId: keyIds.runner };
		await withDatabase(code, async (database) => {
			await database.migrate();
			await file.enter(printJoinCode(code), machine ?? hostname(), name, false);
			if (await database.create(head)) return;
			if ((await database.head())?.id === code.poolId) return;
			await file.clear();
			throw isTaken();
		});
	};
	const forget = async () => {
		await settings.change([{ path: ["pool"], value: undefined }]);
		await reopen();
		await file.clear();
	};

	return {
		status: () => current()?.status(),
		look: async () => {
			await current()?.look().catch(ignoreProblem);
			return current()?.status();
		},
		create: async ({ url, name, machine, accounts }) => {
			if (isByEnvironment) throw ofEnvironment();
			// A pool that could not be opened still has a code, possibly its only one.
			if (current() || (isNamed() && file.join() !== undefined)) throw hasPool();
			const code = unfinished(url) ?? newKeeperCode(url);
			await found(code, machine, name);
			await enter(code, machine, name);
			tell({ type: "shared-pool", change: "created", role: "keeper" });
			await moveIn(joined(), accounts);
			return codesOf(code);
		},
		join: async (text, machine) => {
			const read = readJoinCode(text);
			if (read.kind === "bad") throw new PoolProblem("unexpected", read.problem);
			const { code } = read;
			if (isByEnvironment) throw ofEnvironment();
			const held = isNamed() ? codeIn(file.join()) : undefined;
			if (held && held.poolId !== code.poolId) throw hasPool();
			if (held?.role === "keeper" && code.role === "runner") throw staysKeeper();
			const { keyIds } = createSealing(code);
			const look = await withDatabase(code, (database) => database.look(NOTHING_KNOWN), keyIds);
			await enter(code, machine, look.head.name);
			tell({ type: "shared-pool", change: "joined", role: code.role });
			await joined().look().catch(ignoreProblem);
			return joined().status();
		},
		add: (accounts) => moveIn(asKeeperOfFiles(), accounts),
		leave: async (take) => {
			if (isByEnvironment) throw ofEnvironment();
			// The settings may name a pool without a code.
			if (!current() && isNamed() && file.join() === undefined) return forget();
			const pool = joined();
			const { moves, mirror, journal, code } = pool.inside;
			if (take.length > 0) asKeeperOfFiles();
			// What only this machine knows must reach the others first.
			if (mirror.crossings().length > 0 || (await journal.count()) > 0) await pool.look();
			if (mirror.crossings().length > 0 || (await journal.count()) > 0) throw isWaiting();
			for (const account of take) {
				await moves.takeOut(account);
				tell({ type: "membership", change: "unshared", account });
			}
			await forget();
			tell({ type: "shared-pool", change: "left", role: code.role });
			tell({ type: "changed" });
		},
		codes: () => current()?.codes(),
		rotate: async (url) => {
			const pool = asKeeper();
			const { status, inside } = pool;
			if (status().joinedBy === "environment") throw ofEnvironment();
			// The journals are sealed with the key that is about to end.
			await pool.look();
			const next = withNewSecret({ ...inside.code, url: url ?? inside.code.url });
			await file.prepare(printJoinCode(next));
			const work = (database: PoolDatabase) => resealAll(database, inside.keys, keysOf(next));
			await withDatabase({ ...inside.code, url: next.url }, work, inside.keys.sealing.keyIds);
			await enter(next, undefined, status().name);
			tell({ type: "shared-pool", change: "new-keys", role: "keeper" });
			return codesOf(next);
		},
	};
}

function keysOf(code: JoinCode): Keys {
	return { sealing: createSealing(code), poolId: code.poolId };
}

function codeIn(text: string | undefined): JoinCode | undefined {
	const read = text === undefined ? undefined : readJoinCode(text);
	return read?.kind === "ok" ? read.code : undefined;
}

function idIn(text: string | undefined): string | undefined {
	return codeIn(text)?.poolId;
}

/** Runs statements on a connection of its own, and closes it. */
async function withDatabase<T>(
	code: JoinCode,
	work: (database: PoolDatabase) => Promise<T>,
	keyIds?: Keys["sealing"]["keyIds"],
): Promise<T> {
	const { createPoolDatabase } = await import("./database.ts");
	const database = createPoolDatabase(code, { keyIds });
	try {
		return await work(database);
	} finally {
		// A connection that cannot be closed ends with the process.
		await database.end().catch(ignoreProblem);
	}
}

/** Seals every row with other keys, in one transaction. */
async function resealAll(database: PoolDatabase, before: Keys, after: Keys): Promise<void> {
	const { keeper = "", runner } = after.sealing.keyIds;
	for (let tries = 0; tries < MOST_TRIES; tries += 1) {
		const { rows } = await database.look(NOTHING_KNOWN);
		const resealed = rows.map((row): RowChange => {
			const opened = openRow(row, before);
			if (opened.kind !== "ok") throw doesNotOpen(opened.kind);
			const { id, version, enabled, disabledReason, needsLogin } = row;
			const sealed = sealAccount(opened.account, version + 1, after);
			return { id, replaces: version, ...sealed, enabled, disabledReason, needsLogin };
		});
		if (await database.reseal({ keeperKeyId: keeper, runnerKeyId: runner }, resealed)) return;
	}
	throw new PoolProblem(
		"unexpected",
		"Machines of the pool are renewing sign-ins just now. No key was changed; try again in a minute.",
	);
}

function hasPool(): PoolProblem {
	return new PoolProblem("other-pool", "This machine has joined a pool already: /multicodex leave leaves it first.");
}

/** A keeper's key opens refresh tokens and may be the only one. Only leaving gives it up. */
function staysKeeper(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"This machine is a keeper of that pool, and its key would be lost: " +
			"a runner's code joins after /multicodex leave only. Nothing was changed.",
	);
}

function isTaken(): PoolProblem {
	return new PoolProblem(
		"other-pool",
		"This database holds a pool already: /multicodex join <code> joins it, with a code that its keeper prints.",
	);
}

function isWaiting(): PoolProblem {
	return new PoolProblem(
		"away",
		"Sign-ins that this machine has renewed or moved are not in the database yet. Try again once it can be reached.",
	);
}

function ofEnvironment(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"PI_MULTICODEX_POOL names the pool of this process: start pi without it, and join with /multicodex join <code>.",
	);
}

/** The status already contains the problem. */
function ignoreProblem(): undefined {
	return undefined;
}
