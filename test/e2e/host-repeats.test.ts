import { expect, it } from "vitest";
import { classify } from "../../src/core/request/classify.ts";
import { evidenceFromMessage } from "../../src/core/request/evidence.ts";
import { RULES } from "../../src/core/request/failure-rules.ts";
import { isRepeatedByHost } from "../../src/pi/provider.ts";
import { hostRetries, ownAnswers, retries } from "../support/host-retry.ts";

const WORDINGS = [
	...RULES.flatMap(({ samples }) => samples.flatMap(({ message }) => message ?? [])),
	...["Service Unavailable", "Server error", "Internal error", "Provider returned error", "rate limit", "retry delay"],
	...["Too many requests", "HTTP 429", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504", "HTTP 501", "HTTP 520"],
	...["network error", "connection error", "connection refused", "connection lost", "connection closed"],
	...["WebSocket closed 1006", "websocket error", "other side closed", "fetch failed", "upstream connect"],
	...["reset before headers", "socket hang up", "ended without", "HTTP2 request did not get a response"],
	...["timed out", "timeout", "terminated", "read ECONNRESET", "write EPIPE", "connect ETIMEDOUT"],
];

it("each wording is repeated exactly if the oldest host's own file says so", async () => {
	const [oldest] = await hostRetries();
	if (!oldest) throw new Error("no host is known");
	for (const words of WORDINGS) expect([words, isRepeatedByHost(words)]).toEqual([words, retries(oldest, words)]);
});

it("each wording is repeated exactly if a newer host's own function says so", async () => {
	const [, ...newer] = await hostRetries();
	expect(newer.map(({ host }) => host)).toEqual(["0.87.1", "1.5.2", "1.6.0"]);
	for (const retry of newer) {
		const read = WORDINGS.map((words) => [words, retries(retry, words)]);
		const own = await ownAnswers(retry.host, WORDINGS);
		expect([retry.host, read]).toEqual([retry.host, WORDINGS.map((words, at) => [words, own[at]])]);
	}
});

/**
 * Words of a server at its limit, and the hosts whose own retry repeats them; the others leave them to another account.
 */
const LEFT_TO_HOST: readonly (readonly [message: string, hosts: string])[] = [
	["Selected model is at capacity. Please try a different model.", "1.5.2 1.6.0"],
	["Codex error: Selected model is at capacity. Please try a different model.", "1.5.2 1.6.0"],
	["Our servers are currently overloaded. Please try again later.", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["Codex error: server_is_overloaded", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["Codex error: slow_down", ""],
	["We're currently experiencing high demand.", "0.87.1 1.5.2 1.6.0"],
	["An error occurred while processing your request. You can retry your request.", "0.87.1 1.5.2 1.6.0"],
	["The server had an error while processing your request.", ""],
	["Internal server error", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["This model is temporarily unavailable.", ""],
	["Codex error: Bad Gateway", ""],
	["Codex error: The server is too busy", ""],
	["Codex error: 503", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["Codex error: HTTP 520", "0.87.1 1.5.2 1.6.0"],
	["Codex error: 529", ""],
	["Request timed out.", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["Codex SSE response headers timed out after 20000ms", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["fetch failed", "0.73.1 0.87.1 1.5.2 1.6.0"],
	["read ECONNRESET", "1.6.0"],
	["write EPIPE", "1.6.0"],
	["connection closed", "1.6.0"],
	["connect ECONNREFUSED 127.0.0.1:443", "1.6.0"],
	["getaddrinfo ENOTFOUND chatgpt.com", "0.87.1 1.5.2 1.6.0"],
	["Codex WebSocket stream ended before a terminal response event", "0.87.1 1.5.2 1.6.0"],
];

it.each(LEFT_TO_HOST)("knows who repeats %s", async (words, hosts) => {
	const all = await hostRetries();
	expect(
		all
			.filter((host) => retries(host, words))
			.map(({ host }) => host)
			.join(" "),
	).toBe(hosts);
	const failure = classify(evidenceFromMessage(words, 0), { now: 0, modelId: "gpt-5.5", cooldownMs: 1 });
	expect(failure).toMatchObject({ isLeftToHost: true, cooling: undefined });
});
