import { type Account, printable } from "../../core/account.ts";
import type { DecisionKind, LoggedDecision } from "../../core/decision.ts";
import { iso } from "../../core/iso-time.ts";
import { ownValue } from "../../core/own-value.ts";
import type { LogDocument } from "../../pi/json-schemas.ts";
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

/** The JSON document of `log --json`, version 1: the lines of the log as an array, the newest last. Ids only. */
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

/** The same for a person: one entry a decision, in lines of `columns`, with labels and the local clock. */
export function logAsText(
	decisions: readonly LoggedDecision[],
	accounts: readonly Account[],
	now: number,
	columns: number,
): string {
	if (decisions.length === 0) return "No decision has been logged yet.";
	const labels = new Map(accounts.map(({ id, label }) => [id, label]));
	// Of an account that has left, its id.
	const nameOf = (id: string | undefined) => (id === undefined ? "?" : (labels.get(id) ?? id));
	return decisions
		.flatMap((decision) => {
			const what = printable(`${sentence(decision, nameOf, now)}${dayOf(decision, now)}`);
			return hanging(`${formatPast(decision.at, now)}  `, what, columns);
		})
		.join("\n");
}

/** What a person has changed is looked for by its day, also on that day. */
const BY_DAY: ReadonlySet<DecisionKind> = new Set([
	"added",
	"signed-in",
	"removed",
	"restored",
	"renamed",
	"enabled",
	"disabled",
	"setting",
	"backups-deleted",
]);

function dayOf({ kind, at }: LoggedDecision, now: number): string {
	const isToday = new Date(at).toDateString() === new Date(now).toDateString();
	return BY_DAY.has(kind) && isToday ? ` (${formatDay(at)})` : "";
}

/** Why an account began a session, by the term that decided. */
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
};

/** How an account came or left. */
const SOURCES: Readonly<Record<string, string>> = {
	login: "by a sign-in",
	pi: "by pi's own login",
	"pi logout": "pi was signed out",
};

function sentence(decision: LoggedDecision, nameOf: (id: string | undefined) => string, now: number): string {
	const { kind, reason, decidedBy, total, cooling, untried, leftPercent, window } = decision;
	const account = nameOf(decision.account);
	const until =
		decision.until === undefined ? undefined : `${about(decision.guessed)}${formatClock(decision.until, now)}`;
	const why = humanize(reason ?? "?");
	switch (kind) {
		case "chosen":
			return `${account}: started, ${decidedBy === undefined ? "the only one" : (ownValue(CHOSEN_FOR, decidedBy) ?? humanize(decidedBy))}`;
		case "rotated": {
			const cause = window !== undefined && reason === "usage_limit" ? `${windowLabel(window)} limit` : why;
			return `${nameOf(decision.from)} → ${account}: ${cause}${until ? `, back ${until}` : ""}`;
		}
		case "switched":
			return `${nameOf(decision.from)} → ${account}: by ${reason === "user" ? "hand" : why}`;
		case "pinned":
			return `${account}: pinned`;
		case "unpinned":
			return "unpinned";
		case "cooling":
			return `${account}: ${reason === "usage_limit" || reason === "workspace_limit" ? "out of quota" : "resting"} until ${until ?? "?"}, ${why}${partOf(decision.scope)}`;
		case "recovered":
			return `${account}: back, by ${reason === "reset" ? "hand" : "newer usage"}${partOf(decision.scope)}`;
		case "added":
			return `${account}: added${wayOf(reason)}`;
		case "signed-in":
			return `${account}: signed in again`;
		case "removed":
			return `${account}: removed${wayOf(reason)}`;
		case "restored":
			return `${account}: put back`;
		case "renamed":
			return `${account}: has another label`;
		case "enabled":
			return `${account}: on again, by hand`;
		case "disabled":
			return `${account}: off, by hand`;
		case "setting":
			return `setting ${decision.setting ?? "?"} is ${decision.value ?? "?"}`;
		case "backups-deleted":
			return `backups of removed accounts deleted${total === undefined ? "" : `: ${total}`}`;
		case "signed-out":
			return `${account}: signed out, ${why}`;
		case "closed":
			return `${account}: off, ${why}`;
		case "last-one":
			return `${account}: the last one, ${formatPercent(leftPercent ?? 0)} of its ${windowLabel(window ?? "?")} limit left`;
		case "on-credits":
			return `${account}: goes on with bought credits${until ? ` until ${until}` : ""}`;
		case "defect": {
			const [frame] = decision.frames ?? [];
			return `a defect of pi-multicodex: ${decision.error ?? "?"}${frame === undefined ? "" : ` at ${frame}`} (${why})`;
		}
		case "exhausted":
			if (untried) return `given up: ${cooling ?? "?"} of ${total ?? "?"} not ready, ${untried} not tried`;
			return `no account left: ${cooling ?? "?"} of ${total ?? "?"} not ready${until ? `, first back ${until}` : ""}`;
	}
}

/** How an account came or left, where that is known. */
function wayOf(reason: string | undefined): string {
	return reason === undefined ? "" : `, ${ownValue(SOURCES, reason) ?? humanize(reason)}`;
}

/** Where not the whole account is meant. */
function partOf(scope: string | undefined): string {
	return scope === undefined || scope === "account" ? "" : ` (${scope.replace(":", " ")})`;
}
