import { z } from "zod";
import { fingerprint } from "../../../src/platform/backend/jwt.ts";
import {
	type FakeCodex,
	type RecordedRequest,
	SECRET_MARK,
	startFakeCodex,
	tokenAnswers,
} from "../../support/fake-codex/index.ts";
import { NEWEST_HOST, prepareHost } from "../../support/hosts.ts";
import { runPi } from "../../support/pi.ts";
import { diceOf } from "../chaos/dice.ts";
import { aMachine, brokenFiles, type Machine, tokensInClear } from "./machine.ts";
import { createFleetPool, type FleetPool, type StoredAccount } from "./pool.ts";
import { type Seat, startSeat } from "./seat.ts";
import { type Evidence, lostByTheLiving, savedFromTheDead, sentTwice } from "./verdict.ts";

/** How large a fleet, and how long it is under fire. */
export interface FleetSize {
	/** Of everything that is left to chance. */
	readonly seed: number;
	/** At least three. The last one is lost in the middle of an exchange, and a new one takes its place. */
	readonly machines: number;
	readonly seats: number;
	/** So many processes of each machine are real pis, the others the extension over the stream function of one. */
	readonly pis: number;
	readonly accounts: number;
	/** The fire ends with so many exchanges, or after this time. */
	readonly exchanges: number;
	readonly longestMs: number;
	/** How long a process lives on average that is killed, ms: a start takes longer than many exchanges. */
	readonly lifeMs: number;
	/** A crash of the database about this often, ms. */
	readonly crashEveryMs: number;
	/** Name of a guard that is taken out of every worker: see `breaks.json`. */
	readonly broken?: string | undefined;
	/** Ends as soon as a promise was broken. */
	readonly untilFirst?: boolean;
	readonly onProgress?: (line: string) => void;
}

/** What is left of an account when the fire is over. */
export interface Fate {
	readonly name: string;
	/** The stored refresh token is good, by the backend. */
	readonly isGood: boolean;
	/** Its token is claimed by a process that fell before it could send it, which holds until its last ten minutes. */
	readonly isClaimed: boolean;
	/** A turn that was meant for it was answered by it. */
	readonly works: boolean;
	readonly needsLogin: string | undefined;
	/** As `show --json` says on a machine that is left. */
	readonly shown: string | undefined;
	/** It is not ready, or its last error is shown. */
	readonly isSaid: boolean;
}

/** What came of it. Each list names what must not be. */
export interface FleetReport {
	readonly seed: number;
	readonly ms: number;
	readonly turns: number;
	readonly exchanges: number;
	readonly exchangesByPi: number;
	readonly processes: number;
	readonly kills: number;
	/** Killed within 150 ms of an answer of the token endpoint. */
	readonly killsAfterAnswer: number;
	/** Of those, so many new tokens were stored all the same. */
	readonly saved: number;
	/** Entries that were seen in a journal of a machine. */
	readonly journaled: number;
	readonly crashes: number;
	readonly cuts: number;
	readonly lostMachines: number;
	readonly signedInAgain: number;
	readonly fates: readonly Fate[];
	readonly problems: {
		readonly sentTwice: readonly string[];
		readonly lostByTheLiving: readonly string[];
		/** Sign-ins that ended, and nothing on record says why. */
		readonly unexplained: readonly string[];
		readonly journalsLeft: readonly string[];
		readonly brokenFiles: readonly string[];
		readonly brokenRows: readonly string[];
		/** Where a token, or an e-mail, is readable. */
		readonly inClear: readonly string[];
		/** Turns that failed while an account was good all the time. */
		readonly failedTurns: readonly string[];
		/** Rows whose time of expiry is not that of the token. */
		readonly wrongTimes: readonly string[];
		/** Exceptions, processes that ended by themselves or did not end when they were asked to. */
		readonly wrong: readonly string[];
	};
}

