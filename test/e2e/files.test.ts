import { execFileSync } from "node:child_process";
import {
	chmodSync,
	existsSync,
	lstatSync,
	mkdirSync,
	readdirSync,
	readFileSync,
	rmSync,
	statSync,
	symlinkSync,
	utimesSync,
	writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { answers, type Grant } from "../support/fake-codex/index.ts";
import { coreOf, wide } from "../support/tiers.ts";
import { filesNamed, loginOfPi, modeOf, signPiInAs, storedAccounts } from "./credentials-support.ts";
import { type Bench, createBench, until } from "./support.ts";

/** Refused usage calls leave the accounts in the order of the list. */
const usage = answers.serverError(500);
const inMoreThanAnHour = 100 * 60_000;

/** Lines on stderr; the last one is empty where the output ends with a line end. */
function linesOf(stderr: string): string[] {
	return stderr.split("\n").filter((line) => line !== "");
}

function keptCopies(bench: Bench, name: string): string[] {
	return [...filesNamed(bench, `${name}.corrupt-`).values()];
}

describe.each(
	coreOf(
		[
			{ what: "cut off in the middle", bytes: '{"version": 2, "accounts": [{"id": "abc", "credential": {"acc' },
			{ what: "empty", bytes: "" },
			{ what: "JSON of another shape", bytes: '{ "version": 2, "accounts": { "a": 1 } }\n' },
			{ what: "something else altogether", bytes: Buffer.from([0xff, 0xfe, 0x00, 0x80]) },
		],
		({ what }) => what === "cut off in the middle" || what === "JSON of another shape",
	),
)("a codex-accounts.json that is $what", ({ bytes }) => {
	it("is kept byte for byte and reported once, and pi answers with its own login", async () => {
		const bench = await createBench({ usage, accounts: [], strangers: ["a"] });
		signPiInAs(bench, "a");
		writeFileSync(bench.dir.path("codex-accounts.json"), bytes, { mode: 0o600 });

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		expect(keptCopies(bench, "codex-accounts.json")).toHaveLength(1);
		const [copy = ""] = filesNamed(bench, "codex-accounts.json.corrupt-").keys();
		expect(readFileSync(bench.dir.path(copy)).equals(Buffer.from(bytes))).toBe(true);
		const told = linesOf(result.stderr);
		expect(told).toHaveLength(1);
		expect(told[0]).toContain("codex-accounts.json could not be read");
		expect(told[0]).toContain(copy);
		expect(storedAccounts(bench)).toMatchObject([{ label: "a", linked: true }]);

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n", stderr: "" });
	});
});

it("tells of a broken codex-accounts.json even if no other login is left", async () => {
	const bench = await createBench({ accounts: [] });
	bench.dir.write("codex-accounts.json", "{");

	const result = await bench.print("say hi");

	expect(result).toMatchObject({ code: 1, stdout: "" });
	expect(result.stderr).toMatch(/No API key found for (openai-codex|the selected model)/);
	expect(linesOf(result.stderr).filter((line) => line.includes("codex-accounts.json could not be read"))).toHaveLength(
		1,
	);
	expect(keptCopies(bench, "codex-accounts.json")).toEqual(["{"]);
});

it.each(
	coreOf([
		{ what: "cut off", text: '{"version": 1, "pin": null, "acc' },
		{ what: "of another shape", text: '["version", 1]' },
	]),
)("keeps a codex-state.json that is $what byte for byte, tells of it once and loses no login", async ({ text }) => {
	const bench = await createBench({ usage });
	bench.dir.write("codex-state.json", text);
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: inMoreThanAnHour }));

	const result = await bench.print("say hi");

	expect(result).toMatchObject({ code: 0, stdout: "OK from b #1\n" });
	expect(keptCopies(bench, "codex-state.json")).toEqual([text]);
	const told = linesOf(result.stderr);
	expect(told).toHaveLength(1);
	expect(told[0]).toContain("codex-state.json could not be read");
	expect(bench.status("a").cooldowns).toHaveLength(1);
	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from b #2\n", stderr: "" });
});

it("says where a codex-accounts.json leads whose folder is not there, and pi answers with its own login", async () => {
	const bench = await createBench({ usage, accounts: [], strangers: ["a"] });
	signPiInAs(bench, "a");
	const away = join(bench.dir.home, "away");
	rmSync(bench.dir.path("codex-accounts.json"), { force: true });
	symlinkSync(join(away, "codex-accounts.json"), bench.dir.path("codex-accounts.json"));

	const result = await bench.print("say hi");

	expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
	const why = `codex-accounts.json cannot be written (it is a link to ${join(away, "codex-accounts.json")}`;
	expect(linesOf(result.stderr).filter((line) => line.includes(why))).toHaveLength(1);
	expect(result.stderr).not.toContain("ENOENT");
	expect(existsSync(away)).toBe(false);
});

