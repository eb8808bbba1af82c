import { chmodSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { onTestFinished, vi } from "vitest";
import { z } from "zod";
import { answers, type FakeAccountInit, type Grant } from "../support/fake-codex/index.ts";
import { type Bench, type BenchOptions, createBench } from "./support.ts";

/** A login that pi itself takes for expired. */
export const EXPIRED_MS = -60_000;
/** A login that is worth a refresh to us and still good enough for pi, on every host. */
export const NEARLY_EXPIRED_MS = 8 * 60_000;

/** Who holds the credential under test: pi in `auth.json`, or our own file. */
export const keepers = [{ keeper: "pi" }, { keeper: "us" }] as const;
/** Who holds the credential under test. */
export type Keeper = (typeof keepers)[number]["keeper"];

const loginSchema = z.looseObject({
	type: z.literal("oauth"),
	access: z.string(),
	refresh: z.string(),
	expires: z.number(),
	accountId: z.string().optional(),
});

/**
 * pi's OAuth login for Codex in `auth.json`; undefined where there is none. Throws when it is torn or of another type.
 */
export function loginOfPi(bench: Bench): z.output<typeof loginSchema> | undefined {
	const entries = z.record(z.string(), z.unknown()).parse(bench.dir.readJson("auth.json") ?? {});
	return loginSchema.optional().parse(entries["openai-codex"]);
}

const accountsFileSchema = z.looseObject({
	version: z.number(),
	accounts: z.array(
		z.looseObject({
			id: z.string(),
			label: z.string(),
			source: z.string(),
			linked: z.boolean(),
			enabled: z.boolean(),
			needsLogin: z.object({ reason: z.string(), at: z.number() }).nullable(),
			credential: z.looseObject({ access: z.string(), refresh: z.string(), expires: z.number() }),
		}),
	),
});

/** Everything in `codex-accounts.json`; no rows where there is no file. */
export function storedAccounts(bench: Bench): z.output<typeof accountsFileSchema>["accounts"] {
	return accountsFileSchema.parse(bench.dir.readJson("codex-accounts.json") ?? { version: 2, accounts: [] }).accounts;
}

/** Labels of all rows, in order. */
export function storedLabels(bench: Bench): string[] {
	return storedAccounts(bench).map(({ label }) => label);
}

/** Writes a file as pi does: in place, pretty, without a line end. */
export function writeAsPi(path: string, content: object): void {
	writeFileSync(path, JSON.stringify(content, null, 2), "utf-8");
	chmodSync(path, 0o600);
}

/**
 * Puts a new login of an account into `auth.json`, in place and beside whatever else is there, as pi's `/login` does.
 */
export function signPiInAs(bench: Bench, name: string, options: { expiresInMs?: number } = {}): Grant {
	const { type, accountId, ...grant } = bench.codex.piAuthEntry(name, options);
	const others = z.record(z.string(), z.unknown()).parse(bench.dir.readJson("auth.json") ?? {});
	writeAsPi(bench.dir.path("auth.json"), { ...others, "openai-codex": { type, ...grant, accountId } });
	return grant;
}

/** Takes pi's Codex login out of `auth.json`, as pi's `/logout` does. */
export function signPiOut(bench: Bench): void {
	const others = z.record(z.string(), z.unknown()).parse(bench.dir.readJson("auth.json") ?? {});
	delete others["openai-codex"];
	writeAsPi(bench.dir.path("auth.json"), others);
}

/**
 * A bench on which `a` is signed in with a token that has run out, in `auth.json` or in our file. Further accounts are
 * ours and fine. Accounts are asked in this order, because no usage is known.
 */
export async function benchWithExpiredLogin(
	keeper: Keeper,
	others: readonly (FakeAccountInit | string)[] = [],
	options: BenchOptions = {},
	whenFinished = onTestFinished,
	strangers: readonly string[] = [],
): Promise<Bench & { readonly spent: Grant }> {
	const bench = await createBench(
		{ usage: answers.serverError(500), ...options, accounts: [], strangers: ["a", ...others, ...strangers] },
		whenFinished,
	);
	const spent = bench.codex.grant("a", { expiresInMs: EXPIRED_MS });
	const isPis = keeper === "pi";
	if (isPis) {
		const { accountId } = bench.codex.account("a");
		writeAsPi(bench.dir.path("auth.json"), { "openai-codex": { type: "oauth", ...spent, accountId } });
	}
	const names = others.map((account) => (typeof account === "string" ? account : account.name));
	const first = bench.row("a", { credential: spent, ...(isPis && { source: "pi", linked: true }) });
	bench.dir.write("codex-accounts.json", { version: 2, accounts: [first, ...names.map((name) => bench.row(name))] });
	return { ...bench, spent };
}

/** The credential of `a` where its keeper has it. */
export function keptCredential(bench: Bench, keeper: Keeper): Grant | undefined {
	return keeper === "pi" ? loginOfPi(bench) : bench.stored("a").credential;
}

/** What is locked while the token of an account is exchanged; the lock itself is a folder with `.lock` behind it. */
export function lockedPath(bench: Bench, keeper: Keeper, name = "a"): string {
	return bench.dir.path(keeper === "pi" ? "auth.json" : `codex-refresh-${bench.id(name)}`);
}

/** Plain pi has its issuer built in. As an extension this leads its token requests, and nothing else, to the fake. */
export function redirectOf(bench: Bench, issuer = bench.codex.issuer): string {
	bench.dir.write(
		"redirect.ts",
		`export default function redirect() {
			const real = globalThis.fetch;
			globalThis.fetch = (input, init) => {
				const url = String(input?.url ?? input);
				return url.startsWith("https://auth.openai.com/")
					? real(url.replace("https://auth.openai.com", ${JSON.stringify(issuer)}), init)
					: real(input, init);
			};
		}`,
	);
	return bench.dir.path("redirect.ts");
}

/** What a request carried as its token. */
export function bearerOf(request: { readonly headers: Readonly<Record<string, string>> } | undefined): string {
	return request?.headers.authorization?.replace(/^Bearer /, "") ?? "";
}

/** Permission bits of a file. */
export function modeOf(path: string): number {
	return statSync(path).mode & 0o777;
}

/** Names and contents of the files in the agent directory whose name begins so. */
export function filesNamed(bench: Bench, prefix: string): Map<string, string> {
	const names = readdirSync(bench.dir.dir).filter((name) => name.startsWith(prefix));
	return new Map(names.sort().map((name) => [name, readFileSync(bench.dir.path(name), "utf8")]));
}

/** Waits for a token issued from now on to have a later `iat`, which counts in seconds, than every one before. */
export async function nextSecond(): Promise<void> {
	const from = Math.floor(Date.now() / 1_000);
	await vi.waitFor(() => {
		if (Math.floor(Date.now() / 1_000) === from) throw new Error("still the same second");
	}, 5_000);
}

/** An address on loopback where no program listens. */
export async function closedAddress(): Promise<string> {
	const server = createServer();
	const port = await new Promise<number>((resolve, reject) => {
		server.once("error", reject);
		server.listen(0, "127.0.0.1", () => {
			const address = server.address();
			if (address === null || typeof address === "string") reject(new Error("no port"));
			else resolve(address.port);
		});
	});
	await new Promise((resolve) => server.close(resolve));
	return `http://127.0.0.1:${port}`;
}
