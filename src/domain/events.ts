import type { Account, AccountId } from "./account.ts";
import type { CooldownReason } from "./cooldown.ts";

/** Everything the pool tells the rest of the house: texts, footer and log hang on this one source. */
export type PoolEvent =
	/** A request left `from` and goes on with `to`. */
	| {
			readonly type: "rotated";
			readonly from: Account;
			readonly to: Account;
			readonly reason: CooldownReason | "unavailable";
			/** The window that was exhausted, e.g. `5h`; undefined when not known. */
			readonly window: string | undefined;
			/** When `from` is ready again, epoch ms. */
			readonly readyAt: number | undefined;
			/** What `to` has left, percent. */
			readonly remainingPercent: number | undefined;
	  }
	| { readonly type: "signed-out"; readonly account: Account; readonly reason: string }
	| { readonly type: "closed"; readonly account: Account; readonly reason: string }
	/** An account served a request to its end; `hasMoved`: its session was with another account before. */
	| { readonly type: "served"; readonly account: AccountId; readonly hasMoved: boolean }
	/** All accounts wait; the request goes on when the first is back. */
	| { readonly type: "waiting"; readonly until: number | undefined }
	/** Anything else that a footer shows: accounts, cooldowns, usage, pin. */
	| { readonly type: "changed" }
	/** Something the person must hear of, once: a broken file, a bad setting. */
	| { readonly type: "warning"; readonly text: string };

/** Why a request found nobody to serve it. Counts are of accounts. */
export interface Exhaustion {
	readonly total: number;
	readonly cooling: number;
	/** Of those that cool, how many only because they may not use this model. */
	readonly notOffered: number;
	readonly needsLogin: number;
	/** Signed in, but no token for them right now. */
	readonly unavailable: number;
	/** Accounts that this request has tried. */
	readonly tried: number;
	/** Ready accounts that were not tried, because one request tries only so many. */
	readonly untried: number;
	/** When the first that cools is ready again, epoch ms. */
	readonly readyAt: number | undefined;
}

/** Receives pool events; must not throw. */
export type PoolListener = (event: PoolEvent) => void;
