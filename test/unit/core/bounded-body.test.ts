import { describe, expect, it } from "vitest";
import { readBody } from "../../../src/core/bounded-body.ts";

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

	it("rejects where the connection breaks", async () => {
		const broken = new ReadableStream({ start: (controller) => controller.error(new Error("reset")) });
		await expect(readBody(new Response(broken), 100, NEVER)).rejects.toThrow("reset");
	});
});
