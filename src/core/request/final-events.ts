import type { Api, AssistantMessage, AssistantMessageEvent, Model } from "@mariozechner/pi-ai";
import { hideTokens } from "../privacy.ts";

/** The final event of a request that failed. */
export type ErrorEvent = Extract<AssistantMessageEvent, { type: "error" }>;

/** The message of pi's own stream for an aborted request. */
export const ABORTED = "Request was aborted";

/** Creates the final event of a request that no inner stream has answered. */
export function finalError(model: Model<Api>, reason: ErrorEvent["reason"], text: string, now: number): ErrorEvent {
	return {
		type: "error",
		reason,
		error: {
			role: "assistant",
			content: [],
			api: model.api,
			provider: model.provider,
			model: model.id,
			usage: {
				input: 0,
				output: 0,
				cacheRead: 0,
				cacheWrite: 0,
				totalTokens: 0,
				cost: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 },
			},
			stopReason: reason,
			errorMessage: shownAs(text),
			timestamp: now,
		},
	};
}

/** Characters that act on a terminal. Tabs and line ends are harmless, and emoji need the zero-width joiner. */
const ACTING = /(?![\n\t\u200d]|\r\n)[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu;

/** Makes a server's message safe to show. In print mode it reaches standard error unchanged. */
function shownAs(text: string): string {
	return hideTokens(text).replace(ACTING, "?");
}

/** Returns the final event with another message. */
export function withWords(event: ErrorEvent, text: string): ErrorEvent {
	const errorMessage = shownAs(text);
	return event.error.errorMessage === errorMessage ? event : { ...event, error: { ...event.error, errorMessage } };
}

/** Fields that hosts keep beside the content of a tool call while it streams. */
interface Scratch {
	readonly partialJson?: unknown;
	readonly customInput?: unknown;
}

/** Creates the final event of an answer that broke off at `partial`. */
export function brokenOffAt(partial: AssistantMessage, reason: ErrorEvent["reason"], text: string): ErrorEvent {
	// Half-parsed tool arguments must not be stored in the session.
	const content = partial.content.map((block) => {
		const { partialJson: _json, customInput: _input, ...kept }: typeof block & Scratch = block;
		return kept;
	});
	return { type: "error", reason, error: { ...partial, content, stopReason: reason, errorMessage: shownAs(text) } };
}
