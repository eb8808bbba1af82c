import type { ExtensionAPI } from "@mariozechner/pi-coding-agent";
import type { CooldownReason, CooldownScope } from "../../core/cooldown.ts";
import type { CoolingCause, PoolEvent, RotationReason, SwitchCause } from "../../core/events.ts";
import type { AccountId } from "../../core/ids.ts";
import { iso } from "../../core/iso-time.ts";
import type { Pool } from "../../core/pool.ts";

/**
 * What other extensions hear on `pi.events`, by channel. Payloads are plain and frozen, and name accounts by their ids,
 * as `show --json` has them. Times are ISO 8601; `null` is "not known".
 */
export interface BusEvents {
	/**
	 * The session goes on with `to`. `how`: it had no account and `chosen` is its first, `from` was refused or found spent
	 * (`rotated`), or it could have served on (`switched`).
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
	/** The only account that is ready has a quarter of a window left, or less. Once a window. */
	readonly "multicodex:pool:last-one": {
		readonly account: AccountId;
		readonly window: string;
		readonly leftPercent: number;
		readonly resetsAt: string | null;
	};
	/** A request found nobody to serve it. Counts are of accounts; `readyAt` is when the first is back. */
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
		const told = busEventOf(event);
		if (!told) return;
		const [channel, payload] = told;
		try {
			pi.events.emit(channel, Object.freeze(payload));
		} catch {
			// A bus that lets a listener's throw through. Everybody of ours has still to hear of the event.
			return;
		}
	});
}

/** What others hear of a pool event; undefined where it is only ours. */
export function busEventOf(event: PoolEvent): BusEvent | undefined {
	switch (event.type) {
		case "chosen": {
			const cause = event.grounds.decidedBy === "pin" ? "pin" : "policy";
			const { modelId: model } = event.asked;
			return ["multicodex:account:switched", { from: null, to: event.account.id, cause, how: event.type, model }];
		}
		case "rotated": {
			const { type: how, from, to, reason: cause, asked } = event;
			const payload = { from: from.id, to: to.id, cause, how, model: asked.modelId };
			return ["multicodex:account:switched", payload];
		}
		case "switched": {
			const { type: how, from, to, cause, asked } = event;
			const payload = { from: from.id, to: to.id, cause, how, model: asked.modelId };
			return ["multicodex:account:switched", payload];
		}
		case "cooling": {
			const { account, scope, reason, until, cause } = event;
			return ["multicodex:account:cooling", { account: account.id, scope, reason, until: iso(until), cause }];
		}
		case "recovered": {
			const { account, scope, cause } = event;
			return ["multicodex:account:recovered", { account: account.id, scope, cause }];
		}
		case "signed-out":
			return ["multicodex:account:signed-out", { account: event.account.id, reason: event.reason }];
		case "closed":
			return ["multicodex:account:closed", { account: event.account.id, reason: event.reason }];
		case "last-one": {
			const { window, percent: leftPercent, resetsAt } = event.left;
			const payload = { account: event.account.id, window, leftPercent, resetsAt: iso(resetsAt) };
			return ["multicodex:pool:last-one", payload];
		}
		case "exhausted": {
			const { total, cooling, needsLogin, untried, readyAt } = event.why;
			const payload = { total, cooling, needsLogin, untried, readyAt: iso(readyAt), model: event.asked.modelId };
			return ["multicodex:pool:exhausted", payload];
		}
		default:
			return undefined;
	}
}
