import type { Account } from "./account.ts";
import type { Leftovers } from "./beyond/beyond.ts";
import type { LinkFailure } from "./beyond/link-failures.ts";
import type { CooldownReason, CooldownScope } from "./cooldown.ts";
import type { DefectPlace, ErrorTrace } from "./defect.ts";
import type { AccountId, SessionId } from "./ids.ts";
import type { Redemption } from "./ports.ts";
import type { WindowLeft } from "./quota.ts";
import type { SelectionReason } from "./request/plan.ts";
import type { ServedOn } from "./request/serve.ts";
import type { PoolProblemKind, Role } from "./shared-pool.ts";

/** The request of an event. */
export interface RequestInfo {
	readonly modelId: string;
	readonly sessionId: SessionId | undefined;
}

/** Why a request left an account. */
export type RotationReason =
	| CooldownReason
	| "signed_out"
	| "closed"
	| "unavailable"
	| "overloaded"
	/** What is left of a window is kept by a cap. */
	| "capped"
	/** The session runs in a folder whose account set does not have the account. */
	| "not_in_set";

/** A request left `from`, or found it spent when it began, and continues with `to`. */
export interface Rotated {
	readonly type: "rotated";
	readonly from: Account;
	readonly to: Account;
	readonly reason: RotationReason;
	/** The window that was exhausted, e.g. `5h`; undefined when not known. */
	readonly window: string | undefined;
	/** When `from` is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** That time is a guess. */
	readonly guessed?: boolean | undefined;
	/** The remaining part of the tightest window of `to`, percent. */
	readonly remainingPercent: number | undefined;
	readonly asked: RequestInfo;
	readonly grounds: SelectionReason;
}

/** Why a session changed its account between two requests. */
export type SwitchCause = "policy" | "pin" | "user";

/** A session changed from `from`, which could have continued to serve, to `to`. */
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

/** Why a cooldown began or ended: a request, new usage, a person, another process, or its own end. */
export type CoolingCause = "refusal" | "usage" | "reset" | "elsewhere" | "time";

/** How the membership of an account changed. */
export type MembershipChange =
	| "added"
	| "signed-in"
	| "removed"
	| "merged"
	| "restored"
	| "renamed"
	| "enabled"
	| "disabled"
	/** Moved into the pool of several machines, or out of it. */
	| "shared"
	| "unshared";

