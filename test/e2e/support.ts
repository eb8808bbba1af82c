import { createHash } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { expect, onTestFinished } from "vitest";
import { z } from "zod";
import type { AccountId } from "../../src/core/ids.ts";
import { type AgentDir, type AgentDirOptions, createAgentDir } from "../support/agent-dir.ts";
import type { PiProcess, PiResult } from "../support/child.ts";
import {
	type FakeAccount,
	type FakeAccountInit,
	type FakeCodex,
	type RecordedRequest,
	SECRET_MARK,
	startFakeCodex,
	type UsageAnswer,
} from "../support/fake-codex/index.ts";
import { type Host, type HostName, prepareHost } from "../support/hosts.ts";
import { anId } from "../support/ids.ts";
import type { LaunchOptions } from "../support/launch.ts";
import { parseJsonEvents, type RunOptions, type SpawnOptions, spawnPi, startRpc } from "../support/pi.ts";
import { type JsonEvent, jsonEventSchema, type Rpc } from "../support/rpc.ts";
import { startTerminal, type Terminal, type TerminalOptions } from "../support/terminal.ts";
import { ANY_HOST } from "../support/tiers.ts";

/** What a bench starts with. */
export interface BenchOptions extends Omit<AgentDirOptions, "accounts" | "baseUrl"> {
	/** Accounts of the backend, all of them ours and stored in this order; default `["a", "b"]`. */
	readonly accounts?: readonly (FakeAccountInit | string)[];
	/** Accounts of the backend that are in no file of pi's. */
	readonly strangers?: readonly (FakeAccountInit | string)[];
	/** Fields that a stored row has besides the usual ones, by account name. */
	readonly rows?: Readonly<Record<string, Readonly<Record<string, unknown>>>>;
	/**
	 * How `wham/usage` answers for every account; default: as modelled. A refusal keeps the order of accounts that of the
	 * list.
	 */
	readonly usage?: UsageAnswer;
	/** Default: the one of {@link ANY_HOST}. */
	readonly host?: HostName;
	/** Base URL in models.json; default: the fake's. */
	readonly baseUrl?: string;
	/** Added to the environment of every pi started here. */
	readonly env?: Readonly<Record<string, string | undefined>>;
}

/** What one run in JSON mode gave. */
export interface JsonRun {
	readonly result: PiResult;
	readonly events: readonly JsonEvent[];
}

/** A fake backend, an agent directory whose accounts file holds its accounts, and real pi processes on both. */
export interface Bench {
	readonly codex: FakeCodex;
	readonly dir: AgentDir;
	readonly host: Host;
	/** Id in our files of an account, by its name in the fake. */
	id(name: string): AccountId;
	/**
	 * A row of codex-accounts.json as this bench would write it, with a new login; for files that a test writes itself.
	 */
	row(name: string, fields?: Readonly<Record<string, unknown>>): Record<string, unknown>;
	/** `pi -p <prompt> …args` to its end. */
	print(prompt: string, args?: readonly string[], options?: RunOptions): Promise<PiResult>;
	/** `pi --mode json <prompt> …args` to its end. */
	json(prompt: string, args?: readonly string[], options?: RunOptions): Promise<JsonRun>;
	/** pi with exactly these arguments, to its end. */
	run(args: readonly string[], options?: RunOptions): Promise<PiResult>;
	/** pi with exactly these arguments, running; killed at the end of the test. */
	spawn(args: readonly string[], options?: SpawnOptions): PiProcess;
	/** `pi --mode rpc …args`; closed at the end of the test. */
	rpc(args?: readonly string[], options?: LaunchOptions): Rpc;
	/** pi in a terminal; hung up at the end of the test. */
	terminal(args?: readonly string[], options?: TerminalOptions): Terminal;
	/** Names of the accounts that got a request for a response, in order of arrival. */
	asked(): (string | undefined)[];
	/** What codex-state.json says of an account now. */
	status(name: string): StoredStatus;
	/** The pin in codex-state.json. */
	pin(): string | null;
	/** The row of an account in codex-accounts.json now. Throws when it is gone. */
	stored(name: string): StoredRow;
	/** Files that hold a secret because another program put it there. */
	excuse(paths: Iterable<string>): void;
}

