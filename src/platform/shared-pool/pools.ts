import { hostname } from "node:os";
import { printable } from "../../core/account.ts";
import type { SharedPools } from "../../core/ports.ts";
import { codesOf, joinCodeIn, newKeeperCode, printJoinCode, readJoinCode } from "./join-code.ts";
import { createJoinedPool, type JoinedPool, type JoinedPoolDeps, ofEnvironment } from "./joined-pool.ts";
import { leavePool } from "./leave-pool.ts";
import type { OwnMirror } from "./mirror.ts";
import { moveAllIn } from "./move-several.ts";
import { replaceKeys } from "./new-keys.ts";
import { forgetMachine, ignoreProblem, NOTHING_KNOWN, orStopped, withDatabase } from "./pool-calls.ts";
import { createSealing } from "./sealing.ts";
import { type Asker, type JoinCode, PoolProblem } from "./types.ts";

const NOTHING_MADE =
	"Stopped before the database had answered. No account was moved, and no pool is joined; the same command begins again.";

/** Creates what a person can do with this machine's pool. */
export function createSharedPools(deps: JoinedPoolDeps): SharedPools {
	const { current, file, local, clock, tell } = deps;
	const joined = createJoinedPool(deps);

	return {
		status: () => current()?.status(),
		look: async (signal) => {
			await current()?.look({ signal }).catch(ignoreProblem);
			return current()?.status();
		},
		create: async ({ url, name, machine, accounts }, signal) => {
			const asker = { signal };
			joined.refuseEnvironment();
			// A pool that could not be opened still has a code, possibly its only one.
			if (current() || (joined.isNamed() && file.join() !== undefined)) throw hasPool();
			const code = unfinished(file, url) ?? newKeeperCode(url);
			const founded = foundPool({ joined, file }, { code, machine, name }, asker);
			await orStopped(founded, asker, () => NOTHING_MADE);
			await joined.enter(code, machine, name);
			tell({ type: "shared-pool", change: "created", role: "keeper" });
			const stopped = `Stopped. The pool ${printable(name)} is made, and /multicodex share --codes prints its join codes.`;
			await moveAllIn(joined.open(), { accounts, asker, stopped, tell });
			return codesOf(code);
		},
		join: async (text, machine, signal) => {
			const asker = { signal };
			const read = readJoinCode(text);
			if (read.kind === "bad") throw new PoolProblem("unexpected", read.problem);
			const { code } = read;
			joined.refuseEnvironment();
			const held = joined.isNamed() ? joinCodeIn(file.join()) : undefined;
			if (held && held.poolId !== code.poolId) throw hasPool();
			if (held?.role === "keeper" && code.role === "runner") throw staysKeeper();
			const { keyIds } = createSealing(code);
			const looked = withDatabase(code, asker, (database) => database.look(NOTHING_KNOWN), keyIds);
			const nothing = held ? "Nothing was changed." : "No pool was joined.";
			const look = await orStopped(looked, asker, () => `Stopped before the database had answered. ${nothing}`);
			const formerName = held && file.machine();
			await joined.enter(code, machine, look.head.name);
			if (formerName !== undefined && formerName !== file.machine()) await forgetMachine(joined.open(), formerName);
			tell({ type: "shared-pool", change: "joined", role: code.role });
			await joined.open().look(asker).catch(ignoreProblem);
			return joined.open().status();
		},
		add: (accounts, signal) =>
			moveAllIn(joined.asKeeperOfFiles(), { accounts, asker: { signal }, stopped: "Stopped.", tell }),
		leave: async (take, { isForced }, signal) => {
			joined.refuseEnvironment();
			// The settings may name a pool without a code.
			if (!current() && joined.isNamed() && file.join() === undefined) {
				await joined.forget();
				return { kind: "left" };
			}
			return leavePool({ joined, local, clock, tell }, { take, isForced, asker: { signal } });
		},
		codes: () => current()?.codes(),
		rotate: async (url, signal) => {
			const pool = joined.asKeeper();
			if (pool.status().joinedBy === "environment") throw ofEnvironment();
			const code = await replaceKeys({ joined, file }, pool, url, { signal });
			tell({ type: "shared-pool", change: "new-keys", role: "keeper" });
			return codesOf(code);
		},
	};
}

/** Returns the code of a pool whose creation was interrupted on this machine. Its key exists nowhere else. */
function unfinished(file: Pick<OwnMirror, "join">, url: string): JoinCode | undefined {
	const code = joinCodeIn(file.join());
	return code?.role === "keeper" && code.url === url ? code : undefined;
}

/** Creates the pool in its database. The key is on disk before, since nothing would ever open there without it. */
async function foundPool(
	{ joined, file }: { readonly joined: Pick<JoinedPool, "prepareFor">; readonly file: OwnMirror },
	{ code, machine, name }: { readonly code: JoinCode; readonly machine: string | undefined; readonly name: string },
	asker: Asker,
): Promise<void> {
	const { keyIds } = createSealing(code);
	const head = { id: code.poolId, name, keeperKeyId: keyIds.keeper ?? "", runnerKeyId: keyIds.runner };
	await withDatabase(code, asker, async (database) => {
		await database.migrate();
		const isSame = await joined.prepareFor(code);
		await file.enter(printJoinCode(code), machine ?? hostname(), name, isSame);
		if (await database.create(head)) return;
		if ((await database.head())?.id === code.poolId) return;
		await file.clear();
		throw isTaken();
	});
}

function hasPool(): PoolProblem {
	return new PoolProblem("other-pool", "This machine has already joined a pool: /multicodex leave leaves it first.");
}

/** A keeper's key opens refresh tokens and may be the only one. Only leaving gives it up. */
function staysKeeper(): PoolProblem {
	return new PoolProblem(
		"unexpected",
		"This machine is a keeper of that pool, and its key would be lost: " +
			"a runner's code only joins after /multicodex leave. Nothing was changed.",
	);
}

function isTaken(): PoolProblem {
	return new PoolProblem(
		"other-pool",
		"This database already has a pool: /multicodex join <code> joins it, with a code that its keeper prints.",
	);
}
