import { fingerprint } from "../../../src/platform/backend/jwt.ts";
import { type FakeCodex, SECRET_MARK, startFakeCodex, tokenAnswers } from "../../support/fake-codex/index.ts";
import { type Dice, diceOf } from "../chaos/dice.ts";
import { aMachine, brokenFiles, type Machine, tokensInClear } from "./machine.ts";
import { createFleetPool, type FleetPool } from "./pool.ts";
import { type Seat, startSeat } from "./seat.ts";
import { lostByTheLiving, sentTwice } from "./verdict.ts";

/** What came of a short run: what has happened in it, and what must not have. */
export interface MishapReport {
	readonly seed: number;
	readonly ms: number;
	readonly turns: number;
	readonly processes: number;
	/** By machine. */
	readonly exchanges: Readonly<Record<string, number>>;
	/** How far the clock of each machine was off, as a process of it has found out: minutes. */
	readonly clocks: Readonly<Record<string, number>>;
	/** Machines that fell with a new token in their journal alone. */
	readonly fallsBeforeStore: number;
	/** Processes that were killed at the moment of an answer of the token endpoint. */
	readonly deaths: number;
	readonly crashes: number;
	readonly cutConnections: number;
	/** Statements that were done, and whose answer was lost. */
	readonly lostAnswers: number;
	/** Every promise that was broken, one a line. */
	readonly violations: readonly string[];
}

export interface MishapRun {
	readonly seed: number;
	/** Name of a guard that is taken out of every process: see `breaks.json`. */
	readonly broken?: string | undefined;
	readonly onProgress?: ((line: string) => void) | undefined;
}

const HOUR_MS = 60 * 60_000;

type Mishap = "fall" | "death" | "crash" | "cuts" | "lost claim" | "lost store";

/** What happens to them, in an order that is left to chance. */
const MISHAPS: readonly Mishap[] = ["fall", "fall", "death", "crash", "cuts", "lost claim", "lost store"];
const MACHINES = [
	{ name: "a", clockMs: 0, seats: 2 },
	{ name: "b", clockMs: 600_000, seats: 1 },
	{ name: "c", clockMs: -600_000, seats: 1 },
];
const NAMES = ["a1", "a2", "a3", "a4", "a5", "a6"];
/**
 * Each token is due to be renewed as soon as it is there, since four fifths of its life seem to be over, and none comes
 * near its end: what was claimed without an outcome is never sent again, so that whatever the pace of the machine, a
 * second time is a fault.
 */
const LIFE_MS = 5 * HOUR_MS;
const AGE_MS = 40 * HOUR_MS;
/** Part of the statement that claims a token, and of the one that stores what came for it. */
const CLAIMING = "pi_multicodex.claim as c (account, token_hash, holder, claimed_at)";
const STORING = "dropped as (";
/** In no statement. */
const NO_STATEMENT = "-- none --";
/** Exchanges between two mishaps. */
const BETWEEN = 2;
const CUTS = 4;
const STEP_MS = 50;
const TURN_EACH_MS = 200;
/** Without an exchange for so long, every account may wait for a process that fell. */
const STUCK_MS = 3000;

/**
 * Plays a short run. Each mishap is waited for until it has happened, however long that takes, and nothing is asked of
 * the end but what no pace excuses: a token that was sent twice or lost, a journal that stays, what cannot be read or
 * must not be. Everything that was started has ended when it resolves or rejects.
 */
export async function playMishaps({ seed, broken, onProgress }: MishapRun): Promise<MishapReport> {
	const codex = await startFakeCodex({
		accounts: NAMES.map((name) => ({ name, tokenLifetimeMs: LIFE_MS, tokenAgeMs: AGE_MS })),
	});
	// The way back from the issuer takes a moment, as it does in the world.
	codex.token(tokenAnswers.delay(25, { rotate: "before" }));
	const cleanUp: (() => Promise<void> | void)[] = [() => codex.close()];
	try {
		const pool = await createFleetPool();
		cleanUp.unshift(() => pool.end());
		const play = createPlay({ seed, broken, onProgress, codex, pool });
		cleanUp.unshift(() => play.end());
		return await play.run();
	} finally {
		for (const each of cleanUp) await each();
	}
}

