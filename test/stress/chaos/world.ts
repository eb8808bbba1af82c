import { createHash } from "node:crypto";
import { chmodSync, existsSync, readdirSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import lockfile from "proper-lockfile";
import { z } from "zod";
import { type AgentDir, createAgentDir } from "../../support/agent-dir.ts";
import { type FakeAccount, type FakeCodex, SECRET_MARK, startFakeCodex } from "../../support/fake-codex/index.ts";

/** pi's own login, which `auth.json` keeps. */
export const LINKED = "a1";

/** Shorter than the ten minutes ahead of which we renew: every request wants an exchange, and none needs it. */
const NEVER_FRESH_MS = 8 * 60_000;
/** Hardly longer than a token is used at all: it truly runs out all the time. */
const SHORT_LIVED_MS = 9_000;

/** Seven accounts; two are seats of one workspace. */
const ACCOUNTS = [
	{ name: LINKED, tokenLifetimeMs: NEVER_FRESH_MS },
	{ name: "a2", tokenLifetimeMs: SHORT_LIVED_MS },
	{ name: "a3" },
	{ name: "a4" },
	{ name: "a5" },
	{ name: "a6", accountId: "acct-shared", tokenLifetimeMs: NEVER_FRESH_MS },
	{ name: "a7", accountId: "acct-shared" },
] as const;

/** Names of all accounts, in order. */
export const NAMES: readonly string[] = ACCOUNTS.map(({ name }) => name);

const rowSchema = z.looseObject({
	id: z.string(),
	label: z.string(),
	enabled: z.boolean().default(true),
	needsLogin: z.looseObject({ reason: z.string() }).nullable().default(null),
	linked: z.boolean().default(false),
	credential: z.looseObject({ access: z.string(), refresh: z.string(), expires: z.number() }),
});
const accountsSchema = z.looseObject({ accounts: z.array(rowSchema) });
/** A row of `codex-accounts.json`. */
export type Row = z.output<typeof rowSchema>;

const cooldownSchema = z.looseObject({ scope: z.string(), reason: z.string(), until: z.number() });
const stateSchema = z.looseObject({
	accounts: z.record(z.string(), z.looseObject({ cooldowns: z.array(cooldownSchema).default([]) })).default({}),
});
/** A cooldown as `codex-state.json` has it. */
export type StoredCooldown = z.output<typeof cooldownSchema>;

const loginSchema = z.looseObject({ access: z.string(), refresh: z.string() });

/** A backend, and an agent directory that many processes share. */
export interface World {
	readonly codex: FakeCodex;
	readonly dir: AgentDir;
	id(name: string): string;
	nameOf(id: string): string | undefined;
	rows(): readonly Row[];
	cooldowns(name: string): readonly StoredCooldown[];
	/** The credential where its keeper has it; undefined where there is none. */
	login(name: string): { readonly access: string; readonly refresh: string } | undefined;
	/** A person signs in anew, as pi or another process of ours stores it. */
	signIn(name: string): Promise<void>;
	/** What is not as it should be in files that any process may read at any moment. */
	look(): readonly string[];
	/** Locks of files that one holder has held for so long, ms; each of them once. */
	heldFor(ms: number): readonly string[];
	close(): Promise<void>;
}

/** Sets up backend and directory. */
export async function createWorld(): Promise<World> {
	const codex = await startFakeCodex({ accounts: ACCOUNTS });
	const row = (name: string) => {
		const account = codex.account(name);
		const { email, userId, accountId, plan } = account;
		const credential = codex.grant(name);
		const fixed = { source: "login", linked: false, enabled: true, needsLogin: null, addedAt: Date.now() };
		return { id: idOf(account), label: name, email, userId, accountId, plan, credential, ...fixed };
	};
	const dir = createAgentDir({
		baseUrl: codex.baseUrl,
		auth: { "openai-codex": codex.piAuthEntry(LINKED) },
		accounts: { version: 2, accounts: NAMES.filter((name) => name !== LINKED).map(row) },
		settings: {
			"pi-multicodex": {
				rotation: { policy: "round-robin", maxWait: "3s", cooldown: "1h" },
				footer: { order: "account-first" },
			},
		},
	});
	const ids = new Map(NAMES.map((name) => [idOf(codex.account(name)), name]));
	// What another program reads between two writes is a whole document. So are these, always.
	const seen = new Map<string, string>();
	const read = <T>(name: string, schema: z.ZodType<T>, otherwise: T): T => {
		const text = dir.read(name);
		return text === undefined ? otherwise : schema.parse(JSON.parse(text));
	};
	const underLock = async (path: string, change: () => void) => {
		const retries = { retries: 400, minTimeout: 10, maxTimeout: 100, factor: 1.5 };
		const release = await lockfile.lock(path, { realpath: false, stale: 30_000, update: 2000, retries });
		try {
			change();
		} finally {
			await release();
		}
	};
	const holders = new Map<string, { readonly holder: string; readonly since: number; isTold: boolean }>();
	const rows = () => read("codex-accounts.json", accountsSchema, { accounts: [] }).accounts;
	return {
		codex,
		dir,
		id: (name) => idOf(codex.account(name)),
		nameOf: (id) => ids.get(id),
		rows,
		cooldowns: (name) =>
			read("codex-state.json", stateSchema, { accounts: {} }).accounts[idOf(codex.account(name))]?.cooldowns ?? [],
		login: (name) => {
			const ours = rows().find(({ id }) => id === idOf(codex.account(name)));
			if (name !== LINKED) return ours?.credential;
			const entry = read("auth.json", z.looseObject({ "openai-codex": loginSchema.optional() }), {})["openai-codex"];
			// Either place may have the newer one: after a failed write it is ours.
			return [entry, ours?.credential].find((each) => each && codex.refreshState(each.refresh) === "valid") ?? entry;
		},
		signIn: async (name) => {
			const path = dir.path(name === LINKED ? "auth.json" : "codex-accounts.json");
			await underLock(path, () => {
				if (name === LINKED) {
					writeFileSync(path, JSON.stringify({ "openai-codex": codex.piAuthEntry(name) }, null, 2));
					chmodSync(path, 0o600);
					return;
				}
				const credential = codex.grant(name);
				const text = readFileSync(path, "utf8");
				const file = z.looseObject({ accounts: z.array(z.looseObject({ id: z.string() })) }).parse(JSON.parse(text));
				const accounts = file.accounts.map((each) =>
					each.id === idOf(codex.account(name)) ? { ...each, credential, needsLogin: null } : each,
				);
				writeFileSync(`${path}.new`, JSON.stringify({ ...file, accounts }), { mode: 0o600 });
				renameSync(`${path}.new`, path);
			});
		},
		look: () =>
			["codex-accounts.json", "codex-state.json", "settings.json"].flatMap((name) => {
				const { mtimeMs, ino } = statSync(dir.path(name), { throwIfNoEntry: false }) ?? {};
				const version = `${mtimeMs}-${ino}`;
				if (seen.get(name) === version) return [];
				seen.set(name, version);
				const text = dir.read(name);
				return text === undefined || parses(text) ? [] : [`${name} does not parse`];
			}),
		heldFor: (ms) =>
			["codex-accounts.json.lock", "codex-state.json.lock"].filter((name) => {
				const { ino, birthtimeMs } = statSync(dir.path(name), { throwIfNoEntry: false }) ?? {};
				const holder = `${ino}-${birthtimeMs}`;
				const known = holders.get(name);
				if (known?.holder !== holder) holders.set(name, { holder, since: Date.now(), isTold: ino === undefined });
				else if (!known.isTold && Date.now() - known.since > ms) {
					known.isTold = true;
					return true;
				}
				return false;
			}),
		close: async () => {
			await codex.close();
			dir.remove();
		},
	};
}

/** Our id of an account of the fake, by the rule of the contract. */
function idOf(account: FakeAccount): string {
	return createHash("sha256").update(`${account.accountUserId}\n${account.accountId}`).digest("hex").slice(0, 12);
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

/** Logins are kept here, and in backups and temporary files beside them. */
const CREDENTIAL_FILE = /^(codex-accounts\.json|auth\.json|import\.json)/;
/** A lock is touched this often, and what is written has the time at which it began. */
const NEAR_MS = 3000;
/** A temporary file of ours; the number is its process. */
const TEMPORARY = /\.(\d+)-[0-9a-f]{8}\.tmp$/;

/**
 * What must not be in a directory whose processes have all ended. `killed`: who could not clean up, and when.
 * `diskTimes`: when a disk let no process do so.
 */
export function leftIn(
	{ dir }: World,
	killed: ReadonlyMap<number, number>,
	diskTimes: readonly { readonly from: number; readonly to: number }[],
): string[] {
	const lastKill = Math.max(0, ...killed.values());
	const isOfBadDisk = (path: string) => {
		const { mtimeMs } = statSync(path);
		return diskTimes.some(({ from, to }) => mtimeMs > from - NEAR_MS && mtimeMs < to + NEAR_MS);
	};
	const problems: string[] = [];
	for (const entry of readdirSync(dir.home, { recursive: true, withFileTypes: true })) {
		const path = join(entry.parentPath, entry.name);
		if (!existsSync(path)) continue;
		if (entry.name.includes(".corrupt-")) problems.push(`${entry.name} was set aside`);
		const isLock = entry.name.endsWith(".lock") && !isOfBadDisk(path);
		if (isLock && statSync(path).mtimeMs > lastKill + NEAR_MS) problems.push(`${entry.name} is held`);
		const owner = TEMPORARY.exec(entry.name)?.[1];
		const isTemporary = entry.name.endsWith(".tmp") && !isOfBadDisk(path);
		if (isTemporary && !(owner !== undefined && killed.has(Number(owner)))) problems.push(`${entry.name} was left`);
		if (!entry.isFile()) continue;
		const { mode, size } = statSync(path);
		if (entry.name.startsWith("codex-") && (mode & 0o077) !== 0) problems.push(`${entry.name} is open to others`);
		if (entry.name.endsWith(".jsonl") && size > 1_100_000) problems.push(`${entry.name} has ${size} bytes`);
		const isSecretive = CREDENTIAL_FILE.test(entry.name);
		if (!isSecretive && readFileSync(path, "utf8").includes(SECRET_MARK)) problems.push(`${entry.name} holds a token`);
	}
	return problems;
}
