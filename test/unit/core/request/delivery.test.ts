import type { AssistantMessage, AssistantMessageEvent } from "@mariozechner/pi-ai";
import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { type Delivery, deliver } from "../../../../src/core/request/delivery.ts";
import { settled } from "../../../support/fakes.ts";
import { runs } from "../../../support/tiers.ts";
import { aMessage } from "../../streams.ts";
import { hurryTimersOf } from "../../waits.ts";

type Event = AssistantMessageEvent;

async function* stream(...events: Event[]): AsyncGenerator<Event> {
	for (const event of events) yield event;
}

/** What came out, and how it ended. */
async function delivered(events: AsyncIterable<Event>, signal?: AbortSignal) {
	const pushed: Event[] = [];
	const delivery = await deliver(events, (event) => pushed.push(event), signal);
	return { pushed, delivery };
}
const failed = (delivery: Delivery) => {
	if (delivery.kind !== "failed") throw new Error("it was answered");
	return delivery;
};

const partial = aMessage();
const start: Event = { type: "start", partial };
const textStart: Event = { type: "text_start", contentIndex: 0, partial };
const textDelta = (delta: string): Event => ({ type: "text_delta", contentIndex: 0, delta, partial });
const textEnd = (content: string): Event => ({ type: "text_end", contentIndex: 0, content, partial });
const done: Event = { type: "done", reason: "stop", message: partial };
const error: Event = { type: "error", reason: "error", error: aMessage({ stopReason: "error", errorMessage: "no" }) };
const toolCall = { type: "toolCall", id: "t", name: "read", arguments: {} } as const;

describe("delivery", () => {
	it("holds back what comes before the first content, and forwards it once, in order", async () => {
		const { pushed, delivery } = await delivered(stream(start, textStart, textDelta("hi"), textDelta("!"), done));
		expect(pushed).toEqual([start, textStart, textDelta("hi"), textDelta("!")]);
		expect(delivery).toEqual({ kind: "answered", final: done });
	});

	it.each<[string, Event]>([
		["text", textDelta("x")],
		["thinking", { type: "thinking_delta", contentIndex: 0, delta: "x", partial }],
		["arguments of a tool", { type: "toolcall_delta", contentIndex: 0, delta: "{", partial }],
		["a whole text", textEnd("x")],
		["a whole thought", { type: "thinking_end", contentIndex: 0, content: "x", partial }],
		["a whole tool call", { type: "toolcall_end", contentIndex: 0, toolCall, partial }],
	])("commits at the first content: %s", async (_name, content) => {
		const { pushed, delivery } = await delivered(stream(start, content, error));
		expect(pushed).toEqual([start, content]);
		expect(failed(delivery)).toMatchObject({ isCommitted: true, final: error });
	});

	it.each<[string, Event]>([
		["the start", start],
		["the start of a text", textStart],
		["the start of a thought", { type: "thinking_start", contentIndex: 0, partial }],
		["the start of a tool call", { type: "toolcall_start", contentIndex: 0, partial }],
		["an empty piece of text", textDelta("")],
		["an empty thought", { type: "thinking_end", contentIndex: 0, content: "", partial }],
		["an empty text", textEnd("")],
		["empty arguments", { type: "toolcall_delta", contentIndex: 0, delta: "", partial }],
	])("delivery does not commit at %s", async (_name, empty) => {
		const { pushed, delivery } = await delivered(stream(start, empty, error));
		expect(pushed).toEqual([]);
		expect(failed(delivery)).toMatchObject({ isCommitted: false, final: error });
	});

	it("commits after 200 events without content", async () => {
		const message = aMessage();
		async function* empties(): AsyncGenerator<Event> {
			for (let count = 0; count < 3000; count += 1) {
				message.content.push({ type: "text", text: "" });
				yield { type: "text_start", contentIndex: count, partial: message };
			}
			yield error;
		}
		const copies = vi.spyOn(globalThis, "structuredClone");
		const { pushed, delivery } = await delivered(empties());
		expect([pushed.length, failed(delivery).isCommitted]).toEqual([3000, true]);
		expect(copies).toHaveBeenCalledTimes(200);
		copies.mockRestore();
		const sizes = pushed.slice(0, 200).map((event) => "partial" in event && event.partial.content.length);
		expect(sizes).toEqual(Array.from({ length: 200 }, (_, index) => index + 1));
	});

	it("hands out what it held when the failure goes to pi, and only once", async () => {
		const pushed: Event[] = [];
		const delivery = failed(await deliver(stream(start, textStart, error), (event) => pushed.push(event), undefined));
		expect(pushed).toEqual([]);
		delivery.forwardHeld();
		delivery.forwardHeld();
		expect(pushed).toEqual([start, textStart]);
	});

	it("commits an answer without content, too", async () => {
		expect(await delivered(stream(start, done))).toEqual({
			pushed: [start],
			delivery: { kind: "answered", final: done },
		});
		expect((await delivered(stream(done))).delivery).toEqual({ kind: "answered", final: done });
	});

	it("never forwards a final event, nor anything after it", async () => {
		const { pushed } = await delivered(stream(start, textDelta("a"), done, textDelta("late"), error));
		expect(pushed).toEqual([start, textDelta("a")]);
	});

	it("says that a stream had no end, and how far it came", async () => {
		const { pushed, delivery } = await delivered(stream(start, textDelta("half")));
		expect(pushed).toHaveLength(2);
		expect(failed(delivery)).toMatchObject({ final: undefined, isCommitted: true, partial });
		expect(failed((await delivered(stream())).delivery)).toMatchObject({ final: undefined, partial: undefined });
	});

	it("says that a stream threw, and what", async () => {
		async function* broken(): AsyncGenerator<Event> {
			yield start;
			throw new Error("a defect");
		}
		const { pushed, delivery } = await delivered(broken());
		expect(pushed).toEqual([]);
		expect(failed(delivery)).toMatchObject({ final: undefined, isCommitted: false, thrown: new Error("a defect") });
	});

	it("shows held events as they were, although the host goes on with one message", async () => {
		const message = aMessage();
		async function* host(): AsyncGenerator<Event> {
			yield { type: "start", partial: message };
			message.content.push({ type: "text", text: "" });
			yield { type: "text_start", contentIndex: 0, partial: message };
			message.content[0] = { type: "text", text: "hello" };
			yield { type: "text_delta", contentIndex: 0, delta: "hello", partial: message };
			yield { type: "done", reason: "stop", message };
		}
		const { pushed } = await delivered(host());
		const contents = pushed.map((event) => ("partial" in event ? event.partial.content : undefined));
		expect(contents).toEqual([[], [{ type: "text", text: "" }], [{ type: "text", text: "hello" }]]);
	});

	it("forwards untouched what comes after the commit", async () => {
		const content = textDelta("x");
		const later = textDelta("y");
		const { pushed } = await delivered(stream(start, content, later, done));
		expect(pushed[1]).toBe(content);
		expect(pushed[2]).toBe(later);
		expect(pushed[0]).not.toBe(start);
	});
});