it("a codex-accounts.json of a newer version stays, and pi answers with its own login", async () => {
	const bench = await createBench({ usage, accounts: [], strangers: ["a", "b"] });
	const text = `{"accounts":{"of":"another shape"},"version":3,"key":"${"x".repeat(40)}"}`;
	bench.dir.write("codex-accounts.json", text);
	signPiInAs(bench, "a", { expiresInMs: -60_000 });

	const result = await bench.print("say hi");

	expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
	const told = linesOf(result.stderr);
	expect(told).toHaveLength(1);
	expect(told[0]).toContain("codex-accounts.json was written by a newer pi-multicodex");
	expect(filesNamed(bench, "codex-accounts.json")).toEqual(new Map([["codex-accounts.json", text]]));
	// The token that was spent for this is where the next request finds its successor.
	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n" });
	expect(bench.codex.tokenRequests()).toHaveLength(1);
	expect(loginOfPi(bench)?.expires).toBeGreaterThan(Date.now());
});

it("a codex-state.json of a newer version stays byte for byte as it is", async () => {
	const bench = await createBench({ usage });
	const text = '{"version":2,"accounts":["of another shape"]}';
	bench.dir.write("codex-state.json", text);
	bench.codex.account("a").always(answers.usageLimit({ resetsInMs: inMoreThanAnHour }));

	const result = await bench.run(["-p", "one", "two"]);

	expect(result).toMatchObject({ code: 0 });
	expect(bench.asked()).toEqual(["a", "b", "b"]);
	const told = linesOf(result.stderr);
	expect(told).toHaveLength(1);
	expect(told[0]).toContain("codex-state.json was written by a newer pi-multicodex");
	expect(filesNamed(bench, "codex-state.json")).toEqual(new Map([["codex-state.json", text]]));
});

it.each(["codex-accounts.json", "codex-state.json"])(
	"answers and says so once if %s is a folder, which stays",
	async (name) => {
		const bench = await createBench({ usage, accounts: [], strangers: ["a"] });
		signPiInAs(bench, "a");
		// A folder of that name stops even a privileged user.
		mkdirSync(bench.dir.path(name));

		const result = await bench.print("say hi");

		expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
		const told = linesOf(result.stderr);
		expect(told).toHaveLength(1);
		expect(told[0]).toBe(`${name} cannot be read (not a regular file) and is left as it is.`);
		expect(statSync(bench.dir.path(name)).isDirectory()).toBe(true);
	},
);

it("writes files that only their owner may read, whatever they were before", async () => {
	const bench = await createBench({ usage });
	bench.dir.write("codex-state.json", { version: 1, pin: null, accounts: {} });
	for (const name of ["codex-accounts.json", "codex-state.json"]) chmodSync(bench.dir.path(name), 0o644);
	bench.codex.account("a").expireAccessTokens();

	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });

	expect(modeOf(bench.dir.path("codex-accounts.json"))).toBe(0o600);
	expect(modeOf(bench.dir.path("codex-state.json"))).toBe(0o600);
});

it("makes new files that only their owner may read, even under the widest mask", async () => {
	const bench = await createBench({ usage, accounts: [], strangers: ["a", "b"] });
	signPiInAs(bench, "a");
	const mask = process.umask(0);
	try {
		const rpc = bench.rpc();
		await rpc.prompt("say hi");
		// A logout brings the last file into being: the backup.
		rmSync(bench.dir.path("auth.json"));
		await rpc.prompt("say hi");
		await rpc.close();
	} finally {
		process.umask(mask);
	}

	const ours = [...filesNamed(bench, "codex-").keys()];
	expect(ours.map((name) => name.replace(/\.bak-\d+-/, ".bak-N-"))).toEqual([
		"codex-accounts.json",
		`codex-accounts.json.bak-N-${bench.id("a")}`,
		"codex-events.jsonl",
		"codex-ledger.jsonl",
		"codex-state.json",
	]);
	expect(ours.map((name) => modeOf(bench.dir.path(name)))).toEqual(ours.map(() => 0o600));
});

