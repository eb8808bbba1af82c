import type { AssistantMessageEvent } from "@mariozechner/pi-ai";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { StreamOptions } from "../../../src/core/request/attempt.ts";
import { streamOfHost } from "../../../src/pi/delegate.ts";
import { type FakeCodex, startFakeCodex } from "../../support/fake-codex/index.ts";
import { CONTEXT, MODEL } from "../harness.ts";

let codex: FakeCodex;
beforeEach(async () => {
	codex = await startFakeCodex({ accounts: ["a"] });
});
afterEach(() => codex.close());

/** The body of the request that pi's own function makes of these options. */
async function bodyOf(options: Record<string, unknown>): Promise<Record<string, unknown>> {
	const all: StreamOptions = { apiKey: codex.grant("a").access, transport: "sse", ...options };
	const events: AssistantMessageEvent[] = [];
	for await (const event of streamOfHost({ ...MODEL, reasoning: true, baseUrl: codex.baseUrl }, CONTEXT, all))
		events.push(event);
	expect(events.at(-1)?.type).toBe("done");
	return codex.responsesRequests().at(-1)?.body ?? {};
}

describe("pi's own stream function", () => {
	it.each([
		[{ reasoningEffort: "low" }, { reasoning: { effort: "low", summary: "auto" } }],
		[{ reasoningEffort: "low", reasoningSummary: "detailed" }, { reasoning: { effort: "low", summary: "detailed" } }],
		[{ serviceTier: "priority" }, { service_tier: "priority" }],
		[{ textVerbosity: "high" }, { text: { verbosity: "high" } }],
		[{ reasoning: "high" }, { reasoning: { effort: "high", summary: "auto" } }],
		[{}, { text: { verbosity: "low" } }],
	])("keeps of %j what the backend knows by %j", async (options, expected) => {
		expect(await bodyOf(options)).toMatchObject(expected);
	});

	it("has the effort that a caller of the simple function means, whatever else that caller gives", async () => {
		const body = await bodyOf({ reasoning: "high", serviceTier: "priority" });
		expect(body).toMatchObject({ reasoning: { effort: "high" } });
	});
});
