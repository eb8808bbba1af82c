import type { Account } from "./account.ts";
import type { Leftovers } from "./beyond/beyond.ts";
import type { LinkFailure } from "./beyond/link-failures.ts";
import type { CooldownReason, CooldownScope } from "./cooldown.ts";
import type { DefectPlace, ErrorTrace } from "./defect.ts";
import { tellDefect } from "./defect-reports.ts";
import type { AccountId, SessionId } from "./ids.ts";
import type { Redemption } from "./ports.ts";
import type { WindowLeft } from "./quota.ts";
import type { SelectionReason } from "./request/plan.ts";
import type { ServedOn } from "./request/serve.ts";
import type { PoolProblemKind, Role } from "./shared-pool.ts";

/** The request that an event is about. */
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
	/** A cap reserves what is left of a window. */
	| "capped"
	/** The account is not in the account set of the session's folder. */
	| "not_in_set";

/** A request left `from`, or found it spent at its start, and continues with `to`. */
export interface Rotated {
	readonly type: "rotated";
	readonly from: Account;
	readonly to: Account;
	readonly reason: RotationReason;
	/** The exhausted window, such as `5h`; undefined if not known. */
	readonly window: string | undefined;
	/** When `from` is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** True if that time is a guess. */
	readonly guessed?: boolean | undefined;
	/** The remaining part of the tightest window of `to`, percent. */
	readonly remainingPercent: number | undefined;
	readonly asked: RequestInfo;
	readonly grounds: SelectionReason;
}

/** Why a session changed accounts between two requests. */
export type SwitchCause = "policy" | "pin" | "user";

