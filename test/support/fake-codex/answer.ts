import type { FakeAccount } from "./accounts.ts";
import type { JsonRecord } from "./json.ts";
import type { LimitWindow } from "./quota.ts";
import type { RecordedRequest } from "./recorder.ts";

/** What an answer may depend on. */
export interface AnswerContext {
	readonly nowMs: number;
	/** Name of the account, or "" where a request cannot be tied to one. */
	readonly account: string;
	readonly plan: string;
	readonly model: string;
	/** Requests of this account so far, this one included. */
	readonly requestCount: number;
	/** Tokens of the input, and those of them that this account has cached. */
	readonly inputTokens: number;
	readonly cachedTokens: number;
}

/**
 * An HTTP answer that is not a stream; over a WebSocket it becomes an error frame. A text body is HTML or plain text.
 */
export interface Refusal {
	readonly status: number;
	readonly headers: Readonly<Record<string, string>>;
	readonly body: JsonRecord | string;
	/** Window that this refusal claims to be spent: wham/usage then says the same. */
	readonly spent?: LimitWindow | undefined;
}

/** One step of a streamed answer. */
export type Step =
	| { readonly do: "send"; readonly event: JsonRecord }
	| { readonly do: "wait"; readonly ms: number }
	| { readonly do: "hang" }
	| { readonly do: "reset" }
	| { readonly do: "close"; readonly code: number; readonly reason: string };

/** Refuses the request. */
export interface RefusalAnswer {
	readonly kind: "refusal";
	readonly name: string;
	readonly refuse: (context: AnswerContext) => Refusal;
	/** Comes from in front of the backend: a WebSocket handshake gets it too, and leaves it in the queue. */
	readonly atEdge?: boolean;
}

/** Streams events; `healthy` ones count against the modelled quota. */
export interface StreamAnswer {
	readonly kind: "stream";
	readonly name: string;
	readonly healthy: boolean;
	readonly beforeHeadersMs?: number | undefined;
	readonly headers?: Readonly<Record<string, string>>;
	readonly steps: (context: AnswerContext) => Iterable<Step>;
}

/** Never answers: ends when the client or the server goes away. */
export interface HangAnswer {
	readonly kind: "hang";
	readonly name: string;
}

/** Resets the connection before any byte of an answer. */
export interface ResetAnswer {
	readonly kind: "reset";
	readonly name: string;
}

/** Refuses a WebSocket handshake; a request over HTTP gets the default answer instead. */
export interface UpgradeRefusalAnswer {
	readonly kind: "upgrade-refusal";
	readonly name: string;
	readonly status: number;
}

/** Waits, then plays another answer. */
export interface DelayedAnswer {
	readonly kind: "delayed";
	readonly name: string;
	readonly ms: number;
	readonly then: PlainAnswer;
}

/** An answer that any endpoint can give. */
export type PlainAnswer = RefusalAnswer | HangAnswer | ResetAnswer | DelayedAnswer;

/** How one request to the responses endpoint is answered. Made by the constructors in `answers`. */
export type Answer = PlainAnswer | StreamAnswer | UpgradeRefusalAnswer;

/** An answer to a request, after a handshake. */
export type PlayableAnswer = PlainAnswer | StreamAnswer;

/** Decides per request; for anything the constructors do not cover. */
export type AnswerFunction = (request: RecordedRequest, account: FakeAccount) => Answer | Promise<Answer>;

/** What a script of answers accepts. */
export type ScriptedAnswer = Answer | AnswerFunction;