const cooldownSchema = z.looseObject({ scope: z.string(), reason: z.string(), until: z.number() });
const statusSchema = z.looseObject({
	cooldowns: z.array(cooldownSchema).default([]),
	strikes: z.number().default(0),
	usage: z.looseObject({ capturedAt: z.number(), source: z.string() }).optional(),
});
const stateSchema = z.looseObject({
	version: z.literal(1),
	pin: z.string().nullable(),
	accounts: z.record(z.string(), statusSchema),
});
const rowSchema = z.looseObject({
	id: z.string(),
	label: z.string(),
	enabled: z.boolean(),
	needsLogin: z.object({ reason: z.string(), at: z.number() }).nullable(),
	credential: z.looseObject({ access: z.string(), refresh: z.string(), expires: z.number() }),
});

/** What codex-state.json keeps of one account; other fields are there too. */
export type StoredStatus = z.output<typeof statusSchema>;
/** What codex-accounts.json keeps of one account; other fields are there too. */
export type StoredRow = z.output<typeof rowSchema>;

/** Our id of an account of the fake, by the rule of the contract. */
export function accountIdOf(account: FakeAccount): AccountId {
	const { claims } = account.identity();
	const user = claims.chatgpt_account_user_id ?? claims.chatgpt_user_id ?? account.userId;
	return anId(
		createHash("sha256")
			.update(`${String(user)}\n${account.accountId}`)
			.digest("hex")
			.slice(0, 12),
	);
}

/**
 * Sets up one test. Everything is taken down when the test ends, and then nothing that pi wrote may hold a secret,
 * except in the files that keep logins. Call it inside a test, not in a hook; a concurrent test passes its own
 * `onTestFinished`.
 */
export async function createBench(options: BenchOptions = {}, whenFinished = onTestFinished): Promise<Bench> {
	const { accounts = ["a", "b"], strangers = [], rows = {}, usage, env = {}, ...dirOptions } = options;
	const host = await prepareHost(options.host ?? ANY_HOST);
	const codex = await startFakeCodex({ accounts: [...accounts, ...strangers] });
	if (usage) for (const account of codex.accounts) account.usage(usage);
	const names = accounts.map((account) => (typeof account === "string" ? account : account.name));

	const row: Bench["row"] = (name, fields = {}) => {
		const account = codex.account(name);
		return {
			id: accountIdOf(account),
			label: name,
			email: account.email,
			userId: account.userId,
			accountId: account.accountId,
			plan: account.plan,
			credential: codex.grant(name),
			source: "login",
			linked: false,
			enabled: true,
			needsLogin: null,
			addedAt: Date.now(),
			...fields,
		};
	};
	const file = { version: 2, accounts: names.map((name) => row(name, rows[name])) };
	const dir = createAgentDir({
		...dirOptions,
		baseUrl: options.baseUrl ?? codex.baseUrl,
		...(names.length > 0 && { accounts: file }),
	});

	const excused = new Set<string>();
	const children: PiProcess[] = [];
	const clients: Rpc[] = [];
	const terminals: Terminal[] = [];
	const withEnv = <T extends LaunchOptions>(launch: T): T => ({
		...launch,
		env: { PI_MULTICODEX_AUTH_URL: codex.issuer, ...env, ...launch.env },
	});
	const spawn: Bench["spawn"] = (args, launch = {}) => {
		const child = spawnPi(host, dir, args, withEnv(launch));
		children.push(child);
		return child;
	};
	const run: Bench["run"] = (args, launch = {}) => spawn(args, launch).wait(launch.timeoutMs);

	whenFinished(async () => {
		for (const child of children) child.signal("SIGKILL");
		const onScreen = terminals.flatMap((terminal) => leakedOnto(terminal, codex));
		// How they end is the business of the test; here they only have to be gone.
		await Promise.allSettled([
			...clients.map((client) => client.close()),
			...terminals.map((terminal) => terminal.stop()),
			...children.map((child) => child.wait()),
		]);
		await codex.close();
		const processes = [...children, ...clients.map((client) => client.process)];
		const leaks = [...leakedInto(dir, codex, processes, excused), ...onScreen];
		dir.remove();
		expect(leaks, "outputs and files that hold a secret").toEqual([]);
	});

	const state = () => stateSchema.parse(dir.readJson("codex-state.json") ?? { version: 1, pin: null, accounts: {} });
	const id = (name: string) => accountIdOf(codex.account(name));
	return {
		codex,
		dir,
		host,
		id,
		row,
		run,
		spawn,
		print: (prompt, args = [], launch = {}) => run(["-p", ...args, prompt], launch),
		json: async (prompt, args = [], launch = {}) => {
			const result = await run(["--mode", "json", ...args, prompt], launch);
			return { result, events: parseJsonEvents(result.stdout) };
		},
		rpc: (args = [], launch = {}) => {
			const client = startRpc(host, dir, args, withEnv(launch));
			clients.push(client);
			return client;
		},
		terminal: (args = [], launch = {}) => {
			const terminal = startTerminal(host, dir, args, withEnv(launch));
			terminals.push(terminal);
			return terminal;
		},
		asked: () => codex.responsesRequests().map((request) => request.account),
		status: (name) => state().accounts[id(name)] ?? statusSchema.parse({}),
		pin: () => state().pin,
		stored: (name) => {
			const stored = z.looseObject({ accounts: z.array(rowSchema) }).parse(dir.readJson("codex-accounts.json"));
			const found = stored.accounts.find((each) => each.id === id(name));
			if (!found) throw new Error(`codex-accounts.json has no row of ${name}`);
			return found;
		},
		excuse: (paths) => {
			for (const path of paths) excused.add(path);
		},
	};
}

