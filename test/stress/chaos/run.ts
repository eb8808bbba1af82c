import { existsSync, rmSync, writeFileSync } from "node:fs";
import { prepareHost } from "../../support/hosts.ts";
import { type Dice, diceOf } from "./dice.ts";
import { keepJournal } from "./journal.ts";
import { createMemory, isBeingRenewed, isLossExplained, judgeTokens, judgeTurn } from "./judge.ts";
import type { Measure, TurnReport } from "./orders.ts";
import { KilledWorker, startWorker, type WorkerProcess } from "./worker-process.ts";
import { createWorld, LINKED, leftIn, NAMES } from "./world.ts";

/** What is wrong with the world for a while, besides the answers. */
export const WEATHERS = ["calm", "commands", "kills", "stops", "clocks", "disk", "storm"] as const;
export type Weather = (typeof WEATHERS)[number];

/** How long, and how. */
export interface ChaosOptions {
	/** Of everything that is left to chance. */
	readonly seed: number;
	readonly ms: number;
	readonly processes?: number;
	/** How long one weather lasts; default 7 s. */
	readonly phaseMs?: number;
	/** Sessions at once in each process. */
	readonly seats?: number;
	/** Name of a guard in `breaks.json` that is taken out. */
	readonly broken?: string | undefined;
	/** Only these, in this order. */
	readonly weathers?: readonly Weather[];
	/** Ends with the first violation. */
	readonly untilFirst?: boolean;
	readonly onProgress?: (line: string) => void;
}

/** A promise that was broken, and how it came. */
export interface Violation {
	readonly what: string;
	readonly trace: readonly string[];
}

/** What came of it. */
export interface ChaosReport {
	/** What it was run with, and took. */
	readonly options: ChaosOptions;
	readonly seed: number;
	readonly ms: number;
	readonly turns: number;
	readonly byReason: Readonly<Record<string, number>>;
	readonly requests: number;
	readonly faults: number;
	readonly exchanges: number;
	readonly usageCalls: number;
	readonly kills: number;
	readonly stops: number;
	readonly jumps: number;
	readonly diskTroubles: number;
	readonly commands: number;
	readonly signIns: number;
	readonly measures: readonly (Measure & { readonly name: string })[];
	/** Words of turns that ended in an error, the most frequent first. */
	readonly errors: readonly string[];
	readonly violations: readonly Violation[];
}

/** A place in the line: its process may be replaced, the place stays. */
interface Post {
	readonly number: number;
	incarnation: number;
	worker: WorkerProcess | undefined;
	ready: Promise<void>;
	/** From when on its process has been at work. */
	upSince: number;
	readonly trouble: string;
	readonly sessions: Map<number, number>;
	/** From when to when it stood still. */
	readonly stops: { readonly from: number; to: number }[];
}

/** Processes are killed. */
const STORMY: ReadonlySet<Weather> = new Set(["kills", "storm"]);

