import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import type { Account } from "../../../src/core/account.ts";
import { openJournal } from "../../../src/platform/shared-pool/journal.ts";
import { openRow } from "../../../src/platform/shared-pool/sealed-account.ts";
import type { FakeCodex, Grant } from "../../support/fake-codex/index.ts";
import { foundPool, sharedAccountOf, type TestPool } from "../../support/pool.ts";
import { startPostgres } from "../../support/postgres.ts";
import { type PostgresProxy, startPostgresProxy } from "../../support/postgres-proxy.ts";
import type { Machine } from "./machine.ts";

/** A row, opened with the key of a keeper. */
export interface StoredAccount {
	readonly account: Account;
	readonly version: number;
	readonly access: string;
	readonly refresh: string;
	/** As the row says in clear, epoch ms. */
	readonly expiresAt: number;
	readonly needsLogin: string | undefined;
	/** Neither off nor signed out. */
	readonly isUsable: boolean;
}

/** The database of the fleet, each machine's way to it, and what is in it. */
export interface FleetPool {
	/** Makes the pool with the accounts of these names, and has its first machine join. */
	found(codex: FakeCodex, names: readonly string[]): Promise<void>;
	join(machine: Machine): Promise<void>;
	/** The rows by label. Rejects while the database is away. */
	look(): Promise<ReadonlyMap<string, StoredAccount>>;
	/** New refresh tokens in the journal of a machine. */
	journalOf(machine: Machine): Promise<readonly string[]>;
	/** Lets the minute of a claim without an outcome be over; false where there is no such claim. */
	ageClaim(tokenHash: string): Promise<boolean>;
	/** Hashes of the tokens that are claimed without an outcome. */
	openClaims(): Promise<ReadonlySet<string>>;
	/** Stores a new sign-in of an account; false where its row has changed meanwhile. */
	signIn(stored: StoredAccount, grant: Grant): Promise<boolean>;
	crash(downMs: number): Promise<void>;
	/** Cuts what a machine has connected, and keeps it from the database for so long. Resolves to how many were cut. */
	cut(machine: Machine, downMs: number): Promise<number>;
	/** Loses the answer to the next statement with this text, after it was done, and calls `act`. */
	loseAnswerOf(machine: Machine, text: string, act?: () => void): void;
	/** Keeps the next statement with this text from the database, and calls `act`. */
	holdBack(machine: Machine, text: string, act: () => void): void;
	/** Rows that do not open, or that the schema does not allow. */
	brokenRows(): readonly string[];
	/** Files of the server, its log of writes included, that hold one of the texts. */
	readable(texts: readonly string[]): string[];
	end(): Promise<void>;
}

const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

/** Starts a database server. */
export async function createFleetPool(): Promise<FleetPool> {
	const server = await startPostgres();
	const proxies = new Map<string, PostgresProxy>();
	const broken = new Set<string>();
	let url = "";
	let pool: TestPool | undefined;
	const made = () => {
		if (!pool) throw new Error("the pool is not made yet");
		return pool;
	};
	return {
		found: async (codex, names) => {
			url = await server.database();
			pool = await foundPool(
				url,
				names.map((name) => sharedAccountOf(codex, name)),
			);
		},
		join: async (machine) => {
			const proxy = await startPostgresProxy(server.port);
			proxies.set(machine.name, proxy);
			await made().join(machine.dir, machine.name, proxy.through(url));
		},
		look: async () => {
			const { database, keys } = made();
			const { rows } = await database.look({ rows: new Map(), statuses: new Map() });
			const opened = rows.map((row) => ({ row, opened: openRow(row, keys) }));
			for (const { opened: each } of opened) if (each.kind !== "ok") broken.add(`${each.id}: ${each.kind}`);
			return new Map(
				opened.flatMap(({ row, opened: each }) => {
					if (each.kind !== "ok") return [];
					const { account } = each;
					const { access, refresh } = account.credential;
					const needsLogin = row.needsLogin?.reason;
					const isUsable = row.enabled && needsLogin === undefined;
					const { version, expiresAt } = row;
					return [[account.label, { account, version, access, refresh, expiresAt, needsLogin, isUsable }]];
				}),
			);
		},
		journalOf: async ({ dir }) => {
			const entries = await openJournal(dir.dir, made().keys).read();
			return entries.map(({ account }) => account.credential.refresh);
		},
		ageClaim: async (tokenHash) => {
			const aged = `update pi_multicodex.claim set claimed_at = claimed_at - interval '61 seconds'
				where token_hash = '${tokenHash}' and outcome is null returning 1 as aged`;
			// It may have just crashed.
			const rows = await server.query(url, aged).catch(() => []);
			return rows.length > 0;
		},
		openClaims: async () => {
			const open = await server.query(url, "select token_hash as hash from pi_multicodex.claim where outcome is null");
			return new Set(open.map(({ hash }) => String(hash)));
		},
		signIn: async ({ account, version }, grant) => {
			const { access, refresh, expires: expiresAt } = grant;
			const next = { ...account, credential: { access, refresh, expiresAt }, needsLogin: undefined };
			return (await made().put(next, version)) !== undefined;
		},
		crash: async (downMs) => {
			await server.crash();
			await pause(downMs);
			await server.restart();
		},
		cut: async ({ name }, downMs) => {
			const proxy = proxies.get(name);
			const connections = proxy?.connections() ?? 0;
			if (downMs > 0) proxy?.refuse(true);
			proxy?.cut();
			await pause(downMs);
			proxy?.refuse(false);
			return connections;
		},
		loseAnswerOf: ({ name }, text, act) => proxies.get(name)?.loseAnswerOf(text, act),
		holdBack: ({ name }, text, act) => proxies.get(name)?.holdBack(text, act),
		brokenRows: () => [...broken],
		readable: (texts) =>
			readdirSync(server.folder, { recursive: true, withFileTypes: true })
				.filter((entry) => entry.isFile())
				.map((entry) => join(entry.parentPath, entry.name))
				.filter((path) => statSync(path, { throwIfNoEntry: false }) !== undefined)
				.flatMap((path) => {
					const content = readFileSync(path);
					return texts.filter((text) => content.includes(text)).map((text) => `${text} in the database, ${path}`);
				}),
		end: async () => {
			await pool?.database.end();
			await Promise.all([...proxies.values()].map((proxy) => proxy.close()));
			await server.close();
		},
	};
}
