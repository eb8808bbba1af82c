import { type Account, printable } from "../../core/account.ts";
import type { DecisionKind, LoggedDecision } from "../../core/decision.ts";
import { iso } from "../../core/iso-time.ts";
import { ownValue } from "../../core/own-value.ts";
import type { LogDocument } from "../../pi/json-schemas.ts";
import { isReserveLimit } from "../../platform/backend/reserve-limit.ts";
import {
	about,
	formatClock,
	formatDay,
	formatPast,
	formatPercent,
	hanging,
	humanize,
	windowLabel,
} from "../../ui-kit/format.ts";

/** Returns the document of `log --json`, version 1: the lines of the log as an array, newest last. Ids only. */
export function logAsJson(decisions: readonly LoggedDecision[]): LogDocument {
	return {
		version: 1,
		decisions: decisions.map(({ at, until, ...rest }) => ({
			at: iso(at),
			...rest,
			...(until !== undefined && { until: iso(until) }),
		})),
	};
}

/** Formats the log: one entry per decision, in lines of `columns`, with labels and the local clock. */
export function logAsText(
	decisions: readonly LoggedDecision[],
	accounts: readonly Account[],
	now: number,
	columns: number,
): string {
	if (decisions.length === 0) return "No decision has been logged yet.";
	const labels = new Map<string, string>(accounts.map(({ id, label }) => [id, label]));
	// Shows the id of an account that has left.
	const nameOf = (id: string | undefined) => (id === undefined ? "?" : (labels.get(id) ?? id));
	return decisions
		.flatMap((decision) => {
			const what = printable(`${sentence(decision, nameOf, now)}${dayOf(decision, now)}`);
			return hanging(`${formatPast(decision.at, now)}  `, what, columns);
		})
		.join("\n");
}

function dayOf({ kind, at }: LoggedDecision, now: number): string {
	const isToday = new Date(at).toDateString() === new Date(now).toDateString();
	return "byDay" in LINES[kind] && isToday ? ` (${formatDay(at)})` : "";
}

/** Why a session started on an account, by the term that decided. */
const CHOSEN_FOR: Readonly<Record<string, string>> = {
	pin: "pinned",
	session: "it served the session last",
	reserve: "the others are in reserve",
	room: "it has room",
	fresh: "the freshest",
	expires: "its quota expires soonest",
	headroom: "most left",
	live: "the least busy",
	turn: "its turn",
	list: "first in the list",
	credits: "on bought credits",
	"reserve-model": "on Luna Reserve",
	trial: "what is known of it is old, or a guess",
};

/** How an account joined or left. */
const SOURCES: Readonly<Record<string, string>> = {
	login: "by a sign-in",
	pi: "by pi's own login",
	"pi logout": "pi was signed out",
};

/** A decision with the names and words that its line needs. */
interface Told extends LoggedDecision {
	/** Labels, or the ids of accounts that have left. */
	readonly name: string;
	readonly formerName: string;
	/** `until` on the clock. */
	readonly clock: string | undefined;
	/** The reason in words. */
	readonly why: string;
}

interface LogLine {
	readonly text: (told: Told) => string;
	/** True for what a person did. It is looked up by its day, so the day is shown even if it is today. */
	readonly byDay?: true;
}

/** What of a window was reached, by the reason for a rotation. */
const SPENT_WORDS: ReadonlyMap<string, string> = new Map([
	["usage_limit", "limit"],
	["capped", "cap"],
]);

function chosenFor(decidedBy: string | undefined): string {
	if (decidedBy === undefined) return "the only one that could serve";
	return ownValue(CHOSEN_FOR, decidedBy) ?? humanize(decidedBy);
}

