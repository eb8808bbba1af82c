import { existsSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { fingerprint } from "../../src/platform/backend/jwt.ts";
import { diceOf, randomNumbers } from "../stress/chaos/dice.ts";
import { TOKEN_FAULTS } from "../stress/chaos/faults.ts";
import { judgeTokens } from "../stress/chaos/judge.ts";
import { answers, type RecordedRequest, tokenAnswers } from "../support/fake-codex/index.ts";
import type { HostName } from "../support/hosts.ts";
import type { Rpc, Turn } from "../support/rpc.ts";
import { loginOfPi, storedAccounts, writeAsPi } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";
import {
	ageExchangeNotes,
	ageLeftovers,
	brokenFiles,
	jumpingClock,
	NO_SESSION,
	sendings,
	shownStates,
	watchedDisk,
} from "./under-fire-support.ts";

/** How much fire. */
export interface StressSize {
	readonly host: HostName;
	readonly processes: number;
	readonly accounts: number;
	/** The fire ends when so many processes were killed, */
	readonly kills: number;
	/** or after this time, whichever comes first; */
	readonly longestMs: number;
	/** for these, which a busy machine takes longer to bring about, it burns on, up to as long again. */
	readonly leastKills: number;
	/** Of everything that is left to chance. */
	readonly seed: number;
	/**
	 * `kills`: processes are killed, and everything else is well. `all`: the token endpoint errs in every way that it
	 * has, accounts are refused, processes stand still, clocks jump, disks fail and people type commands, and no test
	 * shortens the minute for which a token may be spent.
	 */
	readonly fire: "kills" | "all";
}

/** What is left of one account when the fire is over. */
export interface Fate {
	readonly name: string;
	/** Its stored refresh token was spent by a process that was killed before it could store the next one. */
	readonly isLost: boolean;
	/** Reason of `needsLogin` where it is flagged. */
	readonly needsLogin: string | undefined;
	/** As `show --json` says. */
	readonly shown: string | undefined;
	/** A turn pinned to it was answered by it. */
	readonly works: boolean;
}

/** What came of a stress. Everything that is a list of strings lists what must not be. */
export interface StressReport {
	readonly turns: number;
	readonly exchanges: number;
	readonly kills: number;
	/** Times a person had to sign in again in mid-fire. */
	readonly signedInAgain: number;
	readonly fates: readonly Fate[];
	/** Refresh tokens that a second process sent although the first one lived, or had had time to store. */
	readonly sentTwice: readonly string[];
	/** New tokens that a process got, was not killed, and yet stored nowhere. */
	readonly lostByTheLiving: readonly string[];
	readonly brokenFiles: readonly string[];
	/** Turns that neither were answered nor fell to a kill. */
	readonly failedTurns: readonly string[];
	/** Locks of the dead that the last process could not get by. */
	readonly stuckLocks: readonly string[];
	/** Answers that pi did not show as they were given: twice, in parts, or in another order. */
	readonly spoiltAnswers: readonly string[];
	/** Files that others may read, that were left behind, or that grew without a bound. */
	readonly oddFiles: readonly string[];
	/** Turns that took longer than every wait that has a bound. */
	readonly slowTurns: readonly string[];
}

/** One process of the stress, from its start to its end. */
interface StressProcess {
	readonly sender: string;
	readonly client: Rpc;
	/** On the clock of the fake's records. */
	killedAt: number | undefined;
	/** So many answers of the token endpoint are let through before it is killed right after one. */
	answersLeft: number | undefined;
}

/** A person's new login of an account in mid-fire. */
interface SignIn {
	readonly name: string;
	readonly at: number;
}

/**
 * Shorter than the ten minutes ahead of which we renew, so that every request wants an exchange; long enough for pi
 * itself.
 */
const NEVER_FRESH_MS = 8 * 60_000;
/** Hardly longer than a token is used at all: it truly runs out all the time. */
const SHORT_LIVED_MS = 7_000;
/** Older than any note, lock and temporary file is heeded. */
const LONG_AGO_MS = 120_000;
/** A kill this long after the answer meets the write of the new token, or the moments behind it. */
const DELAYS_AFTER_ANSWER_MS = [0, 0, 1, 2, 4, 8, 15, 30];

/**
 * Tokens that were lost to kills: a turn ends at the second one in a row, or where the only account left rests, its own
 * token refused a moment ago and perhaps spent. Either way it says so.
 */
const STOPPED_BY_RULE =
	/^Two Codex accounts in a row were signed out|could not be renewed just now\. \d+ accounts? (is|are) signed out\./;
/** pi 1.6.0 itself could not lock its `auth.json` on the failing disk, and ends the turn with us or without. */
const FAILED_BY_HOST = /^Credential store read failed for openai-codex: E(?:NOSPC|ROFS)\b/;

/** What the words of {@link STOPPED_BY_RULE} need: so many accounts whose token was lost. */
const LOST_FOR_THE_RULE = 1;
/** As the fake calls an answer of a server at fault. */
const SERVER_AT_FAULT = "serverError";
/** How long a refused account rests until a person resets it, and a token waits whose exchange was not answered. */
const LONGEST_AWAY_MS = { refused: 15_000, token: 70_000 };
/** So many turns of all are ended by the person who waits for them, at most so long after they were begun. */
const ABORTS = 0.06;
const LATEST_ABORT_MS = 600;

function isResponse({ kind }: RecordedRequest): boolean {
	return kind === "responses" || kind === "websocket-request";
}

/** Whether an account may have been out of quota then, or without a token that could be used. */
function isAway(requests: readonly RecordedRequest[], name: string, at: number): boolean {
	return requests.some((request) => {
		if (request.account !== name || request.at > at) return false;
		const { status, endedAt } = request;
		if (isResponse(request)) return status !== 200 && at - request.at < LONGEST_AWAY_MS.refused;
		return (
			request.kind === "token" && (endedAt === undefined || status !== 200) && at - request.at < LONGEST_AWAY_MS.token
		);
	});
}

/** Longer than the longest wait for an account, and for an exchange, with a host's own retries. */
const LONGEST_TURN_MS = 150_000;
/** Two files of one mebibyte, and what a batch may be above. */
const LONGEST_LOG_BYTES = 1_100_000;
/** `OK from a1 #3`, as one whole. */
const WHOLE_ANSWER = /^OK from (\w+) #\d+$/;

const STARTING_MS = 180_000;

/** A newer host waits for the lock that a dead process has left on auth.json, half a minute each time it looks. */
const NEW_SESSION_MS = 150_000;

/** Locks that are held, with their age: what a process may be waiting for. */
function locksIn(path: string): string[] {
	return readdirSync(path)
		.filter((name) => name.endsWith(".lock"))
		.map((name) => {
			const heldSince = statSync(join(path, name), { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
			return `${name} (${Math.round((Date.now() - heldSince) / 1000)} s)`;
		});
}

/**
 * Processes send prompt after prompt while their tokens run out all the time; half of them are killed, again and again,
 * at moments drawn by lot or right after the token endpoint answered them, and replaced. The first account is pi's own.
 */
export async function runStress(size: StressSize): Promise<StressReport> {
	const names = Array.from({ length: size.accounts }, (_, index) => `a${index + 1}`);
	const [linked = "a1", ...owned] = names;
	const bench = await createBench({
		host: size.host,
		accounts: [],
		strangers: names.map((name, index) => ({
			name,
			tokenLifetimeMs: index % 2 === 0 ? NEVER_FRESH_MS : SHORT_LIVED_MS,
		})),
		// Longer than an account rests whose token was refused twice: with the others lost to kills it is the only one.
		settings: { "pi-multicodex": { rotation: { policy: "round-robin", maxWait: "90s" } } },
	});
	const { codex, dir } = bench;
	writeAsPi(dir.path("auth.json"), { "openai-codex": codex.piAuthEntry(linked) });
	dir.write("codex-accounts.json", { version: 2, accounts: owned.map((name) => bench.row(name)) });
	// The way back from the issuer takes a moment, as it does in the world.
	codex.token(tokenAnswers.delay(25, { rotate: "before" }));

	const random = randomNumbers(size.seed);
	const beganAt = performance.now();
	const isInTime = () => performance.now() - beganAt < size.longestMs * (kills < size.leastKills ? 2 : 1);
	const piProcesses: StressProcess[] = [];
	const failedTurns: string[] = [];
	let turns = 0;
	let kills = 0;
	const signIns: SignIn[] = [];
	let isOver = false;
	const goesOn = () => !isOver && kills < size.kills && isInTime();

	const isAll = size.fire === "all";
	const spoiltAnswers: string[] = [];
	const slowTurns: string[] = [];
	/** Files that say how the clock and the disk of a post are. */
	const fileOf = (post: number, what: "clock" | "disk") => join(dir.home, `${what}-${post}`);
	/** Times in which a clock or a disk was wrong. */
	const wrongTimes: { readonly from: number; to: number }[] = [];
	const environmentOf = (post: number): Record<string, string> => {
		if (!isAll) return {};
		// One preload a process.
		return post % 4 === 1 ? watchedDisk(bench, { trouble: fileOf(post, "disk") }) : jumpingClock(fileOf(post, "clock"));
	};
	if (isAll) fan(bench, names, size.seed);

	const startProcess = (post: number): StressProcess => {
		const sender = `p${post}-${piProcesses.length + 1}`;
		const env = { PI_MULTICODEX_AUTH_URL: codex.issuerFor(sender), ...environmentOf(post) };
		const client = bench.rpc(NO_SESSION, { env });
		const piProcess: StressProcess = { sender, client, killedAt: undefined, answersLeft: undefined };
		piProcesses.push(piProcess);
		return piProcess;
	};
	const kill = (piProcess: StressProcess) => {
		if (piProcess.killedAt !== undefined || !piProcess.client.process.signal("SIGKILL")) return;
		piProcess.killedAt = Date.now();
		kills += 1;
	};

	/** Accounts whose sign-in is over, or whose newest token was lost with a process or on its way. */
	const signInsLost = (): ReadonlySet<string | undefined> => {
		const { requests } = codex;
		const bySending = sendings(requests);
		const stored = new Set(storedAccounts(bench).map(({ credential }) => credential.refresh));
		const flagged = storedAccounts(bench)
			.filter(({ needsLogin }) => needsLogin)
			.map(({ label }) => label);
		const byExchange = requests.filter(({ kind, status, answer, issuedRefresh: next }) => {
			if (kind !== "token") return false;
			return (
				(next !== undefined && !bySending.has(next) && !stored.has(next)) || (status === 401 && answer !== undefined)
			);
		});
		return new Set([...flagged, ...byExchange.map(({ account }) => account)]);
	};

	/**
	 * Whether servers at fault were all that there was: a host that does not repeat these words hears of them where a
	 * second account met them as well, or where no other one could be asked.
	 */
	const isEndedByServer = (mark: string): boolean => {
		const asked = codex.requests.filter((request) => isResponse(request) && request.bodyText.includes(`(${mark})`));
		const last = asked.at(-1);
		if (last?.answer !== SERVER_AT_FAULT) return false;
		if (new Set(asked.filter(({ answer }) => answer === SERVER_AT_FAULT).map(({ account }) => account)).size > 1)
			return true;
		const lost = signInsLost();
		return names.every((name) => name === last.account || lost.has(name) || isAway(codex.requests, name, last.at));
	};

	/** One place in the line: a process that falls there is replaced. */
	const hold = async (post: number, isMortal: boolean) => {
		while (goesOn()) {
			const piProcess = startProcess(post);
			let timer: NodeJS.Timeout | undefined;
			if (isMortal && random() < 0.5) piProcess.answersLeft = Math.floor(random() * 4);
			// Who waits for an answer to fall by falls in any case.
			const lifeMs = (200 + random() * 3_000) * (piProcess.answersLeft === undefined ? 1 : 3);
			try {
				for (let sent = 0; goesOn(); sent += 1) {
					if (sent > 0) await piProcess.client.command("new_session", {}, NEW_SESSION_MS);
					if (sent === 1 && isMortal) timer = setTimeout(() => kill(piProcess), lifeMs);
					const sentAt = performance.now();
					const mark = `${piProcess.sender}/${sent}`;
					// One that is just being started takes no order yet.
					const isAborted = isAll && sent > 0 && random() < ABORTS;
					const abort = async () => {
						if (!isAborted) return;
						await pause(random() * LATEST_ABORT_MS);
						await piProcess.client.abort(60_000);
					};
					const [turn] = await Promise.all([piProcess.client.prompt(`say hi (${mark})`, 240_000), abort()]);
					const { stopReason, errorMessage } = turn;
					const seconds = Math.round((performance.now() - sentAt) / 1000);
					if (seconds * 1000 > LONGEST_TURN_MS) slowTurns.push(`${piProcess.sender}: ${seconds} s`);
					spoiltAnswers.push(...faultsOf(turn).map((fault) => `${piProcess.sender}: ${fault}`));
					const isByRule =
						(STOPPED_BY_RULE.test(errorMessage ?? "") && signInsLost().size >= LOST_FOR_THE_RULE) ||
						FAILED_BY_HOST.test(errorMessage ?? "") ||
						isEndedByServer(mark);
					if (stopReason === "stop") turns += 1;
					else if (!isByRule && !isAborted)
						failedTurns.push(`${piProcess.sender}: ${errorMessage ?? stopReason ?? "no answer"}`);
				}
			} catch (error) {
				if (piProcess.killedAt === undefined)
					failedTurns.push(`${piProcess.sender}: ${String(error)}\nlocks: ${locksIn(dir.dir).join(", ")}`);
			} finally {
				clearTimeout(timer);
			}
		}
	};

	/** Kills right after an answer those who are meant to fall there. */
	const watchAnswers = async () => {
		const seen = new Set<RecordedRequest>();
		const isNew = (request: RecordedRequest) =>
			request.issuedRefresh !== undefined && request.endedAt !== undefined && !seen.has(request);
		for (;;) {
			const request = await codex.waitFor(isNew, 10 * size.longestMs).catch(() => undefined);
			if (request === undefined) return;
			seen.add(request);
			const piProcess = piProcesses.find(({ sender }) => sender === request.sender);
			if (piProcess?.answersLeft === undefined || isOver) continue;
			piProcess.answersLeft -= 1;
			if (piProcess.answersLeft >= 0) continue;
			const delayMs = DELAYS_AFTER_ANSWER_MS[Math.floor(random() * DELAYS_AFTER_ANSWER_MS.length)] ?? 0;
			if (delayMs === 0) kill(piProcess);
			else setTimeout(() => kill(piProcess), delayMs);
		}
	};

	/** The person at the machine: signs in again where the account says so. */
	const signInAgain = async () => {
		while (goesOn()) {
			await new Promise((resolve) => setTimeout(resolve, 250));
			for (const { label, needsLogin } of storedAccounts(bench)) {
				if (!needsLogin || !goesOn()) continue;
				await storeLogin(bench, label, label === linked);
				signIns.push({ name: label, at: Date.now() });
			}
		}
	};

	/** A dead process waits for no answer: for its note the minute is over at once. */
	const letTheDeadRest = async () => {
		const forgiven = new Set<string>();
		while (goesOn()) {
			await new Promise((resolve) => setTimeout(resolve, 100));
			const ofTheDead = piProcesses.filter(({ killedAt }) => killedAt !== undefined).map(({ sender }) => sender);
			const open = codex
				.tokenRequests()
				.filter(({ sender, issuedRefresh }) => issuedRefresh !== undefined && ofTheDead.includes(sender ?? ""))
				.map(({ body }) => fingerprint(String(body?.refresh_token)))
				.filter((hash) => !forgiven.has(hash));
			if (open.length === 0) continue;
			await underLock(dir.path("codex-state.json"), () => ageExchangeNotes(bench, 60_000, open));
			for (const hash of open) forgiven.add(hash);
		}
	};

	/** Processes that stand still, clocks that jump, disks that fail, people who type: while the fire burns. */
	const fanFlames = async () => {
		const dice = diceOf(size.seed, "flames");
		const commander = bench.rpc(NO_SESSION);
		commander.answerDialogs(() => true);
		// Nine of them are being started at once.
		await commander.command("get_state", {}, STARTING_MS);
		while (goesOn()) {
			await pause(dice.between(300, 1200));
			const post = dice.between(0, size.processes - 1);
			const piProcess = piProcesses.findLast(({ sender }) => sender.startsWith(`p${post}-`));
			const ms = dice.chance(0.1) ? 12_000 : dice.between(100, 2500);
			const wrong = { from: Date.now(), to: Number.POSITIVE_INFINITY };
			const name = dice.pick(owned);
			switch (dice.between(0, 5)) {
				case 0:
				case 1:
					if (!piProcess?.client.process.signal("SIGSTOP")) break;
					await pause(ms);
					piProcess.client.process.signal("SIGCONT");
					break;
				case 2:
					wrongTimes.push(wrong);
					writeFileSync(fileOf(post, "clock"), String(dice.pick([-3_600_000, -70_000, 70_000, 3_600_000])));
					await pause(ms);
					rmSync(fileOf(post, "clock"), { force: true });
					wrong.to = Date.now();
					break;
				case 3:
					wrongTimes.push(wrong);
					writeFileSync(fileOf(post, "disk"), dice.pick(["full", "no-room", "read-only"]));
					await pause(Math.min(ms, 2500));
					rmSync(fileOf(post, "disk"), { force: true });
					wrong.to = Date.now();
					break;
				case 4:
					await commander.send(`/multicodex remove ${bench.id(name)}`, 60_000);
					await commander.send("/multicodex add --undo", 60_000);
					break;
				default:
					await commander.send(`/multicodex disable ${bench.id(name)}`, 60_000);
					await commander.send(`/multicodex enable ${bench.id(name)}`, 60_000);
			}
			await commander.send("/multicodex reset quota", 60_000);
		}
		await commander.close(60_000);
	};

	void watchAnswers();
	const others = [signInAgain(), isAll ? fanFlames() : letTheDeadRest()];
	const posts = Array.from({ length: size.processes }, (_, post) => hold(post, post % 2 === 0));
	await Promise.all([...posts, ...others]);
	isOver = true;
	await Promise.all(
		piProcesses.map(async (piProcess) => {
			if (piProcess.killedAt !== undefined) return piProcess.client.process.wait();
			// Exchanges and writes under way are waited for, and the lock of a dead process.
			const { signal } = await piProcess.client.close(60_000);
			if (signal !== null) failedTurns.push(`${piProcess.sender}: did not end by itself`);
		}),
	);
	if (isAll) await quench(bench, names, linked, signIns);
	const broken = brokenFiles(bench);
	const oddFiles = oddFilesIn(bench, piProcesses, wrongTimes);
	ageLeftovers(bench, LONG_AGO_MS);
	const stored = new Map(
		names.map((name) => {
			const { refresh } = (name === linked ? loginOfPi(bench) : undefined) ?? bench.stored(name).credential;
			return [name, refresh];
		}),
	);
	const requests = [...codex.requests];
	const spent = sendings(requests.filter(({ issuedRefresh }) => issuedRefresh !== undefined));
	const lost = names.filter((name) => spent.has(stored.get(name) ?? ""));
	const fates = await takeStock(bench, names, new Set(lost));
	return {
		turns,
		exchanges: requests.filter(({ issuedRefresh }) => issuedRefresh !== undefined).length,
		kills,
		signedInAgain: signIns.length,
		fates,
		...judge(requests, piProcesses, new Set(stored.values()), signIns),
		...(isAll && { sentTwice: sentTooSoon(requests, piProcesses) }),
		spoiltAnswers,
		oddFiles,
		slowTurns,
		brokenFiles: [...broken, ...brokenFiles(bench)],
		failedTurns,
		stuckLocks: fates
			.filter(({ works, isLost }) => !works && !isLost)
			.map(({ name, shown, needsLogin }) => `${name}: ${shown}, ${needsLogin ?? "not flagged"}`),
	};
}

/** Who sent what twice, and who lost a token, although alive. */
function judge(
	requests: readonly RecordedRequest[],
	piProcesses: readonly StressProcess[],
	stored: ReadonlySet<string>,
	signIns: readonly SignIn[],
): Pick<StressReport, "sentTwice" | "lostByTheLiving"> {
	const deathOf = (request: RecordedRequest) =>
		piProcesses.find(({ sender }) => sender === request.sender)?.killedAt ?? Number.POSITIVE_INFINITY;
	const bySending = sendings(requests);
	const sentTwice: string[] = [];
	const lostByTheLiving: string[] = [];
	for (const each of bySending.values()) {
		for (const [index, later] of each.entries()) {
			for (const earlier of each.slice(0, index)) {
				const wasDead = deathOf(earlier) <= later.at;
				const wasStored = earlier.issuedRefresh !== undefined && bySending.has(earlier.issuedRefresh);
				if (wasDead && !wasStored) continue;
				const what = earlier.issuedRefresh === undefined ? "refused" : "good";
				const gap = `${later.at - earlier.at} ms later by ${later.sender}`;
				sentTwice.push(`a ${what} one of ${later.account}: by ${earlier.sender}, ${gap}`);
			}
			const next = later.issuedRefresh;
			if (next === undefined || stored.has(next) || bySending.has(next)) continue;
			const isReplaced = signIns.some(({ name, at }) => name === later.account && at >= later.at);
			// Never delivered, or with nothing in it that could be stored.
			if (later.answer === "resetAfterRotation" || later.answer === "change") continue;
			const isLiving = deathOf(later) === Number.POSITIVE_INFINITY;
			if (isLiving && !isReplaced) lostByTheLiving.push(`one of ${later.account}, by ${later.sender}`);
		}
	}
	return { sentTwice, lostByTheLiving };
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Lets every account and the token endpoint err, by lot: in an order that depends on the account alone. */
function fan({ codex }: Bench, names: readonly string[], seed: number): void {
	for (const name of names) {
		const account = codex.account(name);
		const dice = diceOf(seed, "exchange", name);
		// Held up for half a minute each, the hanging ones would be all that a short fire sees.
		const faults = TOKEN_FAULTS.filter((fault) => fault.name !== "hang");
		account.tokenScript.next(...Array.from({ length: 2000 }, () => dice.weighed(faults).answer(dice)));
		account.tokenScript.next(tokenAnswers.delay(25, { rotate: "before" }));
		const refusals = diceOf(seed, "refusal", name);
		account.always(() => {
			const resetsInMs = refusals.between(1000, 3000);
			if (refusals.chance(0.06)) return answers.usageLimit({ resetsInMs });
			if (refusals.chance(0.03)) return answers.unauthorized("token_expired");
			if (refusals.chance(0.01)) return answers.unauthorized("token_invalidated");
			// pi itself asks again after it.
			return refusals.chance(0.04) ? answers.serverError(503) : answers.echoAccount();
		});
	}
}

/** The fire is out: the endpoints answer as they should, and a person signs in where it is asked for. */
async function quench(bench: Bench, names: readonly string[], linked: string, signIns: SignIn[]): Promise<void> {
	for (const name of names) {
		bench.codex.account(name).tokenScript.clear();
		bench.codex.account(name).always(undefined);
	}
	for (const { label, needsLogin } of storedAccounts(bench)) {
		if (!needsLogin) continue;
		await storeLogin(bench, label, label === linked);
		signIns.push({ name: label, at: Date.now() });
	}
}

/** What pi showed of a turn that it should not have. */
function faultsOf({ text, stopReason, events, retries }: Turn): string[] {
	if (stopReason !== "stop") return [];
	const faults: string[] = [];
	if (!WHOLE_ANSWER.test(text)) faults.push(`shown as "${text}"`);
	const isOfAnswer = (event: Turn["events"][number]) => JSON.stringify(event).includes('"role":"assistant"');
	const ends = events.filter((event) => event.type === "message_end" && isOfAnswer(event)).length;
	if (ends !== retries + 1) faults.push(`${ends} messages ended after ${retries} retries`);
	return faults;
}

/** Refresh tokens that were sent while they may have been spent: no minute was shortened here. */
function sentTooSoon(requests: readonly RecordedRequest[], piProcesses: readonly StressProcess[]): string[] {
	const deathOf = (sender: string | undefined) =>
		piProcesses.find((piProcess) => piProcess.sender === sender)?.killedAt ?? Number.POSITIVE_INFINITY;
	const tokens = requests.filter(({ kind }) => kind === "token");
	return judgeTokens(tokens, deathOf).map(({ what }) => what);
}

/** Files of ours that are not as they should be when every process has ended. */
function oddFilesIn(
	{ dir }: Bench,
	piProcesses: readonly StressProcess[],
	wrongTimes: readonly { readonly from: number; readonly to: number }[],
): string[] {
	const killed = new Set(
		piProcesses.filter(({ killedAt }) => killedAt !== undefined).map(({ client }) => String(client.process.pid)),
	);
	return readdirSync(dir.dir).flatMap((name) => {
		if (!existsSync(dir.path(name))) return [];
		const { mode, size, mtimeMs } = statSync(dir.path(name));
		const odd: string[] = [];
		if (name.startsWith("codex-") && !name.endsWith(".lock") && (mode & 0o077) !== 0)
			odd.push(`${name} is open to others`);
		if (name.endsWith(".jsonl") && size > LONGEST_LOG_BYTES) odd.push(`${name} has ${size} bytes`);
		// On a disk where nothing can be deleted no clean-up works.
		const wasWrong = wrongTimes.some(({ from, to }) => mtimeMs > from - 3000 && mtimeMs < to + 3000);
		const owner = /\.(\d+)-[0-9a-f]{8}\.tmp$/.exec(name)?.[1] ?? "";
		if (name.endsWith(".tmp") && !killed.has(owner) && !wasWrong) odd.push(`${name} was left`);
		if (name.endsWith(".lock") && killed.size === 0 && !wasWrong) odd.push(`${name} is held`);
		return odd;
	});
}

/** Asks every account in turn, as the next process that is started does. */
async function takeStock(bench: Bench, names: readonly string[], lost: ReadonlySet<string>): Promise<Fate[]> {
	const answered = new Map<string, boolean>();
	const client = bench.rpc(NO_SESSION);
	// An account whose token was revoked along with one that was lost rests for a minute, and then is as good as new.
	await client.send("/multicodex reset quota", 60_000);
	for (const name of names) {
		await client.send(`/multicodex use ${name}`);
		// While its token is renewed on a slow machine another account may answer; not time after time.
		for (let tries = 1; tries <= 3 && !answered.get(name); tries += 1) {
			const { stopReason, text } = await client.prompt("say hi", 180_000);
			answered.set(name, stopReason === "stop" && text.startsWith(`OK from ${name} #`));
		}
	}
	await client.close();
	const states = await shownStates(bench);
	const rows = new Map(storedAccounts(bench).map((row) => [row.label, row]));
	return names.map((name) => ({
		name,
		isLost: lost.has(name),
		needsLogin: rows.get(name)?.needsLogin?.reason,
		shown: states[name],
		works: answered.get(name) ?? false,
	}));
}

/** A new login of an account, stored beside those who are working: by pi, or by another process of ours. */
async function storeLogin(bench: Bench, name: string, isPis: boolean): Promise<void> {
	const path = bench.dir.path(isPis ? "auth.json" : "codex-accounts.json");
	await underLock(path, () => {
		if (isPis) {
			writeAsPi(path, { "openai-codex": bench.codex.piAuthEntry(name) });
			return;
		}
		const credential = bench.codex.grant(name);
		const accounts = storedAccounts(bench).map((row) =>
			row.label === name ? { ...row, credential, needsLogin: null } : row,
		);
		bench.dir.write("codex-accounts.json.new", { version: 2, accounts });
		renameSync(bench.dir.path("codex-accounts.json.new"), path);
	});
}

/** Changes a file as one more process that keeps the rules. */
async function underLock(path: string, change: () => void): Promise<void> {
	const retries = { retries: 200, minTimeout: 20, maxTimeout: 200, factor: 1.5 };
	const release = await lockfile.lock(path, { realpath: false, stale: 30_000, update: 2_000, retries });
	try {
		change();
	} finally {
		await release();
	}
}
