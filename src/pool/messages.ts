import type { Api, AssistantMessage, AssistantMessageEvent, Model } from "@mariozechner/pi-ai";

type ErrorEvent = Extract<AssistantMessageEvent, { type: "error" }>;

/** What pi's own stream says when the person aborts. */
export const ABORTED = "Request was aborted";

/** A final event for a request that no inner stream has answered. */
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
			errorMessage: text,
			timestamp: now,
		},
	};
}

/** The same final event with another message. */
export function withWords(event: ErrorEvent, text: string): ErrorEvent {
	return event.error.errorMessage === text ? event : { ...event, error: { ...event.error, errorMessage: text } };
}

/** What hosts keep beside a tool call's content while it streams. */
interface Scratch {
	readonly partialJson?: unknown;
	readonly customInput?: unknown;
}

/** The final event of an answer that was broken off at `partial`. */
export function brokenOffAt(partial: AssistantMessage, reason: ErrorEvent["reason"], text: string): ErrorEvent {
	// Half-parsed tool arguments must not be stored.
	const content = partial.content.map((block) => {
		const { partialJson: _json, customInput: _input, ...kept }: typeof block & Scratch = block;
		return kept;
	});
	return { type: "error", reason, error: { ...partial, content, stopReason: reason, errorMessage: text } };
}