describe("an abort", () => {
	it("ends a silent stream soon", async () => {
		hurryTimersOf(500);
		const abort = new AbortController();
		async function* silent(): AsyncGenerator<Event> {
			yield start;
			await new Promise(() => undefined);
		}
		const delivering = delivered(silent(), abort.signal);
		await settled();
		abort.abort();
		const { pushed, delivery } = await delivering;
		expect(pushed).toEqual([]);
		expect(failed(delivery)).toMatchObject({ final: undefined, isCommitted: false, partial });
	});

	it("lets the host end in its own words, if it is quick", async () => {
		const abort = new AbortController();
		const aborted: Event = { type: "error", reason: "aborted", error: aMessage({ stopReason: "aborted" }) };
		async function* host(): AsyncGenerator<Event> {
			yield start;
			await new Promise((resolve) => abort.signal.addEventListener("abort", resolve));
			yield aborted;
		}
		const delivering = delivered(host(), abort.signal);
		await settled();
		abort.abort();
		expect(failed((await delivering).delivery).final).toBe(aborted);
	});

	it("ends a stream that goes on and on", async () => {
		hurryTimersOf(500);
		const abort = new AbortController();
		async function* endless(): AsyncGenerator<Event> {
			for (;;) {
				yield textDelta("x");
				await settled();
			}
		}
		const delivering = delivered(endless(), abort.signal);
		await settled();
		abort.abort();
		expect(failed((await delivering).delivery)).toMatchObject({ final: undefined, isCommitted: true });
	});

	it("lets nothing through that the host sends after the end", async () => {
		hurryTimersOf(500);
		const abort = new AbortController();
		let goOn = (): void => undefined;
		async function* late(): AsyncGenerator<Event> {
			yield textDelta("x");
			await new Promise<void>((resolve) => {
				goOn = resolve;
			});
			yield textDelta("late");
		}
		const delivering = delivered(late(), abort.signal);
		await settled();
		abort.abort();
		const { pushed } = await delivering;
		expect(pushed).toHaveLength(1);
		goOn();
		await settled();
		expect(pushed).toHaveLength(1);
	});

	it("an abort that came before the stream still ends it", async () => {
		hurryTimersOf(500);
		async function* silent(): AsyncGenerator<Event> {
			yield* [];
			await new Promise(() => undefined);
		}
		expect(failed((await delivered(silent(), AbortSignal.abort())).delivery).final).toBeUndefined();
	});

	it("leaves no failure of the stream unheard", async () => {
		hurryTimersOf(500);
		const unheard: unknown[] = [];
		const onUnheard = (reason: unknown) => unheard.push(reason);
		process.on("unhandledRejection", onUnheard);
		const abort = new AbortController();
		let fail: ((error: Error) => void) | undefined;
		async function* late(): AsyncGenerator<Event> {
			yield start;
			await new Promise((_resolve, reject) => {
				fail = reject;
			});
		}
		const delivering = delivered(late(), abort.signal);
		await settled();
		abort.abort();
		await delivering;
		fail?.(new Error("the socket closed"));
		await new Promise((resolve) => setTimeout(resolve, 10));
		process.off("unhandledRejection", onUnheard);
		expect(unheard).toEqual([]);
	});
});

