import { type Account, printable } from "../core/account.ts";
import type { MachineUse, OtherMachine, PoolConnection, SharedPoolStatus, SharedUse } from "../core/shared-pool.ts";
import { formatDuration, formatPast, plural } from "./format.ts";

/** More machines than these are counted, and not named. */
const MOST_NAMED = 4;

/** Names of machines, the first few of many. */
export function machineList(machines: readonly { readonly name: string }[]): string {
	const named = machines.slice(0, MOST_NAMED).map(({ name }) => printable(name));
	const more = machines.length - named.length;
	return [...named, ...(more > 0 ? [`${more} more`] : [])].join(", ");
}

/** A machine in a list: what it works on, and when it was seen. */
export function machineText({ name, sessions, seenAt }: OtherMachine, now: number): string {
	const total = [...sessions.values()].reduce((sum, count) => sum + count, 0);
	const work = total === 0 ? "no session" : plural(total, "session");
	const age = now - seenAt;
	return `${printable(name)}: ${work}, seen ${age < 60_000 ? "just now" : `${formatDuration(age)} ago`}`;
}

/** Which other machines are at work on an account, such as `2 sessions on desk`; undefined where none is. */
export function usersText(users: readonly MachineUse[]): string | undefined {
	if (users.length === 0) return undefined;
	const total = users.reduce((sum, { sessions }) => sum + sessions, 0);
	return `${plural(total, "session")} on ${machineList(users.map(({ machine: name }) => ({ name })))}`;
}

/** `in the pool pi, 2 sessions on desk`: what is to be known of a shared account. */
export function sharedText({ pool, users }: SharedUse): string {
	return [`in the pool ${printable(pool)}`, usersText(users) ?? []].flat().join(", ");
}

/** The same in a document. */
export function sharedUseAsJson({ users, renewal }: SharedUse) {
	return { machines: users.map(({ machine: name, sessions }) => ({ name, sessions })), renewal };
}

/** Behind the label of a shared account in a table. */
export const SHARED_SIGN = "⇄";

/** The label of an account, with the sign of a shared one. */
export function signedLabel({ label, shared }: Pick<Account, "label" | "shared">): string {
	return shared ? `${label} ${SHARED_SIGN}` : label;
}

/** `⇄ pi with desk, ci`: the pool in the first line of a screen, and the sign of its accounts. */
export function poolHeadline({ name, others, connection }: SharedPoolStatus): string {
	const pool = `${SHARED_SIGN} ${printable(name)}`;
	if (connection.kind === "away") return `${pool} away`;
	return others.length > 0 ? `${pool} with ${machineList(others)}` : pool;
}

/** How a machine stands to the database of its pool. */
export function connectionText(connection: PoolConnection, now: number): string {
	switch (connection.kind) {
		case "unknown":
			return "its database was not looked at yet";
		case "connected":
			if (connection.listens === undefined) return "connected";
			return connection.listens
				? "connected, changes arrive at once"
				: "connected, looks for changes once a minute: notifications do not get through";
		case "resting":
			return `not connected until its next use, last looked ${formatPast(connection.lookedAt, now)}`;
		case "followed":
			return `another pi on this machine is connected, last looked ${formatPast(connection.lookedAt, now)}`;
		case "away":
			return `${awayWord(connection)} since ${formatPast(connection.since, now)}: ${printable(connection.text)}`;
	}
}

/** A database that is not reached may be so again by itself; anything else stays until a person has done something. */
export function awayWord({ problem }: Extract<PoolConnection, { kind: "away" }>): string {
	return problem === "away" ? "away" : "not usable";
}
