import type { Account } from "../../src/core/account.ts";
import { identityOf } from "../../src/platform/backend/jwt.ts";
import { createPoolDatabase } from "../../src/platform/shared-pool/database.ts";
import { newKeeperCode, printJoinCode, runnerCodeOf } from "../../src/platform/shared-pool/join-code.ts";
import { openMirror } from "../../src/platform/shared-pool/mirror.ts";
import { type Keys, sealAccount } from "../../src/platform/shared-pool/sealed-account.ts";
import { createSealing } from "../../src/platform/shared-pool/sealing.ts";
import type { JoinCode, PoolDatabase, Role } from "../../src/platform/shared-pool/types.ts";
import type { AgentDir } from "./agent-dir.ts";
import type { FakeCodex, Grant } from "./fake-codex/index.ts";

/** A pool in a database, as a first keeper has made it. */
export interface TestPool {
	/** Its database, by the way that it was made. */
	readonly database: PoolDatabase;
	readonly codes: Readonly<Record<Role, JoinCode>>;
	/** Of a keeper. */
	readonly keys: Keys;
	/** The text of a join code, for a machine that reaches the database at `url`. */
	code(role: Role, url?: string): string;
	/** Puts an account into it, or a new sign-in of one that is there. Resolves to the version of its row. */
	put(account: Account, replaces?: number): Promise<number | undefined>;
	/** Has the machine of an agent directory join, as `/multicodex join` does. */
	join(dir: AgentDir, machine: string, url?: string): Promise<void>;
}

const NAME = "team";
const WHO = "the test";

/** Makes a pool in an empty database. The caller ends `database`. */
export async function foundPool(url: string, accounts: readonly Account[]): Promise<TestPool> {
	const keeper = newKeeperCode(url);
	const runner = runnerCodeOf(keeper);
	const codes = { keeper, runner };
	const sealing = createSealing(keeper);
	const { poolId } = keeper;
	const keys = { sealing, poolId };
	const database = createPoolDatabase(keeper, { keyIds: sealing.keyIds });
	await database.migrate();
	await database.create({
		id: poolId,
		name: NAME,
		keeperKeyId: sealing.keyIds.keeper ?? "",
		runnerKeyId: sealing.keyIds.runner,
	});
	const code: TestPool["code"] = (role, at = url) => printJoinCode({ ...codes[role], url: at });
	const put: TestPool["put"] = (account, replaces = 0) => {
		const { enabled, disabledReason } = account;
		const sealed = sealAccount(account, replaces + 1, keys);
		return database.change(
			{ id: account.id, replaces, ...sealed, enabled, disabledReason, needsLogin: undefined },
			WHO,
		);
	};
	for (const account of accounts) await put(account);
	return {
		database,
		codes,
		keys,
		code,
		put,
		join: async (dir, machine, at) => {
			const settings = dir.readJson("settings.json");
			const ours = isRecord(settings) && isRecord(settings["pi-multicodex"]) ? settings["pi-multicodex"] : {};
			dir.write("settings.json", { ...(isRecord(settings) && settings), "pi-multicodex": { ...ours, pool: NAME } });
			const mirror = openMirror(dir.path("codex-pool.json"), (text) => {
				throw new Error(text);
			});
			await mirror.enter(code("keeper", at), machine, NAME, false);
			await mirror.flush();
		},
	};
}

/** An account of the fake as ours, with a new login. */
export function sharedAccountOf(codex: FakeCodex, name: string, grant: Grant = codex.grant(name)): Account {
	const identity = identityOf(grant.access);
	if (!identity) throw new Error("the fake backend gave a token without an identity");
	const { access, refresh, expires: expiresAt } = grant;
	return {
		id: identity.id,
		label: name,
		email: identity.email,
		userId: identity.userId,
		workspaceId: identity.workspaceId,
		plan: identity.plan,
		credential: { access, refresh, expiresAt },
		source: "login",
		linked: false,
		enabled: true,
		disabledReason: undefined,
		needsLogin: undefined,
		addedAt: Date.now(),
	};
}

function isRecord(value: unknown): value is Record<string, unknown> {
	return typeof value === "object" && value !== null && !Array.isArray(value);
}