describe("PI_MULTICODEX_DISABLE=1", () => {
	const env = { PI_MULTICODEX_DISABLE: "1" };

	wide("leaves pi as it is without the extension: no account, no command, no file, no request", async () => {
		const bench = await createBench({ host: "0.87.1" });
		const rowsBefore = bench.dir.read("codex-accounts.json");
		const without = (result: { code: number | null; stdout: string; stderr: string }) => {
			const { code, stdout, stderr } = result;
			return { code, stdout, stderr };
		};

		for (const args of [["-p", "say hi"], ["-p", "/multicodex show"], ["--list-models"]]) {
			const disabled = await bench.run(args, { env });
			expect(without(disabled), args.join(" ")).toEqual(without(await bench.run(args, { extension: false })));
		}

		expect(bench.codex.requests).toEqual([]);
		expect(bench.dir.read("codex-accounts.json")).toBe(rowsBefore);
		expect([...filesNamed(bench, "codex-").keys()]).toEqual(["codex-accounts.json"]);
	});

	it("lets pi's own login serve by itself, without rotation", async () => {
		const bench = await createBench({ host: "0.87.1", accounts: ["a"], strangers: ["b"] });
		signPiInAs(bench, "b");
		bench.codex.account("b").always(answers.usageLimit({ resetsInMs: inMoreThanAnHour }));

		expect(await bench.print("say hi", [], { env })).toMatchObject({ code: 1, stdout: "" });

		expect(new Set(bench.asked())).toEqual(new Set(["b"]));
		expect(bench.codex.usageRequests()).toEqual([]);
		expect(storedAccounts(bench).map(({ label }) => label)).toEqual(["a"]);
	});
});

describe("a codex-accounts.json that pi-multicodex 2.x wrote", () => {
	function versionOneOf(bench: Bench): { file: object; grants: Grant[] } {
		const grants = ["a", "b", "a"].map((name, at) => bench.codex.grant(name, { expiresInMs: (at + 1) * 86_400_000 }));
		const rows = grants.map((grant, at) => ({
			email: at === 1 ? "renamed@example.test" : "a@example.test",
			accessToken: grant.access,
			refreshToken: grant.refresh,
			expiresAt: grant.expires,
			...(at === 1 && { accountId: "acct-b", needsReauth: true, quotaExhaustedUntil: 1, lastUsed: 2 }),
		}));
		return { file: { accounts: rows, activeEmail: "a@example.test" }, grants };
	}

	it("is migrated at the first start, with the original kept", async () => {
		const bench = await createBench({ usage, accounts: [], strangers: ["a", "b"] });
		const { file, grants } = versionOneOf(bench);
		const original = `${JSON.stringify(file)}\n\n`;
		bench.dir.write("codex-accounts.json", original);
		chmodSync(bench.dir.path("codex-accounts.json"), 0o644);

		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });

		expect(bench.dir.read("codex-accounts.json.v1.bak")).toBe(original);
		expect(modeOf(bench.dir.path("codex-accounts.json.v1.bak"))).toBe(0o600);
		expect(modeOf(bench.dir.path("codex-accounts.json"))).toBe(0o600);
		expect(bench.dir.readJson("codex-accounts.json")).toMatchObject({
			version: 2,
			accounts: [
				// Of two logins of one identity the one that lasts longer is kept.
				{ id: bench.id("a"), label: "a", email: "a@example.test", needsLogin: null, credential: grants[2] },
				{ id: bench.id("b"), label: "b", needsLogin: { reason: expect.any(String) }, credential: grants[1] },
			],
		});
		expect(storedAccounts(bench)).toHaveLength(2);
		expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n", stderr: "" });
	});

	it("is migrated once by processes that start together", async () => {
		const bench = await createBench({ usage, accounts: [], strangers: ["a", "b"] });
		const original = JSON.stringify(versionOneOf(bench).file);
		bench.dir.write("codex-accounts.json", original);

		const results = await Promise.all([1, 2, 3].map(() => bench.print("say hi")));

		expect(results.map(({ code, stderr }) => ({ code, stderr }))).toEqual(
			[1, 2, 3].map(() => ({ code: 0, stderr: "" })),
		);
		expect(bench.dir.read("codex-accounts.json.v1.bak")).toBe(original);
		expect(storedAccounts(bench).map(({ label }) => label)).toEqual(["a", "b"]);
	});
});

