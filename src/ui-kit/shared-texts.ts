import { printable } from "../core/account.ts";
import type { AccountId } from "../core/ids.ts";
import type { OtherMachine, PoolConnection, SharedPoolStatus } from "../core/shared-pool.ts";
import { formatClock, formatDuration, formatPast, plural } from "./format.ts";

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
export function usedElsewhere(id: AccountId, { others }: Pick<SharedPoolStatus, "others">): string | undefined {
	const users = others.flatMap(({ name, sessions }) => {
		const count = sessions.get(id) ?? 0;
		return count > 0 ? [{ name, count }] : [];
	});
	if (users.length === 0) return undefined;
	const total = users.reduce((sum, { count }) => sum + count, 0);
	return `${plural(total, "session")} on ${machineList(users)}`;
}

/** How a machine stands to the database of its pool. */
export function connectionText(connection: PoolConnection, now: number): string {
	switch (connection.kind) {
		case "unknown":
			return "its database was not looked at yet";
		case "connected":
			return connection.listens
				? "connected, changes arrive at once"
				: "connected, looks for changes once a minute: notifications do not get through";
		case "resting":
			return `not connected until its next use, last looked ${formatPast(connection.lookedAt, now)}`;
		case "followed":
			return `another pi on this machine is connected, last looked ${formatPast(connection.lookedAt, now)}`;
		case "away":
			return `away since ${formatPast(connection.since, now)}: ${printable(connection.text)}`;
	}
}

/** `pool away`, in few words, with the time since when. */
export function awayText({ since }: Extract<PoolConnection, { kind: "away" }>, now: number): string {
	return `pool away since ${formatClock(since, now)}`;
}
