import type { RecordedRequest } from "../../support/fake-codex/index.ts";
import type { Asked, Journal } from "./journal.ts";
import type { TurnReport } from "./orders.ts";
import { NAMES, type World } from "./world.ts";

/** A turn, and what has to be known beside it. */
export interface Turn {
	readonly report: TurnReport;
	/** The session's process and seat: who remembers what it was told. */
	readonly seat: string;
	/** Accounts that a command has had its hands on meanwhile; all of them while the extension is switched off. */
	readonly touched: (name: string) => boolean;
	/** Cooldowns were reset between these times. */
	readonly wasReset: (from: number, to: number) => boolean;
	/** Clocks and disks were right all the time: what one process knows, every other one knows. */
	readonly isPlain: boolean;
	/**
	 * No process was killed or stood still for a while before: what one process has learnt every other one has read by
	 * now.
	 */
	readonly isSettled: (from: number) => boolean;
	/** How long the process stood still meanwhile, ms. */
	readonly stoppedMs: number;
}

/** Longer than every wait that has a bound: that for an exchange is the longest. */
const LONGEST_TURN_MS = 60_000;
const LONGEST_ABORT_MS = 5000;
/** A token that ends sooner is not sent any more. */
const LAST_MOMENT_MS = 7000;
/** Rests before the told end may be over: seconds are rounded. */
const ROUNDING_MS = 1000;
/** A file that was changed this long before a turn is what the turn sees. */
const SETTLED_MS = 300;
const MOST_ACCOUNTS = 6;
/** What was written at once is read by every process after so long, however busy the machine is. */
const SPREAD_MS = 3000;

/** Judges one turn by what the backend was asked and has answered. */
export function judgeTurn(turn: Turn, journal: Journal, world: World, memory: Memory): string[] {
	const { report } = turn;
	const asked = journal.requests.get(report.turn) ?? [];
	const problems = [...report.problems];
	const [shown] = report.shown;
	const later = shown === undefined ? [] : asked.filter(({ number }) => number > shown);
	if (later.length > 0)
		problems.push(`asked again after output was shown: ${later.map(({ account }) => account).join(", ")}`);
	if (shown !== undefined && !asked.some(({ number }) => number === shown)) problems.push("an answer of another turn");
	const length = report.endedAt - report.startedAt - turn.stoppedMs;
	if (length > LONGEST_TURN_MS) problems.push(`it took ${Math.round(length / 1000)} s`);
	if (report.abortedAt !== undefined) {
		const abortMs = report.endedAt - report.abortedAt - turn.stoppedMs;
		if (abortMs > LONGEST_ABORT_MS) problems.push(`it ended ${Math.round(abortMs)} ms after its abort`);
	}
	if (report.reason === "off" && !turn.touched("all")) problems.push("nothing of ours was there to serve it");
	if (report.reason === "none") problems.push("it has no final event");
	if (report.reason === "aborted" && report.abortedAt === undefined) problems.push("it was aborted without a key");
	if (/could not handle this request/.test(report.words)) problems.push("a defect of ours ended it");
	const moved = asked.findIndex(({ fault, account, isSocket }, index) => {
		const next = asked[index + 1];
		const sequel = sequelOf({ fault, isSocket });
		return sequel === "stays" && next !== undefined && next.account !== account;
	});
	if (moved >= 0) problems.push(`another account was asked after "${asked[moved]?.fault.name}"`);
	const [twice] = asked.filter(({ account, fault, at }, index) => {
		const again = asked.slice(index + 1).find((later) => later.account === account);
		return fault.rests === "told" && again !== undefined && !wasCorrected(account, at, again.at, journal);
	});
	if (twice && turn.isPlain && !turn.wasReset(report.startedAt, report.endedAt))
		problems.push(`${twice.account} was asked again after "${twice.fault.name}"`);
	const users = report.meant.map((user) => NAMES.find((name) => world.codex.account(name).userId === user));
	if (!isPartOf(asked, users))
		problems.push(
			`${asked.map(({ account }) => account).join(", ")} got requests that were meant for ${users.join(", ") || "none"}`,
		);
	problems.push(...memory.look(turn, asked, journal, world));
	if (report.reason === "error" && turn.isPlain) {
		const missed = answerable(turn, asked, journal, world);
		if (missed.length > 0)
			problems.push(
				`an answer was possible on ${missed.map((name) => storyOf(name, world, journal)).join(", ")}: ${report.words}`,
			);
	}
	return problems;
}

