import { createServer, type Server } from "node:http";
import { connect, type Socket } from "node:net";
import { describe, expect, it, onTestFinished } from "vitest";
import { hostNames } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { benchWithExpiredLogin } from "./credentials-support.ts";

/** A proxy that tunnels, and keeps what went through. */
async function startProxy() {
	const seen: string[] = [];
	const sockets = new Set<Socket>();
	const server: Server = createServer((request, response) => {
		seen.push(`${request.method} ${request.url} ${JSON.stringify(request.headers)}`);
		response.writeHead(502).end();
	});
	server.on("connection", (socket) => {
		sockets.add(socket);
		socket.on("error", () => socket.destroy());
	});
	server.on("connect", (request, client, head) => {
		seen.push(`CONNECT ${request.url}`);
		const [host = "", port = ""] = (request.url ?? "").split(":");
		const upstream = connect(Number(port), host, () => {
			client.write("HTTP/1.1 200 Connection Established\r\n\r\n");
			upstream.write(head);
			client.on("data", (chunk: Buffer) => seen.push(chunk.toString()));
			client.pipe(upstream).pipe(client);
		});
		upstream.on("error", () => client.destroy());
		client.on("close", () => upstream.destroy());
	});
	await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
	onTestFinished(() => {
		for (const socket of sockets) socket.destroy();
		server.close();
	});
	const address = server.address();
	if (address === null || typeof address === "string") throw new Error("the proxy has no port");
	return { url: `http://127.0.0.1:${address.port}`, seen };
}

describe.each(coreOf(hostNames, (host) => host === "0.87.1"))("a proxy for plain http, on pi %s", (host) => {
	it("sees no token of a loopback address, and the variable is named", async () => {
		const proxy = await startProxy();
		const bench = await benchWithExpiredLogin("us", ["b"], { host });
		const env = { HTTP_PROXY: proxy.url };

		const answer = await bench.print("say hi", [], { env });
		const refreshed = await bench.print("/multicodex refresh all", [], { env });
		const verified = await bench.print("/multicodex verify", [], { env });

		expect(proxy.seen).toEqual([]);
		expect(bench.codex.requests).toEqual([]);
		expect(answer).toMatchObject({ code: 1, stdout: "" });
		for (const text of [answer.stderr, verified.stdout]) expect(text).toMatch(/baseUrl.*HTTP_PROXY/);
		expect(verified.stdout).toMatch(/PI_MULTICODEX_AUTH_URL.*HTTP_PROXY/);
		expect(refreshed.code).toBe(1);
	});

	it("is passed by if NO_PROXY covers the address", async () => {
		const proxy = await startProxy();
		const bench = await benchWithExpiredLogin("us", [], { host });
		const env = { HTTP_PROXY: proxy.url, NO_PROXY: "127.0.0.1" };

		expect(await bench.print("say hi", [], { env })).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(proxy.seen).toEqual([]);
	});
});