describe("any sequence of events", () => {
	const piece = fc.constantFrom("", "a", "bc");
	const events = fc.array(
		fc.oneof(
			fc.constant<Event["type"]>("start"),
			fc.constantFrom<Event["type"]>("text_start", "thinking_start", "toolcall_start"),
			fc.constantFrom<Event["type"]>("text_delta", "thinking_delta", "toolcall_delta"),
			fc.constantFrom<Event["type"]>("text_end", "thinking_end", "toolcall_end"),
			fc.constantFrom<Event["type"]>("done", "error"),
		),
		{ maxLength: 15 },
	);
	const script = fc.tuple(events, fc.array(piece, { minLength: 15, maxLength: 15 }));

	/** The host's stream: one message that grows with every event. */
	function* hosted(types: readonly Event["type"][], pieces: readonly string[]): Generator<Event> {
		const message: AssistantMessage = aMessage();
		for (const [at, type] of types.entries()) {
			const text = pieces[at] ?? "";
			message.content = [...message.content, { type: "text", text: `${at}:${text}` }];
			yield eventOf(type, text, message);
		}
	}

	function eventOf(type: Event["type"], text: string, message: AssistantMessage): Event {
		switch (type) {
			case "text_delta":
			case "thinking_delta":
			case "toolcall_delta":
				return { type, contentIndex: 0, delta: text, partial: message };
			case "text_end":
			case "thinking_end":
				return { type, contentIndex: 0, content: text, partial: message };
			case "toolcall_end":
				return { type, contentIndex: 0, toolCall, partial: message };
			case "done":
				return { type, reason: "stop", message };
			case "error":
				return { type, reason: "error", error: message };
			case "start":
				return { type, partial: message };
			default:
				return { type, contentIndex: 0, partial: message };
		}
	}

	/** The same events as they were at the time, up to and without the first final one. */
	function before(types: readonly Event["type"][], pieces: readonly string[]): Event[] {
		const seen: Event[] = [];
		for (const event of hosted(types, pieces)) {
			if (event.type === "done" || event.type === "error") break;
			seen.push(structuredClone(event));
		}
		return seen;
	}
	const isContent = (event: Event) =>
		("delta" in event && event.delta !== "") ||
		("content" in event && event.content !== "") ||
		event.type === "toolcall_end";

	it("comes out as an exact copy of its beginning, or not at all", async () => {
		await fc.assert(
			fc.asyncProperty(script, async ([types, pieces]) => {
				const pushed: Event[] = [];
				// Snapshots at the moment of the push: that is when pi looks.
				const push = (event: Event) => pushed.push(structuredClone(event));
				async function* host() {
					yield* hosted(types, pieces);
				}
				const delivery = await deliver(host(), push, undefined);
				const expected = before(types, pieces);
				const isCommitted = expected.some(isContent);
				if (delivery.kind === "answered") {
					expect(delivery.final.type).toBe("done");
					expect(pushed).toEqual(expected);
					return;
				}
				expect(delivery.isCommitted).toBe(isCommitted);
				const firstFinal = types.find((type) => type === "done" || type === "error");
				expect(delivery.final?.type).toBe(firstFinal);
				expect(pushed).toHaveLength(isCommitted ? expected.length : 0);
				delivery.forwardHeld();
				expect(pushed).toEqual(expected);
			}),
			runs(60, 2000),
		);
	});
});