/** Whether requests went to the accounts that they were meant for, in that order. Of some of them none went out. */
function isPartOf(asked: readonly Asked[], users: readonly (string | undefined)[]): boolean {
	let at = 0;
	return asked.every(({ account }) => {
		// The host itself may ask the same one again.
		while (at < users.length && users[at] !== account) at += 1;
		return at < users.length;
	});
}

function sequelOf({ fault, isSocket }: Pick<Asked, "fault" | "isSocket">) {
	return (isSocket ? fault.overSocket : undefined) ?? fault.sequel;
}

/** Accounts that could have answered a turn that ended with an error; none where it had a right to end. */
function answerable({ report, touched }: Turn, asked: readonly Asked[], journal: Journal, world: World): string[] {
	const last = asked.at(-1);
	const sequel = last && sequelOf(last);
	if (report.shown.length > 0 || ["ends", "stays", "open"].includes(sequel ?? "")) return [];
	if (sequel === "again" && asked.filter(({ fault }) => fault.name === last?.fault.name).length > 1) return [];
	// The backend itself refuses a continuation that it does not know; the host asks again without one, once.
	if (/previous.response/i.test(report.words)) return [];
	const tried = new Set(asked.map(({ account }) => account));
	if (tried.size >= MOST_ACCOUNTS || (sequel === "once" && tried.size > 1)) return [];
	if (/in a row were signed out/.test(report.words) && signInsLost(report, asked, journal) > 1) return [];
	const during = journal.snapshots.filter(({ at }) => at >= report.startedAt - 100 && at <= report.endedAt + 100);
	if (during.length < 2) return [];
	return NAMES.filter((name) => {
		if (tried.has(name) || touched(name)) return false;
		const rests = journal.rests.some(
			({ account, from, until }) =>
				account === name && from <= report.endedAt && until >= report.startedAt - ROUNDING_MS,
		);
		if (rests) return false;
		return during.every(({ usable }) => {
			const token = usable.get(name);
			return token !== undefined && lastsUntil(token.access, report.endedAt + LAST_MOMENT_MS, world);
		});
	});
}

/** An account, what the file says keeps it away, and when the backend last gave a reason to. */
function storyOf(name: string, world: World, journal: Journal): string {
	const now = Date.now();
	const stored = world.cooldowns(name).map(({ scope, reason, until, setAt }) => {
		return `${scope} ${reason} since ${now - Number(setAt ?? 0)} ms for ${until - now} ms`;
	});
	const rests = journal.rests.filter(({ account }) => account === name).slice(-2);
	const given = rests.map(({ from, until, turn }) => `${now - from} ms ago to ${turn}, until ${until - now}`);
	return `${name} (stored: ${stored.join("; ") || "nothing"}; last reasons: ${given.join("; ") || "none"})`;
}

function signInsLost({ startedAt, endedAt }: TurnReport, asked: readonly Asked[], journal: Journal): number {
	const byBackend = new Set(asked.filter(({ fault }) => fault.isSignInGone).map(({ account }) => account));
	for (const { account, at, endedAt: answeredAt = at, status } of journal.tokens) {
		const isMeanwhile = answeredAt >= startedAt - 100 && at <= endedAt;
		if (status === 401 && account !== undefined && isMeanwhile) byBackend.add(account);
	}
	return byBackend.size;
}