/** What this machine did about the pool that it shares with others. */
export type SharedPoolChange = "created" | "joined" | "left" | "new-keys";

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
	/**
	 * The first output of a request that has changed its account, once or several times, is about to be shown; `to`
	 * serves.
	 */
	| {
			readonly type: "continued";
			/** Why it left the account that it began with. */
			readonly first: Rotated | Switched;
			readonly to: Account;
			/** The remaining part of a window or budget of `to`, percent, and which one. */
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
			/** That time is a guess. */
			readonly guessed?: boolean | undefined;
			readonly cause: CoolingCause;
			/** It is the account's reserve model that is closed, and nothing else. */
			readonly isOfReserveModel?: true;
	  }
	/** A cooldown ended. */
	| {
			readonly type: "recovered";
			readonly account: Account;
			readonly scope: CooldownScope;
			readonly cause: CoolingCause;
	  }
	| { readonly type: "signed-out"; readonly account: Account; readonly reason: string }
	| { readonly type: "closed"; readonly account: Account; readonly reason: string }
	/** What is left of the only ready account is at a threshold, percent. Once a window, of all processes. */
	| { readonly type: "last-one"; readonly account: Account; readonly left: WindowLeft; readonly threshold: number }
	/**
	 * A forecast says that no account will be able to serve at `dryAt`, in four cases of five between `from` and `to`.
	 * Epoch ms. `first`: the reset that comes first. By one of all processes.
	 */
	| {
			readonly type: "pool-low";
			readonly dryAt: number;
			readonly from: number;
			readonly to: number;
			readonly first: { readonly account: Account; readonly at: number } | undefined;
	  }
	/** A session continues on its account although only bought credits are left there. Once a session. */
	| {
			readonly type: "on-credits";
			readonly account: Account;
			/** When included quota is back, epoch ms. */
			readonly until: number;
			readonly asked: RequestInfo;
	  }
	/** The answer of a session begins to come from a reserve model. Once for as long as it stays there. */
	| {
			readonly type: "on-reserve-model";
			readonly account: Account;
			/** The model that answers, by the name that a person knows. */
			readonly model: string;
			/** What is left of it, percent; undefined when not known. */
			readonly leftPercent: number | undefined;
			readonly asked: RequestInfo;
	  }
	/**
	 * A session's requests are served from something else than before. `until`: when included quota of the account is
	 * back, epoch ms.
	 */
	| {
			readonly type: "source-changed";
			readonly on: ServedOn;
			readonly account: Account;
			readonly until: number | undefined;
			readonly asked: RequestInfo;
	  }
	/** A reset credit of an account was redeemed, or could not be. */
	| { readonly type: "redeemed"; readonly account: Account; readonly outcome: Redemption["kind"] }
	/**
	 * No account can serve, and a link of the chain does from here on. `from`: the link before it. `back`: the account
	 * that is back first, epoch ms.
	 */
	| {
			readonly type: "chain-serves";
			readonly link: string;
			readonly isPaid: boolean;
			readonly from: string | undefined;
			readonly back: { readonly account: AccountId; readonly at: number; readonly isGuess: boolean } | undefined;
			readonly asked: RequestInfo;
	  }
	/** The pool serves again, after a link of the chain. */
	| { readonly type: "chain-left"; readonly link: string; readonly asked: RequestInfo }
	/** A link of the chain failed and is not asked until `until`, epoch ms; undefined: until something has changed. */
	| {
			readonly type: "link-closed";
			readonly link: string;
			readonly reason: LinkFailure;
			readonly until: number | undefined;
	  }
	/** A request found no account. */
	| { readonly type: "exhausted"; readonly why: Exhaustion; readonly asked: RequestInfo }
	/**
	 * This process added, removed, merged or changed an account. `source`: of an added account. `former`: the id of the
	 * double that was merged into `account`.
	 */
	| {
			readonly type: "membership";
			readonly change: MembershipChange;
			readonly account: AccountId;
			readonly source?: string | undefined;
			readonly former?: AccountId | undefined;
	  }
	/** A preference was stored: its full key, and its value. */
	| { readonly type: "setting"; readonly name: string; readonly value: string }
	/** This machine made, joined or left a pool of several machines, or made new keys for it. */
	| { readonly type: "shared-pool"; readonly change: SharedPoolChange; readonly role: Role }
	/**
	 * The database of the shared pool cannot be used, from `since` on, epoch ms. `text` is a sentence for a person. Once,
	 * until it is back.
	 */
	| { readonly type: "pool-away"; readonly problem: PoolProblemKind; readonly text: string; readonly since: number }
	/** It can be used again. */
	| { readonly type: "pool-back"; readonly since: number }
	/** Another machine has renewed the sign-in of a shared account. */
	| { readonly type: "renewed-elsewhere"; readonly account: AccountId }
	/** The backups of removed accounts were deleted. */
	| { readonly type: "backups-deleted"; readonly total: number }
	/** A person pinned an account, or (undefined) let the policy choose again. */
	| { readonly type: "pinned"; readonly account: AccountId | undefined }
	/**
	 * An account served a request to its end. `hasMoved`: its session was on another account before. `hasToldUsage`: the
	 * answer reported usage.
	 */
	| {
			readonly type: "served";
			readonly account: AccountId;
			readonly hasMoved: boolean;
			readonly hasToldUsage: boolean;
	  }
	/**
	 * A request waits for an account until the first is ready again, epoch ms; undefined at the end of the wait.
	 * `forRoom`: others could serve, but their quota is left to the sessions that are at work on them. `request` tells
	 * the requests of this process apart. `goesOnWith`: the account that the wait was for; undefined where it ended
	 * otherwise.
	 */
	| {
			readonly type: "waiting";
			readonly request: number;
			readonly until: number | undefined;
			readonly forRoom: boolean;
			readonly goesOnWith?: Account | undefined;
	  }
	/** The question how a turn goes on opens, or closes. */
	| { readonly type: "asking"; readonly isOpen: boolean }
	/** A defect of ours occurred. Without its message, which may quote anything. */
	| { readonly type: "defect"; readonly where: DefectPlace; readonly trace: ErrorTrace }
	/** Anything else in the footer changed: accounts, cooldowns, usage, pin. */
	| { readonly type: "changed" }
	/** A problem to show to the person once: a broken file, a bad setting. */
	| { readonly type: "warning"; readonly text: string };

/** Why a request found no account. Counts are of accounts. */
export interface Exhaustion {
	readonly total: number;
	readonly cooling: number;
	/** How many of the cooling accounts only cannot use this model. */
	readonly notOffered: number;
	readonly needsLogin: number;
	/** Accounts that are off, by hand or because OpenAI closed them. */
	readonly off?: number | undefined;
	/** Accounts that are signed in, but were refused, or have no token right now. */
	readonly unavailable: number;
	/** How many of those were refused, for another reason than quota. */
	readonly refused?: number | undefined;
	/** Accounts that this request tried, and that turned out to be spent. */
	readonly tried: number;
	/** Ready accounts that were not tried, because a request tries only so many. */
	readonly untried: number;
	/** When the first cooling account is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** That time is a guess. */
	readonly guessed?: boolean | undefined;
	/** Accounts of which a cap keeps what is left. */
	readonly capped?: number | undefined;
	/** Only the accounts of a set were asked: all counts are of those. */
	readonly isInSet?: boolean | undefined;
	/** No account may serve, since the account sets in the settings cannot be read. */
	readonly areSetsUnreadable?: boolean | undefined;
	/** What keeps accounts without a token until the person changes it; the end of a sentence. */
	readonly obstacle?: string | undefined;
	/** What could have served beyond included quota. */
	readonly left?: Leftovers | undefined;
}

/** Receives pool events; must not throw. */
export type PoolListener = (event: PoolEvent) => void;

/** The type of an event. */
export type EventType = PoolEvent["type"];

/** Handlers in methods, so that `mapEvent` can call the one of any event in a table. */
interface Handlers<E, Context, Result> {
	on(event: E, context: Context): Result;
}

/** One entry for every type of event. The compiler finds a forgotten one. */
export type EventTable<Result, Context = undefined> = {
	readonly [T in EventType]: Handlers<Extract<PoolEvent, { readonly type: T }>, Context, Result>["on"];
};

/** Maps an event by the entry of its type. */
export function mapEvent<Result, Context>(
	table: EventTable<Result, Context>,
	event: PoolEvent,
	context: Context,
): Result {
	const byType: Readonly<Record<EventType, Handlers<PoolEvent, Context, Result>["on"]>> = table;
	return byType[event.type](event, context);
}
