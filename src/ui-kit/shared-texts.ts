import { type Account, printable } from "../core/account.ts";
import type { MachineUse, OtherMachine, PoolConnection, SharedPoolStatus, SharedUse } from "../core/shared-pool.ts";
import { formatDuration, formatPast, plural } from "./format.ts";

/** More machines than this are counted instead of named. */
const MOST_NAMED = 4;

/** Lists names of machines; of many only the first few. */
export function machineList(machines: readonly { readonly name: string }[]): string {
	const named = machines.slice(0, MOST_NAMED).map(({ name }) => printable(name));
	const more = machines.length - named.length;
	return [...named, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

/** Describes a machine in a list: what it works on, and when it was seen. */
export function machineText({ name, sessions, seenAt }: OtherMachine, now: number): string {
	const total = [...sessions.values()].reduce((sum, count) => sum + count, 0);
	const work = total === 0 ? "no session" : plural(total, "session");
	const age = now - seenAt;
	return `${printable(name)}: ${work}, seen ${age < 60_000 ? "just now" : `${formatDuration(age)} ago`}`;
}

/** Returns which other machines work on an account, such as `2 sessions on desk`; undefined if none do. */
export function usersText(users: readonly MachineUse[]): string | undefined {
	if (users.length === 0) return undefined;
	const total = users.reduce((sum, { sessions }) => sum + sessions, 0);
	return `${plural(total, "session")} on ${machineList(users.map(({ machine: name }) => ({ name })))}`;
}

/** Describes a shared account: `in the pool pi, 2 sessions on desk`. */
export function sharedText({ pool, users }: SharedUse): string {
	return [`in the pool ${printable(pool)}`, usersText(users) ?? []].flat().join(", ");
}

/** Returns the same for a JSON document. */
export function sharedUseAsJson({ users, renewal }: SharedUse) {
	return { machines: users.map(({ machine: name, sessions }) => ({ name, sessions })), renewal };
}

/** Follows the label of a shared account in a table. */
export const SHARED_SIGN = "⇄";

/** Returns the label of an account, with a sign if it is shared. */
export function signedLabel({ label, shared }: Pick<Account, "label" | "shared">): string {
	return shared ? `${label} ${SHARED_SIGN}` : label;
}

/** `⇄ pi with desk, ci`: the pool in the first line of a screen, preceded by the sign of its accounts. */
export function poolHeadline({ name, others, connection }: SharedPoolStatus): string {
	const pool = `${SHARED_SIGN} ${printable(name)}`;
	if (connection.kind === "away") return `${pool} away`;
	return others.length > 0 ? `${pool} with ${machineList(others)}` : pool;
}

/** Describes the state of a machine's connection to the database of its pool. */
export function connectionText(connection: PoolConnection, now: number): string {
	switch (connection.kind) {
		case "unknown":
			return "its database has not been checked yet";
		case "connected":
			if (connection.listens === undefined) return "connected";
			return connection.listens
				? "connected, changes arrive at once"
				: "connected, checks for changes once a minute: notifications do not arrive";
		case "resting":
			return `not connected until its next use, last looked ${formatPast(connection.lookedAt, now)}`;
		case "followed":
			return `another pi on this machine is connected, last looked ${formatPast(connection.lookedAt, now)}`;
		case "away":
			return `${awayWord(connection)} since ${formatPast(connection.since, now)}: ${printable(connection.text)}`;
	}
}

/**
 * Returns the word for a database that cannot be used. An unreachable one may come back by itself; anything else needs
 * a person.
 */
export function awayWord({ problem }: Extract<PoolConnection, { kind: "away" }>): string {
	return problem === "away" ? "away" : "not usable";
}