function lastsUntil(access: string, at: number, { codex }: World): boolean {
	if (codex.accessState(access) !== "valid") return false;
	const payload: unknown = JSON.parse(Buffer.from(access.split(".")[1] ?? "", "base64").toString());
	const expires = typeof payload === "object" && payload !== null && "exp" in payload ? Number(payload.exp) * 1000 : 0;
	return expires > at;
}

/** What sessions were told, to see whether they heed it. */
export interface Memory {
	look(turn: Turn, asked: readonly Asked[], journal: Journal, world: World): string[];
}

/** Usage since a refusal at `from` has reported that the account is back by `to`: a known reset counts. */
function wasCorrected(account: string, from: number, to: number, { rests }: Pick<Journal, "rests">): boolean {
	const isOfUsage = (rest: Journal["rests"][number]) => rest.account === account && rest.turn === undefined;
	return rests.some((rest) => isOfUsage(rest) && rest.from >= from && rest.told - ROUNDING_MS <= to);
}

/** Keeps in mind which seat was told by which account that its quota is back at a certain time. */
export function createMemory(): Memory {
	const told = new Map<
		string,
		{ readonly at: number; readonly knownAt: number; readonly until: number; readonly what: string }
	>();
	return {
		look: (turn, asked, journal) => {
			const problems: string[] = [];
			const { report, seat, isPlain, wasReset } = turn;
			for (const { account, at, record } of asked) {
				// An answer that ended before a refusal may be dealt with behind it, by another process that is late.
				const lateMs = Math.min(UNDER_WAY_MS, NEWS_UNDER_WAY_MS + 4 * journal.lateness.ms);
				// What should not have been asked for excuses nothing.
				const hasNews = (from: number) =>
					journal.news.some(
						(news) => news.account === account && news.at >= from - lateMs && news.askedAt <= from + lateMs,
					);
				const known = told.get(`${seat} ${account}`);
				const heeds = known && known.knownAt < report.startedAt && record.at < known.until;
				const isExcused = (from: number) => hasNews(from) || wasCorrected(account, from, at, journal);
				if (isPlain && heeds && !wasReset(known.at - UNDER_WAY_MS, at) && !isExcused(known.at))
					problems.push(`${account} was asked ${known.until - record.at} ms before its return ("${known.what}")`);
				const spread = journal.rests.find(
					(rest) =>
						rest.account === account &&
						rest.isTold &&
						rest.turn !== report.turn &&
						rest.from < report.startedAt - SPREAD_MS &&
						rest.told - ROUNDING_MS * 2 > record.at &&
						turn.isSettled(rest.from),
				);
				if (isPlain && spread && !heeds && !wasReset(spread.from - UNDER_WAY_MS, at) && !isExcused(spread.from))
					problems.push(`${account} was asked ${record.at - spread.from} ms after it had told when it is back`);
				const isTold = journal.rests.some(
					({ account: name, from, told: end, isTold: wasTold }) =>
						name === account && wasTold && from < report.startedAt - SETTLED_MS && end - ROUNDING_MS * 2 > record.at,
				);
				const seen = journal.snapshots.filter(
					(each) => each.at > report.startedAt - SETTLED_MS && each.at <= record.at,
				);
				const isCooling = seen.length > 1 && seen.every(({ cooling }) => cooling.has(account));
				if (
					isPlain &&
					isTold &&
					isCooling &&
					!wasReset(report.startedAt - 1000, at) &&
					!hasNews(report.startedAt - 1000)
				)
					problems.push(`${account} was asked although it was cooling in the file all the time`);
			}
			for (const { account, at, fault, restMs } of asked) {
				if (fault.rests !== "told") continue;
				const until = at + restMs - ROUNDING_MS;
				told.set(`${seat} ${account}`, { at, knownAt: report.endedAt, until, what: fault.name });
			}
			return problems;
		},
	};
}

/** What a token request came to, as far as the one that sent it can know. */
function isUnspent({ status, answer, endedAt }: RecordedRequest): boolean {
	return endedAt !== undefined && status !== undefined && status >= 400 && answer !== "threw";
}

