import { readdirSync } from "node:fs";
import { stripVTControlCharacters } from "node:util";
import { identityOf } from "../../src/platform/backend/jwt.ts";
import { printJoinCode, readJoinCode } from "../../src/platform/shared-pool/join-code.ts";
import { type AgentDir, createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, startFakeCodex, tokenAnswers } from "../support/fake-codex/index.ts";
import { type Host, NEWEST_HOST, prepareHost } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import { startPostgres } from "../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../support/postgres-proxy.ts";
import type { Rpc } from "../support/rpc.ts";

/** Two machines and one pool in front of a viewer: real pis with two homes, a real Postgres, a fake backend. */

const HOUR_MS = 3_600_000;
const CODE = /pi-pool-keeper-[\w-]+/;

/** One machine of the demo. */
interface DemoMachine {
	readonly name: string;
	readonly dir: AgentDir;
	readonly host: Host;
	readonly issuer: string;
	rpc: Rpc;
	/** How much of what pi has told was printed. */
	told: number;
}

/** Accounts as a person has signed them in on the first machine. */
const ACCOUNTS = ["work", "personal"];

/** Runs it to its end. Everything that was started has ended then. */
export async function runFleetDemo(): Promise<void> {
	say(`Two real pis ${NEWEST_HOST} with a home each, a real PostgreSQL, and a fake Codex backend with two accounts.`);
	const host = await prepareHost(NEWEST_HOST);
	const ends: (() => Promise<unknown> | unknown)[] = [];
	try {
		const codex = await startFakeCodex({ accounts: ACCOUNTS });
		ends.unshift(() => codex.close());
		for (const { name } of codex.accounts) codex.account(name).always(answers.text(`Answered by "${name}".`));
		const server = await startPostgres();
		ends.unshift(() => server.close());
		const proxy = await startPostgresProxy(server.port);
		ends.unshift(() => proxy.close());
		const url = await server.database();

		const rows = ACCOUNTS.map((name) => {
			const credential = codex.grant(name);
			const { id, email, workspaceId } = identityOf(credential.access) ?? {};
			return { id, label: name, email, workspaceId, credential };
		});
		const start = (name: string, accounts?: { readonly version: 2; readonly accounts: typeof rows }): DemoMachine => {
			const dir = createAgentDir({
				baseUrl: codex.baseUrl,
				// A token that ran out is refused with the next request, and not with the next connection.
				settings: { transport: "sse" },
				...(accounts && { accounts }),
			});
			const issuer = codex.issuerFor(name);
			const machine: DemoMachine = { name, dir, host, issuer, rpc: open(host, dir, issuer), told: 0 };
			ends.unshift(() => dir.remove());
			ends.unshift(() => machine.rpc.close());
			return machine;
		};
		const laptop = start("laptop", { version: 2, accounts: rows });
		const desktop = start("desktop");
		await play(laptop, desktop, codex, proxy, proxy.through(url), url);
	} finally {
		for (const end of ends) await end();
	}
}