/** What a process that was killed, or stood still, has kept others from for so long is over. */
const STALE_MS = 12_000;
/** Who is killed has been at work for so long. */
const UP_MS = 1000;
const PHASE_MS = 7000;
/** These locks are held over a read and a write: some dozen steps, each of which is as late as the driver itself. */
const LONGEST_HOLD_MS = 8000;
const HOLD_PER_LATENESS = 12;
const TICK_MS = 25;
const TICKS_A_SECOND = 40;
/** With so many accounts at rest a person resets them, and not again before it has shown. */
const MOST_RESTING = 4;
const RESET_MS = 6000;
const DRAIN_MS = 90_000;
const LEAVE_MS = 60_000;
/** Longer than every wait for a lock and an endpoint in a command. */
const LONGEST_COMMAND_MS = 45_000;
/** An exchange is given up after 30 s, and what came is then stored. */
const LONGEST_EXCHANGE_MS = 45_000;
const MOST_VIOLATIONS = 20;
const MINUTE_MS = 60_000;
/** A heap that is larger than after the first turns by more than this has grown. */
const HEAP_GROWTH_BYTES = 16_000_000;
const WARM_TURNS = 60;
const TURNS_TO_GROW = 100;

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Runs a chaos to its end. Rejects only where the driver itself is at fault. */
export async function runChaos(options: ChaosOptions): Promise<ChaosReport> {
	const { seed, ms, processes = 3, seats = 2, phaseMs = PHASE_MS, onProgress = () => undefined } = options;
	const [older, host] = await Promise.all([prepareHost("0.73.1"), prepareHost("0.87.1")]);
	const world = await createWorld();
	const { codex, dir } = world;
	const violations: Violation[] = [];
	const counts = { kills: 0, stops: 0, jumps: 0, diskTroubles: 0, commands: 0, signIns: 0, turns: 0 };
	const byReason: Record<string, number> = {};
	const byWords = new Map<string, number>();
	const measures: (Measure & { name: string })[] = [];
	const workers: WorkerProcess[] = [];
	const underWay = new Map<string, WorkerProcess>();
	const killed = new Map<number, number>();
	/** Times in which clocks or disks were wrong. */
	const wrongTimes: { readonly from: number; to: number }[] = [];
	const resets: { readonly from: number; to: number }[] = [];
	const touches: { readonly name: string; readonly from: number; to: number }[] = [];
	const lastSignIn = new Map<string, number>();
	let weather: Weather = "calm";
	let isOver = false;
	let startedAt = Date.now();

	const journal = keepJournal(seed, world, (turn, afterMs) => {
		setTimeout(() => underWay.get(turn)?.tell({ do: "abort", turn }), afterMs);
	});
	const memory = createMemory();
	const deathOf = (sender: string | undefined) =>
		workers.find(({ name }) => name === sender)?.killedAt() ?? Number.POSITIVE_INFINITY;
	const isExcused = (at: number) => wrongTimes.some(({ from, to }) => at >= from && at <= to);

	const toldOfTokens = new Set<string>();
	const judgeExchanges = () => {
		const all = judgeTokens(journal.tokens, deathOf).filter(({ what }) => !toldOfTokens.has(what));
		for (const { what, from, to } of all) {
			toldOfTokens.add(what);
			violate(what, traceOf(from, to));
		}
	};
	const isEnough = () => violations.length >= MOST_VIOLATIONS || (options.untilFirst === true && violations.length > 0);
	const traceOf = (from: number, to: number, turn?: string) => {
		const sent = turn === undefined ? [] : (journal.requests.get(turn) ?? []);
		const lines = [
			...sent.map(({ at, number, account, fault, isSocket, record }) => ({
				at,
				what: `request ${number} to ${account} over ${isSocket ? "a socket" : "http"}: "${fault.name}", status ${record.status ?? "-"}${record.clientGone ? ", client gone" : ""}`,
			})),
			...journal.happened.filter(({ at }) => at >= from - 2000 && at <= to + 100),
			...journal.tokens
				.filter(({ at }) => at >= from - 2000 && at <= to + 100)
				.map(({ at, account, sender, answer, status }) => ({
					at,
					what: `exchange of ${account} by ${sender}: ${answer} ${status ?? "-"}`,
				})),
		];
		return lines
			.sort((a, b) => a.at - b.at)
			.slice(-40)
			.map(({ at, what }) => `${String(Math.round(at - from)).padStart(7)} ms ${what}`);
	};
	const violate = (what: string, trace: readonly string[]) => {
		if (violations.length >= MOST_VIOLATIONS) return;
		violations.push({ what: `${what} (${weather})`, trace });
		onProgress(`VIOLATION ${what} (${weather})\n${trace.map((line) => `    ${line}`).join("\n")}`);
	};
	const violateNow = (what: string) => violate(what, traceOf(Date.now(), Date.now()));

	const replace = async (post: Post) => {
		post.incarnation += 1;
		const name = `p${post.number}-${post.incarnation}`;
		const worker = await startWorker({
			name,
			node: host.node,
			dir,
			baseUrl: codex.baseUrl,
			issuer: codex.issuerFor(name),
			host: post.number === processes - 1 ? older : host,
			broken: options.broken,
			trouble: post.trouble,
			onWrong: violateNow,
		});
		workers.push(worker);
		post.worker = worker;
		for (let seat = 0; seat < seats; seat += 1) await sit(post, seat);
		post.upSince = Date.now();
	};
	const sit = async (post: Post, seat: number) => {
		const serial = (post.sessions.get(seat) ?? 0) + 1;
		post.sessions.set(seat, serial);
		await post.worker?.sit(seat, `session-${seed}-${post.number}-${seat}-${serial}`);
	};
	const kill = (post: Post) => {
		const { worker } = post;
		if (!worker || worker.killedAt() !== undefined) return;
		worker.kill();
		counts.kills += 1;
		killed.set(worker.pid, Date.now());
		journal.note(`${worker.name} was killed`);
		post.worker = undefined;
		post.ready = replace(post);
		post.ready.catch((error: unknown) => {
			if (!(error instanceof KilledWorker)) violateNow(`a process could not be started: ${String(error)}`);
		});
	};

	const posts: Post[] = [];
	for (let number = 0; number < processes; number += 1) {
		const trouble = `${dir.home}/trouble-${number}`;
		const post: Post = {
			number,
			incarnation: 0,
			worker: undefined,
			ready: Promise.resolve(),
			upSince: Number.POSITIVE_INFINITY,
			trouble,
			sessions: new Map(),
			stops: [],
		};
		posts.push(post);
		post.ready = replace(post);
	}
	await Promise.all(posts.map(({ ready }) => ready));
	startedAt = Date.now();

	/** Types a command; undefined where its process fell meanwhile. */
	const type = async (post: Post, seat: number, line: string, touched: readonly string[] = []) => {
		const touch = touched.map((name) => ({ name, from: Date.now(), to: Number.POSITIVE_INFINITY }));
		touches.push(...touch);
		const reset = { from: Date.now(), to: Number.POSITIVE_INFINITY };
		const isReset = line.startsWith("reset");
		if (isReset) resets.push(reset);
		counts.commands += 1;
		journal.note(`${post.worker?.name}: /multicodex ${line}`);
		try {
			const told = await Promise.race([
				post.worker?.command(seat, line),
				pause(LONGEST_COMMAND_MS).then(() => "late" as const),
			]);
			if (told === "late") {
				violateNow(`/multicodex ${line} did not end`);
				return undefined;
			}
			if (told?.some((text) => text.startsWith("error")))
				journal.note(`    ${line}: ${told.join(" / ").slice(0, 200)}`);
			return told;
		} catch (error) {
			if (!(error instanceof KilledWorker)) throw error;
			return undefined;
		} finally {
			for (const each of touch) each.to = Date.now();
			reset.to = Date.now();
			if (isReset) {
				// What others could not write yet they may write after it.
				if (isSettled(reset.from)) journal.wasReset(reset.from);
				for (const name of NAMES) codex.account(name).setQuota(undefined);
			}
		}
	};

	/** No process was killed, stood still, or had a wrong clock or disk for a while before. */
	const isSettled = (from: number) => {
		const isLongAgo = (at: number) => at < from - STALE_MS;
		const ends = [
			...killed.values(),
			...wrongTimes.map(({ to }) => to),
			...posts.flatMap(({ stops }) => stops.map(({ to }) => to)),
		];
		return ends.every(isLongAgo);
	};

	const judge = (report: TurnReport, post: Post, seat: string, isPlain: boolean) => {
		journal.harvest();
		counts.turns += 1;
		if (report.reason === "error") byWords.set(report.words, (byWords.get(report.words) ?? 0) + 1);
		byReason[report.reason] = (byReason[report.reason] ?? 0) + 1;
		const overlaps = ({ from, to }: { readonly from: number; readonly to: number }) =>
			from <= report.endedAt && to >= report.startedAt;
		const problems = judgeTurn(
			{
				report,
				seat,
				touched: (name) =>
					touches.some(
						(touch) =>
							(touch.name === name || touch.name === "all") &&
							touch.from <= report.endedAt &&
							touch.to >= report.startedAt - 1000,
					),
				wasReset: (from, to) => resets.some((reset) => reset.from <= to && reset.to >= from),
				isPlain: isPlain && !wrongTimes.some(overlaps),
				isSettled,
				stoppedMs: post.stops.filter(overlaps).reduce((sum, { from, to }) => sum + Math.min(to, Date.now()) - from, 0),
			},
			journal,
			world,
			memory,
		);
		journal.turnEnded(report);
		for (const problem of problems)
			violate(`turn ${report.turn}: ${problem}`, [
				...traceOf(report.startedAt, report.endedAt, report.turn),
				`${String(Math.round(report.endedAt - report.startedAt)).padStart(7)} ms ${report.reason} "${report.words}", shown ${report.shown.join(", ") || "nothing"}`,
			]);
	};

	/** A session sends turn after turn. */
	const serve = async (post: Post, seat: number, phase: number, untilAt: number) => {
		const dice = diceOf(seed, "seat", post.number, seat, phase);
		for (let turn = 0; Date.now() < untilAt && !isEnough(); turn += 1) {
			// One that falls before it has begun is replaced like any other.
			await post.ready.catch(() => pause(50));
			const { worker } = post;
			if (!worker) continue;
			const id = `${phase}-${post.number}-${seat}-${turn}`;
			const isPlain = weather !== "clocks" && weather !== "disk" && weather !== "storm";
			const who = `${worker.name}/${seat}/${post.sessions.get(seat)}`;
			const ask = async (turnId: string, isAside: boolean) => {
				underWay.set(turnId, worker);
				try {
					const transport = dice.pick(["sse", "sse", "websocket", "websocket", "auto"] as const);
					const abortAfterMs = dice.chance(0.08) ? dice.between(0, 300) : undefined;
					const report = await worker.turn({ do: "turn", seat, turn: turnId, transport, abortAfterMs, isAside });
					judge(report, post, who, isPlain);
					// Nothing was asked: workers rests, or we are switched off. It does not get better at once.
					if (!journal.requests.has(turnId)) await pause(dice.between(50, 250));
				} finally {
					journal.turnFell(turnId);
					underWay.delete(turnId);
				}
			};
			const [hasAside, isNewSession, pauseMs] = [
				dice.chance(0.06),
				dice.chance(0.04),
				dice.chance(0.2) ? dice.between(0, 150) : 0,
			];
			try {
				await Promise.all([ask(id, false), ...(hasAside ? [ask(`${id}-aside`, true)] : [])]);
				if (isNewSession) await sit(post, seat);
			} catch (error) {
				if (!(error instanceof KilledWorker)) throw error;
			}
			await pause(pauseMs);
		}
	};

	/** What goes wrong besides the answers, until the phase is over. */
	const trouble = async (phase: number, untilAt: number) => {
		const dice = diceOf(seed, "trouble", phase);
		const now: Weather = weather;
		const isOn = (kind: Weather) => now === kind || now === "storm";
		const running: Promise<unknown>[] = [];
		while (Date.now() < untilAt && !isEnough()) {
			const post = dice.pick(posts);
			const kinds = (["commands", "kills", "stops", "clocks", "disk"] as const).filter(isOn);
			if (kinds.length > 0) running.push(strike(dice.pick(kinds), post, dice, untilAt));
			await pause(weather === "commands" ? dice.between(30, 250) : dice.between(200, 900));
		}
		await Promise.all(running);
	};

	const strike = async (kind: Exclude<Weather, "calm" | "storm">, post: Post, dice: Dice, untilAt: number) => {
		const lengthMs = dice.chance(0.05) ? dice.between(10_500, 12_000) : dice.between(30, 1500);
		const seat = dice.between(0, seats - 1);
		switch (kind) {
			case "kills":
				if (Date.now() - post.upSince > UP_MS && dice.chance(0.6)) kill(post);
				return;
			case "stops": {
				const { worker } = post;
				if (!worker || post.stops.some(({ to }) => to > Date.now())) return;
				counts.stops += 1;
				const stop = { from: Date.now(), to: Number.POSITIVE_INFINITY };
				post.stops.push(stop);
				journal.note(`${worker.name} is stopped for ${lengthMs} ms`);
				worker.signal("SIGSTOP");
				await pause(lengthMs);
				worker.signal("SIGCONT");
				stop.to = Date.now();
				return;
			}
			case "clocks": {
				const byMs = dice.pick([-86_400_000, -600_000, -70_000, -5000, 0, 5000, 70_000, 600_000, 86_400_000]);
				counts.jumps += 1;
				journal.note(`${post.worker?.name}: its clock is wrong by ${byMs} ms`);
				post.worker?.tell({ do: "jump", byMs });
				return;
			}
			case "disk": {
				if (existsSync(post.trouble)) return;
				const mode = dice.pick(["full", "no-room", "read-only"]);
				counts.diskTroubles += 1;
				journal.note(`${post.worker?.name}: its disk is ${mode} for ${lengthMs} ms`);
				const from = Date.now();
				writeFileSync(post.trouble, mode);
				await pause(Math.min(lengthMs, Math.max(0, untilAt - Date.now())));
				rmSync(post.trouble, { force: true });
				diskTimes.push({ from, to: Date.now() });
				return;
			}
			case "commands":
				await someCommand(post, seat, dice);
		}
	};

	let isRemoving = false;
	/** Times in which a disk would not let a lock or a temporary file be taken away. */
	const diskTimes: { readonly from: number; to: number }[] = [];
	const someCommand = async (post: Post, seat: number, dice: Dice) => {
		const name = dice.pick(NAMES);
		const id = world.id(name);
		const waitMs = dice.between(20, 500);
		const pair = async (first: string, second: string, touched: readonly string[]) => {
			const touch = touched.map((each) => ({ name: each, from: Date.now(), to: Number.POSITIVE_INFINITY }));
			touches.push(...touch);
			await type(post, seat, first, touched);
			await pause(waitMs);
			await type(post, seat, second, touched);
			for (const each of touch) each.to = Date.now();
		};
		switch (dice.between(0, 13)) {
			case 0:
				return pair(`use ${id}`, "use auto", []);
			case 1:
			case 2:
				return pair(`disable ${id}`, `enable ${id}`, [name]);
			case 3:
			case 4:
				// Only the last removal can be undone: a second one meanwhile would make it another's.
				if (name === LINKED || isRemoving) return;
				isRemoving = true;
				try {
					await pair(`remove ${id}`, "add --undo", NAMES);
				} finally {
					isRemoving = false;
				}
				return;
			case 5:
				await type(post, seat, "reset");
				return;
			case 6:
				return pair("off", "on", ["all"]);
			case 7:
				return pair(`rename ${id} ${name}-new`, `rename ${id} ${name}`, []);
			case 8: {
				// Another tool holds a login of its own of the same person.
				const { accountId } = codex.account("a5");
				const { access, refresh } = codex.grant("a5");
				dir.replace("import.json", { tokens: { access_token: access, refresh_token: refresh, account_id: accountId } });
				await type(post, seat, `import ${dir.path("import.json")}`, ["a5"]);
				return;
			}
			case 9:
				await type(post, seat, dice.chance(0.5) ? `refresh ${id}` : "refresh all");
				return;
			case 10:
				await type(post, seat, dice.pick(["show", "why", "log", "verify", "help", "path"]));
				return;
			case 11:
				await type(
					post,
					seat,
					`rotation policy=${dice.pick(["soonest-reset", "most-headroom", "in-order", "round-robin"])}`,
				);
				return;
			case 12:
				await type(post, seat, `footer account=${dice.pick(["on", "off"])}`);
				return;
			default:
				codex.websocket = "refuse";
				await pause(waitMs);
				codex.websocket = "accept";
		}
	};

	/** A person who looks after the pool while it is at work: ends rests when too many rest. */
	const lookAfter = async (untilAt: number, phase: number) => {
		const dice = diceOf(seed, "reset", phase);
		while (Date.now() < untilAt && !isEnough()) {
			await pause(600);
			const post = dice.pick(posts);
			const isAtWork = post.worker && !post.stops.some(({ to }) => to > Date.now()) && !existsSync(post.trouble);
			if (!isAtWork || journal.resting().length < MOST_RESTING) continue;
			await type(post, 0, "reset quota");
			// What is excused by it is excused for a while: with one after the other nothing would ever be judged.
			const again = Math.min(untilAt, Date.now() + RESET_MS);
			while (Date.now() < again && !isEnough()) await pause(100);
		}
	};

	/** Kills right after an answer of the token endpoint: the write of the new token is what is met. */
	const seenTokens = new Set<unknown>();
	const ambush = (dice: Dice) => {
		for (const request of journal.tokens.slice(-20)) {
			if (request.issuedRefresh === undefined || request.endedAt === undefined || seenTokens.has(request)) continue;
			seenTokens.add(request);
			if (!dice.chance(0.15)) continue;
			const post = posts.find(({ worker }) => worker !== undefined && worker.name === request.sender);
			if (post) setTimeout(() => kill(post), dice.pick([0, 0, 1, 2, 4, 8, 15, 30]));
		}
	};

	const ticker = (async () => {
		const dice = diceOf(seed, "ambush");
		let ticks = 0;
		while (!isOver) {
			await pause(TICK_MS);
			journal.harvest();
			for (const problem of journal.look()) violateNow(problem);
			// A process that was killed, or stood still, has an excuse for a while.
			const isQuiet = (weather === "calm" || weather === "commands") && isSettled(Date.now());
			const longestMs = LONGEST_HOLD_MS + HOLD_PER_LATENESS * journal.lateness.ms;
			for (const lock of world.heldFor(longestMs)) if (isQuiet) violateNow(`${lock} was not given back`);
			ticks += 1;
			if (ticks % TICKS_A_SECOND === 0) judgeExchanges();
			if (STORMY.has(weather)) ambush(dice);
		}
	})();

	/** Of the refresh token that an account is left with, once its exchanges under way have ended. */
	const stateOfLogin = async (name: string) => {
		const deadline = Date.now() + LONGEST_EXCHANGE_MS;
		for (;;) {
			const login = world.login(name);
			const state = login === undefined ? "gone" : codex.refreshState(login.refresh);
			const isOpen = isBeingRenewed(name, journal, deathOf, Date.now()) && Date.now() < deadline;
			if (state === "valid" || !isOpen) return state;
			await pause(100);
		}
	};

	/** Puts everything right that a user has to put right. */
	const tidy = async () => {
		const [post] = posts;
		if (!post) throw new Error("there is no process");
		await type(post, 0, "on");
		for (const name of NAMES) {
			const row = world.rows().find(({ id }) => id === world.id(name));
			if (!row) await type(post, 0, "add --undo", NAMES);
		}
		for (const name of NAMES) {
			if (isEnough()) return;
			const row = world.rows().find(({ id }) => id === world.id(name));
			if (!row) violateNow(`${name} has left the pool`);
			if (!row?.enabled) await type(post, 0, `enable ${world.id(name)}`, [name]);
			const state = await stateOfLogin(name);
			const { needsLogin } = world.rows().find(({ id }) => id === world.id(name)) ?? {};
			if (!needsLogin && state === "valid") continue;
			// A claim that is not answered yet may still be settled by its minute; then it is looked at again.
			const since = lastSignIn.get(name) ?? startedAt;
			if (!isLossExplained(name, since - 500, journal, deathOf, isExcused))
				violateNow(`${name} has lost its sign-in (${needsLogin?.reason ?? "not flagged"}, token ${state})`);
			if (isEnough()) return;
			try {
				await world.signIn(name);
			} catch (error) {
				violateNow(`${name} could not sign in again: ${String(error)}`);
			}
			counts.signIns += 1;
			lastSignIn.set(name, Date.now());
		}
		await type(post, 0, "use auto");
		await type(post, 0, "reset quota");
	};

	const weathersOf = (round: number): readonly Weather[] =>
		options.weathers ?? ["calm", ...diceOf(seed, "weather", round).shuffled(WEATHERS.slice(1))];
	const firstMeasures = new Map<string, Measure>();
	try {
		for (let phase = 0; Date.now() - startedAt < ms && !isEnough(); phase += 1) {
			const list = weathersOf(Math.floor(phase / (options.weathers ?? WEATHERS).length));
			weather = list[phase % list.length] ?? "calm";
			const isWrong = weather === "clocks" || weather === "disk" || weather === "storm";
			const wrongTime = { from: Date.now(), to: Number.POSITIVE_INFINITY };
			if (isWrong) wrongTimes.push(wrongTime);
			journal.note(`weather: ${weather}`);
			const untilAt = Math.min(Date.now() + phaseMs, startedAt + ms);
			const sessions = posts.flatMap((post) =>
				Array.from({ length: seats }, (_, seat) => serve(post, seat, phase, untilAt)),
			);
			const all = Promise.all([...sessions, trouble(phase, untilAt), lookAfter(untilAt, phase)]);
			const isDrained = await Promise.race([all.then(() => true), pause(phaseMs + DRAIN_MS).then(() => false)]);
			for (const post of posts) {
				post.worker?.signal("SIGCONT");
				post.worker?.tell({ do: "jump", byMs: 0 });
				rmSync(post.trouble, { force: true });
			}
			if (!isDrained) {
				violate(
					`turns that do not end: ${[...underWay.keys()].join(", ")}`,
					traceOf(Date.now(), Date.now(), [...underWay.keys()][0]),
				);
				break;
			}
			while (posts.some(({ worker }) => worker === undefined))
				await Promise.allSettled(posts.map(({ ready }) => ready));
			judgeExchanges();
			if (isEnough()) break;
			codex.websocket = "accept";
			await tidy();
			wrongTime.to = Date.now();
			for (const { worker } of posts) {
				if (!worker) continue;
				// One that was ambushed at the end of the phase falls in these moments.
				const measure = await worker.measure().catch((error: unknown) => {
					if (error instanceof KilledWorker) return undefined;
					throw error;
				});
				if (!measure) continue;
				measures.push({ ...measure, name: worker.name });
				const first = firstMeasures.get(worker.name);
				if (!first && measure.turns >= WARM_TURNS) firstMeasures.set(worker.name, measure);
				if (first && measure.turns - first.turns >= TURNS_TO_GROW)
					for (const problem of growth(first, measure)) violateNow(`${worker.name}: ${problem}`);
			}
			journal.forget(Date.now() - 5 * MINUTE_MS);
			onProgress(
				`${Math.round((Date.now() - startedAt) / 1000)} s, ${weather}: ${counts.turns} turns, ${journal.counts.requests} requests, ` +
					`${journal.tokens.length} exchanges, ${counts.kills} killed, ${counts.commands} commands, ${violations.length} violations`,
			);
		}
		if (!isEnough()) {
			const left = await Promise.all(
				posts.map(async ({ worker }) => ({ worker, isGone: await worker?.leave(LEAVE_MS) })),
			);
			for (const { worker, isGone } of left) if (isGone === false) violateNow(`${worker?.name} did not end by itself`);
			journal.harvest();
			for (const problem of leftIn(world, killed, diskTimes)) violateNow(problem);
		}
	} finally {
		isOver = true;
		for (const worker of workers) worker.kill();
		await ticker;
		journal.harvest();
		judgeExchanges();
		for (const worker of workers)
			if (codex.secrets().some((secret) => worker.output().includes(secret)))
				violateNow(`${worker.name} wrote a token`);
		await world.close();
	}
	return {
		options,
		seed,
		ms: Date.now() - startedAt,
		turns: counts.turns,
		byReason,
		requests: journal.counts.requests,
		faults: journal.counts.faults,
		exchanges: journal.tokens.length,
		usageCalls: journal.counts.usage,
		kills: counts.kills,
		stops: counts.stops,
		jumps: counts.jumps,
		diskTroubles: counts.diskTroubles,
		commands: counts.commands,
		signIns: counts.signIns,
		measures,
		errors: [...byWords].sort(([, a], [, b]) => b - a).map(([words, count]) => `${count} "${words}"`),
		violations,
	};
}

/** What a process holds more of than it did. */
function growth(first: Measure, now: Measure): string[] {
	const problems: string[] = [];
	const grown = now.heapBytes - first.heapBytes;
	if (grown > HEAP_GROWTH_BYTES)
		problems.push(`its heap grew by ${Math.round(grown / 1e6)} MB in ${now.turns - first.turns} turns`);
	if (now.listeners > first.listeners + 4)
		problems.push(`it has ${now.listeners} listeners, and had ${first.listeners}`);
	if (now.signalListeners > 2) problems.push(`${now.signalListeners} listeners are left on a signal`);
	for (const [kind, count] of Object.entries(now.resources)) {
		const before = first.resources[kind] ?? 0;
		if (count > before + 12) problems.push(`it holds ${count} of ${kind}, and held ${before}`);
	}
	return problems;
}
