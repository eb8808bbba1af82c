import type { RecordedRequest } from "../../support/fake-codex/index.ts";

/** One process of the fleet, as far as the verdict asks: how the backend knows it, and when it was killed (epoch ms). */
export interface Sender {
	readonly name: string;
	readonly machine: string;
	readonly killedAt: number | undefined;
}

/** What is known of the end of a run. */
export interface Evidence {
	/** Requests to the token endpoint, oldest first. */
	readonly tokens: readonly RecordedRequest[];
	readonly senders: readonly Sender[];
	/** Refresh tokens that rows hold at the end. */
	readonly stored: ReadonlySet<string>;
	/** When a person has signed in an account again, epoch ms. */
	readonly signIns: readonly { readonly account: string; readonly at: number }[];
	/** Refresh tokens whose claims were made older by hand: the minute was over at once. */
	readonly aged: ReadonlySet<string>;
	/** Until when the access token that came with a refresh token is good, epoch ms. */
	readonly accessEndOf: (refresh: string) => number | undefined;
}

/** A claim without an outcome holds this long, and as long as the access token has more than ten minutes left. */
const UNANSWERED_MS = 60_000;
const LAST_MINUTES_MS = 10 * 60_000;
/** A claim so old is sent no more. The request follows it within this time. */
const CLAIM_TO_REQUEST_MS = 20_000;
/** Between two clocks. */
const SLACK_MS = 3000;
/** Who lives this long after an answer has had the time to store it. */
const STORING_MS = 10_000;

function isExchange({ body }: RecordedRequest): boolean {
	return body?.grant_type === "refresh_token";
}

/** Nothing was spent, and the sender knows it. */
function isUnspent({ status, answer, endedAt, issuedRefresh }: RecordedRequest): boolean {
	const isTold = endedAt !== undefined && status !== undefined && status >= 400 && status !== 401 && answer !== "threw";
	return isTold && issuedRefresh === undefined;
}

/** Refresh tokens that were sent more often than they may be. */
export function sentTwice({ tokens, senders, stored, aged, accessEndOf }: Evidence): string[] {
	const sent = new Map<string, RecordedRequest[]>();
	for (const request of tokens.filter(isExchange)) {
		const token = String(request.body?.refresh_token);
		sent.set(token, [...(sent.get(token) ?? []), request]);
	}
	const deathOf = deaths(senders);
	const isInUse = (next: string | undefined) => next !== undefined && (sent.has(next) || stored.has(next));
	const problems: string[] = [];
	for (const [token, each] of sent) {
		for (const [index, later] of each.entries()) {
			for (const earlier of each.slice(0, index)) {
				const isOver = earlier.endedAt !== undefined && earlier.endedAt <= later.at;
				if (isOver && isUnspent(earlier)) continue;
				const wasDead = deathOf(earlier.sender) <= later.at;
				const gapMs = later.at - earlier.at;
				const isLate = aged.has(token) || gapMs >= UNANSWERED_MS - CLAIM_TO_REQUEST_MS - SLACK_MS;
				const leftMs = (accessEndOf(token) ?? 0) - later.at;
				const wasDue = leftMs <= LAST_MINUTES_MS + SLACK_MS;
				if (wasDead && isLate && wasDue && !isInUse(earlier.issuedRefresh)) continue;
				const how = [
					wasDead ? "dead by then" : "alive",
					isLate ? "the minute was over" : `after ${gapMs} ms`,
					wasDue ? "near the end" : `${Math.round(leftMs / 60_000)} min before the end`,
					isInUse(earlier.issuedRefresh) ? "the next one was stored" : "the next one was stored nowhere",
				];
				problems.push(`one of ${later.account}: by ${earlier.sender}, then by ${later.sender} (${how.join(", ")})`);
			}
		}
	}
	return problems;
}

/** New refresh tokens that reached a process which lived on, and that were stored nowhere. */
export function lostByTheLiving({ tokens, senders, stored, signIns }: Evidence): string[] {
	const deathOf = deaths(senders);
	const sent = new Set(tokens.filter(isExchange).map(({ body }) => String(body?.refresh_token)));
	return tokens.flatMap((request) => {
		const { issuedRefresh: next, sender, endedAt, clientGone, account } = request;
		if (next === undefined || sent.has(next) || stored.has(next)) return [];
		if (signIns.some((each) => each.account === account && each.at >= request.at)) return [];
		if (clientGone || endedAt === undefined || request.answer === "resetAfterRotation") return [];
		return deathOf(sender) - endedAt > STORING_MS ? [`one of ${account}, by ${sender}`] : [];
	});
}

/** What came for a token right before its process was killed, and was stored all the same. */
export function savedFromTheDead({ tokens, senders, stored }: Evidence, withinMs: number): RecordedRequest[] {
	const deathOf = deaths(senders);
	const sent = new Set(tokens.filter(isExchange).map(({ body }) => String(body?.refresh_token)));
	return tokens.filter(({ issuedRefresh: next, endedAt = 0, sender }) => {
		return next !== undefined && (sent.has(next) || stored.has(next)) && deathOf(sender) - endedAt <= withinMs;
	});
}

function deaths(senders: readonly Sender[]): (sender: string | undefined) => number {
	const byName = new Map(senders.map(({ name, killedAt }) => [name, killedAt]));
	return (sender = "") => byName.get(sender) ?? Number.POSITIVE_INFINITY;
}
