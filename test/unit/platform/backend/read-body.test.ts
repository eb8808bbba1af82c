import { describe, expect, it } from "vitest";
import { readBody, readRefusal, readText } from "../../../../src/platform/backend/read-body.ts";

const NEVER = new AbortController().signal;

/** A body that never ends, in chunks of `size` bytes; counts how many were asked for, and whether it was let go. */
function endless(size: number) {
	const seen = { chunks: 0, isCancelled: false };
	const stream = new ReadableStream<Uint8Array>(
		{
			pull: (controller) => {
				seen.chunks += 1;
				controller.enqueue(new TextEncoder().encode("x".repeat(size)));
			},
			cancel: () => {
				seen.isCancelled = true;
			},
		},
		{ highWaterMark: 0 },
	);
	return { response: new Response(stream), seen };
}

describe("a body", () => {
	it("is whole up to its limit", async () => {
		expect(await readBody(new Response("grün"), 5, NEVER)).toEqual({ text: "grün", isWhole: true });
		expect(await readBody(new Response(""), 0, NEVER)).toEqual({ text: "", isWhole: true });
		expect(await readBody(new Response(null), 5, NEVER)).toEqual({ text: "", isWhole: true });
	});

	it("is cut off at its limit, and nothing more of it is read", async () => {
		expect(await readBody(new Response("123456"), 5, NEVER)).toEqual({ text: "12345", isWhole: false });
		const { response, seen } = endless(1000);
		expect(await readBody(response, 10_500, NEVER)).toEqual({ text: "x".repeat(10_500), isWhole: false });
		expect(seen).toEqual({ chunks: 11, isCancelled: true });
	});

	it("ends with its signal, with what has come", async () => {
		const abort = new AbortController();
		const silent = new ReadableStream({ start: (controller) => controller.enqueue(new TextEncoder().encode("abc")) });
		const reading = readBody(new Response(silent), 100, abort.signal);
		setTimeout(() => abort.abort(), 20);
		expect(await reading).toEqual({ text: "abc", isWhole: false });
		expect(await readBody(new Response("abc"), 100, abort.signal)).toEqual({ text: "", isWhole: false });
	});

	it("is given as far as it arrived when the connection breaks, with the error", async () => {
		let pulls = 0;
		const breaking = new ReadableStream({
			pull: (controller) => {
				pulls += 1;
				if (pulls === 1) controller.enqueue(new TextEncoder().encode("abc"));
				else controller.error(new Error("reset"));
			},
		});
		const read = await readBody(new Response(breaking), 100, NEVER);
		expect(read).toMatchObject({ text: "abc", isWhole: false, broken: { by: new Error("reset") } });
	});
});

describe("a body read as text", () => {
	it("is empty when it is longer than the limit", async () => {
		expect(await readText(new Response("12345"), NEVER, 5)).toBe("12345");
		expect(await readText(new Response("123456"), NEVER, 5)).toBe("");
	});

	it("rejects on abort, and when the connection breaks", async () => {
		await expect(readText(new Response("abc"), AbortSignal.abort(new Error("enough")), 5)).rejects.toThrow("enough");
		const broken = new ReadableStream({ start: (controller) => controller.error(new Error("reset")) });
		await expect(readText(new Response(broken), NEVER, 100)).rejects.toThrow("reset");
	});
});

describe("the body of a refusal", () => {
	it("is cut off at 64 KiB", async () => {
		const { response, seen } = endless(10_000);
		expect(await readRefusal(response)).toHaveLength(65_536);
		expect(seen.isCancelled).toBe(true);
	});

	it("is unknown when the connection breaks", async () => {
		const broken = new ReadableStream({ start: (controller) => controller.error(new Error("reset")) });
		expect(await readRefusal(new Response(broken))).toBeUndefined();
	});
});