/** The line for each kind of decision. */
const LINES = {
	chosen: {
		text: ({ name, decidedBy }) => `${name}: started, ${chosenFor(decidedBy)}`,
	},
	rotated: {
		text: ({ name, formerName, window, reason, why, clock }) => {
			const spent = SPENT_WORDS.get(reason ?? "");
			const cause = window !== undefined && spent !== undefined ? `${windowLabel(window)} ${spent}` : why;
			return `${formerName} to ${name}: ${cause}${clock ? `, back ${clock}` : ""}`;
		},
	},
	switched: {
		text: ({ name, formerName, reason, why }) => `${formerName} to ${name}: by ${reason === "user" ? "hand" : why}`,
	},
	pinned: { text: ({ name }) => `${name}: pinned` },
	unpinned: { text: () => "unpinned" },
	cooling: {
		text: ({ name, reason, clock, why, scope }) => {
			const state = reason === "usage_limit" || reason === "workspace_limit" ? "out of quota" : "resting";
			const because = reason === "usage_limit" ? "" : `, ${why}`;
			return `${name}: ${state} until ${clock ?? "?"}${because}${partOf(scope)}`;
		},
	},
	recovered: {
		text: ({ name, reason, scope }) =>
			`${name}: back, by ${reason === "reset" ? "hand" : "newer usage"}${partOf(scope)}`,
	},
	added: { text: ({ name, reason }) => `${name}: added${wayOf(reason)}`, byDay: true },
	"signed-in": { text: ({ name }) => `${name}: signed in again`, byDay: true },
	removed: { text: ({ name, reason }) => `${name}: removed${wayOf(reason)}`, byDay: true },
	merged: { text: ({ name, formerName }) => `${name}: merged with its duplicate ${formerName}`, byDay: true },
	restored: { text: ({ name }) => `${name}: put back`, byDay: true },
	renamed: { text: ({ name }) => `${name}: renamed`, byDay: true },
	enabled: { text: ({ name }) => `${name}: on again, by hand`, byDay: true },
	disabled: { text: ({ name }) => `${name}: off, by hand`, byDay: true },
	shared: { text: ({ name }) => `${name}: moved into the shared pool, for all its machines`, byDay: true },
	unshared: { text: ({ name }) => `${name}: taken out of the shared pool, this machine's own again`, byDay: true },
	setting: { text: ({ setting, value }) => `setting ${setting ?? "?"} is ${value ?? "?"}`, byDay: true },
	"backups-deleted": {
		text: ({ total }) => `backups of removed accounts deleted${total === undefined ? "" : `: ${total}`}`,
		byDay: true,
	},
	"pool-created": { text: () => "shared pool created", byDay: true },
	"pool-joined": { text: ({ reason }) => `shared pool joined, as a ${reason ?? "?"}`, byDay: true },
	"pool-left": { text: () => "shared pool left", byDay: true },
	"pool-new-keys": { text: () => "shared pool: new keys, older join codes have ended", byDay: true },
	"pool-away": { text: ({ reason }) => `shared pool away: ${problemInWords(reason)}` },
	"pool-back": { text: () => "shared pool back" },
	"renewed-elsewhere": { text: ({ name }) => `${name}: sign-in renewed by another machine` },
	"signed-out": { text: ({ name, why }) => `${name}: signed out, ${why}` },
	closed: { text: ({ name, why }) => `${name}: off, ${why}` },
	"last-one": {
		text: ({ name, leftPercent, window }) =>
			`${name}: the last one, ${formatPercent(leftPercent ?? 0)} of its ${windowLabel(window ?? "?")} limit left`,
	},
	"pool-low": { text: ({ clock }) => `the pool runs out at about ${clock ?? "?"}, according to the forecast` },
	"on-credits": {
		text: ({ name, clock }) => `${name}: continues on bought credits${clock ? ` until ${clock}` : ""}`,
	},
	"on-reserve-model": {
		text: ({ name, model, leftPercent }) =>
			`${name}: continues with Luna Reserve (${model ?? "?"})${leftPercent === undefined ? "" : `, ${formatPercent(leftPercent)} left`}`,
	},
	"on-included": { text: ({ name }) => `${name}: serves from included quota again` },
	redeemed: { text: ({ name }) => `${name}: windows reset, by a reset credit`, byDay: true },
	"not-redeemed": { text: ({ name, why }) => `${name}: no reset credit redeemed, ${why}` },
	defect: {
		text: ({ error, frames, why }) => {
			const [frame] = frames ?? [];
			return `a defect of pi-multicodex: ${error ?? "?"}${frame === undefined ? "" : ` at ${frame}`} (${why})`;
		},
	},
	"chain-serves": {
		text: ({ link, formerLink, paid, account, name, clock }) => {
			const instead = formerLink === undefined ? "no account can serve" : `in place of ${formerLink}`;
			const back = account === undefined || clock === undefined ? "" : `, ${name} back ${clock}`;
			return `${link ?? "?"} serves: ${instead}${paid ? ", paid" : ""}${back}`;
		},
	},
	"chain-left": { text: ({ link }) => `the pool serves again, in place of ${link ?? "?"}` },
	"link-closed": {
		text: ({ link, reason, clock }) =>
			`${link ?? "?"}: not asked${clock ? ` before ${clock}` : ""}, ${linkReason(reason)}`,
	},
	exhausted: {
		text: ({ total, cooling, untried, clock }) => {
			const back = clock ? `, first back ${clock}` : "";
			if (untried) return `gave up${restingOf(cooling, total)}, ${untried} not tried${back}`;
			return `no account left${restingOf(cooling, total)}${back}`;
		},
	},
} satisfies Record<DecisionKind, LogLine>;

