import { type Account, printable } from "../../core/account.ts";
import { iso } from "../../core/iso-time.ts";
import { type JoinCodes, type PoolConnection, type SharedPoolStatus, usersOf } from "../../core/shared-pool.ts";
import type { ShareDocument } from "../../pi/json-schemas.ts";
import { formatDuration, hanging, plural } from "../../ui-kit/format.ts";
import { connectionText, machineText, usersText } from "../../ui-kit/shared-texts.ts";
import { whyUnshareable } from "./rules.ts";

/** What `share` shows. */
export interface PoolView {
	readonly status: SharedPoolStatus;
	/** All accounts of this machine, shared or not. */
	readonly accounts: readonly Account[];
	/** Epoch ms. */
	readonly now: number;
}

/** Clocks that differ by less than this count as equal. */
const SLIGHT_MS = 2 * 60_000;

/** Formats the pool in lines of `columns`. */
export function poolAsText({ status, accounts, now }: PoolView, columns: number): string {
	const { name, place, role, machine, joinedBy, connection, others } = status;
	const shared = accounts.filter((account) => account.shared);
	const own = accounts.filter((account) => !account.shared);
	const by = joinedBy === "environment" ? ", by PI_MULTICODEX_POOL" : "";
	const facts: readonly (readonly [string, readonly string[]])[] = [
		["pool", [`${printable(name)} in ${printable(place)}`]],
		["state", [connectionText(connection, now)]],
		["this machine", [`${printable(machine)}, a ${role}${by}`, ...ownTrouble(status)]],
		["others", others.length > 0 ? others.map((other) => machineText(other, now)) : ["none seen in five minutes"]],
		["shared", shared.length > 0 ? shared.map((account) => sharedLine(account, status)) : ["no account"]],
		...(own.length > 0 ? [["only here", own.map(ownLine)] as const] : []),
	];
	const width = Math.max(...facts.map(([head]) => head.length)) + 2;
	return facts
		.flatMap(([head, lines]) =>
			lines.flatMap((line, at) => hanging((at === 0 ? head : "").padEnd(width), line, columns)),
		)
		.join("\n");
}

function ownTrouble({ clockAheadMs = 0, journals }: SharedPoolStatus): string[] {
	const off = Math.abs(clockAheadMs);
	const side = clockAheadMs > 0 ? "ahead of" : "behind";
	return [
		...(off >= SLIGHT_MS ? [`its clock is ${formatDuration(off)} ${side} the database's`] : []),
		...(journals > 0 ? [`${plural(journals, "renewed sign-in")} still to be stored in the database`] : []),
	];
}

function sharedLine(account: Account, status: SharedPoolStatus): string {
	const used = usersText(usersOf(account.id, status));
	return used === undefined ? account.label : `${account.label}: ${used}`;
}

const WHY_HERE = { "pi's own": "pi's own login", elsewhere: "of another pi", "signed out": "signed out" } as const;

function ownLine(account: Account): string {
	const reason = whyUnshareable(account);
	return reason === undefined || reason === "shared" ? account.label : `${account.label}: ${WHY_HERE[reason]}`;
}

/** Returns the document of `share --json`; with codes only if they were requested. */
export function poolAsJson(
	status: SharedPoolStatus | undefined,
	accounts: readonly Account[],
	codes: JoinCodes | undefined = undefined,
): ShareDocument {
	return {
		version: 1,
		pool: status ? poolDocument(status, accounts) : null,
		codes: codes ? { keeper: codes.keeper, runner: codes.runner } : null,
	};
}

function poolDocument(status: SharedPoolStatus, accounts: readonly Account[]): NonNullable<ShareDocument["pool"]> {
	const { name, role, machine, place, joinedBy, connection, others, clockAheadMs, journals } = status;
	return {
		name,
		role,
		machine,
		place,
		joinedBy,
		connection: connectionDocument(connection),
		accounts: accounts.filter(({ shared }) => shared).map(({ id }) => id),
		machines: others.map(({ name: machineName, seenAt, sessions }) => ({
			name: machineName,
			seenAt: iso(seenAt),
			sessions: [...sessions].map(([account, count]) => ({ account, count })),
		})),
		clockAheadMs: clockAheadMs ?? null,
		journals,
	};
}

function connectionDocument(connection: PoolConnection) {
	return {
		state: connection.kind,
		lookedAt: "lookedAt" in connection ? iso(connection.lookedAt) : null,
		listens: connection.kind === "connected" ? (connection.listens ?? null) : null,
		problem: connection.kind === "away" ? connection.problem : null,
		text: connection.kind === "away" ? connection.text : null,
		since: connection.kind === "away" ? iso(connection.since) : null,
	};
}
