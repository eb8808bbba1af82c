import type { AnswerContext, Step, StreamAnswer } from "./answer.ts";
import { ResponseEvents, type TextOptions, words } from "./events.ts";

/** A healthy answer: optional reasoning, the text, optional tool calls, `response.completed` with usage. */
export function text(content: string, options: TextOptions = {}): StreamAnswer {
	return healthy("text", () => content, options);
}

/** The default answer: `OK from a #3`, the account and how many requests it has had. */
export function echoAccount(options: TextOptions = {}): StreamAnswer {
	return healthy("echoAccount", (context) => `OK from ${context.account} #${context.requestCount}`, options);
}

/** `echoAccount` at a slow pace; both times in milliseconds. */
export function slow(pace: { beforeHeadersMs?: number; perTokenMs?: number }, options: TextOptions = {}): StreamAnswer {
	const { beforeHeadersMs = 0, perTokenMs = 0 } = pace;
	return { ...echoAccount({ ...options, beforeHeadersMs, delayMs: perTokenMs }), name: "slow" };
}

/** Status 200, `response.created`, then `response.failed` before any output. */
export function failedBeforeOutput(code: string, message: string): StreamAnswer {
	return broken("failedBeforeOutput", function* (events) {
		yield events.failed(code, message);
	});
}

/** Status 200, some text, then `response.failed`. */
export function failedAfterOutput(code: string, message: string, content = "partial text"): StreamAnswer {
	return broken("failedAfterOutput", function* (events) {
		yield* events.message(words(content), 0, false);
		yield events.failed(code, message);
	});
}

/** Status 200 and an event `{type:"error", code, message}`, after some text when given. */
export function errorEvent(code: string, message: string, options: { afterText?: string } = {}): StreamAnswer {
	return broken("errorEvent", function* (events) {
		if (options.afterText !== undefined) yield* events.message(words(options.afterText), 0, false);
		yield events.send({ type: "error", code, message, param: null });
	});
}

/** Headers and `response.created`, then silence until the client or the server goes away. */
export function hangAfterStart(content = ""): StreamAnswer {
	return broken("hangAfterStart", function* (events) {
		if (content !== "") yield* events.message(words(content), 0, false);
		yield { do: "hang" };
	});
}

/** Ends after the text without a terminal event; a WebSocket is then closed with 1000. */
export function noTerminalEvent(content = ""): StreamAnswer {
	return broken("noTerminalEvent", function* (events) {
		if (content !== "") yield* events.message(words(content), 0, true);
	});
}

/** Resets the connection after the text. */
export function resetMidStream(content = "partial text"): StreamAnswer {
	return broken("resetMidStream", function* (events) {
		yield* events.message(words(content), 0, false);
		yield { do: "reset" };
	});
}

/** Closes the WebSocket, before the first frame or after some text; an HTTP connection is reset at that point. */
export function wsClose(code: number, reason = "", options: { afterText?: string } = {}): StreamAnswer {
	const { afterText } = options;
	if (afterText === undefined) {
		return { kind: "stream", name: "wsClose", healthy: false, steps: () => [{ do: "close", code, reason }] };
	}
	return broken("wsClose", function* (events) {
		yield* events.message(words(afterText), 0, false);
		yield { do: "close", code, reason };
	});
}

function healthy(name: string, content: (context: AnswerContext) => string, options: TextOptions): StreamAnswer {
	function* steps(context: AnswerContext): Iterable<Step> {
		const events = new ResponseEvents(context);
		const written = content(context);
		const deltas = options.tokens ?? words(written);
		yield* events.created();
		if (options.reasoning) yield* events.reasoning(options.reasoning === true ? {} : options.reasoning);
		if (deltas.length > 0) yield* events.message(deltas, options.delayMs ?? 0);
		for (const call of options.functionCalls ?? []) yield* events.functionCall(call);
		yield events.completed(options.usage, deltas.length);
	}
	return { kind: "stream", name, healthy: true, beforeHeadersMs: options.beforeHeadersMs, steps };
}

function broken(name: string, rest: (events: ResponseEvents) => Iterable<Step>): StreamAnswer {
	function* steps(context: AnswerContext): Iterable<Step> {
		const events = new ResponseEvents(context);
		yield* events.created();
		yield* rest(events);
	}
	return { kind: "stream", name, healthy: false, steps };
}