interface Stage extends MishapRun {
	readonly codex: FakeCodex;
	readonly pool: FleetPool;
}

function createPlay({ seed, broken, onProgress, codex, pool }: Stage) {
	const dice: Dice = diceOf(seed, "mishaps");
	const beganAt = Date.now();
	const say = (line: string) => onProgress?.(`${((Date.now() - beganAt) / 1000).toFixed(1).padStart(6)} s  ${line}`);
	const machines: Machine[] = [];
	const seats: Seat[] = [];
	const wrong: string[] = [];
	const told = new Map<string, string>();
	/** New tokens that were in a journal alone when their machine fell. */
	const saved = new Set<string>();
	const counts = { turns: 0, falls: 0, deaths: 0, crashes: 0, cuts: 0, lostAnswers: 0 };
	const signIns: { readonly account: string; readonly at: number }[] = [];
	let isOver = false;
	let started = 0;
	const exchanges = () => codex.tokenRequests().filter(({ issuedRefresh }) => issuedRefresh !== undefined);
	const living = (machine: Machine) =>
		seats.filter((seat) => seat.machine === machine.name && seat.killedAt === undefined);
	const judged = (stored: ReadonlySet<string>) => {
		const accessEndOf = () => Number.POSITIVE_INFINITY;
		return { tokens: codex.tokenRequests(), senders: seats, stored, signIns, aged: new Set<string>(), accessEndOf };
	};
	/** Rejects as soon as a token was sent twice: its account is signed out then, and nothing more may come. */
	const until = async (isSo: () => boolean | Promise<boolean>) => {
		while (!(await isSo())) {
			if (sentTwice(judged(new Set())).length > 0) throw new SentTwice();
			await pause(STEP_MS);
		}
	};
	const more = async (count: number) => {
		const before = exchanges().length;
		await until(() => exchanges().length >= before + count);
	};

	const start = async (machine: Machine): Promise<Seat> => {
		// Two may start at once. The verdict knows a process by its name.
		started += 1;
		const name = `${machine.name}-${started}`;
		const seat = await startSeat({
			name,
			machine,
			kind: "worker",
			issuer: codex.issuerFor(name),
			baseUrl: codex.baseUrl,
			broken,
			breaks: new URL("breaks.json", import.meta.url),
			onWrong: (what) => wrong.push(what),
		});
		seats.push(seat);
		return seat;
	};
	/** A place at a machine: one process after the other, each until it is killed. */
	const hold = async (machine: Machine) => {
		while (!isOver) {
			const seat = await start(machine);
			for (let turn = 0; !isOver && seat.killedAt === undefined; turn += 1) {
				try {
					if ((await seat.ask(`${seat.name}-${turn}`)).isAnswered) counts.turns += 1;
				} catch (error) {
					if (seat.killedAt === undefined) throw error;
				}
				await pause(TURN_EACH_MS);
			}
		}
	};
	const command = async (seat: Seat | undefined, line: string) => {
		try {
			return (await seat?.command(line)) ?? [];
		} catch (error) {
			if (seat?.killedAt === undefined) throw error;
			return [];
		}
	};
	const lookBy = async (machine: Machine) => {
		const text = (await command(living(machine).at(-1), "share")).join("\n");
		if (text.includes("this machine")) told.set(machine.name, text);
	};
	/**
	 * A person signs in again to accounts whose token is claimed by a process that fell: rightly, none sends it before the
	 * last minutes of the access token, which do not come here.
	 */
	const signInAgain = async () => {
		const [rows, claims] = [await pool.look().catch(() => undefined), await pool.openClaims().catch(() => undefined)];
		if (!rows || !claims || (await journals()).length > 0) return;
		for (const [name, stored] of rows) {
			const isSpent = codex.refreshState(stored.refresh) !== "valid";
			if (!isSpent && !claims.has(fingerprint(stored.refresh))) continue;
			if (await pool.signIn(stored, codex.grant(name)).catch(() => false)) {
				signIns.push({ account: name, at: Date.now() });
				say(`a person signs in ${name} again`);
			}
		}
	};
	/** A person who looks at the pool, and lets no account rest that was refused a moment ago. */
	const watch = async () => {
		let [known, since] = [0, Date.now()];
		while (!isOver) {
			await pause(700);
			if (exchanges().length > known) [known, since] = [exchanges().length, Date.now()];
			else if (Date.now() - since > STUCK_MS) await signInAgain();
			const unseen = machines.find(({ name }) => !told.has(name));
			if (unseen) await lookBy(unseen);
			await command(living(dice.pick(machines)).at(-1), dice.pick(["share", "reset quota"]));
		}
	};

	/** The machine that has renewed last: the others may have nothing to renew for a long time. */
	const machineAtWork = () => {
		const sender = exchanges().at(-1)?.sender;
		return machines.find(({ name }) => sender?.startsWith(`${name}-`)) ?? dice.pick(machines);
	};
	/**
	 * Resolves to the machine that something has happened to at a statement. It waits for the machine that renews: where
	 * another one has taken over, for that one.
	 */
	const hit = async (
		arm: (machine: Machine, text: string, act: () => void) => void,
		text: string,
		act: (machine: Machine) => void,
	): Promise<Machine> => {
		let struck: Machine | undefined;
		for (;;) {
			const machine = machineAtWork();
			arm(machine, text, () => {
				struck = machine;
				act(machine);
			});
			const armedAt = Date.now();
			await until(() => struck !== undefined || Date.now() - armedAt > STUCK_MS);
			if (struck) return struck;
			arm(machine, NO_STATEMENT, () => undefined);
		}
	};
	/** The power of a machine goes out at the very statement that stores what came for a token. */
	const fall = async () => {
		const machine = await hit(pool.holdBack, STORING, (fallen) => {
			for (const seat of living(fallen)) seat.kill();
		});
		const stored = await storedTokens();
		for (const token of await pool.journalOf(machine)) if (!stored.has(token)) saved.add(token);
		counts.falls += 1;
	};
	/** A process dies with the answer to its exchange: that is in the journal, or in no place. */
	const die = async () => {
		const before = new Set(exchanges());
		const { sender } = await codex.waitFor(
			(request) => request.issuedRefresh !== undefined && request.endedAt !== undefined && !before.has(request),
			10 * 60_000,
		);
		await pause(dice.between(0, 4));
		const seat = seats.find(({ name }) => name === sender);
		seat?.kill();
		if (seat?.killedAt !== undefined) counts.deaths += 1;
	};
	const crash = async () => {
		await pool.crash(dice.between(0, 800));
		counts.crashes += 1;
	};
	const cut = async () => {
		const enough = counts.cuts + CUTS;
		while (counts.cuts < enough) {
			counts.cuts += await pool.cut(dice.pick(machines), dice.chance(0.3) ? dice.between(100, 600) : 0);
			await pause(dice.between(50, 300));
		}
	};
	const loseAnswer = async (text: string) => {
		await hit(pool.loseAnswerOf, text, () => undefined);
		counts.lostAnswers += 1;
	};
	const play: Readonly<Record<Mishap, () => Promise<void>>> = {
		fall,
		death: die,
		crash,
		cuts: cut,
		"lost claim": () => loseAnswer(CLAIMING),
		"lost store": () => loseAnswer(STORING),
	};

	const storedTokens = async () => {
		for (;;) {
			const rows = await pool.look().catch(() => undefined);
			if (rows) return new Set([...rows.values()].map(({ refresh }) => refresh));
			await pause(STEP_MS);
		}
	};
	const journals = async () => (await Promise.all(machines.map(pool.journalOf))).flat();
	/** Has each machine look once more, as it does once a minute, until no journal is left. */
	const settle = async () => {
		await until(async () => {
			for (const machine of machines) await lookBy(machine);
			return (await journals()).length === 0;
		}).catch(ignoreSentTwice);
		for (const seat of seats.filter(({ killedAt }) => killedAt === undefined)) {
			if (!(await seat.leave())) wrong.push(`${seat.name} did not end by itself`);
		}
	};
	/** A later sign-in is in the row. */
	const wasReplaced = (token: string) => {
		const { account, at = 0 } = exchanges().find(({ issuedRefresh }) => issuedRefresh === token) ?? {};
		return signIns.some((each) => each.account === account && each.at > at);
	};
	const violations = async (): Promise<string[]> => {
		const stored = await storedTokens();
		const evidence = judged(stored);
		const sent = new Set(evidence.tokens.map(({ body }) => String(body?.refresh_token)));
		const lines = (kind: string, each: readonly string[]) => each.map((line) => `${kind}: ${line}`);
		return [
			...lines("sent twice", sentTwice(evidence)),
			...lines("lost by the living", lostByTheLiving(evidence)),
			...lines("journal not replayed", await journals()),
			...lines(
				"lost with a journal",
				[...saved].filter((token) => !stored.has(token) && !sent.has(token) && !wasReplaced(token)),
			),
			...lines("does not parse", machines.flatMap(brokenFiles)),
			...lines("does not open", pool.brokenRows()),
			...lines("in clear", machines.flatMap(tokensInClear)),
			...lines("in clear", pool.readable([SECRET_MARK, "@example.test"])),
			...lines(
				"in clear",
				seats.filter((seat) => seat.output().includes(SECRET_MARK)).map(({ name }) => `output of ${name}`),
			),
			...lines("wrong", wrong),
		];
	};

	return {
		run: async (): Promise<MishapReport> => {
			await pool.found(codex, NAMES);
			for (const { name, clockMs } of MACHINES) {
				const machine = aMachine(name, clockMs, {
					baseUrl: codex.baseUrl,
					settings: { "pi-multicodex": { rotation: { policy: "round-robin", maxWait: "0s" } } },
				});
				machines.push(machine);
				await pool.join(machine);
			}
			const tell = async () => {
				await until(() => machines.every((machine) => told.has(machine.name)));
				say("all machines have looked at the pool");
				await more(BETWEEN);
				for (const mishap of dice.shuffled(MISHAPS)) {
					say(`${exchanges().length} exchanges, then: ${mishap}`);
					await play[mishap]();
					await more(BETWEEN);
				}
				await until(() => machines.every(({ name }) => told.has(name)));
				say("the mishaps are over");
			};
			const story = () =>
				tell()
					.catch(ignoreSentTwice)
					.finally(() => {
						isOver = true;
					});
			const exchangesBy = (name: string) => exchanges().filter(({ sender }) => sender?.startsWith(`${name}-`)).length;
			const places = MACHINES.flatMap(({ name, seats: count }) => {
				const machine = machines.find((each) => each.name === name);
				return machine ? Array.from({ length: count }, () => hold(machine)) : [];
			});
			await Promise.all([...places, watch(), story()]);
			await settle();
			return {
				seed,
				ms: Date.now() - beganAt,
				turns: counts.turns,
				processes: seats.length,
				exchanges: Object.fromEntries(machines.map(({ name }) => [name, exchangesBy(name)])),
				clocks: Object.fromEntries([...told].map(([name, text]) => [name, clockIn(text)])),
				fallsBeforeStore: saved.size,
				deaths: counts.deaths,
				crashes: counts.crashes,
				cutConnections: counts.cuts,
				lostAnswers: counts.lostAnswers,
				violations: await violations(),
			};
		},
		end: () => {
			isOver = true;
			for (const seat of seats) seat.kill();
			for (const { dir } of machines) dir.remove();
		},
	};
}

/** Ends a run before its time. The verdict says which token it was. */
class SentTwice extends Error {}

function ignoreSentTwice(error: unknown): void {
	if (!(error instanceof SentTwice)) throw error;
}

/** How far `share` says that the clock of its machine is off, minutes. */
function clockIn(text: string): number {
	const found = /its clock is (?<minutes>\d+)m (?<side>ahead of|behind)/.exec(text.replaceAll(/\s+/g, " "))?.groups;
	return (found?.side === "behind" ? -1 : 1) * Number(found?.minutes ?? 0);
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}
