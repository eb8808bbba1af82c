import { writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { type AgentDir, createAgentDir } from "./agent-dir.ts";
import { type Host, hostNames, prepareHost } from "./hosts.ts";
import { runPi, startRpc } from "./pi.ts";
import type { Rpc } from "./rpc.ts";
import { startTerminal, type Terminal, type TerminalOptions } from "./terminal.ts";
import { coreOf } from "./tiers.ts";

const answer = "The fake backend says hello.";

function sse(events: readonly Record<string, unknown>[]): string {
	return events.map((event) => `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`).join("");
}

function answerEvents(text: string): readonly Record<string, unknown>[] {
	const message = { type: "message", id: "msg_1", role: "assistant", status: "completed" };
	const part = { type: "output_text", text: "", annotations: [] };
	const usage = { input_tokens: 10, output_tokens: 5, total_tokens: 15, input_tokens_details: { cached_tokens: 0 } };
	return [
		{ type: "response.created", response: { id: "resp_1" } },
		{ type: "response.output_item.added", output_index: 0, item: { ...message, content: [] } },
		{ type: "response.content_part.added", output_index: 0, content_index: 0, part },
		{ type: "response.output_text.delta", output_index: 0, content_index: 0, delta: text },
		{ type: "response.output_item.done", output_index: 0, item: { ...message, content: [{ ...part, text }] } },
		{ type: "response.completed", response: { id: "resp_1", status: "completed", usage } },
	];
}

interface TinyBackend {
	readonly baseUrl: string;
	/** The next requests are answered with an error that pi's own turn retry takes up. */
	failNext(count: number): void;
	/** The next request gets no answer. */
	hangNext(): void;
	close(): Promise<void>;
}

function startTinyBackend(): Promise<TinyBackend> {
	let failures = 0;
	let hangs = 0;
	const server = createServer((request, response) => {
		request.resume();
		request.on("end", () => {
			if (request.method !== "POST" || request.url !== "/backend-api/codex/responses") {
				response.writeHead(404).end();
				return;
			}
			if (hangs > 0) {
				hangs -= 1;
				return;
			}
			if (failures > 0) {
				failures -= 1;
				response.writeHead(200, { "content-type": "text/event-stream" });
				const error = { code: "server_error", message: "internal error, please come again" };
				response.end(sse([{ type: "response.failed", response: { id: "resp_0", status: "failed", error } }]));
				return;
			}
			response.writeHead(200, { "content-type": "text/event-stream" });
			response.end(sse(answerEvents(answer)));
		});
	});
	server.on("upgrade", (_request, socket) => {
		socket.end("HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n");
	});
	return new Promise((resolve) => {
		server.listen(0, "127.0.0.1", () => {
			const address = server.address();
			if (address === null || typeof address === "string") throw new Error("no port");
			resolve({
				baseUrl: `http://127.0.0.1:${address.port}/backend-api`,
				failNext: (count) => {
					failures = count;
				},
				hangNext: () => {
					hangs += 1;
				},
				close: () =>
					new Promise((closed) => {
						server.close(() => closed());
						server.closeAllConnections();
					}),
			});
		});
	});
}

function login(accountId: string): Record<string, unknown> {
	const expiresAt = Date.now() + 3_600_000;
	const claims = {
		"https://api.openai.com/auth": { chatgpt_account_id: accountId },
		exp: Math.floor(expiresAt / 1000),
	};
	// Plain base64: pi reads the payload with atob(), which knows no base64url.
	const access = ["header", Buffer.from(JSON.stringify(claims)).toString("base64"), "signature"].join(".");
	return { "openai-codex": { type: "oauth", access, refresh: "refresh-a", expires: expiresAt, accountId } };
}

let backend: TinyBackend;

beforeAll(async () => {
	backend = await startTinyBackend();
});

afterAll(() => backend.close());

// What the helpers must be able to see of an extension, in the words of both package generations.
const talkativeExtension = `
export default function talkative(pi) {
	pi.on("session_start", (_event, ctx) => ctx.ui.setStatus("talkative", "ready"));
	pi.registerCommand("ask", {
		description: "asks",
		handler: async (_args, ctx) => {
			const fruit = await ctx.ui.select("Which fruit?", ["apple", "pear"]);
			const sure = await ctx.ui.confirm("Sure?", "Really?");
			ctx.ui.notify("You said " + fruit + ", sure: " + sure, "warning");
		},
	});
}
`;

// On the others every test of the core uses them.
describe.each(coreOf(hostNames))("pi %s against a backend on loopback", (name) => {
	let host: Host;
	let agentDir: AgentDir;
	let talkative: string;
	const cleanups: (() => Promise<unknown>)[] = [];

	const rpc = (extension: string | false, args: readonly string[] = []): Rpc => {
		const client = startRpc(host, agentDir, args, { extension });
		cleanups.push(() => client.close());
		return client;
	};

	const terminal = (extension: string | false, options: TerminalOptions = {}): Terminal => {
		const started = startTerminal(host, agentDir, [], { ...options, extension });
		cleanups.push(() => started.stop());
		return started;
	};

	beforeAll(async () => {
		host = await prepareHost(name);
		const settings = { retry: { enabled: true, baseDelayMs: 50 } };
		agentDir = createAgentDir({ baseUrl: backend.baseUrl, auth: login("acct-a"), settings });
		talkative = join(agentDir.home, "talkative.ts");
		writeFileSync(talkative, talkativeExtension);
	}, 300_000);

	afterEach(async () => {
		for (const cleanup of cleanups.splice(0)) await cleanup();
	});

	afterAll(() => agentDir.remove());

	test("can be killed in mid-run, and a run that takes too long rejects with what it wrote", async () => {
		const killed = await runPi(host, agentDir, ["--mode", "rpc"], { extension: false, killAfterMs: 50 });
		expect(killed).toMatchObject({ code: null, signal: "SIGKILL" });
		const endless = startRpc(host, agentDir, [], { extension: false });
		await expect(endless.process.wait(50)).rejects.toThrow("no end after 50 ms");
		expect(await endless.process.wait()).toMatchObject({ signal: "SIGKILL" });
	}, 60_000);

	test("settles only after pi's own retry", async () => {
		const client = rpc(false);
		backend.failNext(2);
		const turn = await client.prompt("say hi");
		expect(turn).toMatchObject({ text: answer, stopReason: "stop", retries: 2 });
		expect(turn.events.filter((event) => event.type === "agent_end")).toHaveLength(3);
	}, 60_000);

	test("settles with the error after the last retry, and after an abort", async () => {
		const client = rpc(false);
		backend.failNext(4);
		const turn = await client.prompt("say hi");
		expect(turn).toMatchObject({ stopReason: "error", retries: 3 });
		backend.hangNext();
		const before = client.events.length;
		await client.send("say hi");
		await client.waitFor((event) => event.type === "agent_start", 10_000, before);
		await client.abort();
		expect(await client.settled()).toMatchObject({ stopReason: "aborted" });
		expect((await client.prompt("and now?")).text).toBe(answer);
	}, 60_000);

	test("rejects with what was seen when a wait runs out or a command is refused", async () => {
		const client = rpc(false);
		await client.prompt("say hi");
		await expect(client.waitFor((event) => event.type === "never", 100)).rejects.toThrow(/100 ms.*agent_end/s);
		await expect(client.command("set_model", { provider: "openai-codex", modelId: "none" })).rejects.toThrow(
			"Model not found",
		);
	}, 60_000);

	test("shows the answer of a prompt in a terminal of 80 columns", async () => {
		const window = terminal(false, { cols: 80, rows: 30 });
		await window.ready();
		await window.waitForText(host.model);
		await window.submit("say hi");
		const screen = await window.waitForText(answer);
		expect(Math.max(...screen.split("\n").map((line) => line.length))).toBeLessThanOrEqual(80);
		expect(screen).not.toMatch(/warning|not found|update/i);
		window.resize(50);
		await window.waitForScreen((visible) => /^─{50}$/m.test(visible) && visible.includes(answer));
		await window.submit("/quit");
		expect(await window.waitForExit()).toMatchObject({ code: 0 });
	}, 60_000);
});
