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
 * Events for other extensions on `pi.events`, by channel. Payloads are plain and frozen, and identify accounts by the
 * ids of `show --json`. Times are ISO 8601; `null` means "not known".
 */
export interface BusEvents {
	/**
	 * The session continues with `to`. `how`: `to` is its first account (`chosen`), `from` was refused or found spent
	 * (`rotated`), or `from` could have continued to serve (`switched`).
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
	/** A cooldown ended. Noticed at the next request, or within a minute if a footer is shown. */
	readonly "multicodex:account:recovered": {
		readonly account: AccountId;
		readonly scope: CooldownScope;
		readonly cause: CoolingCause;
	};
	/** A person has to sign in to an account again. */
	readonly "multicodex:account:signed-out": { readonly account: AccountId; readonly reason: string };
	/** An account was disabled because OpenAI closed it or its workspace stays disabled. */
	readonly "multicodex:account:closed": { readonly account: AccountId; readonly reason: string };
	/** A reset credit has reset the windows of an account. */
	readonly "multicodex:account:redeemed": { readonly account: AccountId };
	/**
	 * Only one account is ready, and what is left of it has reached a `threshold`, percent. Once per window and
	 * threshold.
	 */
	readonly "multicodex:pool:last-one": {
		readonly account: AccountId;
		readonly window: string;
		readonly leftPercent: number;
		readonly threshold: number;
		readonly resetsAt: string | null;
	};
	/** The forecast says when no account will be able to serve. `account` resets first, at `resetsAt`. */
	readonly "multicodex:pool:low": {
		readonly dryAt: string | null;
		readonly from: string | null;
		readonly to: string | null;
		readonly account: AccountId | null;
		readonly resetsAt: string | null;
	};
	/** The database of the shared pool cannot be used. `problem` is a `PoolProblemKind`. */
	readonly "multicodex:pool:away": { readonly problem: PoolProblemKind; readonly since: string | null };
	/** The database can be used again. `since` is when the problem started. */
	readonly "multicodex:pool:back": { readonly since: string | null };
	/** No account could serve a request. Numbers count accounts; `readyAt` is when the first one is back. */
	readonly "multicodex:pool:exhausted": {
		readonly total: number;
		readonly cooling: number;
		readonly needsLogin: number;
		readonly untried: number;
		readonly readyAt: string | null;
		readonly model: string;
	};
}

/** An event for other extensions: its channel and payload. */
type BusEvent = { [Channel in keyof BusEvents]: readonly [Channel, BusEvents[Channel]] }[keyof BusEvents];

/** Publishes what happens to accounts and the pool to other extensions. Errors of their listeners do not affect us. */
export function publishEvents(pi: ExtensionAPI, pool: Pool): void {
	pool.subscribe((event) => {
		const busEvent = busEventOf(event);
		if (!busEvent) return;
		const [channel, payload] = busEvent;
		try {
			pi.events.emit(channel, Object.freeze(payload));
		} catch {
			// This bus lets a listener's error through. Our own listeners must still get the event.
			return;
		}
	});
}

/** For events that do not concern others. */
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

/** Returns the event for other extensions; undefined if it is internal. */
export function busEventOf(event: PoolEvent): BusEvent | undefined {
	return mapEvent(BUS_EVENTS, event, undefined);
}
