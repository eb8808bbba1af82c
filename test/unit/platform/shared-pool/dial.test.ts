import { createServer, type Server } from "node:net";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { dial } from "../../../../src/platform/shared-pool/dial.ts";
import { parsePoolUrl } from "../../../../src/platform/shared-pool/pool-url.ts";

/** The answer of a database that takes no encrypted connections. */
const NO = "N";

let server: Server;
let port: number;
let received: number;
beforeEach(async () => {
	received = 0;
	server = createServer((socket) => {
		socket.on("error", () => undefined);
		socket.on("data", (bytes) => {
			received += bytes.length;
			socket.write(NO);
		});
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	const address = server.address();
	port = typeof address === "object" && address !== null ? address.port : 0;
});
afterEach(() => new Promise<void>((resolve) => void server.close(() => resolve())));

const dialed = (mode: string) =>
	dial(parsePoolUrl(`postgres://me:secret@127.0.0.1:${port}/pi?sslmode=${mode}`), {
		timeoutMs: 2000,
		signal: new AbortController().signal,
	});

describe("a database that takes no encrypted connections", () => {
	it.each(["require", "verify-ca", "verify-full"])("is not talked to in the clear with sslmode=%s", async (mode) => {
		await expect(dialed(mode)).rejects.toThrow("does not accept encrypted connections");
		expect(received).toBe(8);
	});

	it("is talked to in the clear with sslmode=prefer", async () => {
		const socket = await dialed("prefer");
		expect(socket.destroyed).toBe(false);
		socket.destroy();
	});
});
