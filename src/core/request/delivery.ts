import type { AssistantMessage, AssistantMessageEvent } from "@mariozechner/pi-ai";

type ErrorEvent = Extract<AssistantMessageEvent, { type: "error" }>;

/** How the events of an attempt were delivered. */
export type Delivery =
	/** `done` has arrived but was not forwarded yet: the pool records it first. */
	| { readonly kind: "answered"; readonly final: AssistantMessageEvent }
	| {
			readonly kind: "failed";
			/** Undefined if the stream ended without a final event, threw, or did not end soon after an abort. */
			readonly final: ErrorEvent | undefined;
			/** The error that the stream threw instead of ending. */
			readonly thrown: unknown;
			/** True once content was forwarded. The request can no longer move to another account. */
			readonly isCommitted: boolean;
			/** The answer as far as it arrived. */
			readonly partial: AssistantMessage | undefined;
			/** Forwards the held events. Used for a failure that is surfaced. */
			readonly forwardHeld: () => void;
	  };

/** How long we wait for pi's own stream to end an aborted answer with its own message. It does so within moments. */
const ABORT_GRACE_MS = 500;

/**
 * Maximum number of held events. Each holds a copy of the whole message, so the cost grows with the square of their
 * number. Answers begin long before this many events.
 */
const MOST_HELD = 200;

/**
 * Forwards the events of an attempt to `push`, but holds back everything before the first content. Held events are
 * forwarded once, in order, as they were on arrival. The final event is returned, never forwarded.
 */
export async function deliver(
	events: AsyncIterable<AssistantMessageEvent>,
	push: (event: AssistantMessageEvent) => void,
	signal: AbortSignal | undefined,
): Promise<Delivery> {
	let held: AssistantMessageEvent[] = [];
	let isCommitted = false;
	let partial: AssistantMessage | undefined;
	const forwardHeld = () => {
		for (const event of held) push(event);
		held = [];
	};
	const failed = (final: ErrorEvent | undefined, thrown?: unknown): Delivery => {
		return { kind: "failed", final, thrown, isCommitted, partial, forwardHeld };
	};
	/** Handles one event. Returns the delivery if it is the last one. */
	const take = (event: AssistantMessageEvent): Delivery | undefined => {
		if (event.type === "error") return failed(event);
		if (event.type === "done") {
			forwardHeld();
			return { kind: "answered", final: event };
		}
		partial = event.partial;
		if (!isCommitted && !carriesContent(event) && held.length < MOST_HELD) {
			// The host keeps changing one message object. A held event must keep its present state.
			held.push({ ...event, partial: structuredClone(event.partial) });
			return undefined;
		}
		isCommitted = true;
		if (held.length > 0) forwardHeld();
		push(event);
		return undefined;
	};
	try {
		return (await takenUntilAborted(events, take, signal)) ?? failed(undefined);
	} catch (error) {
		return failed(undefined, error);
	}
}

/** True if the event shows anything: a delta or an end that is not empty. */
function carriesContent(event: AssistantMessageEvent): boolean {
	switch (event.type) {
		case "text_delta":
		case "thinking_delta":
		case "toolcall_delta":
			return event.delta !== "";
		case "text_end":
		case "thinking_end":
			return event.content !== "";
		case "toolcall_end":
			return true;
		default:
			return false;
	}
}

/**
 * Passes each event to `take` until that returns a result. Resolves to undefined if the events end first, at the latest
 * {@link ABORT_GRACE_MS} after an abort. Rejects with whatever the events or `take` throw. One promise serves the whole
 * answer: creating and awaiting one per event would cost more than all other work on it.
 */
function takenUntilAborted<T, R>(
	events: AsyncIterable<T>,
	take: (event: T) => R | undefined,
	signal: AbortSignal | undefined,
): Promise<R | undefined> {
	return new Promise((resolve, reject) => {
		const iterator = events[Symbol.asyncIterator]();
		let timer: NodeJS.Timeout | undefined;
		let isOver = false;
		const onAbort = () => {
			timer = setTimeout(() => end(undefined), ABORT_GRACE_MS);
		};
		const release = () => {
			isOver = true;
			clearTimeout(timer);
			signal?.removeEventListener("abort", onAbort);
		};
		const end = (result: R | undefined) => {
			release();
			resolve(result);
		};
		const fail = (error: unknown) => {
			release();
			reject(error);
		};
		const onNext = (next: IteratorResult<T>) => {
			if (isOver) return;
			try {
				const result = next.done ? undefined : take(next.value);
				if (next.done || result !== undefined) end(result);
				else pull();
			} catch (error) {
				fail(error);
			}
		};
		const pull = () => {
			iterator.next().then(onNext, fail);
		};
		if (signal?.aborted) onAbort();
		signal?.addEventListener("abort", onAbort, { once: true });
		pull();
	});
}