function sentence(decision: LoggedDecision, nameOf: (id: string | undefined) => string, now: number): string {
	const { kind, account, from, until, guessed, reason } = decision;
	return LINES[kind].text({
		...decision,
		name: nameOf(account),
		formerName: nameOf(from),
		clock: until === undefined ? undefined : `${about(guessed)}${formatClock(until, now)}`,
		why: humanize(reason ?? "?"),
	});
}

/** Returns why a link of the chain was closed. A newer version may have a reason that is unknown here. */
function linkReason(reason = "?"): string {
	const known: Readonly<Record<string, string>> = {
		quota: "out of quota",
		"sign-in": "its sign-in or key was not accepted",
		model: "its provider does not offer the model",
		unreached: "it could not be reached",
	};
	return ownValue(known, reason) ?? humanize(reason);
}

/** Returns what is wrong with a shared pool. A newer version may have a problem that is unknown here. */
function problemInWords(problem = "?"): string {
	const known: Readonly<Record<string, string>> = {
		away: "its database could not be reached",
		refused: "its database refused the password or the role",
		no_rights: "the role has no rights to its tables",
		read_only: "its database is read-only",
		full: "its database is full",
		newer: "its tables are of a newer version",
		no_pool: "no pool is in the database",
		other_pool: "another pool is in the database",
		revoked: "its keys were replaced",
		bad_url: "its URL cannot be used",
		untrusted: "the certificate of its database cannot be verified",
	};
	return ownValue(known, problem) ?? humanize(problem);
}

/**
 * Returns how many accounts could not serve because they cooled or were out of quota. The log explains the others by
 * itself.
 */
function restingOf(cooling: number | undefined, total: number | undefined): string {
	if (!cooling || total === undefined) return "";
	return `: ${cooling} of ${total} resting or out of quota`;
}

/** Returns how an account joined or left, if known. */
function wayOf(reason: string | undefined): string {
	return reason === undefined ? "" : `, ${ownValue(SOURCES, reason) ?? humanize(reason)}`;
}

/** Names the part of an account, if not all of it is meant. */
function partOf(scope: string | undefined): string {
	if (scope === undefined || scope === "account") return "";
	return isReserveLimit(scope.replace("limit:", "")) ? " (Luna Reserve)" : ` (${scope.replace(":", " ")})`;
}
