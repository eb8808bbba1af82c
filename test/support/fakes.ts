import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
	chmodSync,
	mkdirSync,
	mkdtempSync,
	readdirSync,
	readFileSync,
	realpathSync,
	rmSync,
	writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { type Account, type Credential, uniqueLabel } from "../../src/core/account.ts";
import type { Cooldown } from "../../src/core/cooldown.ts";
import { claimsOf } from "../../src/core/identity.ts";
import { type AccountId, entriesById, type WorkspaceId } from "../../src/core/ids.ts";
import type {
	AccountPatch,
	AccountStatus,
	AccountStore,
	Clock,
	PiAuth,
	PiLogin,
	Processes,
	StateStore,
} from "../../src/core/ports.ts";
import type { UsageSnapshot } from "../../src/core/usage.ts";
import { anId, aWorkspaceId } from "./ids.ts";

// What one run finds, the next one must find again; a search from other seeds is `FC_SEED=<number>`.
fc.configureGlobal({ seed: Number(process.env.FC_SEED ?? 20261120) });

export const MINUTE_MS = 60_000;
export const HOUR_MS = 60 * MINUTE_MS;
export const DAY_MS = 24 * HOUR_MS;

/** A Friday at noon UTC: the moment at which unit tests play. */
export const NOW = Date.UTC(2026, 10, 20, 12);

/** A clock that stands still until a test moves it. */
export interface FakeClock extends Clock {
	at: number;
}

export function aClock(at = NOW): FakeClock {
	const clock: FakeClock = { at, now: () => clock.at };
	return clock;
}

/** The processes of a machine, by their ids; those in `gone` run no more. */
export function aMachine(): { readonly gone: Set<number>; ranMs: number | undefined; process(pid: number): Processes } {
	let restarts = 0;
	const machine: ReturnType<typeof aMachine> = {
		gone: new Set<number>(),
		/** Without it no two moments are of one run of the machine, as after a restart. */
		ranMs: undefined,
		process: (pid) => ({
			own: () => ({ pid, machine: "here" }),
			uptime: () =>
				machine.ranMs === undefined
					? { machine: `restarted ${++restarts} times`, ms: 0 }
					: { machine: "here", ms: machine.ranMs },
			fateOf: (mark) => {
				if (mark.machine !== "here") return "unknown";
				return machine.gone.has(mark.pid) ? "gone" : "running";
			},
		}),
	};
	return machine;
}

export function aCredential(name: string, overrides: Partial<Credential> = {}): Credential {
	return { access: `access-${name}`, refresh: `refresh-${name}`, expiresAt: NOW + 10 * DAY_MS, ...overrides };
}

/** A ready account; its id is its label unless told otherwise. */
export function anAccount(label: string, overrides: Partial<Account> = {}): Account {
	return {
		id: anId(label),
		label,
		email: `${label}@example.test`,
		userId: `user-${label}`,
		workspaceId: aWorkspaceId(`acct-${label}`),
		plan: "plus",
		credential: aCredential(label),
		source: "login",
		linked: false,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		addedAt: NOW - DAY_MS,
		...overrides,
	};
}

export function aCooldown(overrides: Partial<Cooldown> = {}): Cooldown {
	return { scope: "account", reason: "usage_limit", until: NOW + HOUR_MS, setAt: NOW, models: [], ...overrides };
}

export function aSnapshot(overrides: Partial<UsageSnapshot> = {}): UsageSnapshot {
	return { capturedAt: NOW, source: "headers", windows: [], limits: {}, limitReached: false, ...overrides };
}

/** Claims of an access token; undefined leaves a claim out. */
export interface FakeClaims {
	readonly sub?: string;
	readonly email?: string;
	readonly profileEmail?: string;
	/** Epoch ms. */
	readonly issuedAt?: number;
	/** Epoch ms. */
	readonly expiresAt?: number;
	readonly auth?: Readonly<Record<string, unknown>>;
}

