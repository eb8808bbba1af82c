import type { AssistantMessage, AssistantMessageEvent } from "@mariozechner/pi-ai";
import { WORD } from "./orders.ts";

type Final = Extract<AssistantMessageEvent, { type: "done" | "error" }>;

/** What one stream has shown, and what was wrong with it. */
export interface Watcher {
	readonly problems: readonly string[];
	/** Numbers of the requests whose answers were shown, in order of appearance. */
	shown(): readonly number[];
	final(): Final | undefined;
	push(event: AssistantMessageEvent): void;
	end(): void;
	/** Looks at the whole: the stream is over. */
	close(): void;
}

/** Looks at every event on its way to pi. `onLate` hears of what comes when everything was said. */
export function createWatcher(onLate: (what: string) => void): Watcher {
	const problems: string[] = [];
	const texts = new Map<number, string>();
	const numbers = new Set<number>();
	let final: Final | undefined;
	let hasStarted = false;
	let isEnded = false;
	let isClosed = false;

	const wrong = (what: string) => {
		if (isClosed) onLate(what);
		else problems.push(what);
	};
	const note = (text: string) => {
		for (const [, request] of text.matchAll(WORD)) numbers.add(Number(request));
	};
	const isWhole = (text: string) => {
		const places = [...text.matchAll(WORD)].map(([, , place]) => Number(place));
		return places.every((place, index) => place === index);
	};

	const atIndex = (index: number, message: AssistantMessage) => {
		const block = message.content[index];
		if (block?.type === "text") return block.text;
		return block?.type === "thinking" ? block.thinking : undefined;
	};

	return {
		problems,
		shown: () => [...numbers],
		final: () => final,
		push: (event) => {
			if (final) wrong(`an event ${event.type} after the final one`);
			else if (isEnded) wrong(`an event ${event.type} after the end`);
			switch (event.type) {
				case "start":
					if (hasStarted) wrong("a second start");
					hasStarted = true;
					return;
				case "done":
				case "error":
					final ??= event;
					return;
				case "text_start":
				case "thinking_start":
					if (!hasStarted) wrong(`${event.type} before the start`);
					texts.set(event.contentIndex, "");
					return;
				case "text_delta":
				case "thinking_delta": {
					const former = texts.get(event.contentIndex);
					if (former === undefined) wrong(`${event.type} of a block that never began`);
					texts.set(event.contentIndex, (former ?? "") + event.delta);
					if (event.delta !== "") note(event.delta);
					return;
				}
				case "text_end":
				case "thinking_end": {
					const told = texts.get(event.contentIndex) ?? "";
					if (event.content !== "") note(event.content);
					// Hosts give a message whose text came without deltas as a whole.
					if (told !== "" && told.trim() !== event.content.trim())
						wrong(`${event.type} that is not the sum of its deltas`);
					return;
				}
				case "toolcall_delta":
				case "toolcall_end":
					return;
				default:
					return;
			}
		},
		end: () => {
			isEnded = true;
		},
		close: () => {
			if (!final) wrong("no final event");
			if (!isEnded) wrong("a stream without an end");
			const message = final?.type === "done" ? final.message : undefined;
			for (const [index, text] of texts) {
				const whole = message && atIndex(index, message);
				if (message && text !== "" && whole?.trim() !== text.trim()) wrong("a message that is not what was shown");
				if (!isWhole(text)) wrong("text out of order");
			}
			if (numbers.size > 1) wrong(`output of ${numbers.size} answers: requests ${[...numbers].join(", ")}`);
			isClosed = true;
		},
	};
}
