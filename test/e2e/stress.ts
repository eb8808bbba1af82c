import { readdirSync, renameSync, statSync } from "node:fs";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { fingerprint } from "../../src/io/jwt.ts";
import { type RecordedRequest, tokenAnswers } from "../support/fake-codex/index.ts";
import type { HostName } from "../support/hosts.ts";
import type { Rpc } from "../support/rpc.ts";
import { loginOfPi, storedAccounts, writeAsPi } from "./credentials-support.ts";
import { type Bench, createBench } from "./support.ts";
import {
	ageExchangeNotes,
	ageLeftovers,
	brokenFiles,
	NO_SESSION,
	sendings,
	shownStates,
} from "./under-fire-support.ts";

/** How much fire. */
export interface StressSize {
	readonly host: HostName;
	readonly processes: number;
	readonly accounts: number;
	/** The fire ends when so many processes were killed, */
	readonly kills: number;
	/** or after this time, whichever comes first. */
	readonly longestMs: number;
	/** Of everything that is left to chance. */
	readonly seed: number;
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
}

/** One process of the stress, from its start to its end. */
interface Soldier {
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

/** Shorter than the ten minutes ahead of which we renew, so that every request wants an exchange; long enough for pi itself. */
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
	/^Two Codex accounts in a row were signed out|could not be renewed just now\. \d+ accounts? must sign in again\./;

/** A newer host waits for the lock that a dead process has left on auth.json, half a minute each time it looks. */
const NEW_SESSION_MS = 150_000;

/** Locks that are held, with their age: what somebody may be waiting for. */
function locksIn(path: string): string[] {
	return readdirSync(path)
		.filter((name) => name.endsWith(".lock"))
		.map((name) => {
			const heldSince = statSync(join(path, name), { throwIfNoEntry: false })?.mtimeMs ?? Date.now();
			return `${name} (${Math.round((Date.now() - heldSince) / 1000)} s)`;
		});
}

/** Numbers from 0 to 1, the same ones for the same seed (mulberry32). */
function randomNumbers(seed: number): () => number {
	let state = seed >>> 0;
	return () => {
		state = (state + 0x6d2b79f5) >>> 0;
		let mixed = Math.imul(state ^ (state >>> 15), state | 1);
		mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
		return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
	};
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
	const deadline = performance.now() + size.longestMs;
	const soldiers: Soldier[] = [];
	const failedTurns: string[] = [];
	let turns = 0;
	let kills = 0;
	const signIns: SignIn[] = [];
	let isOver = false;
	const goesOn = () => !isOver && kills < size.kills && performance.now() < deadline;

	const enlist = (post: number): Soldier => {
		const sender = `p${post}-${soldiers.length + 1}`;
		const client = bench.rpc(NO_SESSION, { env: { PI_MULTICODEX_AUTH_URL: codex.issuerFor(sender) } });
		const soldier: Soldier = { sender, client, killedAt: undefined, answersLeft: undefined };
		soldiers.push(soldier);
		return soldier;
	};
	const kill = (soldier: Soldier) => {
		if (soldier.killedAt !== undefined || !soldier.client.process.signal("SIGKILL")) return;
		soldier.killedAt = Date.now();
		kills += 1;
	};

	/** One place in the line: whoever falls there is replaced. */
	const hold = async (post: number, isMortal: boolean) => {
		while (goesOn()) {
			const soldier = enlist(post);
			let timer: NodeJS.Timeout | undefined;
			if (isMortal && random() < 0.5) soldier.answersLeft = Math.floor(random() * 4);
			// Who waits for an answer to fall by falls in any case.
			const lifeMs = (200 + random() * 3_000) * (soldier.answersLeft === undefined ? 1 : 3);
			try {
				for (let sent = 0; goesOn(); sent += 1) {
					if (sent > 0) await soldier.client.command("new_session", {}, NEW_SESSION_MS);
					if (sent === 1 && isMortal) timer = setTimeout(() => kill(soldier), lifeMs);
					const { stopReason, errorMessage } = await soldier.client.prompt("say hi", 180_000);
					if (stopReason === "stop") turns += 1;
					else if (!STOPPED_BY_RULE.test(errorMessage ?? ""))
						failedTurns.push(`${soldier.sender}: ${errorMessage ?? stopReason ?? "no answer"}`);
				}
			} catch (error) {
				if (soldier.killedAt === undefined)
					failedTurns.push(`${soldier.sender}: ${String(error)}\nlocks: ${locksIn(dir.dir).join(", ")}`);
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
			const soldier = soldiers.find(({ sender }) => sender === request.sender);
			if (soldier?.answersLeft === undefined || isOver) continue;
			soldier.answersLeft -= 1;
			if (soldier.answersLeft >= 0) continue;
			const delayMs = DELAYS_AFTER_ANSWER_MS[Math.floor(random() * DELAYS_AFTER_ANSWER_MS.length)] ?? 0;
			if (delayMs === 0) kill(soldier);
			else setTimeout(() => kill(soldier), delayMs);
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

	/** Nobody waits for an answer that a dead process was given: for its note the minute is over at once. */
	const letTheDeadRest = async () => {
		const forgiven = new Set<string>();
		while (goesOn()) {
			await new Promise((resolve) => setTimeout(resolve, 100));
			const ofTheDead = soldiers.filter(({ killedAt }) => killedAt !== undefined).map(({ sender }) => sender);
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

	void watchAnswers();
	const others = [signInAgain(), letTheDeadRest()];
	const posts = Array.from({ length: size.processes }, (_, post) => hold(post, post % 2 === 0));
	await Promise.all([...posts, ...others]);
	isOver = true;
	await Promise.all(
		soldiers.map(async (soldier) => {
			if (soldier.killedAt !== undefined) return soldier.client.process.wait();
			// Exchanges and writes under way are waited for, and the lock of a dead process.
			const { signal } = await soldier.client.close(60_000);
			if (signal !== null) failedTurns.push(`${soldier.sender}: did not end by itself`);
		}),
	);
	const broken = brokenFiles(bench);
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
		...judge(requests, soldiers, new Set(stored.values()), signIns),
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
	soldiers: readonly Soldier[],
	stored: ReadonlySet<string>,
	signIns: readonly SignIn[],
): Pick<StressReport, "sentTwice" | "lostByTheLiving"> {
	const deathOf = (request: RecordedRequest) =>
		soldiers.find(({ sender }) => sender === request.sender)?.killedAt ?? Number.POSITIVE_INFINITY;
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
			const isLiving = deathOf(later) === Number.POSITIVE_INFINITY;
			if (isLiving && !isReplaced) lostByTheLiving.push(`one of ${later.account}, by ${later.sender}`);
		}
	}
	return { sentTwice, lostByTheLiving };
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