/** An unsigned access token. */
export function aToken({ sub, email, profileEmail, issuedAt, expiresAt, auth }: FakeClaims): string {
	const claims = {
		sub,
		email,
		iat: issuedAt === undefined ? undefined : Math.floor(issuedAt / 1000),
		exp: expiresAt === undefined ? undefined : Math.floor(expiresAt / 1000),
		"https://api.openai.com/profile": profileEmail === undefined ? undefined : { email: profileEmail },
		"https://api.openai.com/auth": auth,
	};
	const part = (value: unknown) => Buffer.from(JSON.stringify(value)).toString("base64url");
	return `${part({ alg: "none" })}.${part(claims)}.signature`;
}

/** A whole token of one user in one workspace, as the issuer gives it. */
export function aTokenOf(name: string, overrides: FakeClaims = {}): string {
	return aToken({
		sub: `auth0|${name}`,
		profileEmail: `${name}@example.test`,
		issuedAt: NOW,
		expiresAt: NOW + 10 * DAY_MS,
		auth: {
			chatgpt_account_id: `acct-${name}`,
			chatgpt_user_id: `user-${name}`,
			chatgpt_account_user_id: `user-${name}__acct-${name}`,
			chatgpt_plan_type: "plus",
		},
		...overrides,
	});
}

/** The user claims in a token of `aTokenOf`, as they are kept. */
export function claimsOfToken(name: string): string[] {
	return [`chatgpt_account_user_id=user-${name}__acct-${name}`, `chatgpt_user_id=user-${name}`, `sub=auth0|${name}`];
}

/** The id by the contract: first 12 hex digits of sha256 of user, newline, workspace. */
export function idFor(user: string, accountId: string): AccountId {
	return anId(createHash("sha256").update(`${user}\n${accountId}`).digest("hex").slice(0, 12));
}

/** How the programs of any system may save a text. */
export const ENCODINGS: readonly [string, (text: string) => Buffer][] = [
	["UTF-8 with a mark", (text) => Buffer.from(`\uFEFF${text}`)],
	["UTF-16 as PowerShell writes it", (text) => Buffer.from(`\uFEFF${text}`, "utf16le")],
	["UTF-16 the other way round", (text) => Buffer.from(`\uFEFF${text}`, "utf16le").swap16()],
	["lines of Windows", (text) => Buffer.from(`${text.replaceAll("\n", "\r\n")}\r\n`)],
];

/** A temporary folder of one test. */
export interface Scratch {
	readonly dir: string;
	path(name: string): string;
	write(name: string, content: unknown): string;
	text(name: string): string;
	json(name: string): unknown;
	/** Names in the folder that begin so. */
	names(prefix?: string): string[];
	remove(): void;
}

const TEMPORARY = realpathSync(tmpdir());

export function aScratch(): Scratch {
	const dir = mkdtempSync(join(TEMPORARY, "multicodex-unit-"));
	const path = (name: string) => join(dir, name);
	const text = (name: string) => readFileSync(path(name), "utf8");
	return {
		dir,
		path,
		write: (name, content) => {
			mkdirSync(dir, { recursive: true });
			writeFileSync(path(name), typeof content === "string" ? content : JSON.stringify(content), { mode: 0o600 });
			return path(name);
		},
		text,
		json: (name) => JSON.parse(text(name)),
		names: (prefix = "") =>
			readdirSync(dir)
				.filter((name) => name.startsWith(prefix))
				.sort(),
		remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 }),
	};
}

/** Makes a folder one in which nothing can be written, also by the superuser. The result makes it as it was. */
export function closeFolder(path: string): () => void {
	if (process.getuid?.() !== 0) {
		chmodSync(path, 0o500);
		return () => chmodSync(path, 0o700);
	}
	execFileSync("chattr", ["+i", path]);
	return () => void execFileSync("chattr", ["-i", path]);
}

/** Resolves as soon as `holds`; rejects with `what` after a time that only a hang takes. */
export async function until(what: string, holds: () => boolean, timeoutMs = 20_000): Promise<void> {
	const began = performance.now();
	while (!holds()) {
		const waited = performance.now() - began;
		if (waited > timeoutMs) throw new Error(`never happened: ${what}`);
		// Closely at first: some states last for a few turns of the event loop only.
		if (waited < 500) await settled();
		else await new Promise((resolve) => setTimeout(resolve, 5));
	}
}

