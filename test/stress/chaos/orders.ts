/** How a request goes out. */
export type Transport = "sse" | "websocket" | "auto";

/** What the driver tells a process to do. */
export type Order =
	/** Begins a session in a seat, in place of the one that was there. */
	| { readonly do: "sit"; readonly seat: number; readonly session: string; readonly ticket: number }
	| TurnOrder
	/** Types a command in a seat's session. */
	| { readonly do: "command"; readonly seat: number; readonly line: string; readonly ticket: number }
	/** Ends a turn as Esc does. */
	| { readonly do: "abort"; readonly turn: string }
	/** The clock is wrong by so much from now on. */
	| { readonly do: "jump"; readonly byMs: number }
	/** Collects garbage and counts what the process holds. */
	| { readonly do: "measure"; readonly ticket: number }
	/** Ends every session, and then by itself. */
	| { readonly do: "leave" };

/** One request of a session. */
export interface TurnOrder {
	readonly do: "turn";
	readonly seat: number;
	readonly turn: string;
	readonly transport: Transport;
	readonly abortAfterMs: number | undefined;
	/** A request beside the session's own, as a summary is: without a memory, under a name of its own. */
	readonly isAside: boolean;
}

/** What became of a turn, as pi would have seen it. Times are of the real clock, epoch ms. */
export interface TurnReport {
	readonly turn: string;
	readonly startedAt: number;
	readonly endedAt: number;
	/** `off`: nothing of ours is registered, so nothing was asked. */
	readonly reason: "done" | "error" | "aborted" | "none" | "off";
	readonly words: string;
	/** Numbers of the requests whose answers were shown, in order; one is right. */
	readonly shown: readonly number[];
	/** Users whose tokens the extension gave to the host's stream function, in order. */
	readonly meant: readonly string[];
	/** When Esc was pressed. */
	readonly abortedAt: number | undefined;
	/** Promises that were broken on the way. */
	readonly problems: readonly string[];
}

/** What a process holds. */
export interface Measure {
	readonly turns: number;
	readonly heapBytes: number;
	/** Open handles by kind, as node names them. */
	readonly resources: Readonly<Record<string, number>>;
	/** Listeners on the process and on a signal that many turns shared. */
	readonly listeners: number;
	readonly signalListeners: number;
}

/** What a process tells the driver. */
export type Message =
	| { readonly did: "start" }
	| { readonly did: "turn"; readonly report: TurnReport }
	| { readonly did: "order"; readonly ticket: number; readonly told: readonly string[] }
	| { readonly did: "measure"; readonly ticket: number; readonly measure: Measure }
	| { readonly did: "wrong"; readonly what: string }
	| { readonly did: "leave" };

/** How a delta tells whose it is: the number of the request that it answers, and its place in the answer. */
export const WORD = /\[(\d+):(\d+)\]/g;

/** What the text of an answer consists of. */
export function wordsOf(request: number, count: number): string[] {
	return Array.from({ length: count }, (_, index) => `[${request}:${index}]`);
}
