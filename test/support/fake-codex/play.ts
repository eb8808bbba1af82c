import type { AnswerContext, DelayedAnswer, PlayableAnswer, Refusal, StreamAnswer } from "./answer.ts";
import type { JsonRecord } from "./json.ts";
import { wait, waitForAbort } from "./wait.ts";

/** Lets what was written reach the client before the reset that would otherwise overtake it. */
const FLUSH_MS = 20;

/** Where an answer goes. Every method ends at once when the signal has aborted. */
export interface Sink {
	/** Aborts when the client or the server goes away. */
	readonly signal: AbortSignal;
	/** Answers with a status (or an error frame). */
	refuse(refusal: Refusal): void;
	/** Begins a stream. */
	start(headers: Readonly<Record<string, string>>): void;
	send(event: JsonRecord): void;
	/** Resets the connection. */
	reset(): void;
	/** Closes a WebSocket with this code; over HTTP a reset. */
	close(code: number, reason: string): void;
	/** Ends a stream, complete or not. */
	finish(complete: boolean): void;
}

const TERMINAL_EVENTS = new Set(["response.completed", "response.incomplete", "response.failed", "error"]);

/** Plays one answer to its end. */
export async function play(answer: PlayableAnswer, context: AnswerContext, sink: Sink): Promise<Refusal | undefined> {
	switch (answer.kind) {
		case "refusal": {
			const refused = answer.refuse(context);
			sink.refuse(refused);
			return refused;
		}
		case "delayed":
			return playDelayed(answer, context, sink);
		case "hang":
			await waitForAbort(sink.signal);
			return undefined;
		case "reset":
			sink.reset();
			return undefined;
		case "stream":
			await playStream(answer, context, sink);
			return undefined;
	}
}

async function playDelayed(answer: DelayedAnswer, context: AnswerContext, sink: Sink): Promise<Refusal | undefined> {
	await wait(answer.ms, sink.signal);
	return sink.signal.aborted ? undefined : play(answer.then, context, sink);
}

async function playStream(answer: StreamAnswer, context: AnswerContext, sink: Sink): Promise<void> {
	await wait(answer.beforeHeadersMs ?? 0, sink.signal);
	let started = false;
	let complete = false;
	for (const step of answer.steps(context)) {
		if (sink.signal.aborted) return;
		switch (step.do) {
			case "send":
				if (!started) sink.start(answer.headers ?? {});
				started = true;
				sink.send(step.event);
				complete = TERMINAL_EVENTS.has(String(step.event.type));
				break;
			case "wait":
				await wait(step.ms, sink.signal);
				break;
			case "hang":
				await waitForAbort(sink.signal);
				return;
			case "reset":
				await wait(FLUSH_MS, sink.signal);
				sink.reset();
				return;
			case "close":
				await wait(FLUSH_MS, sink.signal);
				sink.close(step.code, step.reason);
				return;
		}
	}
	if (!sink.signal.aborted) sink.finish(complete);
}
