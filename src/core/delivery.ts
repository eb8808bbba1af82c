import type { AssistantMessage, AssistantMessageEvent } from "@mariozechner/pi-ai";

type ErrorEvent = Extract<AssistantMessageEvent, { type: "error" }>;

/** How a try's events went out. */
export type Delivery =
	/** `done` has arrived and was not forwarded yet: the pool hears of it first. */
	| { readonly kind: "answered"; readonly final: AssistantMessageEvent }
	| {
			readonly kind: "failed";
			/** Undefined where the stream ended without a final event, threw, or an abort outran the host. */
			readonly final: ErrorEvent | undefined;
			/** What the stream threw instead of ending. */
			readonly thrown: unknown;
			/** True once content has been forwarded: the request cannot move to another account any more. */
			readonly isCommitted: boolean;
			/** The answer as far as it came. */
			readonly partial: AssistantMessage | undefined;
			/** Forwards what was held back; for when the failure goes to pi as it is. */
			readonly forwardHeld: () => void;
	  };

/** pi's own stream ends an aborted answer within moments, in its own words; one that does not is not waited for. */
const ABORT_GRACE_MS = 500;

/**
 * So many events before any content are no answer that still begins. Each holds a copy of the whole message: to hold on
 * would take time by the square of their number.
 */
const MOST_HELD = 200;

/**
 * Forwards a try's events to `push`, holding back everything before the first content. Held events go out once, in
 * order, as they were when they came. The final event is returned, never forwarded.
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
	try {
		for await (const event of untilAborted(events, signal)) {
			if (event.type === "error") return failed(event);
			if (event.type === "done") {
				forwardHeld();
				return { kind: "answered", final: event };
			}
			partial = event.partial;
			if (!isCommitted && !carriesContent(event) && held.length < MOST_HELD) {
				// The host goes on changing one message object: what is forwarded later must be as it is now.
				held.push({ ...event, partial: structuredClone(event.partial) });
				continue;
			}
			isCommitted = true;
			forwardHeld();
			push(event);
		}
		return failed(undefined);
	} catch (error) {
		return failed(undefined, error);
	}
}

/** True for an event that shows something: a delta or an end that is not empty. */
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

/** The events, ending {@link ABORT_GRACE_MS} after an abort at the latest. */
async function* untilAborted<T>(events: AsyncIterable<T>, signal: AbortSignal | undefined): AsyncGenerator<T> {
	const iterator = events[Symbol.asyncIterator]();
	let timer: NodeJS.Timeout | undefined;
	let isOverdue = false;
	let stopWaiting: (() => void) | undefined;
	const onAbort = () => {
		timer = setTimeout(() => {
			isOverdue = true;
			stopWaiting?.();
		}, ABORT_GRACE_MS);
	};
	if (signal?.aborted) onAbort();
	signal?.addEventListener("abort", onAbort, { once: true });
	try {
		while (!isOverdue) {
			const next = await new Promise<IteratorResult<T> | undefined>((resolve, reject) => {
				stopWaiting = () => resolve(undefined);
				iterator.next().then(resolve, reject);
			});
			if (!next || next.done) return;
			yield next.value;
		}
	} finally {
		clearTimeout(timer);
		signal?.removeEventListener("abort", onAbort);
	}
}