async function play(
	laptop: DemoMachine,
	desktop: DemoMachine,
	codex: FakeCodex,
	proxy: PostgresProxy,
	laptopsUrl: string,
	url: string,
): Promise<void> {
	say("\nThe laptop makes a pool in the database, and shares both accounts.");
	const told = await command(laptop, `share ${laptopsUrl} all --name laptop`);
	const code = CODE.exec(told)?.[0];
	if (code === undefined) throw new Error("the laptop has printed no join code");

	say("\nThe desktop joins, and has no account of its own.");
	await command(desktop, `join ${forDesktop(code, url)} --name desktop`);
	// As /model does: a pi without an account has started without a model.
	await desktop.rpc.command("set_model", { provider: "openai-codex", modelId: desktop.host.model });
	await ask(desktop, "Name a planet.");

	say("\nThe laptop is refused: the account is out of quota.");
	const [first = "work"] = lastAsked(codex);
	codex.account(first).always(answers.usageLimit({ resetsInMs: 2 * HOUR_MS }));
	await ask(laptop, "Name another one.");
	const refusals = refused(codex);
	say("\nThe desktop knows, and asks the other account at once.");
	await pause(1000);
	await ask(desktop, "And a third one.");
	say(`  refusals after the first one: ${refused(codex) - refusals}`);

	const other = ACCOUNTS.find((name) => name !== first) ?? "personal";
	say(`\nThe token of "${other}" runs out. The laptop renews it, loses the database, and is switched off.`);
	let release: () => void = () => undefined;
	codex.account(other).tokenScript.next(tokenAnswers.hold(new Promise((resolve) => (release = resolve))));
	codex.account(other).expireAccessTokens();
	await laptop.rpc.send("Which of them is the largest?");
	await codex.waitFor(({ kind, sender }) => kind === "token" && sender === "laptop", 30_000);
	proxy.refuse(true);
	proxy.cut();
	release();
	await until(() => journals(laptop) > 0, "the journal");
	laptop.rpc.process.signal("SIGKILL");
	say(`  left on its disk: ${journals(laptop)} sealed journal, and no token that can be read`);

	say("\nThe desktop does not send that token once more.");
	await ask(desktop, "Which has rings?");
	say("\nThe laptop is back, stores what it had got, and both machines have the account again.");
	proxy.refuse(false);
	laptop.rpc = open(laptop.host, laptop.dir, laptop.issuer);
	laptop.told = 0;
	await ask(laptop, "Which has none?");
	await until(() => journals(laptop) === 0, "the journal to be stored");
	await pause(1000);
	await ask(desktop, "Thank you.");
	await command(desktop, "show");

	say("\nWhat the backend saw:");
	for (const name of ACCOUNTS) {
		const all = codex.responsesRequests(name);
		const good = all.filter(({ status }) => status === 200).length;
		say(`  ${name}: ${good} answered, ${all.length - good} refused`);
	}
	const sent = codex.tokenRequests().map(({ body }) => String(body?.refresh_token));
	say(`  refresh tokens sent: ${sent.length}, sent twice: ${sent.length - new Set(sent).size}`);
}

/** The code for a machine that reaches the database by itself, and not through what can be cut. */
function forDesktop(text: string, url: string): string {
	const read = readJoinCode(text);
	if (read.kind !== "ok") throw new Error(read.problem);
	return printJoinCode({ ...read.code, url });
}

/** Types a command, and prints what pi tells. */
async function command(machine: DemoMachine, line: string): Promise<string> {
	const shown = line.replace(CODE, "pi-pool-keeper-…").replace(/:[^:@/]+@/, ":…@");
	say(`\n${machine.name}> /multicodex ${shown}`);
	await machine.rpc.send(`/multicodex ${line}`);
	return narrate(machine);
}

/** Sends a prompt, and prints the answer and what pi tells beside it. */
async function ask(machine: DemoMachine, prompt: string): Promise<void> {
	say(`\n${machine.name}> ${prompt}`);
	const turn = await machine.rpc.prompt(prompt);
	narrate(machine);
	say(turn.errorMessage ? `  error: ${turn.errorMessage}` : `  ${turn.text}`);
}

/** Prints what pi has told since the last time; a join code is a secret. */
function narrate(machine: DemoMachine): string {
	const news = machine.rpc.notifications.slice(machine.told).map(({ message }) => message);
	machine.told += news.length;
	const text = news.join("\n");
	for (const line of text.split("\n").filter(Boolean)) say(`  | ${line.replace(/(pi-pool-\w+-.{8})[\w-]+/g, "$1…")}`);
	return text;
}

/** Names of the accounts that were asked last, the newest first. */
function lastAsked(codex: FakeCodex): string[] {
	return codex
		.responsesRequests()
		.flatMap(({ account }) => account ?? [])
		.reverse();
}

function refused(codex: FakeCodex): number {
	return codex.responsesRequests().filter(({ status }) => status === 429).length;
}

function journals({ dir }: DemoMachine): number {
	return readdirSync(dir.dir).filter((name) => name.endsWith(".journal")).length;
}

async function until(isSo: () => boolean, what: string): Promise<void> {
	const deadlineAt = Date.now() + 30_000;
	while (!isSo()) {
		if (Date.now() > deadlineAt) throw new Error(`${what}: not within half a minute`);
		await pause(20);
	}
}

function pause(ms: number): Promise<void> {
	return new Promise((resolve) => setTimeout(resolve, ms));
}

function open(host: Host, dir: AgentDir, issuer: string): Rpc {
	return startRpc(host, dir, ["--no-tools", "--no-session"], { env: { PI_MULTICODEX_AUTH_URL: issuer } });
}

function say(line: string): void {
	process.stdout.write(`${process.stdout.isTTY ? line : stripVTControlCharacters(line)}\n`);
}
