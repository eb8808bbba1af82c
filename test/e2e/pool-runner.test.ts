import {
	chmodSync,
	chownSync,
	cpSync,
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
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from "vitest";
import { createSealing } from "../../src/platform/shared-pool/sealing.ts";
import { createAgentDir } from "../support/agent-dir.ts";
import { answers, type FakeCodex, SECRET_MARK, startFakeCodex } from "../support/fake-codex/index.ts";
import { NEWEST_HOST, prepareHost, repositoryRoot } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import { foundPool, sharedAccountOf, type TestPool } from "../support/pool.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { startPostgresProxy } from "../support/postgres-proxy.ts";
import type { Rpc } from "../support/rpc.ts";
import { coreOf, wide } from "../support/tiers.ts";

let server: TestPostgres;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server?.close());

/** A user that owns nothing; root is never kept from writing. */
const NOBODY = process.getuid?.() === 0 ? { uid: 65_534, gid: 65_534 } : undefined;

/** pi 1.6.0 ends, or ends each turn, where it cannot lock these in its agent directory: with us or without. */
const OF_HOST = "^(trust|auth)\\.json";

interface Container {
	/** Everything that its processes can write to is below one of these. */
	readonly folders: readonly string[];
	readonly temporary: string;
	start(code: string): Promise<Rpc>;
}

/** A pool of two accounts in a database of its own. */
async function aPool(): Promise<{ readonly codex: FakeCodex; readonly pool: TestPool }> {
	const codex = await startFakeCodex({ accounts: ["a", "b"] });
	onTestFinished(() => codex.close());
	const accounts = ["a", "b"].map((name) => sharedAccountOf(codex, name));
	const pool = await foundPool(await server.database(), accounts);
	onTestFinished(() => pool.database.end());
	return { codex, pool };
}

/**
 * An empty home that its user may not write to, and a temporary folder that it may. The agent directory is in that; where
 * the container `isSealed` nothing can be written there but what pi itself insists on.
 */
async function aContainer(codex: FakeCodex, isSealed: boolean): Promise<Container> {
	const fixture = createAgentDir({ baseUrl: codex.baseUrl });
	const root = mkdtempSync(join(realpathSync(tmpdir()), "pi-runner-"));
	const [home, temporary, agent] = ["home", "tmp", "tmp/agent"].map((name) => join(root, name));
	if (!home || !temporary || !agent) throw new Error("unreachable");
	for (const folder of [home, temporary]) mkdirSync(folder);
	cpSync(fixture.dir, agent, { recursive: true });
	chmodSync(root, 0o755);
	chmodSync(home, 0o555);
	const trouble = join(root, "trouble");
	writeFileSync(trouble, isSealed ? "read-only" : "");
	if (NOBODY) for (const path of [temporary, agent, ...files(agent)]) chownSync(path, NOBODY.uid, NOBODY.gid);
	onTestFinished(() => {
		rmSync(root, { recursive: true, force: true });
		fixture.remove();
	});
	const host = await prepareHost(NEWEST_HOST);
	const disk = pathToFileURL(join(repositoryRoot, "test/support/preload/disk.mjs")).href;
	return {
		folders: [home, temporary],
		temporary,
		start: async (code) => {
			const rpc = startRpc(host, fixture, isSealed ? ["--no-session"] : [], {
				cwd: temporary,
				user: NOBODY,
				env: {
					HOME: home,
					TMPDIR: temporary,
					PI_CODING_AGENT_DIR: agent,
					PI_MULTICODEX_AUTH_URL: codex.issuer,
					PI_MULTICODEX_POOL: code,
					...(isSealed && {
						NODE_OPTIONS: `--import=${disk}`,
						TEST_PRELOAD_DISK: JSON.stringify({ folder: agent, trouble, spared: OF_HOST }),
					}),
				},
			});
			onTestFinished(async () => void (await rpc.close()));
			return rpc;
		},
	};
}