/** What was told before may be learnt after: an answer takes its time on a busy machine. */
const UNDER_WAY_MS = 4000;
/** The same on a machine that is at rest, for answers that are not told by hand. */
const NEWS_UNDER_WAY_MS = 500;
const MINUTE_MS = 60_000;
/** From the note of an exchange to its request, however busy the machine is. */
const NOTE_TO_REQUEST_MS = 3000;
/** What came is stored by then, however busy the machine is. */
const STORING_MS = 4000;

/** When a sender died: epoch ms, or never. */
export type Deaths = (sender: string | undefined) => number;

/** Refresh tokens that were sent when they may have been spent. */
export function judgeTokens(
	tokens: readonly RecordedRequest[],
	deathOf: Deaths,
): { readonly what: string; readonly from: number; readonly to: number }[] {
	const sent = new Map<string, RecordedRequest[]>();
	for (const request of tokens) {
		const { body } = request;
		if (body?.grant_type !== "refresh_token") continue;
		const token = String(body.refresh_token);
		sent.set(token, [...(sent.get(token) ?? []), request]);
	}
	const problems: { readonly what: string; readonly from: number; readonly to: number }[] = [];
	for (const each of sent.values()) {
		for (const [index, later] of each.entries()) {
			for (const earlier of each.slice(0, index)) {
				const gapMs = later.at - earlier.at;
				const overlaps = earlier.endedAt === undefined || later.at < earlier.endedAt;
				const isKept = earlier.answer === "withoutRefreshToken";
				const wasDead = deathOf(earlier.sender) <= later.at;
				if (!overlaps && (isKept || (isUnspent(earlier) && (earlier.status !== 401 || wasDead)))) continue;
				// By rule, where no answer came: a minute later, and by then its sender is through with it. That of a sender
				// who was killed begins with its note, before the request.
				const minuteMs = MINUTE_MS - (wasDead ? NOTE_TO_REQUEST_MS : 100);
				if (gapMs >= minuteMs && (!overlaps || wasDead)) continue;
				const what = `${earlier.answer} ${earlier.status ?? "no status"}`;
				problems.push({
					what: `a refresh token of ${later.account} was sent by ${earlier.sender} (${what}) and ${gapMs} ms later by ${later.sender}`,
					from: earlier.at,
					to: later.at,
				});
			}
		}
	}
	return problems;
}

/**
 * Whether an exchange of the account has yet to end, or what came for it to be stored: it goes on behind the turn that
 * wanted it. Until then the token on the disk is spent, and no sign-in is lost.
 */
export function isBeingRenewed(
	account: string,
	{ tokens }: Pick<Journal, "tokens">,
	deathOf: Deaths,
	now: number,
): boolean {
	return tokens.some(({ account: whose, sender, endedAt = now }) => {
		return whose === account && now - endedAt < STORING_MS && deathOf(sender) > now;
	});
}

/** Whether something on record explains that an account's sign-in is over. */
export function isLossExplained(
	account: string,
	since: number,
	journal: Journal,
	deathOf: Deaths,
	isExcused: (at: number) => boolean,
): boolean {
	const isLate = ({ at, endedAt }: RecordedRequest) => (endedAt ?? at) >= since;
	const byExchange = journal.tokens
		.filter((request) => request.account === account && isLate(request))
		.some((request) => {
			const { answer, clientGone, issuedRefresh, sender, at, endedAt = Date.now() } = request;
			if (answer?.startsWith("permanent:")) return true;
			if (issuedRefresh === undefined) return false;
			const isLost = answer === "resetAfterRotation" || answer === "change" || clientGone === true;
			// A process that died soon after has perhaps not stored what it got.
			return isLost || deathOf(sender) <= endedAt + 10_000 || isExcused(at);
		});
	if (byExchange) return true;
	return [...journal.requests.values()].flat().some((asked) => {
		return asked.account === account && asked.at >= since && asked.fault.isSignInGone === true;
	});
}