/** Long enough that no other process may send a token whose claim has no outcome. */
const LONG_LIVED_MS = 45 * 60_000;
/** Hardly longer than a token is used at all: it truly runs out all the time. */
const SHORT_LIVED_MS = 7000;
/** Half of the machines are ten minutes off, one each way. */
const CLOCKS_MS = [0, 600_000, -600_000, 240_000];
/** A kill this long after the answer meets the journal, the store, or what is behind it. */
const DELAYS_AFTER_ANSWER_MS = [0, 0, 1, 2, 4, 8, 15, 30, 60, 120];
const SOON_AFTER_MS = 150;
/** From the end of an exchange to its row, however busy the machine is, the database just started again. */
const STORING_MS = 15_000;
/** A machine that is back has looked at its journal by then: it looks once a minute. */
const REPLAY_MS = 75_000;
const LOOK_MS = 250;
/** How long an account rests whose token was refused and could not be renewed at once. */
const RESTING_MS = 62_000;

const shownSchema = z.object({
	accounts: z.array(z.object({ label: z.string(), state: z.string(), lastError: z.unknown() })),
});
type Shown = Omit<z.output<typeof shownSchema>["accounts"][number], "label">;

/** What the database held at one moment. */
interface Look {
	readonly at: number;
	readonly accounts: ReadonlyMap<string, StoredAccount>;
}

/** Runs it. Everything that was started has ended when it resolves or rejects. */
export async function runFleet(size: FleetSize): Promise<FleetReport> {
	const names = Array.from({ length: size.accounts }, (_, index) => `a${index + 1}`);
	const lifeOf = (name: string) => (names.indexOf(name) % 2 === 0 ? LONG_LIVED_MS : SHORT_LIVED_MS);
	const codex = await startFakeCodex({
		accounts: names.map((name) => ({ name, tokenLifetimeMs: lifeOf(name) })),
	});
	// The way back from the issuer takes a moment, as it does in the world.
	codex.token(tokenAnswers.delay(25, { rotate: "before" }));
	const cleanUp: (() => Promise<void> | void)[] = [() => codex.close()];
	try {
		const pool = await createFleetPool();
		cleanUp.unshift(() => pool.end());
		const fire = createFire(size, codex, pool, names, lifeOf);
		cleanUp.unshift(() => fire.putOut());
		return await fire.burn();
	} finally {
		for (const each of cleanUp) await each();
	}
}

