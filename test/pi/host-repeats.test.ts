import { expect, it } from "vitest";
import { RULES } from "../../src/domain/failure.ts";
import { isRepeatedByHost } from "../../src/pi/provider.ts";
import { hostRetries, retries } from "../ui/host-retry.ts";

const WORDINGS = [
	...RULES.flatMap(({ samples }) => samples.flatMap(({ words }) => words ?? [])),
	...["Service Unavailable", "Server error", "Internal error", "Provider returned error", "rate limit", "retry delay"],
	...["Too many requests", "HTTP 429", "HTTP 500", "HTTP 502", "HTTP 503", "HTTP 504", "HTTP 501", "HTTP 520"],
	...["network error", "connection error", "connection refused", "connection lost", "connection closed"],
	...["WebSocket closed 1006", "websocket error", "other side closed", "fetch failed", "upstream connect"],
	...["reset before headers", "socket hang up", "ended without", "HTTP2 request did not get a response"],
	...["timed out", "timeout", "terminated", "read ECONNRESET", "write EPIPE", "connect ETIMEDOUT"],
];

it("knows of every wording whether the oldest host's own retry repeats it, as that host's own file has it", async () => {
	const [oldest] = await hostRetries();
	if (!oldest) throw new Error("no host is known");
	for (const words of WORDINGS) expect([words, isRepeatedByHost(words)]).toEqual([words, retries(oldest, words)]);
});
