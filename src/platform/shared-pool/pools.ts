import { hostname } from "node:os";
import { within } from "../../core/abort.ts";
import { printable } from "../../core/account.ts";
import type { PoolListener } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import type { Clock, SettingsStore, SharedPools } from "../../core/ports.ts";
import { PoolProblem, type Unstored } from "../../core/shared-pool.ts";
import type { LocalAccountStore } from "../stores/account-store.ts";
import { codesOf, newKeeperCode, printJoinCode, readJoinCode, withNewSecret } from "./join-code.ts";
import { type Journal, openJournal } from "./journal.ts";
import { keepUnstored, keptText } from "./keep-unstored.ts";
import type { Mirror, OwnMirror } from "./mirror.ts";
import { type Keys, openRow, sealAccount } from "./sealed-account.ts";
import { createSealing } from "./sealing.ts";
import type { SharedPool } from "./shared-pool.ts";
import { doesNotOpen, keepersOnly } from "./shared-rows.ts";
import type { Asker, JoinCode, PoolDatabase, RowChange } from "./types.ts";

interface Deps {
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

/** More tries than changes can interfere while all accounts are sealed again. */
const MOST_TRIES = 10;
/** Longest wait for it: presences expire by themselves. */
const FORGETTING_MS = 2000;
const NOTHING_MADE =
	"Stopped before the database had answered. No account was moved, and no pool is joined; the same command begins again.";
const KEYS_UNKNOWN =
	"Stopped while the keys were replaced. This machine keeps the old keys and the new ones, and uses those that the " +
	"database has: /multicodex share --codes prints their codes.";
const NOTHING_KNOWN = { rows: new Map<AccountId, number>(), statuses: new Map<AccountId, number>() };

/** Creates what a person can do with this machine's pool. */
export function createSharedPools(deps: Deps): SharedPools {
	const { current, reopen, file, folder, local, clock, settings, isByEnvironment, tell } = deps;
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
	const keep = (journal: Journal, mirror: Pick<Mirror, "crossings" | "name">) =>
		keepUnstored({ local, journal, mirror, now: clock.now });
	/**
	 * Prepares the files for the pool of `code`. Returns true if they are of that pool. What another one has not got
	 * stays on this machine: the settings may have ceased to name it before it was left.
	 */
	const prepareFor = async (code: JoinCode): Promise<boolean> => {
		const former = codeIn(file.join());
		if (former?.poolId === code.poolId) {
			await resealJournals(code);
			return true;
		}
		const kept = await keep(openJournal(folder, keysOf(former ?? code)), file);
		const text = keptText(kept, file.name());
		if (text !== undefined) tell({ type: "warning", text });
		return false;
	};
	/** Writes the code first, so that no process opens a pool without one. */
	const enter = async (code: JoinCode, machine: string | undefined, name: string) => {
		const isSame = await prepareFor(code);
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
	/** Returns where each account of an interrupted move is. `before` and `after` name the two places. */
	const movesSoFar = (
		pool: SharedPool,
		accounts: readonly AccountId[],
		moved: number,
		before: string,
		after: string,
	) => {
		const labels = new Map(pool.accounts.list().map(({ id, label }) => [id, label]));
		const noted = new Set(pool.inside.mirror.crossings().map(({ id }) => id));
		const rest = accounts.slice(moved);
		const named = (where: string, ids: readonly AccountId[]) =>
			ids.length === 0 ? [] : [`${where}: ${ids.map((id) => labels.get(id) ?? id).join(", ")}.`];
		return [
			...named(after, accounts.slice(0, moved)),
			...named(
				"On the way until the database answers",
				rest.filter((id) => noted.has(id)),
			),
			...named(
				before,
				rest.filter((id) => !noted.has(id)),
			),
		].join(" ");
	};
	const moveIn = async (pool: SharedPool, accounts: readonly AccountId[], asker: Asker, begin: string) => {
		for (const [moved, account] of accounts.entries()) {
			const soFar = () => movesSoFar(pool, accounts, moved, "Still on this machine alone", "In the pool");
			await orStopped(pool.inside.moves.moveIn(account, asker), asker, () => `${begin} ${soFar()}`);
			tell({ type: "membership", change: "shared", account });
		}
		tell({ type: "changed" });
	};
	const unstored = async ({ inside, accounts }: SharedPool): Promise<Unstored> => {
		const labels = new Map(accounts.list().map(({ id, label }) => [id, label]));
		const renewed = await inside.journal.read();
		const sealed = (await inside.journal.count()) - renewed.length;
		return {
			renewed: [
				...new Set(renewed.map(({ account }) => labels.get(account.id) ?? account.label)),
				...(sealed > 0 ? [`${sealed} under former keys of the pool`] : []),
			],
			moving: inside.mirror.crossings().map(({ id }) => labels.get(id) ?? id),
		};
	};
	/** Stores the sign-ins of this machine in the database. Resolves to why that is unreachable, if it is. */
	const handOver = async (pool: SharedPool, asker: Asker): Promise<string | undefined> => {
		try {
			await orStopped(
				pool.look(asker),
				asker,
				() => "Stopped before the database had answered. The pool was not left.",
			);
			return undefined;
		} catch (error) {
			const away = pool.inside.connection.away();
			if (away && !asker.signal?.aborted) return away.problem.message;
			throw error;
		}
	};
	/** Returns the code of a pool whose creation was interrupted on this machine. Its key exists nowhere else. */
	const unfinished = (url: string) => {
		const code = codeIn(file.join());
		return code?.role === "keeper" && code.url === url ? code : undefined;
	};
	/** Creates the pool in its database. The key is on disk before, since nothing would ever open there without it. */
	const found = async (code: JoinCode, machine: string | undefined, name: string, asker: Asker) => {
		const { keyIds } = createSealing(code);
		const head = { id: code.poolId, name, keeperKeyId: keyIds.keeper ?? "", runnerKeyId: keyIds.runner };
		await withDatabase(code, asker, async (database) => {
			await database.migrate();
			const isSame = await prepareFor(code);
			await file.enter(printJoinCode(code), machine ?? hostname(), name, isSame);
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
		look: async (signal) => {
			await current()?.look({ signal }).catch(ignoreProblem);
			return current()?.status();
		},
		create: async ({ url, name, machine, accounts }, signal) => {
			const asker = { signal };
			if (isByEnvironment) throw ofEnvironment();
			// A pool that could not be opened still has a code, possibly its only one.
			if (current() || (isNamed() && file.join() !== undefined)) throw hasPool();
			const code = unfinished(url) ?? newKeeperCode(url);
			await orStopped(found(code, machine, name, asker), asker, () => NOTHING_MADE);
			await enter(code, machine, name);
			tell({ type: "shared-pool", change: "created", role: "keeper" });
			const made = `Stopped. The pool ${printable(name)} is made, and /multicodex share --codes prints its join codes.`;
			await moveIn(joined(), accounts, asker, made);
			return codesOf(code);
		},
		join: async (text, machine, signal) => {
			const asker = { signal };
			const read = readJoinCode(text);
			if (read.kind === "bad") throw new PoolProblem("unexpected", read.problem);
			const { code } = read;
			if (isByEnvironment) throw ofEnvironment();
			const held = isNamed() ? codeIn(file.join()) : undefined;
			if (held && held.poolId !== code.poolId) throw hasPool();
			if (held?.role === "keeper" && code.role === "runner") throw staysKeeper();
			const { keyIds } = createSealing(code);
			const looked = withDatabase(code, asker, (database) => database.look(NOTHING_KNOWN), keyIds);
			const nothing = held ? "Nothing was changed." : "No pool was joined.";
			const look = await orStopped(looked, asker, () => `Stopped before the database had answered. ${nothing}`);
			const formerName = held && file.machine();
			await enter(code, machine, look.head.name);
			if (formerName !== undefined && formerName !== file.machine()) await forgetMachine(joined(), formerName);
			tell({ type: "shared-pool", change: "joined", role: code.role });
			await joined().look(asker).catch(ignoreProblem);
			return joined().status();
		},
		add: (accounts, signal) => moveIn(asKeeperOfFiles(), accounts, { signal }, "Stopped."),
		leave: async (take, { isForced }, signal) => {
			const asker = { signal };
			if (isByEnvironment) throw ofEnvironment();
			// The settings may name a pool without a code.
			if (!current() && isNamed() && file.join() === undefined) {
				await forget();
				return { kind: "left" };
			}
			const pool = joined();
			const { moves, mirror, journal, code } = pool.inside;
			const { machine: name } = pool.status();
			if (take.length > 0) asKeeperOfFiles();
			const isWaiting = async () => mirror.crossings().length > 0 || (await journal.count()) > 0;
			const why = (await isWaiting()) ? await handOver(pool, asker) : undefined;
			if (!isForced && (await isWaiting())) return { kind: "waiting", unstored: await unstored(pool), why };
			for (const [taken, account] of take.entries()) {
				const soFar = () => movesSoFar(pool, take, taken, "Still in the pool", "Taken out of it");
				const stopped = () => `Stopped. The pool was not left. ${soFar()}`;
				await orStopped(moves.takeOut(account, asker), asker, stopped);
				tell({ type: "membership", change: "unshared", account });
			}
			if (isForced) await keep(journal, mirror);
			await forget();
			await forgetMachine(pool, name);
			tell({ type: "shared-pool", change: "left", role: code.role });
			tell({ type: "changed" });
			return { kind: "left" };
		},
		codes: () => current()?.codes(),
		rotate: async (url, signal) => {
			const asker = { signal };
			const pool = asKeeper();
			const { status, inside } = pool;
			if (status().joinedBy === "environment") throw ofEnvironment();
			// The journals are sealed with the key that is about to end.
			await orStopped(pool.look(asker), asker, () => "Stopped before the database had answered. The keys were kept.");
			// An earlier statement without an answer may still be executed: its key must not be lost.
			const prepared = codeIn(file.next());
			const isOfPool = prepared?.poolId === inside.code.poolId && prepared.role === "keeper";
			const fresh = isOfPool ? prepared : withNewSecret(inside.code);
			const next = { ...fresh, url: url ?? inside.code.url };
			await file.prepare(printJoinCode(next));
			const work = (database: PoolDatabase) => resealAll(database, inside.keys, keysOf(next));
			const place = { ...inside.code, url: next.url };
			await orStopped(withDatabase(place, asker, work, inside.keys.sealing.keyIds), asker, () => KEYS_UNKNOWN);
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

/** Rejects with `sentence`, which says what was done, if the asker stopped waiting. */
async function orStopped<T>(work: Promise<T>, { signal }: Asker, sentence: () => string): Promise<T> {
	try {
		return await work;
	} catch (error) {
		if (signal?.aborted && error === signal.reason) throw new PoolProblem("unexpected", sentence());
		throw error;
	}
}

/** Runs statements on a connection of its own, and closes it. */
async function withDatabase<T>(
	code: JoinCode,
	{ signal }: Asker,
	work: (database: PoolDatabase) => Promise<T>,
	keyIds?: Keys["sealing"]["keyIds"],
): Promise<T> {
	const { createPoolDatabase } = await import("./database.ts");
	const database = createPoolDatabase(code, { keyIds });
	try {
		return await work(signal ? database.until(signal) : database);
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

function ofEnvironment(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"PI_MULTICODEX_POOL names the pool of this process: start pi without it, and join with /multicodex join <code>.",
	);
}

/** Deletes the presences of a machine, including those of processes that were killed. */
async function forgetMachine({ inside: { connection } }: SharedPool, machine: string): Promise<void> {
	const forgotten = connection.use((database) => database.forgetMachine(machine)).catch(ignoreProblem);
	await within(forgotten, FORGETTING_MS, ignoreProblem);
	await connection.rest();
}

/** The status already contains the problem. */
function ignoreProblem(): undefined {
	return undefined;
}