function createFire(
	size: FleetSize,
	codex: FakeCodex,
	pool: FleetPool,
	names: readonly string[],
	lifeOf: (name: string) => number,
) {
	const dice = diceOf(size.seed, "fleet");
	const beganAt = Date.now();
	const machines: Machine[] = [];
	const lost = new Set<Machine>();
	const downUntil = new Map<string, number>();
	const seats: Seat[] = [];
	/** So many answers of the token endpoint are let through before a process is killed right after one. */
	const answersLeft = new Map<string, number>();
	const looks: Look[] = [];
	const outages: { readonly machine: string | undefined; readonly from: number; to: number }[] = [];
	const signIns: { readonly account: string; readonly at: number }[] = [];
	const aged = new Set<string>();
	const accessEnds = new Map<string, number>();
	const wrong: string[] = [];
	const failedTurns: string[] = [];
	const broken: string[] = [];
	const journaled = new Set<string>();
	const counts = { turns: 0, kills: 0, crashes: 0, cuts: 0, started: 0 };
	let isOver = false;
	let isDoomed = false;
	const say = (line: string) =>
		size.onProgress?.(`${String(Math.round((Date.now() - beganAt) / 1000)).padStart(4)} s  ${line}`);
	const exchanges = () => codex.tokenRequests().filter(({ issuedRefresh }) => issuedRefresh !== undefined);
	const goesOn = () =>
		!isOver &&
		Date.now() - beganAt < size.longestMs &&
		exchanges().length < size.exchanges &&
		!(size.untilFirst && (sentTwice(evidence()).length > 0 || wrong.length > 0));

	const kill = (seat: Seat) => {
		if (seat.killedAt !== undefined) return;
		seat.kill();
		if (seat.killedAt !== undefined) counts.kills += 1;
	};

	const storedTokens = () => new Set([...(looks.at(-1)?.accounts.values() ?? [])].map(({ refresh }) => refresh));
	const evidence = (): Evidence => ({
		tokens: codex.tokenRequests(),
		senders: seats,
		stored: storedTokens(),
		signIns,
		aged,
		accessEndOf: (refresh) => accessEnds.get(refresh),
	});

	/** A machine with its processes: a process that falls is replaced, unless the whole machine is gone. */
	const addMachine = async (): Promise<void> => {
		const name = "abcdefgh"[machines.length] ?? "z";
		const clockMs = CLOCKS_MS[machines.length % CLOCKS_MS.length] ?? 0;
		const machine = aMachine(name, clockMs, {
			baseUrl: codex.baseUrl,
			settings: { "pi-multicodex": { rotation: { policy: "round-robin", maxWait: "20s" } } },
		});
		machines.push(machine);
		await pool.join(machine);
	};

	const start = async (machine: Machine, post: number): Promise<Seat> => {
		counts.started += 1;
		const name = `${machine.name}${post}-${counts.started}`;
		const seat = await startSeat({
			name,
			machine,
			kind: post < size.pis ? "pi" : "worker",
			issuer: codex.issuerFor(name),
			baseUrl: codex.baseUrl,
			broken: size.broken,
			breaks: new URL("breaks.json", import.meta.url),
			onWrong: (what) => wrong.push(what),
		});
		seats.push(seat);
		return seat;
	};

	const hold = async (machine: Machine, post: number) => {
		while (goesOn() && !lost.has(machine)) {
			await pause((downUntil.get(machine.name) ?? 0) - Date.now());
			const own = diceOf(size.seed, machine.name, post, counts.started);
			const seat = await start(machine, post);
			if (lost.has(machine)) return kill(seat);
			const isMortal = post !== size.seats - 1;
			let timer: NodeJS.Timeout | undefined;
			if (isMortal) {
				if (own.chance(0.5)) answersLeft.set(seat.name, own.between(0, Math.ceil(size.lifeMs / 2000)));
				timer = setTimeout(() => kill(seat), 2 * own.roll() * size.lifeMs);
			}
			try {
				for (let turn = 0; goesOn() && seat.killedAt === undefined; turn += 1) {
					if (!isMortal && own.chance(0.01)) break;
					const startedAt = Date.now();
					const mark = `${seat.name}-${turn}`;
					const { isAnswered, words } = await seat.ask(mark, own.chance(0.2));
					if (isAnswered) counts.turns += 1;
					else if (hadGoodAccount(machine, startedAt, Date.now()))
						failedTurns.push(`${seat.name} (${machine.clockMs} ms off): ${words}`);
					await pause(own.between(10, 120));
				}
				clearTimeout(timer);
				if (seat.killedAt === undefined && !(await seat.leave())) wrong.push(`${seat.name} did not end by itself`);
			} catch (error) {
				if (seat.killedAt === undefined) wrong.push(`${seat.name}: ${String(error)}`);
			} finally {
				clearTimeout(timer);
			}
		}
	};

	/**
	 * Whether a long-lived account was good through all of a turn, in the row and at the backend, and the machine could
	 * have heard of it.
	 */
	const hadGoodAccount = (machine: Machine, from: number, to: number): boolean => {
		const isAway = outages.some((out) => {
			return (out.machine ?? machine.name) === machine.name && out.from < to && out.to > from - 5000;
		});
		if (isAway) return false;
		const during = looks.filter(({ at }) => at >= from - 3000 && at <= to + LOOK_MS);
		if (during.length < 4) return false;
		return names.some((name) => {
			if (lifeOf(name) !== LONG_LIVED_MS) return false;
			const [first, ...others] = during.map(({ accounts }) => accounts.get(name));
			if (!first?.isUsable || codex.accessState(first.access) !== "valid") return false;
			// Refused a moment ago, it rests for a minute.
			const isRefused = ({ account, status, at }: RecordedRequest) =>
				account === name && status === 401 && at > from - RESTING_MS && at <= to;
			if (codex.requests.some(isRefused)) return false;
			return others.every((each) => each?.access === first.access && each.isUsable);
		});
	};

	/** Kills right after an answer those who are meant to fall there. */
	const watchAnswers = async () => {
		const seen = new Set<RecordedRequest>();
		const isNew = (request: RecordedRequest) =>
			request.issuedRefresh !== undefined && request.endedAt !== undefined && !seen.has(request);
		while (!isOver) {
			const request = await codex.waitFor(isNew, 2 * size.longestMs).catch(() => undefined);
			if (request === undefined) return;
			seen.add(request);
			if (request.issuedRefresh !== undefined)
				accessEnds.set(request.issuedRefresh, request.at + lifeOf(request.account ?? ""));
			const seat = seats.find(({ name }) => name === request.sender);
			if (!seat || isOver) continue;
			const left = answersLeft.get(seat.name);
			const machine = machines.find(({ name }) => name === seat.machine);
			if (machine && isDoomed && machine === machines[size.machines - 1] && !lost.has(machine)) {
				lost.add(machine);
				say(`machine ${machine.name} is lost, in the middle of an exchange`);
				for (const each of seats.filter((one) => one.machine === machine.name)) kill(each);
				continue;
			}
			if (left === undefined) continue;
			answersLeft.set(seat.name, left - 1);
			if (left > 0) continue;
			const fall = () => {
				kill(seat);
				if (!machine || !dice.chance(0.3)) return;
				// The power goes out: all of its processes at once, and it is off for a while.
				downUntil.set(machine.name, Date.now() + dice.between(1000, 8000));
				for (const each of seats.filter((one) => one.machine === machine.name)) kill(each);
			};
			const delayMs = dice.pick(DELAYS_AFTER_ANSWER_MS);
			if (delayMs === 0) fall();
			else setTimeout(fall, delayMs);
		}
	};

	/** Tokens run out before their time, so that those that live long are exchanged, too. */
	const expire = async () => {
		const longLived = names.filter((name) => lifeOf(name) === LONG_LIVED_MS);
		while (goesOn()) {
			await pause(dice.between(300, 1500));
			codex.account(dice.pick(longLived)).expireAccessTokens();
		}
	};

	/** A person who lets no account rest for long: what was refused for a moment serves again, on all machines. */
	const reset = async () => {
		while (goesOn()) {
			await pause(dice.between(1000, 3000));
			const seat = seats.findLast(({ killedAt }) => killedAt === undefined);
			await seat?.command("reset quota").catch(() => undefined);
		}
	};

	const crash = async () => {
		while (goesOn()) {
			await pause(size.crashEveryMs * (0.5 + dice.roll()));
			if (!goesOn()) return;
			const outage = { machine: undefined, from: Date.now(), to: Number.POSITIVE_INFINITY };
			outages.push(outage);
			await pool.crash(dice.between(0, 1500));
			outage.to = Date.now();
			counts.crashes += 1;
			say(`the database crashed, and is back after ${outage.to - outage.from} ms`);
		}
	};

	const cut = async () => {
		while (goesOn()) {
			await pause(dice.between(500, 4000));
			const machine = dice.pick(machines);
			const outage = { machine: machine.name, from: Date.now(), to: Number.POSITIVE_INFINITY };
			outages.push(outage);
			// Mostly a connection that breaks, now and then a network that is down.
			await pool.cut(machine, dice.chance(0.15) ? dice.between(500, 4000) : 0);
			outage.to = Date.now();
			counts.cuts += 1;
		}
	};

	/** The worst moments to be cut off: a statement was done, and its answer does not arrive. */
	const loseAnswers = async () => {
		while (goesOn()) {
			await pause(dice.between(3000, 9000));
			pool.loseAnswerOf(dice.pick(machines), dice.pick(["pi_multicodex.claim as c", "for_keepers ="]));
		}
	};

	const lookOnce = async () => {
		const accounts = await pool.look().catch(() => undefined);
		if (accounts) looks.push({ at: Date.now(), accounts });
		for (const token of (await Promise.all(machines.map(pool.journalOf))).flat()) journaled.add(token);
	};
	const look = async () => {
		while (!isOver) {
			await lookOnce();
			await pause(LOOK_MS);
		}
	};

	/** Since when the stored refresh token of an account is spent, as the backend knows. */
	const spentSince = (name: string): number | undefined => {
		const refresh = looks.at(-1)?.accounts.get(name)?.refresh;
		const spending = codex
			.tokenRequests(name)
			.find(({ body, issuedRefresh }) => body?.refresh_token === refresh && issuedRefresh !== undefined);
		return spending?.at;
	};
	const living = () => machines.filter((machine) => !lost.has(machine));
	const isInJournal = async (name: string) => {
		const next = codex.tokenRequests(name).findLast(({ issuedRefresh }) => issuedRefresh !== undefined)?.issuedRefresh;
		const kept = (await Promise.all(living().map(pool.journalOf))).flat();
		return next !== undefined && kept.includes(next);
	};

	/** A person signs in again where a login is lost. Half of the time another process finds that out first. */
	const signInAgain = async () => {
		const given = new Set<string>();
		while (goesOn()) {
			await pause(LOOK_MS);
			for (const name of names) {
				const account = looks.at(-1)?.accounts.get(name);
				if (!account) continue;
				const since = spentSince(name);
				const spentMs = since === undefined ? 0 : Date.now() - since;
				const isLost = spentMs > STORING_MS && !(await isInJournal(name));
				const hash = fingerprint(account.refresh);
				if (isLost && !account.needsLogin && lifeOf(name) === SHORT_LIVED_MS && !given.has(hash)) {
					given.add(hash);
					if (dice.chance(0.5) && (await pool.ageClaim(hash))) {
						aged.add(account.refresh);
						continue;
					}
				}
				if (aged.has(account.refresh) && !account.needsLogin && spentMs < STORING_MS * 3) continue;
				if (spentMs > STORING_MS + REPLAY_MS) wrong.push(`${name}: a journal was not replayed for ${spentMs} ms`);
				else if (!account.needsLogin && !isLost) continue;
				if (await signIn(name, account)) say(`a person signs in ${name} again`);
			}
		}
	};
	const signIn = async (name: string, account: StoredAccount): Promise<boolean> => {
		const grant = codex.grant(name);
		accessEnds.set(grant.refresh, grant.expires);
		const isStored = await pool.signIn(account, grant).catch(() => false);
		if (isStored) signIns.push({ account: name, at: Date.now() });
		if (isStored) checkLoss(name, account);
		return isStored;
	};

	/** A login may be lost with a process that was killed before it could keep what it had got, and by nothing else. */
	const unexplained: string[] = [];
	const checkLoss = (name: string, account: StoredAccount) => {
		const spending = codex
			.tokenRequests(name)
			.filter(({ body, issuedRefresh }) => body?.refresh_token === account.refresh && issuedRefresh !== undefined);
		const isExplained = spending.some(({ sender, endedAt = Date.now(), issuedRefresh = "" }) => {
			const seat = seats.find((each) => each.name === sender);
			const machine = machines.find((each) => each.name === seat?.machine);
			if (!seat || !machine) return false;
			const isOfLost = lost.has(machine);
			const wasKilled = (seat.killedAt ?? Number.POSITIVE_INFINITY) - endedAt < 1000;
			return wasKilled && (isOfLost || !journaled.has(issuedRefresh));
		});
		if (!isExplained)
			unexplained.push(`${name}: ${account.needsLogin ?? "not flagged"}, spent ${spending.length} times`);
	};

	const replaceLostMachine = async () => {
		while (goesOn() && exchanges().length < size.exchanges * 0.6) await pause(200);
		isDoomed = true;
		const doomed = machines[size.machines - 1];
		while (goesOn() && doomed && !lost.has(doomed)) await pause(50);
		if (!goesOn()) return;
		await addMachine();
		const machine = machines.at(-1);
		if (machine) await Promise.all(posts(machine));
	};
	const posts = (machine: Machine) => Array.from({ length: size.seats }, (_, post) => hold(machine, post));

	const tellProgress = async () => {
		let told = 0;
		while (goesOn()) {
			await pause(500);
			if (exchanges().length < told + 100) continue;
			told = exchanges().length;
			say(`${told} exchanges, ${counts.turns} turns, ${counts.kills} killed`);
		}
	};

	/** The fire is out: every machine that is left is started once more, and every account is asked. */
	const takeStock = async (): Promise<Fate[]> => {
		isOver = true;
		const back = living();
		const last = await Promise.all(back.map((machine) => start(machine, size.seats - 1)));
		for (const seat of last) await seat.ask(`${seat.name}-last`).catch(() => undefined);
		const deadline = Date.now() + REPLAY_MS;
		while (Date.now() < deadline && (await Promise.all(back.map(pool.journalOf))).flat().length > 0) await pause(500);
		// What is under way has ended by then.
		for (const settledAt = Date.now() + STORING_MS; Date.now() < settledAt; await pause(LOOK_MS)) {
			await lookOnce();
			if (names.every((name) => spentSince(name) === undefined)) break;
		}
		for (const name of names) {
			const isSpent = () => {
				const refresh = looks.at(-1)?.accounts.get(name)?.refresh;
				return refresh !== undefined && codex.refreshState(refresh) !== "valid";
			};
			// The processes that were just started renew as ever: what came may not be stored yet.
			for (const storedBy = Date.now() + STORING_MS; isSpent() && Date.now() < storedBy; await pause(LOOK_MS)) {
				await lookOnce();
			}
			const account = looks.at(-1)?.accounts.get(name);
			if (account && isSpent()) checkLoss(name, account);
		}
		const [seat] = last;
		const [machine] = back;
		if (!seat || !machine) throw new Error("no machine is left");
		await seat.command("reset quota");
		const answered = new Map<string, boolean>();
		for (const name of names) {
			if (looks.at(-1)?.accounts.get(name)?.needsLogin) continue;
			await seat.command(`use ${name}`);
			// A turn that has somewhere else to go waits for no renewal, and an account may rest since its token was refused.
			const askedUntil = Date.now() + RESTING_MS + STORING_MS;
			for (let tries = 0; !answered.get(name) && (tries === 0 || Date.now() < askedUntil); tries += 1) {
				if (tries > 0) await pause(500);
				const before = codex.responsesRequests(name).length;
				const { isAnswered } = await seat.ask(`${seat.name}-${name}-${tries}`);
				answered.set(name, isAnswered && codex.responsesRequests(name).length > before);
			}
		}
		await seat.command("use auto");
		await lookOnce();
		const claimed = await pool.openClaims();
		const shown = await shownStates(machine);
		for (const each of last) if (!(await each.leave())) wrong.push(`${each.name} did not end by itself`);
		await lookOnce();
		return names.map((name) => {
			const account = looks.at(-1)?.accounts.get(name);
			return {
				name,
				isGood: account !== undefined && codex.refreshState(account.refresh) === "valid",
				isClaimed: account !== undefined && claimed.has(fingerprint(account.refresh)),
				works: answered.get(name) ?? false,
				needsLogin: account?.needsLogin,
				shown: shown[name]?.state,
				isSaid: shown[name]?.state !== "ready" || shown[name]?.lastError !== null,
			};
		});
	};

	const shownStates = async (machine: Machine): Promise<Readonly<Record<string, Shown>>> => {
		const host = await prepareHost(NEWEST_HOST);
		const { stdout } = await runPi(host, machine.dir, ["-p", "/multicodex show --json"], {
			env: { ...machine.env, PI_MULTICODEX_AUTH_URL: codex.issuerFor("show") },
		});
		const { accounts } = shownSchema.parse(JSON.parse(stdout));
		return Object.fromEntries(accounts.map(({ label, ...shown }) => [label, shown]));
	};

	/** A row says when its access token ends by the clock of the database, which is the right one here. */
	const wrongTimes = () =>
		[...(looks.at(-1)?.accounts ?? [])].flatMap(([name, { refresh, expiresAt }]) => {
			const end = accessEnds.get(refresh);
			const offMs = end === undefined ? 0 : expiresAt - end;
			return Math.abs(offMs) > 5000 ? [`${name}: ${offMs} ms off`] : [];
		});

	const inClear = () => [
		...machines.flatMap(tokensInClear),
		...seats.filter((seat) => seat.output().includes(SECRET_MARK)).map(({ name }) => `output of ${name}`),
		...pool.readable([SECRET_MARK, "@example.test"]),
	];

	return {
		putOut: async () => {
			isOver = true;
			for (const seat of seats) seat.kill();
			for (const { dir } of machines) dir.remove();
		},
		burn: async (): Promise<FleetReport> => {
			await pool.found(codex, names);
			for (let index = 0; index < size.machines; index += 1) await addMachine();
			await lookOnce();
			for (const { refresh, expiresAt } of looks.at(-1)?.accounts.values() ?? []) accessEnds.set(refresh, expiresAt);
			say(`${size.machines} machines have joined`);
			void watchAnswers();
			const looking = look();
			await Promise.all([
				...machines.flatMap(posts),
				replaceLostMachine(),
				signInAgain(),
				expire(),
				reset(),
				crash(),
				cut(),
				loseAnswers(),
				tellProgress(),
			]);
			const ms = Date.now() - beganAt;
			say("the fire is out");
			const fates = await takeStock();
			await looking;
			for (const machine of machines) broken.push(...brokenFiles(machine));
			const all = exchanges();
			const journalsLeft = await Promise.all(living().map(pool.journalOf));
			const piNames = new Set(seats.filter(({ kind }) => kind === "pi").map(({ name }) => name));
			const dead = seats.filter(({ killedAt }) => killedAt !== undefined);
			const isSoonAfter = ({ sender, endedAt = 0 }: RecordedRequest) => {
				const { killedAt = 0 } = dead.find(({ name }) => name === sender) ?? {};
				return killedAt >= endedAt && killedAt - endedAt < SOON_AFTER_MS;
			};
			return {
				seed: size.seed,
				ms,
				turns: counts.turns,
				exchanges: all.length,
				exchangesByPi: all.filter(({ sender }) => piNames.has(sender ?? "")).length,
				processes: counts.started,
				kills: counts.kills,
				killsAfterAnswer: all.filter(isSoonAfter).length,
				saved: savedFromTheDead(evidence(), SOON_AFTER_MS).length,
				journaled: journaled.size,
				crashes: counts.crashes,
				cuts: counts.cuts,
				lostMachines: lost.size,
				signedInAgain: signIns.length,
				fates,
				problems: {
					sentTwice: sentTwice(evidence()),
					lostByTheLiving: lostByTheLiving(evidence()),
					unexplained,
					journalsLeft: journalsLeft.flatMap((tokens, at) => tokens.map(() => living()[at]?.name ?? "")),
					brokenFiles: broken,
					brokenRows: pool.brokenRows(),
					inClear: inClear(),
					failedTurns,
					wrongTimes: wrongTimes(),
					wrong,
				},
			};
		},
	};
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, Math.max(0, ms)));
}
