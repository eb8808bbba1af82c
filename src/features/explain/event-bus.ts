import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { CooldownReason, CooldownScope } from "../../core/cooldown.ts";
import {
	type CoolingCause,
	type EventTable,
	mapEvent,
	type PoolEvent,
	type RotationReason,
	type SwitchCause,
} from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import { iso } from "../../core/iso-time.ts";
import type { Pool } from "../../core/pool/pool.ts";
import type { PoolProblemKind } from "../../core/shared-pool.ts";

/**
 * What other extensions hear on `pi.events`, by channel. Payloads are plain and frozen, and name accounts by their ids,
 * as `show --json` has them. Times are ISO 8601; `null` is "not known".
 */
export interface BusEvents {
	/**
	 * The session goes on with `to`. `how`: it had no account and `chosen` is its first, `from` was refused or found
	 * spent (`rotated`), or it could have served on (`switched`).
	 */
	readonly "multicodex:account:switched": {
		readonly from: AccountId | null;
		readonly to: AccountId;
		readonly cause: RotationReason | SwitchCause;
		readonly how: "chosen" | "rotated" | "switched";
		readonly model: string;
	};
	/** An account (`scope` "account"), or its use of a limit or model, is not offered until `until`. */
	readonly "multicodex:account:cooling": {
		readonly account: AccountId;
		readonly scope: CooldownScope;
		readonly reason: CooldownReason;
		readonly until: string | null;
		readonly cause: CoolingCause;
	};
	/** That is over. Noticed at the next request, or within a minute where a footer is shown. */
	readonly "multicodex:account:recovered": {
		readonly account: AccountId;
		readonly scope: CooldownScope;
		readonly cause: CoolingCause;
	};
	/** An account needs its person to sign in again. */
	readonly "multicodex:account:signed-out": { readonly account: AccountId; readonly reason: string };
	/** An account was switched off: OpenAI has closed it, or its workspace stays disabled. */
	readonly "multicodex:account:closed": { readonly account: AccountId; readonly reason: string };
	/** Windows of an account were reset by one of its reset credits. */
	readonly "multicodex:account:redeemed": { readonly account: AccountId };
	/** What is left of the only account that is ready is at a `threshold`, percent. Once a window and threshold. */
	readonly "multicodex:pool:last-one": {
		readonly account: AccountId;
		readonly window: string;
		readonly leftPercent: number;
		readonly threshold: number;
		readonly resetsAt: string | null;
	};
	/** A forecast says when no account will be able to serve; `account` resets first, at `resetsAt`. */
	readonly "multicodex:pool:low": {
		readonly dryAt: string | null;
		readonly from: string | null;
		readonly to: string | null;
		readonly account: AccountId | null;
		readonly resetsAt: string | null;
	};
	/** The database of the pool that several machines share cannot be used. `problem` is one of `PoolProblemKind`. */
	readonly "multicodex:pool:away": { readonly problem: PoolProblemKind; readonly since: string | null };
	/** It can be used again; `since` is when it could not. */
	readonly "multicodex:pool:back": { readonly since: string | null };
	/** A request found no account to serve it. Counts are of accounts; `readyAt` is when the first is back. */
	readonly "multicodex:pool:exhausted": {
		readonly total: number;
		readonly cooling: number;
		readonly needsLogin: number;
		readonly untried: number;
		readonly readyAt: string | null;
		readonly model: string;
	};
}

/** An event for others: its channel and payload. */
export type BusEvent = { [Channel in keyof BusEvents]: readonly [Channel, BusEvents[Channel]] }[keyof BusEvents];

/** Passes on to other extensions what becomes of accounts and pool. What a listener throws is its own business. */
export function publishEvents(pi: ExtensionAPI, pool: Pool): void {
	pool.subscribe((event) => {
		const busEvent = busEventOf(event);
		if (!busEvent) return;
		const [channel, payload] = busEvent;
		try {
			pi.events.emit(channel, Object.freeze(payload));
		} catch {
			// A bus that lets a listener's throw through. Our own listeners still have to get the event.
			return;
		}
	});
}

/** Is of no concern to others. */
const silent = () => undefined;

const BUS_EVENTS: EventTable<BusEvent | undefined> = {
	chosen: ({ type, account, grounds, asked }) => {
		const cause = grounds.decidedBy === "pin" ? "pin" : "policy";
		const payload = { from: null, to: account.id, cause, how: type, model: asked.modelId } as const;
		return ["multicodex:account:switched", payload];
	},
	rotated: ({ type: how, from, to, reason: cause, asked }) => {
		return ["multicodex:account:switched", { from: from.id, to: to.id, cause, how, model: asked.modelId }];
	},
	switched: ({ type: how, from, to, cause, asked }) => {
		return ["multicodex:account:switched", { from: from.id, to: to.id, cause, how, model: asked.modelId }];
	},
	cooling: ({ account, scope, reason, until, cause }) => {
		return ["multicodex:account:cooling", { account: account.id, scope, reason, until: iso(until), cause }];
	},
	recovered: ({ account, scope, cause }) => ["multicodex:account:recovered", { account: account.id, scope, cause }],
	"signed-out": ({ account, reason }) => ["multicodex:account:signed-out", { account: account.id, reason }],
	closed: ({ account, reason }) => ["multicodex:account:closed", { account: account.id, reason }],
	"last-one": ({ account, left, threshold }) => {
		const { window, percent: leftPercent, resetsAt } = left;
		const payload = { account: account.id, window, leftPercent, threshold, resetsAt: iso(resetsAt) };
		return ["multicodex:pool:last-one", payload];
	},
	"pool-low": ({ dryAt, from, to, first }) => {
		const times = { dryAt: iso(dryAt), from: iso(from), to: iso(to), resetsAt: iso(first?.at) };
		return ["multicodex:pool:low", { ...times, account: first?.account.id ?? null }];
	},
	redeemed: ({ account, outcome }) => {
		const isReset = outcome === "redeemed" || outcome === "already";
		return isReset ? ["multicodex:account:redeemed", { account: account.id }] : undefined;
	},
	exhausted: ({ why, asked }) => {
		const { total, cooling, needsLogin, untried, readyAt } = why;
		const payload = { total, cooling, needsLogin, untried, readyAt: iso(readyAt), model: asked.modelId };
		return ["multicodex:pool:exhausted", payload];
	},
	continued: silent,
	"on-credits": silent,
	"on-reserve-model": silent,
	"source-changed": silent,
	"chain-serves": silent,
	"chain-left": silent,
	"link-closed": silent,
	membership: silent,
	setting: silent,
	"pool-away": ({ problem, since }) => ["multicodex:pool:away", { problem, since: iso(since) }],
	"pool-back": ({ since }) => ["multicodex:pool:back", { since: iso(since) }],
	"shared-pool": silent,
	"renewed-elsewhere": silent,
	"backups-deleted": silent,
	pinned: silent,
	served: silent,
	waiting: silent,
	asking: silent,
	defect: silent,
	changed: silent,
	warning: silent,
};

/** The event for other extensions; undefined for one that is only ours. */
export function busEventOf(event: PoolEvent): BusEvent | undefined {
	return mapEvent(BUS_EVENTS, event, undefined);
}