it("writes only what it changes: what others put into the files meanwhile survives", async () => {
	const bench = await createBench({ usage, strangers: ["c"] });
	const rpc = bench.rpc();
	expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from a #1" });
	// Others that write hold the lock; this test does not, so it lets the turn be written first.
	await until("the turn to be written", () => bench.status("a").lastUsedAt !== undefined);
	// Another process adds an account, another version its own keys and a row that this one cannot read.
	const rows = storedAccounts(bench).map((row) => ({ ...row, color: `color of ${row.label}` }));
	const unreadable = { id: "from the future", login: { kind: "passkey" } };
	bench.dir.replace("codex-accounts.json", {
		version: 2,
		theme: { dark: true },
		accounts: [...rows, unreadable, bench.row("c")],
	});
	bench.dir.replace("codex-state.json", {
		version: 1,
		pin: bench.id("b"),
		accounts: { [bench.id("c")]: { mood: "good" } },
		weather: "fair",
	});
	bench.codex.account("b").expireAccessTokens();

	expect(await rpc.prompt("say hi")).toMatchObject({ text: "OK from b #1" });
	await rpc.close();

	const renewed = { refresh: expect.not.stringMatching(rows[1]?.credential.refresh ?? "") };
	expect(bench.dir.readJson("codex-accounts.json")).toMatchObject({
		theme: { dark: true },
		accounts: [{ color: "color of a" }, { color: "color of b", credential: renewed }, unreadable, { label: "c" }],
	});
	expect(bench.codex.tokenRequests().map(({ account }) => account)).toEqual(["b"]);
	expect(bench.dir.readJson("codex-state.json")).toMatchObject({
		pin: bench.id("b"),
		accounts: { [bench.id("c")]: { mood: "good" } },
		weather: "fair",
	});
	expect(bench.status("b")).toHaveProperty("lastUsedAt");
});

it("loses no login when codex-state.json is deleted", async () => {
	const bench = await createBench({ usage });
	const rowsBefore = bench.dir.read("codex-accounts.json");
	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #1\n" });
	rmSync(bench.dir.path("codex-state.json"));

	expect(await bench.print("say hi")).toMatchObject({ code: 0, stdout: "OK from a #2\n", stderr: "" });

	expect(bench.dir.read("codex-accounts.json")).toBe(rowsBefore);
});

const untrue = [
	{ what: "dated a day ahead", make: (path: string) => mkdirSync(path), aheadMs: 86_400_000 },
	{ what: "a file", make: (path: string) => writeFileSync(path, ""), aheadMs: -60_000 },
	{ what: "a link to nothing", make: (path: string) => symlinkSync("nowhere", path), aheadMs: undefined },
	{
		what: "a folder with something in it",
		make: (path: string) => {
			mkdirSync(path);
			writeFileSync(join(path, "note"), "");
		},
		aheadMs: -60_000,
	},
];

it.each(coreOf(untrue))("answers and ends if locks are held by no process: $what", async ({ make, aheadMs }) => {
	const bench = await createBench({ accounts: ["a"] });
	bench.dir.write("codex-accounts.json", {
		version: 2,
		accounts: [{ ...bench.stored("a"), credential: bench.codex.grant("a", { expiresInMs: -60_000 }) }],
	});
	const refresh = `codex-refresh-${bench.id("a")}.lock`;
	for (const name of ["codex-accounts.json.lock", "codex-state.json.lock", refresh]) {
		make(bench.dir.path(name));
		const at = (Date.now() + (aheadMs ?? 0)) / 1000;
		if (aheadMs !== undefined) utimesSync(bench.dir.path(name), at, at);
	}

	// Far less than the 10 s for which a live holder is waited for, once for each lock.
	const result = await bench.print("say hi", [], { timeoutMs: 25_000 });

	expect(result).toMatchObject({ code: 0, stdout: "OK from a #1\n", stderr: "" });
	expect(bench.codex.tokenRequests()).toHaveLength(1);
	expect(readdirSync(bench.dir.dir).filter((name) => name.endsWith(".lock"))).toEqual([]);
});

it.each(coreOf(["codex-accounts.json", "codex-state.json"]))("starts if %s is a pipe, and says so", async (name) => {
	const bench = await createBench({ accounts: ["a"] });
	rmSync(bench.dir.path(name), { force: true });
	execFileSync("mkfifo", [bench.dir.path(name)]);

	const result = await bench.print("/multicodex verify --json", [], { timeoutMs: 30_000 });

	expect(result.stdout).toContain("file-unreadable");
	expect(lstatSync(bench.dir.path(name)).isFIFO()).toBe(true);
});