function files(folder: string): string[] {
	return readdirSync(folder, { recursive: true, withFileTypes: true })
		.filter((entry) => entry.isFile())
		.map((entry) => join(entry.parentPath, entry.name));
}

/** Files below the folders that hold a token, or the code. */
function telling({ folders }: Container, code: string): string[] {
	return folders.flatMap(files).filter((path) => {
		const text = readFileSync(path, "latin1");
		return text.includes(SECRET_MARK) || (text.includes(code) && !path.endsWith("/child-environment"));
	});
}

const env = (file: string) =>
	answers.text("A moment.", { functionCalls: [{ name: "bash", arguments: { command: `env > ${file}` } }] });

describe("a runner that has nothing but the variable", () => {
	it.each(coreOf([{ isSealed: true }, { isSealed: false }]))(
		"answers at its first turn, rotates, and leaves no token (nothing can be written: $isSealed)",
		async ({ isSealed }) => {
			const { codex, pool } = await aPool();
			const container = await aContainer(codex, isSealed);
			const code = pool.code("runner");
			const rpc = await container.start(code);
			const environment = join(container.temporary, "child-environment");
			for (const { name } of codex.accounts) codex.account(name).next(env(environment));

			const first = await rpc.prompt("say hi");
			expect(first).toMatchObject({ stopReason: "stop", errorMessage: undefined });
			const [serving = ""] = codex.responsesRequests().map(({ account }) => account);
			const other = serving === "a" ? "b" : "a";
			codex.account(other).always(undefined);
			codex.account(serving).always(answers.usageLimit({ resetsInMs: 3_600_000 }));
			codex.account(other).next(answers.echoAccount());
			expect((await rpc.prompt("say hi")).text).toMatch(`OK from ${other} #`);

			expect(codex.tokenRequests()).toEqual([]);
			const inherited = readFileSync(environment, "utf8");
			expect(inherited).toContain("PI_CODING_AGENT_DIR");
			expect(inherited).not.toContain(SECRET_MARK);
			await rpc.close();
			expect(telling(container, code)).toEqual([]);
			expect(`${rpc.process.stdout()}${rpc.process.stderr()}`).not.toContain(SECRET_MARK);
			// What was asked of the other machines is in the database by then, sealed.
			const { rows } = await pool.database.look({ rows: new Map(), statuses: new Map() });
			const sealing = createSealing(pool.codes.runner);
			for (const { id: account, version, forKeepers, forRunners } of rows) {
				const place = { poolId: pool.codes.runner.poolId, account, version };
				for (const kind of ["keeper", "runner"] as const)
					expect(sealing.open(forKeepers, { ...place, kind }).kind).not.toBe("ok");
				const opened = sealing.open(forRunners, { ...place, kind: "runner" });
				expect(opened).toMatchObject({ kind: "ok", text: expect.stringContaining(`${SECRET_MARK}_access_`) });
				expect(JSON.stringify(opened)).not.toContain(`${SECRET_MARK}_rt_`);
			}
		},
	);

	wide("says why nothing answers: its database is too slow, or its pool has no account", async () => {
		const { codex, pool } = await aPool();
		const proxy = await startPostgresProxy(server.port);
		onTestFinished(() => proxy.close());
		const url = proxy.through(pool.codes.runner.url);
		const prompt = async (code: string) => {
			const container = await aContainer(codex, false);
			return (await container.start(code)).prompt("say hi");
		};
		proxy.delay(3_000);
		expect(await prompt(pool.code("runner", url))).toMatchObject({
			stopReason: "error",
			errorMessage: expect.stringMatching(/^The shared pool cannot be reached/),
		});
		const empty = await foundPool(await server.database(), []);
		onTestFinished(() => empty.database.end());
		expect(await prompt(empty.code("runner"))).toMatchObject({
			stopReason: "error",
			errorMessage: expect.stringMatching(/^The shared pool has no account yet/),
		});
	});
});
