import { writeFileSync } from "node:fs";
import { createServer, type Server } from "node:net";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { expect, onTestFinished } from "vitest";
import { CALLBACK_PORTS, holdCallbackPorts } from "../support/callback-ports.ts";
import { answers, type FakeCodex, type RecordedRequest } from "../support/fake-codex/index.ts";
import { repositoryRoot } from "../support/hosts.ts";
import type { LaunchOptions } from "../support/launch.ts";
import type { Rpc } from "../support/rpc.ts";
import type { Terminal, TerminalOptions } from "../support/terminal.ts";
import { type Bench, type BenchOptions, createBench, until } from "./support.ts";

/** Accounts that are not in the pool yet, in every bench of a sign-in. */
const STRANGERS = ["a", "b", "c"];

/** A bench whose accounts have all to sign in first; refused usage calls leave them in the order of the list. */
export function benchWithoutAccounts(options: BenchOptions = {}): Promise<Bench> {
	return createBench({ usage: answers.serverError(500), strangers: STRANGERS, ...options, accounts: [] });
}

/** A bench for sign-ins that go through a browser. It has the callback ports for itself. */
export async function browserBench(options: BenchOptions = {}): Promise<Bench> {
	await holdCallbackPorts();
	return createBench({ usage: answers.serverError(500), accounts: [], strangers: STRANGERS, ...options });
}

/** What the openers of addresses do: write down what they were given, or fail. */
export type Opener = "browser" | "no browser";

/**
 * Environment of a pi on a machine whose browser is ours: no real one may open. On Linux the opener asks `BROWSER`, on
 * macOS it is `open`.
 */
export function openers(bench: Bench, kind: Opener = "browser"): Record<string, string> {
	const script = kind === "browser" ? `#!/bin/sh\necho "$1" >> '${openedFile(bench)}'\n` : "#!/bin/sh\nexit 3\n";
	for (const opener of ["browser", "xdg-open", "open"]) {
		writeFileSync(bench.dir.path(`bin/${opener}`), script, { mode: 0o755 });
	}
	return { BROWSER: bench.dir.path("bin/browser"), PATH: `${bench.dir.path("bin")}:${process.env.PATH}` };
}

/** Addresses that a browser was opened with. */
export function opened(bench: Bench): string[] {
	return (bench.dir.read("opened") ?? "").split("\n").filter((line) => line !== "");
}

function openedFile(bench: Bench): string {
	return bench.dir.path("opened");
}

/** pi in a terminal whose openers are ours, ready for a command. */
export async function openTerminal(
	bench: Bench,
	{ at = "browser", env, ...options }: TerminalOptions & { readonly at?: Opener } = {},
): Promise<Terminal> {
	const terminal = bench.terminal([], { cols: 120, rows: 40, ...options, env: { ...openers(bench, at), ...env } });
	await terminal.ready(40_000);
	return terminal;
}

/** Cancels a sign-in of a pi without accounts by a key, and waits until pi says so. */
export async function cancelSignIn(terminal: Terminal, key: "escape" | "ctrl+c" = "escape"): Promise<void> {
	// pi shows a notice in the place of the one before it, and the first start has one of its own.
	await until("the first line", () => terminal.transcript().includes("No Codex account yet."));
	await terminal.press(key);
	await terminal.waitForText("Nothing was changed.", PATIENCE_MS);
}

/** Environment of a pi for which `slowMs` pass in a moment. */
export function passingFast(slowMs: number, fastMs: number): Record<string, string> {
	const url = pathToFileURL(join(repositoryRoot, "test/support/preload/timers.mjs"));
	return { NODE_OPTIONS: `--import=${url.href}`, TEST_PRELOAD_TIMERS: JSON.stringify({ slowMs, fastMs }) };
}

/** A sign-in that waits for the browser. */
export interface ShownSignIn {
	/** The address, put together from the lines it takes. */
	readonly url: string;
	readonly redirectUri: URL;
	readonly state: string;
}

/** What the screen says while a sign-in stands on it. */
export const SIGN_IN_SCREEN = "esc cancel";
/** A slow machine may need this long for anything that a person sees. */
export const PATIENCE_MS = 40_000;
/** Newer hosts have no model before the first account, and neither has a home that holds nothing. */
export const MODEL_QUESTION = "Which Codex model do you want to use?";

/** Gives a command that signs in with a browser, and reads the address from the screen. */
export async function beginInBrowser(terminal: Terminal, command = "/multicodex add"): Promise<ShownSignIn> {
	await terminal.submit(command);
	const screen = await terminal.waitForText(/http[\s\S]*esc cancel/, PATIENCE_MS);
	return readAddress(screen);
}

/** Waits until the screen tells that an account was added. Takes the first model where pi has none yet. */
export async function expectAdded(terminal: Terminal, label: string): Promise<void> {
	const told = `added ${label}.`;
	await terminal.waitForScreen((screen) => screen.includes(told) || screen.includes(MODEL_QUESTION), PATIENCE_MS);
	if (terminal.screen().includes(MODEL_QUESTION)) await terminal.press("enter");
	await terminal.waitForText(told, PATIENCE_MS);
}

