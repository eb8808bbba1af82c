import type { AssistantMessage } from "@mariozechner/pi-ai";
import { NOW } from "../support/fakes.ts";

/** An assistant message as the host begins it. */
export function aMessage(overrides: Partial<AssistantMessage> = {}): AssistantMessage {
	const cost = { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, total: 0 };
	return {
		role: "assistant",
		content: [],
		api: "openai-codex-responses",
		provider: "openai-codex",
		model: "gpt-5.5",
		usage: { input: 0, output: 0, cacheRead: 0, cacheWrite: 0, totalTokens: 0, cost },
		stopReason: "stop",
		timestamp: NOW,
		...overrides,
	};
}
