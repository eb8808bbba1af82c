import {
	chmodSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	statSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it, vi } from "vitest";
import { verifySchema } from "../../src/pi/json-schemas.ts";
import { answers } from "../support/fake-codex/index.ts";
import { hostNames } from "../support/hosts.ts";
import { coreOf } from "../support/tiers.ts";
import { type Bench, createBench, resultLines, until } from "./support.ts";

vi.setConfig({ testTimeout: 120_000 });
const usage = answers.serverError(500);
const RESTING_MS = 1000;

/** Everything below the agent directory: what it is, when it was touched, what is in it. */
function listing({ dir }: Bench): Record<string, string> {
	const names = readdirSync(dir.dir, { recursive: true, encoding: "utf8" }).sort();
	return Object.fromEntries(
		["", ...names].map((name) => {
			const path = join(dir.dir, name);
			const { mode, mtimeMs, ino } = lstatSync(path);
			return [
				name,
				`${mode.toString(8)} ${mtimeMs} ${ino} ${lstatSync(path).isFile() ? readFileSync(path, "hex") : ""}`,
			];
		}),
	);
}

/** Waits until a session that has just started touches no file any more. */
async function atRest(bench: Bench): Promise<void> {
	let [last, since] = ["", Date.now()];
	await until("files to rest", () => {
		const { mtimeMs } = lstatSync(bench.dir.dir);
		if (last !== String(mtimeMs)) [last, since] = [String(mtimeMs), Date.now()];
		return Date.now() - since >= RESTING_MS;
	});
}

const lost = { needsLogin: { reason: "refresh_token_reused", at: 1 } };
const codesOf = (stdout: string) =>
	verifySchema
		.parse(JSON.parse(stdout))
		.findings.filter(({ level }) => level !== "ok")
		.map(({ level, code }) => `${level} ${code}`);

describe.each(coreOf(hostNames))("/multicodex verify, on pi %s", (host) => {
	it("tells what is wrong in a session that runs, and leaves everything as it is", async () => {
		const bench = await createBench({ host, accounts: ["a", "b"], rows: { b: lost }, usage });
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		await rpc.send("/multicodex path");
		// Whatever the turn has still to store is stored at the end of a session.
		await rpc.close();
		const again = bench.rpc();
		await again.send("/multicodex path");
		await atRest(bench);
		chmodSync(bench.dir.path("codex-accounts.json"), 0o644);
		writeFileSync(bench.dir.path("auth.json"), "{");
		mkdirSync(bench.dir.path("codex-state.json.lock"));
		utimesSync(bench.dir.path("codex-state.json.lock"), 1, 1);
		const before = listing(bench);
		const requests = bench.codex.responsesRequests().length;

		await again.send("/multicodex verify");
		const { message } = await again.waitForNotification("1 problem");

		expect(message).toMatch(/^1 problem, \d warnings\.\nproblem +auth\.json is damaged/);
		expect(message).toContain("codex-accounts.json is open to other users");
		expect(message).toContain("codex-state.json.lock was left");
		expect(message).toContain("b is signed out");
		expect(listing(bench)).toEqual(before);
		expect(bench.codex.responsesRequests()).toHaveLength(requests);
		const asked = bench.codex.requests.filter(({ kind, path }) => kind === "other" || path.endsWith("/usage"));
		expect(asked.at(-1)?.headers.authorization).toBeUndefined();
		expect(again.strayLines).toEqual([]);
	});

	it("sees another extension that has registered over the same provider, if the host can tell", async () => {
		const bench = await createBench({ host, accounts: ["a"], usage });
		const rival = join(bench.dir.cwd, "rival.ts");
		writeFileSync(
			rival,
			`import * as ai from "@mariozechner/pi-ai";
			export default (pi) => pi.registerProvider("openai-codex", { api: "openai-codex-responses",
				streamSimple: (model, context, options) => ai.streamSimpleOpenAICodexResponses(model, context, options) });`,
		);
		const alone = codesOf((await bench.print("/multicodex verify --json")).stdout);
		const beside = codesOf((await bench.print("/multicodex verify --json", ["-e", rival])).stdout);
		const expected = host === "0.73.1" ? ["note rival-not-visible"] : ["warning rival-another"];
		expect(beside.filter((code) => code.includes("rival"))).toEqual(expected);
		expect(alone).not.toContain("warning rival-another");
	});
});

describe("/multicodex verify", () => {
	it("prints one document, with ids only, and its exit code says whether there is a problem", async () => {
		const bench = await createBench({ accounts: ["ann", "bob"], rows: { bob: lost }, usage });
		const good = await bench.print("/multicodex verify --json");
		expect(good).toMatchObject({ code: 0, stderr: "" });
		expect(codesOf(good.stdout).slice(0, 1)).toEqual(["warning sign-in-lost"]);
		expect(good.stdout).toContain(bench.id("bob"));
		expect(good.stdout).not.toMatch(/ann|bob|example\.test/);
		expect(good.stdout).not.toContain(bench.dir.home);

		bench.dir.write("auth.json", "{");
		const bad = await bench.print("/multicodex verify --json");
		expect(bad).toMatchObject({ code: 1, stderr: "" });
		expect(codesOf(bad.stdout)[0]).toBe("problem file-broken");
		const { result } = await bench.json("/multicodex verify");
		expect(result).toMatchObject({ code: 1, stderr: "" });
		const [line] = resultLines(result.stdout);
		expect(line).toMatchObject({ type: "multicodex", command: "verify", result: { healthy: false } });
	});

	it("says within seconds that there is no answer", async () => {
		const bench = await createBench({ accounts: ["a"], baseUrl: "http://127.0.0.1:1/backend-api" });
		const env = { PI_MULTICODEX_AUTH_URL: "http://issuer.example" };
		const result = await bench.print("/multicodex verify", [], { env });
		expect(result.code).toBe(1);
		expect(result.stdout).toContain("problem  The Codex backend does not answer.");
		expect(result.stdout).toContain("problem  PI_MULTICODEX_AUTH_URL must use https");
		expect(bench.codex.requests.filter(({ kind }) => kind === "other")).toEqual([]);
	});

	it("repairs with --fix, and says what", async () => {
		const bench = await createBench({ accounts: ["a"], usage });
		chmodSync(bench.dir.path("codex-accounts.json"), 0o644);
		mkdirSync(bench.dir.path("codex-refresh-abc.lock"));
		utimesSync(bench.dir.path("codex-refresh-abc.lock"), 1, 1);
		const fixed = await bench.print("/multicodex verify --fix");
		expect(fixed).toMatchObject({ code: 0, stderr: "" });
		expect(fixed.stdout).toContain("codex-accounts.json can now be read only by you.");
		expect(fixed.stdout).toContain("Removed codex-refresh-abc.lock, which no program held.");
		expect(statSync(bench.dir.path("codex-accounts.json")).mode & 0o777).toBe(0o600);
		expect((await bench.print("/multicodex verify --fix")).stdout).toContain("There was nothing to repair.");
	});
});