/** Resolves after everything that was already due has run: promises, and one turn of the event loop. */
export function settled(): Promise<void> {
	return new Promise((resolve) => setImmediate(resolve));
}

/** When a token made by `aToken` was issued, epoch ms. */
function issuedAt(access: string): number | undefined {
	try {
		const claims: unknown = JSON.parse(Buffer.from(access.split(".")[1] ?? "", "base64url").toString());
		return typeof claims === "object" && claims !== null && "iat" in claims ? Number(claims.iat) * 1000 : undefined;
	} catch {
		// Any other text: it does not say.
		return undefined;
	}
}

function isOlder(offered: Credential, stored: Credential): boolean {
	const [offeredAt, storedAt] = [issuedAt(offered.access), issuedAt(stored.access)];
	return offeredAt !== undefined && storedAt !== undefined && storedAt > offeredAt;
}

/** An accounts file in memory; `rows` may be changed by a test as another process would. */
export interface FakeAccountStore extends AccountStore {
	rows: Account[];
	readonly removed: AccountId[];
	/** Makes every write fail as a full disk does; memory keeps the change. */
	isFull: boolean;
	/** What taking the refresh lock throws, if anything; or another process holds it. */
	lockRefusal: Error | "busy" | undefined;
}

export function anAccountStore(...rows: Account[]): FakeAccountStore {
	const durable = async () => {
		if (store.isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
	};
	const labelsBeside = (id: AccountId) => new Set(store.rows.filter((row) => row.id !== id).map(({ label }) => label));
	const patched = (id: AccountId, patch: AccountPatch, applies: (newest: Credential) => boolean) =>
		store.rows.map((row) => {
			if (row.id !== id || !applies(row.credential)) return row;
			const { credential, label, claims, ...rest } = patch;
			const isRepaired = row.needsLogin !== undefined && "needsLogin" in patch && patch.needsLogin === undefined;
			const isTaken = credential !== undefined && (isRepaired || !isOlder(credential, row.credential));
			return {
				...row,
				...rest,
				...(claims && { claims: [...new Set([...claimsOf(row), ...claims])] }),
				...(label !== undefined && { label: uniqueLabel(label, labelsBeside(id)) }),
				...(isTaken && { credential }),
				...(patch.linked !== undefined && { linkedElsewhere: undefined }),
			};
		});
	const queues = new Map<AccountId, Promise<unknown>>();
	/** Of each account the newest one, in the order of the removals. */
	let backups: readonly Account[] = [];
	const backupOf = (id: AccountId | undefined) => backups.find((backup) => backup.id === id);
	const keepBackup = (account: Account) => {
		backups = [...backups.filter(({ id }) => id !== account.id), account];
	};
	const store: FakeAccountStore = {
		rows,
		removed: [],
		isFull: false,
		lockRefusal: undefined,
		list: () => store.rows,
		put: (account) => {
			const known = store.rows.find(({ id }) => id === account.id);
			const row = { ...account, label: uniqueLabel(account.label, labelsBeside(account.id)) };
			if (!known) store.rows = [...store.rows, row];
			else if (known.needsLogin || !isOlder(account.credential, known.credential)) {
				store.rows = store.rows.map((each) => (each.id === account.id ? row : each));
			}
			return durable();
		},
		patch: (id, patch, applies = () => true) => {
			store.rows = patched(id, patch, applies);
			return durable();
		},
		edit: async (id, patch) => {
			await durable();
			store.rows = patched(id, patch, () => true);
		},
		remove: async (id) => {
			await durable();
			await store.backUp(id);
			store.rows = store.rows.filter((row) => row.id !== id);
			store.removed.push(id);
		},
		backUp: async (id) => {
			await durable();
			const row = store.rows.find((each) => each.id === id);
			if (row) keepBackup(row);
		},
		renewBackup: async (id, spentRefresh, next) => {
			const backup = backupOf(id);
			if (backup?.credential.refresh !== spentRefresh) return false;
			await durable();
			backups = backups.map((each) => (each === backup ? { ...each, credential: next } : each));
			return true;
		},
		keepAside: async (account) => {
			await durable();
			keepBackup(account);
		},
		restore: async (id) => {
			const backup = backupOf(id);
			if (!backup || store.rows.some((row) => row.id === id)) return;
			await durable();
			const label = uniqueLabel(backup.label, labelsBeside(id));
			const source = backup.source === "pi" ? "login" : backup.source;
			store.rows = [...store.rows, { ...backup, label, linked: false, source }];
		},
		lastRemoved: async (wanted) =>
			backups.findLast(({ id }) => (wanted === undefined || id === wanted) && !store.rows.some((row) => row.id === id)),
		whileRefreshing: (id, work) => {
			const before = queues.get(id) ?? Promise.resolve();
			const run = before.then(async () => {
				if (store.lockRefusal === "busy") return store.lockRefusal;
				if (store.lockRefusal) throw store.lockRefusal;
				return work();
			});
			queues.set(
				id,
				run.catch(() => undefined),
			);
			return run;
		},
		assertWritable: durable,
		flush: async () => undefined,
	};
	return store;
}

/** pi's `auth.json` in memory. */
export interface FakePiAuth extends PiAuth {
	/** What the file says; every assignment is a change of the file. */
	login: PiLogin;
	/** What a read without the lock sees instead, e.g. a torn file. */
	torn: boolean;
	/** What taking the lock throws, if anything; or another process holds it. */
	lockRefusal: Error | "busy" | undefined;
	/** Makes every write fail as a full disk does. */
	isFull: boolean;
	/** Looks at the content, with and without the lock. */
	reads: number;
	/** pi is signed in with ChatGPT under its provider `openai`. */
	isOnPlan: boolean;
	/** What tells the stored credentials of a provider from later ones. */
	readonly marks: Map<string, string>;
	/** Runs while the lock is being had, as another process's turn. */
	beforeLock: (() => void) | undefined;
}

export function aPiAuth(login: PiLogin = { kind: "none" }): FakePiAuth {
	let current = login;
	let changes = 0;
	let queue: Promise<unknown> = Promise.resolve();
	const locked = <T>(work: () => Promise<T>): Promise<T | "busy"> => {
		const run = queue.then(async () => {
			auth.beforeLock?.();
			if (auth.lockRefusal === "busy") return auth.lockRefusal;
			if (auth.lockRefusal) throw auth.lockRefusal;
			return work();
		});
		queue = run.catch(() => undefined);
		return run;
	};
	const replace = async (replaced: string, next: Credential, workspaceId: WorkspaceId): Promise<boolean> => {
		if (auth.isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
		if (current.kind !== "oauth" || current.credential.refresh !== replaced) return false;
		auth.login = { kind: "oauth", credential: next, workspaceId };
		return true;
	};
	const deleteLogin = async (refresh: string): Promise<boolean> => {
		if (auth.isFull) throw Object.assign(new Error("no space"), { code: "ENOSPC" });
		if (current.kind !== "oauth" || current.credential.refresh !== refresh) return false;
		auth.login = { kind: "none" };
		return true;
	};
	const auth: FakePiAuth = {
		get login() {
			return current;
		},
		set login(next) {
			current = next;
			changes += 1;
		},
		torn: false,
		lockRefusal: undefined,
		isFull: false,
		reads: 0,
		isOnPlan: false,
		marks: new Map(),
		beforeLock: undefined,
		signature: () => (current.kind === "none" ? undefined : `version-${changes}`),
		peek: () => {
			auth.reads += 1;
			return auth.torn ? { kind: "unreadable" } : current;
		},
		hasPlanLogin: () => auth.isOnPlan,
		loginMark: (provider) => auth.marks.get(provider),
		read: () =>
			locked(async () => {
				auth.reads += 1;
				return current;
			}),
		exclusively: (work) =>
			locked(() => work({ login: () => current, replaceCredential: replace, deleteLogin: deleteLogin })),
		writeBack: async (replaced, next, accountId) => (await locked(() => replace(replaced, next, accountId))) === true,
	};
	return auth;
}

/** A state file in memory. */
export interface FakeStateStore extends StateStore {
	/** How often the file was looked at for what is known of accounts. */
	looks: number;
	readonly statusById: Map<AccountId, AccountStatus>;
	pinnedId: AccountId | undefined;
	/** Until when the pinned account is used below its caps, epoch ms. */
	belowCapUntil: number | undefined;
	/** The account that each session is at work on; no lease runs out. */
	readonly live: Map<string, AccountId>;
	chosenLast: AccountId | undefined;
	/** What keeps the file from being written; memory keeps the change. */
	trouble: unknown;
	/** A home without an account was told how to begin. */
	isWelcomed: boolean;
	/** What was told of; it is no news until a test takes it away. */
	readonly told: Map<string, { readonly until: number; readonly level: number }>;
	/** What was said yes to beforehand, and until when. */
	readonly consentsById: Map<string, number>;
	/** Changes that were written at once, and behind, by account. */
	readonly written: AccountId[];
	readonly writtenSoon: AccountId[];
}

export function aStateStore(statusById: Readonly<Record<AccountId, Partial<AccountStatus>>> = {}): FakeStateStore {
	const empty: AccountStatus = { cooldowns: [], strikes: 0 };
	const read = (id: AccountId) => store.statusById.get(id) ?? empty;
	const apply = (id: AccountId, change: (status: AccountStatus) => AccountStatus) => {
		store.statusById.set(id, change(read(id)));
	};
	const store: FakeStateStore = {
		looks: 0,
		statusById: new Map(entriesById(statusById).map(([id, status]) => [id, { ...empty, ...status }])),
		pinnedId: undefined,
		belowCapUntil: undefined,
		live: new Map(),
		chosenLast: undefined,
		trouble: undefined,
		isWelcomed: false,
		consentsById: new Map(),
		told: new Map(),
		written: [],
		writtenSoon: [],
		pin: () => store.pinnedId,
		setPin: async (id, belowCapUntil) => {
			store.pinnedId = id;
			store.belowCapUntil = belowCapUntil;
		},
		pinnedBelowCapUntil: () => store.belowCapUntil,
		status: (id) => store.snapshot()(id),
		snapshot: () => {
			store.looks += 1;
			return read;
		},
		update: async (id, change) => {
			store.written.push(id);
			apply(id, change);
		},
		updateIf: async (id, applies, change, onUnwritten) => {
			if (!applies(read(id))) return false;
			await store.update(id, change);
			if (store.trouble) onUnwritten?.(store.trouble);
			return true;
		},
		updateSoon: (id, change) => {
			store.writtenSoon.push(id);
			apply(id, change);
		},
		liveSessions: (except) => {
			const counts = new Map<AccountId, number>();
			for (const [session, id] of store.live) if (session !== except) counts.set(id, (counts.get(id) ?? 0) + 1);
			return counts;
		},
		lastChosen: () => store.chosenLast,
		acquireLease: (session, id, isChoice) => {
			store.live.set(session, id);
			if (isChoice) store.chosenLast = id;
		},
		releaseLease: (session) => void store.live.delete(session),
		clearCooldowns: async () => {
			for (const id of store.statusById.keys()) apply(id, (status) => ({ ...status, cooldowns: [], strikes: 0 }));
		},
		forget: async (id) => {
			const { exchange, spent, redemption } = read(id);
			if (exchange || spent || redemption) store.statusById.set(id, { ...empty, exchange, spent, redemption });
			else store.statusById.delete(id);
			if (store.pinnedId === id) store.pinnedId = undefined;
		},
		claimWelcome: async () => {
			const isOurs = !store.isWelcomed;
			store.isWelcomed = true;
			return isOurs;
		},
		endWelcome: () => {
			store.isWelcomed = false;
		},
		claimNotice: async (what, { until, slackMs, level = 0 }) => {
			const before = store.told.get(what);
			if (before && until - before.until <= slackMs && level >= before.level) return false;
			store.told.set(what, { until, level });
			return true;
		},
		endNotice: async (what) => store.told.delete(what),
		consents: () => store.consentsById,
		giveConsent: async (what, until) => void store.consentsById.set(what, until),
		endConsents: async () => store.consentsById.clear(),
		flush: async () => undefined,
	};
	return store;
}

/** What comes of work in steps, one after the other. */
export function resultOf<T>(steps: Generator<unknown, T>): T {
	for (;;) {
		const { done, value } = steps.next();
		if (done) return value;
	}
}