/**
 * What a run wrote to stderr besides pi's own words: without an account 1.6.0 says, before any command, that there is
 * no model.
 */
export function besidesPi(stderr: string): string {
	return stderr.replace(/^Warning: No models available\..*\n(?: .*\n)*/, "");
}

/** Milliseconds from the end of one answer to the arrival of the next request, both as the fake saw them. */
export function gapBetween(answered: RecordedRequest | undefined, next: RecordedRequest | undefined): number {
	if (answered?.endedAt === undefined || next === undefined) throw new Error("a request is missing or still open");
	return next.at - answered.endedAt;
}

/** The JSON lines of a command in JSON mode, without pi's own header of the session. */
export function resultLines(stdout: string): unknown[] {
	const lines = stdout.split("\n").filter((line) => line.trim() !== "");
	return lines.map((line) => jsonEventSchema.parse(JSON.parse(line))).filter(({ type }) => type !== "session");
}

/** Waits for a condition that has no event of its own, such as the content of a file. Rejects after the time-out. */
export async function until(what: string, probe: () => boolean | Promise<boolean>, timeoutMs = 20_000): Promise<void> {
	const deadlineAt = Date.now() + timeoutMs;
	while (!(await probe())) {
		if (Date.now() > deadlineAt) throw new Error(`${what}: not within ${timeoutMs} ms`);
		await new Promise((resolve) => setTimeout(resolve, 10));
	}
}

/** Logins are kept here, and in backups and temporary files beside them; models.json holds keys of the person's own. */
const CREDENTIAL_FILE = /^(codex-accounts\.json|codex-pool\.json|auth\.json|models\.json)/;

function leakedInto(
	dir: AgentDir,
	codex: FakeCodex,
	processes: readonly PiProcess[],
	excused: ReadonlySet<string>,
): string[] {
	const marks = [SECRET_MARK, ...verifiersAt(codex)];
	const isLeak = (text: string) => marks.some((mark) => text.includes(mark));
	const files = readdirSync(dir.home, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile() && !CREDENTIAL_FILE.test(entry.name))
		.map((entry) => join(entry.parentPath, entry.name))
		.filter((path) => !excused.has(path) && isLeak(readFileSync(path, "utf8")));
	const pipes = processes.flatMap((child) => [child.stdout(), child.stderr()]).filter(isLeak);
	return [...files, ...pipes];
}

/** Enough of a token to be sure that it is one, and little enough to find one that was cut. */
const TELLING = 20;

/**
 * What a terminal showed. A code that a person pastes is echoed while it stands in its field, and nothing of it may be
 * left afterwards; everything else may not show up for a moment.
 */
function leakedOnto(terminal: Terminal, codex: FakeCodex): string[] {
	const secrets = [...new Set([...codex.secrets(), ...verifiersAt(codex)].map((secret) => secret.slice(0, TELLING)))];
	const [left, ever] = [terminal.transcript(), terminal.output()].map((text) =>
		stripVTControlCharacters(text).replace(/[\r\n]/g, ""),
	);
	const typed = terminal.typed();
	return secrets
		.filter((secret) => left?.includes(secret) || (!typed.includes(secret) && ever?.includes(secret)))
		.map((secret) => `a terminal showed ${secret}...`);
}

/** The secrets that we made ourselves. The device flow's are the fake's own. */
function verifiersAt(codex: FakeCodex): string[] {
	return codex
		.tokenRequests()
		.flatMap(({ body }) => (typeof body?.code_verifier === "string" ? [body.code_verifier] : []));
}