/** A session changed from `from`, which could have continued to serve, to `to`. */
export interface Switched {
	readonly type: "switched";
	readonly from: Account;
	readonly to: Account;
	readonly cause: SwitchCause;
	/** The window of `from` with the least left; undefined if not known. */
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
	/** Moved into or out of the shared pool of several machines. */
	| "shared"
	| "unshared";

/** What this machine did with a shared pool. */
type SharedPoolChange = "created" | "joined" | "left" | "new-keys";

/** Everything that the pool publishes. Notices, footer, log and other extensions all read this one source. */
export type PoolEvent =
	/** A session without an account starts on one. */
	| {
			readonly type: "chosen";
			readonly account: Account;
			readonly asked: RequestInfo;
			readonly grounds: SelectionReason;
	  }
	| Rotated
	| Switched
	/** A request has changed accounts, and the first output, from `to`, is about to be shown. */
	| {
			readonly type: "continued";
			/** Why the request left its first account. */
			readonly first: Rotated | Switched;
			readonly to: Account;
			/** The remaining part of a window or budget of `to`, percent, and its name. */
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
			/** True if that time is a guess. */
			readonly guessed?: boolean | undefined;
			readonly cause: CoolingCause;
			/** Only the account's reserve model is closed. */
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
	/**
	 * Only one account is ready, and what is left of it has reached a threshold, percent. Sent once per window, by one of
	 * all processes.
	 */
	| { readonly type: "last-one"; readonly account: Account; readonly left: WindowLeft; readonly threshold: number }
	/**
	 * The forecast says that all accounts will have run out at `dryAt`; in four of five cases between `from` and `to`.
	 * `first` is the earliest reset. Times are epoch ms. Sent by one of all processes.
	 */
	| {
			readonly type: "pool-low";
			readonly dryAt: number;
			readonly from: number;
			readonly to: number;
			readonly first: { readonly account: Account; readonly at: number } | undefined;
	  }
	/** A session continues on its account although only bought credits are left there. Sent once per session. */
	| {
			readonly type: "on-credits";
			readonly account: Account;
			/** When included quota is back, epoch ms. */
			readonly until: number;
			readonly asked: RequestInfo;
	  }
	/** The answers of a session start to come from a reserve model. Sent once for as long as the session stays there. */
	| {
			readonly type: "on-reserve-model";
			readonly account: Account;
			/** The model that answers, under the name that a person knows. */
			readonly model: string;
			/** What is left of it, percent; undefined if not known. */
			readonly leftPercent: number | undefined;
			readonly asked: RequestInfo;
	  }
	/**
	 * A session's requests are served from another source than before. `until`: when included quota of the account is
	 * back, epoch ms.
	 */
	| {
			readonly type: "source-changed";
			readonly on: ServedOn;
			readonly account: Account;
			readonly until: number | undefined;
			readonly asked: RequestInfo;
	  }
	/** Redeeming a reset credit of an account ended, with or without success. */
	| { readonly type: "redeemed"; readonly account: Account; readonly outcome: Redemption["kind"] }
	/**
	 * No account can serve, so a link of the chain does from now on. `from`: the link before it. `back`: the account that
	 * is back first, epoch ms.
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
	/** A link of the chain failed and is not asked until `until`, epoch ms. Undefined: until something has changed. */
	| {
			readonly type: "link-closed";
			readonly link: string;
			readonly reason: LinkFailure;
			readonly until: number | undefined;
	  }
	/** A request found no account that can serve. */
	| { readonly type: "exhausted"; readonly why: Exhaustion; readonly asked: RequestInfo }
	/**
	 * This process added, removed, merged or changed an account. `source` is set for an added account. `former` is the id
	 * of the duplicate that was merged into `account`.
	 */
	| {
			readonly type: "membership";
			readonly change: MembershipChange;
			readonly account: AccountId;
			readonly source?: string | undefined;
			readonly former?: AccountId | undefined;
	  }
	/** A preference was stored, under its full key. */
	| { readonly type: "setting"; readonly name: string; readonly value: string }
	/** This machine created, joined or left a shared pool, or made new keys for it. */
	| { readonly type: "shared-pool"; readonly change: SharedPoolChange; readonly role: Role }
	/**
	 * The database of the shared pool has been unreachable since `since`, epoch ms. `text` is a sentence for a person.
	 * Sent once, until the database is back.
	 */
	| { readonly type: "pool-away"; readonly problem: PoolProblemKind; readonly text: string; readonly since: number }
	/** The database of the shared pool can be used again. */
	| { readonly type: "pool-back"; readonly since: number }
	/** Another machine has renewed the sign-in of a shared account. */
	| { readonly type: "renewed-elsewhere"; readonly account: AccountId }
	/** The backups of removed accounts were deleted. */
	| { readonly type: "backups-deleted"; readonly total: number }
	/** A person pinned an account, or (undefined) removed the pin. */
	| { readonly type: "pinned"; readonly account: AccountId | undefined }
	/**
	 * An account served a request to its end. `hasMoved`: the session was on another account before. `hasToldUsage`: the
	 * answer reported usage.
	 */
	| {
			readonly type: "served";
			readonly account: AccountId;
			readonly hasMoved: boolean;
			readonly hasToldUsage: boolean;
	  }
	/**
	 * A request waits until the first account is ready again, `until`, epoch ms; undefined at the end of the wait.
	 * `forRoom`: other accounts could serve, but their quota is left to the sessions on them. `request` identifies the
	 * request within this process. `goesOnWith`: the account that the request continues with; undefined if the wait ended
	 * otherwise.
	 */
	| {
			readonly type: "waiting";
			readonly request: number;
			readonly until: number | undefined;
			readonly forRoom: boolean;
			readonly goesOnWith?: Account | undefined;
	  }
	/** The question of how to continue a turn opens or closes. */
	| { readonly type: "asking"; readonly isOpen: boolean }
	/** A defect of ours occurred. Contains no message, which could quote anything. */
	| { readonly type: "defect"; readonly where: DefectPlace; readonly trace: ErrorTrace }
	/** Something else that the footer shows has changed: accounts, cooldowns, usage or the pin. */
	| { readonly type: "changed" }
	/** A problem to show to the person once: a broken file, a bad setting. */
	| { readonly type: "warning"; readonly text: string };

/** Why a request found no account. Numbers count accounts. */
export interface Exhaustion {
	readonly total: number;
	readonly cooling: number;
	/** How many of the cooling accounts are only closed for this model. */
	readonly notOffered: number;
	readonly needsLogin: number;
	/** Disabled accounts, whether by the person or because OpenAI closed them. */
	readonly off?: number | undefined;
	/** Signed-in accounts that were refused, or that have no token right now. */
	readonly unavailable: number;
	/** How many of those were refused, for a reason other than quota. */
	readonly refused?: number | undefined;
	/** Accounts that this request tried and found spent. */
	readonly tried: number;
	/** Ready accounts that were not tried, because a request may try only so many. */
	readonly untried: number;
	/** When the first cooling account is ready again, epoch ms. */
	readonly readyAt: number | undefined;
	/** True if that time is a guess. */
	readonly guessed?: boolean | undefined;
	/** Accounts that a cap excludes. */
	readonly capped?: number | undefined;
	/** True if only the accounts of an account set count. */
	readonly isInSet?: boolean | undefined;
	/** True if no account may serve because the account sets in the settings cannot be read. */
	readonly areSetsUnreadable?: boolean | undefined;
	/** What the person has to change before accounts can get a token; the end of a sentence. */
	readonly obstacle?: string | undefined;
	/** What could have served beyond included quota. */
	readonly left?: Leftovers | undefined;
}

/** Receives pool events. Must not throw. */
export type PoolListener = (event: PoolEvent) => void;

/** Where events are published and received. */
export interface PoolEvents {
	emit(event: PoolEvent): void;
	/** Calls `listener` with every event until the returned function is called. */
	subscribe(listener: PoolListener): () => void;
}

/** Creates the events without any listener. */
export function createPoolEvents(): PoolEvents {
	const listeners = new Set<PoolListener>();
	const emit = (event: PoolEvent) => {
		for (const listener of listeners) {
			try {
				listener(event);
			} catch (error) {
				// A listener whose session was replaced must not end another session's request.
				if (event.type !== "defect") tellDefect(error, "listener", emit);
			}
		}
	};
	return {
		emit,
		subscribe: (listener) => {
			listeners.add(listener);
			return () => listeners.delete(listener);
		},
	};
}

/** The type of an event. */
export type EventType = PoolEvent["type"];

/** A method, so that `mapEvent` can call the handler of any event in a table. */
interface Handlers<E, Context, Result> {
	on(event: E, context: Context): Result;
}

/** One entry for every type of event. The compiler reports a missing one. */
export type EventTable<Result, Context = undefined> = {
	readonly [T in EventType]: Handlers<Extract<PoolEvent, { readonly type: T }>, Context, Result>["on"];
};

/** Maps an event with the entry for its type. */
export function mapEvent<Result, Context>(
	table: EventTable<Result, Context>,
	event: PoolEvent,
	context: Context,
): Result {
	const byType: Readonly<Record<EventType, Handlers<PoolEvent, Context, Result>["on"]>> = table;
	return byType[event.type](event, context);
}
