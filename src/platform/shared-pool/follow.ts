import type { Clock } from "../../core/ports.ts";
import type { PoolConnection } from "../../core/shared-pool.ts";
import { withLockUnlessBusy } from "../files/lock.ts";
import type { Connection } from "./connection.ts";
import { createJointLook } from "./joint-look.ts";
import type { Mirror } from "./mirror.ts";
import { createMirroring } from "./mirroring.ts";
import type { Keys } from "./sealed-account.ts";
import type { Asker, Known, Look } from "./types.ts";

/** Keeps the mirror in step with the database. One process of this machine does so. */
interface Follow {
	/**
	 * Reads the database now. Calls that arrive meanwhile share the next read. Rejects with a `PoolProblem`, or with the
	 * reason of the asker's signal. The read continues as long as another caller waits for it.
	 */
	look(asker?: Asker): Promise<void>;
	/**
	 * Starts following in the background. `stays`: one process of this machine listens for changes, and reads every
	 * minute; otherwise this process reads once. May be called again.
	 */
	begin(stays: boolean): void;
	/** Returns the state of this process's connection. */
	connection(): PoolConnection;
	/** Stops following and closes the connection. */
	end(): Promise<void>;
}

/** Another part that uses what a look reads. */
interface Looker {
	/** Returns the status versions that this process knows. */
	readonly known: () => Known["statuses"];
	/** Called after every look, once the accounts are in the mirror. */
	readonly onLook: (look: Look) => unknown;
}

/** Dependencies of following a pool. */
export interface FollowDeps {
	readonly connection: Connection;
	readonly mirror: Mirror;
	readonly keys: Keys;
	/** The id of this run of the process. */
	readonly own: string;
	/** The file locked by the process that follows for this machine; undefined if each process follows for itself. */
	readonly lockPath: string | undefined;
	readonly lookers: readonly Looker[];
	readonly clock: Clock;
	/** Called when the mirror has changed. */
	readonly onNews: () => void;
	readonly onWarning: (text: string) => void;
	readonly onFailure: (error: unknown) => void;
}

/** A notification may be lost, so read this often. */
const LOOK_EACH_MS = 60_000;
/** How soon to try again after notifications did not get through. */
const LISTEN_AGAIN_MS = 5 * 60_000;
/** Changes at about the same time cause one read. */
const SETTLE_MS = 20;
/** How often a process that follows another one tries to take its place. */
const ELECTION_EACH_MS = 10_000;
/** A client closes its connection after this long without use. */
const RESTS_AFTER_MS = 20_000;

/** Creates the follower. Nothing is read before the first call. */
export function createFollow(deps: FollowDeps): Follow {
	const { connection, mirror, keys, own, lockPath, lookers, clock, onNews, onWarning, onFailure } = deps;
	const ending = new AbortController();
	const { signal } = ending;
	let hasBegun = false;
	let isLeading = false;
	/** Whether notifications arrive; undefined until that was tried. */
	let listens: boolean | undefined;
	let stopListening: (() => Promise<void>) | undefined;
	let lookedAt: number | undefined;
	let timer: NodeJS.Timeout | undefined;
	const mirrorLook = createMirroring({ mirror, keys, clock, listens: () => listens, onWarning });
	const lookOnce = async (asker: Asker | undefined) => {
		const versions = new Map([...mirror.rows()].map(([id, { version }]) => [id, version]));
		const statuses = new Map(lookers.flatMap((looker) => [...looker.known()]));
		const look = await connection.use((database) => database.look({ rows: versions, statuses }), asker);
		const isNews = await mirrorLook(look);
		lookedAt = clock.now();
		if (isNews) onNews();
		for (const looker of lookers) await looker.onLook(look);
	};
	const look = createJointLook(lookOnce);
	/** Looks without a caller that waits. A failure was either reported already, or is a defect. */
	const lookBehind = () => {
		look().catch((error: unknown) => {
			if (!connection.away()) onFailure(error);
		});
	};
	const lookIn = (ms: number) => {
		clearTimeout(timer);
		if (signal.aborted) return;
		timer = setTimeout(() => void lookAndGoOn(), ms);
		timer.unref();
	};
	const lookAndGoOn = async () => {
		await listenAgain();
		await look().catch((error: unknown) => {
			if (!connection.away()) onFailure(error);
		});
		const untilTry = connection.nextTryAt() - clock.now();
		lookIn(connection.away() ? Math.min(Math.max(untilTry, SETTLE_MS), LOOK_EACH_MS) : LOOK_EACH_MS);
	};
	/** Listens before the next look, so that nothing is missed in between. */
	const listenAgain = async () => {
		if (stopListening || clock.now() < listensNotBefore || signal.aborted) return;
		try {
			stopListening = await connection.use((database) => database.listen(own, () => lookIn(SETTLE_MS)));
			if (!stopListening) listensNotBefore = clock.now() + LISTEN_AGAIN_MS;
			listens = stopListening !== undefined;
		} catch (error) {
			if (!connection.away()) onFailure(error);
		}
	};
	/**
	 * Notifications do not get through, for instance behind a pooler in transaction mode, or the machine was too busy.
	 */
	let listensNotBefore = 0;

	const lead = async () => {
		if (signal.aborted) return;
		isLeading = true;
		void lookAndGoOn();
		await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve(), { once: true }));
		isLeading = false;
	};
	const elect = async (path: string): Promise<void> => {
		if (signal.aborted) return;
		try {
			await withLockUnlessBusy(path, { waitMs: 0 }, lead);
		} catch (error) {
			// In a home that cannot be written, there is no file for other processes to follow.
			onFailure(error);
			await lead();
		}
		if (signal.aborted) return;
		timer = setTimeout(() => void elect(path), ELECTION_EACH_MS);
		timer.unref();
	};

	return {
		look,
		begin: (stays) => {
			if (hasBegun || signal.aborted) return;
			hasBegun = true;
			if (!stays) lookBehind();
			else if (lockPath === undefined) void lead();
			else void elect(lockPath);
		},
		connection: () => {
			const away = connection.away();
			if (away) return { kind: "away", since: away.since, problem: away.problem.kind, text: away.problem.message };
			const known = lookedAt ?? mirror.lastLook()?.at;
			if (known === undefined) return { kind: "unknown" };
			if (hasBegun && !isLeading && lockPath !== undefined) return { kind: "followed", lookedAt: known };
			if (listens || clock.now() - known < RESTS_AFTER_MS) return { kind: "connected", lookedAt: known, listens };
			return { kind: "resting", lookedAt: known };
		},
		end: async () => {
			clearTimeout(timer);
			ending.abort();
			await stopListening?.().catch(() => undefined);
			await connection.rest();
		},
	};
}
