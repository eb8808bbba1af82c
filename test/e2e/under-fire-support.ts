import { existsSync, readdirSync, readFileSync, renameSync, statSync, utimesSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { z } from "zod";
import type { Grant, RecordedRequest } from "../support/fake-codex/index.ts";
import { repositoryRoot } from "../support/hosts.ts";
import { type Keeper, signPiInAs, storedAccounts } from "./credentials-support.ts";
import type { Bench } from "./support.ts";

/** Puts a new login of `a` where its keeper has it, as signing in does. */
export function storeLogin(bench: Bench, keeper: Keeper, options: { readonly expiresInMs: number }): Grant {
	if (keeper === "pi") return signPiInAs(bench, "a", options);
	const credential = bench.codex.grant("a", options);
	const accounts = storedAccounts(bench).map((row) => (row.label === "a" ? { ...row, credential } : row));
	bench.dir.write("codex-accounts.json", { version: 2, accounts });
	return credential;
}

/** Takes every account but `a` out of the file, so that a slow machine has no reason to go to another one. */
export function leaveOnlyA(bench: Bench): void {
	bench.dir.write("codex-accounts.json", { version: 2, accounts: [bench.stored("a")] });
}

/** Lets the notes of exchanges without an answer grow older by so much; only those of some tokens, by their hashes. */
export function ageExchangeNotes(bench: Bench, byMs: number, hashes?: readonly string[]): void {
	const text = bench.dir.read("codex-state.json");
	if (text === undefined) return;
	const isMeant = (hash: unknown) => hashes === undefined || hashes.includes(String(hash));
	const aged = ({ uptime, ...note }: { readonly at: unknown; readonly uptime?: { readonly ms: unknown } }) => {
		return {
			...note,
			at: Number(note.at) - byMs,
			...(uptime && { uptime: { ...uptime, ms: Number(uptime.ms) - byMs } }),
		};
	};
	const state = JSON.parse(text, (key, value) =>
		key === "exchange" && isMeant(value.tokenHash) ? aged(value) : value,
	);
	// In one step: another process may be reading.
	bench.dir.write("codex-state.json.new", state);
	renameSync(bench.dir.path("codex-state.json.new"), bench.dir.path("codex-state.json"));
}

/**
 * Lets time pass for what dead processes have left behind: notes, locks and temporary files are older by so much. Only
 * for when no process runs that touches them.
 */
export function ageLeftovers(bench: Bench, byMs: number): void {
	ageExchangeNotes(bench, byMs);
	for (const name of readdirSync(bench.dir.dir)) {
		if (!/\.(lock|tmp)$/.test(name)) continue;
		const former = statSync(bench.dir.path(name)).mtimeMs;
		const at = (former - byMs) / 1_000;
		utimesSync(bench.dir.path(name), at, at);
	}
}

/** Names of the files in the agent directory that hold JSON and do not parse, and of copies kept of such files. */
export function brokenFiles(bench: Bench): string[] {
	return readdirSync(bench.dir.dir).filter((name) => {
		if (name.includes(".corrupt-")) return true;
		return name.endsWith(".json") && !parses(readFileSync(bench.dir.path(name), "utf8"));
	});
}

function parses(text: string): boolean {
	try {
		JSON.parse(text);
		return true;
	} catch {
		// Which one is the news; its content may be a token.
		return false;
	}
}

const shownSchema = z.object({
	accounts: z.array(z.object({ label: z.string(), state: z.string(), lastError: z.unknown() })),
});

/** State of every account by label, as `show --json` tells it. */
export async function shownStates(bench: Bench): Promise<Record<string, string>> {
	const { stdout } = await bench.print("/multicodex show --json");
	const { accounts } = shownSchema.parse(JSON.parse(stdout));
	return Object.fromEntries(accounts.map(({ label, state }) => [label, state]));
}

/** Requests that sent a refresh token, oldest first, by that token. */
export function sendings(requests: readonly RecordedRequest[]): Map<string, RecordedRequest[]> {
	const byToken = new Map<string, RecordedRequest[]>();
	for (const request of requests) {
		if (request.kind !== "token" || request.body?.grant_type !== "refresh_token") continue;
		const token = String(request.body.refresh_token);
		byToken.set(token, [...(byToken.get(token) ?? []), request]);
	}
	return byToken;
}

/** How often each refresh token was sent, in the order in which they were first sent. */
export function timesSent(bench: Bench): number[] {
	return [...sendings(bench.codex.requests).values()].map(({ length }) => length);
}

/** Environment of a pi whose token requests can be told from those of others. */
export function sendingAs(bench: Bench, sender: string): Record<string, string> {
	return { PI_MULTICODEX_AUTH_URL: bench.codex.issuerFor(sender) };
}

/** Starts pi with its session kept in memory, so that only what is ours is written to the agent directory. */
export const NO_SESSION = ["--no-session"] as const;

/** What `test/support/preload/disk.mjs` does besides looking. */
export interface DiskOptions {
	/** Gets a line a step. */
	readonly log?: string;
	/** Gets a line of JSON for each step, and for each connection: see {@link readLedger}. */
	readonly ledger?: string;
	/** Sent right before the `nth` step, or the `nth` of those called `before`; counted after the step `from`. */
	readonly signal?: {
		readonly name: "SIGKILL" | "SIGSTOP";
		readonly nth: number;
		readonly before?: string;
		readonly from?: string;
	};
	/** While this file exists the disk is what it says: `full`, `no-room` or `read-only`. */
	readonly trouble?: string;
}

/** Environment of a pi whose every change to a file of the agent directory is under our eyes. */
export function watchedDisk(bench: Bench, options: DiskOptions): Record<string, string> {
	return preloading("disk", { folder: bench.dir.dir, ...options });
}

const entrySchema = z.object({ at: z.number(), what: z.string(), isSync: z.boolean() });

/**
 * A change of a file in the agent directory, or a connection: when it began (epoch ms), and whether the process stood
 * still.
 */
export type LedgerEntry = z.output<typeof entrySchema>;

/** What a ledger holds by now. */
export function readLedger(path: string): LedgerEntry[] {
	const lines = readFileSync(path, "utf8").split("\n").slice(0, -1);
	return lines.map((line) => entrySchema.parse(JSON.parse(line)));
}

/** Environment of a pi whose clock is wrong by so much. */
export function wrongClock(shiftMs: number): Record<string, string> {
	return preloading("clock", { shiftMs });
}

/**
 * Environment of a pi whose clock is wrong by the milliseconds that a file holds at the moment; right while it is not
 * there.
 */
export function jumpingClock(jumps: string): Record<string, string> {
	return preloading("clock", { jumps });
}

/** Environment of a pi whose token exchange gives up after three seconds instead of thirty: it counts ticks. */
export function quickExchangeTimeout(): Record<string, string> {
	return preloading("timers", { tickMs: 250, fastMs: 25 });
}

function preloading(
	script: "clock" | "disk" | "timers",
	options: Readonly<Record<string, unknown>>,
): Record<string, string> {
	const url = pathToFileURL(join(repositoryRoot, "test/support/preload", `${script}.mjs`));
	return {
		NODE_OPTIONS: `--import=${url.href}`,
		[`TEST_PRELOAD_${script.toUpperCase()}`]: JSON.stringify(options),
	};
}

/** The state of a process as the kernel tells it: `T` while it is stopped. Only where there is `/proc`. */
export function isStopped(pid: number): boolean {
	const stat = `/proc/${pid}/stat`;
	return existsSync(stat) && /\) T /.test(readFileSync(stat, "utf8"));
}

/** Waits until a token request of this sender has arrived. */
export function exchangeOf(bench: Bench, sender: string, timeoutMs = 60_000): Promise<RecordedRequest> {
	return bench.codex.waitFor((request) => request.kind === "token" && request.sender === sender, timeoutMs);
}