/** Waits until nothing of a sign-in is left on the screen: what is read in the middle of a drawing holds old lines. */
export async function expectSignInGone(terminal: Terminal): Promise<void> {
	await terminal.waitForScreen((screen) => !screen.includes(SIGN_IN_SCREEN), PATIENCE_MS);
}

/** The sign-in whose address is on a screen, or in a notice. */
export function readAddress(screen: string): ShownSignIn {
	const lines = screen.split("\n");
	const from = lines.findIndex((line) => line.startsWith("http"));
	const end = lines.findIndex((line, at) => at > from && line.trim() === "");
	const url = lines.slice(from, end < 0 ? undefined : end).join("");
	const query = new URL(url).searchParams;
	return { url, redirectUri: new URL(query.get("redirect_uri") ?? ""), state: query.get("state") ?? "" };
}

/** Gives a command that signs in with a code, and reads the code from the screen. */
export async function beginOnDevice(terminal: Terminal, command = "/multicodex add --device"): Promise<string> {
	await terminal.submit(command);
	return readCode(await terminal.waitForText(DEVICE_CODE, PATIENCE_MS));
}

/** A device code of the fake. */
export const DEVICE_CODE = /[0-9A-F]{4}-[0-9A-F]{6}/;

/** The device code in a text. */
export function readCode(text: string): string {
	const [code] = DEVICE_CODE.exec(text) ?? [];
	if (code === undefined) throw new Error(`no device code in: ${text}`);
	return code;
}

/** Where the issuer sends the browser back to, once the user there has signed in. */
export async function redirectOf(url: string): Promise<string> {
	const response = await fetch(url, { redirect: "manual" });
	return response.headers.get("location") ?? "";
}

/** The code in such an address. */
export function codeOf(redirect: string): string {
	return new URL(redirect).searchParams.get("code") ?? "";
}

/** The same address with a parameter that says something else. */
export function withParameter(redirect: string, name: string, value: string): string {
	const url = new URL(redirect);
	url.searchParams.set(name, value);
	return url.toString();
}

/** Pastes a text into the field and takes it. */
export async function paste(terminal: Terminal, text: string): Promise<void> {
	await terminal.type(text);
	await terminal.press("enter");
}

/** True while a program listens on a port of this machine. */
export async function answersAt(port: number | string): Promise<boolean> {
	return fetch(`http://127.0.0.1:${port}/`).then(
		() => true,
		() => false,
	);
}

/** Waits until the callback ports are free. */
export async function expectPortsFree(): Promise<void> {
	await expect.poll(() => Promise.all(CALLBACK_PORTS.map(answersAt)), { timeout: PATIENCE_MS }).toEqual([false, false]);
}

/** Takes callback ports away until the test ends. */
export async function occupy(...ports: readonly number[]): Promise<void> {
	const servers: Server[] = [];
	onTestFinished(async () => {
		await Promise.all(servers.map((server) => new Promise((resolve) => server.close(resolve))));
	});
	for (const port of ports) {
		const server = createServer((socket) => socket.destroy());
		await new Promise<void>((resolve, reject) => {
			server.once("error", reject);
			server.listen(port, "127.0.0.1", resolve);
		});
		servers.push(server);
	}
}

/** Polls of the device flow so far. */
export function polls(codex: FakeCodex): RecordedRequest[] {
	return codex.requestsOf("deviceauth").filter(({ path }) => path.endsWith("/token"));
}

/** Waits for the next poll, so that a code is approved in mid-waiting and not before. */
export async function nextPoll(codex: FakeCodex): Promise<void> {
	const before = polls(codex).length;
	await expect.poll(() => polls(codex).length, { timeout: PATIENCE_MS }).toBeGreaterThan(before);
}

/** pi in RPC mode whose openers are ours. */
export function rpcOnDesk(bench: Bench, { env, ...options }: LaunchOptions = {}): Rpc {
	return bench.rpc([], { ...options, env: { ...openers(bench), ...env } });
}

/** The first notice after the first `from` that matches. */
export async function noticeAfter(rpc: Rpc, from: number, pattern: RegExp): Promise<string> {
	const find = () => rpc.notifications.slice(from).find(({ message }) => pattern.test(message))?.message;
	await expect.poll(find, { timeout: PATIENCE_MS }).toBeDefined();
	return find() ?? "";
}

/**
 * Gives a command that signs in with a code, and lets an account approve it. `done` settles when the command has ended.
 */
export async function approveOnDevice(
	bench: Bench,
	rpc: Rpc,
	command: string,
	as: string,
): Promise<{ readonly done: Promise<void> }> {
	const from = rpc.notifications.length;
	const done = rpc.send(command, 2 * PATIENCE_MS);
	// The test waits for it below; until then a failure is not an unhandled rejection.
	done.catch(() => undefined);
	bench.codex.device.approve(as, readCode(await noticeAfter(rpc, from, DEVICE_CODE)));
	return { done };
}

/** The same to its end, where nothing is asked: what was said last. */
export async function signInOnDevice(bench: Bench, rpc: Rpc, command: string, as: string): Promise<string> {
	const { done } = await approveOnDevice(bench, rpc, command, as);
	await done;
	return rpc.notifications.at(-1)?.message ?? "";
}
