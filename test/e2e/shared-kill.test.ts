import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, it } from "vitest";
import { NEWEST_HOST, OLDEST_HOST } from "../support/hosts.ts";
import { startPostgres, type TestPostgres } from "../support/postgres.ts";
import { createBench } from "./support.ts";
import { ageLeftovers, brokenFiles, NO_SESSION, timesSent, watchedDisk } from "./under-fire-support.ts";

let server: TestPostgres;
beforeAll(async () => {
	server = await startPostgres();
});
afterAll(() => server.close());

const ANSWER = "token answer";

it("loses nothing of a shared account to a kill after the token has come: the machine's next pi hands it to the others", async () => {
	const first = await createBench({ host: OLDEST_HOST, accounts: ["work"] });
	writeFileSync(join(first.dir.cwd, "url.txt"), await server.database(), { mode: 0o600 });
	const made = await first.print("/multicodex share @url.txt work --name laptop");
	expect(made).toMatchObject({ code: 0, stderr: "" });
	const [keeper = ""] = made.stdout.match(/pi-pool-keeper-[\w-]+/) ?? [];
	const { baseUrl, issuer } = first.codex;
	const second = await createBench({
		host: NEWEST_HOST,
		accounts: [],
		baseUrl,
		env: { PI_MULTICODEX_AUTH_URL: issuer },
	});
	writeFileSync(join(second.dir.cwd, "code.txt"), keeper, { mode: 0o600 });
	expect((await second.print("/multicodex join @code.txt --name desk")).code).toBe(0);

	first.codex.account("work").expireAccessTokens();
	// The journal is on the disk, and neither the mirror nor the database has the token.
	const signal = { name: "SIGKILL", nth: 1, before: "mkdir codex-pool.json.lock", from: ANSWER } as const;
	const dead = await first.print("say hi", NO_SESSION, { env: watchedDisk(first, { signal }) });
	expect(dead.signal, "how the first one ended").toBe("SIGKILL");
	expect(brokenFiles(first)).toEqual([]);
	const [issued] = first.codex.tokenRequests();
	ageLeftovers(first, 120_000);
	const next = await first.print("say hi", NO_SESSION);
	expect(next).toMatchObject({ code: 0, stdout: expect.stringMatching(/^OK from work #\d\n$/), stderr: "" });
	expect((await second.print("say hi", NO_SESSION)).stdout).toMatch(/^OK from work #\d\n$/);
	expect(timesSent(first)).toEqual([1]);
	for (const { dir } of [first, second]) {
		const texts = [dir.read("codex-pool.json"), dir.read("codex-accounts.json")].join("");
		expect(texts).not.toContain(issued?.issuedRefresh);
	}
});
