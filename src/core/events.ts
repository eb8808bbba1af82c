import type { Account } from "./account.ts";
import type { CooldownReason, CooldownScope } from "./cooldown.ts";
import type { DefectPlace, ErrorTrace } from "./defect.ts";
import type { AccountId, SessionId } from "./ids.ts";
import type { SelectionReason } from "./plan.ts";
import type { WindowLeft } from "./usage.ts";

/** The request that made an event. */
export interface RequestInfo {
	readonly modelId: string;
	readonly sessionId: SessionId | undefined;
}

/** Why a request left an account. */
export type RotationReason = CooldownReason | "signed_out" | "closed" | "unavailable" | "overloaded";

/** A request left `from`, or found it spent when it began, and goes on with `to`. */
export interface Rotated {
	readonly type: "rotated";
	readonly from: Account;
	readonly to: Account;
	readonly reason: RotationReason;
	/** The window that was exhausted, e.g. `5h`; undefined when not known. */
	readonly window: string | undefined;
	/** When `from` is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** Nothing told that time. */
	readonly guessed?: boolean | undefined;
	/** What `to` has left, percent: of its tightest window. */
	readonly remainingPercent: number | undefined;
	readonly asked: RequestInfo;
	readonly grounds: SelectionReason;
}

/** Who had a session change its account between two requests. */
export type SwitchCause = "policy" | "pin" | "user";

/** A session changed from `from`, which could have served on, to `to`. */
export interface Switched {
	readonly type: "switched";
	readonly from: Account;
	readonly to: Account;
	readonly cause: SwitchCause;
	/** The window of which `from` has the least left; undefined when not known. */
	readonly left: WindowLeft | undefined;
	readonly asked: RequestInfo;
	readonly grounds: SelectionReason;
}

/**
 * How a cooldown came about, or ended: by what a request met, by usage, by a person, by another process, or by itself.
 */
export type CoolingCause = "refusal" | "usage" | "reset" | "elsewhere" | "time";

/** What became of an account's place in the pool. */
export type MembershipChange = "added" | "signed-in" | "removed" | "restored" | "renamed" | "enabled" | "disabled";

/** Everything the pool publishes: notices, footer, log and other extensions all read this one source. */
export type PoolEvent =
	/** A session that had no account begins on one. */
	| {
			readonly type: "chosen";
			readonly account: Account;
			readonly asked: RequestInfo;
			readonly grounds: SelectionReason;
	  }
	| Rotated
	| Switched
	/** The first output of a request that has changed its account, once or several times, goes out: by `to`. */
	| {
			readonly type: "continued";
			/** Why it left the account that it began with. */
			readonly first: Rotated | Switched;
			readonly to: Account;
			/** What `to` has left, percent, and of which window or budget. */
			readonly remainingPercent: number | undefined;
			readonly remainingWindow?: string | undefined;
	  }
	/** An account, or a part of it, is not offered until `until`, epoch ms. */
	| {
			readonly type: "cooling";
			readonly account: Account;
			readonly scope: CooldownScope;
			readonly reason: CooldownReason;
			readonly until: number;
			/** Nothing told that time. */
			readonly guessed?: boolean | undefined;
			readonly cause: CoolingCause;
	  }
	/** A cooldown is over. */
	| {
			readonly type: "recovered";
			readonly account: Account;
			readonly scope: CooldownScope;
			readonly cause: CoolingCause;
	  }
	| { readonly type: "signed-out"; readonly account: Account; readonly reason: string }
	| { readonly type: "closed"; readonly account: Account; readonly reason: string }
	/** The only account that is ready nears its end. Once a window. */
	| { readonly type: "last-one"; readonly account: Account; readonly left: WindowLeft }
	/** A session goes on with its account although nothing but bought credits is left there. Once a session. */
	| {
			readonly type: "on-credits";
			readonly account: Account;
			/** When included quota is back, epoch ms. */
			readonly until: number;
			readonly asked: RequestInfo;
	  }
	/** A request found nobody to serve it. */
	| { readonly type: "exhausted"; readonly why: Exhaustion; readonly asked: RequestInfo }
	/**
	 * An account came, left, or was changed by a person, in this process. `source` of one that came: as the account has
	 * it.
	 */
	| {
			readonly type: "membership";
			readonly change: MembershipChange;
			readonly account: AccountId;
			readonly source?: string | undefined;
	  }
	/** A preference was stored: its whole key, and what it is now. */
	| { readonly type: "setting"; readonly name: string; readonly value: string }
	/** The copies of removed accounts were deleted. */
	| { readonly type: "backups-deleted"; readonly total: number }
	/** A person pinned an account, or (undefined) let the policy choose again. */
	| { readonly type: "pinned"; readonly account: AccountId | undefined }
	/**
	 * An account served a request to its end; `hasMoved`: its session was with another account before. `hasToldUsage`:
	 * the answer said what is left.
	 */
	| {
			readonly type: "served";
			readonly account: AccountId;
			readonly hasMoved: boolean;
			readonly hasToldUsage: boolean;
	  }
	/**
	 * No account is there for a request; it goes on when the first is back, epoch ms. `forRoom`: others could serve, but
	 * their quota is left to the sessions that are at work on them. Undefined at the end of the wait. `request` tells the
	 * requests of this process apart.
	 */
	| {
			readonly type: "waiting";
			readonly request: number;
			readonly until: number | undefined;
			readonly forRoom: boolean;
	  }
	/** An error came up that a change of ours alone can mend. Without its message, which may quote anything. */
	| { readonly type: "defect"; readonly where: DefectPlace; readonly trace: ErrorTrace }
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
	/** Signed in, but refused, or no token for them right now. */
	readonly unavailable: number;
	/** Of those, how many were refused, for a reason that is not quota. */
	readonly refused?: number | undefined;
	/** Accounts that this request has asked and that turned out to be spent. */
	readonly tried: number;
	/** Ready accounts that were not tried, because one request tries only so many. */
	readonly untried: number;
	/** When the first that cools is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** Nothing told that time. */
	readonly guessed?: boolean | undefined;
	/** What the person has to change before those without a token have one; the end of a sentence. */
	readonly obstacle?: string | undefined;
}

/** Receives pool events; must not throw. */
export type PoolListener = (event: PoolEvent) => void;

/** The type of an event. */
export type EventType = PoolEvent["type"];

/** A method, so that a table of them can be called with any event: `mapEvent` picks the one of its type. */
interface Handlers<E, Context, Result> {
	on(event: E, context: Context): Result;
}

/** One entry for every type of event. The compiler finds a forgotten one. */
export type EventTable<Result, Context = undefined> = {
	readonly [T in EventType]: Handlers<Extract<PoolEvent, { readonly type: T }>, Context, Result>["on"];
};

/** What a table makes of an event. */
export function mapEvent<Result, Context>(
	table: EventTable<Result, Context>,
	event: PoolEvent,
	context: Context,
): Result {
	const byType: Readonly<Record<EventType, Handlers<PoolEvent, Context, Result>["on"]>> = table;
	return byType[event.type](event, context);
}
