import { describe, expect, it } from "vitest";
import { ABORTED, brokenOffAt, finalError, withWords } from "../../../../src/core/request/final-events.ts";
import { reasonIn } from "../../../../src/core/request/serve.ts";
import { NOW } from "../../../support/fakes.ts";
import { MODEL } from "../../harness.ts";
import { aMessage } from "../../streams.ts";

describe("a final event of ours", () => {
	it("has everything that a host reads of a message", () => {
		const event = finalError(MODEL, "error", "no", NOW);
		expect(event).toMatchObject({ type: "error", reason: "error" });
		expect(event.error).toEqual(aMessage({ stopReason: "error", errorMessage: "no" }));
		expect(finalError(MODEL, "aborted", ABORTED, NOW).error).toMatchObject({
			stopReason: "aborted",
			errorMessage: "Request was aborted",
		});
	});

	it("the event of an answer that broke off keeps what was shown, without the host's scratch", () => {
		const call = { type: "toolCall" as const, id: "t", name: "read", arguments: {} };
		const partial = aMessage({
			content: [{ type: "text", text: "half" }, Object.assign({ ...call }, { partialJson: '{"pa', customInput: "x" })],
			responseId: "resp_1",
		});
		const before = structuredClone(partial);
		const event = brokenOffAt(partial, "error", "broken off");
		expect(event.error).toMatchObject({ stopReason: "error", errorMessage: "broken off", responseId: "resp_1" });
		expect(event.error.content).toEqual([{ type: "text", text: "half" }, call]);
		expect(partial).toEqual(before);
	});

	it("holds no token that a server's words quote", () => {
		const told = "Invalid token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ1In0.c2ln";
		const event = finalError(MODEL, "error", told, NOW);
		expect(event.error.errorMessage).toBe("Invalid token …");
		expect(withWords({ ...event, error: { ...event.error, errorMessage: told } }, told).error.errorMessage).toBe(
			"Invalid token …",
		);
		expect(brokenOffAt(aMessage(), "error", told).error.errorMessage).toBe("Invalid token …");
		expect(reasonIn(told)).toBe("Invalid token …");
	});

	it("holds nothing of a server's words that acts on a terminal; lines stay lines", () => {
		const told = "first\r\n\tsecond\nthird \u001b[2J\u009b31m\u202e\rover\u0007 👩‍👧";
		const shown = "first\r\n\tsecond\nthird ?[2J?31m??over? 👩‍👧";
		const event = finalError(MODEL, "error", told, NOW);
		expect(event.error.errorMessage).toBe(shown);
		expect(brokenOffAt(aMessage(), "error", told).error.errorMessage).toBe(shown);
		const theirs = { ...event, error: { ...event.error, errorMessage: told } };
		expect(withWords(theirs, told).error.errorMessage).toBe(shown);
	});

	it("two final events are the same exactly if their words are", () => {
		const event = finalError(MODEL, "error", "no", NOW);
		expect(withWords(event, "no")).toBe(event);
		expect(withWords(event, "yes").error.errorMessage).toBe("yes");
		expect(event.error.errorMessage).toBe("no");
	});
});
