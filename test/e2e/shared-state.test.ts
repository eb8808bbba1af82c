import { afterAll, beforeAll, expect, it, onTestFinished } from "vitest";
import { z } from "zod";
import { createAgentDir } from "../support/agent-dir.ts";
import { answers } from "../support/fake-codex/index.ts";
import { OLDEST_HOST, prepareHost } from "../support/hosts.ts";
import { startRpc } from "../support/pi.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import type { Rpc } from "../support/rpc.ts";
import { type Bench, createBench, until } from "./support.ts";

let server: TestPostgres;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());

const PATIENCE_MS = 80_000;
const CODE = /pi-pool-keeper-[\w-]+/;
const stateSchema = z.looseObject({
	pin: z.string().nullable(),
	accounts: z.record(z.string(), z.looseObject({ cooldowns: z.array(z.looseObject({ until: z.number() })) })),
});

/** The home of another machine, of which pi has its oldest version, and a pi there. */
async function anotherMachine({ codex }: Bench) {
	const dir = createAgentDir({ baseUrl: codex.baseUrl });
	const rpc = startRpc(await prepareHost(OLDEST_HOST), dir, [], { env: { PI_MULTICODEX_AUTH_URL: codex.issuer } });
	onTestFinished(async () => {
		await rpc.close();
		dir.remove();
	});
	const state = () => stateSchema.parse(dir.readJson("codex-state.json") ?? { pin: null, accounts: {} });
	return { rpc, state };
}

/** Makes a pool of all accounts on one machine, and has another one join it. */
async function share(one: Rpc, two: Rpc): Promise<void> {
	await one.send(`/multicodex share ${await server.database()} all --name one`);
	const { message } = await one.waitForNotification(CODE);
	await two.send(`/multicodex join ${CODE.exec(message)?.[0]} --name two`);
	await two.waitForNotification(/joined/i);
}

it("has a refusal on one machine respected on the other before its next request, and a pin move both", async () => {
	const bench = await createBench({ usage: answers.serverError(503) });
	const { codex } = bench;
	const one = bench.rpc();
	const { rpc: two, state } = await anotherMachine(bench);
	await share(one, two);

	codex.account("a").always(answers.usageLimit({ resetsInMs: 3_600_000 }));
	expect((await one.prompt("say hi")).text).toMatch(/^OK from b/);
	// At once; within a minute where the machine was too busy to try whether notifications get through.
	const endHere = () => bench.status("a").cooldowns[0]?.until ?? 0;
	const endThere = () => state().accounts[bench.id("a")]?.cooldowns[0]?.until ?? 0;
	await until("both know", () => endHere() > 0 && endThere() > 0, PATIENCE_MS);
	expect(Math.abs(endThere() - endHere())).toBeLessThan(1000);
	codex.clearRequests();
	expect((await two.prompt("say hi")).text).toMatch(/^OK from b/);
	expect(bench.asked()).toEqual(["b"]);

	codex.account("a").always(answers.echoAccount());
	await two.send("/multicodex reset quota");
	await until("both are reset", () => bench.status("a").cooldowns.length === 0, PATIENCE_MS);
	await two.send("/multicodex use a");
	await until("the pin has moved", () => bench.pin() === bench.id("a"), PATIENCE_MS);
	codex.clearRequests();
	expect((await one.prompt("say hi")).text).toMatch(/^OK from a/);
	expect(bench.asked()).toEqual(["a"]);
});
